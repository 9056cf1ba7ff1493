# SPDX-License-Identifier: GPL-2.0-only
"""Faults, events and traffic in random order. After each round all is lifted: every connection
comes back to the hardware, nothing of the data of TCP is lost, the simulator has no complaint.

NATFLOW_SOAK_SECONDS makes it longer; NATFLOW_SOAK_SEED makes it another one, or several: "2,3".
"""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress

import kmodule
import ppesim
import pytest
from lab import LAN6, Pair, ping
from vm.faults import COMMANDS, LABS, empty, lift, there
from vm.hw import HwLab
from vm.traffic import Accounted

SECONDS = float(os.environ.get("NATFLOW_SOAK_SECONDS", "5"))
SEEDS = os.environ.get("NATFLOW_SOAK_SEED", "1").split(",")
ERRORS = (errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.EINVAL, errno.ENODEV, errno.EAGAIN)
ROUND = 4.0
SECONDS_TCP = 40.0


class Rough(Accounted):
    """Datagrams may get lost on the way, and ICMP may tell so. TCP's data may not."""

    def _send(self) -> None:
        with suppress(ConnectionError, OSError):
            super()._send()

    def _read(self, timeout: float) -> bool:
        with suppress(OSError):
            return super()._read(timeout)
        return True

    def missing(self) -> list[int]:
        """Bytes that have not arrived, of each direction of TCP."""
        progress = list(self._streams.values())
        return [
            sent - got
            for one, other in zip(progress[::2], progress[1::2], strict=True)
            for sent, got in ((one[0], other[1]), (other[0], one[1]))
        ]

    def work(self) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            if time.monotonic() >= due:
                self._send()
                due = time.monotonic() + self.interval
            self._read(max(due - time.monotonic(), 0))
        # After some losses in a row TCP waits for long before it tries again.
        until = time.monotonic() + SECONDS_TCP
        while any(self.missing()):
            assert time.monotonic() < until, f"TCP data is missing: {self.missing()}"
            self._read(0.5)
        self.quiet = time.monotonic() - until + SECONDS_TCP


class Soak:
    """What may happen, each by its name."""

    def __init__(self, lab: HwLab, dice: random.Random) -> None:
        self.lab, self.dice = lab, dice
        self.done: list[str] = []

    def fail(self) -> None:
        command = self.dice.choice(COMMANDS)
        # A driver that hardly ever lets go keeps what it has when its block goes.
        percent = self.dice.choice((0, 20, 50))
        count, error = self.dice.randrange(12), self.dice.choice(ERRORS)
        self.done[-1] += f" {command} {count} {errno.errorcode[error]} {percent}%"
        self.lab.soc.fail(command, count, error, percent)

    def stall(self) -> None:
        command, ms = self.dice.choice(COMMANDS), self.dice.choice((20, 100, 300))
        self.done[-1] += f" {command} {ms}"
        self.lab.soc.stall(command, ms)

    def reset(self) -> None:
        self.lab.soc.reset()

    def fill(self) -> None:
        self.lab.soc.fill(self.dice.choice((0, 30, 100)))

    def cable(self) -> None:
        port = self.lab.ports[self.dice.choice(("lan", "wan"))]
        self.lab.soc.link(port, False)
        time.sleep(self.dice.choice((0, 0.3)))
        self.lab.soc.link(port, True)

    def down(self) -> None:
        # Not the WAN: masquerading ends its connections, with whatever they have sent.
        port = self.lab.ports["lan"]
        self.lab.r.ip(f"link set {port} down", f"link set {port} up")
        if port == "lan":
            # Its IPv6 address went with it.
            self.lab.r.ip(f"addr add {LAN6}/64 dev lan nodad")

    def flush(self) -> None:
        self.lab.kernel.flush()

    def reprove(self) -> None:
        self.lab.kernel.reprove()

    def hwnat(self) -> None:
        self._toggle("hwnat")

    def wed(self) -> None:
        self._toggle("hwnat_wed")

    def enabled(self) -> None:
        self._toggle("enabled")

    def _toggle(self, setting: str) -> None:
        self.lab.configure(**{setting: 0})
        time.sleep(self.dice.choice((0, 0.2)))
        self.lab.configure(**{setting: 1})

    def address(self) -> None:
        self.lab.r.ip("addr add 203.0.113.1/32 dev wan", "addr del 203.0.113.1/32 dev wan")

    def module(self) -> None:
        self.lab.unload()
        kmodule.load_hwnat(self.lab.soc.profile)
        self.lab.client_loaded = True

    def lift(self) -> None:
        lift(self.lab)

    def step(self) -> None:
        actions: list[Callable[[], None]] = [
            *(self.fail, self.fail, self.fail, self.stall, self.stall, self.lift),
            *(self.reset, self.fill, self.cable, self.down, self.flush, self.reprove),
            *(self.hwnat, self.wed, self.enabled, self.address, self.module),
        ]
        action = self.dice.choice(actions)
        self.done.append(action.__name__)
        action()
        print(self.done[-1], end="; ")
        time.sleep(self.dice.random() / 2)


def drain(pair: Pair) -> None:
    """Late datagrams are of no interest, nor what ICMP told."""
    for sock in (pair.client, pair.server):
        sock.setblocking(False)
        for _ in range(1000):
            try:
                sock.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:
                continue
        sock.settimeout(10)


@pytest.mark.parametrize("seed", [int(seed) for seed in SEEDS])
def test_soak(seed: int) -> None:
    profile = ppesim.PROFILES[seed % len(ppesim.PROFILES)]
    print(f"NATFLOW_SOAK_SEED={seed} NATFLOW_SOAK_SECONDS={SECONDS:g}: {profile}")
    dice = random.Random(seed)
    lan, wan = LABS[profile]
    end = time.monotonic() + SECONDS
    with HwLab(profile, lan=lan, wan=wan) as lab:
        lab.soc.seed(seed)
        udp, tcp = [lab.udp(4), lab.udp(6)], [lab.tcp(4), lab.tcp(6)]
        soak = Soak(lab, dice)
        while True:
            soak.done.clear()
            until = time.monotonic() + ROUND
            traffic = Rough(udp, tcp, 0.02)
            with traffic:
                while time.monotonic() < until:
                    soak.step()
                lift(lab)
            print(f"TCP was whole after {traffic.quiet:.1f} s")
            told = "; ".join(soak.done)
            for pair in (*udp, *tcp):
                drain(pair)
            # Without the long waits for what was refused.
            lab.configure(hwnat=0)
            lab.configure(hwnat=1)
            lab.kernel.flush()
            there(lab, *udp, *tcp)
            for pair in (*udp, *tcp):
                ping(pair, 20)
            assert lab.soc.detectors() == {}, told
            lab.kernel.flush()
            empty(lab, seconds=5)
            if time.monotonic() > end:
                break
        for pair in (*udp, *tcp):
            pair.close()
