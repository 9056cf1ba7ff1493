# SPDX-License-Identifier: GPL-2.0-only
"""UCI without libuci: plain files, for hosts that are no OpenWrt."""

from __future__ import annotations

import os

from natflow.uci.model import Section, UciError
from natflow.uci.parse import NAME, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = 1 << 20  # bytes; a configuration larger than this is a mistake


class Embedded:
    """The packages in one directory, committed values only."""

    name = "embedded"

    def __init__(self, config_dir: str) -> None:
        self.config_dir = config_dir

    def path(self, package: str) -> str:
        """Where the package lies. UciError for a name that could leave the directory."""
        path = os.path.join(self.config_dir, package)
        if not NAME.fullmatch(package.replace("-", "_")):
            raise UciError(path, 0, f"{package!r} is no package name")
        return path

    def load(self, package: str) -> list[Section]:
        """The sections of the package. UciError when it is missing, unreadable or broken."""
        path = self.path(package)
        try:
            with open(path, "rb") as stream:
                data = stream.read(LARGEST + 1)
        except OSError as error:
            raise UciError(path, 0, f"cannot be read: {error.strerror}") from None
        if len(data) > LARGEST:
            raise UciError(path, 0, f"is larger than {LARGEST} bytes")
        return parse(data, path)

    def store(self, package: str, sections: Iterable[Section]) -> None:
        """Write the package whole. UciError when it cannot be; the old file then stays."""
        from natflow.uci.write import render, store  # the daemon never writes: spare it the import

        path = self.path(package)
        store(path, render(sections, path))
