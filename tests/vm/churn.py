# SPDX-License-Identifier: GPL-2.0-only
"""Short UDP connections by the ten thousand: frames that are made in advance and sent by the
hundred in one system call, from hosts that have addresses but no stack."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from array import array

from lab import WAN4
from netns import Netns
from vm.craft import SOL_PACKET, device_mac, with_header_check
from vm.hw import HwLab

PACKET_QDISC_BYPASS = 20
NOBODY = bytes.fromhex("0200000000ee")
# Each has the same ports, and asks another port of the far end, so that masquerading keeps them.
HOSTS = [f"192.168.77.{number}" for number in range(100, 104)]
FAR, FAR_PORT = "198.51.100.100", 9
FIRST_PORT = 2000
PAYLOAD = bytes(18)
PORTS_AT = 34
# In words of 8 bytes: where struct mmsghdr names its struct iovec, and how many; the sizes of both.
IOV, IOV_COUNT, MMSGHDR, IOVEC = 2, 3, 8, 2
_libc = ctypes.CDLL(None, use_errno=True)


class Frames:
    """Frames of one size that go out by a device, in their order."""

    def __init__(self, ns: Netns, device: str, data: bytes, size: int) -> None:
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self.sock.bind((device, 0))
        count = len(data) // size
        self._data = ctypes.create_string_buffer(data, len(data))
        at = ctypes.addressof(self._data)
        self._iovecs = array("Q", bytes(8 * IOVEC * count))
        self._iovecs[0::IOVEC] = array("Q", range(at, at + len(data), size))
        self._iovecs[1::IOVEC] = array("Q", [size]) * count
        at, _ = self._iovecs.buffer_info()
        self._headers = array("Q", bytes(8 * MMSGHDR * count))
        self._headers[IOV::MMSGHDR] = array("Q", range(at, at + 8 * IOVEC * count, 8 * IOVEC))
        self._headers[IOV_COUNT::MMSGHDR] = array("Q", [1]) * count

    def send(self, first: int, count: int) -> None:
        """`count` of them, from number `first` on."""
        at, _ = self._headers.buffer_info()
        while count:
            header = ctypes.c_void_p(at + first * 8 * MMSGHDR)
            sent = _libc.sendmmsg(self.sock.fileno(), header, count, 0)
            if sent < 0:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error))
            first, count = first + sent, count - sent

    def close(self) -> None:
        self.sock.close()


def _packet(src: str, dst: str, sport: int, dport: int) -> bytes:
    length = 20 + 8 + len(PAYLOAD)
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 1, 0x4000, 64, socket.IPPROTO_UDP, 0)
    head += socket.inet_aton(src) + socket.inet_aton(dst)
    # No checksum: IPv4 allows that.
    udp = struct.pack("!HHHH", sport, dport, 8 + len(PAYLOAD), 0)
    return with_header_check(head) + udp + PAYLOAD


class Churn:
    """`count` connections through a lab, or a few more, each used once."""

    def __init__(self, lab: HwLab, count: int) -> None:
        self.next = 0
        rounds = count // len(HOSTS) + 1
        self.count = rounds * len(HOSTS)
        mac = NOBODY.hex(":")
        lab.r.ip(
            *(f"neigh replace {host} lladdr {mac} dev lan nud permanent" for host in HOSTS),
            f"neigh replace {FAR} lladdr {mac} dev wan nud permanent",
        )
        numbers = [FAR_PORT + number for number in range(len(HOSTS))]
        out = [_packet(host, FAR, 0, at) for host, at in zip(HOSTS, numbers, strict=True)]
        back = [_packet(FAR, WAN4, at, 0) for at in numbers]
        self.out = self._frames(lab.r, lab.c, "lan", out, rounds, PORTS_AT)
        self.back = self._frames(lab.r, lab.s, "wan", back, rounds, PORTS_AT + 2)

    @staticmethod
    def _frames(
        router: Netns, ns: Netns, side: str, packets: list[bytes], rounds: int, at: int
    ) -> Frames:
        """Of each packet so many, the numbers at `at` raised from round to round."""
        link = device_mac(router, side) + NOBODY + b"\x08\0"
        data = bytearray(b"".join(link + packet for packet in packets) * rounds)
        size = len(link) + len(packets[0])
        ports = [FIRST_PORT + number for number in range(rounds) for _ in packets]
        both = struct.pack(f"!{len(ports)}H", *ports)
        data[at::size], data[at + 1 :: size] = both[0::2], both[1::2]
        return Frames(ns, side, bytes(data), size)

    def run(self, count: int, rounds: int) -> None:
        """The next connections: so many packets out and back, in turn."""
        assert self.next + count <= self.count
        for _ in range(rounds):
            self.out.send(self.next, count)
            self.back.send(self.next, count)
        self.next += count

    def close(self) -> None:
        self.out.close()
        self.back.close()
