# SPDX-License-Identifier: GPL-2.0-only
"""Super-packets (GRO, GSO, TSO, UDP_SEGMENT) are forwarded whole, and bulk data arrives unchanged
whatever the devices do for it."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from lab import Lab, Pair, ping

MEGABYTE = 1 << 20
UDP_SEGMENT = 103
SOL_UDP = 17
PIECE = os.urandom(MEGABYTE)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(masquerade=True)
    yield lab
    lab.remove()


def ethtool(lab: Lab, switches: dict[str, str]) -> None:
    """Offloads by "host device": "tso off gso off"."""
    for place, values in switches.items():
        host, device = place.split()
        getattr(lab, host).run("ethtool", "-K", device, *values.split())


def transfer(pair: Pair, megabytes: int) -> None:
    """Both ways at once; what arrives has the digest of what was sent."""
    want = hashlib.sha256()
    for _ in range(megabytes):
        want.update(PIECE)
    got: dict[str, str] = {}

    def send(sock: socket.socket) -> None:
        for _ in range(megabytes):
            sock.sendall(PIECE)

    def receive(name: str, sock: socket.socket) -> None:
        digest = hashlib.sha256()
        left = megabytes * MEGABYTE
        while left:
            part = sock.recv(min(left, 1 << 18))
            if not part:
                break
            digest.update(part)
            left -= len(part)
        got[name] = digest.hexdigest()

    threads = [
        threading.Thread(target=send, args=(pair.client,)),
        threading.Thread(target=send, args=(pair.server,)),
        threading.Thread(target=receive, args=("server", pair.server)),
        threading.Thread(target=receive, args=("client", pair.client)),
    ]
    for sock in (pair.client, pair.server):
        sock.settimeout(30)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == {"server": want.hexdigest(), "client": want.hexdigest()}


# What is switched off and on, megabytes each way, least and most fast bytes per fast packet.
CASES = {
    "tso": ({}, 8, 4000, 65536),
    "none": (
        {
            "c lan": "tso off gso off",
            "s wan": "tso off gso off",
            "r lan": "tso off gso off gro off",
            "r wan": "tso off gso off gro off",
        },
        3,
        300,
        1500,
    ),
    "no-checksum-offload": (
        {
            "c lan": "tx off tso off gso off",
            "s wan": "tx off tso off gso off",
            "r lan": "tx off",
            "r wan": "tx off",
        },
        3,
        300,
        1500,
    ),
    "segment-at-egress": ({"r lan": "tso off", "r wan": "tso off"}, 4, 4000, 65536),
    "gro": (
        {
            "c lan": "tso off gso off",
            "s wan": "tso off gso off",
            "r lan": "gro on",
            "r wan": "gro on",
        },
        4,
        1600,
        65536,
    ),
}
DEFAULTS = {
    "c lan": "tx on tso on gso on",
    "s wan": "tx on tso on gso on",
    "r lan": "tx on tso on gso on gro off",
    "r wan": "tx on tso on gso on gro off",
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("case", CASES)
def test_transfer(lab: Lab, case: str, version: int) -> None:
    switches, megabytes, least, most = CASES[case]
    ethtool(lab, switches)
    try:
        pair = lab.tcp(version)
        ping(pair, 5)
        transfer(pair, megabytes)
        flow = lab.flow(pair)
        assert flow is not None and flow.state == "software"
        for direction in (0, 1):
            assert flow.bytes[direction] >= 0.9 * flow.ct_bytes[direction]
            assert flow.ct_bytes[direction] >= megabytes * MEGABYTE
        # Acknowledgements travel with the data of the other direction.
        size = sum(flow.bytes) / sum(flow.packets)
        print(f"{case}, IPv{version}: {size:.0f} fast bytes a packet")
        assert least < size <= most
        pair.close()
    finally:
        ethtool(lab, {place: DEFAULTS[place] for place in switches})


@pytest.mark.parametrize("version", [4, 6])
def test_udp_super_packet(lab: Lab, version: int) -> None:
    """UDP_SEGMENT hands one packet of many datagrams to the device; it counts once, as in
    conntrack, and every datagram arrives."""
    pair = lab.udp(version)
    ping(pair, 3)
    before = lab.flow(pair)
    assert before is not None
    size, number = 1000, 20
    data = b"".join(bytes([n]) * size for n in range(number - 1)) + b"the short last one"
    pair.client.sendmsg([data], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))])
    got = [pair.server.recv(2000) for _ in range(number)]
    assert b"".join(got) == data and {len(part) for part in got[:-1]} == {size}
    after = lab.flow(pair)
    assert after is not None
    assert after.packets[0] - before.packets[0] == 1
    headers = 28 if version == 4 else 48
    assert after.bytes[0] - before.bytes[0] == len(data) + headers
    pair.close()
