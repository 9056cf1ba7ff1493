# SPDX-License-Identifier: GPL-2.0-only
"""The simulator, loaded for each file, and a bench that all tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator

import ppesim
import pytest
from vm.ppesim.bench import Bench, new_bench


@pytest.fixture(scope="module", autouse=True)
def simulator() -> Iterator[None]:
    ppesim.load()
    yield
    ppesim.unload()


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    with new_bench("mt7986") as bench:
        for device in ("lan", "wan", "user", "wifi"):
            assert bench.probe.bind(device) == 0
        yield bench
        for device in ("lan", "wan", "user", "wifi"):
            assert bench.probe.unbind(device) == 0
        assert bench.soc.detectors() == {}


@pytest.fixture
def bench(shared: Bench) -> Iterator[Bench]:
    """Nothing is installed, and no mistake has been made."""
    shared.soc.set(bind_rate=1, wed_attached=1, init_net_only=0)
    yield shared
    for flow in shared.soc.flows():
        assert shared.probe.destroy("lan", int(flow.cookie, 16)) == 0
    shared.soc.reset()
    shared.soc.zero()
    for wire in shared.wires.values():
        wire.frames()
