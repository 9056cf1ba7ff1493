# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's packets, and the device of tests/kmod/natflow_benchnic.c that receives them."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, replace
from typing import IO, Any

from netns import Netns

TCP, UDP = 6, 17
SYN, PSH, ACK = 2, 8, 16
ETH_P_IP, ETH_P_EXPERIMENT = 0x0800, 0x88B5
ETH_LEN, IP_LEN = 14, 20
FRAME_MAX, HEAD_KEPT = 256, 64
REQUEST = struct.Struct(f"=7I{FRAME_MAX}s")
ANSWER = struct.Struct(f"=3Q{HEAD_KEPT}s")
CONTROL = "/sys/kernel/debug/natflow_bench"


def _complement_sum(data: bytes) -> int:
    return 0xFFFF ^ (int.from_bytes(data, "big") % 0xFFFF or 0xFFFF)


@dataclass(frozen=True)
class Frame:
    """An IPv4 frame; `extra` bytes follow in a page, cut into segments when there are more than
    `segment` of them. Transport checksums are left wrong: the device says that it verified them."""

    to: str
    src: str
    dst: str
    sport: int
    dport: int
    proto: int = UDP
    payload: bytes = b""
    flags: int = ACK
    seq: int = 0
    ack: int = 0
    extra: int = 0
    segment: int = 0
    ethertype: int = ETH_P_IP

    def pack(self) -> bytes:
        ports = struct.pack("!HH", self.sport, self.dport)
        size = len(self.payload) + self.extra
        if self.proto == UDP:
            transport = ports + struct.pack("!HH", 8 + size, 0x1234)
        else:
            offset_flags = 5 << 12 | self.flags
            transport = ports + struct.pack(
                "!IIHHHH", self.seq, self.ack, offset_flags, 65535, 0x1234, 0
            )
        length = IP_LEN + len(transport) + size
        head = struct.pack("!BBHHHBBH", 0x45, 0, length, 1, 0x4000, 64, self.proto, 0)
        head += socket.inet_aton(self.src) + socket.inet_aton(self.dst)
        head = head[:10] + struct.pack("!H", _complement_sum(head)) + head[12:]
        mac = bytes.fromhex(self.to.replace(":", ""))
        link = mac + bytes.fromhex("020000000099") + struct.pack("!H", self.ethertype)
        return link + head + transport + self.payload

    def but(self, **changes: Any) -> Frame:
        """The same with some fields changed."""
        return replace(self, **changes)

    def dropped(self) -> Frame:
        """The same, of a protocol that nobody takes: what making and receiving it costs."""
        return self.but(ethertype=ETH_P_EXPERIMENT)


@dataclass(frozen=True)
class Answer:
    """`ns` is what the request took; the rest is the device's transmit side since it was made."""

    ns: int
    tx_packets: int
    tx_bytes: int
    head: bytes

    @property
    def source(self) -> str:
        """Source address of the packet that was sent last."""
        return socket.inet_ntoa(self.head[ETH_LEN + 12 : ETH_LEN + 16])

    @property
    def ttl(self) -> int:
        return self.head[ETH_LEN + 8]


class Nic:
    """A benchmark device in a namespace."""

    def __init__(self, ns: Netns, name: str) -> None:
        ns.ip(f"link add {name} type natflow_bench", f"link set {name} up")
        self.ns, self.name = ns, name
        with ns.entered():
            self.ifindex = socket.if_nametoindex(name)
        shown = ns.run("ip", "-o", "link", "show", "dev", name)
        self.mac = shown.split("link/ether ")[1].split()[0]

    def receive(self, frame: Frame, packets: int, flows: int, vary: str = "sport") -> Answer:
        """Take in so many packets; flow n of `flows` has the port `vary` raised by n."""
        data = frame.pack()
        offset = ETH_LEN + IP_LEN + (0 if vary == "sport" else 2)
        request = REQUEST.pack(
            *(self.ifindex, packets, flows, offset, frame.extra, frame.segment, len(data)), data
        )
        return self._ask(request)

    def counters(self) -> Answer:
        return self._ask(REQUEST.pack(self.ifindex, 0, 0, 0, 0, 0, 0, b""))

    def _ask(self, request: bytes) -> Answer:
        with self.ns.entered(), open(CONTROL, "r+b", buffering=0) as control:
            return self._exchange(control, request)

    @staticmethod
    def _exchange(control: IO[bytes], request: bytes) -> Answer:
        control.write(request)
        return Answer(*ANSWER.unpack(control.read(ANSWER.size)))
