# SPDX-License-Identifier: GPL-2.0-only
"""What the netlink family tells about flows and hosts, compared with what was really sent."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

import pytest
from lab import CLIENT4, SERVER4, WAN4, Lab, ping
from vm.rawgenl import Raw, code, nest, raw, top, values

from natflow.kernel import uapi
from natflow.kernel.events import EventSocket
from natflow.kernel.filters import Filter, FlowTuple
from natflow.kernel.records import Event, Flow

HOSTS = [f"192.168.77.{number}" for number in range(10, 70)]
FLOWS_EACH = 5
MARKED, MARK = HOSTS[0], 0x15
RULES = f"""
table inet marks {{
chain forward {{
type filter hook forward priority 1;
ip saddr {MARKED} ct mark set {MARK}
}}
}}
"""


class Crowd:
    """Many hosts behind one router, each with some accelerated UDP flows."""

    def __init__(self) -> None:
        settings = {"idle_timeout": 600000}
        self.lab = Lab(lan="bridge", masquerade=True, settings=settings, rules=RULES)
        # However slow the guest is, no connection ends by itself.
        self.lab.r.sysctl(
            net__netfilter__nf_conntrack_udp_timeout=600,
            net__netfilter__nf_conntrack_udp_timeout_stream=600,
        )
        self.lab.c.ip(*(f"addr add {host}/24 dev lan" for host in HOSTS))
        self.server = self.lab.s.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.settimeout(10)
        self.server.bind((SERVER4, 0))
        self.clients: list[socket.socket] = []
        for host in HOSTS:
            for _ in range(FLOWS_EACH):
                client = self.lab.c.socket(socket.AF_INET, socket.SOCK_DGRAM)
                client.settimeout(10)
                client.bind((host, 0))
                client.connect(self.server.getsockname())
                self.clients.append(client)
        for client in self.clients:
            self.talk(client, 3)

    def talk(self, client: socket.socket, times: int = 1) -> None:
        for _ in range(times):
            client.send(b"question")
            data, peer = self.server.recvfrom(100)
            self.server.sendto(data, peer)
            assert client.recv(100) == b"question"

    def of(self, host: str) -> list[socket.socket]:
        return [client for client in self.clients if client.getsockname()[0] == host]

    def close(self) -> None:
        for sock in (self.server, *self.clients):
            sock.close()
        self.lab.remove()


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    crowd.close()


@pytest.fixture
def rawgenl(crowd: Crowd) -> Iterator[Raw]:
    client = crowd.lab.r.call(Raw)
    yield client
    client.close()


def ifindex(lab: Lab, device: str) -> int:
    return lab.r.call(lambda: socket.if_nametoindex(device))


def mac(netns: object, device: str) -> str:
    return str(netns.run("ip", "-br", "link", "show", device)).split()[2]  # type: ignore[attr-defined]


def gather(events: EventSocket, done: Callable[[list[Event]], bool]) -> list[Event]:
    """Events as they come, until there are enough; 5 seconds at the most."""
    seen: list[Event] = []
    deadline = time.monotonic() + 5
    while not done(seen) and time.monotonic() < deadline:
        seen += events.read()
        time.sleep(0.02)
    return seen


# Dumps


def test_every_flow_comes_once(crowd: Crowd) -> None:
    flows = list(crowd.lab.kernel.flows())
    wanted = {client.getsockname() for client in crowd.clients}
    assert {(flow.src, flow.sport) for flow in flows} == wanted
    assert len(flows) == len(wanted) == len({flow.id for flow in flows})
    late = 0
    for flow in flows:
        assert (flow.family, flow.protocol, flow.dst) == (4, "udp", SERVER4)
        assert flow.dport == crowd.server.getsockname()[1]
        assert (flow.reply_src, flow.reply_dst) == (SERVER4, WAN4)
        assert (flow.state, flow.reason) == ("software", "none")
        assert {"snat", "proved-original", "proved-reply"} <= set(flow.flags)
        assert not {"dnat", "symmetric"} & set(flow.flags)
        # Three questions and answers: the third packet is learned from, and the fourth.
        assert flow.ct_packets == (3, 3)
        assert flow.ct_bytes == (3 * 36, 3 * 36)
        late += 2 - sum(flow.packets)
        assert max(flow.packets) == 1, flow
        assert flow.bytes == tuple(36 * count for count in flow.packets)
        assert flow.in_ifindex == (ifindex(crowd.lab, "lan0"), ifindex(crowd.lab, "wan"))
        assert flow.out_ifindex == (ifindex(crowd.lab, "wan"), ifindex(crowd.lab, "lan0"))
        assert flow.mark == (MARK if flow.src == MARKED else 0)
        assert 500 < flow.timeout_s <= 600
        assert flow.idle_ms <= flow.age_ms < 300_000
    # An event while one was learned made it wait for another packet.
    assert late <= crowd.lab.reasons().get("stale", 0) <= 2


@pytest.mark.parametrize("room", [4096, 65536])
def test_dump_in_pieces(crowd: Crowd, rawgenl: Raw, room: int) -> None:
    """Whatever the reader's buffer, each record comes once and messages are well filled."""
    with crowd.lab.r.entered():
        pages = list(rawgenl.pages(uapi.CMD_FLOW_GET, room=room))
    messages = [message for page in pages for message in page]
    ids: list[int] = []
    for message in messages:
        (size,) = values(message, "record-size")
        assert struct.unpack("=I", size) == (uapi.FLOW_RECORD_SIZE,)
        (records,) = values(message, "flow-records")
        assert records
        ids += [record[0] for record in struct.iter_unpack(uapi.FLOW_RECORD_FORMAT, records)]
    assert sorted(ids) == sorted(flow.id for flow in crowd.lab.kernel.flows())
    assert len(ids) == len(set(ids))
    most = (room if room < 32768 else 32768) // uapi.FLOW_RECORD_SIZE
    assert len(ids) / most <= len(messages) <= len(ids) / most * 1.3 + 1


def test_dump_that_is_left_or_emptied(crowd: Crowd, rawgenl: Raw) -> None:
    """A dump whose flows go while it is read ends; one that nobody reads on harms nobody."""
    host = Filter.parse({"address": HOSTS[40:]})
    address = ip_address(HOSTS[1]).packed
    one = top("filter", nest(code("filter", "prefix"), raw("prefix", "addr", address)))
    with crowd.lab.r.entered():
        for _ in range(20):
            next(rawgenl.pages(uapi.CMD_FLOW_GET, one))
            next(rawgenl.pages(uapi.CMD_FLOW_GET))
        pages = rawgenl.pages(uapi.CMD_FLOW_GET)
        seen = len(next(pages))
        assert crowd.lab.kernel.flush(host).removed == len(HOSTS[40:]) * FLOWS_EACH
        seen += sum(len(page) for page in pages)
    assert seen >= 40 * FLOWS_EACH * uapi.FLOW_RECORD_SIZE // 4096
    for name in HOSTS[40:]:
        for client in crowd.of(name):
            crowd.talk(client, 2)
    assert len(list(crowd.lab.kernel.flows())) == len(crowd.clients)


def test_clients(crowd: Crowd, rawgenl: Raw) -> None:
    time.sleep(1.5)  # hosts get what their flows carried once a second
    clients = list(crowd.lab.kernel.clients())
    assert sorted(client.address for client in clients) == sorted(HOSTS)
    flows = list(crowd.lab.kernel.flows())
    for client in clients:
        own = [flow for flow in flows if flow.src == client.address]
        assert client.flows == len(own) == FLOWS_EACH
        assert client.mac == mac(crowd.lab.c, "lan")
        if client.address in HOSTS[40:]:
            continue  # their first flows were removed
        for side in (0, 1):
            assert client.software_packets[side] == sum(flow.packets[side] for flow in own)
            assert client.software_bytes[side] == sum(flow.bytes[side] for flow in own)
        assert client.hardware_packets == (0, 0)
    with crowd.lab.r.entered():
        pages = list(rawgenl.pages(uapi.CMD_CLIENT_GET))
    addresses = [
        record[0]
        for page in pages
        for message in page
        for record in struct.iter_unpack(
            uapi.CLIENT_RECORD_FORMAT, values(message, "client-records")[0]
        )
    ]
    assert len(pages) > 1
    assert sorted(addresses) == sorted(client.raw.addr for client in clients)


def test_stats(crowd: Crowd) -> None:
    before = crowd.lab.kernel.stats()
    crowd.talk(crowd.clients[0], 10)
    after = crowd.lab.kernel.stats()
    flows = list(crowd.lab.kernel.flows())
    assert after.states == dict.fromkeys(uapi.STATES, 0) | {"software": len(flows)}
    assert not any(after.reason_flows.values())
    assert after.uptime_ms > before.uptime_ms
    fast, slow = (
        after.engines[engine].packets - before.engines[engine].packets
        for engine in ("software", "slow")
    )
    # When the re-proof interval is over, or after an event, one packet of each direction is slow.
    assert fast + slow == 20 and fast >= 18
    assert after.engines["software"].bytes - before.engines["software"].bytes == fast * 36
    counted = {
        name: count - before.reason_packets[name]
        for name, count in after.reason_packets.items()
        if count != before.reason_packets[name]
    }
    assert sum(counted.values()) == slow and counted.keys() <= {"unproved", "stale"}, counted
    assert before.engines["hardware"].packets == 0
    assert before.engines["slow"].packets >= 4 * len(flows)
    # The first packet of each connection.
    assert before.reason_packets["unconfirmed"] == len(flows)


# Filters


def ports(flow: Flow) -> tuple[int, ...]:
    return flow.sport, flow.dport, flow.reply_sport, flow.reply_dport


def addresses(flow: Flow) -> tuple[str, ...]:
    return flow.src, flow.dst, flow.reply_src, flow.reply_dst


def in_prefix(flow: Flow, *prefixes: str) -> bool:
    return any(
        ip_address(address) in ip_network(prefix)
        for prefix in prefixes
        for address in addresses(flow)
    )


FILTERS: dict[str, tuple[dict[str, object], Callable[[Flow], bool]]] = {
    "all": ({}, lambda flow: True),
    "ipv4": ({"family": "ipv4"}, lambda flow: True),
    "ipv6": ({"family": "ipv6"}, lambda flow: False),
    "udp": ({"proto": "udp"}, lambda flow: True),
    "tcp": ({"proto": "tcp"}, lambda flow: False),
    "host": ({"address": HOSTS[3]}, lambda flow: in_prefix(flow, HOSTS[3])),
    "prefix": (
        {"address": "192.168.77.16/29"},
        lambda flow: in_prefix(flow, "192.168.77.16/29"),
    ),
    "any of two": (
        {"address": ["192.168.77.32/30", "192.168.77.12/31", "fd77::/64"]},
        lambda flow: in_prefix(flow, "192.168.77.32/30", "192.168.77.12/31"),
    ),
    "translated address": ({"address": WAN4}, lambda flow: True),
    "everything of IPv4": ({"address": "0.0.0.0/0"}, lambda flow: True),
    "everything of IPv6": ({"address": "::/0"}, lambda flow: False),
    "many": (
        {"address": [HOSTS[0], *(f"10.9.{n}.0/24" for n in range(255))]},
        lambda flow: in_prefix(flow, HOSTS[0]),
    ),
    "mark": ({"mark": MARK}, lambda flow: flow.mark == MARK),
    "mark and mask": ({"mark": "0x10/0xf0"}, lambda flow: flow.mark & 0xF0 == 0x10),
    "no mark": ({"mark": "0/0xff"}, lambda flow: flow.mark == 0),
    "state": ({"state": "software"}, lambda flow: True),
    "other state": ({"state": "slow"}, lambda flow: False),
    "reason": ({"reason": "none"}, lambda flow: True),
    "other reason": ({"reason": "helper"}, lambda flow: False),
    "age": ({"min_age": 1}, lambda flow: True),
    "great age": ({"min_age": 10_000_000}, lambda flow: False),
    "great idleness": ({"min_idle": 10_000_000}, lambda flow: False),
    "great rate": ({"min_rate": 1_000_000_000}, lambda flow: False),
    "and": (
        {"address": MARKED, "mark": MARK, "proto": "udp", "state": "software"},
        lambda flow: flow.mark == MARK,
    ),
    "and not": ({"address": MARKED, "mark": 1}, lambda flow: False),
}


@pytest.mark.parametrize("what", FILTERS)
def test_filter(crowd: Crowd, what: str) -> None:
    table, wanted = FILTERS[what]
    flows = list(crowd.lab.kernel.flows())
    found = {flow.id for flow in crowd.lab.kernel.flows(Filter.parse(table))}
    assert found == {flow.id for flow in flows if wanted(flow)}


def test_filter_by_port_device_and_mac(crowd: Crowd) -> None:
    kernel, lab = crowd.lab.kernel, crowd.lab
    flows = list(kernel.flows())

    def count(**table: object) -> int:
        return len(list(kernel.flows(Filter.parse(table))))

    for port in (flows[7].sport, flows[8].reply_dport):
        assert count(port=port) == sum(port in ports(flow) for flow in flows) >= 1
    assert count(port=1) == 0
    # The bridge and its port, and the way out.
    for device in ("lan", "lan0", "wan"):
        assert count(ifindex=ifindex(lab, device)) == len(flows)
    assert count(ifindex=ifindex(lab, "lo")) == 0
    assert count(mac=mac(lab.c, "lan")) == count(mac=mac(lab.s, "wan")) == len(flows)
    assert count(mac=mac(lab.r, "wan")) == 0


def test_filter_by_idleness_and_rate(crowd: Crowd) -> None:
    time.sleep(1.1)
    for _ in range(15):
        for client in crowd.of(HOSTS[5]):
            crowd.talk(client)
        time.sleep(0.1)
    idle = {flow.src for flow in crowd.lab.kernel.flows(Filter.parse({"min_idle": 1000}))}
    assert idle == set(HOSTS) - {HOSTS[5]}
    fast = {flow.src for flow in crowd.lab.kernel.flows(Filter.parse({"min_rate": 100}))}
    assert fast == {HOSTS[5]}


# Flushes and events


def test_flush_and_its_events(crowd: Crowd) -> None:
    kernel = crowd.lab.kernel
    before = {flow.id: flow for flow in kernel.flows()}
    events = crowd.lab.r.call(lambda: kernel.events(flows=True))
    doomed = {flow.id for flow in before.values() if flow.src == HOSTS[9]}
    try:
        flushed = kernel.flush(Filter.parse({"address": HOSTS[9]}))
        assert flushed == (FLOWS_EACH, FLOWS_EACH)
        seen = gather(events, lambda seen: len(seen) > FLOWS_EACH)
        ended = [flow for event in seen if event.kind == "flow-end" for flow in event.flows]
        assert {flow.id for flow in ended} == doomed
        for flow in ended:
            assert flow.packets == before[flow.id].packets
            assert flow.src == HOSTS[9]
        assert [event.flushed for event in seen if event.kind == "flush"] == [flushed]
        assert len(seen) == FLOWS_EACH + 1
        assert {flow.id for flow in kernel.flows()} == set(before) - doomed
        # The connections live on and are learned anew.
        for client in crowd.of(HOSTS[9]):
            crowd.talk(client, 2)
        seen = gather(events, lambda seen: len(seen) >= FLOWS_EACH)
        assert [event.kind for event in seen] == ["flow-start"] * FLOWS_EACH
        started = {flow.id for event in seen for flow in event.flows}
        assert started == {flow.id for flow in kernel.flows()} - set(before)
        assert min(started) > max(before)
    finally:
        events.close()


def test_flush_of_nothing_and_of_all(crowd: Crowd) -> None:
    kernel = crowd.lab.kernel
    count = len(list(kernel.flows()))
    assert kernel.flush(Filter.parse({"proto": "tcp"})) == (0, 0)
    assert len(list(kernel.flows())) == count
    assert kernel.flush() == (count, count)
    assert list(kernel.flows()) == []
    for client in crowd.clients:
        crowd.talk(client, 2)
    assert len(list(kernel.flows())) == count


# Explanations


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(lan="vlan-bridge", masquerade=True)
    yield lab
    lab.remove()


def reply_tuple(flow: Flow) -> FlowTuple:
    return FlowTuple.parse(
        {
            "proto": flow.protocol,
            "src": flow.reply_src,
            "dst": flow.reply_dst,
            "sport": flow.reply_sport,
            "dport": flow.reply_dport,
        }
    )


def test_explain_accelerated(lab: Lab) -> None:
    pair = lab.tcp()
    ping(pair, 5)
    explained = lab.kernel.explain(pair.tuple_)
    assert (explained.state, explained.reason, explained.tracked) == ("software", "none", True)
    flow = explained.flow
    assert flow is not None
    assert (flow.src, flow.sport) == pair.client.getsockname()
    assert flow.tcp_state == 3  # ESTABLISHED
    other = lab.kernel.explain(reply_tuple(flow)).flow
    assert other is not None and other.id == flow.id
    original, reply = explained.paths
    lan, port, wan = (ifindex(lab, device) for device in ("lan", "lan0", "wan"))
    assert (original.direction, reply.direction) == ("original", "reply")
    assert (original.in_ifindex, original.dst_ifindex, original.out_ifindex) == (port, wan, wan)
    assert (reply.in_ifindex, reply.dst_ifindex, reply.out_ifindex) == (wan, lan, port)
    assert (original.vlan, reply.vlan) == (None, 77)
    assert (original.mac, reply.mac) == (mac(lab.s, "wan"), mac(lab.c, "lan"))
    assert (original.mtu, reply.mtu) == (1500, 1500)
    assert original.proved_ms < 10000 and reply.proved_ms < 10000
    pair.close()


def test_explain_slow(lab: Lab) -> None:
    """One way, too early, switched off, and closed again."""
    silent = lab.c.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((CLIENT4, 0))
    silent.connect((SERVER4, 9))
    listener = lab.s.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((SERVER4, 9))
    silent.send(b"?")
    assert listener.recv(10) == b"?"
    tuple_ = FlowTuple.parse(
        {
            "proto": "udp",
            "src": CLIENT4,
            "dst": SERVER4,
            "sport": silent.getsockname()[1],
            "dport": 9,
        }
    )
    assert lab.kernel.explain(tuple_) == ("slow", "no-reply", True, None, (), None)
    silent.close()
    listener.close()

    lab.configure(delay_pkts=1000)
    pair = lab.tcp()
    assert lab.kernel.explain(pair.tuple_) == ("learning", "delay", True, None, (), None)
    lab.configure(delay_pkts=0)
    ping(pair, 3)
    assert lab.state(pair) == "software"
    lab.configure(enabled=0)
    assert lab.kernel.explain(pair.tuple_) == ("slow", "disabled", True, None, (), None)
    assert list(lab.kernel.flows()) == []
    ping(pair)
    lab.configure(enabled=1)
    assert lab.kernel.explain(pair.tuple_) == ("slow", "no-flow", True, None, (), None)
    ping(pair, 3)
    assert lab.state(pair) == "software"
    lab.r.conntrack("-D", "-p", "tcp")
    assert lab.kernel.explain(pair.tuple_) == ("slow", "untracked", False, None, (), None)
    pair.close()


@pytest.mark.parametrize("version", [4, 6])
def test_life_of_a_flow_in_events(lab: Lab, version: int) -> None:
    events = lab.r.call(lambda: lab.kernel.events(flows=True))
    try:
        pair = lab.tcp(version)
        blob = os.urandom(1000)
        for _ in range(20):
            pair.client.send(blob)
            assert len(pair.server.recv(2000)) == 1000
        client = pair.client.getsockname()
        pair.close()
        seen = gather(events, lambda seen: len(seen) >= 2)
        assert [event.kind for event in seen] == ["flow-start", "flow-end"]
        (start,), (end,) = (event.flows for event in seen)
        assert start.id == end.id
        assert (end.src, end.sport, end.family) == (client[0], client[1], version)
        assert start.state == "software"
        # All but what went before it was learned.
        assert 15 * 1000 < end.bytes[0] < 20 * 1100
        assert end.ct_bytes[0] >= end.bytes[0]
    finally:
        events.close()
