# SPDX-License-Identifier: GPL-2.0-only
"""Every fault of the simulated hardware, at every step: traffic goes on, the reason is visible,
and in the end nothing is left bound."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator

import pytest
from lab import Pair, ping
from vm.hw import HwLab


@pytest.fixture(scope="module")
def lab() -> Iterator[HwLab]:
    with HwLab("mt7622") as made:
        yield made


@pytest.fixture
def pair(lab: HwLab) -> Iterator[Pair]:
    made = lab.udp(4)
    yield made
    made.close()
    for command in ("bind", "unbind", "replace", "destroy", "stats"):
        lab.soc.fail(command, 0, errno.EIO)
    lab.soc.fill(0)
    lab.soc.set(stall_ms=0)
    lab.kernel.flush()
    lab.wait(lambda: lab.left() == ([], []), seconds=5)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EINVAL])
def test_replace_fails(lab: HwLab, pair: Pair, error: int) -> None:
    lab.soc.fail("replace", 2, error)
    lab.wait(lambda: lab.hw_state(pair) == ("refused", "refused"), pair)
    flow = lab.get(pair)
    assert flow.hw_errno == (error, error)
    assert flow.hw_reason == ("hw-refused", "hw-refused")
    assert lab.kernel.hardware().errors[error] >= 2
    assert lab.state(pair) == "software"
    ping(pair, 10)
    if error == errno.ENOSPC:
        lab.bind(pair)  # after eight seconds


def test_hardware_in_trouble_is_left_alone(lab: HwLab, pair: Pair) -> None:
    other = lab.tcp(4)
    lab.soc.fail("replace", 1000, errno.EIO)
    lab.wait(lambda: lab.kernel.hardware().backoff_ms > 0, pair, other)
    assert lab.kernel.hardware().reason == "hw-backoff"
    before = lab.soc.counters()["cmd_replace"]
    ping(pair, 10)
    time.sleep(3)
    assert lab.soc.counters()["cmd_replace"] == before
    lab.soc.fail("replace", 0, errno.EIO)
    lab.bind(pair, other)
    other.close()


def test_destroy_fails(lab: HwLab, pair: Pair) -> None:
    """More often than it is asked at once: what is left goes a little later."""
    lab.bind(pair)
    lab.soc.fail("destroy", 11, errno.EIO)
    lab.kernel.flush()
    lab.wait(lambda: lab.left() == ([], []), seconds=5)
    lab.bind(pair)


def test_stats_fail(lab: HwLab, pair: Pair) -> None:
    lab.bind(pair)
    lab.soc.fail("stats", 6, errno.EIO)
    ping(pair, 20)
    before = lab.get(pair)
    ping(pair, 20, 100)
    lab.wait(lambda: lab.get(pair).hw_packets[0] >= before.hw_packets[0] + 20)
    assert lab.get(pair).hw_state == ("bound", "bound")


def test_bind_fails(lab: HwLab, pair: Pair) -> None:
    lab.configure(hwnat=0)
    assert all(port.bound == 0 for port in lab.soc.ports().values())
    lab.soc.fail("bind", 2, errno.ENOMEM)
    lab.configure(hwnat=1)
    assert {device.errno for device in lab.kernel.hardware_devices()} == {errno.ENOMEM}
    assert lab.kernel.hardware().reason == "hw-no-door"
    lab.wait(lambda: lab.hw_reason(pair) == ("hw-no-door", "hw-no-door"), pair)
    lab.bind(pair)


def test_unbind_fails(lab: HwLab, pair: Pair) -> None:
    lab.bind(pair)
    lab.soc.fail("unbind", 3, errno.EIO)
    lab.configure(hwnat=0)
    assert all(port.bound == 0 for port in lab.soc.ports().values())
    lab.configure(hwnat=1)
    lab.bind(pair)


def test_a_slow_driver(lab: HwLab, pair: Pair) -> None:
    """While it thinks the flow is flushed: what it says then comes too late."""
    lab.soc.set(stall_ms=300)
    ping(pair, 3)
    for _ in range(6):
        ping(pair, 3)
        lab.kernel.flush()
        assert lab.left() == ([], []), lab.story(pair)
        time.sleep(0.3)


def test_a_silent_reset(lab: HwLab, pair: Pair) -> None:
    lab.bind(pair)
    lab.soc.reset()
    ping(pair, 20)
    lab.wait(lambda: len(lab.soc.entries("bind")) == 2, pair)


def test_a_full_table(lab: HwLab) -> None:
    """The driver says yes, the hardware has no place: software goes on, the flow comes out."""
    lab.soc.fill(100)
    pair = lab.udp(4)
    lab.wait(lambda: lab.hw_state(pair) == ("pending", "pending"), pair)
    assert lab.state(pair) == "hw-pending"
    before = lab.get(pair).packets
    ping(pair, 10)
    assert lab.get(pair).packets[0] > before[0]
    assert lab.get(pair).hw_packets == (0, 0)
    lab.wait(lambda: lab.hw_reason(pair) == ("hw-full", "hw-full"), pair, seconds=40)
    pair.close()
    lab.soc.fill(0)


def test_the_cable_is_pulled(lab: HwLab, pair: Pair) -> None:
    lab.bind(pair)
    lab.soc.link("wan", False)
    lab.wait(lambda: lab.left() == ([], []), seconds=5)
    lab.soc.link("wan", True)
    lab.bind(pair)


def test_what_the_driver_does_not_support_is_not_asked_again(lab: HwLab, pair: Pair) -> None:
    """For half a minute, and not for other flows of the same kind either: so it comes last."""
    lab.soc.fail("replace", 2, errno.EOPNOTSUPP)
    lab.wait(lambda: lab.hw_state(pair) == ("refused", "refused"), pair)
    before = lab.soc.counters()["cmd_replace"]
    other = lab.udp(4)
    lab.wait(lambda: lab.hw_reason(other) == ("hw-refused", "hw-refused"), pair, other)
    assert lab.get(other).hw_errno == (errno.EOPNOTSUPP, errno.EOPNOTSUPP)
    time.sleep(2)
    ping(other)
    assert lab.soc.counters()["cmd_replace"] == before
    other.close()
