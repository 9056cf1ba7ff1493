# SPDX-License-Identifier: GPL-2.0-only
"""The part in the virtual router: python -m webdemo.guest.

It is on the bus as the object ``demo``, and stands for what surrounds natflowd on a router: procd,
which starts it and tells it of changes, and firewall4, which offloads flows when told to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import kmodule

from natflow import host
from natflow.bus import ARRAY, TABLE, Bus, Method, open_bus
from natflow.uci.parse import parse
from webdemo.home import Home
from webdemo.traffic import Traffic

SOCKET = "/run/natflow-vm/reach"
TICK = 1.0  # seconds
STOP_SECONDS = 30.0


def offloading(firewall: Path) -> bool:
    """Whether the firewall's configuration asks for its own flow offloading."""
    if not firewall.exists():
        return False
    sections = parse(firewall.read_bytes(), str(firewall))
    return any(each.options.get("flow_offloading") == "1" for each in sections)


class Router:
    """The object ``demo``."""

    def __init__(self, home: Home, config: Path) -> None:
        self.home = home
        self.config = config
        self.daemon: subprocess.Popen[bytes] | None = None
        self.running = True

    def serve(self, bus: Bus) -> None:
        methods = {
            "apply": Method(self._apply, {"files": TABLE}),
            "start": Method(self._start),
            "kernel": Method(self._kernel),
            "run": Method(self._run, {"command": ARRAY}),
            "stop": Method(self._stop),
        }
        bus.serve("demo", methods)

    def _apply(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Write UCI packages, {name: text}, and tell those who use them."""
        for name, text in arguments["files"].items():
            (self.config / Path(name).name).write_text(text, encoding="utf-8")
        self.home.offload(offloading(self.config / "firewall"))
        if self.alive():
            assert self.daemon is not None
            self.daemon.send_signal(signal.SIGHUP)
        return {}

    def alive(self) -> bool:
        return self.daemon is not None and self.daemon.poll() is None

    def _start(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """Start natflowd, unless it runs."""
        if not self.alive():
            command = [sys.executable, "-m", "natflow.daemon", "--socket", SOCKET]
            command += ["--bus", "embedded", "--uci", "embedded", "--config-dir", str(self.config)]
            with self.home.router.entered():
                self.daemon = subprocess.Popen(command, stdout=sys.stderr)
        return {"pid": self.daemon.pid if self.daemon else 0}

    def _kernel(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """What the module says over netlink, past natflowd: settings, and counters by engine."""
        kernel = self.home.lab.kernel
        stats = kernel.stats()
        return {
            "settings": dict(kernel.config().settings),
            "packets": {name: counter.packets for name, counter in stats.engines.items()},
            "states": dict(stats.states),
        }

    def _run(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """A program in the router's namespace; its output."""
        return {"output": self.home.router.run(*map(str, arguments["command"]), check=False)}

    def _stop(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        self.running = False
        return {}

    def close(self) -> None:
        if self.alive():
            assert self.daemon is not None
            self.daemon.terminate()
            self.daemon.wait(STOP_SECONDS)


def main() -> int:
    """Run until told to stop; 1 when the traffic ended before that."""
    kmodule.load()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.callback(kmodule.unload)
        home = Home()
        stack.callback(home.remove)
        Path(host.LEASES).write_text(home.leases(), encoding="utf-8")
        # /tmp is the host's under an overlay: dnsmasq of that machine is not ours.
        os.environ["UCI_CONFIG_DIR"] = folder
        router = Router(home, Path(folder))
        stack.callback(router.close)
        traffic = Traffic(home)
        stack.callback(traffic.close)
        bus = open_bus(SOCKET, "embedded")
        stack.callback(bus.close)
        router.serve(bus)
        while router.running:
            bus.tick(TICK)
            if not traffic.alive():
                print("demo: the traffic has ended", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
