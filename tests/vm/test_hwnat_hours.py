# SPDX-License-Identifier: GPL-2.0-only
"""Hours in the hardware, with the timeouts of a stock OpenWrt. The guest really lives them: jiffies
pass, which are conntrack's clock and natflow's, and every timer fires; only its idle time passes at
once."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import Pair, ping
from vm.hw import HwLab

# Seconds of the guest are no measure of how long a test takes.
pytestmark = [pytest.mark.leap, pytest.mark.timeout(0)]

TIMEOUT = {"tcp": 7440, "udp": 180}
# The engine forgets a TCP flow after 7 idle seconds, a UDP flow after 12.
KEEPALIVE = 5
# What a listing, the ageing and the reading of counters may add.
SLACK = 15


@contextmanager
def leaping() -> Iterator[None]:
    """Idle time passes at once. Nothing may wait for a file meanwhile, nor start a program."""
    idler = int(Path("/run/natflow-vm/idler").read_text())
    os.kill(idler, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(idler, signal.SIGCONT)


class Life:
    """Two flows whose hosts send a packet each every few seconds, and two that fell silent."""

    def __init__(self, lab: HwLab) -> None:
        self.lab = lab
        self.alive = {"tcp": lab.tcp(4), "udp": lab.udp(4)}
        self.dead = {"tcp": lab.tcp(4), "udp": lab.udp(4)}
        with leaping():
            lab.bind(*self.alive.values(), *self.dead.values())
        self.start = time.monotonic()
        self.number = {name: lab.get(pair).id for name, pair in self.alive.items()}
        self.pings = 0

    def age(self) -> float:
        """Seconds since the dead ones fell silent."""
        return time.monotonic() - self.start

    def until(self, age: float) -> None:
        with leaping():
            while self.age() < age:
                for pair in self.alive.values():
                    ping(pair)
                self.pings += 1
                time.sleep(KEEPALIVE)

    def bound(self) -> bool:
        return all(self.lab.hw_state(pair) == ("bound", "bound") for pair in self.alive.values())

    def check_alive(self) -> None:
        """What the hardware alone forwards keeps its whole timeout."""
        for _ in range(12):
            before = self.lab.soc.port("lan").cpu_rx
            self.until(self.age() + 2 * SLACK)
            # Not in those seconds of a minute when the slow path sees them.
            if self.bound() and self.lab.soc.port("lan").cpu_rx == before:
                break
        else:
            raise AssertionError(f"never left to the hardware: {self.lab.story()}")
        for name, pair in self.alive.items():
            flow = self.lab.get(pair)
            assert flow.id == self.number[name]
            spare = TIMEOUT[name] + 1 - flow.timeout_s
            assert 0 <= spare <= SLACK, self.lab.story(pair)

    def left(self, pair: Pair) -> int | None:
        """How long conntrack keeps a connection that is not offloaded; None: it has none."""
        ports = f"sport={pair.tuple_.sport} dport={pair.tuple_.dport} "
        for line in self.lab.r.run("conntrack", "-L").splitlines():
            if ports in line:
                assert "OFFLOAD" not in line, line
                return int(re.split(r"\s+", line)[2])
        return None

    def check_dead(self, name: str) -> None:
        """It is there until its timeout, and not for longer."""
        last = TIMEOUT[name] - 2 * SLACK
        self.until(last)
        left = self.left(self.dead[name])
        assert left is not None
        assert abs(left - (TIMEOUT[name] - self.age())) < SLACK, (left, self.age())
        self.until(TIMEOUT[name] + SLACK)
        assert self.left(self.dead[name]) is None

    def close(self) -> None:
        for pair in (*self.alive.values(), *self.dead.values()):
            pair.close()


def test_only_what_lives_in_the_hardware_outlives_its_timeout() -> None:
    """For two hours and more, with all timeouts of conntrack as they are on a router. The engine
    binds a flow with its first packet here: a real one wants more of them, and would never keep
    flows as slow as these."""
    with HwLab("mt7986", settings={"idle_timeout": 600000}) as lab:
        lab.soc.set(bind_rate=1)
        lab.r.sysctl(
            net__netfilter__nf_conntrack_tcp_timeout_established=TIMEOUT["tcp"],
            net__netfilter__nf_conntrack_udp_timeout_stream=TIMEOUT["udp"],
        )
        life = Life(lab)
        before = lab.soc.port("lan")
        life.check_dead("udp")
        life.check_alive()
        life.check_dead("tcp")
        life.check_alive()
        after = lab.soc.port("lan")
        by_hardware, by_cpu = after.hw_rx - before.hw_rx, after.cpu_rx - before.cpu_rx
        print(
            f"{life.age():.0f} s, {life.pings} packets of each host; {by_hardware} from the client "
            f"bypassed the router's, {by_cpu} did not"
        )
        # Once a minute the slow path sees a packet of each direction.
        assert by_hardware > 4 * by_cpu
        life.close()


def test_the_smallest_budget_leaves_room_for_proofs() -> None:
    """A quarter of it goes into them, which is less than one: each flow leaves all the same."""
    with HwLab("mt7986", settings={"hw_rate_limit": 1, "idle_timeout": 600000}) as lab:
        lab.soc.set(bind_rate=1)
        pair = lab.udp(4)
        with leaping():
            lab.bind(pair)
            before = lab.kernel.hardware().destroys
            for _ in range(90 // KEEPALIVE):
                ping(pair)
                time.sleep(KEEPALIVE)
            lab.bind(pair)
        assert lab.kernel.hardware().destroys >= before + 2, lab.story(pair)
        pair.close()
