# SPDX-License-Identifier: GPL-2.0-only
"""A broker to test against, and callers that do not share a thread with what they call."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from natflow.bus import Bus
from natflow.bus.broker import Broker

T = TypeVar("T")


class RunningBroker:
    """A broker in a thread of its own, at the same path however often it is started."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._broker: Broker | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._broker = Broker(self.path)
        self._thread = threading.Thread(target=self._broker.run)
        self._thread.start()

    def stop(self) -> None:
        if self._broker and self._thread:
            self._broker.stop()
            self._thread.join(10)
            assert not self._thread.is_alive()
            self._broker = self._thread = None


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A path short enough for a unix socket, which tmp_path often is not."""
    with tempfile.TemporaryDirectory(prefix="nf") as directory:
        yield os.fspath(Path(directory) / "bus")


@pytest.fixture
def broker(socket_path: str) -> Iterator[RunningBroker]:
    running = RunningBroker(socket_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def meanwhile() -> Callable[[Bus, Callable[[], T]], T]:
    """meanwhile(bus, work): run `work` in a thread while `bus` ticks here; its result or error."""

    def run(bus: Bus, work: Callable[[], T]) -> T:
        results: list[T] = []
        errors: list[BaseException] = []
        reader, writer = os.pipe()

        def body() -> None:
            try:
                results.append(work())
            except BaseException as error:  # whatever it is belongs to the test
                errors.append(error)
            os.close(writer)

        thread = threading.Thread(target=body)
        bus.watch(reader, lambda: None)  # readable at its end: the writer is closed
        thread.start()
        try:
            while thread.is_alive():
                bus.tick(0.2)
        finally:
            thread.join(60)
            bus.watch(reader, None)
            os.close(reader)
        if errors:
            raise errors[0]
        return results[0]

    return run
