# SPDX-License-Identifier: GPL-2.0-only
"""The chip is found by its device tree, the package for it by the file that loads its module."""

from __future__ import annotations

from pathlib import Path

import pytest

from natflow import soc


@pytest.mark.parametrize(
    ("compatible", "expected"),
    [
        (b"xiaomi,mi-router-3g\0mediatek,mt7621-soc\0", "mt7621"),
        (b"linksys,e8450\0mediatek,mt7622\0", "mt7622"),
        (b"xiaomi,ax3000t\0mediatek,mt7981\0", "mt7981"),
        (b"glinet,gl-mt3000\0mediatek,mt7981b\0", "mt7981"),
        (b"some,ax6000\0mediatek,mt7986a\0", "mt7986"),
        (b"mediatek,mt7620a-soc\0", ""),
        (b"some,mediatek,mt7986a\0", ""),
        (b"", ""),
    ],
)
def test_find(compatible: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / soc.COMPATIBLE).write_bytes(compatible)
    found = soc.find(str(tmp_path))
    assert (found.name if found else "") == expected


def test_no_device_tree(tmp_path: Path) -> None:
    assert soc.find(str(tmp_path)) is None


def test_variants(tmp_path: Path) -> None:
    assert soc.variants(str(tmp_path)) == []
    directory = tmp_path / soc.MODULES_D
    directory.mkdir(parents=True)
    for name in ("natflow", "natflow-wed", "mt7986", "natflow-mt7986", "natflow-mt7621"):
        (directory / name).touch()
    assert soc.variants(str(tmp_path)) == ["mt7621", "mt7986"]
