# SPDX-License-Identifier: GPL-2.0-only
"""Shapers and filters are named where, and only where, they keep something from being faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.kernel.fake import FakeKernel, flow
from unit.service.bench import FRESH, ON, Bench

from natflow.service.obstacles import obstacles

LOOPBACK = 1  # the one device that every host has


def told(directory: Path, kernel: FakeKernel) -> dict[str, Any]:
    return Bench(directory, ON, kernel).call("status")


@pytest.mark.parametrize(("ifindex", "reason"), [(0, "qdisc"), (LOOPBACK, "helper")])
def test_no_filter_is_named_that_keeps_nothing(tmp_path: Path, ifindex: int, reason: str) -> None:
    """The module remembers the last one, which may be long gone."""
    kernel = FakeKernel([flow(state="slow", reason=reason)], settings=FRESH)
    kernel.filter_ifindex = ifindex
    assert told(tmp_path, kernel)["conflicts"] == []


def test_a_filter_above_the_port(tmp_path: Path) -> None:
    kernel = FakeKernel([flow(state="slow", reason="qdisc")] * 2, settings=FRESH)
    kernel.filter_ifindex = LOOPBACK
    reply = told(tmp_path, kernel)
    assert [conflict["code"] for conflict in reply["conflicts"]] == ["filter"]
    assert reply["conflicts"][0]["text"] == (
        "A tc or nftables filter on lo must see all that comes in there. Flows that stay on the "
        "normal stack for it now: 2."
    )
    assert reply["conflicts"][0]["data"] == {"device": "lo", "flows": 2}
    assert reply["state"] == "software", "natflow works"


def test_a_shaper_matters_to_the_hardware_alone(tmp_path: Path) -> None:
    kernel = FakeKernel(settings=FRESH)
    kernel.shaper_ifindex = LOOPBACK
    assert told(tmp_path, kernel)["conflicts"] == []


def test_a_shaper_keeps_from_the_hardware(tmp_path: Path) -> None:
    kernel = FakeKernel(settings=FRESH)
    kernel.shaper_ifindex = LOOPBACK
    assert [found["code"] for found in obstacles(kernel.stats(), hardware=True)] == ["shaper"]
    assert "on lo must see every packet" in obstacles(kernel.stats(), hardware=True)[0]["text"]
    assert obstacles(kernel.stats(), hardware=True)[0]["data"] == {"device": "lo"}
    assert obstacles(kernel.stats(), hardware=False) == []
