# SPDX-License-Identifier: GPL-2.0-only
"""What the fast path could easily get wrong, and no event tells it."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lab import SERVER4, WAN4, Lab, Pair, fast_packets, ping
from links import VLAN_ID
from vm.craft import ETH_LEN, NEEDS_CSUM, RST, TCP, UDP, Frame, Offload, Packet, Wire, device_mac
from vm.ghosts import Ghosts

from natflow.kernel.filters import FlowTuple
from natflow.kernel.records import Path


@contextmanager
def network(**options: object) -> Iterator[Lab]:
    lab = Lab(**options)  # type: ignore[arg-type]
    try:
        yield lab
    finally:
        lab.remove()


def template(pair: Pair, payload: bytes = b"") -> Packet:
    """A packet as the client's socket would send it."""
    src, sport = pair.client.getsockname()[:2]
    return Packet(src, SERVER4, sport, pair.server.getsockname()[1], payload=payload)


def test_inner_checksum_left_to_the_device() -> None:
    """A UDP tunnel without outer checksum, whose inner checksum the device is to complete: the
    outer one stays zero. It is no pseudo-header sum, though the packet is CHECKSUM_PARTIAL."""
    inner = struct.pack("!HHHH", 1, 2, 8 + 32, 0x1234) + bytes(32)
    with network(masquerade=True) as lab:
        pair = lab.udp()
        ping(pair, 10)
        fast = fast_packets(lab.flow(pair))
        assert fast >= 10
        sender, receiver = Wire(lab.c, "lan"), Wire(lab.s, "wan")
        packet = template(pair, b"outer head" * 4 + inner)
        at = ETH_LEN + 20 + 8 + 40
        router = device_mac(lab.r, "lan")

        def send(packet: Packet, offload: Offload) -> Frame:
            receiver.drain()
            sender.send(packet.frame(router, sender.mac), offload)
            frames = receiver.collect(lambda frame: frame.ip[-40:] == inner, 1)
            assert frames and frames[0].src == WAN4
            return frames[0]

        frame = send(
            replace(packet, check="none"), Offload(NEEDS_CSUM, csum_start=at, csum_offset=6)
        )
        assert frame.l4_check == 0
        assert frame.offload.flags & NEEDS_CSUM and frame.offload.csum_start == at
        # The same without an inner checksum to complete is fast.
        before = fast_packets(lab.flow(pair))
        assert send(replace(packet, check="none"), Offload()).l4_check == 0
        assert fast_packets(lab.flow(pair)) == before + 1


def test_conntrack_timeout_shorter_than_the_proof() -> None:
    """A connection that is used stays, however short conntrack's patience is."""
    with network(masquerade=True) as lab:
        lab.r.sysctl(
            net__netfilter__nf_conntrack_udp_timeout=2,
            net__netfilter__nf_conntrack_udp_timeout_stream=2,
        )
        pair = lab.udp()
        ping(pair, 5)
        flow = lab.flow(pair)
        assert flow is not None
        for _ in range(30):
            ping(pair)
            time.sleep(0.2)
        after = lab.flow(pair)
        assert after is not None and after.id == flow.id
        assert after.state == "software" and fast_packets(after) > fast_packets(flow) + 30


def path_of(lab: Lab, pair: Pair, direction: str) -> Path | None:
    return next(
        (p for p in lab.kernel.explain(pair.tuple_).paths if p.direction == direction), None
    )


def test_bridge_begins_to_tag() -> None:
    """No event tells that a bridge tags what it sends to a port from now on."""
    with network(lan="bridge") as lab:
        lab.r.ip("link set lan type bridge vlan_filtering 1")
        pair = lab.udp()
        ping(pair, 5)
        path = path_of(lab, pair, "reply")
        assert path is not None and path.vlan is None and path.out_ifindex != path.dst_ifindex
        wire = Wire(lab.c, "lan")
        lab.r.run("bridge", "vlan", "add", "dev", "lan0", "vid", "1", "pvid")
        end = time.monotonic() + 5
        tagged = False
        while not tagged and time.monotonic() < end:
            wire.drain()
            pair.server.send(b"which tag?")
            frames = wire.collect(lambda frame: frame.data.endswith(b"which tag?"), 1, 1.0)
            assert frames
            # The kernel of the receiving host takes the tag off before anybody sees the frame.
            path = path_of(lab, pair, "reply")
            tagged = path is not None and path.vlan == 1
            time.sleep(0.1)
        assert tagged, path


def test_tag_of_another_protocol() -> None:
    """A service tag (802.1ad) with the number of the VLAN is another network."""
    with network(lan="vlan") as lab:
        pair = lab.udp()
        ping(pair, 10)
        fast = fast_packets(lab.flow(pair))
        sender = Wire(lab.c, "lan0")
        router = device_mac(lab.r, "lan")

        def arrives(tag_protocol: int, payload: bytes) -> bool:
            frame = template(pair, payload).frame(router, sender.mac)
            tag = struct.pack("!HH", tag_protocol, VLAN_ID)
            sender.send(frame[:12] + tag + frame[12:])
            pair.server.settimeout(0.5)
            try:
                return pair.server.recv(100) == payload
            except TimeoutError:
                return False

        assert arrives(0x8100, b"customer tag")
        assert fast_packets(lab.flow(pair)) == fast + 1
        counted = lab.kernel.stats().reason_packets["ingress"]
        assert not arrives(0x88A8, b"service tag")
        assert lab.kernel.stats().reason_packets["ingress"] == counted + 1


def test_reset_before_the_first_fast_segment() -> None:
    """Nothing is known of the sequence numbers yet: zero is not one that fits."""
    with network() as lab:
        pair = lab.tcp()
        flow = lab.flow(pair)
        assert flow is not None and fast_packets(flow) == 0 and flow.state == "software"
        sender = Wire(lab.c, "lan")
        reset = replace(template(pair), proto=TCP, flags=RST, seq=0, ack=0)
        sender.send(reset.frame(device_mac(lab.r, "lan"), sender.mac))
        time.sleep(0.2)
        assert "ESTABLISHED" in lab.r.conntrack("-L", "-p", "tcp")
        ping(pair, 5)
        sender.close()
        pair.close()


def test_redirected_connection_is_told() -> None:
    """Of two hosts on one link that talk through the router: it tells them to talk directly, so
    their packets must keep coming by."""
    with network() as lab:
        ghosts = Ghosts(lab)
        there = Packet("192.168.77.100", "192.168.77.102", 5000, 9, UDP)
        asked = FlowTuple.parse(
            {"proto": "udp", "src": there.src, "dst": there.dst, "sport": 5000, "dport": 9}
        )
        for packet in (there, there.mirrored()) * 4:
            ghosts.lan.send(packet.frame(ghosts.router_lan, ghosts.lan.mac))
            assert ghosts.lan.collect(
                lambda frame, packet=packet: frame.version == 4 and frame.dst == packet.dst, 1
            )
        told = lab.kernel.explain(asked)
        assert (told.state, told.reason) == ("slow", "route")
        ghosts.close()
