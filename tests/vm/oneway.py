# SPDX-License-Identifier: GPL-2.0-only
"""Streams that go one way only, of which every packet is accounted for: numbered datagrams, and
bytes over TCP. What is lost, doubled, late or changed is told apart."""

from __future__ import annotations

import hashlib
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from vm.craft import SO_RCVBUFFORCE
from vm.traffic import PIECE, Thread

_NUMBER = struct.Struct("!I")
# struct tcp_info (linux/tcp.h): segments with data that came in, and that went out, those sent
# again included; and how often a segment came in out of order.
_SEGMENTS_IN, _SEGMENTS_OUT, _OUT_OF_ORDER = 152, 156, 224
BLOCK = 4000
SETTLE_SECONDS = 20.0


class Result(NamedTuple):
    """Packets of one stream. `late`: those that came after one that was sent after them;
    `overtaken`: by how many at the most."""

    sent: int
    lost: int
    doubled: int
    late: int
    overtaken: int
    intact: bool


class _Stream:
    """From one socket to the other, neither of which waits."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        self._sender, self._receiver = sender, receiver
        for sock in (sender, receiver):
            sock.setblocking(False)

    def end(self) -> None:
        """The sockets are as they were."""
        for sock in (self._sender, self._receiver):
            sock.settimeout(10)


class Datagrams(_Stream):
    """Numbered datagrams of many sizes."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        super().__init__(sender, receiver)
        self.sent = 0
        self.bytes = 0
        self._arrived: list[int] = []
        self._intact = True
        # It is read in the end only, so that its order is that of arrival.
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)

    @staticmethod
    def _datagram(number: int) -> bytes:
        size = number * 37 % 1100
        return _NUMBER.pack(number) + PIECE[number * 1009 % 65536 :][:size]

    def send(self) -> None:
        self.bytes += self._sender.send(self._datagram(self.sent))
        self.sent += 1

    def relieve(self) -> None:
        """Nothing: the receiver's buffer has room for all."""

    def settled(self) -> bool:
        """Takes in what has come; whether that is all."""
        with suppress(BlockingIOError):
            while True:
                data = self._receiver.recv(2048)
                (number,) = _NUMBER.unpack_from(data)
                self._arrived.append(number)
                self._intact &= data == self._datagram(number)
        return len(set(self._arrived)) == self.sent

    def result(self) -> Result:
        late = overtaken = 0
        for place, number in enumerate(self._arrived):
            before = sum(other > number for other in self._arrived[max(0, place - 1000) : place])
            late += before > 0
            overtaken = max(overtaken, before)
        different = len(set(self._arrived))
        return Result(
            sent=self.sent,
            lost=self.sent - different,
            doubled=len(self._arrived) - different,
            late=late,
            overtaken=overtaken,
            intact=self._intact,
        )


class Bytes(_Stream):
    """Bytes over TCP. Its packets are counted by the two ends' stacks."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        super().__init__(sender, receiver)
        self.bytes = self._received = 0
        self._digests = hashlib.sha256(), hashlib.sha256()
        self._start = self._counts()

    def _counts(self) -> tuple[int, int, int]:
        def read(sock: socket.socket, offset: int) -> int:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            return int(struct.unpack_from("=I", info, offset)[0])

        return (
            read(self._sender, _SEGMENTS_OUT),
            read(self._receiver, _SEGMENTS_IN),
            read(self._receiver, _OUT_OF_ORDER),
        )

    def send(self) -> None:
        block = PIECE[self.bytes % 65521 :][:BLOCK]
        with suppress(BlockingIOError):
            taken = self._sender.send(block)
            self._digests[0].update(block[:taken])
            self.bytes += taken

    def relieve(self) -> None:
        """Makes room for more."""
        with suppress(BlockingIOError):
            while part := self._receiver.recv(1 << 16):
                self._digests[1].update(part)
                self._received += len(part)

    def settled(self) -> bool:
        self.relieve()
        return self._received == self.bytes

    def late(self) -> int:
        """Segments so far that came out of order."""
        return self._counts()[2] - self._start[2]

    def result(self) -> Result:
        out, came, disorder = (
            now - start for now, start in zip(self._counts(), self._start, strict=True)
        )
        return Result(
            sent=out,
            # A segment that was sent again is one that was lost, or that came twice.
            lost=max(out - came, 0),
            doubled=max(came - out, 0),
            late=disorder,
            overtaken=0,
            intact=self._digests[0].digest() == self._digests[1].digest(),
        )


class Streams(Thread):
    """All of them at once, while a "with" block runs."""

    def __init__(self, streams: Sequence[Datagrams | Bytes], interval: float = 0.02) -> None:
        super().__init__()
        self.streams, self.interval = streams, interval
        self.rounds = 0

    def work(self) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            for stream in self.streams:
                stream.send()
                stream.relieve()
            self.rounds += 1
            due = max(due + self.interval, time.monotonic())
            self._end.wait(due - time.monotonic())
        until = time.monotonic() + SETTLE_SECONDS
        while [stream for stream in self.streams if not stream.settled()]:
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        for stream in self.streams:
            stream.end()

    def go_on(self, rounds: int) -> None:
        """Until each has sent so many times more."""
        goal = self.rounds + rounds
        until = time.monotonic() + 60
        while self.rounds < goal and not self._failure:
            assert time.monotonic() < until, f"{self.rounds} of {goal} rounds"
            time.sleep(0.02)
