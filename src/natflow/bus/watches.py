# SPDX-License-Identifier: GPL-2.0-only
"""Waiting for the bus and for the descriptors a program watches, in one poll."""

from __future__ import annotations

import select

from natflow.bus.dispatch import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FOREVER = float("inf")


class Watches:
    """The watched descriptors: {fd: what to call when it is readable}."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[], None]] = {}

    def set(self, fd: int, callback: Callable[[], None] | None) -> None:
        """Watch `fd`, or (None) no longer."""
        if callback is None:
            self._callbacks.pop(fd, None)
        else:
            self._callbacks[fd] = callback

    def wait(self, seconds: float, bus: int, interest: int) -> tuple[bool, int]:
        """Wait until something is ready, at most `seconds`, and run the callbacks that are due.

        bus, interest: the bus's descriptor (-1: none) and what to poll it for. Returns whether
        anything was ready, and what poll said of the bus.
        """
        poller = select.poll()
        if bus >= 0:
            poller.register(bus, interest)
        for fd in self._callbacks:
            poller.register(fd, select.POLLIN)
        # Rounded up, lest the last millisecond be spent spinning; poll takes an int.
        timeout = None if seconds == FOREVER else min(seconds * 1000 + 0.999, 1 << 30)
        ready = poller.poll(timeout)
        of_bus = 0
        for fd, what in ready:
            if fd == bus:
                of_bus = what
            elif what & select.POLLNVAL:
                log(f"no longer watching descriptor {fd}: it is closed")
                self._callbacks.pop(fd, None)
            elif (callback := self._callbacks.get(fd)) is not None:
                callback()
        return bool(ready), of_bus
