# SPDX-License-Identifier: GPL-2.0-only
"""The configuration as one checked object, from UCI or from a run-time change.

Names and ranges are those of the ``config`` attribute set in natflow.yaml. Nothing is guessed: a
value is taken as it stands or answered with a Problem, and all problems are found in one pass.
"""

from __future__ import annotations

from natflow import exceptions
from natflow.kernel.uapi import EXCEPTIONS_MAX, HW_MODES, SETTINGS
from natflow.problems import ERROR, FALSE, TRUE, WARNING, Problem, number, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from natflow.uci import Section

PACKAGE = "natflow"
SECTION = "main"

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
    "hw_min_rate": 500000,
    "hw_rate_limit": 200,
    "hw_max_flows": 0,
}

#: Words, of which the first is the default; their numbers are their places.
WORDS = {"hwnat_mode": HW_MODES}

OPTIONS = (*SWITCHES, *NUMBERS, *WORDS, "exclude_mark")

MARK_MAX = 0xFFFFFFFF


class Settings:
    """All settings, each in its range."""

    __slots__ = (
        "delay_pkts",
        "enabled",
        "exceptions",
        "exclude_mark",
        "exclude_mask",
        "host_flows",
        "hw_max_flows",
        "hw_min_rate",
        "hw_rate_limit",
        "hwnat",
        "hwnat_mode",
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
        self.hwnat_mode = WORDS["hwnat_mode"][0]
        self.hw_min_rate = NUMBERS["hw_min_rate"]
        self.hw_rate_limit = NUMBERS["hw_rate_limit"]
        self.hw_max_flows = NUMBERS["hw_max_flows"]
        self.exclude_mark = 0
        self.exclude_mask = 0
        self.exceptions: tuple[exceptions.Rule, ...] = ()

    def copy(self) -> Settings:
        """An independent object with the same values."""
        other = Settings()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def kernel(self) -> dict[str, int]:
        """What the module is to be told, by the names of uapi.SETTINGS."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {
            name: WORDS[name].index(value) if name in WORDS else int(value)
            for name, value in values.items()
        }

    def adopt(self, kernel: Mapping[str, int]) -> None:
        """Take over what the module has in force."""
        for name, value in kernel.items():
            if name in SETTINGS:
                if name in WORDS:
                    setattr(self, name, WORDS[name][value if value < len(WORDS[name]) else 0])
                else:
                    setattr(self, name, bool(value) if name in SWITCHES else value)

    def reply(self) -> dict[str, bool | int | str]:
        """All settings by option name, as ``info`` shows them."""
        values: dict[str, bool | int | str] = {
            name: getattr(self, name) for name in (*SWITCHES, *NUMBERS, *WORDS)
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
        elif section.type == exceptions.TYPE:
            exception, wrong = exceptions.read(section, file)
            problems += wrong
            if exception is not None:
                settings.exceptions += (exception,)
                if len(settings.exceptions) == EXCEPTIONS_MAX + 1:
                    problems.append(exceptions.too_many(section, file))
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
    elif name in WORDS:
        if text in WORDS[name]:
            setattr(settings, name, text)
            return None
    elif name in NUMBERS:
        least, most = SETTINGS[name]
        value_ = number(text)
        if value_ is not None and least <= value_ <= most:
            setattr(settings, name, value_)
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
    mark, mask = number(first, True), number(second, True) if slash else MARK_MAX
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


def allowed(name: str) -> str:
    """What an option takes, in words."""
    if name in SWITCHES:
        return f"{'/'.join(TRUE)} or {'/'.join(FALSE)}"
    if name in NUMBERS:
        least, most = SETTINGS[name]
        unit = " (milliseconds)" if name in ("sample_interval", "idle_timeout") else ""
        return f"a whole number from {least} to {most}{unit}"
    if name in WORDS:
        return " or ".join(WORDS[name])
    return "VALUE or VALUE/MASK, decimal or 0x hexadecimal, of 32 bits"
