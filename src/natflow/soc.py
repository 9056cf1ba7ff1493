# SPDX-License-Identifier: GPL-2.0-only
"""The system on a chip, what its packet engine can do, and which package for it is installed."""

from __future__ import annotations

import os
from typing import NamedTuple

from natflow.files import listed, read

COMPATIBLE = "proc/device-tree/compatible"
MODULES_D = "etc/modules.d"
FIRMWARE = "lib/firmware"

PACKAGE = "natflow-"  # in front of the SoC in the name of the file in modules.d


class Soc(NamedTuple):
    """A system on a chip with a packet processing engine (PPE).

    ``wed`` is the version of its WiFi offload (WED), 0 where it has none; ``counters`` whether the
    engine counts packets and bytes of a flow; ``firmware`` the files that WED needs, below
    /lib/firmware.
    """

    name: str
    wed: int
    counters: bool
    firmware: tuple[str, ...]


SOCS = {
    soc.name: soc
    for soc in (
        Soc("mt7621", 0, False, ()),
        Soc("mt7622", 1, True, ()),
        Soc("mt7981", 2, True, ("mediatek/mt7981_wo.bin",)),
        Soc("mt7986", 2, True, ("mediatek/mt7986_wo_0.bin", "mediatek/mt7986_wo_1.bin")),
    )
}

#: By their names in the device tree.
NAMES = {
    "mediatek,mt7621-soc": "mt7621",
    "mediatek,mt7622": "mt7622",
    "mediatek,mt7981": "mt7981",
    "mediatek,mt7981a": "mt7981",
    "mediatek,mt7981b": "mt7981",
    "mediatek,mt7986": "mt7986",
    "mediatek,mt7986a": "mt7986",
    "mediatek,mt7986b": "mt7986",
}


def find(root: str = "/") -> Soc | None:
    """The SoC that the device tree names; None where it is none with an engine."""
    for name in read(os.path.join(root, COMPATIBLE)).split("\0"):
        if name in NAMES:
            return SOCS[NAMES[name]]
    return None


def variants(root: str = "/") -> list[str]:
    """The SoCs for which kmod-natflow-SOC is installed, by the files that load their module."""
    files = listed(os.path.join(root, MODULES_D))
    return [name for name in SOCS if PACKAGE + name in files]
