# SPDX-License-Identifier: GPL-2.0-only
"""Queueing disciplines find accelerated packets as the normal stack leaves them: with the conntrack
entry by which cake's "nat" shares a line among the hosts behind NAT, and without the socket that
sent them, should its namespace be on the same machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from lab import CLIENT4, Lab, Pair, ping
from vm.craft import SO_RCVBUFFORCE

# A second host, on the first one's wire.
OTHER4 = "192.168.77.3"
SIZE = 1200
CAKE = ("cake", "bandwidth", "1mbit", "nat", "dual-srchost")
FIFO = ("tbf", "rate", "100kbit", "burst", "5000", "limit", "10mb")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab(masquerade=True, settings={"sample_interval": 10000})
    made.c.ip(f"addr add {OTHER4}/24 dev lan")
    yield made
    made.remove()


def wait_until_noticed(lab: Lab, device: str) -> None:
    """Disciplines are looked for once a second."""
    index = lab.r.call(lambda: socket.if_nametoindex(device))
    deadline = time.monotonic() + 20
    while lab.kernel.stats().shaper_ifindex != index:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def arrived(pair: Pair) -> int:
    """Datagrams that wait to be read."""
    count = 0
    pair.server.setblocking(False)
    with suppress(BlockingIOError):
        while pair.server.recv(SIZE):
            count += 1
    return count


def share_of_other(lab: Lab, pairs: list[Pair]) -> float:
    """What the second host's flow, the last, gets of a line that all of them fill."""
    for pair in pairs:
        pair.server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        arrived(pair)
    data = bytes(SIZE)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for pair in pairs:
            pair.client.send(data)
        time.sleep(0.002)
    counts = [arrived(pair) for pair in pairs]
    print("datagrams of each flow:", counts)
    assert sum(counts) > 200
    return counts[-1] / sum(counts)


@pytest.mark.parametrize("natflow", [False, True], ids=["normal", "natflow"])
def test_hosts_behind_nat_get_equal_shares(lab: Lab, natflow: bool) -> None:
    """Four flows of one host against one of the other."""
    lab.configure(enabled=int(natflow))
    pairs = [lab.udp(source=CLIENT4) for _ in range(4)] + [lab.udp(source=OTHER4)]
    for pair in pairs:
        ping(pair, 4)
    lab.r.run("tc", "qdisc", "add", "dev", "wan", "root", *CAKE)
    try:
        if natflow:
            wait_until_noticed(lab, "wan")
        before = [lab.flow(pair) for pair in pairs]
        share = share_of_other(lab, pairs)
        if natflow:
            after = [lab.flow(pair) for pair in pairs]
            for old, new in zip(before, after, strict=True):
                assert old and new and new.state == "software"
                assert new.packets[0] - old.packets[0] > 60
        assert 0.4 < share < 0.6
    finally:
        lab.r.run("tc", "qdisc", "del", "dev", "wan", "root")
        for pair in pairs:
            pair.close()


@pytest.mark.parametrize("natflow", [False, True], ids=["normal", "natflow"])
def test_no_sender_waits_for_the_routers_queue(lab: Lab, natflow: bool) -> None:
    """More than its socket may have under way fits into the queue."""
    lab.configure(enabled=int(natflow))
    pair = lab.udp()
    ping(pair, 4)
    lab.r.run("tc", "qdisc", "add", "dev", "wan", "root", *FIFO)
    try:
        before = lab.flow(pair)
        pair.client.setblocking(False)
        for _ in range(300):
            pair.client.send(bytes(SIZE))
            time.sleep(0.005)
        after = lab.flow(pair)
        if natflow:
            assert before and after
            assert after.packets[0] - before.packets[0] > 250
    finally:
        lab.r.run("tc", "qdisc", "del", "dev", "wan", "root")
        pair.close()
