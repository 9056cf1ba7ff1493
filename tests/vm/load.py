# SPDX-License-Identifier: GPL-2.0-only
"""More traffic than a shaper lets through, and what becomes of it: the rate behind the shaper, and
how long other packets take meanwhile. For a guest whose clock is moved by instructions."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from netns import Netns
from vm.craft import ETH_P_ALL, SO_RCVBUFFORCE, SO_TIMESTAMPNS
from vm.traffic import Thread

SOL_UDP, UDP_SEGMENT = 17, 103
SIZE, SEGMENTS = 1400, 16
WARM_UP, MEASURED = 0.5, 1.5
PROBE_INTERVAL = 0.01

SO_ATTACH_FILTER = 26
# Classic BPF, struct sock_fprog: frames of at most 200 bytes.
_CODE = ctypes.create_string_buffer(
    b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in ((0x80, 0, 0, 0), (0x25, 1, 0, 200), (6, 0, 0, 0xFFFF), (6, 0, 0, 0))
    )
)
SHORT_FRAMES = struct.pack("@HP", 4, ctypes.addressof(_CODE))


class Blast(Thread):
    """Datagrams of SIZE bytes at `rate` bits a second, as super-packets of SEGMENTS each."""

    def __init__(self, sock: socket.socket, rate: float) -> None:
        super().__init__()
        self._sock = sock
        self._pause = SIZE * SEGMENTS * 8 / rate

    def work(self) -> None:
        control = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", SIZE))]
        data = bytes(SIZE * SEGMENTS)
        due = time.monotonic()
        while not self._end.is_set():
            self._sock.sendmsg([data], control)
            due += self._pause
            time.sleep(max(due - time.monotonic(), 0))


class Probes(Thread):
    """Numbered datagrams now and then, and when they arrive at a device: not in a program, which
    may be slow to take them."""

    MARK = b"probe".ljust(80)
    NUMBER = struct.Struct("!I")

    def __init__(self, sock: socket.socket, ns: Netns, device: str) -> None:
        super().__init__()
        self._sock = sock
        self._sent: list[float] = []
        self._tap = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._tap.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, SHORT_FRAMES)
        self._tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        self._tap.bind((device, ETH_P_ALL))

    def work(self) -> None:
        while not self._end.wait(PROBE_INTERVAL):
            self._sent.append(time.time())
            self._sock.send(self.MARK + self.NUMBER.pack(len(self._sent) - 1))

    def delays(self) -> tuple[list[float], int]:
        """What each took, in seconds; how many have not arrived."""
        found: list[float] = []
        with self._tap:
            # The last ones may be on their way still.
            self._tap.settimeout(0.5)
            with suppress(TimeoutError):
                while len(found) < len(self._sent):
                    data, control, _, _ = self._tap.recvmsg(2048, 128)
                    _, mark, number = data.partition(self.MARK)
                    if mark:
                        seconds, nanoseconds = struct.unpack("=qq", control[0][2])
                        sent = self._sent[self.NUMBER.unpack(number)[0]]
                        found.append(seconds + nanoseconds / 1e9 - sent)
        return found, len(self._sent) - len(found)


@contextmanager
def never_idle() -> Iterator[None]:
    """Keeps the processor busy with what gives way to everything else. The clock of an idle guest
    goes on with its host's, in leaps where that one is busy."""
    spinner = subprocess.Popen(["busybox", "sh", "-c", "while :; do :; done"])
    os.sched_setscheduler(spinner.pid, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()


def received(ns: Netns, device: str) -> int:
    """Bytes that a device has received, link-layer headers included."""
    with ns.entered():
        text = Path("/proc/thread-self/net/dev").read_text()
    found = re.search(rf"^ *{device}: *(\d+)", text, re.MULTILINE)
    assert found, f"no {device} in {ns.name}"
    return int(found.group(1))


def wait_until_silent(ns: Netns, device: str) -> None:
    """Until the queues before a device are empty: what comes next would be dropped there."""
    deadline = time.monotonic() + 30
    before = -1
    while (now := received(ns, device)) != before:
        assert time.monotonic() < deadline
        before = now
        time.sleep(0.5)


@dataclass
class Load:
    """What became of it: bits a second, and seconds that each probe took."""

    rate: float
    delays: list[float]
    lost: int

    @property
    def median(self) -> float:
        return statistics.median(self.delays)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.delays, n=20)[-1]


def measure(
    bulk: socket.socket, rate: float, probe: socket.socket, behind: tuple[Netns, str]
) -> Load:
    """`bulk` sends `rate` bits a second, `probe` goes the same way; `behind` is the device at which
    they arrive behind the shaper."""
    probes = Probes(probe, *behind)
    with never_idle(), Blast(bulk, rate):
        time.sleep(WARM_UP)
        with probes:
            begin, before = time.monotonic(), received(*behind)
            time.sleep(MEASURED)
            took, bytes_ = time.monotonic() - begin, received(*behind) - before
    delays, lost = probes.delays()
    wait_until_silent(*behind)
    return Load(bytes_ * 8 / took, delays, lost)
