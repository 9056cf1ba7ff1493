# SPDX-License-Identifier: GPL-2.0-only
"""The backend for the control device: what it writes, what it reads back, what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unit.kernel.played import PATH, Played

from natflow.kernel.ctl import PASSES, ControlDevice
from natflow.kernel.errors import KernelError, NotAvailable, NotTaken
from natflow.kernel.filters import Filter, FlowTuple

TUPLE = FlowTuple.parse(
    {"proto": "tcp", "src": "192.0.2.1", "sport": 1, "dst": "192.0.2.2", "dport": 2}
)


def control(device: Played) -> ControlDevice:
    return ControlDevice(PATH, device)  # type: ignore[arg-type]


def test_settings_have_the_sense_of_natflow() -> None:
    config = control(Played(disabled=0, hwnat_wed_disabled=1, delay_pkts=7)).config()
    assert config.settings == {"enabled": 1, "hwnat": 1, "hwnat_wed": 0, "delay_pkts": 7}
    assert (config.version, config.flow_size) == ("", 0)


def test_each_setting_is_one_line_and_is_read_back() -> None:
    device = Played()
    control(device).configure({"enabled": 1, "hwnat": 0, "hwnat_wed": 0, "delay_pkts": 9})
    assert device.lines == ["disabled=0", "hwnat=0", "hwnat_wed_disabled=1", "delay_pkts=9"]
    assert device.locks == ["exclusive"], "writing and reading back are one session"


def test_without_hardware_the_switches_are_not_there() -> None:
    device = Played()
    del device.settings["hwnat"], device.settings["hwnat_wed_disabled"]
    assert control(device).config().settings == {"enabled": 0, "delay_pkts": 0}
    with pytest.raises(NotTaken, match=f"hwnat: 1 is wanted, but {PATH} lists no hwnat="):
        control(device).configure({"hwnat": 1})


def test_a_value_that_is_not_taken_is_named() -> None:
    device = Played(delay_pkts=4)
    device.refused = {"delay_pkts"}
    with pytest.raises(NotTaken) as caught:
        control(device).configure({"enabled": 1, "delay_pkts": 9})
    assert str(caught.value) == (
        f"delay_pkts: 9 is wanted, but the module has 4 ({PATH} lists delay_pkts=4)"
    )
    assert not caught.value.retry
    assert device.settings["disabled"] == 0, "the other one was taken"


@pytest.mark.parametrize("half", ["dis", "hwnat=", "delay_pkts=1", "# a comment", "x" * 255])
def test_a_half_line_of_somebody_else_does_no_harm(half: str) -> None:
    device = Played()
    device.write(half)
    control(device).configure({"enabled": 1, "delay_pkts": 9})
    assert (device.settings["disabled"], device.settings["delay_pkts"]) == (0, 9)
    assert device.lines[-2:] == ["disabled=0", "delay_pkts=9"]


def test_a_writer_in_between_is_noticed_and_made_good() -> None:
    """It leaves half a line in front of ours, and switches off what we have just switched on."""
    device = Played()
    once = iter(["disabled=1\nhwn"])

    def intrude(what: str) -> None:
        if what == "delay_pkts=9":
            device.write(next(once, ""))

    device.before = intrude
    control(device).configure({"enabled": 1, "delay_pkts": 9})
    assert device.nonsense == ["hwndelay_pkts=9"]
    assert (device.settings["disabled"], device.settings["delay_pkts"]) == (0, 9)


def test_a_writer_who_does_not_stop_is_reported() -> None:
    device = Played()
    device.before = lambda what: device.write("disabled=1\n" if what == "hwnat=0" else "")
    device.refused = {"hwnat"}  # so that it is written each time, behind the other one
    with pytest.raises(NotTaken, match="enabled: 1 is wanted, but the module has 0"):
        control(device).configure({"enabled": 1, "hwnat": 0})
    assert device.lines.count("disabled=0") == PASSES


@pytest.mark.parametrize(
    ("listing", "says"),
    [
        ([""], "does not list disabled="),
        (["hwnat=1", "nonsense", "="], "does not list disabled="),
        (["disabled=maybe"], "lists disabled='maybe'"),
        (["disabled=0", "delay_pkts=-1"], "lists delay_pkts='-1'"),
        (["disabled=0", "delay_pkts=99999999999"], "lists delay_pkts='99999999999'"),
        (["disabled=0", "hwnat="], "lists hwnat=''"),
    ],
)
def test_a_listing_that_is_not_understood_is_an_error(listing: list[str], says: str) -> None:
    device = Played()
    device.listing = listing
    with pytest.raises(KernelError, match=says) as caught:
        control(device).config()
    assert caught.value.retry


def test_what_it_lists_twice_counts_as_it_would_be_replayed() -> None:
    device = Played()
    device.listing = ["disabled=1", "vline_add=a,b,ipv6", "disabled=0"]
    assert control(device).config().settings == {"enabled": 1}


def test_flush_forgets_all_or_refuses() -> None:
    device = Played()
    control(device).flush(Filter())
    assert device.lines == ["update_magic"]
    with pytest.raises(NotAvailable, match="all flows at once only"):
        control(device).flush(Filter.parse({"port": 80}))
    assert device.lines == ["update_magic"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda kernel: kernel.stats(),
        lambda kernel: kernel.flows(),
        lambda kernel: kernel.clients(),
        lambda kernel: kernel.explain(TUPLE),
        lambda kernel: kernel.events(),
    ],
    ids=["stats", "flows", "clients", "explain", "events"],
)
def test_what_it_does_not_tell_is_not_invented(ask: Callable[[ControlDevice], object]) -> None:
    with pytest.raises(NotAvailable, match="tells no flows, hosts, reasons or counters"):
        ask(control(Played()))


def test_a_setting_that_it_never_had() -> None:
    device = Played()
    with pytest.raises(NotAvailable, match="has no setting max_flows"):
        control(device).configure({"enabled": 1, "max_flows": 16})
    assert device.lines == []
