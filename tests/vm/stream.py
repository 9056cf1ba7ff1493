# SPDX-License-Identifier: GPL-2.0-only
"""A steady stream of numbered datagrams, to see what an event does to running traffic."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType

from vm.craft import SO_RCVBUFFORCE, SO_TIMESTAMPNS

_NUMBER = struct.Struct("!I")
SIZE = 200


class Stream:
    """Sends while the block runs. Times are seconds of CLOCK_REALTIME, those of arrival the
    kernel's."""

    def __init__(
        self, sender: socket.socket, receiver: socket.socket, interval: float = 0.02
    ) -> None:
        self._sender, self._receiver, self._interval = sender, receiver, interval
        self.sent: dict[int, float] = {}
        self.arrived: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            stamp = time.time()
            # What ICMP says about an earlier datagram.
            with suppress(OSError):
                self._sender.send(_NUMBER.pack(number) + bytes(SIZE - _NUMBER.size))
                self.sent[number] = stamp
            number += 1
            self._stop.wait(self._interval)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.read()

    def go_on(self, packets: int) -> None:
        """Until so many more are sent: on a slow machine no time says how many."""
        until, enough = time.monotonic() + 60, len(self.sent) + packets
        while len(self.sent) < enough:
            assert time.monotonic() < until, f"{enough - len(self.sent)} of {packets} not sent"
            time.sleep(0.01)

    def read(self) -> None:
        """Takes in what has arrived so far."""
        while True:
            # The last ones may be on their way still.
            self._receiver.settimeout(0.1)
            try:
                data, control, _, _ = self._receiver.recvmsg(2048, 128)
            except TimeoutError:
                return
            except OSError:
                continue
            seconds, nanoseconds = struct.unpack("=qq", control[0][2])
            self.arrived[_NUMBER.unpack_from(data)[0]] = seconds + nanoseconds / 1e9

    @property
    def lost(self) -> list[int]:
        return sorted(self.sent.keys() - self.arrived.keys())

    def last_arrival(self) -> float:
        return max(self.arrived.values())

    def arrivals_of_sent_after(self, moment: float) -> list[int]:
        return sorted(n for n in self.arrived if self.sent.get(n, 0.0) > moment)
