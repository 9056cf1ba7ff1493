# SPDX-License-Identifier: GPL-2.0-only
"""Queueing disciplines and filters on a device above the port are named to the owner."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from lab import Lab, ping

from natflow.service.obstacles import obstacles


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab(wan="vlan", masquerade=True)
    yield made
    made.remove()


def index(lab: Lab, device: str) -> int:
    return lab.r.call(lambda: socket.if_nametoindex(device))


def texts(lab: Lab) -> dict[str, str]:
    """What would be told on a router with hardware."""
    with lab.r.entered():
        return {found["code"]: found["text"] for found in obstacles(lab.kernel.stats(), True)}


def until(lab: Lab, expected: int) -> None:
    """The ways out are looked at once a second."""
    deadline = time.monotonic() + 10
    while lab.kernel.stats().shaper_ifindex != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert lab.kernel.stats().shaper_ifindex == expected


def test_a_filter_is_named_while_it_keeps_flows(lab: Lab) -> None:
    pair = lab.udp()
    ping(pair, 3)
    assert lab.state(pair) == "software"
    assert texts(lab) == {}
    lab.r.run("tc", "qdisc", "add", "dev", "wan", "clsact")
    lab.r.run("tc", "filter", "add", "dev", "wan", "ingress", "matchall", "action", "ok")
    try:
        time.sleep(1.5)
        ping(pair, 5)
        assert lab.reason(pair) == "qdisc"
        assert lab.kernel.stats().filter_ifindex == index(lab, "wan")
        assert texts(lab)["filter"].startswith("A tc or nftables filter on wan must see")
    finally:
        lab.r.run("tc", "qdisc", "del", "dev", "wan", "clsact")
    ping(pair, 5)
    assert lab.state(pair) == "software"
    assert texts(lab) == {}
    pair.close()


@pytest.mark.parametrize("device", ["wan", "wan0"])
def test_a_shaper_is_named_while_it_is_there(lab: Lab, device: str) -> None:
    """On the VLAN device and on the port; the flow is accelerated all the same."""
    pair = lab.udp()
    ping(pair, 3)
    until(lab, 0)
    shape = ("tbf", "rate", "1gbit", "burst", "1mb", "latency", "50ms")
    lab.r.run("tc", "qdisc", "add", "dev", device, "root", *shape)
    try:
        time.sleep(1.5)
        ping(pair, 5)
        assert lab.state(pair) == "software"
        until(lab, index(lab, device))
        assert f" on {device} must see every packet" in texts(lab)["shaper"]
    finally:
        lab.r.run("tc", "qdisc", "del", "dev", device, "root")
    ping(pair, 5)
    until(lab, 0)
    pair.close()
