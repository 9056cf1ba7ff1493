# SPDX-License-Identifier: GPL-2.0-only
"""Writes the text of a UCI package so that a power cut or a full disk leaves the old file."""

from __future__ import annotations

import contextlib
import os

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
    temporary = f"{path}.{os.getpid()}.new"
    try:
        data = text.encode()
        mode = 0o600
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(path).st_mode & 0o777
        handle = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode
        )
        try:
            while data:
                data = data[os.write(handle, data) :]
            os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(temporary, path)
        directory = os.open(
            os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        )
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except (OSError, UnicodeEncodeError) as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UciError(path, 0, f"cannot be written: {reason}") from None
