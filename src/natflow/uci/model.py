# SPDX-License-Identifier: GPL-2.0-only
"""What a UCI package holds, whichever backend read it."""

from __future__ import annotations


class UciError(Exception):
    """A package that cannot be read or written.

    ``file`` is the path, ``line`` the line counted from 1 (0 when not known), ``reason`` one
    sentence. The text of the exception joins the three.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        self.file = file
        self.line = line
        self.reason = reason
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")


class Section:
    """One ``config`` block.

    An anonymous section is named the way the ``uci`` command addresses it, ``@type[index]``;
    the index counts all sections of the type, named ones included. ``line`` and ``lines`` (by
    option) count from 1 and are 0 or missing where the backend does not know them.
    """

    __slots__ = ("anonymous", "line", "lines", "name", "options", "type")

    def __init__(self, type_: str, name: str, anonymous: bool = False, line: int = 0) -> None:
        self.type = type_
        self.name = name
        self.anonymous = anonymous
        self.line = line
        self.options: dict[str, str | list[str]] = {}
        self.lines: dict[str, int] = {}

    def __eq__(self, other: object) -> bool:
        """Equal content; where it stands in the file does not matter."""
        if not isinstance(other, Section):
            return NotImplemented
        return (self.type, self.name, self.anonymous, self.options) == (
            other.type,
            other.name,
            other.anonymous,
            other.options,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Section({self.type!r}, {self.name!r}, {self.options!r})"
