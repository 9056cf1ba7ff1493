# SPDX-License-Identifier: GPL-2.0-only
"""The ``exception`` sections of the configuration: traffic that its owner wants left alone."""

from __future__ import annotations

from natflow.kernel.errors import FilterError
from natflow.kernel.exceptions import MARK_MASK, Exemption
from natflow.kernel.filters import PROTOCOLS, Filter, Prefix
from natflow.kernel.uapi import EXCEPTIONS_MAX
from natflow.problems import ERROR, FALSE, TRUE, WARNING, Problem, number, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from natflow.uci import Section

TYPE = "exception"
PORT_MAX = 65535
DEVICE_MAX = 15  # IFNAMSIZ of the kernel, without its final zero

ALLOWED = {
    "enabled": f"{'/'.join(TRUE)} or {'/'.join(FALSE)}",
    "name": "a text",
    "src": "an IPv4 or IPv6 address or prefix",
    "dst": "an IPv4 or IPv6 address or prefix",
    "proto": "tcp or udp",
    "port": f"a port from 1 to {PORT_MAX}, or FIRST-LAST",
    "device": f"the name of a network device, at most {DEVICE_MAX} characters",
    "mac": "a MAC address such as 02:00:00:00:00:01",
    "mark": "VALUE or VALUE/MASK, decimal or 0x hexadecimal, of 32 bits",
}
CONDITIONS = ("src", "dst", "proto", "port", "device", "mac", "mark")


class Rule:
    """One section that is switched on: what it is called and what it says."""

    __slots__ = ("exemption", "name")

    def __init__(self, name: str, exemption: Exemption) -> None:
        self.name = name
        self.exemption = exemption

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        return (self.name, self.exemption) == (other.name, other.exemption)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Rule({self.name!r}, {self.exemption})"


def read(section: Section, file: str) -> tuple[Rule | None, list[Problem]]:
    """One section, and everything that is wrong with it; None when it is off or wrong."""
    problems: list[Problem] = []
    fields: dict[str, Any] = {}
    enabled, label = True, ""

    def problem(severity: str, reason: str, option: str = "", value: str = "") -> None:
        listed = ALLOWED.get(option) or ", ".join(ALLOWED)
        line = section.lines.get(option, section.line)
        place: dict[str, Any] = {"file": file, "line": line, "section": section.name}
        problems.append(
            Problem(severity, reason, option=option, value=value, allowed=listed, **place)
        )

    for name, value in section.options.items():
        if name not in ALLOWED:
            reason = "the option is not known and has no effect"
            problem(WARNING, reason, shown(name, quote=False), shown(value))
        elif not isinstance(value, str):
            problem(ERROR, "it is a list, and takes one value", name, shown(value))
        elif name == "name":
            label = value
        elif name == "enabled":
            enabled = value in TRUE
            if value and value not in TRUE + FALSE:
                problem(ERROR, f"{shown(value)} is not allowed", name, shown(value))
        elif value:
            try:
                fields.update(READERS[name](value))
            except (FilterError, LookupError, ValueError):
                problem(ERROR, f"{shown(value)} is not allowed", name, shown(value))
    errors = any(found.severity == ERROR for found in problems)
    if not fields and not errors and enabled:
        listed = ", ".join(CONDITIONS)
        problem(ERROR, f"it has no condition and would except everything; give one of {listed}")
    src, dst = fields.get("src"), fields.get("dst")
    if src and dst and len(src.network) != len(dst.network):
        problem(
            ERROR, "src and dst are of different families", "dst", shown(section.options["dst"])
        )
    if not enabled or any(found.severity == ERROR for found in problems):
        return None, problems
    return Rule(label or section.name, Exemption(**fields)), problems


def too_many(section: Section, file: str) -> Problem:
    """The section is one more than the module takes."""
    reason = f"there are more than {EXCEPTIONS_MAX} exceptions"
    return Problem(ERROR, reason, file=file, line=section.line, section=section.name)


def _proto(text: str) -> dict[str, Any]:
    return {"l4proto": PROTOCOLS[text.lower()]}


def _ports(text: str) -> dict[str, Any]:
    first, dash, last = text.partition("-")
    low = number(first.strip())
    high = number(last.strip()) if dash else low
    if low is None or high is None or not 1 <= low <= high <= PORT_MAX:
        raise ValueError(text)
    return {"ports": (low, high)}


def _device(text: str) -> dict[str, Any]:
    """What the kernel calls a valid name (net/core/dev.c, dev_valid_name())."""
    if text in (".", "..") or len(text.encode()) > DEVICE_MAX or not text.isascii():
        raise ValueError(text)
    if any(character in "/:" or character.isspace() for character in text):
        raise ValueError(text)
    return {"device": text}


def _mark(text: str) -> dict[str, Any]:
    first, slash, second = text.partition("/")
    mark, mask = number(first, True), number(second, True) if slash else MARK_MASK
    if mark is None or mask is None or mark > MARK_MASK or mask > MARK_MASK or mark & ~mask:
        raise ValueError(text)
    return {"mark": (mark, mask)}


READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "src": lambda text: {"src": Prefix.parse(text)},
    "dst": lambda text: {"dst": Prefix.parse(text)},
    "proto": _proto,
    "port": _ports,
    "device": _device,
    "mac": lambda text: {"mac": Filter.parse({"mac": text}).mac},
    "mark": _mark,
}
