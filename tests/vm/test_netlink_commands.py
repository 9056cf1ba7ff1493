# SPDX-License-Identifier: GPL-2.0-only
"""Every netlink command against the real module and real flows."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from typing import Any

import kmodule
import pytest
from lab import CLIENT4, CLIENT6, SERVER4, SERVER6, WAN4, Lab, Pair, ping
from netns import Netns

from natflow.kernel import uapi
from natflow.kernel.client import Kernel
from natflow.kernel.codec import family_codec
from natflow.kernel.errors import KernelError, ModuleMissing
from natflow.kernel.events import EventSocket
from natflow.kernel.filters import Filter, FlowTuple
from natflow.kernel.records import Event, Flow
from natflow.kernel.transport import Transport

FLOWS = 200


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab(masquerade=True, settings={"idle_timeout": 600000})
    # Idle UDP flows must outlast the tests on a slow machine, too.
    made.r.sysctl(net__netfilter__nf_conntrack_udp_timeout=3600)
    made.r.sysctl(net__netfilter__nf_conntrack_udp_timeout_stream=3600)
    yield made
    made.remove()


@pytest.fixture(autouse=True)
def restored(lab: Lab) -> Iterator[None]:
    """No test's settings reach the next one."""
    before = lab.kernel.config().settings
    yield
    if kmodule.loaded():
        lab.kernel.configure(before)


@pytest.fixture(scope="module")
def pairs(lab: Lab) -> Iterator[dict[str, Pair]]:
    """UDP and TCP over IPv4 (masqueraded) and IPv6 (routed), all accelerated."""
    made = {"udp4": lab.udp(4), "tcp4": lab.tcp(4), "udp6": lab.udp(6), "tcp6": lab.tcp(6)}
    for pair in made.values():
        ping(pair, 3)
    yield made
    for pair in made.values():
        pair.close()


def wait(events: EventSocket, kind: str, seconds: float = 5) -> Event:
    """Return the next event of a kind."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in events.read():
            if event.kind == kind:
                return event
        time.sleep(0.02)
    raise AssertionError(f"no event {kind!r} within {seconds} s")


def number(lab: Lab, pair: Pair) -> int:
    flow = lab.flow(pair)
    assert flow is not None
    return flow.id


def ifindex(lab: Lab, name: str) -> int:
    return lab.r.call(lambda: socket.if_nametoindex(name))


def test_config_get_tells_what_the_module_is(lab: Lab) -> None:
    config = lab.kernel.config()
    assert config.version
    assert "ingress" in config.features
    assert 100 < config.flow_size <= config.flow6_size < 4096
    assert list(config.settings) == list(uapi.SETTINGS)
    later = lab.kernel.config()
    assert later.uptime_ms >= config.uptime_ms > 0


@pytest.mark.parametrize("name", uapi.SETTINGS)
def test_every_setting_takes_its_limits_and_nothing_beyond(lab: Lab, name: str) -> None:
    """What the client refuses is sent past it, so that the kernel has to."""
    least, most = uapi.SETTINGS[name]
    attr = name.replace("_", "-")
    mask = {"exclude_mask": most} if name == "exclude_mark" else {}
    for value in (least, most):
        lab.kernel.configure({**mask, name: value})
        assert lab.kernel.config().settings[name] == value
    changed = lab.kernel.config().settings
    kind = {row[0]: row[1] for row in uapi.ATTRS["config"]}[attr]
    top = {"u8": 0xFF, "u32": 0xFFFFFFFF}[kind]
    for value in (least - 1, most + 1):
        if not 0 <= value <= top:
            continue
        attrs = [("config", {"attrs": [("delay-pkts", 9), (attr, value)]})]
        with pytest.raises(KernelError) as error:
            lab.kernel._do("config-set", uapi.CMD_CONFIG_SET, attrs)
        assert error.value.errno == errno.ERANGE
        assert attr in str(error.value)
        assert lab.kernel.config().settings == changed, "half of a request was applied"


def test_settings_that_contradict_each_other(lab: Lab) -> None:
    with pytest.raises(KernelError, match="exclude-mark has bits outside exclude-mask"):
        lab.kernel.configure({"exclude_mark": 0x100, "exclude_mask": 0xFF})


def test_the_kernel_says_what_is_wrong(lab: Lab) -> None:
    """An extended ack comes with every refusal, and the client names the attribute."""
    with pytest.raises(KernelError, match=r"flow-flush: .*family"):
        lab.kernel.flush(Filter(family=3))
    with pytest.raises(KernelError, match="config-set"):
        lab.kernel._do("config-set", uapi.CMD_CONFIG_SET, [])
    with pytest.raises(KernelError, match="tuple needs"):
        attrs: list[tuple[str, Any]] = [("tuple", {"attrs": [("family", 2)]})]
        lab.kernel._do("flow-explain", uapi.CMD_FLOW_EXPLAIN, attrs)


def test_records_agree_with_the_sockets(lab: Lab, pairs: dict[str, Pair]) -> None:
    for name, pair in pairs.items():
        flow = lab.flow(pair)
        assert flow is not None
        proto, family = name[:3], int(name[3])
        wan = WAN4 if family == 4 else CLIENT6
        assert (flow.protocol, flow.family) == (proto, family)
        assert (flow.src, flow.sport) == pair.client.getsockname()[:2]
        assert (flow.dst, flow.dport) == pair.server.getsockname()[:2]
        assert (flow.reply_src, flow.reply_sport) == (flow.dst, flow.dport)
        assert (flow.reply_dst, flow.reply_dport) == (wan, pair.server.getpeername()[1])
        assert (flow.state, flow.reason) == ("software", "none")
        assert ("snat" in flow.flags) == (family == 4)
        assert ("symmetric" in flow.flags) == (family == 6)
        lan, wan_port = ifindex(lab, "lan"), ifindex(lab, "wan")
        assert flow.in_ifindex == (lan, wan_port)
        assert flow.out_ifindex == (wan_port, lan)
        assert flow.vlan == (None, None)
        assert flow.mac[1] == lab.c.call(lambda: mac_of("lan"))
        assert flow.mac[0] == lab.s.call(lambda: mac_of("wan"))
        assert flow.tcp_state == (3 if proto == "tcp" else 0)
        assert flow.timeout_s > 0
        assert flow.idle_ms <= flow.age_ms
        assert all(fast <= all_ for fast, all_ in zip(flow.packets, flow.ct_packets, strict=True))


def mac_of(name: str) -> str:
    """Return a device's MAC address in the thread's namespace."""
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        data = fcntl.ioctl(sock, 0x8927, struct.pack("256s", name.encode()))  # SIOCGIFHWADDR
    return data[18:24].hex(":")


def test_filters_select(lab: Lab, pairs: dict[str, Pair]) -> None:
    ids = {name: number(lab, pair) for name, pair in pairs.items()}
    sport = pairs["tcp6"].client.getsockname()[1]
    young = lab.flow(pairs["udp4"])
    assert young is not None
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({}, set(ids)),
        ({"family": "ipv4"}, {"udp4", "tcp4"}),
        ({"family": "ipv6", "proto": "udp"}, {"udp6"}),
        ({"proto": "tcp"}, {"tcp4", "tcp6"}),
        ({"proto": 1}, set()),
        ({"address": CLIENT4}, {"udp4", "tcp4"}),
        ({"address": WAN4}, {"udp4", "tcp4"}),
        ({"address": [SERVER4, SERVER6]}, set(ids)),
        ({"address": ["198.51.100.0/25", "10.0.0.0/8"]}, {"udp4", "tcp4"}),
        ({"address": "198.51.100.128/25"}, set()),
        ({"address": "0.0.0.0/0"}, {"udp4", "tcp4"}),
        ({"address": "::/0"}, {"udp6", "tcp6"}),
        ({"address": "fd77::/33"}, {"udp6", "tcp6"}),
        ({"address": "fd77:0:8000::/33"}, set()),
        ({"port": sport, "family": "ipv6"}, {"tcp6"}),
        ({"ifindex": ifindex(lab, "lan")}, set(ids)),
        ({"ifindex": 0x7FFFFFFF}, set()),
        ({"mac": lab.c.call(lambda: mac_of("lan")), "proto": "udp"}, {"udp4", "udp6"}),
        ({"mac": "02:00:00:00:00:99"}, set()),
        ({"state": "software"}, set(ids)),
        ({"state": "slow"}, set()),
        ({"reason": "none"}, set(ids)),
        ({"reason": "helper"}, set()),
        ({"mark": 0}, set(ids)),
        ({"mark": "1/1"}, set()),
        ({"min_age": young.age_ms, "proto": "udp", "family": "ipv4"}, {"udp4"}),
        ({"min_age": 0xFFFFFFFF}, set()),
        ({"min_idle": 0xFFFFFFFF}, set()),
        ({"min_rate": 0xFFFFFFFF}, set()),
    ]
    for table, expected in cases:
        found = {flow.id for flow in lab.kernel.flows(Filter.parse(table))}
        assert found & set(ids.values()) == {ids[name] for name in expected}, table


def test_explain_both_directions_and_nobody(lab: Lab, pairs: dict[str, Pair]) -> None:
    pair = pairs["udp4"]
    peer = pair.server.getpeername()
    reply = FlowTuple.parse(
        {
            "proto": "udp",
            "src": SERVER4,
            "sport": pair.server.getsockname()[1],
            "dst": peer[0],
            "dport": peer[1],
        }
    )
    there, back = lab.kernel.explain(pair.tuple_), lab.kernel.explain(reply)
    assert there.flow is not None and back.flow is not None
    assert there.flow.id == back.flow.id
    assert there.tracked and back.tracked
    assert [path.direction for path in there.paths] == ["original", "reply"]
    lan, wan = ifindex(lab, "lan"), ifindex(lab, "wan")
    assert [(path.in_ifindex, path.dst_ifindex, path.out_ifindex) for path in there.paths] == [
        (lan, wan, wan),
        (wan, lan, lan),
    ]
    assert all(path.mtu == 1500 and path.vlan is None for path in there.paths)
    assert [path.mac for path in there.paths] == list(there.flow.mac)
    nobody = lab.kernel.explain(pair.tuple_._replace(sport=1))
    assert (nobody.tracked, nobody.state, nobody.flow, nobody.paths) == (False, "slow", None, ())


def test_stats_count_what_was_forwarded(lab: Lab, pairs: dict[str, Pair]) -> None:
    before = lab.kernel.stats()
    ping(pairs["udp4"], 20, size=100)
    after = lab.kernel.stats()
    packets = after.engines["software"].packets - before.engines["software"].packets
    size = after.engines["software"].bytes - before.engines["software"].bytes
    assert 36 <= packets <= 40
    assert size == packets * 128
    fast = list(lab.kernel.flows(Filter.parse({"state": "software"})))
    assert after.states["software"] == len(fast) >= len(pairs)
    assert sum(after.reason_flows.values()) == sum(
        flow.reason != "none" for flow in lab.kernel.flows()
    )
    assert after.uptime_ms >= before.uptime_ms


def test_clients_add_up(lab: Lab, pairs: dict[str, Pair]) -> None:
    clients = {client.address: client for client in lab.kernel.clients()}
    assert set(clients) == {CLIENT4, CLIENT6}
    for address, names in ((CLIENT4, ("udp4", "tcp4")), (CLIENT6, ("udp6", "tcp6"))):
        client = clients[address]
        flows = [flow for name in names if (flow := lab.flow(pairs[name]))]
        assert client.flows == len(flows)
        assert client.mac == lab.c.call(lambda: mac_of("lan"))
        packets = sum(flow.packets[0] for flow in flows)
        assert packets > 0
        # Hosts are brought up to date by ageing, once a second.
        end = time.monotonic() + 5
        while client.software_packets[0] < packets and time.monotonic() < end:
            time.sleep(0.1)
            client = {item.address: item for item in lab.kernel.clients()}[address]
        assert client.software_packets[0] == packets


def test_flush_takes_what_matches_and_traffic_goes_on(lab: Lab, pairs: dict[str, Pair]) -> None:
    ids = {name: number(lab, pair) for name, pair in pairs.items()}
    sport = pairs["udp6"].client.getsockname()[1]
    flushed = lab.kernel.flush(Filter.parse({"family": "ipv6", "proto": "udp", "port": sport}))
    assert flushed == (1, 1)
    left = {flow.id for flow in lab.kernel.flows()}
    assert left == set(ids.values()) - {ids["udp6"]}
    assert lab.kernel.flush(Filter.parse({"state": "slow"})) == (0, 0)
    ping(pairs["udp6"], 5)
    again = number(lab, pairs["udp6"])
    assert again > max(ids.values()), "a flow's number was used twice"


def test_events(lab: Lab, pairs: dict[str, Pair]) -> None:
    quiet, all_ = lab.kernel.events(), lab.kernel.events(flows=True)
    try:
        lab.kernel.configure({"learn_rate": 777})
        for events in (quiet, all_):
            assert wait(events, "config").settings["learn_rate"] == 777
        gone = number(lab, pairs["udp4"])
        lab.kernel.flush(Filter.parse({"family": "ipv4", "proto": "udp"}))
        ended = wait(all_, "flow-end")
        assert [flow.id for flow in ended.flows] == [gone]
        assert ended.flows[0].packets[0] > 0
        assert wait(quiet, "flush").flushed == (1, 1)
        ping(pairs["udp4"], 3)
        started = wait(all_, "flow-start")
        assert isinstance(started.flows[0], Flow)
        assert started.flows[0].id == number(lab, pairs["udp4"])
        assert [event.kind for event in quiet.read()] == []
    finally:
        quiet.close()
        all_.close()


def test_a_slow_listener_is_told(lab: Lab) -> None:
    """The kernel marks the overrun; the client says "lost" instead of nothing."""
    events = lab.kernel.events()
    events._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    try:
        for value in range(100, 160):
            lab.kernel.configure({"delay_pkts": 0, "learn_rate": value})
        kinds = []
        for _ in range(20):
            kinds += [event.kind for event in events.read()]
        assert "lost" in kinds and "config" in kinds
    finally:
        events.close()


def test_a_dump_of_many_messages(lab: Lab) -> None:
    """More flows than one 32 KiB message holds: each comes once, and dumps may be nested."""
    listener = lab.s.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((SERVER4, 0))
    port = listener.getsockname()[1]
    socks = []
    for _ in range(FLOWS):
        sock = lab.c.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((SERVER4, port))
        socks.append(sock)
    try:
        for _ in range(3):
            for sock in socks:
                sock.send(b"x")
            for _ in socks:
                listener.sendto(b"y", listener.recvfrom(10)[1])
            for sock in socks:
                sock.recv(10)
        match = Filter.parse({"port": port, "family": "ipv4"})
        flows = list(lab.kernel.flows(match))
        assert len(flows) == len({flow.id for flow in flows}) == FLOWS
        assert {flow.sport for flow in flows} == {sock.getsockname()[1] for sock in socks}
        outer = lab.kernel.flows(match)
        first = next(outer)
        assert len(list(lab.kernel.flows(match))) == FLOWS
        assert len([first, *outer]) == FLOWS
        # Small reads: the kernel sends more and shorter messages, and none is lost.
        transport = lab.r.call(Transport)
        transport._buffer = bytearray(4096)
        codec = family_codec()
        request = codec.encode(
            lab.kernel._family,
            uapi.CMD_FLOW_GET,
            1,
            0x301,
            transport.sequence(),
            [("filter", {"attrs": match.attributes()})],
        )
        sizes = [len(data) for data in transport.exchange(request)]
        transport.close()
        assert len(sizes) > 3
        assert sum(size // uapi.FLOW_RECORD_SIZE for size in sizes) == FLOWS
        assert lab.kernel.flush(match).removed == FLOWS
        assert list(lab.kernel.flows(match)) == []
    finally:
        for sock in (*socks, listener):
            sock.close()


def test_namespaces_do_not_see_each_other(lab: Lab, pairs: dict[str, Pair]) -> None:
    other = Netns("elsewhere")
    try:
        kernel = other.call(Kernel)
        assert list(kernel.flows()) == [] and list(kernel.clients()) == []
        assert not kernel.explain(pairs["udp4"].tuple_).tracked
        before = lab.kernel.config().settings
        kernel.configure({"enabled": 1, "delay_pkts": 1234})
        assert kernel.flush() == (0, 0)
        assert lab.kernel.config().settings == before
        assert len(list(lab.kernel.flows())) >= len(pairs)
        kernel.close()
    finally:
        other.remove()


def test_a_module_that_is_loaded_anew() -> None:
    """Clients find it again by themselves; listeners hear of it and go on listening."""
    kernel = Kernel()
    events = kernel.events()
    kernel.configure({"delay_pkts": 9})
    kmodule.unload()
    with pytest.raises(ModuleMissing):
        kernel.config()
    with pytest.raises(ModuleMissing):
        list(kernel.flows())
    with pytest.raises(ModuleMissing):
        Kernel()
    wait(events, "unloaded")
    kmodule.load()
    assert kernel.config().settings["delay_pkts"] == 4
    wait(events, "loaded")
    kernel.configure({"delay_pkts": 7})
    assert wait(events, "config").settings["delay_pkts"] == 7
    assert list(kernel.flows()) == []
    events.close()
    kernel.close()
