# SPDX-License-Identifier: GPL-2.0-only
"""Every fault of the simulated hardware, at every step, on every SoC: traffic goes on, the reason
is visible, flows come back when it is over, nothing is left bound, the simulator has no complaint.

Every ping() is a packet each way that must arrive as it was sent.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator

import ppesim
import pytest
from lab import Pair, ping
from vm.faults import LABS, aside, bound_blocks, caught, empty, errors, lift, there
from vm.hw import HwLab

# Errors that tell of the hardware's state, one for each lab.
TROUBLE = {
    "mt7621": errno.ENOSPC,
    "mt7622": errno.EIO,
    "mt7981": errno.ENODEV,
    "mt7986": errno.ENOMEM,
}
# Longer than anything may take; it ends when it is taken away.
STALL_MS = 30000


@pytest.fixture(scope="module", params=ppesim.PROFILES)
def lab(request: pytest.FixtureRequest) -> Iterator[HwLab]:
    lan, wan = LABS[request.param]
    with HwLab(request.param, lan=lan, wan=wan) as made:
        yield made


@pytest.fixture(scope="module")
def connections(lab: HwLab) -> Iterator[list[Pair]]:
    made = [lab.udp(4), lab.tcp(6)]
    yield made
    there(lab, *made)
    for pair in made:
        pair.close()


@pytest.fixture
def pairs(lab: HwLab, connections: list[Pair]) -> Iterator[list[Pair]]:
    """Two connections in the hardware. After the test it works again, so they come back."""
    there(lab, *connections)
    yield connections
    lift(lab)
    assert lab.soc.detectors() == {}


def software(lab: HwLab, *pairs: Pair) -> None:
    """They are forwarded, and not by the hardware."""
    for pair in pairs:
        ping(pair, 5)
        assert lab.state(pair) == "software", lab.story(*pairs)


def ways(lab: HwLab, pair: Pair) -> list[tuple[str, str, int]]:
    """State, reason and error of both directions."""
    flow = lab.get(pair)
    return list(zip(flow.hw_state, flow.hw_reason, flow.hw_errno, strict=True))


def pings(*pairs: Pair, times: int = 5) -> None:
    for pair in pairs:
        ping(pair, times)


def test_replace_and_bind_fail(lab: HwLab, pairs: list[Pair]) -> None:
    """After three refusals in a row the hardware is left alone, for eight seconds; a door that does
    not open is tried again after eight, too."""
    error = TROUBLE[lab.soc.profile]
    before = errors(lab, error)
    lab.kernel.flush()
    lab.soc.fail("replace", 3, error)
    lab.wait(lambda: lab.kernel.hardware().backoff_ms > 0, *pairs)
    assert lab.kernel.hardware().reason == "hw-backoff"
    assert errors(lab, error) == before + 3
    assert lab.left() == ([], [])
    told = [way for pair in pairs for way in ways(lab, pair) if way[0] == "refused"]
    assert told and set(told) == {("refused", "hw-refused", error)}, lab.story(*pairs)
    software(lab, *pairs)

    asked = lab.soc.counters()["cmd_replace"]
    lab.configure(hwnat=0)
    assert bound_blocks(lab) == 0
    lab.soc.fail("bind", 100, errno.EBUSY)
    lab.configure(hwnat=1)
    assert {device.errno for device in lab.kernel.hardware_devices()} == {errno.EBUSY}
    assert lab.kernel.hardware().reason == "hw-no-door"
    assert errors(lab, errno.EBUSY) > 0
    lab.wait(lambda: {lab.hw_reason(pair) for pair in pairs} == {("hw-no-door",) * 2}, *pairs)
    software(lab, *pairs)
    assert lab.soc.counters()["cmd_replace"] == asked
    lab.soc.fail("bind", 0, 0)
    there(lab, *pairs)


def test_some_replaces_fail(lab: HwLab, pairs: list[Pair]) -> None:
    more = [lab.udp(4), lab.tcp(4)]
    every = [*pairs, *more]
    lab.soc.seed(1)
    lab.soc.fail("replace", 0, errno.EINVAL, 40)
    before = lab.kernel.hardware()
    lab.kernel.flush()
    states = {"refused", "pending", "bound"}
    lab.wait(
        lambda: {state for pair in every for state in lab.hw_state(pair)} <= states,
        *every,
        seconds=60,
    )
    pings(*every)
    told = [way for pair in every for way in ways(lab, pair)]
    refused = [way for way in told if way[0] == "refused"]
    assert 0 < len(refused) < len(told), "some, not all"
    assert set(refused) == {("refused", "hw-refused", errno.EINVAL)}
    assert {way[1:] for way in told if way[0] != "refused"} == {("none", 0)}
    after = lab.kernel.hardware()
    assert after.failures - before.failures >= len(refused)
    assert after.errors[errno.EINVAL] > before.errors.get(errno.EINVAL, 0)
    lift(lab)
    lab.kernel.flush()
    there(lab, *every)
    for pair in more:
        pair.close()


def test_replace_takes_its_time(lab: HwLab, pairs: list[Pair]) -> None:
    """Traffic does not wait for it; the table may be emptied meanwhile."""
    lab.soc.stall("replace", STALL_MS)
    lab.kernel.flush()
    caught(lab, "replace", *pairs)
    pings(*pairs)
    lab.soc.reset()
    assert lab.soc.running() == "replace"
    lab.soc.stall("replace", 0)
    there(lab, *pairs)


def test_a_full_table(lab: HwLab, pairs: list[Pair]) -> None:
    """The driver says yes, the hardware has no place: software goes on."""
    lab.kernel.flush()
    lab.soc.reset()
    lab.soc.fill(100)
    pending = ("pending", "pending")
    lab.wait(lambda: all(lab.hw_state(pair) == pending for pair in pairs), *pairs)
    before = [lab.get(pair) for pair in pairs]
    assert {lab.state(pair) for pair in pairs} == {"hw-pending"}
    # Longer than it takes to look at the counters.
    for _ in range(3):
        pings(*pairs, times=10)
        time.sleep(0.5)
    after = [lab.get(pair) for pair in pairs]
    for then, now in zip(before, after, strict=True):
        assert now.packets[0] > then.packets[0]
        assert now.hw_packets == (0, 0) and now.hw_state == pending, lab.story(*pairs)
    assert lab.soc.entries("bind") == []
    if lab.soc.profile == "mt7621":
        # Where nothing is counted it is least evident. It comes out, to make room.
        full = ("hw-full", "hw-full")
        lab.wait(lambda: lab.hw_reason(pairs[0]) == full, *pairs, seconds=60)
        software(lab, pairs[0])
        lab.kernel.flush()


def test_stats_fail(lab: HwLab, pairs: list[Pair]) -> None:
    """Six in a row, then half of them, then they are slow: no packet remains uncounted."""
    lab.bind(*pairs)
    before = [lab.get(pair) for pair in pairs]
    failed = errors(lab, errno.EIO)
    lab.soc.fail("stats", 6, errno.EIO, 50)
    pings(*pairs, times=50)
    lab.wait(lambda: errors(lab, errno.EIO) >= failed + 7)
    assert {lab.hw_state(pair) for pair in pairs} == {("bound", "bound")}
    lab.soc.fail("stats", 0, 0)
    lab.soc.stall("stats", STALL_MS)
    caught(lab, "stats")
    pings(*pairs, times=50)
    assert lab.soc.running() == "stats"
    lab.soc.stall("stats", 0)
    if lab.kernel.hardware().counters:
        for pair, then in zip(pairs, before, strict=True):
            lab.wait(
                lambda pair=pair, then=then: all(  # type: ignore[misc]
                    now >= was + 100
                    for now, was in zip(lab.get(pair).ct_packets, then.ct_packets, strict=True)
                ),
                seconds=10,
            )
    assert {lab.hw_state(pair) for pair in pairs} == {("bound", "bound")}


def test_destroy_fails(lab: HwLab, pairs: list[Pair]) -> None:
    """More often than it is asked at once: what is left goes a little later. Slow ones are waited
    for, and the table may be emptied meanwhile."""
    failed = errors(lab, errno.EIO)
    lab.soc.fail("destroy", 11, errno.EIO, 50)
    lab.kernel.flush()
    assert errors(lab, errno.EIO) >= failed + 11
    empty(lab, *pairs, seconds=10)
    lab.soc.fail("destroy", 0, 0)
    there(lab, *pairs)

    lab.soc.stall("destroy", STALL_MS)
    with aside(lab.kernel.flush):
        caught(lab, "destroy", *pairs)
        lab.soc.reset()
        pings(*pairs)
        assert lab.soc.running() == "destroy"
        lab.soc.stall("destroy", 0)


def test_bind_and_unbind_fail(lab: HwLab, pairs: list[Pair]) -> None:
    """Every door that did not open is told; every block is given back."""
    lab.soc.fail("unbind", 3, errno.EIO)
    lab.configure(hwnat=0)
    assert bound_blocks(lab) == 0 and errors(lab, errno.EIO) >= 3
    lab.soc.fail("bind", 0, errno.ENOMEM, 50)
    lab.soc.fail("unbind", 0, errno.EIO, 50)
    lab.soc.seed(1)
    seen = set()
    for _ in range(6):
        lab.configure(hwnat=1)
        devices = list(lab.kernel.hardware_devices())
        for device in devices:
            assert (device.door == 0) == (device.errno != 0)
            seen.add(device.errno)
        assert bool(bound_blocks(lab)) == lab.kernel.hardware().door
        assert lab.kernel.hardware().door == any(device.door for device in devices)
        pings(*pairs)
        lab.configure(hwnat=0)
        assert bound_blocks(lab) == 0
        empty(lab, seconds=5)
    assert {0, errno.ENOMEM} <= seen <= {0, errno.ENOMEM, errno.EOPNOTSUPP}
    lift(lab)
    for command, value in (("bind", 1), ("unbind", 0)):
        lab.soc.stall(command, STALL_MS)
        with aside(lambda value=value: lab.configure(hwnat=value)):  # type: ignore[misc]
            caught(lab, command)
            lab.soc.reset()
            pings(*pairs)
            assert lab.soc.running() == command
            lab.soc.stall(command, 0)
    assert bound_blocks(lab) == 0
    lab.configure(hwnat=1)


def test_a_silent_reset(lab: HwLab, pairs: list[Pair]) -> None:
    for _ in range(3):
        lab.soc.reset()
        pings(*pairs, times=2)
    lab.wait(lambda: len(lab.soc.entries("bind")) >= 4, *pairs)


def test_the_cable_is_pulled(lab: HwLab, pairs: list[Pair]) -> None:
    """While the driver lets go of nothing at first; and while it takes something in."""
    lab.soc.fail("destroy", 7, errno.EIO)
    lab.soc.link(lab.ports["wan"], False)
    empty(lab, *pairs, seconds=10)
    lab.soc.link(lab.ports["wan"], True)
    lab.soc.stall("replace", STALL_MS)
    caught(lab, "replace", *pairs)
    with aside(lambda: lab.soc.link(lab.ports["lan"], False)):
        time.sleep(0.2)
        lab.soc.stall("replace", 0)
    empty(lab, *pairs, seconds=10)


@pytest.mark.parametrize("lab", ["mt7622"], indirect=True)
def test_stats_fail_for_good(lab: HwLab, pairs: list[Pair]) -> None:
    """A flow of which nothing is known comes back to software, with the driver's error. One that
    the driver has lost is taken back at once."""
    lab.bind(*pairs)
    destroys = lab.kernel.hardware().destroys
    lab.soc.fail("stats", 1, errno.ENOENT)
    lab.wait(lambda: lab.kernel.hardware().destroys >= destroys + 2, *pairs, seconds=10)
    lab.bind(*pairs)
    lab.soc.fail("stats", 0, errno.ETIMEDOUT, 100)
    refused = ("refused", "hw-refused", errno.ETIMEDOUT)
    lab.wait(lambda: {way for pair in pairs for way in ways(lab, pair)} == {refused}, *pairs)
    empty(lab, *pairs)
    software(lab, *pairs)
    lab.kernel.flush()


@pytest.mark.parametrize("lab", ["mt7622"], indirect=True)
def test_nothing_goes_where_something_is_stuck(lab: HwLab, pairs: list[Pair]) -> None:
    """Least of all a new connection of the same addresses and ports. The host sees it here, because
    the hardware binds no more."""
    lab.soc.fail("destroy", 0, errno.EIO, 100)
    lab.kernel.flush()
    lab.soc.set(bind_rate=1_000_000)
    lab.soc.reset()
    lab.r.conntrack("-D", "-p", "udp")
    waits = ("hw-backoff", "hw-backoff")
    lab.wait(lambda: lab.hw_reason(pairs[0]) == waits, pairs[0])
    software(lab, pairs[0])


@pytest.mark.parametrize("lab", ["mt7622"], indirect=True)
def test_what_the_driver_does_not_support_is_not_asked_again(lab: HwLab, pairs: list[Pair]) -> None:
    """For half a minute, and not for other flows of the same kind either: so it comes last."""
    pair = lab.tcp(4)
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
    pair.close()
