# SPDX-License-Identifier: GPL-2.0-only
"""These tests load a kernel module and make network namespaces: in the virtual router only."""

from __future__ import annotations

import os
from collections.abc import Iterator

import kmodule
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "NATFLOW_VM" not in os.environ:
        outside = pytest.mark.skip(reason="runs in the virtual router only: scripts/test vm")
        for item in items:
            item.add_marker(outside)


@pytest.fixture(scope="session", autouse=True)
def module() -> Iterator[None]:
    """natflow.ko with its default parameters. A test that unloads it loads it again."""
    kmodule.load()
    yield
    kmodule.unload()
