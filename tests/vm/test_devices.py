# SPDX-License-Identifier: GPL-2.0-only
"""Devices of the path go down, get another name, move to another namespace, and come back: nothing
is forwarded that should not be, and afterwards all is fast again."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from lab import LAN4, LAN6, SERVER4, SERVER6, WAN4, WAN6, Lab, Pair, ping
from netns import Netns
from vm.craft import Wire

from natflow.kernel.client import Kernel

ADDRESSES = {"lan": (LAN4, LAN6), "wan": (WAN4, WAN6)}


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab(lan="bridge", masquerade=True)
    yield lab
    lab.remove()


def opened(lab: Lab) -> list[Pair]:
    """Connections of all kinds, accelerated."""
    pairs = [lab.udp(4), lab.tcp(4), lab.udp(6), lab.tcp(6)]
    fast_again(lab, pairs)
    return pairs


def fast_again(lab: Lab, pairs: list[Pair]) -> None:
    for pair in pairs:
        if pair.client.type == socket.SOCK_DGRAM:
            forget(pair)
        ping(pair, 6)
        assert lab.state(pair) == "software", lab.kernel.explain(pair.tuple_)


def forget(pair: Pair) -> None:
    """Until messages pass again (a device's carrier takes up to a second), without what waited
    for a neighbour and what ICMP said meanwhile."""
    for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
        end = time.monotonic() + 10
        receiver.settimeout(0.3)
        data = b""
        while data != b"again":
            assert time.monotonic() < end, "nothing passes any more"
            with suppress(TimeoutError, OSError):
                sender.send(b"again")
                data = receiver.recv(100)
    for sock in (pair.client, pair.server):
        with suppress(TimeoutError):
            while True:
                with suppress(ConnectionRefusedError):
                    sock.recv(100)
        sock.settimeout(10)


def nothing_passes(lab: Lab, pairs: list[Pair], wire: Wire, *, back: bool = False) -> None:
    """What the client sends now, and with `back` the server, does not come out, and is not counted
    as forwarded. (A server's packet that waits for the router to come back would arrive before
    the translation is made anew, and take its port.)"""
    wire.drain()
    fast = lab.kernel.stats().engines["software"].packets
    for pair in pairs:
        if pair.client.type == socket.SOCK_DGRAM:
            with suppress(OSError):
                pair.client.send(b"nowhere")
            with suppress(OSError):
                if back:
                    pair.server.send(b"nowhere")
    time.sleep(0.2)
    assert not [f for f in wire.drain() if f.version and f.proto == 17]
    assert lab.kernel.stats().engines["software"].packets == fast


def addresses_back(lab: Lab, device: str, side: str) -> None:
    """IPv6 addresses go when a device goes down."""
    lab.r.ip(f"addr replace {ADDRESSES[side][1]}/64 dev {device} nodad")


@pytest.mark.parametrize("device", ["wan", "lan", "lan0"])
def test_flap(lab: Lab, device: str) -> None:
    """A cable is pulled, or a device switched off, several times under connections of all kinds."""
    pairs = opened(lab)
    wire = Wire(lab.s, "wan")
    for number in range(3):
        lab.r.ip(f"link set {device} down")
        if not number:
            nothing_passes(lab, pairs, wire)
        lab.r.ip(f"link set {device} up")
        if device != "lan0":
            addresses_back(lab, device, device)
        if number:
            continue
        fast_again(lab, pairs)
    fast_again(lab, pairs)
    # The far end's cable: the carrier goes, the device stays up.
    lab.s.ip("link set wan down")
    lab.s.ip("link set wan up", f"addr replace {SERVER6}/64 dev wan nodad")
    lab.s.ip(f"route replace 192.168.77.0/24 via {WAN4}", f"route replace fd77::/64 via {WAN6}")
    fast_again(lab, pairs)
    wire.close()
    for pair in pairs:
        pair.close()


def test_rename(lab: Lab) -> None:
    """Names mean nothing to a flow; the device is the same, and it may be another one's name."""
    pairs = opened(lab)
    for old, new, side in (("wan", "wan9", "wan"), ("lan", "lan9", "lan"), ("lan0", "x", "")):
        lab.r.ip(f"link set {old} down", f"link set {old} name {new}", f"link set {new} up")
        if side:
            addresses_back(lab, new, side)
        fast_again(lab, pairs)
    for pair in pairs:
        pair.close()


def test_moves_to_another_namespace_and_back(lab: Lab) -> None:
    """What was learned of a device in one namespace is worth nothing in another one."""
    pairs = opened(lab)
    wire, lan_wire = Wire(lab.s, "wan"), Wire(lab.c, "lan")
    elsewhere = Netns("elsewhere")
    other = elsewhere.call(Kernel)
    other.configure({"enabled": 1, "delay_pkts": 0})
    try:
        start = time.monotonic()
        lab.r.ip(f"link set wan netns {elsewhere.name}")
        took = time.monotonic() - start
        assert took < 5, "something held the device"
        elsewhere.ip(f"addr add {WAN4}/24 dev wan", "link set wan up")
        nothing_passes(lab, pairs, wire, back=True)
        assert not [f for f in lan_wire.drain() if f.version and f.proto == 17 and f.src == SERVER4]
        assert not list(other.flows())
        assert not other.stats().engines["software"].packets
        elsewhere.ip(f"link set wan netns {lab.r.name}")
        lab.r.ip(
            "link set wan up",
            f"addr add {WAN4}/24 dev wan",
            f"addr add {WAN6}/64 dev wan nodad",
        )
        fast_again(lab, pairs)
    finally:
        other.close()
        elsewhere.remove()
    wire.close()
    lan_wire.close()
    for pair in pairs:
        pair.close()
