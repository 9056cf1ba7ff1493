# SPDX-License-Identifier: GPL-2.0-only
"""UCI through libuci (the module ``uci`` of OpenWrt's python3-uci)."""

from __future__ import annotations

import os
import re

from natflow.uci.embedded import Embedded
from natflow.uci.model import Section, UciError

ANONYMOUS = re.compile(r"cfg[0-9a-f]{6,}")  # how libuci names a section that has no name


class Pyuci:
    """The packages in one directory, committed values only."""

    name = "pyuci"

    def __init__(self, config_dir: str) -> None:
        import uci  # type: ignore[import-not-found,unused-ignore]

        self.config_dir = config_dir
        self._uci = uci
        self._files = Embedded(config_dir)

    def load(self, package: str) -> list[Section]:
        """The sections of the package. UciError when it is missing, unreadable or broken."""
        path = self._files.path(package)
        # A context keeps what it once read for ever: each load takes a fresh one. libuci overlays
        # a package asked for by name with everybody's uncommitted `uci set`, whatever savedir
        # says; one loaded by its path is the file alone, and can be found by name afterwards.
        context = self._uci.Uci(confdir=self.config_dir)
        try:
            content = context.get(os.path.abspath(path))
            types = {name: str(context.get(package, name)) for name in content}
        except Exception as error:  # the module's own classes, and UnicodeDecodeError
            self._files.load(package)  # libuci gives no line: read again for a better message
            text = str(error) or type(error).__name__
            raise UciError(path, 0, f"libuci does not accept it: {text}") from None
        sections: list[Section] = []
        count: dict[str, int] = {}
        for name, options in content.items():
            type_ = types[name]
            index = count[type_] = count.get(type_, -1) + 1
            anonymous = ANONYMOUS.fullmatch(name) is not None
            section = Section(type_, f"@{type_}[{index}]" if anonymous else name, anonymous)
            for option, value in options.items():
                section.options[option] = value if isinstance(value, str) else list(value)
            sections.append(section)
        return sections
