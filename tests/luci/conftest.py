# SPDX-License-Identifier: GPL-2.0-only
"""A browser, and routers for it: broker, natflowd on a module in memory, LuCI host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from luci.browser import CHROMEDRIVER, CHROMIUM, DESKTOP, Browser
from luci.web import Web


def browser_missing() -> str:
    """Why there is no browser here, "" when there is one."""
    for program in (CHROMIUM, CHROMEDRIVER):
        if not os.access(program, os.X_OK):
            return f"{program} is not installed (scripts/setup does it)"
    return ""


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Started once: it takes seconds."""
    if missing := browser_missing():
        pytest.fail(missing)
    made = Browser(tmp_path_factory.mktemp("profile"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """A window on a desk, in light colours and English, that must not have run into an error."""
    chromium.size(DESKTOP)
    chromium.dark(False)
    chromium.language("en")
    chromium.complaints()
    yield chromium
    complaints = chromium.complaints()
    chromium.leave()
    assert complaints == []


@pytest.fixture
def make_router(tmp_path: Path) -> Iterator[Callable[[str], Web]]:
    """Routers of this test alone, by world."""
    made: list[Web] = []

    def make(world: str) -> Web:
        made.append(Web(tmp_path, world))
        return made[-1]

    yield make
    for web in made:
        web.close()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A router with traffic, for tests that only look."""
    web = Web(tmp_path_factory.mktemp("busy"), "busy")
    try:
        yield web
    finally:
        web.close()
