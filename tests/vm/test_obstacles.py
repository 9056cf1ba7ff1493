# SPDX-License-Identifier: GPL-2.0-only
"""Queueing disciplines and filters on a device above the port are named to the owner."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from lab import Lab, ping
from netns import run

from natflow.kernel.filters import FlowTuple
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


BRIDGED = {4: ("10.55.0.1", "10.55.0.2"), 6: ("fd55::1", "fd55::2")}


@pytest.fixture
def bridged(lab: Lab) -> Iterator[Lab]:
    """The two hosts have a bridge of the router between them, too, that netfilter sees."""
    run("modprobe", "br_netfilter")
    lab.r.ip("link add br9 type bridge", "link set br9 up")
    for number, host in enumerate((lab.c, lab.s)):
        lab.r.ip(
            f"link add port{number} type veth peer name to9 netns {host.name}",
            f"link set port{number} master br9",
            f"link set port{number} up",
        )
        host.ip(
            f"addr add {BRIDGED[4][number]}/24 dev to9",
            f"addr add {BRIDGED[6][number]}/64 dev to9 nodad",
            "link set to9 up",
        )
    yield lab
    lab.r.ip("link del port0", "link del port1", "link del br9")
    run("modprobe", "-r", "br_netfilter")


@pytest.mark.parametrize("version", [4, 6])
def test_bridged_packets_are_nobody_s(bridged: Lab, version: int) -> None:
    """br_netfilter shows them to the hooks of routed packets: they are not on the slow path."""
    lab = bridged
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    one, other = lab.c.socket(family, socket.SOCK_DGRAM), lab.s.socket(family, socket.SOCK_DGRAM)
    with one, other:
        for sock, address in zip((one, other), BRIDGED[version], strict=True):
            sock.settimeout(30)
            sock.bind((address, 0))
        one.connect(other.getsockname()[:2])
        other.connect(one.getsockname()[:2])
        before = lab.kernel.stats().engines["slow"].packets
        for number in range(10):
            for sender, receiver in ((one, other), (other, one)):
                sender.send(bytes([number]))
                assert receiver.recv(10) == bytes([number])
        (src, sport), (dst, dport) = one.getsockname()[:2], other.getsockname()[:2]
        told = lab.kernel.explain(
            FlowTuple.parse(
                {"proto": "udp", "src": src, "dst": dst, "sport": sport, "dport": dport}
            )
        )
        assert told.reason != "untracked", "netfilter has not seen them"
        assert told.flow is None
        assert lab.kernel.stats().engines["slow"].packets == before
