# SPDX-License-Identifier: GPL-2.0-only
"""Translated and routed flows are accelerated on every kind of link, and arrive unchanged."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator

import pytest
from lab import WAN4, WAN6, Lab, Pair, fast_packets, ping
from vm.cells import bytes_sent

LINKS = ["plain/plain", "vlan/plain", "bridge/vlan", "vlan-bridge/plain", "plain/bridge"]


@pytest.fixture(scope="module", params=LINKS)
def links(request: pytest.FixtureRequest) -> Iterator[Lab]:
    lan, wan = request.param.split("/")
    lab = Lab(lan=lan, wan=wan, masquerade=True, dnat=True)
    yield lab
    lab.remove()


def open_pair(lab: Lab, kind: str, version: int, dnat: bool = False) -> Pair:
    return lab.udp(version, dnat=dnat) if kind == "udp" else lab.tcp(version, dnat=dnat)


@pytest.mark.parametrize("way", ["out", "dnat"])
@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize("version", [4, 6])
def test_link(links: Lab, kind: str, version: int, way: str) -> None:
    """IPv4 is masqueraded on its way out, IPv6 routed; the way in is translated for both."""
    pair = open_pair(links, kind, version, way == "dnat")
    try:
        ping(pair, 20)
        explained = links.kernel.explain(pair.tuple_)
        assert explained.state == "software", explained
        flow = explained.flow
        assert flow is not None
        # The first exchange is slow, and each direction's first packet after it at the most.
        assert flow.packets[0] >= 15 and flow.packets[1] >= 15, flow
        if way == "out":
            seen = pair.server.getpeername()[0]
            assert seen == (WAN4 if version == 4 else pair.client.getsockname()[0])
        else:
            assert pair.server.getpeername()[0] == (WAN4, WAN6)[version == 6]
        assert flow.ct_packets[0] >= flow.packets[0]
    finally:
        pair.close()


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_masqueraded_ipv6(kind: str) -> None:
    lab = Lab(masquerade6=True)
    try:
        pair = open_pair(lab, kind, 6)
        ping(pair, 20)
        assert pair.server.getpeername()[0] == WAN6
        assert fast_packets(lab.flow(pair)) >= 30
        pair.close()
    finally:
        lab.remove()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(masquerade=True)
    yield lab
    lab.remove()


@pytest.mark.parametrize("version", [4, 6])
def test_transfer_is_identical_and_counted(lab: Lab, version: int) -> None:
    """A file in each direction at once; the bytes of natflow and conntrack are the endpoints'."""
    pair = lab.tcp(version)
    blob = os.urandom(1 << 20) * 8
    got: dict[str, str] = {}

    def read(name: str, sock: object, size: int) -> None:
        digest = hashlib.sha256()
        while size:
            part = sock.recv(min(size, 1 << 16))  # type: ignore[attr-defined]
            assert part
            digest.update(part)
            size -= len(part)
        got[name] = digest.hexdigest()

    threads = [
        threading.Thread(target=read, args=("server", pair.server, len(blob))),
        threading.Thread(target=read, args=("client", pair.client, len(blob))),
        threading.Thread(target=pair.client.sendall, args=(blob,)),
        threading.Thread(target=pair.server.sendall, args=(blob,)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    want = hashlib.sha256(blob).hexdigest()
    assert got == {"server": want, "client": want}

    sent = bytes_sent(pair)
    flow = lab.flow(pair)
    assert flow is not None and flow.state == "software"
    for direction in (0, 1):
        assert flow.packets[direction] > 0.95 * flow.ct_packets[direction], flow
        # Payload, what was sent again, and at most the headers of every packet on top of it.
        assert sent[direction] >= len(blob)
        headers = flow.ct_packets[direction] * 80
        assert 0 <= flow.ct_bytes[direction] - sent[direction] <= headers
    pair.close()
