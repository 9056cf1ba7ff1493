# SPDX-License-Identifier: GPL-2.0-only
"""What the bus costs a router: memory, start-up time, and which backend is taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from unit.bus.brokers import SOURCE

from natflow.bus import open_bus

SCRIPT = """
import sys, time
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4
before, started = rss(), time.perf_counter()
import natflow.bus.embedded
seconds, after = time.perf_counter() - started, rss()
import json
print(json.dumps({"seconds": seconds, "kb": after - before, "modules": sorted(sys.modules)}))
"""


def measure() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": os.fspath(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_embedded_bus_is_light() -> None:
    measure()  # compiles, if nobody has yet
    best = min((measure() for _ in range(5)), key=lambda one: float(one["seconds"]))
    print(f"import natflow.bus.embedded: {best['seconds'] * 1e3:.1f} ms, +{best['kb']} kB RSS")
    heavy = {"asyncio", "logging", "dataclasses", "inspect", "typing", "json", "argparse", "ubus"}
    # json is what the script itself imports, after measuring.
    assert not heavy & set(best["modules"]) - {"json"}
    assert best["kb"] < 5000
    assert best["seconds"] < 0.2


def test_backends_are_chosen(monkeypatch: pytest.MonkeyPatch, socket_path: str) -> None:
    monkeypatch.setitem(sys.modules, "ubus", None)  # not installed
    assert type(open_bus(socket_path)).__name__ == "EmbeddedBus"
    with pytest.raises(ImportError):
        open_bus(socket_path, "libubus")
    monkeypatch.setenv("NATFLOW_BUS", "libubus")
    with pytest.raises(ImportError):
        open_bus(socket_path)
    monkeypatch.setenv("NATFLOW_BUS", "dbus")
    with pytest.raises(ValueError, match="'dbus': must be one of auto, libubus, embedded"):
        open_bus(socket_path)
    monkeypatch.setenv("NATFLOW_BUS", "embedded")
    monkeypatch.setenv("UBUS_SOCKET", socket_path)
    bus = open_bus()
    assert getattr(bus, "path", None) == socket_path
