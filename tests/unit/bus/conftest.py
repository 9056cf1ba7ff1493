# SPDX-License-Identifier: GPL-2.0-only
"""A broker to test against, and others on its bus.

The others are processes, not threads: python-ubus keeps the interpreter's lock while it waits.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest
from unit.bus.brokers import RunningBroker

from natflow.bus import Bus

T = TypeVar("T")


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path short enough for a unix socket, which tmp_path often is not."""
    with tempfile.TemporaryDirectory(prefix="nf") as directory:
        yield os.fspath(Path(directory) / "bus")


@pytest.fixture
def unstarted(socket_path: str) -> Iterator[RunningBroker]:
    """A broker to be started by the test; stopped at the latest when that ends."""
    running = RunningBroker(socket_path)
    yield running
    running.stop()


@pytest.fixture
def broker(unstarted: RunningBroker) -> RunningBroker:
    unstarted.start()
    return unstarted


def _fork(body: Callable[[], None]) -> int:
    """Run `body` in a child, whose process id is returned."""
    pid = os.fork()
    if not pid:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            body()
        finally:
            os._exit(0)
    return pid


@pytest.fixture
def meanwhile() -> Callable[..., object]:
    """meanwhile(bus, work): do `work` in a child while `bus` ticks here; its result or error.

    first: what to do here before ticking, when the child is at work already.
    """

    def run(bus: Bus, work: Callable[[], T], first: Callable[[], None] | None = None) -> T:
        reader, writer = os.pipe()

        def body() -> None:
            try:
                outcome: tuple[bool, object] = (True, work())
            except Exception as error:  # whatever it is belongs to the test
                outcome = (False, error)
            with open(writer, "wb") as pipe:
                pickle.dump(outcome, pipe)

        pid = _fork(body)
        os.close(writer)
        with open(reader, "rb") as pipe:
            if first:
                first()
            bus.watch(reader, lambda: None)
            poller = select.poll()
            poller.register(reader, select.POLLIN)
            while not poller.poll(0):
                bus.tick(1.0)
            bus.watch(reader, None)
            good, value = pickle.load(pipe)
        os.waitpid(pid, 0)
        if not good:
            raise value
        result: T = value
        return result

    return run


@pytest.fixture
def serving() -> Callable[[Bus], AbstractContextManager[None]]:
    """with serving(bus): ... - have `bus` served by a child meanwhile."""

    @contextlib.contextmanager
    def serve(bus: Bus) -> Iterator[None]:
        def body() -> None:
            while True:
                bus.tick(60)

        pid = _fork(body)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    return serve
