# SPDX-License-Identifier: GPL-2.0-only
"""natflowd and its bus in the router's namespace of a lab."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import Lab
from unit.daemon.processes import Router, wait_for

from natflow.bus import BusError

ON = "config natflow 'main'\n\toption enabled '1'\n\toption delay_pkts '0'\n"


class Site(Router):
    """Router's processes, inside of the router's namespace."""

    def __init__(self, directory: Path, lab: Lab, config: str = ON) -> None:
        super().__init__(directory, config)
        self.lab = lab

    def start_in_namespace(self) -> float:
        """Start natflowd; seconds until it answers."""
        begin = time.monotonic()
        with self.lab.r.entered():
            self.start_daemon()
        wait_for("an answer", self.answers)
        return time.monotonic() - begin

    def answers(self) -> bool:
        try:
            return self.call("status")["module"]["loaded"] is True
        except BusError:
            return False

    def kill_daemon(self) -> None:
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()


@contextmanager
def new_site(directory: Path, config: str = ON) -> Iterator[Site]:
    """A site on a masquerading lab whose module nobody has configured: that is left to natflowd,
    which is yet to be started."""
    lab = Lab(masquerade=True, enable=False)
    site = Site(directory, lab, config)
    try:
        site.start_broker()
        yield site
    finally:
        site.close()
        lab.remove()
