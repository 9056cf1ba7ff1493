# SPDX-License-Identifier: GPL-2.0-only
"""What the simulated driver accepts, refuses and complains of, and what its hardware makes of
frames."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from ppeprobe import (
    ATOMIC,
    BASIC,
    BINDER,
    CONTROL,
    DROP,
    ETH_P_8021AD,
    IP6,
    MANGLE,
    META,
    PORTS,
    RCU,
    REDIRECT,
    UDP_HEADER,
    VLAN_POP,
    VLAN_PUSH,
    Action,
    Rule,
    dest_port,
)
from vm.craft import ACK, FIN, MF, RST, SYN, Packet
from vm.ppesim.bench import (
    BACK4,
    HOST,
    NEW4,
    NEXT_HOP,
    PEER,
    ROUTER,
    SESSION,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    VLAN7,
    VLAN8,
    Bench,
)


def tag(vid: int, proto: int = 0x0800) -> bytes:
    return struct.pack("!HHH", 0x8100, vid, proto)


def session(number: int, packet: Packet) -> bytes:
    length = len(packet.ip()) + 2
    ppp = 0x21 if packet.version == 4 else 0x57
    return struct.pack("!HBBHHH", 0x8864, 0x11, 0, number, length, ppp)


# What comes in, what goes out, tags before and after, actions besides.
REWRITES = {
    "udp": (UDP4, NEW4, b"", b"", []),
    "tcp": (TCP4, replace(TCP4, src=ROUTER, sport=61002, ttl=63), b"", b"", []),
    "dnat": (BACK4, replace(BACK4, dst=HOST, dport=4001, ttl=63), b"", b"", []),
    "udp without checksum": (
        replace(UDP4, check="none"),
        replace(NEW4, check="none"),
        b"",
        b"",
        [],
    ),
    "udp6": (UDP6, replace(UDP6, ttl=63), b"", b"", []),
    "tcp6": (TCP6, replace(TCP6, ttl=63), b"", b"", []),
    "vlan in": (UDP4, NEW4, tag(77), b"", [Action(VLAN_POP)]),
    "vlan out": (UDP4, NEW4, b"", tag(7), [VLAN7]),
    "two tags": (UDP4, NEW4, b"", tag(7, 0x8100) + tag(8)[2:], [VLAN7, VLAN8]),
    "pppoe in": (UDP4, NEW4, session(9, UDP4), b"", []),
    "pppoe out": (UDP4, NEW4, b"", session(0x1234, NEW4), [SESSION]),
    "pppoe6 out": (
        UDP6,
        replace(UDP6, ttl=63),
        b"",
        session(0x1234, UDP6),
        [SESSION],
    ),
    "pppoe in vlan out": (
        UDP4,
        NEW4,
        b"",
        tag(7, 0x8864) + session(0x1234, NEW4)[2:],
        [VLAN7, SESSION],
    ),
}


@pytest.mark.parametrize("name", REWRITES)
def test_rewrite(bench: Bench, name: str) -> None:
    """Byte by byte what a router makes of the packet."""
    packet, new, before, after, actions = REWRITES[name]
    bench.install(bench.rule(packet, new).plus(*actions))
    for _ in range(3):
        bench.send("lan", packet, before)
    frame = new.frame(NEXT_HOP, bench.mac("wan"))
    expected = frame[:12] + (after + frame[14:] if after else frame[12:])
    # The first packet has told the CPU of the flow.
    assert bench.received("wan") == [expected] * 2
    assert bench.soc.counters()["bypass"] == 2
    assert bench.soc.detectors() == {}


def test_padding_stays_behind(bench: Bench) -> None:
    small = Packet(HOST, PEER, 4000, 53, payload=b"a")
    new = replace(small, src=ROUTER, ttl=63)
    bench.install(bench.rule(small, new))
    for _ in range(2):
        frame = small.frame(bench.mac("lan"), NEXT_HOP)
        bench.wires["lan"].send(frame.ljust(60, b"\0"))
    assert bench.received("wan") == [new.frame(NEXT_HOP, bench.mac("wan"))]


def first_rewritten(bench: Bench, rule: Rule) -> bytes:
    bench.install(rule)
    for _ in range(2):
        bench.send("lan", UDP4)
    (frame,) = bench.received("wan")
    return frame


def test_wrong_masks_make_wrong_packets(bench: Bench) -> None:
    good = bench.rule(UDP4, NEW4)
    # A destination port under a mask that is not the exact one is taken for a source port.
    port = replace(dest_port(5353), mask=0)
    frame = first_rewritten(bench, good.but(actions=[*good.actions[:6], port, *good.actions[7:]]))
    assert struct.unpack_from("!HH", frame, 34) == (0, 53)


def test_wrong_eth_mask(bench: Bench) -> None:
    good = bench.rule(UDP4, NEW4)
    # The source's first half with the other half's mask: it lands in the destination's end.
    wrong = replace(good.actions[0], mask=0xFFFF0000)
    rule = good.but(actions=[wrong, *good.actions[1:]])
    cookie = 1000
    # The source address begins with 0 then, and is still an address.
    assert bench.probe.replace("lan", cookie, rule) == 0
    (flow,) = bench.soc.flows()
    assert flow.fields["smac"].startswith("00:00:") != bench.mac("wan").startswith(b"\0\0")


def mangle_at(rule: Rule, offset: int) -> Rule:
    """With the first address mangle in another place."""
    index = next(i for i, a in enumerate(rule.actions) if a.kind == MANGLE and a.header == 2)
    actions = list(rule.actions)
    actions[index] = replace(actions[index], offset=offset)
    return rule.but(actions=actions)


ALL_KEYS = META | CONTROL | BASIC | PORTS
NOT_SUPPORTED: dict[str, Callable[[Rule], Rule]] = {
    "no meta": lambda rule: rule.but(keys=ALL_KEYS ^ META),
    "no control": lambda rule: rule.but(keys=ALL_KEYS ^ CONTROL),
    "no basic": lambda rule: rule.but(keys=ALL_KEYS ^ BASIC),
    "no ports": lambda rule: rule.but(keys=ALL_KEYS ^ PORTS),
    "control flags": lambda rule: rule.but(control_flags=1),
    "bridged": lambda rule: rule.but(addr_type=9),
    "802.1ad": lambda rule: rule.plus(Action(VLAN_PUSH, value=7, proto=ETH_P_8021AD)),
    "three tags": lambda rule: rule.plus(VLAN7, VLAN8, VLAN7),
    "pppoe and two tags": lambda rule: rule.plus(VLAN7, VLAN8, SESSION),
    "pppoe twice": lambda rule: rule.plus(SESSION, SESSION),
    "another action": lambda rule: rule.plus(Action(DROP)),
    "ipv6 nat": lambda rule: rule.plus(Action(MANGLE, IP6, 8)),
    "no egress": lambda rule: rule.but(actions=rule.actions[:-1]),
    "foreign egress": lambda rule: rule.but(
        actions=[*rule.actions[:-1], Action(REDIRECT, device="lo")]
    ),
    "foreign dsa tag": lambda rule: rule.but(
        actions=[*rule.actions[:-1], Action(REDIRECT, device="alien")]
    ),
    "unknown station": lambda rule: rule.but(
        actions=[*rule.actions[:-1], Action(REDIRECT, device="wifi")]
    ),
}
INVALID: dict[str, Callable[[Rule], Rule]] = {
    "no mac": lambda rule: rule.but(actions=rule.actions[4:]),
    "address offset": lambda rule: mangle_at(rule, 8),
    "port offset": lambda rule: rule.plus(Action(MANGLE, UDP_HEADER, 4)),
}


@pytest.mark.parametrize("name", [*NOT_SUPPORTED, *INVALID])
def test_refused(bench: Bench, name: str) -> None:
    change = NOT_SUPPORTED.get(name) or INVALID[name]
    error = errno.EOPNOTSUPP if name in NOT_SUPPORTED else errno.EINVAL
    assert bench.probe.replace("lan", 1, change(bench.rule(UDP4, NEW4))) == -error
    assert bench.soc.flows() == []


def test_cookies(bench: Bench) -> None:
    rule = bench.rule(UDP4, NEW4)
    cookie = bench.install(rule)
    assert bench.probe.replace("lan", cookie, rule) == -errno.EEXIST
    assert bench.probe.destroy("lan", cookie + 1) == -errno.ENOENT
    assert bench.probe.stats("lan", cookie + 1).error == -errno.ENOENT
    assert bench.soc.detectors() == {"cookie_in_use": 1, "cookie_unknown": 2}


TO_CPU = {
    "syn": (replace(TCP4, flags=SYN), "hit_bind_tcp_fin"),
    "rst": (replace(TCP4, flags=RST | ACK), "hit_bind_tcp_fin"),
    "ttl": (replace(TCP4, ttl=1), "ttl_exceeded"),
    "options": (replace(TCP4, options=bytes([1, 1, 1, 0])), "option_header"),
    "fragment": (replace(TCP4, frag=MF), "ipv4_frag"),
    "icmp": (replace(TCP4, proto=1), "not_l4"),
    "fin": (replace(TCP4, flags=FIN | ACK), "hit_bind_tcp_fin"),
    "after fin": (TCP4, "hit_fin"),
}


def test_left_to_the_cpu(bench: Bench) -> None:
    """Of a bound flow, too; nothing of it goes out, and the host gets it."""
    bench.install(bench.rule(TCP4, replace(TCP4, src=ROUTER, ttl=63)))
    for _ in range(2):
        bench.send("lan", TCP4)
    assert len(bench.received("wan")) == 1
    for packet, reason in TO_CPU.values():
        bench.soc.zero()
        bench.send("lan", packet)
        assert bench.soc.counters()[reason] == 1, reason
        assert bench.soc.port("lan").cpu_rx == 1
    assert bench.received("wan") == []
    # One second later a flow that has seen FIN is gone from the hardware, and bound again.
    bench.soc.advance(2)
    bench.soc.zero()
    bench.send("lan", TCP4)
    assert bench.soc.counters()["hit_unbind_rate_reached"] == 1


def test_mtu(bench: Bench) -> None:
    big = replace(UDP4, payload=bytes(1472))
    bench.install(bench.rule(big, replace(big, src=ROUTER, ttl=63)).plus(SESSION))
    for _ in range(2):
        bench.send("lan", big)
    assert bench.soc.counters()["exceed_mtu"] == 1
    small = replace(UDP4, payload=bytes(1464))
    bench.send("lan", small)
    assert bench.soc.counters()["bypass"] == 1


def test_bad_checksums_are_dropped(bench: Bench) -> None:
    frame = bytearray(UDP4.frame(bench.mac("lan"), NEXT_HOP))
    for at in (24, 40):
        wrong = frame[:]
        wrong[at] ^= 1
        bench.wires["lan"].send(bytes(wrong))
    assert bench.soc.counters()["bad_checksum"] == 2
    assert bench.soc.port("lan").rx_dropped == 2
    assert bench.soc.port("lan").cpu_rx == 0


def test_faults(bench: Bench) -> None:
    rule = bench.rule(UDP4, NEW4)
    bench.soc.fail("replace", 2, errno.ENOSPC)
    assert [bench.probe.replace("lan", 7, rule) for _ in range(3)] == [-errno.ENOSPC] * 2 + [0]
    bench.soc.fail("stats", 0, errno.EIO, percent=100)
    assert bench.probe.stats("lan", 7).error == -errno.EIO
    bench.soc.fail("stats", 0, 0)
    assert bench.probe.stats("lan", 7).error == 0
    assert bench.soc.counters()["cmd_replace_failed"] == 2


def test_detectors(bench: Bench) -> None:
    rule = bench.rule(UDP4, NEW4)
    for flags in (ATOMIC, RCU):
        assert bench.probe.replace("lan", 8, rule, flags) == -errno.EWOULDBLOCK
    assert bench.probe.bind("lan", BINDER) == -errno.EOPNOTSUPP
    bench.install(rule)
    bench.install(rule)
    bench.install(rule.but(proto=132, sport=1))
    bench.router.ip("link set wan down")
    bench.install(rule.but(sport=2))
    bench.router.ip("link set wan up")
    assert bench.soc.detectors() == {
        "atomic_call": 2,
        "binder_type": 1,
        "same_tuple": 1,
        "not_tcp_udp": 1,
        "device_down": 1,
    }
    bench.settle("wan")
