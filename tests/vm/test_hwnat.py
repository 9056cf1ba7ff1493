# SPDX-License-Identifier: GPL-2.0-only
"""Links that test_hwnat_links.py does not have: flows move to the hardware."""

from __future__ import annotations

import pytest
from lab import ping
from vm.hw import HwLab

LINKS = [
    ("mt7986", "gmac-vlan", "gmac1-bridge"),
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
