# SPDX-License-Identifier: GPL-2.0-only
"""Packets built and read by hand: what no socket sends, and frames as they are on the wire.

Layouts: RFC 791, 8200 (IP), 768 (UDP), 9293 (TCP); checksums: RFC 1071; the offload state of a
frame: struct virtio_net_hdr of linux/virtio_net.h, which packet(7) carries with PACKET_VNET_HDR.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from netns import Netns

TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
DF, MF = 0x4000, 0x2000
ETH_P_IP, ETH_P_IPV6, ETH_P_ALL = 0x0800, 0x86DD, 3
ETH_P_8021Q, ETH_P_PPP_SES = 0x8100, 0x8864
ETH_LEN = 14

SOL_PACKET = 263
PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 15, 23
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
SIOCGIFHWADDR = 0x8927
_VNET = struct.Struct("=BBHHHH")
NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 4, 5

Check = Literal["full", "partial", "none"]


def ones_sum(data: bytes) -> int:
    """Ones' complement sum over 16-bit words; 0xffff, not 0, when the words cancel out."""
    value = int.from_bytes(data + b"\0" if len(data) & 1 else data, "big")
    return (value % 0xFFFF or 0xFFFF) if value else 0


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def version_of(address: str) -> int:
    return 6 if ":" in address else 4


def address_bytes(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


@dataclass(frozen=True)
class Offload:
    """What the sender leaves to the device; sizes and offsets in bytes from the frame's start."""

    flags: int = 0
    gso_type: int = GSO_NONE
    header_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0

    def pack(self) -> bytes:
        return _VNET.pack(
            self.flags,
            self.gso_type,
            self.header_len,
            self.gso_size,
            self.csum_start,
            self.csum_offset,
        )


@dataclass(frozen=True)
class Packet:
    """A TCP or UDP packet. ``tos`` is also IPv6's traffic class, ``frag`` the flags and offset
    field, ``extension`` an IPv6 extension header: its number and its bytes, the first of which
    becomes the next header. ``gso_size`` makes it a super-packet of such segments."""

    src: str
    dst: str
    sport: int
    dport: int
    proto: int = UDP
    payload: bytes = b""
    ttl: int = 64
    tos: int = 0
    ident: int = 0
    frag: int = DF
    label: int = 0
    options: bytes = b""
    extension: tuple[int, bytes] | None = None
    seq: int = 1
    ack: int = 1
    flags: int = ACK
    window: int = 65535
    urgent: int = 0
    tcp_options: bytes = b""
    check: Check = "full"
    gso_size: int = 0

    @property
    def version(self) -> int:
        return version_of(self.src)

    def mirrored(self) -> Packet:
        return replace(self, src=self.dst, dst=self.src, sport=self.dport, dport=self.sport)

    def _transport_header(self) -> bytes:
        """With a checksum of zero."""
        if self.proto == UDP:
            return struct.pack("!HHHH", self.sport, self.dport, 8 + len(self.payload), 0)
        assert len(self.tcp_options) % 4 == 0
        return (
            struct.pack(
                "!HHIIHHHH",
                self.sport,
                self.dport,
                self.seq,
                self.ack,
                (5 + len(self.tcp_options) // 4) << 12 | self.flags,
                self.window,
                0,
                self.urgent,
            )
            + self.tcp_options
        )

    def l4_sum(self, *, pseudo_only: bool = False) -> int:
        """The sum that the checksum is the complement of."""
        head = self._transport_header()
        pseudo = address_bytes(self.src) + address_bytes(self.dst)
        pseudo += struct.pack("!IHH", len(head) + len(self.payload), 0, self.proto)
        return ones_sum(pseudo if pseudo_only else pseudo + head + self.payload)

    def transport(self) -> bytes:
        """Transport header and payload, the checksum filled in as ``check`` says."""
        if self.check == "none":
            value = 0
        elif self.check == "partial":
            value = self.l4_sum(pseudo_only=True)
        else:
            value = 0xFFFF ^ self.l4_sum()
            if self.proto == UDP and not value:
                value = 0xFFFF
        at = 6 if self.proto == UDP else 16
        return patched(self._transport_header(), at, value.to_bytes(2, "big")) + self.payload

    def ip(self) -> bytes:
        body = self.transport()
        if self.version == 6:
            proto = self.proto
            if self.extension:
                number, data = self.extension
                body = bytes([proto]) + data[1:] + body
                proto = number
            first = 6 << 28 | self.tos << 20 | self.label
            head = struct.pack("!IHBB", first, len(body), proto, self.ttl)
            return head + address_bytes(self.src) + address_bytes(self.dst) + body
        assert len(self.options) % 4 == 0
        head = struct.pack(
            "!BBHHHBBH",
            0x45 + len(self.options) // 4,
            self.tos,
            20 + len(self.options) + len(body),
            self.ident,
            self.frag,
            self.ttl,
            self.proto,
            0,
        )
        head += address_bytes(self.src) + address_bytes(self.dst) + self.options
        return with_header_check(head + body)

    def offload(self) -> Offload:
        """What goes with the frame: nothing, or the rest of the checksum and the segmentation."""
        if self.check != "partial":
            assert not self.gso_size
            return Offload()
        start = ETH_LEN + (40 if self.version == 6 else 20 + len(self.options))
        head = 8 if self.proto == UDP else 20 + len(self.tcp_options)
        kind = GSO_NONE
        if self.gso_size:
            kind = GSO_TCPV6 if self.version == 6 else GSO_TCPV4
            if self.proto == UDP:
                kind = GSO_UDP_L4
        return Offload(
            NEEDS_CSUM,
            kind,
            start + head if kind else 0,
            self.gso_size,
            start,
            6 if self.proto == UDP else 16,
        )

    def frame(self, to: bytes, sender: bytes) -> bytes:
        proto = ETH_P_IPV6 if self.version == 6 else ETH_P_IP
        return to + sender + struct.pack("!H", proto) + self.ip()


def with_header_check(packet: bytes) -> bytes:
    """The IPv4 packet with its header checksum made right."""
    length = (packet[0] & 15) * 4
    head = packet[:10] + b"\0\0" + packet[12:length]
    return head[:10] + struct.pack("!H", 0xFFFF ^ ones_sum(head)) + head[12:] + packet[length:]


def patched(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


@dataclass(frozen=True)
class Frame:
    """A frame that arrived; ``time`` is the kernel's, seconds of CLOCK_REALTIME. ``tag`` is the
    outermost VLAN tag where the wire reads it: the kernel keeps it out of the frame."""

    data: bytes
    offload: Offload
    time: float
    tag: bytes = b""

    @property
    def to(self) -> bytes:
        return self.data[:6]

    @property
    def sender(self) -> bytes:
        return self.data[6:12]

    @property
    def protocol(self) -> int:
        return int.from_bytes(self.data[12:14], "big")

    @property
    def ip(self) -> bytes:
        return self.data[ETH_LEN:]

    @property
    def version(self) -> int:
        return {ETH_P_IP: 4, ETH_P_IPV6: 6}.get(self.protocol, 0)

    @property
    def proto(self) -> int:
        """Protocol number, not looking past extension headers."""
        return self.ip[6 if self.version == 6 else 9]

    @property
    def ttl(self) -> int:
        return self.ip[7 if self.version == 6 else 8]

    @property
    def src(self) -> str:
        if self.version == 6:
            return socket.inet_ntop(socket.AF_INET6, self.ip[8:24])
        return socket.inet_ntop(socket.AF_INET, self.ip[12:16])

    @property
    def dst(self) -> str:
        if self.version == 6:
            return socket.inet_ntop(socket.AF_INET6, self.ip[24:40])
        return socket.inet_ntop(socket.AF_INET, self.ip[16:20])

    @property
    def l4(self) -> bytes:
        """What follows the IP header, extension headers included."""
        return self.ip[40 if self.version == 6 else (self.ip[0] & 15) * 4 :]

    @property
    def ports(self) -> tuple[int, int]:
        sport, dport = struct.unpack_from("!HH", self.l4)
        return sport, dport

    @property
    def payload(self) -> bytes:
        return self.l4[8:] if self.proto == UDP else self.l4[(self.l4[12] >> 4) * 4 :]

    @property
    def l4_check(self) -> int:
        at = 6 if self.proto == UDP else 16
        return int.from_bytes(self.l4[at : at + 2], "big")

    @property
    def comparable(self) -> tuple[bytes, int, int, int, int]:
        """The frame and what is left to the device, without what says nothing about the wire:
        how much of the buffer is linear, and whether somebody has verified the checksum."""
        left = self.offload
        return (
            self.data,
            left.flags & NEEDS_CSUM,
            left.gso_type,
            left.gso_size,
            left.csum_start,
        )

    def assert_sums(self) -> None:
        """Both checksums are right; for an offloaded one, the pseudo-header sum is."""
        if self.version == 4:
            head = self.ip[: (self.ip[0] & 15) * 4]
            assert ones_sum(head) == 0xFFFF, f"IPv4 header checksum: {head.hex()}"
            addresses = self.ip[12:20]
        else:
            addresses = self.ip[8:40]
        pseudo = addresses + struct.pack("!IHH", len(self.l4), 0, self.proto)
        if self.offload.flags & NEEDS_CSUM:
            assert self.l4_check == ones_sum(pseudo), "pseudo-header sum"
        elif not (self.proto == UDP and self.l4_check == 0):
            assert ones_sum(pseudo + self.l4) == 0xFFFF, f"L4 checksum: {self.data.hex()}"


class Wire:
    """One end of a link: sends frames on it and reads those that come in."""

    def __init__(self, ns: Netns, device: str) -> None:
        self.mac = device_mac(ns, device)
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.sock.bind((device, ETH_P_ALL))

    def send(self, frame: bytes, offload: Offload | None = None) -> None:
        self.sock.send((offload or Offload()).pack() + frame)

    def receive(self, timeout: float) -> Frame | None:
        self.sock.settimeout(timeout)
        try:
            data, control, _, _ = self.sock.recvmsg(1 << 17, 256)
        except (TimeoutError, BlockingIOError):
            return None
        stamp = time.time()
        for level, kind, value in control:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("=qq", value)
                stamp = seconds + nanoseconds / 1e9
        left = Offload(*_VNET.unpack_from(data))
        return Frame(data[_VNET.size :], left, stamp, self.tag_of(control))

    def tag_of(self, control: Sequence[tuple[int, int, bytes]]) -> bytes:
        """A plain wire does not ask for it."""
        return b""

    def collect(
        self, match: Callable[[Frame], bool], count: int, timeout: float = 3.0
    ) -> list[Frame]:
        """The next ``count`` frames that match, or those that came within ``timeout`` seconds."""
        found: list[Frame] = []
        end = time.monotonic() + timeout
        while len(found) < count:
            frame = self.receive(max(end - time.monotonic(), 0.0))
            if frame is None:
                break
            if match(frame):
                found.append(frame)
        return found

    def drain(self) -> list[Frame]:
        """All that has come in so far."""
        return self.collect(lambda frame: True, 1 << 30, 0.0)

    def close(self) -> None:
        self.sock.close()


def unwrapped(frame: Frame) -> Frame:
    """The packet of a frame with a VLAN tag, a PPPoE header (RFC 2516) or both, in a plain one."""
    at = ETH_LEN - 2
    if frame.protocol == ETH_P_8021Q:
        at += 4
    protocol = frame.data[at : at + 2]
    rest = at + 2
    if int.from_bytes(protocol, "big") == ETH_P_PPP_SES:
        inner = int.from_bytes(frame.data[at + 8 : at + 10], "big")
        protocol = {0x0021: ETH_P_IP, 0x0057: ETH_P_IPV6}.get(inner, 0).to_bytes(2, "big")
        rest = at + 10
    return replace(frame, data=frame.data[: ETH_LEN - 2] + protocol + frame.data[rest:])


def device_mac(ns: Netns, device: str) -> bytes:
    request = struct.pack("16s24x", device.encode())
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, SIOCGIFHWADDR, request)[18:24]


def fragments(packet: bytes, size: int, ident: int) -> list[bytes]:
    """The IP packet cut into fragments that carry ``size`` bytes each (a multiple of 8)."""
    assert size % 8 == 0
    if packet[0] >> 4 == 4:
        head, body = packet[:20], packet[20:]
    else:
        head, body = packet[:40], packet[40:]
    cut = []
    for offset in range(0, len(body), size):
        part = body[offset : offset + size]
        more = offset + size < len(body)
        if packet[0] >> 4 == 4:
            field = struct.pack("!HHH", 20 + len(part), ident, offset // 8 | (MF if more else 0))
            cut.append(with_header_check(patched(head, 2, field) + part))
        else:
            extension = struct.pack("!BBHI", head[6], 0, offset | more, ident)
            field = struct.pack("!HB", 8 + len(part), 44)
            cut.append(patched(head, 4, field) + extension + part)
    return cut


def reassembled(frames: list[Frame]) -> Frame:
    """The frame whose fragments these are; fails when they do not fit together."""
    parts: dict[int, bytes] = {}
    end = None
    assert frames, "no fragment"
    first = frames[0]
    for frame in frames:
        if frame.version == 4:
            frame_field = int.from_bytes(frame.ip[6:8], "big")
            offset, more, body = (frame_field & 0x1FFF) * 8, frame_field & MF, frame.l4
        else:
            assert frame.proto == 44, "no fragment header"
            frame_field = int.from_bytes(frame.l4[2:4], "big")
            offset, more, body = frame_field & 0xFFF8, frame_field & 1, frame.l4[8:]
        parts[offset] = body
        if not more:
            end = offset + len(body)
    whole = b""
    for offset in sorted(parts):
        assert offset == len(whole), f"{offset} bytes expected, {len(whole)} there"
        whole += parts[offset]
    assert len(whole) == end
    if first.version == 4:
        field = struct.pack("!HHH", 20 + len(whole), 0, 0)
        packet = with_header_check(patched(first.ip[:20], 2, field) + whole)
    else:
        field = struct.pack("!HB", len(whole), first.l4[0])
        packet = patched(first.ip[:40], 4, field) + whole
    return Frame(first.data[:ETH_LEN] + packet, Offload(), first.time)
