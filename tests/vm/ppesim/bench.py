# SPDX-License-Identifier: GPL-2.0-only
"""A router with every kind of port of the simulated SoC, and rules and frames by hand."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import ppesim
from netns import Netns
from ppeprobe import (
    CSUM,
    ETH_P_8021Q,
    PPPOE_PUSH,
    REDIRECT,
    TCP_HEADER,
    UDP_HEADER,
    VLAN_PUSH,
    Action,
    Probe,
    Rule,
    address,
    dest_port,
    eth,
    source_port,
)
from vm.craft import SOL_PACKET, TCP, UDP, Packet, Wire, device_mac

PACKET_AUXDATA = 8
TP_STATUS_VLAN_VALID = 0x10
# struct virtio_net_hdr, which comes before every frame.
VNET_LEN = 10

# A host behind the LAN talks to one behind the WAN, which sees it as the router.
HOST, PEER, ROUTER = "192.168.77.2", "198.51.100.2", "198.51.100.1"
HOST6, PEER6 = "fd77::2", "fd99::2"
NEXT_HOP = bytes.fromhex("020000000099")


class TaggedWire(Wire):
    """A wire whose frames come with their outer tag, which the kernel has put aside."""

    def __init__(self, ns: Netns, device: str) -> None:
        super().__init__(ns, device)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def frames(self) -> list[bytes]:
        found: list[bytes] = []
        while True:
            try:
                data, control, _, _ = self.sock.recvmsg(1 << 17, 128, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            frame = data[VNET_LEN:]
            for level, kind, value in control:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, tci, proto = struct.unpack("=I12xHH", value)
                    if status & TP_STATUS_VLAN_VALID:
                        frame = frame[:12] + struct.pack("!HH", proto, tci) + frame[12:]
            found.append(frame)


@dataclass
class Bench:
    """A SoC with both MACs ("lan", "wan"), a switch ("eth2" with "user" and "alien") and WED
    ("wifi"), their wires in one namespace under the same names."""

    router: Netns
    far: Netns
    soc: ppesim.Soc
    probe: Probe
    wires: dict[str, TaggedWire]
    cookies: int = 0

    def mac(self, device: str) -> bytes:
        return device_mac(self.router, device)

    def send(self, port: str, packet: Packet, tags: bytes = b"") -> None:
        """A frame from the wire of a port; `tags` come before its IP header."""
        frame = packet.frame(self.mac(port), NEXT_HOP)
        self.wires[port].send(frame[:12] + tags + frame[12 if not tags else 14 :])

    def received(self, port: str) -> list[bytes]:
        """Frames that came to the other end of a port's cable, IPv4 and IPv6 and tagged ones."""
        # The kernel may deliver them a moment later, on another thread.
        time.sleep(0.02)
        return [data for data in self.wires[port].frames() if data[:6] == NEXT_HOP]

    def settle(self, port: str) -> None:
        """Wait until a wire that was down carries frames again: its end notices with a delay."""
        end = time.monotonic() + 10
        before = self.soc.port(port).wire_rx
        while self.soc.port(port).wire_rx == before:
            assert time.monotonic() < end
            self.send(port, replace(UDP4, ttl=1))
            time.sleep(0.05)

    def install(self, rule: Rule, via: str = "lan") -> int:
        self.cookies += 1
        assert self.probe.replace(via, self.cookies, rule) == 0
        return self.cookies

    def rule(self, packet: Packet, new: Packet, out: str = "wan", ingress: str = "lan") -> Rule:
        """The rule that makes `new` of `packet`."""
        actions = eth(NEXT_HOP, self.mac(out))
        if packet.version == 4:
            header = UDP_HEADER if packet.proto == UDP else TCP_HEADER
            actions += [address(12, new.src), address(16, new.dst)]
            actions += [source_port(new.sport, header), dest_port(new.dport, header)]
            actions.append(Action(CSUM))
        actions.append(Action(REDIRECT, device=out))
        return Rule(
            packet.src, packet.dst, packet.sport, packet.dport, ingress, actions, packet.proto
        )


@contextmanager
def new_bench(profile: str, *, entries: int = 16384, wed: int | None = 0) -> Iterator[Bench]:
    router, far = Netns(f"r{profile}"), Netns(f"f{profile}")
    for ns in (router, far):
        ns.sysctl(net__ipv6__conf__default__disable_ipv6=1)
    soc = ppesim.Soc(router, profile, entries=entries)
    soc.gmac("lan", index=0, wire=far)
    soc.gmac("wan", index=1, wire=far)
    soc.gmac("eth2", index=2, wire=None)
    soc.dsa("user", index=3, conduit=2, wire=far)
    soc.dsa("alien", index=4, conduit=2, mediatek_tag=False, wire=far)
    soc.wlan("wifi", wed=wed, wire=far)
    names = ("lan", "wan", "user", "alien", "wifi")
    router.ip(*(f"link set {name} up" for name in (*names, "eth2")))
    far.ip(*(f"link set {name} up" for name in names))
    # A rule is bound by the first packet that the CPU sees.
    soc.set(bind_rate=1)
    wires = {name: TaggedWire(far, name) for name in names}
    try:
        yield Bench(router, far, soc, Probe(soc), wires)
    finally:
        for wire in wires.values():
            wire.close()
        soc.remove()
        router.remove()
        far.remove()


UDP4 = Packet(HOST, PEER, 4000, 53, payload=b"question" * 9)
NEW4 = replace(UDP4, src=ROUTER, sport=61000, ttl=63)
TCP4 = Packet(HOST, PEER, 4001, 80, proto=TCP, payload=b"data" * 100)
BACK4 = Packet(PEER, ROUTER, 443, 61001, proto=TCP, payload=b"answer" * 77)
UDP6 = Packet(HOST6, PEER6, 4002, 53, payload=b"question" * 9)
TCP6 = Packet(HOST6, PEER6, 4003, 80, proto=TCP, payload=b"data" * 100)
VLAN7 = Action(VLAN_PUSH, value=7, proto=ETH_P_8021Q)
VLAN8 = Action(VLAN_PUSH, value=8, proto=ETH_P_8021Q)
SESSION = Action(PPPOE_PUSH, value=0x1234)
