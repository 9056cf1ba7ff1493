# SPDX-License-Identifier: GPL-2.0-only
"""What a household does all day, without an end: paced, because the emulated router is slow."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from demo_guest import FTP_PORT
from lab import SERVER4, SERVER6
from netns import Netns

from webdemo.home import Home

STEP = 0.1  # seconds
PACKET = 1200  # bytes in a datagram
WAVE = 20.0  # seconds; the rate swings, so that the graph shows something


@dataclass
class Line:
    """One connection, and the bytes per second that each end sends."""

    client: socket.socket
    server: socket.socket
    up: int
    down: int

    def step(self, seconds: float) -> None:
        """Send what is due, and take what has come. What does not fit is not sent."""
        for sender, taker, rate in ((self.client, self.server, self.up),
                                    (self.server, self.client, self.down)):  # fmt: skip
            due = int(rate * seconds)
            with contextlib.suppress(BlockingIOError):
                if sender.type == socket.SOCK_STREAM:
                    sender.send(bytes(due))
                else:
                    for _ in range(max(1, due // PACKET)):
                        sender.send(bytes(min(due, PACKET)))
            with contextlib.suppress(BlockingIOError):
                while len(taker.recv(1 << 18)) == 1 << 18:
                    pass

    def close(self) -> None:
        self.client.close()
        self.server.close()


def dial(
    host: Netns, internet: Netns, kind: int, port: int, up: int, down: int, version: int = 4
) -> Line:
    """A connection from a host to a port of the server."""
    family, address = (socket.AF_INET, SERVER4) if version == 4 else (socket.AF_INET6, SERVER6)
    passive = internet.socket(family, kind)
    passive.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    passive.bind((address, port))
    active = host.socket(family, kind)
    for sock in (active, passive):
        sock.settimeout(10)
    if kind == socket.SOCK_STREAM:
        passive.listen()
        active.connect((address, port))
        accepted, _ = passive.accept()
        passive.close()
        passive = accepted
    else:
        active.connect((address, port))
        active.send(b"hello")
        _, peer = passive.recvfrom(100)
        passive.connect(peer)
    for sock in (active, passive):
        sock.setblocking(False)
    return Line(active, passive, up, down)


def lasting(home: Home) -> Iterator[Line]:
    """The connections that stay. The FTP one has a helper, so natflow leaves it alone."""
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    laptop, phone, television = (home.hosts[name] for name in ("laptop", "phone", "television"))
    yield dial(laptop, home.internet, tcp, 443, 8_000, 250_000)
    yield dial(laptop, home.internet, tcp, 443, 5_000, 120_000, version=6)
    yield dial(laptop, home.internet, tcp, FTP_PORT, 200, 2_000)
    yield dial(phone, home.internet, udp, 3478, 60_000, 60_000)
    yield dial(television, home.internet, tcp, 8443, 2_000, 400_000)


def play(home: Home) -> None:
    """Go on until killed: the lasting connections, and short ones that come and go."""
    lines = list(lasting(home))
    phone = home.hosts["phone"]
    short: list[Line] = []
    started = last = time.monotonic()
    step = 0
    while True:
        time.sleep(max(0.0, STEP - (time.monotonic() - last)))
        now = time.monotonic()
        # After a pause of the whole guest there is nothing to catch up with.
        seconds, last = min(now - last, 2 * STEP), now
        swing = 1 + 0.4 * math.sin(2 * math.pi * (now - started) / WAVE)
        for line in lines:
            line.step(seconds * swing)
        if step % 20 == 0:
            for line in short:
                line.close()
            kind = (socket.SOCK_DGRAM, 53) if step % 40 else (socket.SOCK_STREAM, 80)
            short = [dial(phone, home.internet, *kind, 100, 3_000)]
        for line in short:
            line.step(seconds)
        step += 1


class Traffic:
    """play() in a process of its own; a fork, so that nothing is imported twice."""

    def __init__(self, home: Home) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                play(home)
            finally:
                os._exit(1)

    def alive(self) -> bool:
        """Whether it still goes on; it never ends by itself."""
        if self.pid and os.waitpid(self.pid, os.WNOHANG) != (0, 0):
            self.pid = 0
        return self.pid != 0

    def close(self) -> None:
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)
            self.pid = 0
