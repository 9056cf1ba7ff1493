# SPDX-License-Identifier: GPL-2.0-only
"""Every kind of link a home router has, IPv4 and IPv6, TCP and UDP, translated and routed: the
data arrives unchanged, goes fast, and every byte is counted. Kinds that are never accelerated
forward as they would without natflow, and say why."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from lab import Lab
from vm.cells import RULES, measure
from vm.conftest import Table

# LAN/WAN, and the reason why it stays slow.
ROWS = {
    "plain/plain": "",
    "vlan/vlan": "",
    "bridge/qinq": "",
    "ports/qinq-8021q": "",
    "vlan-bridge/bond": "",
    "filter-tagged/macvlan": "",
    "filter-untagged/plain": "",
    "bond/pppoe": "",
    "bridge/vlan-pppoe": "",
    "ports/wireguard": "",
    "qinq/tun": "",
    "vrf/vrf": "vrf",
    "plain/sit": "tunnel",
    "plain/ip6tnl": "tunnel",
}
MOST_OFF = 0.001
LEAST_FAST = 0.9

_numbers = itertools.count(1)


class Row:
    """A pair of links, and its line in the table."""

    def __init__(self, name: str, table: Table) -> None:
        lan, wan = name.split("/")
        self.reason = ROWS[name]
        self.lab = Lab(lan=lan, wan=wan, rules=RULES)
        for host in (self.lab.c, self.lab.s):
            # All segments of a connection have headers of the same size then.
            host.sysctl(net__ipv4__tcp_sack=0)
        self.line = table.line(name)


@pytest.fixture(scope="module", params=ROWS)
def row(request: pytest.FixtureRequest, matrix: Table) -> Iterator[Row]:
    row = Row(request.param, matrix)
    yield row
    row.lab.remove()


@pytest.mark.parametrize("way", ["nat", "routed"])
@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("version", [4, 6])
def test_cell(row: Row, version: int, proto: str, way: str) -> None:
    name = f"v{version} {proto} {way}"
    row.line[name] = "failed"
    for _ in range(2):
        cell = measure(row.lab, version, proto, way == "nat", next(_numbers))
        print(cell)
        # A neighbour or an address that is new still has events, which cost a slow packet.
        if row.reason or cell.fast == 1:
            break
    assert all(direction.conntrack_off < MOST_OFF for direction in cell.directions)
    if row.reason:
        row.line[name] = f"slow: {cell.reason}"
        assert (cell.state, cell.reason) == ("slow", row.reason)
        assert not cell.fast
        return
    row.line[name] = f"{cell.fast:.0%} ±{cell.off:.2%}"
    assert cell.state == "software", cell.reason
    assert cell.fast >= LEAST_FAST
    assert all(direction.natflow_off < MOST_OFF for direction in cell.directions)
