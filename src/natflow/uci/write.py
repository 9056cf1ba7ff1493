# SPDX-License-Identifier: GPL-2.0-only
"""Writes the text of a UCI package so that a power cut or a full disk leaves the old file."""

from __future__ import annotations

from natflow.files import replace
from natflow.uci.model import Section, UciError
from natflow.uci.parse import NAME, TYPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def render(sections: Iterable[Section], file: str) -> str:
    """The package as ``uci commit`` writes it. UciError where UCI cannot hold a value."""
    blocks = []
    for section in sections:
        where = f"section {section.name!r}"
        if not TYPE.fullmatch(section.type):
            raise UciError(file, 0, f"{where}: {section.type!r} is no section type")
        if not section.anonymous and not NAME.fullmatch(section.name):
            raise UciError(
                file, 0, f"{where}: this is no section name; letters, digits and _ are allowed"
            )
        head = (
            f"\nconfig {section.type}"
            if section.anonymous
            else f"\nconfig {section.type} {_quoted(section.name)}"
        )
        blocks.append(head + "\n")
        for name, value in section.options.items():
            if not NAME.fullmatch(name):
                raise UciError(
                    file,
                    0,
                    f"{where}: {name!r} is no option name; letters, digits and _ are allowed",
                )
            if not value:
                raise UciError(
                    file, 0, f"{where}: option {name} is empty; UCI keeps no empty option"
                )
            keyword = "option" if isinstance(value, str) else "list"
            for item in [value] if isinstance(value, str) else value:
                if "\0" in item:
                    raise UciError(file, 0, f"{where}: option {name} holds a NUL byte")
                blocks.append(f"\t{keyword} {name} {_quoted(item)}\n")
    return "".join(blocks)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def store(path: str, text: str) -> None:
    """Replace the file at once: readers see the old text or the new one, never a part.

    UciError when it cannot be written (disk full, read-only); the old file is then untouched.
    """
    try:
        replace(path, text)
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UciError(path, 0, f"cannot be written: {reason}") from None
