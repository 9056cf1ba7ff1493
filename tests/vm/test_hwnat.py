# SPDX-License-Identifier: GPL-2.0-only
"""Flows move to the hardware and come back: every SoC, every kind of link."""

from __future__ import annotations

import time

import ppesim
import pytest
from lab import WAN4, ping
from vm.hw import HwLab


@pytest.mark.parametrize("profile", ppesim.PROFILES)
def test_flows_move_and_come_back(profile: str) -> None:
    with HwLab(profile) as lab:
        pairs = [lab.udp(4), lab.tcp(4), lab.udp(6), lab.tcp(6)]
        lab.bind(*pairs)
        before = lab.soc.port("lan")
        for pair in pairs:
            ping(pair, 10)
        after = lab.soc.port("lan")
        # TCP acknowledges, so there are more than the data.
        assert after.hw_rx - before.hw_rx >= 40
        assert after.cpu_rx == before.cpu_rx, lab.story(*pairs)
        assert pairs[0].server.getpeername()[0] == WAN4
        assert {lab.state(pair) for pair in pairs} == {"hardware"}

        lab.configure(hwnat=0)
        assert lab.left() == ([], [])
        before = lab.soc.port("lan")
        for pair in pairs:
            ping(pair, 10)
            assert lab.state(pair) == "software"
        after = lab.soc.port("lan")
        assert after.hw_rx == before.hw_rx
        for pair in pairs:
            pair.close()


LINKS = [
    ("mt7621", "dsa", "gmac1-vlan"),
    ("mt7986", "gmac-vlan", "gmac1-bridge"),
    ("mt7986", "dsa-bridge", "gmac1-vlan"),
    ("mt7622", "gmac-qinq", "gmac1"),
]


@pytest.mark.parametrize(("profile", "lan", "wan"), LINKS)
def test_links(profile: str, lan: str, wan: str) -> None:
    with HwLab(profile, lan=lan, wan=wan) as lab:
        pairs = [lab.udp(4), lab.tcp(6)]
        lab.bind(*pairs)
        port = lab.ports["lan"]
        before = lab.soc.port(port)
        for pair in pairs:
            ping(pair, 10)
        after = lab.soc.port(port)
        assert after.hw_rx - before.hw_rx >= 20
        assert after.hw_tx - before.hw_tx >= 20
        assert after.cpu_rx == before.cpu_rx, lab.story(*pairs)
        for pair in pairs:
            pair.close()


@pytest.mark.parametrize("profile", ["mt7622", "mt7986"])
def test_bytes_are_those_that_were_sent(profile: str) -> None:
    with HwLab(profile) as lab:
        pair = lab.udp(4)
        lab.bind(pair)
        time.sleep(1.5)  # the hardware's counters are read once a second
        first = lab.get(pair)
        ping(pair, 200, 1000)
        # 28 bytes of headers each.
        sent = 200 * 1028

        def arrived() -> bool:
            flow = lab.get(pair)
            return all(flow.ct_bytes[dir_] - first.ct_bytes[dir_] >= sent for dir_ in (0, 1))

        lab.wait(arrived)
        flow = lab.get(pair)
        assert flow.hw_bytes[0] > 0.9 * sent
        for dir_ in (0, 1):
            assert flow.ct_bytes[dir_] - first.ct_bytes[dir_] == sent, lab.story(pair)
        assert lab.kernel.stats().engines["hardware"].bytes >= 2 * 0.9 * sent
        (host,) = list(lab.kernel.clients())
        assert host.hardware_bytes == flow.hw_bytes
        assert flow.hw_flags == ((), ())
        pair.close()
