# SPDX-License-Identifier: GPL-2.0-only
"""Ten thousand new connections a second, each of them accelerated, and two that are worth it. On a
clock that counts instructions: an emulated router is as fast as a real one by that."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lab import Pair, ping
from vm.churn import Churn
from vm.hw import HwLab

pytestmark = pytest.mark.icount

RATE = 10000
LIMIT = 200
# Packets each way: the third of them go by the fast path.
ROUNDS = 3
BATCH = 100
# Seconds of churn before the elephants come, that they may take to be bound, and that they stay. Of
# the second, two are for their rate to be seen and their counters to be read; three, when mice have
# taken all places that an elephant could have, for the engine to forget them; and some to spare.
BEFORE, BIND, AFTER = 0.7, 8.0, 1.2
CONNTRACKS = 262144


class Run:
    """Churn, a little faster than asked for, and a little of other traffic after each batch."""

    def __init__(self, lab: HwLab) -> None:
        self.lab = lab
        self.churn = Churn(lab, round(RATE * 1.05 * (BEFORE + BIND + AFTER)))
        self.start = time.monotonic()
        self.elephants: list[Pair] = []

    def age(self) -> float:
        return time.monotonic() - self.start

    def step(self) -> None:
        self.churn.run(BATCH, ROUNDS)
        for pair in self.elephants:
            ping(pair, 2, 1000)
        early = self.churn.next / (RATE * 1.05) - self.age()
        if early > 0:
            time.sleep(early)

    def until(self, age: float) -> None:
        while self.age() < age:
            self.step()

    def bound(self) -> bool:
        return all(self.lab.hw_state(pair) == ("bound", "bound") for pair in self.elephants)

    def close(self) -> None:
        self.churn.close()
        for pair in self.elephants:
            pair.close()


def test_elephants_get_in_and_the_budget_holds() -> None:
    Path("/proc/sys/net/netfilter/nf_conntrack_max").write_text(str(CONNTRACKS))
    # Mice are forgotten soon, in the hardware, too.
    with HwLab("mt7986", settings={"hw_rate_limit": LIMIT, "idle_timeout": 3000}) as lab:
        # As in the hardware.
        lab.soc.set(bind_rate=30)
        run = Run(lab)
        run.until(BEFORE)
        run.elephants = [lab.udp(4), lab.tcp(4)]
        came = run.age()
        while not run.bound():
            run.until(run.age() + 0.1)
            assert run.age() < came + BIND, lab.story(*run.elephants)
        took, until = run.age() - came, run.age() + AFTER
        while run.age() < until:
            run.until(run.age() + 0.25)
            assert run.bound(), lab.story(*run.elephants)
        rate, told = run.churn.next / run.age(), lab.soc.counters()
        print(
            f"{run.churn.next} connections, {rate:.0f} a second for {run.age():.1f} s; elephants "
            f"bound after {took:.1f} s; {told['cmd_replace']} directions installed, "
            f"{told['cmd_replace_most']} in the fullest second"
        )
        assert rate >= RATE
        # The mice were accelerated, and would have been welcome.
        fast = lab.kernel.stats().engines["software"].packets
        assert fast >= run.churn.next, fast
        assert told["cmd_replace_most"] <= LIMIT
        assert told["cmd_replace"] >= LIMIT * (run.age() - 2)
        run.close()
