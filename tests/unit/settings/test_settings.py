# SPDX-License-Identifier: GPL-2.0-only
"""Every option of options.json: its default, values it takes, and values it refuses helpfully."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natflow.kernel.uapi import SETTINGS
from natflow.problems import ERROR, FALSE, TRUE, WARNING, Problem
from natflow.settings import (
    OPTIONS,
    Settings,
    allowed,
    change,
    read,
)
from natflow.uci import Section
from natflow.uci.parse import parse

FILE = "/etc/config/natflow"
TABLE: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "options.json").read_text(encoding="utf-8")
)
GOOD = [(option, text, value) for option, row in TABLE.items() for text, value in row["good"]]
BAD = [(option, text) for option, row in TABLE.items() for text in row["bad"]]


def load(text: str) -> tuple[Settings, list[Problem]]:
    return read(parse(text.encode(), FILE), FILE)


def main(**options: str | list[str]) -> Section:
    section = Section("natflow", "main", line=1)
    section.options.update(options)
    section.lines.update({option: number for number, option in enumerate(options, 2)})
    return section


def value_of(settings: Settings, option: str) -> Any:
    if option == "exclude_mark":
        return [settings.exclude_mark, settings.exclude_mask]
    return getattr(settings, option)


def test_the_table_knows_every_option() -> None:
    assert set(TABLE) == set(OPTIONS)
    assert set(Settings.__slots__) == {*OPTIONS, "exclude_mask", "exceptions"}
    assert set(SETTINGS) <= set(Settings.__slots__), "a setting of the module that no option sets"


@pytest.mark.parametrize("option", TABLE)
def test_default(option: str) -> None:
    settings, problems = read([main()], FILE)
    assert problems == []
    assert value_of(settings, option) == TABLE[option]["default"]


@pytest.mark.parametrize(("option", "text", "value"), GOOD)
def test_good_value(option: str, text: str, value: Any) -> None:
    settings, problems = read([main(**{option: text})], FILE)
    assert [str(problem) for problem in problems] == []
    assert value_of(settings, option) == value
    expected = Settings()
    for name in ["exclude_mark", "exclude_mask"] if option == "exclude_mark" else [option]:
        setattr(expected, name, getattr(settings, name))
    assert settings == expected, "it changed another setting too"


@pytest.mark.parametrize(("option", "text"), BAD)
def test_bad_value(option: str, text: str) -> None:
    settings, problems = read([main(**{option: text})], FILE)
    assert len(problems) == 1
    problem = problems[0]
    assert (problem.severity, problem.file, problem.line) == (ERROR, FILE, 2)
    assert (problem.section, problem.option) == ("main", option)
    assert problem.allowed == allowed(option)
    message = str(problem)
    assert message.startswith(f"{FILE}:2: main.{option}: ")
    assert message.endswith(f"; allowed: {allowed(option)}")
    shown = text[:50] if text.isprintable() else "?"
    assert shown in message
    assert message.isprintable()
    assert len(message) < 400
    assert value_of(settings, option) == TABLE[option]["default"]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_list_is_refused(option: str) -> None:
    _, problems = read([main(**{option: ["1", "2"]})], FILE)
    assert [str(problem) for problem in problems] == [
        f"{FILE}:2: main.{option}: it is a list; allowed: one value, {allowed(option)}"
    ]
    assert problems[0].severity == ERROR


def test_all_problems_are_found_in_one_pass() -> None:
    text = (
        "config natflow 'main'\n"
        "\toption enabled 'maybe'\n"
        "\toption delay_pkts '70000'\n"
        "\toption colour 'red'\n"
        "\tlist hwnat '1'\n"
        "\toption max_flows '99'\n"
        "\n"
        "config exception\n"
        "\toption src '192.168.1.777'\n"
        "config zone 'lan'\n"
        "config natflow 'second'\n"
    )
    _, problems = load(text)
    assert [
        (problem.severity, problem.line, problem.section, problem.option) for problem in problems
    ] == [
        (ERROR, 2, "main", "enabled"),
        (ERROR, 3, "main", "delay_pkts"),
        (WARNING, 4, "main", "colour"),
        (ERROR, 5, "main", "hwnat"),
        (ERROR, 9, "@exception[0]", "src"),
        (WARNING, 10, "lan", ""),
        (WARNING, 11, "second", ""),
    ]
    assert str(problems[1]) == (
        "/etc/config/natflow:3: main.delay_pkts: '70000' is not allowed; "
        "allowed: a whole number from 0 to 65535"
    )
    assert str(problems[4]) == (
        "/etc/config/natflow:9: @exception[0].src: '192.168.1.777' is not allowed; "
        "allowed: an IPv4 or IPv6 address or prefix"
    )


@pytest.mark.parametrize(
    "text", ["", "config zone 'lan'\n", "config natflow\n\toption enabled 1\n"]
)
def test_without_the_section_acceleration_is_off(text: str) -> None:
    settings, problems = load(text)
    assert settings == Settings()
    assert settings.enabled is False
    assert {problem.severity for problem in problems} == {WARNING}
    assert (
        str(problems[-1])
        == f"{FILE}: main: there is no section natflow 'main': acceleration is off"
    )


def test_main_of_another_type_is_an_error() -> None:
    _, problems = load("config system 'main'\n")
    assert [str(problem) for problem in problems] == [
        f"{FILE}:1: main: the section has type 'system'; allowed: config natflow 'main'"
    ]
    assert problems[0].severity == ERROR


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        ({"enabled": True}, {"enabled": 1}),
        ({"enabled": "0"}, {"enabled": 0}),
        ({"delay_pkts": 7}, {"delay_pkts": 7}),
        ({"delay_pkts": "7", "max_flows": 1000}, {"delay_pkts": 7, "max_flows": 1000}),
        ({"exclude_mark": "0x10/0xf0"}, {"exclude_mark": 16, "exclude_mask": 240}),
        ({"exclude_mark": 3}, {"exclude_mark": 3, "exclude_mask": 0xFFFFFFFF}),
        ({"exclude_mark": ""}, {"exclude_mark": 0, "exclude_mask": 0}),
        ({"hwnat": False}, {"hwnat": 0}),
        ({"hwnat_mode": "always", "hw_min_rate": 0}, {"hwnat_mode": 1, "hw_min_rate": 0}),
    ],
)
def test_change(options: dict[str, object], kernel: dict[str, int]) -> None:
    before = Settings()
    changed, problems = change(before, options)
    assert problems == []
    assert changed.kernel() == {**before.kernel(), **kernel}
    assert before == Settings(), "the settings in force were touched"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"colour": "red"}, 1),
        ({"enabled": "maybe", "colour": 1, "delay_pkts": 5}, 2),
        ({"delay_pkts": 5.0}, 1),
        ({"delay_pkts": True, "max_flows": None}, 1),
        ({"enabled": 2}, 1),
        ({"enabled": {}, "hwnat": ["1"]}, 2),
        ({"exclude_mark": 0}, 1),
        ({"exclude_mark": -1}, 1),
        ({"a\x1b[31m" * 30: "1"}, 1),
    ],
)
def test_change_refuses(options: dict[str, object], count: int) -> None:
    _, problems = change(Settings(), options)
    assert [problem.severity for problem in problems] == [ERROR] * count
    for problem in problems:
        assert str(problem).isprintable()
        assert "; allowed: " in str(problem)


def test_kernel_values() -> None:
    assert Settings().kernel() == {
        "enabled": 0,
        "delay_pkts": 4,
        "sample_interval": 2000,
        "idle_timeout": 30000,
        "max_flows": 65536,
        "host_flows": 16384,
        "learn_rate": 20000,
        "exclude_mark": 0,
        "exclude_mask": 0,
        "hwnat": 1,
        "hwnat_mode": 0,
        "hwnat_wed": 0,
        "hw_min_rate": 500000,
        "hw_rate_limit": 200,
        "hw_max_flows": 0,
    }


@pytest.mark.parametrize("option", SETTINGS)
def test_defaults_are_those_of_the_module(option: str) -> None:
    """natflowd without a configuration changes nothing in a freshly loaded module."""
    source = Path(__file__).parents[3] / "src" / "kmod" / "config.c"
    declared = re.search(
        rf"^static unsigned int {option}(?: = (\d+))?;", source.read_text(), re.MULTILINE
    )
    assert declared is not None, f"{option} is no parameter of the module"
    assert int(declared[1] or 0) == Settings().kernel()[option]


def test_adopt_takes_what_the_module_has() -> None:
    settings = Settings()
    settings.adopt({"enabled": 1, "delay_pkts": 9, "exclude_mark": 1, "exclude_mask": 3, "new": 7})
    assert settings.enabled is True
    assert settings.kernel() == {
        **Settings().kernel(),
        "enabled": 1,
        "delay_pkts": 9,
        "exclude_mark": 1,
        "exclude_mask": 3,
    }


def test_reply_of_a_problem_is_flat_data() -> None:
    _, problems = read([main(delay_pkts="x")], FILE)
    assert problems[0].reply() == {
        "severity": "error",
        "file": FILE,
        "line": 2,
        "section": "main",
        "option": "delay_pkts",
        "value": "'x'",
        "allowed": "a whole number from 0 to 65535",
        "text": (
            f"{FILE}:2: main.delay_pkts: 'x' is not allowed; "
            "allowed: a whole number from 0 to 65535"
        ),
    }


@given(
    st.dictionaries(
        st.sampled_from(OPTIONS), st.text(max_size=12) | st.integers() | st.booleans() | st.floats()
    )
)
def test_whatever_is_taken_is_in_the_range_of_the_module(options: dict[str, object]) -> None:
    changed, problems = change(Settings(), options)
    for name, number in changed.kernel().items():
        least, most = SETTINGS[name]
        assert least <= number <= most
    refused = {problem.option for problem in problems}
    for option, value in options.items():
        if option in ("enabled", "hwnat", "hwnat_wed") and option not in refused:
            assert str(int(value) if isinstance(value, bool) else value) in (*TRUE, *FALSE)
