# SPDX-License-Identifier: GPL-2.0-only
"""A control device in memory, with the rules of the published one: see tests/kmod/natflow_ctlsim.c.

``Played`` takes the place of ctldev.Device; the module behind it is its attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from natflow.kernel.ctldev import Session
from natflow.kernel.errors import KernelError

PATH = "/dev/natflow_ctl"
FRESH = {
    "debug": 0,
    "disabled": 1,
    "hwnat": 1,
    "hwnat_wed_disabled": 0,
    "delay_pkts": 0,
    "go_slowpath_if_no_qos": 0,
    "ifname_group_type": 0,
}

Result = TypeVar("Result")


class Played:
    """``refused`` are the settings it never takes, ``error`` fails each call, ``before`` is called
    before each line that is written, as another writer that comes in between.
    """

    def __init__(self, **settings: int) -> None:
        self.settings = {**FRESH, **settings}
        self.half = ""
        self.lines: list[str] = []
        self.nonsense: list[str] = []
        self.refused: set[str] = set()
        self.error: KernelError | None = None
        self.before: Callable[[str], None] = lambda _: None
        self.listing: list[str] | None = None
        self.locks: list[str] = []

    def call(self, work: Callable[[Session], Result], shared: bool = False) -> Result:
        """Run work at once."""
        if self.error is not None:
            raise self.error
        self.locks.append("shared" if shared else "exclusive")
        return work(PlayedSession(self))

    def write(self, text: str) -> None:
        """What any writer may write: lines, or parts of them."""
        *whole, self.half = (self.half + text).split("\n")
        for line in filter(None, whole):
            self.lines.append(line)
            name, _, value = line.partition("=")
            if name not in self.settings and name != "update_magic":
                self.nonsense.append(line)
            elif value.isdigit() and name not in self.refused:
                self.settings[name] = int(value)

    def read(self) -> list[str]:
        """The lines of cat."""
        if self.listing is not None:
            return self.listing
        return ["# played", *(f"{name}={value}" for name, value in self.settings.items()), ""]


class PlayedSession(Session):
    """The real one, with the module in the place of the file."""

    def __init__(self, device: Played) -> None:
        super().__init__(PATH)
        self.device = device

    def _write(self, data: bytes, what: str) -> None:
        self.device.before(what)
        self.device.write(data.decode())

    def read(self) -> list[str]:
        return self.device.read()
