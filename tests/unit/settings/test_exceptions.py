# SPDX-License-Identifier: GPL-2.0-only
"""Sections `exception`: what each option takes and refuses, and what the module is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from natflow.exceptions import ALLOWED, CONDITIONS, READERS
from natflow.kernel.exceptions import Exemption
from natflow.kernel.uapi import EXCEPTIONS_MAX
from natflow.problems import ERROR, WARNING, Problem
from natflow.settings import Settings, read
from natflow.uci.parse import parse

FILE = "/etc/config/natflow"
HEAD = "config natflow 'main'\n\toption enabled '1'\n"

GOOD = [
    ("src", "192.168.1.7", "src 192.168.1.7/32"),
    ("src", "192.168.1.7/24", "src 192.168.1.0/24"),
    ("src", "2001:db8::1", "src 2001:db8::1/128"),
    ("src", "0.0.0.0/0", "src 0.0.0.0/0"),
    ("dst", "2001:db8::/32", "dst 2001:db8::/32"),
    ("proto", "tcp", "proto tcp"),
    ("proto", "UDP", "proto udp"),
    ("port", "5060", "port 5060"),
    ("port", "1-65535", "port 1-65535"),
    ("port", "6881 - 6889", "port 6881-6889"),
    ("device", "br-lan.7", "device br-lan.7"),
    ("device", "123456789012345", "device 123456789012345"),
    ("mac", "02:00:00:aB:cD:01", "mac 02:00:00:ab:cd:01"),
    ("mac", "02-00-00-ab-cd-01", "mac 02:00:00:ab:cd:01"),
    ("mark", "7", "mark 0x7/0xffffffff"),
    ("mark", "0x100/0x100", "mark 0x100/0x100"),
    ("mark", "0/0xff", "mark 0x0/0xff"),
]
BAD = [
    *[("src", text) for text in ("192.168.1", "192.168.1.7/33", "::/129", "lan", "1.2.3.4/", "/8")],
    *[("dst", text) for text in ("1.2.3.4-1.2.3.9", "!1.2.3.4", "2001:db8::g")],
    *[("proto", text) for text in ("icmp", "6", "tcpudp", "tcp udp")],
    *[("port", text) for text in ("0", "65536", "80-", "-80", "90-80", "http", "1-2-3", "+80")],
    *[("device", text) for text in ("1234567890123456", "a/b", "a b", ".", "..", "a:1", "\u00e4")],
    *[("mac", text) for text in ("02:00:00:00:00", "0200.0000.0001", "02:00:00:00:00:0g", "lan")],
    *[("mark", text) for text in ("0x100000000", "2/1", "-1", "x", "1/", "/1")],
    *[("enabled", text) for text in ("2", "ja")],
]


def load(body: str) -> tuple[Settings, list[Problem]]:
    return read(parse((HEAD + body).encode(), FILE), FILE)


def section(**options: str) -> str:
    lines = [f"\toption {name} '{value}'\n" for name, value in options.items()]
    return "".join(["config exception\n", *lines])


def test_every_condition_has_a_case() -> None:
    assert {name for name, _, _ in GOOD} == set(CONDITIONS) == set(READERS)
    assert {name for name, _ in BAD} == {*CONDITIONS, "enabled"}


@pytest.mark.parametrize(("option", "text", "told"), GOOD)
def test_good_value(option: str, text: str, told: str) -> None:
    settings, problems = load(section(**{option: text}))
    assert [str(problem) for problem in problems] == []
    (rule,) = settings.exceptions
    assert (rule.name, str(rule.exemption)) == ("@exception[0]", told)


@pytest.mark.parametrize(("option", "text"), BAD)
def test_bad_value(option: str, text: str) -> None:
    """The message names the place and what is allowed, and the whole is refused."""
    settings, problems = load(section(**{"src": "192.168.1.1", option: text}))
    (problem,) = problems
    assert (problem.severity, problem.section, problem.option) == (
        ERROR,
        "@exception[0]",
        option,
    )
    assert problem.line == (4 if option == "src" else 5)
    assert str(problem).endswith(f"is not allowed; allowed: {ALLOWED[option]}")
    assert settings.exceptions == ()


def test_all_conditions_together() -> None:
    body = section(
        name="console", src="192.168.1.0/24", dst="203.0.113.9", proto="udp", port="3074",
        device="pppoe-wan", mac="02:00:00:00:00:01", mark="1/1",
    )  # fmt: skip
    settings, problems = load(body)
    assert problems == []
    (rule,) = settings.exceptions
    assert rule.name == "console"
    assert str(rule.exemption) == (
        "src 192.168.1.0/24, dst 203.0.113.9/32, proto udp, port 3074, device pppoe-wan, "
        "mac 02:00:00:00:00:01, mark 0x1/0x1"
    )


@pytest.mark.parametrize("body", [section(), section(name="all"), section(src="", proto="")])
def test_without_a_condition(body: str) -> None:
    (problem,) = load(body)[1]
    assert problem.severity == ERROR
    assert "it has no condition and would except everything" in str(problem)


def test_families_must_agree() -> None:
    (problem,) = load(section(src="192.168.1.1", dst="::1"))[1]
    assert (problem.option, problem.severity) == ("dst", ERROR)
    assert "different families" in str(problem)


def test_a_section_that_is_off_has_no_effect_but_is_checked() -> None:
    settings, problems = load(section(enabled="0", src="192.168.1.1"))
    assert (settings.exceptions, problems) == ((), [])
    assert load(section(enabled="0", src="192.168.1"))[1][0].severity == ERROR


def test_unknown_option_and_list() -> None:
    settings, problems = load(
        "config exception 'nas'\n\toption colour 'red'\n\toption src '192.168.1.9'\n"
        "config exception\n\tlist src '192.168.1.9'\n"
    )
    assert [(problem.severity, problem.section) for problem in problems] == [
        (WARNING, "nas"),
        (ERROR, "@exception[1]"),
    ]
    assert [rule.name for rule in settings.exceptions] == ["nas"]


def test_too_many() -> None:
    one = section(src="192.168.1.1")
    assert load(one * EXCEPTIONS_MAX)[1] == []
    (problem,) = load(one * (EXCEPTIONS_MAX + 3))[1]
    assert str(problem).endswith(f"there are more than {EXCEPTIONS_MAX} exceptions")


def test_the_page_names_every_option() -> None:
    page = (Path(__file__).parents[3] / "docs/uci.md").read_text(encoding="utf-8")
    part = page[page.index("## Sections `exception`") : page.index("## When something is wrong")]
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", part)) == set(ALLOWED)
    assert str(EXCEPTIONS_MAX) in part


def test_an_exemption_survives_the_wire() -> None:
    (rule,) = load(
        section(src="::/0", dst="2001:db8::1", proto="tcp", port="1-9", device="x", mark="3/3")
    )[0].exceptions
    grouped: dict[str, list[object]] = {}
    for name, value in rule.exemption.attributes():
        if isinstance(value, dict):
            value = {key: [one] for key, one in value["attrs"]}
        grouped.setdefault(name, []).append(value)
    assert Exemption.of(grouped) == rule.exemption
