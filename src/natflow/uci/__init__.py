# SPDX-License-Identifier: GPL-2.0-only
"""Reads OpenWrt's UCI configuration: ``open_uci(...).load("natflow")``."""

from __future__ import annotations

import os

from natflow.uci.model import Section, UciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Uci(Protocol):
        """What every backend offers."""

        name: str
        config_dir: str

        def load(self, package: str) -> list[Section]:
            """The sections of the package, committed values only. UciError when it is broken."""


__all__ = ["Section", "Uci", "UciError", "open_uci"]

BACKENDS = ("auto", "pyuci", "embedded")


def open_uci(backend: str = "auto", config_dir: str = "") -> Uci:
    """A backend by name. ``auto`` takes pyuci where it is installed, the embedded one elsewhere.

    Without ``config_dir`` the packages lie in $UCI_CONFIG_DIR, or in /etc/config. ImportError
    when pyuci is asked for by name and missing, ValueError for a name that is no backend.
    """
    config_dir = config_dir or os.environ.get("UCI_CONFIG_DIR") or "/etc/config"
    if backend not in BACKENDS:
        raise ValueError(f"UCI backend {backend!r} is not known; {', '.join(BACKENDS)} is allowed")
    if backend != "embedded":
        try:
            from natflow.uci.pyuci import Pyuci

            return Pyuci(config_dir)
        except ImportError:
            if backend == "pyuci":
                raise
    from natflow.uci.embedded import Embedded

    return Embedded(config_dir)
