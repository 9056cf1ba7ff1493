# SPDX-License-Identifier: GPL-2.0-only
"""Super-packets (GRO, GSO, TSO, UDP_SEGMENT) are forwarded whole, and bulk data arrives unchanged
whatever the devices do for it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from lab import Lab, ping
from vm.traffic import MEGABYTE, transfer

UDP_SEGMENT = 103
SOL_UDP = 17


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
        transfer(pair, megabytes * MEGABYTE)
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
