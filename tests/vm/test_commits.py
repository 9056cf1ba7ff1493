# SPDX-License-Identifier: GPL-2.0-only
"""New rules act at once where natflowd runs, also on kernels that do not number their rulesets.

The re-proof interval is as long as it gets, so that a flow which stops early was stopped by it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from lab import Lab, Pair, fast_packets, ping
from unit.daemon.processes import wait_for
from vm.site import ON, Site, new_site

INTERVAL_MS = 10000
CONFIG = f"{ON}\toption sample_interval '{INTERVAL_MS}'\n"
SECOND = 1.0  # plenty for natflowd to act, even in the emulated guest; a tenth of the interval


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_site(tmp_path_factory.mktemp("router"), CONFIG) as made:
        made.start_in_namespace()
        yield made


@pytest.fixture(scope="module")
def lab(site: Site) -> Lab:
    return site.lab


@pytest.fixture
def pair(lab: Lab, site: Site) -> Iterator[Pair]:
    made = lab.udp()
    ping(made, 3)
    assert lab.state(made) == "software"
    yield made
    with suppress(AssertionError):
        lab.r.nft("delete table inet guard")
    made.close()


def guard(lab: Lab, rule: str) -> None:
    lab.r.nft(
        "table inet guard {\nchain forward {\ntype filter hook forward priority -5\n"
        f"{rule}\n}}\n}}"
    )


def software(lab: Lab) -> int:
    return lab.kernel.stats().engines["software"].packets


def stale(lab: Lab) -> int:
    return lab.kernel.stats().reason_packets["stale"]


def test_the_next_packet_passes_the_new_rule(lab: Lab, site: Site, pair: Pair) -> None:
    """A rule that drops a flow stops it for good; one about something else costs it one packet of
    each direction."""
    guard(lab, "udp dport 9 drop")
    time.sleep(SECOND)
    fast, slow = software(lab), stale(lab)
    ping(pair, 5)
    assert (software(lab) - fast, stale(lab) - slow) == (8, 2)
    guard(lab, f"udp dport {pair.tuple_.dport} drop")
    time.sleep(SECOND)
    fast = software(lab)
    for _ in range(3):
        pair.client.send(b"stopped")
    time.sleep(0.2)
    assert software(lab) == fast
    pair.server.setblocking(False)
    with pytest.raises(BlockingIOError):
        pair.server.recv(100)


def test_many_commits_are_few_proofs(lab: Lab, site: Site, pair: Pair) -> None:
    """A storm of commits, more than the socket holds, neither stops natflowd nor gets past it."""
    guard(lab, "udp dport 9 drop")
    for number in range(20):
        rules = "".join(
            f"add rule inet guard forward udp dport {number * 100 + at + 1} counter\n"
            for at in range(100)
        )
        lab.r.nft(rules)
    lab.r.nft(f"insert rule inet guard forward udp dport {pair.tuple_.dport} drop")
    time.sleep(SECOND)
    fast = software(lab)
    pair.client.send(b"stopped")
    time.sleep(0.2)
    assert software(lab) == fast
    assert site.call("status")["state"] == "software"
    assert "hears of no" not in site.log.read_text()


def test_without_natflowd_the_interval_holds(lab: Lab, site: Site, pair: Pair) -> None:
    """Otherwise the tests above prove nothing."""
    site.kill_daemon()
    if "ruleset-seq" not in lab.kernel.config().features:
        lab.configure(sample_interval=INTERVAL_MS)
        ping(pair, 3)
        guard(lab, f"udp dport {pair.tuple_.dport} drop")
        time.sleep(SECOND)
        before = fast_packets(lab.flow(pair))
        pair.client.send(b"still running")
        assert pair.server.recv(100) == b"still running"
        assert fast_packets(lab.flow(pair)) == before + 1
        lab.configure(sample_interval=100)
        time.sleep(0.3)
        pair.client.send(b"stopped")
        time.sleep(0.2)
        assert fast_packets(lab.flow(pair)) == before + 1
    lab.configure(sample_interval=INTERVAL_MS)
    site.start_in_namespace()
    wait_for("natflowd", site.answers)
