# SPDX-License-Identifier: GPL-2.0-only
"""Two VLAN tags and PPPoE: the fast path sends the very frame that the normal stack sends, and
leaves to it what is not as it should be."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pytest
from lab import Lab
from vm.craft import TCP, UDP, Frame, Packet, patched
from vm.encap import (
    ETH_P_8021AD,
    ETH_P_8021Q,
    ETH_P_PPP_SES,
    PPP_MTU,
    EncapFrame,
    EncapGhosts,
    EncapWire,
    wrapped,
)
from vm.ghosts import BACK, OUT, RULES, GhostFlow
from vm.test_packets_same import edge_packets, random_packet, super_packet

SESSION = 0x1234
LINKS: dict[str, list[tuple[int, int]]] = {
    "ad-q": [(ETH_P_8021AD, 88), (ETH_P_8021Q, 77)],
    "q-ad": [(ETH_P_8021Q, 88), (ETH_P_8021AD, 77)],
    "pppoe": [(ETH_P_PPP_SES, SESSION)],
    "vlan-pppoe": [(ETH_P_8021Q, 7), (ETH_P_PPP_SES, SESSION)],
}
PACKETS = 24
SUPER_PACKETS = 6
IP_PRECEDENCE_TOS = 0x10  # Becomes priority 6 (ip_tos2prio of the kernel).


@pytest.fixture(scope="module", params=LINKS)
def ghosts(request: pytest.FixtureRequest) -> Iterator[EncapGhosts]:
    lab = Lab(rules=RULES)
    options = "egress-qos-map 0:1 6:5" if request.param.startswith(("ad", "q", "vlan")) else ""
    ghosts = EncapGhosts(lab, LINKS[request.param], options)
    yield ghosts
    ghosts.close()
    lab.remove()


def wire(ghosts: EncapGhosts) -> EncapWire:
    assert isinstance(ghosts.wan, EncapWire)
    return ghosts.wan


def both(
    flow: GhostFlow, side: int, packets: Sequence[Packet], expect: int
) -> tuple[list[Frame], list[Frame]]:
    """What comes out for the packets, sent fast and then slow: ``expect`` frames."""
    flow.lab.configure(enabled=1)
    flow.prime()
    before = flow.fast(side)
    found = []
    for fast in (True, False):
        if not fast:
            assert flow.fast(side) - before == len(packets), "all of them took the fast path"
            flow.lab.configure(enabled=0)
        flow.sides[side].egress.drain()
        frames: list[Frame] = []
        for start in range(0, len(packets), 32):
            part = packets[start : start + 32]
            for packet in part:
                flow.send(side, packet)
            frames += flow.collect(side, expect * len(part) // len(packets), 1.0)
        found.append(frames)
    return found[0], found[1]


@pytest.mark.parametrize("proto", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("version", [4, 6])
def test_same_frames(ghosts: EncapGhosts, version: int, proto: int) -> None:
    rng = random.Random(f"{version}{proto}")
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(version, proto, "masqueraded")
    for side in (OUT, BACK):
        # The priority of a tag is that of the last proof, so all have the same here.
        packets = edge_packets(flow, side)
        packets += [random_packet(flow, side, rng) for _ in range(PACKETS)]
        packets = [replace(packet, tos=packet.tos & 3) for packet in packets]
        fast, slow = both(flow, side, packets, len(packets))
        assert len(slow) == len(packets)
        for packet, one, other in zip(packets, fast, slow, strict=True):
            assert one.comparable == other.comparable, packet
            assert one.payload == packet.payload
            assert one.ttl == packet.ttl - 1
            one.assert_sums()
        assert all(isinstance(frame, EncapFrame) for frame in fast) == (side == OUT)


@pytest.mark.parametrize("version", [4, 6])
def test_super_packets(ghosts: EncapGhosts, version: int) -> None:
    """A super-packet leaves whole where tags are all there is, and in segments where each needs
    a PPPoE header of its own."""
    rng = random.Random(version)
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(version, TCP, "masqueraded")
    size = PPP_MTU - (20 if version == 4 else 40) - 20
    packets = [
        replace(super_packet(flow, OUT, rng), gso_size=size, tos=0, payload=rng.randbytes(4 * size))
        for _ in range(SUPER_PACKETS)
    ]
    pppoe = any(kind == ETH_P_PPP_SES for kind, _ in wire(ghosts).encap)
    count = len(packets) * (4 if pppoe else 1)
    fast, slow = both(flow, OUT, packets, count)
    assert len(slow) == count
    assert [frame.comparable for frame in fast] == [frame.comparable for frame in slow]
    assert b"".join(frame.payload for frame in fast) == b"".join(p.payload for p in packets)
    for frame in fast:
        frame.assert_sums()


def test_priority_of_tags(ghosts: EncapGhosts) -> None:
    """A VLAN device's egress-qos-map is followed."""
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(4, UDP, "routed")
    packet = flow.packet(OUT, tos=IP_PRECEDENCE_TOS, payload=b"tos")
    # The proof that counts is of such a packet.
    ghosts.lab.configure(enabled=0)
    ghosts.lab.configure(enabled=1)
    for _ in range(4):
        assert flow.exchange(OUT, [packet]) and flow.exchange(BACK, [flow.packet(BACK)])
    before = flow.fast(OUT)
    (fast,) = flow.exchange(OUT, [packet])
    assert flow.fast(OUT) == before + 1
    ghosts.lab.configure(enabled=0)
    (slow,) = flow.exchange(OUT, [packet])
    assert fast.comparable == slow.comparable
    if wire(ghosts).encap[0][0] != ETH_P_PPP_SES:
        assert fast.tag[2] >> 5 == 5


def test_explained(ghosts: EncapGhosts) -> None:
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(4, UDP, "routed")
    path = ghosts.lab.kernel.explain(flow.tuple_).paths[0]
    encap = wire(ghosts).encap
    vlans = [number for kind, number in encap if kind != ETH_P_PPP_SES]
    assert path.pppoe == next((n for kind, n in encap if kind == ETH_P_PPP_SES), None)
    assert [path.vlan, path.inner_vlan] == [*vlans, None, None][:2]
    assert path.mac == ghosts.wan.mac.hex(":")


def uppers(ghosts: EncapGhosts) -> list[str]:
    """The router's devices above the port."""
    return ["wan", *(f"wan0.{number}" for _, number in wire(ghosts).encap[:-1])]


def queued(ghosts: EncapGhosts, device: str) -> int:
    """Packets that the device's root queueing discipline has sent."""
    said = ghosts.lab.r.run("tc", "-s", "-j", "qdisc", "show", "dev", device, "root")
    packets: int = json.loads(said)[0]["packets"]
    return packets


def shaper(flow: GhostFlow) -> int:
    """The device that gets the packets instead of the port, after one more each way."""
    for side in (OUT, BACK):
        assert flow.exchange(side, [flow.packet(side)])
    paths = flow.lab.kernel.explain(flow.tuple_).paths
    return paths[0].shaper_ifindex if paths else 0


def wait_for_shaper(flow: GhostFlow, wanted: int) -> None:
    """No event tells of it: it is looked for every second."""
    end = time.monotonic() + 5
    while shaper(flow) != wanted:
        assert time.monotonic() < end, flow.lab.kernel.explain(flow.tuple_)
        time.sleep(0.1)


def ifindex(flow: GhostFlow, device: str) -> int:
    return flow.lab.r.call(partial(socket.if_nametoindex, device))


@pytest.mark.parametrize("version", [4, 6])
def test_queueing_discipline_above_the_port(ghosts: EncapGhosts, version: int) -> None:
    """The device that has one gets the packets, and adds its own headers."""
    rng = random.Random(version)
    for device in uppers(ghosts):
        ghosts.lab.r.run("tc", "qdisc", "add", "dev", device, "root", "handle", "1:", "pfifo")
        try:
            ghosts.lab.configure(enabled=1)
            flow = ghosts.flow(version, UDP, "masqueraded")
            wait_for_shaper(flow, ifindex(flow, device))
            packets = [replace(random_packet(flow, OUT, rng), tos=0) for _ in range(8)]
            before = queued(ghosts, device)
            fast, slow = both(flow, OUT, packets, len(packets))
            assert len(fast) == len(slow) == len(packets)
            for one, other in zip(fast, slow, strict=True):
                assert one.comparable == other.comparable
            assert queued(ghosts, device) - before >= 2 * len(packets)
        finally:
            ghosts.lab.r.run("tc", "qdisc", "del", "dev", device, "root")


def test_queueing_discipline_comes_and_goes(ghosts: EncapGhosts) -> None:
    """It is noticed without an event, under a running flow."""
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(4, UDP, "masqueraded")
    for command, wanted in (("add", ifindex(flow, "wan")), ("del", 0)):
        arguments = ("handle", "1:", "pfifo") if wanted else ()
        ghosts.lab.r.run("tc", "qdisc", command, "dev", "wan", "root", *arguments)
        wait_for_shaper(flow, wanted)
        assert flow.state() == "software"


def test_egress_filter_above_the_port(ghosts: EncapGhosts) -> None:
    """The device that has one gets the packets: here it drops every other port's."""
    tc = ("tc", "filter", "add", "dev", "wan", "egress", "protocol", "ip", "prio", "1")
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(4, UDP, "routed")
    port = flow.tuple_.dport
    ghosts.lab.r.run("tc", "qdisc", "add", "dev", "wan", "clsact")
    try:
        ghosts.lab.r.run(
            *tc, "flower", "ip_proto", "udp", "dst_port", f"{port + 1}", "action", "drop"
        )
        wait_for_shaper(flow, ifindex(flow, "wan"))
        flow.prime()
        ghosts.lab.r.run("tc", "filter", "del", "dev", "wan", "egress")
        ghosts.lab.r.run(*tc, "flower", "ip_proto", "udp", "dst_port", f"{port}", "action", "drop")
        assert not flow.exchange(OUT, [flow.packet(OUT)] * 3)
    finally:
        ghosts.lab.r.run("tc", "qdisc", "del", "dev", "wan", "clsact")
    flow.prime()


def test_ingress_filter_above_the_port(ghosts: EncapGhosts) -> None:
    """What a device above the port would do to received packets is not passed by: noticed without
    an event, under a running flow."""
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(4, UDP, "routed")

    def reason() -> str:
        for side in (OUT, BACK):
            assert flow.exchange(side, [flow.packet(side)])
        return ghosts.lab.kernel.explain(flow.tuple_).reason

    ghosts.lab.r.nft(
        "table netdev guard {\nchain ingress {\n"
        'type filter hook ingress device "wan" priority 0\n}\n}'
    )
    try:
        end = time.monotonic() + 5
        while reason() != "qdisc":
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        ghosts.lab.r.nft("delete table netdev guard")
    flow.prime()


def bent_frames(flow: GhostFlow) -> dict[str, bytes]:
    """Frames whose encapsulation is not the flow's; each has its name as payload."""
    ghosts = flow.ghosts
    assert isinstance(ghosts, EncapGhosts)
    encap = wire(ghosts).encap
    at = 12 + sum(4 for kind, _ in encap if kind != ETH_P_PPP_SES)
    made: dict[str, bytes] = {}

    def plain(name: str) -> bytes:
        return flow.frame(BACK, flow.packet(BACK, payload=f"{name:30}".encode()))

    def retagged(name: str, other: list[tuple[int, int]]) -> None:
        made[name] = wrapped(plain(name), other)

    def bent(name: str, place: int, field: bytes) -> None:
        made[name] = patched(wrapped(plain(name), encap), at + place, field)

    made["padded"] = wrapped(plain("padded"), encap, b"padding")
    made["cut short"] = wrapped(plain("cut short"), encap)[: at + 5]
    retagged("nothing", [])
    retagged("another id", [*encap[:-1], (encap[-1][0], 99)])
    if len(encap) > 1:
        retagged("the outer one only", encap[:1])
        retagged("the inner one only", encap[1:])
        retagged("another outer id", [(encap[0][0], 99), encap[1]])
    if encap[-1][0] != ETH_P_PPP_SES:
        retagged("three tags", [*encap, (ETH_P_8021Q, 1)])
        return made
    good = wrapped(plain("length"), encap)
    length = int.from_bytes(good[at + 6 : at + 8], "big")
    bent("all but a byte", 6, (length - 1).to_bytes(2, "big"))
    bent("a length of nothing", 6, bytes(2))
    bent("a length of one byte", 6, b"\0\1")
    bent("a byte too long", 6, (length + 1).to_bytes(2, "big"))
    bent("a length without end", 6, b"\xff\xff")
    bent("version 2", 2, b"\x21")
    bent("a code of discovery", 3, b"\x07")
    bent("LCP", 8, b"\xc0\x21")
    bent("a compressed protocol", 8, b"\x21\x45")
    bent("the other family", 8, b"\x00\x21" if flow.tuple_.family == 10 else b"\x00\x57")
    made["another station"] = patched(
        wrapped(plain("another station"), encap), 6, b"\x02\0\0\0\0\x66"
    )
    return made


@pytest.mark.parametrize("version", [4, 6])
def test_bent_frames(ghosts: EncapGhosts, version: int) -> None:
    """What is forwarded of frames with another or a broken encapsulation is what the normal
    stack forwards."""
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(version, UDP, "routed")
    frames = bent_frames(flow)
    results = []
    for enabled in (1, 0):
        ghosts.lab.configure(enabled=enabled)
        if enabled:
            flow.prime()
        flow.sides[BACK].egress.drain()
        for frame in frames.values():
            wire(ghosts).send_raw(frame)
        # A session's frames are queued once more on their way up.
        time.sleep(0.1)
        flow.send(BACK, flow.packet(BACK, payload=b"the last one"))
        came = flow.collect(BACK, len(frames) + 1, 0.5)
        results.append({frame.payload: frame.comparable for frame in came})
    fast, slow = results
    assert fast == slow
    names = {payload.decode().strip() for payload in slow}
    print(f"forwarded by the normal stack: {sorted(names)}")
    assert {"padded", "the last one"} <= names, "some are forwarded"
    assert {"cut short", "another id"} & set(frames) and "another id" not in names
