# SPDX-License-Identifier: GPL-2.0-only
"""A client stays with the network namespace in which it was made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from natflow.kernel.errors import KernelError
from natflow.kernel.namespace import PATH, Namespace

SOURCE = Path(__file__).resolve().parents[3] / "src"

MOVED = """
import ctypes, os, sys
from natflow.kernel.namespace import PATH, Namespace
home = Namespace()
first = os.stat(PATH).st_ino
if ctypes.CDLL(None).unshare(0x40000000):
    sys.exit(77)
second = os.stat(PATH).st_ino
with home.entered():
    inside = os.stat(PATH).st_ino
print(first != second, inside == first, os.stat(PATH).st_ino == second)
"""


def test_nothing_happens_at_home() -> None:
    home = Namespace()
    before = os.stat(PATH).st_ino
    with home.entered():
        assert os.stat(PATH).st_ino == before
    home.close()
    home.close()
    with pytest.raises(KernelError), home.entered():
        pass


def test_it_goes_back_and_returns() -> None:
    result = subprocess.run(
        [sys.executable, "-c", MOVED],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 77:
        pytest.skip("no permission to make a network namespace")
    assert result.stdout == "True True True\n", result.stderr
