# SPDX-License-Identifier: GPL-2.0-only
"""The simulated PPE is one: mainline's own flowtable with hardware offload drives it.

Mainline gives every command to all callbacks of a block, and takes what the first answers; what
one has taken, the others refuse. So cookies that are in use or unknown are no mistake here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from lab import WAN4, Pair, ping
from netns import run
from ppelab import PpeLab

MAINLINE = {"cookie_in_use", "cookie_unknown"}


def until(what: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)


def bound(lab: PpeLab) -> int:
    return sum(flow.bound for flow in lab.soc.flows())


def bind(lab: PpeLab, pair: Pair) -> None:
    """Traffic until both directions are in the hardware."""
    for _ in range(30):
        ping(pair, 20)
        if bound(lab) == 2:
            return
    raise AssertionError(f"not bound: {lab.soc.flows()} {lab.soc.counters()}")


def end(lab: PpeLab, pair: Pair) -> None:
    """The flow goes, and mainline withdraws it."""
    pair.close()
    lab.r.conntrack("-F")
    until(lambda: not lab.soc.flows())


def bypassed(lab: PpeLab, pair: Pair, times: int = 20) -> int:
    """How many of 2 * `times` packets do not come to the host."""
    before = lab.soc.counters()["bypass"]
    ping(pair, times)
    return lab.soc.counters()["bypass"] - before


# SoC, LAN, WAN: each at least once.
NETWORKS = [
    ("mt7986", "gmac", "gmac1"),
    ("mt7621", "dsa-vlan", "dsa"),
    ("mt7981", "gmac-bridge", "gmac1-qinq"),
    ("mt7622", "gmac", "wed"),
    ("mt7986", "wed-bridge", "gmac1-vlan"),
]


@pytest.fixture(scope="module", params=NETWORKS, ids=" ".join)
def network(request: pytest.FixtureRequest) -> Iterator[PpeLab]:
    profile, lan, wan = request.param
    lab = PpeLab(profile, lan=lan, wan=wan, flowtable=True)
    yield lab
    lab.remove()


@pytest.mark.parametrize("kind", ["udp 4", "tcp 4", "udp 6", "tcp 6"])
def test_flows_bypass_the_host(network: PpeLab, kind: str) -> None:
    """IPv4 is masqueraded, IPv6 routed; the data is what was sent."""
    version = int(kind[-1])
    pair = (network.tcp if kind.startswith("tcp") else network.udp)(version)
    # WED of the first version only sends: what comes from the air stays with the CPU.
    one_way = network.soc.profile == "mt7622"
    try:
        wanted = 1 if one_way else 2
        for _ in range(30):
            ping(pair, 20)
            if bound(network) == wanted:
                break
        assert bound(network) == wanted, (network.soc.flows(), network.soc.counters())
        count = bypassed(network, pair)
        # An acknowledgement may go alone, and is forwarded as the data is.
        assert count == 20 * wanted or (kind.startswith("tcp") and count > 20 * wanted)
        if version == 4:
            assert pair.server.getpeername()[0] == WAN4
    finally:
        end(network, pair)
    allowed = MAINLINE | ({"wrong_ppe"} if one_way else set())
    assert network.soc.detectors().keys() <= allowed


@pytest.fixture(scope="module")
def lab() -> Iterator[PpeLab]:
    lab = PpeLab("mt7986", flowtable=True)
    yield lab
    lab.remove()


def test_transfer_is_identical_and_counted(lab: PpeLab) -> None:
    """8 MiB through the hardware; what conntrack counted is what the ports counted."""
    pair = lab.tcp()
    bind(lab, pair)
    blob = os.urandom(1 << 20) * 8
    before = lab.soc.ports()
    sender = threading.Thread(target=pair.client.sendall, args=(blob,))
    sender.start()
    digest, left = hashlib.sha256(), len(blob)
    while left:
        part = pair.server.recv(min(left, 1 << 16))
        assert part
        digest.update(part)
        left -= len(part)
    sender.join(60)
    after = lab.soc.ports()
    assert digest.hexdigest() == hashlib.sha256(blob).hexdigest()
    assert after["lan"].hw_rx_bytes - before["lan"].hw_rx_bytes > len(blob)
    # None of them came to the CPU, but the hosts' address resolution may.
    assert after["lan"].cpu_rx - before["lan"].cpu_rx < 5 < after["lan"].hw_rx - before["lan"].hw_rx
    assert after["wan"].hw_tx - before["wan"].hw_tx == after["lan"].hw_rx - before["lan"].hw_rx
    # The MAC's own statistics have them, the host's counters have not.
    with lab.r.entered():
        shown = run("ip", "-s", "-o", "link", "show", "dev", "lan")
    assert int(shown.split("RX:")[1].split("\\")[1].split()[0]) > len(blob)
    # Mainline reads the counters once a second and gives them to conntrack.
    sent = after["lan"].hw_rx_bytes - before["lan"].hw_rx_bytes
    frames = after["lan"].hw_rx - before["lan"].hw_rx

    def counted() -> int:
        entry = lab.r.conntrack("-L", "-p", "tcp")
        return int(entry.split("bytes=")[1].split()[0])

    until(lambda: counted() >= sent - 14 * frames)
    end(lab, pair)


def test_ageing_is_silent_and_traffic_goes_on(lab: PpeLab) -> None:
    pair = lab.udp()
    bind(lab, pair)
    lab.soc.advance(13)
    assert bound(lab) == 0 and len(lab.soc.flows()) == 2
    assert bypassed(lab, pair, 5) == 0
    bind(lab, pair)
    lab.soc.reset()
    assert bypassed(lab, pair, 5) == 0
    bind(lab, pair)
    end(lab, pair)


def test_full_table(lab: PpeLab) -> None:
    """Installed, never bound, never told; the host forwards."""
    lab.soc.fill(100)
    pair = lab.udp()
    for _ in range(5):
        ping(pair, 20)
    until(lambda: len(lab.soc.flows()) == 2)
    assert bypassed(lab, pair) == 0
    assert lab.soc.counters()["cmd_replace"] >= 2 and bound(lab) == 0
    lab.soc.fill(0)
    bind(lab, pair)
    end(lab, pair)


def test_refused_and_slow(lab: PpeLab) -> None:
    """A driver that fails, and one that takes its time: forwarding does not notice."""
    lab.soc.fail("replace", 4, errno.ENOSPC)
    lab.soc.stall("replace", 300)
    pair = lab.udp()
    for _ in range(5):
        ping(pair, 20)
    until(lambda: lab.soc.counters()["cmd_replace_failed"] >= 4)
    assert bypassed(lab, pair) == 0
    pair.close()
    lab.soc.stall("replace", 0)
    lab.soc.fail("replace", 0, 0)
    lab.r.conntrack("-F")
    until(lambda: not lab.soc.flows())
    pair = lab.udp()
    bind(lab, pair)
    end(lab, pair)


def test_hardware_does_not_know_of_links(lab: PpeLab) -> None:
    """What is bound goes on to be sent to a port that is down, until somebody withdraws it."""
    pair = lab.udp()
    bind(lab, pair)
    lab.soc.link("wan", up=False)
    pair.client.send(b"lost")
    until(lambda: lab.soc.port("wan").tx_lost == 1)
    lab.soc.link("wan", up=True)
    end(lab, pair)


def test_namespace_goes_first() -> None:
    """The ports go with their namespace; mainline unbinds them then. The SoC stays to be asked."""
    lab = PpeLab("mt7986", flowtable=True)
    pair = lab.udp()
    bind(lab, pair)
    pair.close()
    lab.kernel.close()
    for ns in (lab.c, lab.s, lab.r):
        ns.remove()
    until(lambda: not lab.soc.ports(), 30)
    assert "unbind_missing" not in lab.soc.detectors()
    lab.soc.remove()
