# SPDX-License-Identifier: GPL-2.0-only
"""WiFi behind WED: which directions go to the hardware, by the version of WED and the switch."""

from __future__ import annotations

import time

import pytest
from lab import ping
from vm.hw import HwLab


def test_version_1_carries_to_wifi_only() -> None:
    with HwLab("mt7622", lan="wed", wan="gmac") as lab:
        pair = lab.udp(4)
        lab.bind(pair, states=("none", "bound"))
        flow = lab.get(pair)
        assert flow.hw_reason == ("hw-wed-rx", "none")
        assert flow.hw_flags == ((), ("wed",))
        assert lab.state(pair) == "wed"
        before = lab.soc.ports()
        ping(pair, 10)
        after = lab.soc.ports()
        assert after["lan"].hw_tx - before["lan"].hw_tx == 10
        assert after["lan"].cpu_rx - before["lan"].cpu_rx == 10
        pair.close()


@pytest.mark.parametrize("profile", ["mt7981", "mt7986"])
def test_version_2_carries_both(profile: str) -> None:
    with HwLab(profile, lan="wed", wan="gmac") as lab:
        wifi = lab.udp(4)
        lab.bind(wifi)
        assert lab.get(wifi).hw_flags == (("wed-rx",), ("wed",))
        before = lab.soc.ports()
        ping(wifi, 10)
        after = lab.soc.ports()
        assert after["lan"].hw_rx - before["lan"].hw_rx == 10
        assert after["lan"].cpu_rx == before["lan"].cpu_rx

        lab.configure(hwnat_wed=0)
        assert lab.left() == ([], [])
        assert lab.soc.port("lan").bound == 0
        lab.wait(lambda: lab.hw_reason(wifi) == ("hw-wed-off", "hw-wed-off"), wifi)
        assert lab.state(wifi) == "software"
        lab.configure(hwnat_wed=1)
        lab.bind(wifi)
        wifi.close()


@pytest.mark.parametrize("lan", ["wlan", "wlan-bridge"])
def test_wifi_without_wed_stays_in_software(lan: str) -> None:
    """Its driver has no path to tell, as mac80211 without WED: that is no reason to be slow."""
    with HwLab("mt7986", lan=lan) as lab:
        pair = lab.udp(4)
        for _ in range(30):
            ping(pair, 10)
        time.sleep(2)
        ping(pair, 10)
        assert lab.left() == ([], []), lab.story(pair)
        assert lab.state(pair) == "software", lab.story(pair)
        pair.close()
