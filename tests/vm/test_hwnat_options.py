# SPDX-License-Identifier: GPL-2.0-only
"""natflow_hwnat.ko built with CONFIG_HWNAT_EXTDEV_DISABLED and CONFIG_HWNAT_EXTDEV_USE_VLAN_HASH:
flows go to the hardware with both directions, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kmodule
from lab import ping
from vm.hw import HwLab


@contextmanager
def lab_of(profile: str, lan: str, wan: str) -> Iterator[HwLab]:
    """The module of scripts/test's second build, beside the natflow.ko of the first."""
    with HwLab(profile, lan=lan, wan=wan, hwnat=False) as lab:
        kmodule.load_hwnat(profile, built=Path(os.environ["NATFLOW_KMOD_EXTDEV"]))
        lab.client_loaded = True
        assert lab.kernel.hardware().features == (
            "extdev-disabled",
            "extdev-use-vlan-hash",
            "hwnat",
        )
        yield lab


def test_no_direction_alone() -> None:
    """WED version 1 could carry what goes to WiFi; see test_hwnat_wed.py."""
    with lab_of("mt7622", "wed", "gmac") as lab:
        pair = lab.udp(4)
        lab.wait(lambda: lab.hw_reason(pair) == ("hw-wed-rx", "hw-half"), pair)
        ping(pair, 20)
        assert lab.state(pair) == "software", lab.story(pair)
        assert lab.soc.counters()["cmd_replace"] == 0
        pair.close()


def test_both_directions_or_none() -> None:
    """A driver that takes one and refuses the other gets the first one taken back."""
    with lab_of("mt7986", "gmac", "gmac1") as lab:
        whole, half = lab.udp(4), lab.udp(6)
        lab.bind(whole)
        lab.soc.fail("replace", 1, errno.EINVAL)
        before = lab.soc.counters()["cmd_replace"]
        # (IPv6 is not translated here: both of its directions are fit.)
        lab.wait(lambda: "hw-half" in lab.hw_reason(half), half)
        told = lab.soc.counters()
        assert (told["cmd_replace"] - before, told["cmd_replace_failed"]) == (2, 1)
        assert "hw-refused" in lab.hw_reason(half) and lab.state(half) == "software"
        assert len(lab.soc.flows()) == 2, lab.story(half)
        ping(half, 20)
        assert lab.hw_state(whole) == ("bound", "bound")
        for pair in (whole, half):
            pair.close()
