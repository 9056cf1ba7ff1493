# SPDX-License-Identifier: GPL-2.0-only
"""The table of the simulated hardware: what enters it, what leaves it, and what it has counted."""

from __future__ import annotations

import time
from dataclasses import replace

from vm.craft import Packet
from vm.ppesim.bench import NEW4, ROUTER, TCP4, UDP4, Bench, new_bench


def test_rate_and_age(bench: Bench) -> None:
    bench.soc.set(bind_rate=30)
    cookie = bench.install(bench.rule(UDP4, NEW4))
    # Before it is bound its last use means nothing: it grows with the clock, not from now.
    assert bench.probe.stats("lan", cookie).packets == 0
    for _ in range(29):
        bench.send("lan", UDP4)
    assert bench.soc.entries() == [] and bench.received("wan") == []
    # A machine that is too slow for 30 in a second gets another second.
    for _ in range(10):
        time.sleep(1.1)
        for _ in range(31):
            bench.send("lan", UDP4)
        if bench.soc.entries():
            break
    assert len(bench.soc.entries()) == 1
    bench.received("wan")
    bench.soc.advance(11)
    bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    bench.soc.advance(11)
    assert len(bench.soc.entries()) == 1
    bench.soc.advance(2)
    assert bench.soc.entries() == []
    # It is still installed, nobody was told, and it comes back with the packets.
    (flow,) = bench.soc.flows()
    assert (flow.bound, flow.binds) == (False, 1)
    bench.soc.set(bind_rate=1)
    # The driver looks at an entry's packets no more than ten times a second.
    time.sleep(0.2)
    bench.send("lan", UDP4)
    bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    assert bench.soc.flows()[0].binds == 2


def test_tcp_ages_sooner(bench: Bench) -> None:
    bench.install(bench.rule(TCP4, replace(TCP4, src=ROUTER, ttl=63)))
    bench.send("lan", TCP4)
    bench.soc.advance(6)
    assert len(bench.soc.entries()) == 1
    bench.soc.advance(2)
    assert bench.soc.entries() == []
    bench.soc.set(bind_rate=30)
    bench.send("lan", TCP4)
    assert len(bench.soc.entries("unbind")) == 1
    bench.soc.advance(4)
    assert bench.soc.entries("unbind") == []


def test_counters_are_cleared_by_reading(bench: Bench) -> None:
    cookie = bench.install(bench.rule(UDP4, NEW4))
    for _ in range(6):
        bench.send("lan", UDP4)
    first, second = (bench.probe.stats("lan", cookie) for _ in range(2))
    assert (first.packets, first.bytes) == (5, 5 * len(UDP4.ip()))
    assert (second.packets, second.bytes) == (0, 0)
    # What nobody read is told to the flow that gets the entry next.
    bench.send("lan", UDP4)
    assert bench.probe.destroy("lan", cookie) == 0
    cookie = bench.install(bench.rule(UDP4, NEW4))
    bench.soc.advance(1)
    assert bench.probe.stats("lan", cookie).packets == 0
    while not bench.soc.entries():
        bench.send("lan", UDP4)
    assert bench.probe.stats("lan", cookie).packets == 1


def test_last_use_wraps(bench: Bench) -> None:
    """Eight bits of seconds, and no finer."""
    cookie = bench.install(bench.rule(UDP4, NEW4))
    for _ in range(2):
        bench.send("lan", UDP4)
    assert bench.probe.stats("lan", cookie).idle < 3000
    bench.soc.advance(200)
    assert 200_000 <= bench.probe.stats("lan", cookie).idle < 205_000
    bench.soc.advance(100)
    assert 44_000 <= bench.probe.stats("lan", cookie).idle < 49_000


def hash_of(packet: Packet, ways: int, entries: int) -> int:
    """First entry of an IPv4 packet, worked out here."""
    mask = 0xFFFFFFFF
    a = packet.sport << 16 | packet.dport
    b, c = (
        int.from_bytes(bytes(map(int, text.split("."))), "big") for text in (packet.dst, packet.src)
    )
    value = (a & b) | (~a & mask & c)
    value = (value << 8 | value >> 24) & mask
    value ^= a ^ b ^ c
    value ^= value >> 16
    return value * ways % entries


def colliding(count: int, ways: int, entries: int, at: int | None = None) -> list[Packet]:
    found: list[Packet] = []
    for sport in range(1024, 65536):
        packet = replace(UDP4, sport=sport)
        place = hash_of(packet, ways, entries)
        if at is None:
            at = place
        if place == at:
            found.append(packet)
            if len(found) == count:
                return found
    raise AssertionError("no such packets")


def test_ways(bench: Bench) -> None:
    """The fifth flow of a hash value is installed, and never bound."""
    packets = colliding(5, 4, 16384)
    for packet in packets:
        bench.install(bench.rule(packet, replace(packet, src=ROUTER, ttl=63)))
    for _ in range(3):
        for packet in packets:
            bench.send("lan", packet)
    entries = bench.soc.entries()
    first = hash_of(packets[0], 4, 16384)
    assert sorted(entry.index for entry in entries) == [first + way for way in range(4)]
    assert bench.soc.counters()["no_way"] == 3
    assert len(bench.soc.flows()) == 5


def test_full_and_reset(bench: Bench) -> None:
    bench.soc.fill(100)
    bench.install(bench.rule(UDP4, NEW4))
    for _ in range(3):
        bench.send("lan", UDP4)
    assert bench.soc.counters()["no_way"] == 3
    bench.soc.fill(0)
    for _ in range(3):
        bench.send("lan", UDP4)
    assert bench.soc.counters()["bypass"] == 2
    bench.soc.reset()
    assert bench.soc.entries() == [] and len(bench.soc.flows()) == 1
    for _ in range(2):
        bench.send("lan", UDP4)
    assert bench.soc.counters()["bypass"] == 3


def test_without_counters() -> None:
    """MT7621: two ways, some entries never used, no counters, a clock of 15 bits."""
    with new_bench("mt7621", wed=None) as bench:
        assert bench.probe.bind("lan") == 0
        (packet,) = colliding(1, 2, 16384, at=12)
        cookie = bench.install(bench.rule(packet, replace(packet, src=ROUTER, ttl=63)))
        for _ in range(3):
            bench.send("lan", packet)
        assert [entry.index for entry in bench.soc.entries()] == [13]
        answer = bench.probe.stats("lan", cookie)
        assert (answer.packets, answer.bytes) == (0, 0)
        bench.soc.advance(300)
        assert 300_000 <= bench.probe.stats("lan", cookie).idle < 305_000
        assert bench.probe.destroy("lan", cookie) == 0
        assert bench.probe.unbind("lan") == 0
        assert bench.soc.detectors() == {}
