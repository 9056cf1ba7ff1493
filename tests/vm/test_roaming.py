# SPDX-License-Identifier: GPL-2.0-only
"""A host that moves: from one port of the LAN bridge to another with its address, or to another
network card. Its traffic goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from lab import CLIENT4, CLIENT6, Lab, Pair, fast_packets, ping
from vm.craft import device_mac
from vm.stream import Stream
from vm.traffic import Accounted

INTERVAL = 0.02
MOVES = 4


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(lan="roaming", masquerade=True)
    yield lab
    lab.remove()


def accelerated(lab: Lab, *pairs: Pair) -> None:
    for pair in pairs:
        ping(pair, 5)
        assert lab.state(pair) == "software", lab.kernel.explain(pair.tuple_)


def test_roaming_under_traffic(lab: Lab) -> None:
    """Of each flow and move at most one packet is lost, and TCP's data arrives complete."""
    udp = [lab.udp(version) for version in (4, 6)]
    tcp = [lab.tcp(version) for version in (4, 6)]
    accelerated(lab, *udp, *tcp)
    with ExitStack() as stack:
        stack.enter_context(Accounted([], tcp, 0.05))
        streams = [
            stack.enter_context(Stream(*ends, INTERVAL))
            for pair in udp
            for ends in ((pair.client, pair.server), (pair.server, pair.client))
        ]
        for number in range(MOVES):
            time.sleep(0.7)
            for stream in streams:
                stream.go_on(20)
            place = f"lan{1 - number % 2}"
            lab.c.ip(f"link set lan type bond active_slave {place}")
        time.sleep(0.7)
        fast = [fast_packets(lab.flow(pair)) for pair in (*udp, *tcp)]
        time.sleep(0.5)
        again = [fast_packets(lab.flow(pair)) for pair in (*udp, *tcp)]
    for stream in streams:
        assert len(stream.sent) > 50
        print(f"{len(stream.lost)} of {len(stream.sent)} lost in {MOVES} moves")
        assert len(stream.lost) <= MOVES
        # Not two at once, either.
        assert not [n for n in stream.lost if n + 1 in stream.lost]
    assert all(now > then for now, then in zip(again, fast, strict=True)), "fast again"
    for pair in (*udp, *tcp):
        pair.close()


def test_host_gets_another_address(lab: Lab) -> None:
    """The router asks, or is told, and no packet goes to the old link-layer address after that."""
    pairs = [lab.udp(version) for version in (4, 6)]
    accelerated(lab, *pairs)
    old = device_mac(lab.c, "lan")
    new = "02:00:00:00:77:77"
    lab.c.sysctl(net__ipv4__conf__lan__arp_notify=1, net__ipv6__conf__lan__ndisc_notify=1)
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(p.server, p.client, INTERVAL)) for p in pairs]
        time.sleep(0.3)
        lab.c.ip(f"link set lan address {new}")
        lab.c.run("ping", "-c", "1", "-W", "2", "192.168.77.1")
        lab.c.run("ping", "-c", "1", "-W", "2", "fd77::1")
        changed = time.time()
        time.sleep(0.7)
    for stream, pair, address in zip(streams, pairs, (CLIENT4, CLIENT6), strict=True):
        late = [n for n in stream.lost if stream.sent[n] > changed]
        print(f"{address}: {len(stream.lost)} lost, {len(late)} after the router knew")
        assert len(late) <= 1
        flow = lab.flow(pair)
        assert flow and new in flow.mac and old.hex(":") not in flow.mac
        assert lab.state(pair) == "software"
        pair.close()
