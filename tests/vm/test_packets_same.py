# SPDX-License-Identifier: GPL-2.0-only
"""The fast path sends the very frame that the normal stack sends for the same input.

Every flow gets the same packets twice, with acceleration and without. Headers and sizes are
random, from a fixed seed.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from lab import Lab
from vm.craft import (
    ACK,
    CWR,
    DF,
    ECE,
    ETH_LEN,
    PSH,
    TCP,
    UDP,
    URG,
    Frame,
    Packet,
    patched,
    with_header_check,
)
from vm.ghosts import BACK, KINDS, OUT, RULES, GhostFlow, Ghosts

PACKETS = 150
SUPER_PACKETS = 12
MUTANTS = 300


@pytest.fixture(scope="module")
def ghosts() -> Iterator[Ghosts]:
    lab = Lab(rules=RULES)
    ghosts = Ghosts(lab)
    yield ghosts
    ghosts.close()
    lab.remove()


def random_packet(flow: GhostFlow, side: int, rng: random.Random) -> Packet:
    """Headers that a host may send, not those that a normal one does."""
    options = b""
    if rng.random() < 0.5:
        # No-operation, timestamps (RFC 7323), then whatever fills up the word.
        options = b"\x01\x01\x08\x0a" + rng.randbytes(8) + b"\x01" * 4 * rng.randrange(3)
    check = rng.choice(("full", "full", "partial"))
    if flow.sides[side].template.proto == UDP and rng.random() < 0.15:
        check = "none"
    return flow.packet(
        side,
        payload=rng.randbytes(rng.choice((0, 1, 2, 17, 18, rng.randrange(1300), 1400))),
        ttl=rng.choice((2, 3, 64, 255, rng.randrange(2, 256))),
        tos=rng.randrange(256),
        label=rng.randrange(1 << 20),
        ident=rng.randrange(1 << 16),
        frag=rng.choice((0, DF, DF, 0x8000)),
        seq=rng.randrange(1 << 32),
        ack=rng.randrange(1 << 32),
        flags=ACK | rng.choice((0, PSH, URG, ECE, CWR, PSH | CWR)),
        window=rng.randrange(1 << 16),
        urgent=rng.randrange(1 << 16),
        tcp_options=options,
        check=check,
    )


def super_packet(flow: GhostFlow, side: int, rng: random.Random) -> Packet:
    """As TCP segmentation offload and UDP_SEGMENT hand them to a device."""
    size = rng.randrange(500, 1400)
    return flow.packet(
        side,
        payload=rng.randbytes(rng.randrange(size + 1, 9000)),
        gso_size=size,
        check="partial",
        tos=rng.randrange(256) & ~3,
        ident=rng.randrange(1 << 16),
        seq=rng.randrange(1 << 32),
    )


def edge_packets(flow: GhostFlow, side: int) -> list[Packet]:
    """Packets whose checksum is at or near zero before or after the translation: the two
    representations of zero are where an incremental update goes wrong (RFC 1624)."""
    before = flow.packet(side, payload=bytes(2))
    far = flow.sides[not side].template.mirrored()
    after = replace(before, src=far.src, dst=far.dst, sport=far.sport, dport=far.dport)
    return [
        replace(before, payload=((0xFFFF - want - shown.l4_sum()) % 0xFFFF).to_bytes(2, "big"))
        for shown in (before, after)
        for want in (0, 1, 0xFFFE, 0x00FF, 0x0100)
    ]


def takes_udp_super_packets(flow: GhostFlow, rng: random.Random) -> bool:
    """Packet sockets know them from Linux 6.2 on (test_bulk.py sends them on all kernels)."""
    try:
        flow.send(OUT, super_packet(flow, OUT, rng))
    except OSError as error:
        assert error.errno == errno.EINVAL
        return False
    return True


def both(flow: GhostFlow, side: int, packets: list[Packet]) -> tuple[list[Frame], list[Frame]]:
    """What comes out for the packets, sent fast and then slow."""
    flow.lab.configure(enabled=1)
    flow.prime()
    before = flow.fast(side)
    fast = flow.exchange(side, packets)
    assert flow.fast(side) - before == len(packets), "all of them took the fast path"
    flow.lab.configure(enabled=0)
    slow = flow.exchange(side, packets)
    return fast, slow


def assert_same(packets: list[Packet], fast: list[Frame], slow: list[Frame]) -> None:
    assert len(slow) == len(packets)
    for packet, one, other in zip(packets, fast, slow, strict=True):
        assert one.comparable == other.comparable, packet
        one.assert_sums()
        assert one.ttl == packet.ttl - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("proto", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("version", [4, 6])
def test_same_frames(ghosts: Ghosts, version: int, proto: int, kind: str) -> None:
    rng = random.Random(f"{version}{proto}{kind}")
    ghosts.lab.configure(enabled=1)
    flow = ghosts.flow(version, proto, kind)
    for side in (OUT, BACK):
        packets = edge_packets(flow, side)
        packets += [random_packet(flow, side, rng) for _ in range(PACKETS)]
        if proto == TCP or takes_udp_super_packets(flow, rng):
            packets += [super_packet(flow, side, rng) for _ in range(SUPER_PACKETS)]
        fast, slow = both(flow, side, packets)
        assert_same(packets, fast, slow)
        for packet, frame in zip(packets, fast, strict=True):
            assert frame.payload == packet.payload
            # No padding, no byte lost.
            assert len(frame.data) == ETH_LEN + len(packet.ip())
        # The edges were really there: every checksum that was asked for came out once.
        checks = {frame.l4_check for frame in fast[len(fast) - len(packets) :][5:10]}
        assert checks == {0xFFFF if proto == UDP else 0, 1, 0xFFFE, 0x00FF, 0x0100}


def mutants(flow: GhostFlow, side: int, rng: random.Random) -> list[bytes]:
    """Packets of the flow with one or two bytes of their headers changed, cut short or filled
    up; addresses and ports stay, so that they still are packets of the flow."""
    version = flow.sides[side].template.version
    spared = set(range(12, 24) if version == 4 else range(8, 44))
    headers = (20 if version == 4 else 40) + (8 if flow.sides[side].template.proto == UDP else 20)
    places = [place for place in range(headers) if place not in spared]
    made = []
    for number in range(MUTANTS):
        packet = flow.packet(
            side, payload=number.to_bytes(4, "big") + rng.randbytes(20), ident=number, frag=0
        ).ip()
        for place in rng.sample(places, rng.choice((1, 1, 2))):
            packet = patched(packet, place, bytes([packet[place] ^ 1 << rng.randrange(8)]))
        if version == 4 and packet[0] & 15 >= 5 and rng.random() < 0.8:
            packet = with_header_check(packet)
        if rng.random() < 0.2:
            packet = packet[: rng.randrange(1, len(packet))]
        elif rng.random() < 0.2:
            packet += rng.randbytes(rng.randrange(1, 30))
        made.append(packet)
    return made


@pytest.mark.parametrize("proto", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("version", [4, 6])
def test_same_verdict(ghosts: Ghosts, version: int, proto: int) -> None:
    """Whatever stands in the headers: what comes out is what comes out without acceleration.

    Wrong transport checksums are let pass here: they are the receiver's business.
    """
    rng = random.Random(f"mutants {version} {proto}")
    lab = ghosts.lab
    lab.r.sysctl(net__netfilter__nf_conntrack_checksum=0)
    try:
        lab.configure(enabled=1)
        flow = ghosts.flow(version, proto, "masqueraded")
        packets = mutants(flow, OUT, rng)
        if proto == TCP:
            # A mutated SYN, FIN or RST changes the state of the connection for good.
            at = (20 if version == 4 else 40) + 13
            packets = [
                patched(packet, at, bytes([packet[at] & ~7])) if len(packet) > at else packet
                for packet in packets
            ]
        before = flow.fast(OUT)
        fast = flow.everything(OUT, packets)
        taken = flow.fast(OUT) - before
        assert MUTANTS // 6 < taken < MUTANTS, "some are forwarded fast, and some are not"
        lab.configure(enabled=0)
        slow = flow.everything(OUT, packets)
        one, other = ({frame.comparable: frame for frame in frames} for frames in (fast, slow))
        differing = [
            f"only {how}: {frame.data.hex()}"
            for how, frame in (
                *(("fast", one[key]) for key in one.keys() - other.keys()),
                *(("slow", other[key]) for key in other.keys() - one.keys()),
            )
        ]
        assert not differing, "\n".join(differing)
        assert len(fast) == len(slow)
    finally:
        lab.r.sysctl(net__netfilter__nf_conntrack_checksum=1)
