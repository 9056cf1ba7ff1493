# SPDX-License-Identifier: GPL-2.0-only
"""Ports of the simulated SoC: MACs with an engine each, a switch, WiFi with WED and without."""

from __future__ import annotations

import errno
from dataclasses import replace

from ppeprobe import LATE, REDIRECT, Action, Rule, eth
from vm.craft import device_mac
from vm.ppesim.bench import (
    BACK4,
    HOST,
    NEW4,
    NEXT_HOP,
    PEER,
    TCP4,
    TCP6,
    UDP4,
    VLAN7,
    VLAN8,
    Bench,
    new_bench,
)


def test_dead_port_swallows(bench: Bench) -> None:
    """Nobody tells the hardware that a port or a link is down."""
    bench.install(bench.rule(UDP4, NEW4))
    for _ in range(2):
        bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    bench.soc.link("wan", up=False)
    bench.send("lan", UDP4)
    bench.soc.link("wan", up=True)
    bench.router.ip("link set wan down")
    bench.send("lan", UDP4)
    bench.router.ip("link set wan up")
    assert bench.soc.port("wan").tx_lost == 2
    assert bench.received("wan") == []
    bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    bench.settle("wan")


def test_engine_is_chosen_by_ingress(bench: Bench) -> None:
    back = BACK4
    new = replace(back, dst=HOST, dport=4001, ttl=63)
    rule = bench.rule(back, new, out="lan", ingress="wan")
    cookie = bench.install(rule)
    assert bench.soc.flows()[0].ppe == 1
    for _ in range(2):
        bench.send("wan", back)
    assert bench.received("lan") == [new.frame(NEXT_HOP, bench.mac("lan"))]
    assert bench.soc.detectors() == {}
    # The real driver looks for the device in the first namespace only, and takes its first engine.
    assert bench.probe.destroy("lan", cookie) == 0
    bench.soc.set(init_net_only=1)
    bench.install(rule)
    assert bench.soc.flows()[0].ppe == 0
    for _ in range(2):
        bench.send("wan", back)
    assert bench.received("lan") == []


def test_switch_ports(bench: Bench) -> None:
    """They hand the block on to the conduit; what comes from them is the conduit's engine's."""
    assert bench.soc.port("user").bound == 1
    bench.install(bench.rule(UDP4, NEW4, out="user"))
    for _ in range(2):
        bench.send("lan", UDP4)
    assert bench.received("user") == [NEW4.frame(NEXT_HOP, bench.mac("user"))]
    assert bench.soc.port("eth2").hw_tx == 1
    # The driver does not know the switch port of the ingress key, and takes its first engine.
    bench.install(bench.rule(BACK4, replace(BACK4, dst=HOST, ttl=63), "lan", "user"), via="user")
    assert bench.soc.detectors() == {"wrong_ppe": 1}
    bench.install(bench.rule(TCP4, replace(TCP4, ttl=63), "lan", "eth2"), via="user")
    for _ in range(2):
        bench.send("user", TCP4)
    assert len(bench.received("lan")) == 1
    assert bench.soc.detectors() == {"wrong_ppe": 1}
    assert bench.soc.port("user").hw_rx == bench.soc.port("eth2").hw_rx == 1
    bench.install(bench.rule(TCP6, TCP6, out="user").plus(VLAN7, VLAN8))
    assert bench.soc.detectors() == {"wrong_ppe": 1, "dsa_two_tags": 1}


def test_wed(bench: Bench) -> None:
    """To the station, and from it by the wireless interface's own callback."""
    station = device_mac(bench.far, "wifi")
    there = Rule(
        PEER,
        HOST,
        53,
        4000,
        "wan",
        [*eth(station, bench.mac("wifi")), Action(REDIRECT, device="wifi")],
    )
    bench.install(there)
    assert bench.soc.flows()[0].fields["wdma"] == "0"
    assert bench.soc.counters()["wed0_flows"] == 1
    packet = UDP4.mirrored()
    for _ in range(2):
        bench.send("wan", packet)
    frame = replace(packet, ttl=63).frame(station, bench.mac("wifi"))
    assert frame in bench.wires["wifi"].frames()
    back = bench.rule(UDP4, NEW4, ingress="wifi")
    cookie = bench.install(back, via="wifi")
    for _ in range(2):
        bench.send("wifi", UDP4)
    assert len(bench.received("wan")) == 1
    assert bench.soc.detectors() == {}
    bench.soc.set(wed_attached=0)
    assert bench.probe.replace("lan", 999, there.but(sport=54)) == -errno.ENODEV
    assert bench.probe.destroy("wifi", cookie) == 0


def test_what_is_left_behind() -> None:
    """MT7622: WED that only sends, and detectors of an untidy end."""
    with new_bench("mt7622", entries=1024) as bench:
        assert bench.probe.bind("wifi") == -errno.EOPNOTSUPP
        assert bench.probe.bind("lan") == 0
        station = device_mac(bench.far, "wifi")
        rule = bench.rule(UDP4, NEW4).but(
            actions=[*eth(station, bench.mac("wifi")), Action(REDIRECT, device="wifi")]
        )
        bench.install(rule)
        assert bench.soc.flows()[0].wed == 0
        # What comes from the air meets no engine.
        for _ in range(3):
            bench.send("wifi", UDP4)
        assert bench.soc.port("wifi").cpu_rx == 3 and bench.soc.entries("unbind") == []
        # The second tag lies where this SoC's hardware keeps the station.
        bench.install(rule.but(sport=1, actions=[*rule.actions, VLAN7, VLAN8]))
        assert bench.soc.counters()["wed0_flows"] == 2
        assert bench.probe.destroy("lan", 2) == 0
        assert bench.soc.counters()["wed0_flows"] == 1
        assert bench.soc.detectors() == {"tags_ignored": 1}
        bench.soc.zero()
        assert bench.probe.unbind("lan") == 0
        assert bench.probe.unbind("lan") == -errno.ENOENT
        assert bench.soc.detectors() == {"destroy_missing": 1, "unbind_unknown": 1}
        bench.soc.zero()
        assert bench.probe.destroy("lan", 1, LATE) == -errno.EOPNOTSUPP
        assert bench.probe.bind("wan") == 0
        bench.router.ip("link del wan")
        assert bench.soc.detectors() == {
            "call_after_unbind": 1,
            "unbind_missing": 1,
        }
