# SPDX-License-Identifier: GPL-2.0-only
"""Replaces a file so that a power cut or a full disk leaves the old one."""

from __future__ import annotations

import contextlib
import os


def replace(path: str, text: str, temporary: str = "") -> None:
    """Replace the file at once: readers see the old text or the new one, never a part.

    ``temporary`` is where the new text is written first, beside the file when it is not given; it
    must lie on the same file system. The mode of an old file is kept, a new one is for root alone.
    OSError, with ``path`` in it, or UnicodeEncodeError when it cannot be written; the old file is
    then untouched and nothing is left behind.
    """
    temporary = temporary or f"{path}.{os.getpid()}.new"
    data = text.encode()
    mode = 0o600
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode & 0o777
    try:
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
        settle(os.path.dirname(path))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        error.filename = path  # write() and fsync() name none, open() the temporary one
        raise


def remove(path: str) -> bool:
    """Remove a file for good; whether it was there. OSError when it cannot be removed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    settle(os.path.dirname(path))
    return True


def settle(directory: str) -> None:
    """Have the names in a directory on the disk, not only the data of its files."""
    handle = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: str, most: int = 4096) -> str:
    """The text of a small file, at most so many bytes of it; "" where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(most).decode(errors="replace")
    except OSError:
        return ""


def listed(directory: str) -> list[str]:
    """The names in a directory, sorted; none where it cannot be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
