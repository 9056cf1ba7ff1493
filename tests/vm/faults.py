# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the simulated hardware: how tests set them, and how they wait in the middle of one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab import Pair, ping
from vm.hw import SECONDS, HwLab

COMMANDS = ("bind", "unbind", "replace", "destroy", "stats")
# A topology for each profile: switch ports, two MACs, WiFi behind WED, a bridge.
LABS = {
    "mt7621": ("dsa-bridge", "dsa"),
    "mt7622": ("gmac", "gmac1"),
    "mt7981": ("wed", "gmac"),
    "mt7986": ("gmac-bridge", "gmac1"),
}


def lift(lab: HwLab) -> None:
    """The hardware works again."""
    for command in COMMANDS:
        lab.soc.fail(command, 0, 0)
        lab.soc.stall(command, 0)
    lab.soc.fill(0)
    lab.soc.set(bind_rate=3)
    for port in lab.ports.values():
        lab.soc.link(port, True)


def there(lab: HwLab, *pairs: Pair) -> None:
    """Traffic until the hardware forwards both ways of each. natflow may not have seen it yet."""
    until = time.monotonic() + SECONDS * 2
    left = list(pairs)
    while left:
        bound = [flow.ports for flow in lab.soc.flows() if flow.bound]
        left = [
            pair
            for pair in left
            if sum(pair.server.getsockname()[1] in ports for ports in bound) < 2
        ]
        assert time.monotonic() < until, lab.story(*left)
        for pair in left:
            ping(pair, 5)


def caught(lab: HwLab, command: str, *pairs: Pair) -> None:
    """Traffic until the driver is in the middle of such a command."""
    until = time.monotonic() + SECONDS
    while lab.soc.running() != command:
        assert time.monotonic() < until, (command, lab.story(*pairs))
        for pair in pairs:
            ping(pair, 2)


def empty(lab: HwLab, *pairs: Pair, seconds: float = SECONDS) -> None:
    """Nothing is left in the hardware, now or soon. No traffic: nothing new comes."""
    until = time.monotonic() + seconds
    while lab.left() != ([], []):
        assert time.monotonic() < until, lab.story(*pairs)
        time.sleep(0.05)


@contextmanager
def aside(function: Callable[[], object]) -> Iterator[None]:
    """The function runs while the block does; its end is waited for."""
    failure: list[BaseException] = []

    def work() -> None:
        try:
            function()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    assert not thread.is_alive()
    if failure:
        raise failure[0]


def errors(lab: HwLab, number: int) -> int:
    """How often a driver has answered with this error number since the module was loaded."""
    return lab.kernel.hardware().errors.get(number, 0)


def bound_blocks(lab: HwLab) -> int:
    """Flow blocks that the drivers hold."""
    return sum(port.bound for port in lab.soc.ports().values())
