# SPDX-License-Identifier: GPL-2.0-only
"""Reads the text of a UCI package.

The grammar is what libuci accepts, found by feeding both the same files (tests/unit/uci):
a statement is one line of words; quotes and a backslash before the newline carry it over the
line end; ``#`` starts a comment wherever it stands unquoted, and ``;`` ends the line likewise;
an ``option`` without a value, or with an empty one, is as good as not written.
"""

from __future__ import annotations

import re

from natflow.uci.model import Section, UciError

BLANK = re.compile(r"[ \t\r\f\v]*")
WORD = re.compile(r"""(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"#;\\])+""", re.DOTALL | re.ASCII)
PIECE = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"#;\\]+)""", re.DOTALL | re.ASCII)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
NAME = re.compile(r"[A-Za-z0-9_]+")
TYPE = re.compile(r"[!-~]+")
KEYWORDS = {
    "config": "config",
    "c": "config",
    "option": "option",
    "o": "option",
    "list": "list",
    "l": "list",
    "package": "package",
    "p": "package",
}


def parse(data: bytes, file: str) -> list[Section]:
    """The sections of a package, in file order. UciError names the line that is wrong."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UciError(
            file, data.count(b"\n", 0, error.start) + 1, "this line is not UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UciError(file, line, "this line holds a NUL byte")
    reader = _Reader(file)
    position = line = 0
    while position < len(text):
        start = line
        words, raw, position, line = _statement(text, position, line, file)
        if words:
            reader.statement(words, raw, start + 1)
    return reader.sections


def _statement(text: str, position: int, line: int, file: str) -> tuple[list[str], str, int, int]:
    """The words of a statement, its first word as written, and where the next one begins."""
    words: list[str] = []
    raw = ""
    while True:
        blank = BLANK.match(text, position)
        assert blank is not None  # it also matches nothing
        position = blank.end()
        if position == len(text):
            return words, raw, position, line
        match = WORD.match(text, position)
        if match is None:
            break
        if not words:
            raw = match.group()
        words.append(PIECE.sub(_unquote, match.group()))
        line += match.group().count("\n")
        position = match.end()
    stop = text[position]
    if stop in "'\"":
        raise UciError(file, line + 1, f"the quote {stop} has no end; the file may be truncated")
    if stop in ";\\" and not words:
        raise UciError(file, line + 1, f"{_shown(stop)} cannot begin a line")
    if stop == "\\":  # the last character of the file
        return words, raw, len(text), line
    end = text.find("\n", position)
    return words, raw, len(text) if end < 0 else end + 1, line + 1


def _unquote(piece: re.Match[str]) -> str:
    single, double, escaped, plain = piece.groups()
    if single is not None:
        return str(single)
    if double is not None:
        return ESCAPE.sub(_unescape, double)
    if escaped is not None:
        return "" if escaped == "\n" else str(escaped)
    return str(plain)


def _unescape(escape: re.Match[str]) -> str:
    return "" if escape[1] == "\n" else escape[1]


class _Reader:
    """Builds the sections from the statements."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sections: list[Section] = []
        self.current: Section | None = None

    def statement(self, words: list[str], raw: str, line: int) -> None:
        keyword = KEYWORDS.get(raw)
        if keyword is None:
            allowed = "config, option, list or package"
            raise UciError(
                self.file, line, f"{_shown(raw)} is no UCI keyword; {allowed} is allowed"
            )
        if keyword == "config":
            self._config(words, line)
        elif keyword == "package":
            self._count(words, line, 2, 2, "package NAME")
            self._name(words[1].replace("-", "_"), line)
        else:
            self._option(keyword, words, line)

    def _count(self, words: list[str], line: int, least: int, most: int, form: str) -> None:
        if len(words) < least:
            raise UciError(self.file, line, f"too few words; the form is: {form}")
        if len(words) > most:
            hint = "a value with blanks needs quotes"
            raise UciError(self.file, line, f"too many words ({hint}); the form is: {form}")

    def _config(self, words: list[str], line: int) -> None:
        self._count(words, line, 2, 3, "config TYPE 'NAME'")
        type_, name = words[1], words[2] if len(words) > 2 else ""
        if not TYPE.fullmatch(type_):
            raise UciError(self.file, line, f"{_shown(type_)} is no section type")
        if not name:
            index = sum(section.type == type_ for section in self.sections)
            self.current = Section(type_, f"@{type_}[{index}]", True, line)
            self.sections.append(self.current)
            return
        self._name(name, line)
        for section in self.sections:
            if section.name == name:
                if section.type != type_:
                    old = f"has type {section.type} since line {section.line}"
                    raise UciError(
                        self.file, line, f"section {name} {old} and cannot have type {type_} too"
                    )
                self.current = section
                return
        self.current = Section(type_, name, False, line)
        self.sections.append(self.current)

    def _option(self, keyword: str, words: list[str], line: int) -> None:
        self._count(words, line, 2, 3, f"{keyword} NAME 'VALUE'")
        section = self.current
        if section is None:
            raise UciError(
                self.file, line, f"{keyword} {_shown(words[1])} stands before the first config line"
            )
        name, value = words[1], words[2] if len(words) > 2 else ""
        self._name(name, line)
        if keyword == "list":
            old = section.options.get(name, [])
            section.options[name] = [*([old] if isinstance(old, str) else old), value]
        elif value:
            section.options[name] = value
        else:
            return
        section.lines[name] = line

    def _name(self, name: str, line: int) -> None:
        if not NAME.fullmatch(name):
            raise UciError(
                self.file, line, f"{_shown(name)} is no name; letters, digits and _ are allowed"
            )


def _shown(word: str) -> str:
    """The word as it can stand in a message of one line."""
    return repr(word if len(word) <= 40 else word[:37] + "...")
