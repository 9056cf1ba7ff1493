# SPDX-License-Identifier: GPL-2.0-only
"""What comes into force and when: re-adoption, the last good configuration, run-time changes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from unit.kernel.fake import FakeKernel, flow
from unit.service.bench import FRESH, OFF, ON, Bench

from natflow import control
from natflow.bus import Status
from natflow.kernel.errors import KernelError
from natflow.problems import ERROR


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ON + "\toption delay_pkts '9'\n")
    assert bench.configured() == [{"enabled": 1, "delay_pkts": 9}]
    bench.service.reload()
    assert len(bench.configured()) == 1


def test_a_restart_adopts_what_it_finds(tmp_path: Path) -> None:
    """State lives in the module: the second daemon writes nothing and flushes nothing."""
    kernel = FakeKernel([flow(bytes=(5, 6))], settings=FRESH)
    Bench(tmp_path, ON, kernel)
    second = Bench(tmp_path, None, kernel)
    assert second.configured() == [{"enabled": 1}], "written by the first only"
    assert [name for name, _ in kernel.calls if name == "flush"] == []
    assert second.call("flows")["flows"][0]["bytes"] == [5, 6]


@pytest.mark.parametrize(
    "broken",
    [
        "config natflow 'main'\n\toption enabled '1'\n\toption delay_pkts '70000'\n",
        "config natflow 'main'\n\toption enabled 'maybe'\n",
        "config natflow 'main'\n\toption enabled '1\n",
        "config natflow 'main'\n\toption enabled 0 1\n",
        "\x7fELF",
    ],
)
def test_a_broken_file_keeps_the_last_good_one(broken: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, ON + "\toption delay_pkts '9'\n")
    before = dict(bench.kernel.settings)
    bench.write(broken)
    bench.service.reload()
    assert bench.kernel.settings == before
    reply = bench.call("status")
    assert (reply["state"], reply["enabled"]) == ("software", True)
    assert reply["message"].startswith("The configuration has errors; what was in force")
    assert len(reply["config_errors"]) == 1
    assert reply["config_errors"][0]["text"].startswith(f"{tmp_path}/natflow:")
    bench.write(OFF)
    bench.service.reload()
    assert bench.call("status")["config_errors"] == []
    assert bench.kernel.settings["enabled"] == 0


@pytest.mark.parametrize("config", ["config natflow 'main'\n\toption enabled 'maybe'\n", None])
def test_first_start_with_a_broken_or_no_file_is_off(config: str | None, tmp_path: Path) -> None:
    bench = Bench(tmp_path, config)
    assert bench.configured() == []
    reply = bench.call("status")
    assert (reply["state"], reply["enabled"]) == ("error", False)
    assert reply["message"] == "The configuration has errors, so acceleration stays off."
    assert [problem["severity"] for problem in reply["config_errors"]] == [ERROR]


def test_restart_with_a_broken_file_keeps_what_the_module_has(tmp_path: Path) -> None:
    """The module outlives the daemon: the last good configuration is the one it holds."""
    kernel = FakeKernel(settings={**FRESH, "enabled": 1, "delay_pkts": 33})
    bench = Bench(tmp_path, "config natflow 'main'\n\toption enabled 'maybe'\n", kernel)
    assert bench.configured() == []
    assert bench.call("status")["state"] == "software"
    assert bench.call("info")["settings"]["delay_pkts"] == 33


def test_warnings_do_not_keep_the_rest_out(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        ON + "\toption colour 'red'\nconfig exception\n\toption colour 'red'\n\toption src '::1'\n",
    )
    reply = bench.call("status")
    assert (reply["state"], reply["config_errors"]) == ("software", [])
    texts = [problem["text"] for problem in reply["config_warnings"]]
    assert len(texts) == 2
    assert f"{tmp_path}/natflow:3: main.colour: the option is not known" in texts[0]
    assert "@exception[0].colour: the option is not known" in texts[1]
    assert [str(rule) for rule in bench.kernel.exemptions] == ["src ::1/128"]


def test_thousands_of_problems_do_not_fill_the_reply(tmp_path: Path) -> None:
    lines = "".join(f"\toption o{number} 1\n" for number in range(5000))
    bench = Bench(tmp_path, ON + lines + "\toption enabled 'maybe'\n")
    reply = bench.call("status")
    assert len(reply["config_errors"]) == 1, "errors come first"
    assert len(reply["config_warnings"]) == control.PROBLEMS_MAX
    assert reply["config_warnings"][-1]["text"].endswith("there are 4951 more problems")


def test_set(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    reply = bench.call("set", options={"delay_pkts": 9, "exclude_mark": "0x1/0xf"})
    assert reply["changed"] == {"delay_pkts": 9, "exclude_mark": "0x1/0xf"}
    assert reply["settings"]["delay_pkts"] == 9
    assert bench.kernel.settings["exclude_mask"] == 15
    assert (tmp_path / "natflow").read_text() == ON, "UCI is not written"
    assert bench.call("set", options={"delay_pkts": "9"})["changed"] == {}
    bench.service.reload()
    assert bench.kernel.settings["delay_pkts"] == 4, "a reload brings the configuration back"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"delay_pkts": 70000}, "delay_pkts: '70000' is not allowed; allowed: a whole number"),
        ({"delay_pkts": 5, "enabled": "maybe"}, "enabled: 'maybe' is not allowed; allowed: 1/on"),
        ({"delay_pkts": 5, "colour": 1}, "colour: the option is not known"),
    ],
)
def test_set_is_all_or_nothing(options: dict[str, object], says: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = dict(bench.kernel.settings)
    status, text = bench.refusal("set", options=options)
    assert status == Status.INVALID_ARGUMENT
    assert text.startswith(says)
    assert bench.kernel.settings == before
    assert bench.call("info")["settings"]["delay_pkts"] == 4


def test_set_that_the_module_refuses_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.kernel.error = KernelError(errno.EPERM, "config-set: Operation not permitted")
    status, text = bench.refusal("set", options={"delay_pkts": 5})
    assert (status, text) == (Status.SYSTEM_ERROR, "config-set: Operation not permitted")
    bench.kernel.error = None
    assert bench.call("info")["settings"]["delay_pkts"] == 4


def test_set_with_a_broken_configuration_starts_from_the_module(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None, FakeKernel(settings={**FRESH, "delay_pkts": 33}))
    bench.call("set", options={"enabled": True})
    assert bench.configured() == [{"enabled": 1}]
    assert bench.kernel.settings["delay_pkts"] == 33


def test_a_module_loaded_anew_gets_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = 1
    monkeypatch.setattr(control, "module_token", lambda: token)
    bench = Bench(tmp_path)
    assert bench.kernel.settings["enabled"] == 1
    bench.kernel.missing, token = True, 0
    bench.service.tick()
    assert bench.call("status")["state"] == "error"
    bench.kernel.missing, token = False, 2
    bench.kernel.settings.update(FRESH)
    bench.service.tick()
    assert bench.kernel.settings["enabled"] == 1
    states = [event["state"] for event in bench.events("natflow.state")]
    assert states == ["software", "error", "software"]


def test_a_quiet_tick_asks_the_module_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "module_token", lambda: 1)
    bench = Bench(tmp_path)
    asked = len(bench.kernel.calls)
    for _ in range(100):
        bench.service.tick()
    assert len(bench.kernel.calls) == asked


def test_without_sysfs_the_module_is_looked_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "module_token", lambda: 0)
    kernel = FakeKernel(settings=FRESH)
    kernel.missing = True
    bench = Bench(tmp_path, ON, kernel)
    kernel.missing = False
    bench.service.tick()
    assert bench.configured() == []
    monkeypatch.setattr(control, "RETRY_SECONDS", -1.0)
    bench.control.apply()
    assert bench.configured() == [{"enabled": 1}]
