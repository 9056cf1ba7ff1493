# SPDX-License-Identifier: GPL-2.0-only
"""Flows between hosts that have addresses but no stack: nobody answers, every frame is the
test's own.

    ghost LAN hosts, behind c's link        ghost WAN host, behind s's link
    192.168.77.100  fd77::100  routed        198.51.100.100  fd99::100
    192.168.77.101  fd77::101  masqueraded
    192.168.77.102  fd77::102  behind port 8080 of the router's WAN address (DNAT)
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lab import WAN4, WAN6, Lab
from vm.craft import ACK, PSH, SYN, TCP, Frame, Packet, Wire, device_mac

from natflow.kernel.filters import FlowTuple
from natflow.kernel.records import Flow

OUT, BACK = 0, 1
KINDS = ("routed", "masqueraded", "dnat")
DNAT_PORT, INNER_PORT = 8080, 8000

_LAN = {4: "192.168.77.10{}", 6: "fd77::10{}"}
_WAN = {4: "198.51.100.100", 6: "fd99::100"}
_WAN_ADDRESS = {4: WAN4, 6: WAN6}
_ports = itertools.count(20000)

RULES = f"""
table inet ghosts {{
  chain post {{
    type nat hook postrouting priority 100;
    ip saddr {_LAN[4].format(1)} masquerade
    ip6 saddr {_LAN[6].format(1)} masquerade
  }}
  chain pre {{
    type nat hook prerouting priority -100;
    meta l4proto {{ tcp, udp }} th dport {DNAT_PORT} iifname "wan*" meta nfproto ipv4 dnat ip to {
    _LAN[4].format(2)
}:{INNER_PORT}
    meta l4proto {{ tcp, udp }} th dport {DNAT_PORT} iifname "wan*" meta nfproto ipv6 dnat ip6 to [{
    _LAN[6].format(2)
}]:{INNER_PORT}
  }}
}}
"""


@dataclass
class Side:
    """One direction of a flow: what its packets look like, where they go in and come out."""

    template: Packet
    ingress: Wire
    router: bytes
    egress: Wire


class GhostFlow:
    """A connection between ghosts. Its packets are told apart by the translated ports."""

    def __init__(self, ghosts: Ghosts, sides: list[Side]) -> None:
        self.ghosts = ghosts
        self.sides = sides
        self.lab = ghosts.lab
        first = sides[OUT].template
        self.tuple_ = FlowTuple.parse(
            {
                "proto": "tcp" if first.proto == TCP else "udp",
                "src": first.src,
                "dst": first.dst,
                "sport": first.sport,
                "dport": first.dport,
            }
        )

    def packet(self, side: int, **changes: object) -> Packet:
        return replace(self.sides[side].template, **changes)  # type: ignore[arg-type]

    def frame(self, side: int, packet: Packet | bytes) -> bytes:
        """Around a packet, or around bytes that stand for one."""
        at = self.sides[side]
        if isinstance(packet, Packet):
            return packet.frame(at.router, at.ingress.mac)
        return (
            at.router
            + at.ingress.mac
            + (b"\x86\xdd" if at.template.version == 6 else b"\x08\0")
            + packet
        )

    def send(self, side: int, packet: Packet | bytes) -> None:
        offload = packet.offload() if isinstance(packet, Packet) else None
        self.sides[side].ingress.send(self.frame(side, packet), offload)

    def is_mine(self, side: int, frame: Frame) -> bool:
        """Is it a frame of this direction, translated? (Extension headers hide the ports.)"""
        want = self.sides[not side].template.mirrored()
        return (
            frame.version == want.version
            and frame.proto == want.proto
            and len(frame.l4) >= 4
            and frame.src == want.src
            and frame.dst == want.dst
            and frame.ports == (want.sport, want.dport)
        )

    def collect(self, side: int, count: int, timeout: float = 3.0) -> list[Frame]:
        return self.sides[side].egress.collect(
            lambda frame: self.is_mine(side, frame), count, timeout
        )

    def exchange(self, side: int, packets: Sequence[Packet | bytes]) -> list[Frame]:
        """Sends the packets one by one; what comes out, and nothing that came out before."""
        self.sides[side].egress.drain()
        found: list[Frame] = []
        for start in range(0, len(packets), 64):
            part = packets[start : start + 64]
            for packet in part:
                self.send(side, packet)
            found += self.collect(side, len(part))
        return found

    def everything(self, side: int, packets: Iterable[Packet | bytes]) -> list[Frame]:
        """Sends the packets and then one that is sure to pass; all that came out at the egress
        before it, whatever it is. The order of a link is kept, so nothing need be waited for."""
        return self.all_frames(side, [self.frame(side, packet) for packet in packets])

    def all_frames(self, side: int, frames: Iterable[bytes]) -> list[Frame]:
        """The same for whole frames."""
        ingress, egress = self.sides[side].ingress, self.sides[side].egress
        egress.drain()
        for frame in frames:
            ingress.send(frame)
        mark = b"mark" + next(_ports).to_bytes(4, "big")
        time.sleep(0.02)
        self.send(side, self.packet(side, payload=mark))
        found: list[Frame] = []
        end = time.monotonic() + 3
        while time.monotonic() < end:
            seen = egress.receive(0.5)
            # Neighbour discovery and the like is not what the test has sent.
            if seen and seen.version and not seen.to[0] & 1:
                if self.is_mine(side, seen) and seen.payload == mark:
                    return found
                found.append(seen)
        raise AssertionError("the packet that was to come out last did not come out")

    def icmp(self, side: int, timeout: float = 2.0) -> Frame | None:
        """The next ICMP error that comes back to who sends this direction."""
        found = self.sides[side].ingress.collect(
            lambda frame: (
                (frame.version, frame.proto) in ((4, 1), (6, 58))
                and frame.l4[0] in (3, 11, 12, 1, 2, 4)
                and frame.dst == self.sides[side].template.src
            ),
            1,
            timeout,
        )
        return found[0] if found else None

    def prime(self) -> None:
        """A few packets in each direction, until the flow is accelerated."""
        for _ in range(10):
            for side in (OUT, BACK):
                assert self.exchange(side, [self.packet(side, payload=b"prime")])
            if self.state() == "software":
                # Each direction's proof is of now.
                return
        raise AssertionError(f"not accelerated: {self.lab.kernel.explain(self.tuple_)}")

    def send_fast(self, side: int, packet: Packet) -> None:
        """Sends a packet that is to be fast. It may be sent again where an event of the network
        (a host that solicits routers, a link that came up) had made the proof stale."""
        for _ in range(3):
            before, reasons = self.fast(side), self.lab.reasons()
            assert self.exchange(side, [packet])
            if self.fast(side) == before + 1:
                return
            after = self.lab.reasons()
            why = {name for name, count in after.items() if count != reasons.get(name)}
            assert why == {"stale"}, (why, self.record())
        raise AssertionError(f"stale again and again: {self.record()}")

    def state(self) -> str:
        return self.lab.kernel.explain(self.tuple_).state

    def record(self) -> Flow:
        flow = self.lab.kernel.explain(self.tuple_).flow
        assert flow is not None
        return flow

    def fast(self, side: int) -> int:
        return self.record().packets[side]


class Ghosts:
    """Ghost hosts on both links of a plain lab made with :data:`RULES`."""

    def __init__(self, lab: Lab, neighbours: Sequence[str] = ("lan", "wan")) -> None:
        """``neighbours``: the router's devices that have some."""
        self.lab = lab
        self.lan, self.wan = Wire(lab.c, "lan"), Wire(lab.s, "wan")
        self.router_lan, self.router_wan = device_mac(lab.r, "lan"), device_mac(lab.r, "wan")
        lab.r.ip(
            *(
                f"neigh replace {address.format(number)} lladdr {wire.mac.hex(':')} dev {device} "
                "nud permanent"
                for addresses, wire, device, numbers in (
                    (_LAN, self.lan, "lan", range(3)),
                    (_WAN, self.wan, "wan", range(1)),
                )
                if device in neighbours
                for address in addresses.values()
                for number in numbers
            )
        )
        # Random headers are no window that conntrack would believe in.
        lab.r.sysctl(net__netfilter__nf_conntrack_tcp_be_liberal=1)
        # Every error counts. (A rate limit of 0 would use up the tokens of other limits.)
        lab.r.sysctl(net__ipv4__icmp_ratemask=0, net__ipv6__icmp__ratelimit=0)

    def flow(self, version: int, proto: int, kind: str) -> GhostFlow:
        """Opens a connection of a kind; it is accelerated when this returns."""
        port = next(_ports)
        lan = _LAN[version].format(KINDS.index(kind))
        if kind == "dnat":
            first = Packet(_WAN[version], _WAN_ADDRESS[version], port, DNAT_PORT, proto)
            ends = (self.wan, self.router_wan, self.lan), (self.lan, self.router_lan, self.wan)
        else:
            first = Packet(lan, _WAN[version], port, 9, proto)
            ends = (self.lan, self.router_lan, self.wan), (self.wan, self.router_wan, self.lan)
        (ingress, router, egress), (back_ingress, back_router, back_egress) = ends
        out = Side(first, ingress, router, egress)
        egress.drain()
        opening = replace(first, flags=SYN, ack=0)
        ingress.send(opening.frame(router, ingress.mac))
        payload_match = egress.collect(
            lambda frame: (
                frame.version == version
                and frame.proto == proto
                and len(frame.l4) >= 8
                and (port in frame.ports or kind == "masqueraded")
            ),
            1,
        )
        assert payload_match, "the first packet of the connection was not forwarded"
        seen = payload_match[0]
        sport, dport = seen.ports
        back = Side(
            Packet(seen.dst, seen.src, dport, sport, proto), back_ingress, back_router, back_egress
        )
        flow = GhostFlow(self, [out, back])
        flow.sides[OUT].template = replace(first, flags=ACK | PSH)
        flow.sides[BACK].template = replace(back.template, flags=ACK | PSH)
        flow.send(BACK, flow.packet(BACK, flags=SYN | ACK))
        assert flow.collect(BACK, 1), "the answer was not forwarded"
        flow.prime()
        return flow

    def close(self) -> None:
        self.lan.close()
        self.wan.close()
