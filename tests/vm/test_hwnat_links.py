# SPDX-License-Identifier: GPL-2.0-only
"""Every SoC, and every link that a home router has to its provider: flows move to the hardware,
which forwards all of their packets, and come back, without a packet lost on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import ppesim
import pytest
from lab import Pair
from vm.cells import datagrams
from vm.conftest import Table
from vm.oneway import Bytes, Datagrams, Streams
from vm.traffic import transfer
from vm.uplinks import KINDS, UPLINKS, Uplink, UplinkLab

# Of the side to the clients.
LANS = {"mt7621": "dsa", "mt7622": "gmac-vlan", "mt7981": "gmac", "mt7986": "dsa-bridge"}
# What a packet may be to the PPE that is of none of the test's connections.
OTHERS = ("not_ip", "not_l4", "multicast", "cmd_", "wed")
TCP_BYTES = 60_000
DATAGRAMS = 48
ROUNDS = 25
HEADERS = {"udp4": 28, "udp6": 48}
MOST_OFF = 0.001
MOST_LATE = 0.2
TRIES = 3


class Site(NamedTuple):
    """A lab, and a connection of each kind over each uplink."""

    lab: UplinkLab
    pairs: dict[tuple[Uplink, str], Pair]

    def seen(self) -> tuple[int, int]:
        """Packets of connections that bypassed the host, and those that did not."""
        counters = self.lab.soc.counters()
        bypass = counters.pop("bypass")
        return bypass, sum(n for name, n in counters.items() if not name.startswith(OTHERS))

    def destroys(self) -> int:
        return self.lab.kernel.hardware().destroys


@pytest.fixture(scope="module", params=ppesim.PROFILES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    # What was taken back is soon proved again, and may enter again.
    settings = {"sample_interval": 2000}
    with UplinkLab(request.param, lan=LANS[request.param], settings=settings) as lab:
        # While some flows have their turn the others stay: the machine may be slow.
        lab.soc.set(age_udp=200, age_tcp=200)
        pairs = lab.pairs()
        yield Site(lab, pairs)
        for pair in pairs.values():
            pair.close()


def test_all_that_a_flow_sends_bypasses_the_host(site: Site) -> None:
    lab = site.lab
    for _ in range(TRIES):
        lab.bind(*site.pairs.values())
        destroys, before = site.destroys(), site.seen()
        for (_, kind), pair in site.pairs.items():
            if kind.startswith("udp"):
                datagrams(pair, DATAGRAMS)
            else:
                transfer(pair, TCP_BYTES)
        after = site.seen()
        # Once a minute a flow leaves the hardware, for a new proof.
        if site.destroys() == destroys:
            break
    assert site.destroys() == destroys
    udp = sum(kind.startswith("udp") for _, kind in site.pairs)
    segments = 2 * TCP_BYTES // 1460
    assert after[0] - before[0] >= udp * 2 * DATAGRAMS + (len(site.pairs) - udp) * segments
    assert after[1] == before[1], lab.story(*site.pairs.values())
    for (uplink, kind), pair in site.pairs.items():
        assert lab.tags(pair) == uplink.tags, uplink
        assert lab.state(pair) == "hardware"
        peer = pair.server.getpeername()[0]
        assert peer == (uplink.at[0] if kind.endswith("4") else pair.client.getsockname()[0])


def test_no_packet_is_lost_between_software_and_hardware(
    site: Site, request: pytest.FixtureRequest, streams_table: Table
) -> None:
    """On, off and on again under streams that go one way."""
    lab = site.lab
    lab.bind(*site.pairs.values())
    counted = lab.kernel.hardware().counters
    streams: dict[tuple[Uplink, str], tuple[int, Datagrams | Bytes]] = {}
    for number, (key, pair) in enumerate(site.pairs.items()):
        # Every second one goes down.
        way = (number // len(KINDS) + number) % 2
        ends = (pair.server, pair.client) if way else (pair.client, pair.server)
        kind = Datagrams if key[1].startswith("udp") else Bytes
        streams[key] = way, kind(*ends)
    lab.drain()
    base = {key: lab.get(site.pairs[key]).ct_bytes[way] for key, (way, _) in streams.items()}

    def bound() -> bool:
        return all(
            lab.hw_state(site.pairs[key])[way] == "bound" for key, (way, _) in streams.items()
        )

    running = Streams([stream for _, stream in streams.values()])

    def wait_until_bound() -> None:
        until = time.monotonic() + 90
        while not bound():
            assert time.monotonic() < until, lab.story(*site.pairs.values())
            running.go_on(1)

    with running:
        running.go_on(ROUNDS)
        wait_until_bound()
        late = [{key: s.late() for key, (_, s) in streams.items() if isinstance(s, Bytes)}]
        lab.configure(hwnat=0)
        assert lab.left() == ([], [])
        quiet = site.seen()
        running.go_on(ROUNDS)
        after = site.seen()
        assert after[0] == quiet[0]
        # The first round may have been over in part.
        assert after[1] - quiet[1] >= (ROUNDS - 1) * len(streams) // 2
        assert {lab.state(pair) for pair in site.pairs.values()} == {"software"}
        late.append({key: s.late() for key, (_, s) in streams.items() if isinstance(s, Bytes)})
        lab.configure(hwnat=1)
        wait_until_bound()
        running.go_on(ROUNDS)
    lab.drain()
    for key, (way, stream) in streams.items():
        uplink, kind = key
        result = stream.result()
        line = streams_table.line(f"{request.node.callspec.params['site']} {uplink.name} {kind}")
        for name in ("sent", "lost", "doubled", "late", "overtaken"):
            line[name] = str(getattr(result, name))
        if key in late[0]:
            line["late: off"] = str(late[1][key] - late[0][key])
            line["late: on"] = str(result.late - late[1][key])
        if counted and kind in HEADERS:
            wire = stream.bytes + result.sent * HEADERS[kind]
            off = lab.get(site.pairs[key]).ct_bytes[way] - base[key] - wire
            line["conntrack off"] = f"{off} of {wire}"
            assert abs(off) <= MOST_OFF * wire, key
    for key, (_, stream) in streams.items():
        result = stream.result()
        assert result.intact, key
        assert (result.lost, result.doubled) == (0, 0), key
        # Packets that wait for the CPU while the hardware binds their flow come after those that
        # follow them: some of one burst, where a flow moves.
        assert result.late <= MOST_LATE * result.sent, (key, result)


# Of one SoC: what happens is the same for all.
@pytest.mark.parametrize("site", ppesim.PROFILES[:1], indirect=True)
def test_a_session_takes_its_flows_along(site: Site) -> None:
    """What a PPPoE session had in the hardware is out when it ends; the next one has its own."""
    lab, uplink = site.lab, UPLINKS[2]
    lab.bind(*site.pairs.values())
    (number,) = {
        flow.fields["pppoe"]
        for flow in lab.soc.flows()
        if "pppoe" in flow.fields and "vlan0" not in flow.fields
    }
    address = lab.redial(uplink)
    left = [flow for flow in lab.soc.flows() if flow.fields.get("pppoe") == number]
    assert not left, left
    assert address != uplink.at[0]
    pair = lab.udp(4, at=uplink.server_at[0])
    assert pair.server.getpeername()[0] == address
    lab.bind(pair)
    assert lab.tags(pair) == uplink.tags
    pair.close()
