# SPDX-License-Identifier: GPL-2.0-only
"""A router whose flows natflow_hwnat hands to the simulated PPE, and what tests ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import kmodule
from lab import Pair, ping
from netns import Netns
from ppelab import PpeLab

from natflow.kernel.records import Flow

# Everything that moves goes to the hardware at once.
EAGER = {"hwnat": 1, "hwnat_mode": 1, "hwnat_wed": 1, "hw_min_rate": 0}
SECONDS = 30.0


class HwLab(PpeLab):
    """A PpeLab with natflow and natflow_hwnat. In the end the simulator has no complaint."""

    def __init__(
        self,
        profile: str,
        *,
        lan: str = "gmac",
        wan: str = "gmac1",
        masquerade: bool = True,
        settings: dict[str, int] | None = None,
        hwnat: bool = True,
        entries: int = 16384,
    ) -> None:
        self.client_loaded = hwnat
        if hwnat:
            kmodule.load_hwnat(profile)
        super().__init__(
            profile,
            lan=lan,
            wan=wan,
            masquerade=masquerade,
            entries=entries,
            natflow={**EAGER, **(settings or {})},
        )
        # The rate that binds is a matter of the test machine's speed, not of the module's.
        self.soc.set(bind_rate=3)

    def __enter__(self) -> HwLab:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        detectors: dict[str, int] = {}
        try:
            if kind is None:
                self.kernel.flush()
                assert self.left() == ([], []), "something is left in the hardware"
        finally:
            self.unload()
            detectors = self.soc.detectors()
            self.remove()
        if kind is None:
            assert detectors == {}, detectors

    def unload(self) -> None:
        """natflow_hwnat goes, if it is there."""
        if self.client_loaded:
            kmodule.unload_hwnat()
            self.client_loaded = False

    def left(self) -> tuple[list[object], list[object]]:
        """What is installed, and what the hardware forwards."""
        return list(self.soc.flows()), list(self.soc.entries("bind"))

    def wait(self, what: Callable[[], bool], *pairs: Pair, seconds: float = SECONDS) -> None:
        """Traffic until `what` is true."""
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, self.story(*pairs)
            for pair in pairs:
                ping(pair, 5)
            time.sleep(0.02)

    def story(self, *pairs: Pair) -> str:
        """All that helps to understand what went wrong."""
        lines = [str(self.kernel.hardware()), str(self.soc.counters()), str(self.soc.detectors())]
        lines += [str(device) for device in self.kernel.hardware_devices()]
        for pair in pairs:
            flow = self.flow(pair)
            told = flow and (flow, flow.hw_state, flow.hw_reason, flow.hw_errno, flow.hw_flags)
            lines.append(f"{told} {flow and (flow.ct_packets, flow.packets, flow.hw_packets)}")
        lines += [str(flow) for flow in self.soc.flows()]
        return "\n".join(lines)

    def get(self, pair: Pair) -> Flow:
        """The flow, which must be there."""
        flow = self.flow(pair)
        assert flow is not None, self.story(pair)
        return flow

    def bind(self, *pairs: Pair, states: tuple[str, str] = ("bound", "bound")) -> None:
        """Traffic until all pairs' directions are in these states."""
        left = list(pairs)

        def settled() -> bool:
            left[:] = [pair for pair in left if self.hw_state(pair) != states]
            return not left

        until = time.monotonic() + SECONDS + 5 * len(pairs)
        while not settled():
            assert time.monotonic() < until, self.story(*left)
            for pair in left:
                ping(pair, 5)
            time.sleep(0.02)

    def drain(self) -> None:
        """Until the hardware has no counts that natflow has not read."""
        until = time.monotonic() + SECONDS
        while sum(entry.packets for entry in self.soc.entries("bind")):
            assert time.monotonic() < until, self.story()
            time.sleep(0.05)
        # Is answered when the look at the counters has ended.
        self.kernel.hardware()

    @staticmethod
    def mac(ns: Netns, device: str) -> str:
        """A device's address."""
        words = ns.run("ip", "-o", "link", "show", "dev", device).split()
        return words[words.index("link/ether") + 1]

    def hw_state(self, pair: Pair) -> tuple[str, str]:
        """How far its directions are in the hardware."""
        flow = self.flow(pair)
        return flow.hw_state if flow else ("none", "none")

    def hw_reason(self, pair: Pair) -> tuple[str, str]:
        """Why its directions are not in the hardware."""
        flow = self.flow(pair)
        return flow.hw_reason if flow else ("", "")
