# SPDX-License-Identifier: GPL-2.0-only
"""A router with its web pages: broker, natflowd on a module in memory, LuCI host.

$LUCI_TREE, a checkout of LuCI, runs the same tests on LuCI's own browser part and theme.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from luci_host.server import Host
from unit.daemon.processes import Router

CONFIG = "config natflow 'main'\n\toption enabled '1'\n"
FIREWALL = "config defaults\n\toption input 'REJECT'\n"
ROUTERD = Path(__file__).with_name("routerd.py")
REAL_LUCI = Path(os.environ["LUCI_TREE"]) if os.environ.get("LUCI_TREE") else None


class Web(Router):
    """A router with its web pages."""

    def __init__(self, directory: Path, world: str) -> None:
        super().__init__(directory, CONFIG)
        self.world = world
        self.applied: list[str] = []
        self.started: list[tuple[str, str]] = []
        (directory / "luci").touch()  # LuCI's own form asks for it
        (directory / "firewall").write_text(FIREWALL, encoding="utf-8")
        self.start_broker()
        self.run_daemon()
        self.host = Host(
            self.socket, directory, self._applied, self._start_service, luci_tree=REAL_LUCI
        )
        self.host.start()

    def run_daemon(self) -> None:
        """natflowd in its world, on the bus."""
        self.daemon = self._start(str(ROUTERD), self.world, "--uci", "embedded")
        self.wait_for_daemon()

    def _applied(self, packages: list[str]) -> None:
        """What procd's trigger does."""
        self.applied += packages
        if self.daemon is not None and self.daemon.poll() is None:
            self.signal(signal.SIGHUP)

    def _start_service(self, service: str, action: str) -> None:
        self.started.append((service, action))
        if self.daemon is None or self.daemon.poll() is not None:
            self.run_daemon()

    def read(self, package: str = "natflow") -> str:
        return (self.directory / package).read_text(encoding="utf-8")

    def close(self) -> None:
        self.host.close()
        super().close()
