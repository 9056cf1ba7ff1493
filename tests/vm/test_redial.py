# SPDX-License-Identifier: GPL-2.0-only
"""A PPPoE line that ends and comes back with another address, as a provider does once a day, under
running traffic."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lab import CLIENT4, SERVER4, SERVER6, WAN4, WAN6, Lab, Pair, fast_packets, ping
from netns import Netns
from vm.craft import Wire, unwrapped
from vm.stream import Stream
from vm.traffic import Echo

from natflow.kernel.filters import FlowTuple

PORT = 5000
RTMGRP_IPV4_IFADDR, RTM_DELADDR = 0x10, 21


@pytest.fixture(params=["pppoe", "vlan-pppoe"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    lab = Lab(wan=request.param, masquerade=True)
    yield lab
    lab.remove()


@contextmanager
def address_removals(ns: Netns) -> Iterator[list[float]]:
    """The times at which IPv4 addresses went, while the block runs."""
    times: list[float] = []
    stop = threading.Event()
    with ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, RTMGRP_IPV4_IFADDR))
        sock.settimeout(0.2)

        def listen() -> None:
            while not stop.is_set():
                try:
                    data = sock.recv(4096)
                except TimeoutError:
                    continue
                if struct.unpack_from("=H", data, 4)[0] == RTM_DELADDR:
                    times.append(time.time())

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield times
        finally:
            stop.set()
            thread.join()


def test_new_address(lab: Lab) -> None:
    """No packet has the old source 100 ms after the address went; the same conversation goes on
    with the new one, fast, by the new device."""
    session = lab.wan.session
    assert session
    wire = Wire(lab.s, "wan0")
    client = lab.c.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with Echo(lab.s, SERVER4, PORT):
        client.connect((SERVER4, PORT))
        source = client.getsockname()
        tuple_ = FlowTuple.parse(
            {"proto": "udp", "src": CLIENT4, "dst": SERVER4, "sport": source[1], "dport": PORT}
        )
        old = session.address
        assert old == WAN4
        with address_removals(lab.r) as removals, Stream(client, client, 0.005):
            time.sleep(0.5)
            before = lab.kernel.explain(tuple_)
            assert before.state == "software", before
            assert fast_packets(before.flow) > 20
            old_index = lab.r.call(lambda: socket.if_nametoindex("wan"))
            new = session.redial()
            time.sleep(1.0)
            after = lab.kernel.explain(tuple_)
            again = fast_packets(after.flow)
            time.sleep(0.3)
            flow = lab.kernel.explain(tuple_).flow
    client.close()
    assert new != old
    assert removals
    frames = [unwrapped(frame) for frame in wire.drain()]
    frames = [f for f in frames if f.version == 4 and f.proto == 17 and f.ports[1] == PORT]
    wire.close()
    late = [frame.time - removals[0] for frame in frames if frame.src == old]
    print(f"last packet with the old source {max(late) * 1000:+.1f} ms after its address went")
    assert sum(1 for moment in late if moment < 0) > 20
    assert max(late) < 0.1
    assert sum(1 for frame in frames if frame.src == new) > 20
    assert after.state == "software", after
    assert fast_packets(flow) > again
    new_index = lab.r.call(lambda: socket.if_nametoindex("wan"))
    assert new_index != old_index
    assert old_index not in {path.dst_ifindex for path in after.paths}


def test_redial_again_and_again(lab: Lab) -> None:
    """Every session's connections are fast, over IPv6, too, and none of an ended one stays."""
    session = lab.wan.session
    assert session
    for _ in range(2):
        lab.s.ip(f"route replace 192.168.77.0/24 via {session.address}")
        pairs: list[Pair] = [lab.udp(4), lab.tcp(4), lab.udp(6)]
        for pair in pairs:
            ping(pair, 5)
            assert lab.state(pair) == "software"
            pair.close()
        session.redial()
        lab.wan.wait_for_host()
        for ns, address in ((lab.r, WAN6), (lab.s, SERVER6)):
            ns.ip(f"addr replace {address}/64 dev wan nodad")
        lab.s.ip(f"route replace fd77::/64 via {WAN6}")
