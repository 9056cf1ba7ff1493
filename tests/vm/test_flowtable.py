# SPDX-License-Identifier: GPL-2.0-only
"""Together with a firewall that offloads flows itself, as firewall4 does with flow_offloading: each
flow has one owner, the conflict is told, and traffic flows."""

from __future__ import annotations

import hashlib
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from lab import Lab, Pair, ping
from unit.daemon.processes import wait_for
from vm.site import Site, new_site
from vm.stream import Stream

FW4 = """
table inet fw4 {
	flowtable ft { hook ingress priority 0; devices = { lan, wan }; }
	chain forward {
		type filter hook forward priority filter; policy accept;
		meta l4proto { tcp, udp } flow offload @ft;
		ct state established,related accept
	}
}
"""
OFFLOADING = "config defaults\n\toption flow_offloading '1'\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_site(tmp_path_factory.mktemp("router")) as made:
        made.start_in_namespace()
        wait_for("acceleration", lambda: made.lab.kernel.config().settings["enabled"])
        yield made


@pytest.fixture(scope="module")
def lab(site: Site) -> Lab:
    return site.lab


@pytest.fixture
def pairs(lab: Lab, site: Site) -> Iterator[list[Pair]]:
    """Connections of each kind, accelerated where nobody else takes them."""
    made = [lab.udp(4), lab.udp(6), lab.tcp(4), lab.tcp(6)]
    for pair in made:
        ping(pair, 5)
    yield made
    for pair in made:
        pair.close()


@pytest.fixture
def offloading(lab: Lab, site: Site) -> Iterator[None]:
    lab.r.nft(FW4)
    yield
    lab.r.nft("delete table inet fw4")


def offloaded(lab: Lab) -> set[int]:
    """Destination ports of the connections that nftables owns."""
    lines = [
        line
        for family in ("ipv4", "ipv6")
        for line in lab.r.run("conntrack", "-L", "-f", family).splitlines()
        if "[OFFLOAD]" in line
    ]
    return {int(found[1]) for line in lines if (found := re.search(r"dport=(\d+)", line))}


def owned(lab: Lab) -> set[int]:
    """The same of those that natflow owns."""
    return {flow.dport for flow in lab.kernel.flows() if flow.state == "software"}


def port_of(pair: Pair) -> int:
    return pair.tuple_.dport


def software(lab: Lab) -> int:
    return lab.kernel.stats().engines["software"].packets


def test_what_the_firewall_takes_is_left_alone(
    lab: Lab, offloading: None, pairs: list[Pair]
) -> None:
    ports = {port_of(pair) for pair in pairs}
    assert ports <= offloaded(lab)
    assert not ports & owned(lab)
    fast = software(lab)
    for pair in pairs:
        ping(pair, 20)
        assert (lab.state(pair), lab.reason(pair)) == ("slow", "foreign-offload")
    assert software(lab) == fast


def test_what_natflow_has_is_let_go_and_taken_back(lab: Lab, pairs: list[Pair]) -> None:
    """Offloading is switched on and off under running traffic, which loses nothing."""
    ports = {port_of(pair) for pair in pairs}
    assert ports <= owned(lab)
    data = bytes(range(256)) * 4096
    udp, tcp = pairs[:2], pairs[2:]
    want = [hashlib.sha256() for _ in tcp]
    got = [hashlib.sha256() for _ in tcp]
    stop = threading.Event()

    def send(pair: Pair, digest: hashlib._Hash) -> None:
        while not stop.is_set():
            pair.client.sendall(data)
            digest.update(data)
        pair.client.shutdown(1)

    def read(pair: Pair, digest: hashlib._Hash) -> None:
        while part := pair.server.recv(1 << 20):
            digest.update(part)

    threads = [threading.Thread(target=send, args=each) for each in zip(tcp, want, strict=True)]
    threads += [threading.Thread(target=read, args=each) for each in zip(tcp, got, strict=True)]
    with ExitStack() as stack:
        streams = [
            stack.enter_context(Stream(*ends))
            for pair in udp
            for ends in ((pair.client, pair.server), (pair.server, pair.client))
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        lab.r.nft(FW4)
        wait_for("the firewall's flows", lambda: ports <= offloaded(lab), 5)
        # The packet that takes a flow away is the one that natflow lets it go with.
        assert not ports & owned(lab)
        fast = software(lab)
        time.sleep(2.5)  # longer than a re-proof interval
        assert software(lab) == fast
        assert ports <= offloaded(lab)
        for pair in pairs:
            assert lab.reason(pair) == "foreign-offload"
        lab.r.nft("delete table inet fw4")
        wait_for("natflow's flows", lambda: ports <= owned(lab), 5)
        assert not ports & offloaded(lab)
        for stream in streams:
            stream.go_on(51)
        assert software(lab) > fast
        stop.set()
    for thread in threads:
        thread.join(30)
    for stream in streams:
        assert len(stream.sent) > 50 and not stream.lost
    assert [digest.digest() for digest in got] == [digest.digest() for digest in want]


def test_the_conflict_is_told(lab: Lab, site: Site, pairs: list[Pair]) -> None:
    def told(*codes: str) -> object:
        site.signal(signal.SIGHUP)
        reply = wait_for(
            "the conflicts",
            lambda: (
                (status := site.call("status"))
                and [conflict["code"] for conflict in status["conflicts"]] == list(codes)
                and status
            ),
        )
        return reply["state"]

    assert told() == "software"
    lab.r.nft(FW4)
    assert told("nft-flowtable") == "conflict"
    text = site.call("status")["conflicts"][0]["text"]
    assert text == "The nftables flowtable inet fw4 ft takes flows of lan, wan."
    (site.directory / "firewall").write_text(OFFLOADING)
    assert told("firewall-flow-offloading") == "conflict"
    lab.r.nft("delete table inet fw4")
    (site.directory / "firewall").unlink()
    assert told() == "software"
