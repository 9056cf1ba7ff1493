# SPDX-License-Identifier: GPL-2.0-only
"""These tests load a kernel module and make network namespaces: in the virtual router only."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import kmodule
import netns
import pytest

# The kernel patches its code when the first ingress hook comes and the last one goes. QEMU 7.2
# with a thread for each processor can go on with what it translated before, for ever.
KEPT_HOOK = "table netdev kept { chain c { type filter hook ingress device lo priority 0; }\n}\n"


class Table:
    """A table that is printed after the tests: lines by name, each with its columns."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, str]] = {}

    def line(self, name: str) -> dict[str, str]:
        return self.lines.setdefault(name, {})

    def text(self) -> list[str]:
        columns = list(dict.fromkeys(name for line in self.lines.values() for name in line))
        rows = [["", *columns]]
        rows += [[name, *map(line.get, columns)] for name, line in self.lines.items()]
        cells = [[cell or "" for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]


MATRIX, STREAMS, SHAPING = (pytest.StashKey[Table]() for _ in range(3))
TITLES = {
    MATRIX: "links: share of fast packets, and how far counters are off",
    STREAMS: "streams across hardware on, off and on again",
    SHAPING: "cake, 50 Mbit/s, under load: rate, and delay of other packets",
}


def pytest_configure(config: pytest.Config) -> None:
    for key in TITLES:
        config.stash[key] = Table()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for key, title in TITLES.items():
        table = terminalreporter.config.stash[key]
        if table.lines:
            terminalreporter.section(title)
            for line in table.text():
                terminalreporter.line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Failures are told at once, too: the guest may not live to see the end of the run."""
    report = yield
    if report.failed:
        writer = item.config.get_terminal_writer()
        writer.line()
        for line in report.longreprtext.splitlines():
            if line.startswith("E  "):
                writer.line(line)
    return report


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config) -> Table:
    """Which links were accelerated, for test_matrix.py."""
    return pytestconfig.stash[MATRIX]


@pytest.fixture(scope="session")
def streams_table(pytestconfig: pytest.Config) -> Table:
    """What has become of streams, for test_hwnat_links.py."""
    return pytestconfig.stash[STREAMS]


@pytest.fixture(scope="session")
def shaping(pytestconfig: pytest.Config) -> Table:
    """What became of shaped traffic, for test_shaping.py."""
    return pytestconfig.stash[SHAPING]


@pytest.fixture(scope="session", autouse=True)
def module() -> Iterator[None]:
    """natflow.ko with its default parameters. A test that unloads it loads it again."""
    netns.run("nft", "-f", "-", text=KEPT_HOOK)
    kmodule.load()
    yield
    kmodule.unload()
    netns.run("nft", "delete", "table", "netdev", "kept")
