# SPDX-License-Identifier: GPL-2.0-only
"""Links with two VLAN tags or a PPPoE session below the router's WAN device, made by hand: the
test is the other end of them. VLAN tags: IEEE 802.1Q; PPPoE: RFC 2516."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab import WAN4, WAN6, Lab
from netns import Netns
from vm.craft import ETH_LEN, ETH_P_IP, ETH_P_IPV6, Frame, Offload, Wire, device_mac
from vm.ghosts import Ghosts

ETH_P_8021Q, ETH_P_8021AD, ETH_P_PPP_SES = 0x8100, 0x88A8, 0x8864
PPP_IP, PPP_IPV6 = 0x21, 0x57
PPPOE_LEN, VLAN_LEN = 8, 4
PPP_MTU = 1492
VLAN_PROTO = {ETH_P_8021Q: "802.1Q", ETH_P_8021AD: "802.1ad"}

PACKET_AUXDATA = 8
_AUXDATA = struct.Struct("=IIIHHHH")
VLAN_VALID, TPID_VALID = 0x10, 0x40

AF_PPPOX, SOCK_STREAM = 24, 1
_PPPIOCGCHAN, _PPPIOCATTCHAN, _PPPIOCCONNECT = 0x80047437, 0x40047438, 0x4004743A
_PPPIOCNEWUNIT, _PPPIOCSNPMODE = 0xC004743E, 0x4008744B
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class EncapFrame(Frame):
    """A frame without what lay between its addresses and the IP header, which is ``outer``."""

    outer: bytes = b""

    @property
    def comparable(self) -> tuple[bytes, int, int, int, int]:
        data, *left = super().comparable
        return (data + b" in " + self.outer, *left)


def wrapped(frame: bytes, encap: Sequence[tuple[int, int]], padding: bytes = b"") -> bytes:
    """An Ethernet frame with tags and PPPoE header (protocol, id) put in, outermost first."""
    proto = int.from_bytes(frame[12:14], "big")
    body = frame[ETH_LEN:]
    for kind, number in reversed(encap):
        if kind == ETH_P_PPP_SES:
            ppp = {ETH_P_IP: PPP_IP, ETH_P_IPV6: PPP_IPV6}[proto]
            body = struct.pack("!BBHHH", 0x11, 0, number, len(body) + 2, ppp) + body
        else:
            body = struct.pack("!HH", number, proto) + body
        proto = kind
    return frame[:12] + proto.to_bytes(2, "big") + body + padding


class EncapWire(Wire):
    """A wire whose frames carry tags or a PPPoE header."""

    def __init__(self, ns: Netns, device: str, encap: Sequence[tuple[int, int]]) -> None:
        super().__init__(ns, device)
        self.encap = list(encap)
        self.sock.setsockopt(263, PACKET_AUXDATA, 1)

    @property
    def length(self) -> int:
        return sum(PPPOE_LEN if kind == ETH_P_PPP_SES else VLAN_LEN for kind, _ in self.encap)

    def send(self, frame: bytes, offload: Offload | None = None) -> None:
        if offload and offload.csum_start:
            offload = replace(
                offload,
                header_len=offload.header_len + self.length if offload.header_len else 0,
                csum_start=offload.csum_start + self.length,
            )
        super().send(wrapped(frame, self.encap), offload)

    def send_raw(self, frame: bytes) -> None:
        super().send(frame)

    def receive(self, timeout: float) -> Frame | None:
        frame = super().receive(timeout)
        return frame and self._unwrapped(frame)

    def tag_of(self, control: Sequence[tuple[int, int, bytes]]) -> bytes:
        """The outermost tag, which the kernel keeps out of the frame."""
        for level, kind, value in control:
            if (level, kind) == (263, PACKET_AUXDATA):
                status, *_, tci, tpid = _AUXDATA.unpack_from(value)
                if status & VLAN_VALID:
                    return struct.pack("!HH", tpid if status & TPID_VALID else ETH_P_8021Q, tci)
        return b""

    def _unwrapped(self, frame: Frame) -> Frame:
        """The frame as it would be on a plain link; a frame with other tags stays as it is."""
        data = frame.data[:12] + frame.tag + frame.data[12:]
        at = 12
        for kind, number in self.encap:
            found = int.from_bytes(data[at : at + 2], "big")
            if found != kind:
                return frame
            if kind == ETH_P_PPP_SES:
                sid, length, ppp = struct.unpack_from("!HHH", data, at + 4)
                if sid != number or length != len(data) - at - 8:
                    return frame
                proto = {PPP_IP: ETH_P_IP, PPP_IPV6: ETH_P_IPV6}.get(ppp, 0)
                data = data[: at + 8] + proto.to_bytes(2, "big") + data[at + 10 :]
                at += PPPOE_LEN
            else:
                if int.from_bytes(data[at + 2 : at + 4], "big") & 0xFFF != number & 0xFFF:
                    return frame
                at += VLAN_LEN
        left = frame.offload
        shift = at - 12 - len(frame.tag)
        if left.csum_start:
            left = replace(left, csum_start=left.csum_start - shift)
        return EncapFrame(data[:12] + data[at:], left, frame.time, frame.tag, outer=data[12:at])


class Session:
    """A PPPoE session of the router, with nobody who would negotiate: it is just there."""

    def __init__(self, ns: Netns, below: str, name: str, number: int, peer: bytes) -> None:
        self.ns = ns
        subprocess.run(["modprobe", "pppoe"], check=True)
        with ns.entered():
            self._open(below, name, number, peer)

    def _open(self, below: str, name: str, number: int, peer: bytes) -> None:
        assert Path("/dev/ppp").exists()
        self.sock = socket.socket(AF_PPPOX, SOCK_STREAM, 0)
        address = struct.pack("=HI", AF_PPPOX, 0)
        address += struct.pack("!H6s16s", number, peer, below.encode())
        if _libc.connect(self.sock.fileno(), address, len(address)):
            raise OSError(ctypes.get_errno(), "connect a PPPoE socket")
        channel = self._ioctl(self.sock.fileno(), _PPPIOCGCHAN)
        self.channel, self.unit = (os.open("/dev/ppp", os.O_RDWR) for _ in range(2))
        self._ioctl(self.channel, _PPPIOCATTCHAN, channel)
        unit = self._ioctl(self.unit, _PPPIOCNEWUNIT, -1)
        self._ioctl(self.channel, _PPPIOCCONNECT, unit)
        for proto in (PPP_IP, PPP_IPV6):
            fcntl.ioctl(self.unit, _PPPIOCSNPMODE, struct.pack("=ii", proto, 0))
        self.ns.ip(
            f"link set ppp{unit} name {name} mtu {PPP_MTU}",
            f"link set {name} up",
        )

    @staticmethod
    def _ioctl(fd: int, request: int, value: int = 0) -> int:
        number: int = struct.unpack("=i", fcntl.ioctl(fd, request, struct.pack("=i", value)))[0]
        return number

    def close(self) -> None:
        for fd in (self.unit, self.channel):
            os.close(fd)
        self.sock.close()


class EncapGhosts(Ghosts):
    """Ghost hosts of which the WAN one is behind such a link. The router's plain WAN device
    becomes "wan0", and "wan" is built on it."""

    def __init__(self, lab: Lab, encap: Sequence[tuple[int, int]], vlan_options: str = "") -> None:
        below, self.session = "wan0", None
        lab.s.ip("addr flush dev wan")
        lab.r.ip("link set wan down", "link set wan name wan0", "addr flush dev wan0")
        lab.r.ip("link set wan0 up")
        mac = device_mac(lab.s, "wan")
        for index, (kind, number) in enumerate(encap):
            name = "wan" if index == len(encap) - 1 else f"wan0.{number}"
            if kind == ETH_P_PPP_SES:
                self.session = Session(lab.r, below, name, number, mac)
            else:
                lab.r.ip(
                    f"link add link {below} name {name} type vlan proto {VLAN_PROTO[kind]} "
                    f"id {number} {vlan_options}",
                    f"link set {name} up",
                )
            below = name
        if self.session:
            lab.r.ip(f"addr add {WAN4} peer 198.51.100.2 dev wan")
            lab.r.ip("route add 198.51.100.0/24 dev wan")
        else:
            lab.r.ip(f"addr add {WAN4}/24 dev wan")
        lab.r.ip(f"addr add {WAN6}/64 dev wan nodad")
        super().__init__(lab, ("lan",) if self.session else ("lan", "wan"))
        self.wan.close()
        self.wan = EncapWire(lab.s, "wan", encap)
        self.router_wan = device_mac(lab.r, "wan0")
        # A link that came up gets addresses later, and each is an event.
        time.sleep(1)

    def close(self) -> None:
        super().close()
        if self.session:
            self.session.close()
