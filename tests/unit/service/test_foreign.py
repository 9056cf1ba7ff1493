# SPDX-License-Identifier: GPL-2.0-only
"""natflowd on the older module behind its control device: the same object, nothing invented."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from unit.kernel.played import PATH, Played
from unit.service.bench import OFF, ON
from unit.service.xbench import XBench

from natflow import control, host
from natflow.bus import Status
from natflow.kernel.ctl import NOTE
from natflow.kernel.errors import KernelError
from natflow.service import foreign


@pytest.fixture(autouse=True)
def device_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path that host looks at is a character device; removing it is unloading the module."""
    path = tmp_path / "natflow_ctl"
    path.symlink_to("/dev/null")
    monkeypatch.setattr(host, "CONTROL", str(path))
    monkeypatch.setattr(control, "MODULE", str(tmp_path / "module"))
    return path


def test_status_says_which_module_and_invents_nothing(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    assert (bench.module["disabled"], bench.module["delay_pkts"]) == (0, 4)
    reply = bench.call("status")
    assert (reply["state"], reply["enabled"], reply["message"]) == ("on", True, "")
    assert reply["module"] == {
        "loaded": True,
        "version": "",
        "name": f"x-wrt's natflow ({PATH})",
        "backend": "control-device",
        "tells": False,
        "note": NOTE,
    }
    for table in ("flows", "packets", "bytes"):
        assert set(reply[table].values()) == {None}, table
    assert (reply["reasons"], reply["reason_flows"], reply["uptime"]) == (None, None, None)
    assert reply["conflicts"] == [], "the module that is driven is no conflict"
    assert reply["config_warnings"] == []


def test_info(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    reply = bench.call("info")
    assert reply["backends"]["kernel"] == "control-device"
    assert reply["module"] == f"x-wrt's natflow ({PATH})"
    assert reply["memory_per_flow"] == {"ipv4": None, "ipv6": None}
    settings = reply["settings"]
    assert (settings["enabled"], settings["hwnat"], settings["hwnat_wed"]) == (True, True, False)
    assert settings["delay_pkts"] == 4
    assert (settings["max_flows"], settings["exclude_mark"]) == (None, None)
    assert (reply["capabilities"]["hardware"], reply["capabilities"]["wed"]) == (True, True)


@pytest.mark.parametrize(
    ("config", "hwnat", "wed"),
    [
        ("1 1 1", (True, True, foreign.SWITCHED_ON), (True, True, foreign.SWITCHED_ON)),
        ("1 1 0", (True, True, foreign.SWITCHED_ON), (False, False, foreign.SWITCHED_OFF)),
        ("1 0 1", (False, False, foreign.SWITCHED_OFF), (True, False, foreign.HWNAT_OFF)),
        ("0 1 1", (True, False, foreign.ACCELERATION_OFF), (True, False, foreign.ACCELERATION_OFF)),
    ],
)
def test_hardware(
    config: str, hwnat: tuple[bool, bool, str], wed: tuple[bool, bool, str], tmp_path: Path
) -> None:
    names = ("enabled", "hwnat", "hwnat_wed")
    options = zip(names, config.split(), strict=True)
    text = "".join(f"\toption {name} '{value}'\n" for name, value in options)
    reply = XBench(tmp_path, f"config natflow 'main'\n{text}").call("status")
    for name, (configured, active, reason) in (("hwnat", hwnat), ("wed", wed)):
        told = {key: value for key, value in reply[name].items() if value is not None}
        assert told.pop("stage", "") == ""
        assert told == {
            "configured": configured,
            "active": active,
            "supported": True,
            "reason": reason,
        }, "nothing else is known, a reboot and counters included"


def test_a_module_without_hardware(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    del bench.module["hwnat"], bench.module["hwnat_wed_disabled"]
    bench.service.reload()
    reply = bench.call("status")
    assert reply["state"] == "on", "hwnat is on by default, and that is no error"
    assert (reply["hwnat"]["supported"], reply["hwnat"]["reason"]) == (False, foreign.NOT_BUILT)
    status, text = bench.refusal("set", options={"hwnat": False})
    assert status == Status.INVALID_ARGUMENT
    assert text == f"hwnat: x-wrt's natflow ({PATH}) has no such setting"


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("flows", {}),
        ("query", {"filter": {}}),
        ("clients", {}),
        (
            "explain",
            {"flow": {"proto": "tcp", "src": "::1", "sport": 1, "dst": "::2", "dport": 2}},
        ),
    ],
)
def test_what_it_cannot_tell_is_not_supported(
    method: str, args: dict[str, Any], tmp_path: Path
) -> None:
    bench = XBench(tmp_path)
    assert bench.refusal(method, **args) == (Status.NOT_SUPPORTED, NOTE)
    reply = bench.bus.request("luci.natflow", method, **args)
    assert reply == {"error": NOTE, "unavailable": True}


def test_flush(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    reply = bench.call("flush", filter={})
    assert reply == {"removed": None, "accelerated": None, "slow": None}
    assert bench.device is not None
    assert bench.device.lines[-1] == "update_magic"
    assert bench.refusal("flush", filter={"port": 80})[0] == Status.NOT_SUPPORTED


def test_set(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    reply = bench.call("set", options={"hwnat_wed": "on", "delay_pkts": 9})
    assert reply["changed"] == {"hwnat_wed": True, "delay_pkts": 9}
    assert reply["settings"]["max_flows"] is None
    assert (bench.module["hwnat_wed_disabled"], bench.module["delay_pkts"]) == (0, 9)
    bench.service.reload()
    assert bench.module["delay_pkts"] == 4


def test_set_of_what_the_module_lacks(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    status, text = bench.refusal("set", options={"delay_pkts": 9, "max_flows": 100})
    assert (status, text) == (
        Status.INVALID_ARGUMENT,
        f"max_flows: x-wrt's natflow ({PATH}) has no such setting",
    )
    assert bench.module["delay_pkts"] == 4, "all or nothing"


def test_set_that_is_not_taken_changes_nothing(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    assert bench.device is not None
    bench.device.refused = {"delay_pkts"}
    status, text = bench.refusal("set", options={"enabled": False, "delay_pkts": 9})
    assert status == Status.SYSTEM_ERROR
    assert text.startswith("delay_pkts: 9 is wanted, but the module has 4 (")
    assert bench.module["disabled"] == 0, "what was taken is taken back"
    assert bench.call("status")["state"] == "on"
    assert bench.call("info")["settings"]["delay_pkts"] == 4


def test_a_configuration_that_is_not_taken_is_an_error(tmp_path: Path) -> None:
    bench = XBench(tmp_path)
    assert bench.device is not None
    bench.device.refused = {"delay_pkts"}
    bench.write(ON + "\toption delay_pkts '9'\n\toption hwnat '0'\n")
    bench.service.reload()
    reply = bench.call("status")
    assert (reply["state"], reply["enabled"]) == ("error", True)
    assert reply["message"].startswith("delay_pkts: 9 is wanted, but the module has 4 (")
    assert bench.module["hwnat"] == 0, "the rest is in force"
    bench.device.refused = set()
    bench.service.reload()
    assert bench.call("status")["state"] == "on"


def test_options_without_effect_are_warned_of(tmp_path: Path) -> None:
    bench = XBench(tmp_path, ON + "\toption max_flows '100'\n\toption exclude_mark '0x1'\n")
    reply = bench.call("status")
    assert (reply["state"], reply["config_errors"]) == ("on", [])
    assert {problem["option"] for problem in reply["config_warnings"]} == {
        "max_flows",
        "exclude_mark",
    }
    assert reply["config_warnings"][0]["text"] == (
        f"{tmp_path}/natflow: main.max_flows: it has no effect: "
        f"x-wrt's natflow ({PATH}) has no such setting"
    )


def test_somebody_else_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported and left: who did that may know why. A reload writes it again."""
    bench = XBench(tmp_path)
    assert bench.device is not None
    bench.device.write("disabled=1\n")
    lines = len(bench.device.lines)
    reply = bench.call("status")
    assert (reply["state"], reply["enabled"]) == ("error", False)
    assert "enabled: 1 is wanted, but the module has 0 (" in reply["message"]
    monkeypatch.setattr(control, "RETRY_SECONDS", -1.0)
    bench.control.tick()
    bench.control.tick()
    assert len(bench.device.lines) == lines
    bench.device.write("disabled=0\n")
    assert bench.call("status")["state"] == "on"
    bench.device.write("disabled=1\n")
    bench.service.reload()
    assert (bench.module["disabled"], bench.call("status")["state"]) == (0, "on")


def test_a_change_is_noticed_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = XBench(tmp_path)
    assert bench.device is not None
    bench.device.write("delay_pkts=77\n")
    bench.service.tick()
    assert bench.events("natflow.state")[-1]["state"] == "on", "not with each tick"
    monkeypatch.setattr(control, "RETRY_SECONDS", -1.0)
    bench.control.apply()
    bench.device.write("delay_pkts=78\n")
    bench.service.tick()
    assert bench.events("natflow.state")[-1]["state"] == "error"
    bench.device.write("delay_pkts=4\n")
    bench.service.tick()
    assert bench.events("natflow.state")[-1]["state"] == "on"


def test_a_device_in_trouble_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = XBench(tmp_path)
    assert bench.device is not None
    bench.device.error = KernelError(errno.ETIMEDOUT, f"{PATH} does not answer within 5 s")
    bench.write(OFF)
    bench.service.reload()
    reply = bench.call("status")
    assert (reply["state"], reply["message"]) == ("error", f"{PATH} does not answer within 5 s.")
    assert reply["hwnat"]["configured"] is True
    bench.device.error = None
    monkeypatch.setattr(control, "RETRY_SECONDS", -1.0)
    bench.control._next_try = 0.0
    bench.service.tick()
    assert bench.module["disabled"] == 1, "what was wanted meanwhile is not lost"
    assert bench.call("status")["state"] == "off"


def test_the_module_goes_and_comes(tmp_path: Path, device_is_there: Path) -> None:
    bench = XBench(tmp_path)
    there, bench.device = bench.device, None
    device_is_there.unlink()
    bench.service.tick()
    reply = bench.call("status")
    assert (reply["state"], reply["module"]["loaded"]) == ("error", False)
    assert "is not loaded" in reply["message"]
    bench.device = Played()
    device_is_there.symlink_to("/dev/zero")
    bench.service.tick()
    assert bench.device is not there
    assert (bench.module["disabled"], bench.call("status")["state"]) == (0, "on")


def test_natflow_ko_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = XBench(tmp_path)
    bench.kernel.missing = False
    (tmp_path / "module").mkdir()
    bench.service.tick()
    reply = bench.call("status")
    assert (reply["module"]["name"], reply["module"]["tells"]) == ("natflow.ko", True)
    assert reply["flows"]["total"] == 0
    assert (reply["state"], [c["code"] for c in reply["conflicts"]]) == (
        "conflict",
        ["other-natflow"],
    )
    assert bench.configured() == [{"enabled": 1}]
    # It goes again: back to the other one.
    bench.kernel.missing = True
    (tmp_path / "module").rmdir()
    bench.service.tick()
    reply = bench.call("status")
    assert (reply["state"], reply["module"]["backend"]) == ("on", "control-device")


def test_natflow_ko_is_found_even_when_nothing_in_sys_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "RETRY_SECONDS", -1.0)
    bench = XBench(tmp_path)
    bench.kernel.missing = False
    bench.service.tick()
    assert bench.call("status")["module"]["name"] == "natflow.ko"


def test_a_restart_adopts_what_it_finds(tmp_path: Path) -> None:
    bench = XBench(tmp_path, None, disabled=0, delay_pkts=33, hwnat=0)
    assert bench.device is not None
    assert bench.device.lines == []
    settings = bench.call("info")["settings"]
    assert (settings["enabled"], settings["delay_pkts"], settings["hwnat"]) == (True, 33, False)
