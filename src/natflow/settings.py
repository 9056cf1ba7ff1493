# SPDX-License-Identifier: GPL-2.0-only
"""The configuration as one checked object, from UCI or from a run-time change.

Names and ranges are those of the ``config`` attribute set in natflow.yaml. Nothing is guessed: a
value is taken as it stands or answered with a Problem, and all problems are found in one pass.
"""

from __future__ import annotations

from natflow.kernel.uapi import SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from natflow.uci import Section

PACKAGE = "natflow"
SECTION = "main"

TRUE = ("1", "on", "true", "yes", "enabled")  # what OpenWrt's config_get_bool takes
FALSE = ("0", "off", "false", "no", "disabled")

#: Switches and their defaults. They are off where the configuration is silent, except hwnat, which
#: is used only where the hardware has it.
SWITCHES = {"enabled": False, "hwnat": True, "hwnat_wed": False}

#: Numbers and their defaults, those of the module's parameters. Times are in milliseconds.
NUMBERS = {
    "delay_pkts": 4,
    "sample_interval": 2000,
    "idle_timeout": 30000,
    "max_flows": 65536,
    "host_flows": 16384,
    "learn_rate": 20000,
}

OPTIONS = (*SWITCHES, *NUMBERS, "exclude_mark")

ERROR, WARNING = "error", "warning"

SHOWN = 60  # characters of a bad value that a message repeats
MARK_MAX = 0xFFFFFFFF


class Problem:
    """What is wrong with one option, section or file.

    ``severity`` is "error" (the whole configuration is refused) or "warning" (the rest is in
    force). ``line`` counts from 1, 0 where it is not known; ``section`` and ``option`` are empty
    where none is meant; ``allowed`` says what would be right.
    """

    __slots__ = ("allowed", "file", "line", "option", "reason", "section", "severity", "value")

    def __init__(
        self,
        severity: str,
        reason: str,
        *,
        file: str = "",
        line: int = 0,
        section: str = "",
        option: str = "",
        value: str = "",
        allowed: str = "",
    ) -> None:
        self.severity = severity
        self.reason = reason
        self.file = file
        self.line = line
        self.section = section
        self.option = option
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = ".".join(part for part in (self.section, self.option) if part)
        head = ": ".join(part for part in (place, what) if part)
        text = f"{head}: {self.reason}" if head else self.reason
        return f"{text}; allowed: {self.allowed}" if self.allowed else text

    def reply(self) -> dict[str, str | int]:
        """The same as data, for ubus; ``text`` is the message of one line."""
        return {
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "section": self.section,
            "option": self.option,
            "value": self.value,
            "allowed": self.allowed,
            "text": str(self),
        }


class Settings:
    """All settings, each in its range."""

    __slots__ = (
        "delay_pkts",
        "enabled",
        "exclude_mark",
        "exclude_mask",
        "host_flows",
        "hwnat",
        "hwnat_wed",
        "idle_timeout",
        "learn_rate",
        "max_flows",
        "sample_interval",
    )

    def __init__(self) -> None:
        self.enabled = SWITCHES["enabled"]
        self.hwnat = SWITCHES["hwnat"]
        self.hwnat_wed = SWITCHES["hwnat_wed"]
        self.delay_pkts = NUMBERS["delay_pkts"]
        self.sample_interval = NUMBERS["sample_interval"]
        self.idle_timeout = NUMBERS["idle_timeout"]
        self.max_flows = NUMBERS["max_flows"]
        self.host_flows = NUMBERS["host_flows"]
        self.learn_rate = NUMBERS["learn_rate"]
        self.exclude_mark = 0
        self.exclude_mask = 0

    def copy(self) -> Settings:
        """An independent object with the same values."""
        other = Settings()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def kernel(self) -> dict[str, int]:
        """What the module is to be told, by the names of uapi.SETTINGS."""
        return {name: int(getattr(self, name)) for name in SETTINGS}

    def adopt(self, kernel: Mapping[str, int]) -> None:
        """Take over what the module has in force."""
        for name, value in kernel.items():
            if name in SETTINGS:
                setattr(self, name, bool(value) if name in SWITCHES else value)

    def reply(self) -> dict[str, bool | int | str]:
        """All settings by option name, as ``info`` shows them."""
        values: dict[str, bool | int | str] = {
            name: getattr(self, name) for name in (*SWITCHES, *NUMBERS)
        }
        values["exclude_mark"] = (
            f"0x{self.exclude_mark:x}/0x{self.exclude_mask:x}" if self.exclude_mask else ""
        )
        return values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Settings):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Settings({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"
        )


def read(sections: Iterable[Section], file: str) -> tuple[Settings, list[Problem]]:
    """The settings of a UCI package and everything that is wrong with it.

    When a problem is an error the settings are incomplete and must not be put in force.
    """
    settings = Settings()
    problems: list[Problem] = []
    found = False
    for section in sections:
        place = {"file": file, "section": section.name}
        if section.type == PACKAGE and section.name == SECTION:
            found = True
            _options(settings, section, file, problems)
        elif section.name == SECTION:
            reason = f"the section has type {shown(section.type)}"
            problems.append(
                Problem(
                    ERROR,
                    reason,
                    line=section.line,
                    allowed=f"config {PACKAGE} '{SECTION}'",
                    **place,
                )
            )
        elif section.type == "exception":
            reason = (
                "exception sections are not supported yet by this version: what it names IS "
                "accelerated (exclude_mark keeps marked connections slow)"
            )
            problems.append(Problem(WARNING, reason, line=section.line, **place))
        else:
            reason = f"the section of type {shown(section.type)} is not known and has no effect"
            allowed = f"config {PACKAGE} '{SECTION}'"
            problems.append(Problem(WARNING, reason, line=section.line, allowed=allowed, **place))
    if not found and not any(problem.severity == ERROR for problem in problems):
        reason = f"there is no section {PACKAGE} '{SECTION}': acceleration is off"
        problems.append(Problem(WARNING, reason, file=file, section=SECTION))
    return settings, problems


def _options(settings: Settings, section: Section, file: str, problems: list[Problem]) -> None:
    for name, value in section.options.items():
        problem = assign(settings, name, value)
        if problem is not None:
            problem.file = file
            problem.line = section.lines.get(name, section.line)
            problem.section = section.name
            problems.append(problem)


def change(settings: Settings, options: Mapping[str, object]) -> tuple[Settings, list[Problem]]:
    """A copy with run-time options applied. An unknown option is an error here, not a warning."""
    changed = settings.copy()
    problems = []
    for name, value in options.items():
        problem = assign(changed, name, value)
        if problem is not None:
            problem.severity = ERROR
            problems.append(problem)
    return changed, problems


def assign(settings: Settings, name: str, value: object) -> Problem | None:
    """Set one option from its text, or from a bool or an int; the problem when that cannot be."""
    if name not in OPTIONS:
        reason = "the option is not known and has no effect"
        return Problem(
            WARNING,
            reason,
            option=shown(name, quote=False),
            value=shown(value),
            allowed=", ".join(OPTIONS),
        )
    if isinstance(value, (list, tuple, dict)) or value is None:
        kind = "a list" if isinstance(value, (list, tuple)) else "a table" if value else "no value"
        return Problem(
            ERROR,
            f"it is {kind}",
            option=name,
            value=shown(value),
            allowed=f"one value, {allowed(name)}",
        )
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if name in SWITCHES:
        if text in TRUE or text in FALSE:
            setattr(settings, name, text in TRUE)
            return None
    elif name in NUMBERS:
        least, most = SETTINGS[name]
        number = _number(text)
        if number is not None and least <= number <= most:
            setattr(settings, name, number)
            return None
    else:
        return _exclude(settings, text)
    return Problem(
        ERROR,
        f"{shown(value)} is not allowed",
        option=name,
        value=shown(value),
        allowed=allowed(name),
    )


def _exclude(settings: Settings, text: str) -> Problem | None:
    """exclude_mark is VALUE or VALUE/MASK; the empty text excludes nothing."""
    if not text:
        settings.exclude_mark = settings.exclude_mask = 0
        return None
    first, slash, second = text.partition("/")
    mark, mask = _number(first, True), _number(second, True) if slash else MARK_MAX
    reason = ""
    if mark is None or mask is None or mark > MARK_MAX or mask > MARK_MAX:
        reason = f"{shown(text)} is not allowed"
    elif mark & ~mask:
        reason = f"{shown(text)} matches nothing, the value has bits outside its mask"
    elif not mark and not slash:
        reason = (
            f"{shown(text)} would exclude every connection without a mark; "
            "write 0/0xffffffff if that is meant"
        )
    if reason or mark is None or mask is None:
        return Problem(
            ERROR, reason, option="exclude_mark", value=shown(text), allowed=allowed("exclude_mark")
        )
    settings.exclude_mark, settings.exclude_mask = mark, mask
    return None


def _number(text: str, hexadecimal: bool = False) -> int | None:
    """Decimal digits, or 0x and hexadecimal ones.

    int() alone would also take '1_0', ' 1' and digits of other scripts.
    """
    if len(text) > 10 or not text.isascii():
        return None
    if text.isdigit():
        return int(text)
    digits = text[2:].lower()
    if hexadecimal and text[:2].lower() == "0x" and digits and not digits.strip("0123456789abcdef"):
        return int(digits, 16)
    return None


def allowed(name: str) -> str:
    """What an option takes, in words."""
    if name in SWITCHES:
        return f"{'/'.join(TRUE)} or {'/'.join(FALSE)}"
    if name in NUMBERS:
        least, most = SETTINGS[name]
        unit = " (milliseconds)" if name in ("sample_interval", "idle_timeout") else ""
        return f"a whole number from {least} to {most}{unit}"
    return "VALUE or VALUE/MASK, decimal or 0x hexadecimal, of 32 bits"


def shown(value: object, quote: bool = True) -> str:
    """A value from outside, as it may stand in a message: one line, printable, not long."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) > SHOWN:
        text = text[: SHOWN - 3] + "..."
    text = "".join(character if character.isprintable() else "?" for character in text)
    return f"'{text}'" if quote else text
