# SPDX-License-Identifier: GPL-2.0-only
"""A packet socket on a port, as tcpdump has one, sees every packet of an accelerated connection, in
and out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import CLIENT4, CLIENT6, SERVER4, SERVER6, WAN4, Lab, fast_packets, ping
from vm.craft import PACKET_IGNORE_OUTGOING, SOL_PACKET, Frame, Wire, unwrapped

PINGS = 20
# The addresses on the LAN's side and on the WAN's.
INSIDE = {4: (CLIENT4, SERVER4), 6: (CLIENT6, SERVER6)}
OUTSIDE = {4: (WAN4, SERVER4), 6: (CLIENT6, SERVER6)}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(lan="bridge", wan="vlan", masquerade=True)
    yield lab
    lab.remove()


class Tap(Wire):
    """What comes in and goes out by a port."""

    def __init__(self, lab: Lab, device: str, port: int) -> None:
        super().__init__(lab.r, device)
        self.port = port
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 0)

    def seen(self) -> list[tuple[str, str]]:
        """Source and destination of each packet of the connection, in their order."""
        frames = (unwrapped(frame) for frame in self.drain())
        return [(frame.src, frame.dst) for frame in frames if self._mine(frame)]

    def _mine(self, frame: Frame) -> bool:
        return bool(frame.version) and frame.proto == 17 and self.port in frame.ports


@pytest.mark.parametrize("version", [4, 6])
def test_taps_see_what_they_saw(lab: Lab, version: int) -> None:
    """With natflow as without, packet by packet, with the addresses of each side."""
    pair = lab.udp(version)
    taps = [Tap(lab, device, pair.tuple_.dport) for device in ("lan0", "wan0")]
    for enabled in (0, 1):
        lab.configure(enabled=enabled)
        # Until the connection is what it is to be.
        ping(pair, 5)
        before = fast_packets(lab.flow(pair))
        for tap in taps:
            tap.drain()
        ping(pair, PINGS)
        fast = fast_packets(lab.flow(pair)) - before
        assert fast >= 2 * PINGS - 2 if enabled else not fast
        for tap, (host, server) in zip(taps, (INSIDE[version], OUTSIDE[version]), strict=True):
            assert tap.seen() == [(host, server), (server, host)] * PINGS
    for tap in taps:
        tap.close()
    pair.close()
