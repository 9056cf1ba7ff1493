# SPDX-License-Identifier: GPL-2.0-only
"""What holds for every suite: tests/vm runs inside the virtual test router and nowhere else."""

import os
from pathlib import Path

import pytest

VM_TESTS = Path(__file__).with_name("vm")
# Made by the guest's first process, on a file system of its own.
GUEST_MARK = Path("/run/natflow-vm")


def in_guest() -> bool:
    """Whether this process runs in the virtual test router."""
    return GUEST_MARK.is_dir() and "NATFLOW_VM" in os.environ


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of tests/vm, and skip it on a machine whose network is somebody's."""
    skip = pytest.mark.skip(reason="runs in the virtual test router: scripts/test vm")
    for item in items:
        if VM_TESTS in item.path.parents:
            item.add_marker(pytest.mark.vm)
            if not in_guest():
                item.add_marker(skip)
