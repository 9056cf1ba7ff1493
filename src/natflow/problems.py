# SPDX-License-Identifier: GPL-2.0-only
"""What is wrong with a configuration, and how its texts are read and shown."""

from __future__ import annotations

TRUE = ("1", "on", "true", "yes", "enabled")  # what OpenWrt's config_get_bool takes
FALSE = ("0", "off", "false", "no", "disabled")

ERROR, WARNING = "error", "warning"

SHOWN = 60  # characters of a bad value that a message repeats


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


def number(text: str, hexadecimal: bool = False) -> int | None:
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


def shown(value: object, quote: bool = True) -> str:
    """A value from outside, as it may stand in a message: one line, printable, not long."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) > SHOWN:
        text = text[: SHOWN - 3] + "..."
    text = "".join(character if character.isprintable() else "?" for character in text)
    return f"'{text}'" if quote else text
