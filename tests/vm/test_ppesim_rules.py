# SPDX-License-Identifier: GPL-2.0-only
"""What the simulated driver accepts and refuses, and what its hardware makes of frames: rules and
frames by hand, one network for all of them."""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import ppesim
import pytest
from netns import Netns
from ppeprobe import (
    ATOMIC,
    BASIC,
    BINDER,
    CONTROL,
    CSUM,
    DROP,
    ETH_P_8021AD,
    ETH_P_8021Q,
    IP6,
    LATE,
    MANGLE,
    META,
    PORTS,
    PPPOE_PUSH,
    RCU,
    REDIRECT,
    TCP_HEADER,
    UDP_HEADER,
    VLAN_POP,
    VLAN_PUSH,
    Action,
    Probe,
    Rule,
    address,
    dest_port,
    eth,
    source_port,
)
from vm.craft import (
    ACK,
    FIN,
    MF,
    RST,
    SOL_PACKET,
    SYN,
    TCP,
    UDP,
    Packet,
    Wire,
    device_mac,
)

PACKET_AUXDATA = 8
TP_STATUS_VLAN_VALID = 0x10
# struct virtio_net_hdr, which comes before every frame.
VNET_LEN = 10

# A host behind the LAN talks to one behind the WAN, which sees it as the router.
HOST, PEER, ROUTER = "192.168.77.2", "198.51.100.2", "198.51.100.1"
HOST6, PEER6 = "fd77::2", "fd99::2"
NEXT_HOP = bytes.fromhex("020000000099")


class TaggedWire(Wire):
    """A wire whose frames come with their outer tag, which the kernel has put aside."""

    def __init__(self, ns: Netns, device: str) -> None:
        super().__init__(ns, device)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def frames(self) -> list[bytes]:
        found = []
        while True:
            try:
                data, control, _, _ = self.sock.recvmsg(1 << 17, 128, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            frame = data[VNET_LEN:]
            for level, kind, value in control:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, tci, proto = struct.unpack("=I12xHH", value)
                    if status & TP_STATUS_VLAN_VALID:
                        frame = frame[:12] + struct.pack("!HH", proto, tci) + frame[12:]
            found.append(frame)


@dataclass
class Bench:
    """A SoC with both MACs ("lan", "wan"), a switch ("eth2" with "user" and "alien") and WED
    ("wifi"), their wires in one namespace under the same names."""

    router: Netns
    far: Netns
    soc: ppesim.Soc
    probe: Probe
    wires: dict[str, TaggedWire]
    cookies: int = 0

    def mac(self, device: str) -> bytes:
        return device_mac(self.router, device)

    def send(self, port: str, packet: Packet, tags: bytes = b"") -> None:
        """A frame from the wire of a port; `tags` come before its IP header."""
        frame = packet.frame(self.mac(port), NEXT_HOP)
        self.wires[port].send(frame[:12] + tags + frame[12 if not tags else 14 :])

    def received(self, port: str) -> list[bytes]:
        """Frames that came to the other end of a port's cable, IPv4 and IPv6 and tagged ones."""
        # The kernel may deliver them a moment later, on another thread.
        time.sleep(0.02)
        return [data for data in self.wires[port].frames() if data[:6] == NEXT_HOP]

    def settle(self, port: str) -> None:
        """Wait until a wire that was down carries frames again: its end notices with a delay."""
        end = time.monotonic() + 10
        before = self.soc.port(port).wire_rx
        while self.soc.port(port).wire_rx == before:
            assert time.monotonic() < end
            self.send(port, replace(UDP4, ttl=1))
            time.sleep(0.05)

    def install(self, rule: Rule, via: str = "lan") -> int:
        self.cookies += 1
        assert self.probe.replace(via, self.cookies, rule) == 0
        return self.cookies

    def rule(self, packet: Packet, new: Packet, out: str = "wan", ingress: str = "lan") -> Rule:
        """The rule that makes `new` of `packet`."""
        actions = eth(NEXT_HOP, self.mac(out))
        if packet.version == 4:
            header = UDP_HEADER if packet.proto == UDP else TCP_HEADER
            actions += [address(12, new.src), address(16, new.dst)]
            actions += [source_port(new.sport, header), dest_port(new.dport, header)]
            actions.append(Action(CSUM))
        actions.append(Action(REDIRECT, device=out))
        return Rule(
            packet.src, packet.dst, packet.sport, packet.dport, ingress, actions, packet.proto
        )


def make_bench(profile: str, *, entries: int = 16384, wed: int | None = 0) -> Bench:
    router, far = Netns(f"r{profile}"), Netns(f"f{profile}")
    for ns in (router, far):
        ns.sysctl(net__ipv6__conf__default__disable_ipv6=1)
    soc = ppesim.Soc(router, profile, entries=entries)
    soc.gmac("lan", index=0, wire=far)
    soc.gmac("wan", index=1, wire=far)
    soc.gmac("eth2", index=2, wire=None)
    soc.dsa("user", index=3, conduit=2, wire=far)
    soc.dsa("alien", index=4, conduit=2, mediatek_tag=False, wire=far)
    soc.wlan("wifi", wed=wed, wire=far)
    names = ("lan", "wan", "user", "alien", "wifi")
    router.ip(*(f"link set {name} up" for name in (*names, "eth2")))
    far.ip(*(f"link set {name} up" for name in names))
    # A rule is bound by the first packet that the CPU sees.
    soc.set(bind_rate=1)
    return Bench(router, far, soc, Probe(soc), {name: TaggedWire(far, name) for name in names})


def remove_bench(bench: Bench) -> None:
    for wire in bench.wires.values():
        wire.close()
    bench.soc.remove()
    bench.router.remove()
    bench.far.remove()


@pytest.fixture(scope="module", autouse=True)
def simulator() -> Iterator[None]:
    ppesim.load()
    yield
    ppesim.unload()


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    bench = make_bench("mt7986")
    for device in ("lan", "wan", "user", "wifi"):
        assert bench.probe.bind(device) == 0
    yield bench
    for device in ("lan", "wan", "user", "wifi"):
        assert bench.probe.unbind(device) == 0
    assert bench.soc.detectors() == {}
    remove_bench(bench)


@pytest.fixture
def bench(shared: Bench) -> Iterator[Bench]:
    """Nothing is installed, and no mistake has been made."""
    shared.soc.set(bind_rate=1, wed_attached=1, init_net_only=0)
    yield shared
    for flow in shared.soc.flows():
        assert shared.probe.destroy("lan", int(flow.cookie, 16)) == 0
    shared.soc.reset()
    shared.soc.zero()
    for wire in shared.wires.values():
        wire.frames()


def tag(vid: int, proto: int = 0x0800) -> bytes:
    return struct.pack("!HHH", 0x8100, vid, proto)


def session(number: int, packet: Packet) -> bytes:
    length = len(packet.ip()) + 2
    ppp = 0x21 if packet.version == 4 else 0x57
    return struct.pack("!HBBHHH", 0x8864, 0x11, 0, number, length, ppp)


UDP4 = Packet(HOST, PEER, 4000, 53, payload=b"question" * 9)
NEW4 = replace(UDP4, src=ROUTER, sport=61000, ttl=63)
TCP4 = Packet(HOST, PEER, 4001, 80, proto=TCP, payload=b"data" * 100)
BACK4 = Packet(PEER, ROUTER, 443, 61001, proto=TCP, payload=b"answer" * 77)
UDP6 = Packet(HOST6, PEER6, 4002, 53, payload=b"question" * 9)
TCP6 = Packet(HOST6, PEER6, 4003, 80, proto=TCP, payload=b"data" * 100)
VLAN7 = Action(VLAN_PUSH, value=7, proto=ETH_P_8021Q)
VLAN8 = Action(VLAN_PUSH, value=8, proto=ETH_P_8021Q)
SESSION = Action(PPPOE_PUSH, value=0x1234)

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


def actions_but(rule: Rule, **changes: int) -> Rule:
    """With another first address mangle."""
    index = next(i for i, a in enumerate(rule.actions) if a.kind == MANGLE and a.header == 2)
    actions = list(rule.actions)
    actions[index] = replace(actions[index], **changes)
    return rule.but(actions=actions)


ALL_KEYS = META | CONTROL | BASIC | PORTS
NOT_SUPPORTED = {
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
INVALID = {
    "no mac": lambda rule: rule.but(actions=rule.actions[4:]),
    "address offset": lambda rule: actions_but(rule, offset=8),
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


OPTION = replace(UDP4, options=bytes([1, 1, 1, 0]))
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


def test_rate_and_age(bench: Bench) -> None:
    bench.soc.set(bind_rate=30)
    cookie = bench.install(bench.rule(UDP4, NEW4))
    # Before it is bound its last use means nothing: it grows with the clock, not from now.
    assert bench.probe.stats("lan", cookie).packets == 0
    for _ in range(29):
        bench.send("lan", UDP4)
    assert bench.soc.entries() == [] and bench.received("wan") == []
    # A machine that is too slow for 30 in a second gets another second.
    for _ in range(10):
        time.sleep(1.1)
        for _ in range(31):
            bench.send("lan", UDP4)
        if bench.soc.entries():
            break
    assert len(bench.soc.entries()) == 1
    bench.received("wan")
    bench.soc.advance(11)
    bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    bench.soc.advance(11)
    assert len(bench.soc.entries()) == 1
    bench.soc.advance(2)
    assert bench.soc.entries() == []
    # It is still installed, nobody was told, and it comes back with the packets.
    (flow,) = bench.soc.flows()
    assert (flow.bound, flow.binds) == (False, 1)
    bench.soc.set(bind_rate=1)
    # The driver looks at an entry's packets no more than ten times a second.
    time.sleep(0.2)
    bench.send("lan", UDP4)
    bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    assert bench.soc.flows()[0].binds == 2


def test_tcp_ages_sooner(bench: Bench) -> None:
    bench.install(bench.rule(TCP4, replace(TCP4, src=ROUTER, ttl=63)))
    bench.send("lan", TCP4)
    bench.soc.advance(6)
    assert len(bench.soc.entries()) == 1
    bench.soc.advance(2)
    assert bench.soc.entries() == []
    bench.soc.set(bind_rate=30)
    bench.send("lan", TCP4)
    assert len(bench.soc.entries("unbind")) == 1
    bench.soc.advance(4)
    assert bench.soc.entries("unbind") == []


def test_counters_are_cleared_by_reading(bench: Bench) -> None:
    cookie = bench.install(bench.rule(UDP4, NEW4))
    for _ in range(6):
        bench.send("lan", UDP4)
    first, second = (bench.probe.stats("lan", cookie) for _ in range(2))
    assert (first.packets, first.bytes) == (5, 5 * len(UDP4.ip()))
    assert (second.packets, second.bytes) == (0, 0)
    # What nobody read is told to the flow that gets the entry next.
    bench.send("lan", UDP4)
    assert bench.probe.destroy("lan", cookie) == 0
    cookie = bench.install(bench.rule(UDP4, NEW4))
    bench.soc.advance(1)
    assert bench.probe.stats("lan", cookie).packets == 0
    while not bench.soc.entries():
        bench.send("lan", UDP4)
    assert bench.probe.stats("lan", cookie).packets == 1


def test_last_use_wraps(bench: Bench) -> None:
    """Eight bits of seconds, and no finer."""
    cookie = bench.install(bench.rule(UDP4, NEW4))
    for _ in range(2):
        bench.send("lan", UDP4)
    assert bench.probe.stats("lan", cookie).idle < 3000
    bench.soc.advance(200)
    assert 200_000 <= bench.probe.stats("lan", cookie).idle < 205_000
    bench.soc.advance(100)
    assert 44_000 <= bench.probe.stats("lan", cookie).idle < 49_000


def hash_of(packet: Packet, ways: int, entries: int) -> int:
    """First entry of an IPv4 packet, worked out here."""
    mask = 0xFFFFFFFF
    a = packet.sport << 16 | packet.dport
    b, c = (
        int.from_bytes(bytes(map(int, text.split("."))), "big") for text in (packet.dst, packet.src)
    )
    value = (a & b) | (~a & mask & c)
    value = (value << 8 | value >> 24) & mask
    value ^= a ^ b ^ c
    value ^= value >> 16
    return value * ways % entries


def colliding(count: int, ways: int, entries: int, at: int | None = None) -> list[Packet]:
    found: list[Packet] = []
    for sport in range(1024, 65536):
        packet = replace(UDP4, sport=sport)
        place = hash_of(packet, ways, entries)
        if at is None:
            at = place
        if place == at:
            found.append(packet)
            if len(found) == count:
                return found
    raise AssertionError("no such packets")


def test_ways(bench: Bench) -> None:
    """The fifth flow of a hash value is installed, and never bound."""
    packets = colliding(5, 4, 16384)
    for packet in packets:
        bench.install(bench.rule(packet, replace(packet, src=ROUTER, ttl=63)))
    for _ in range(3):
        for packet in packets:
            bench.send("lan", packet)
    entries = bench.soc.entries()
    first = hash_of(packets[0], 4, 16384)
    assert sorted(entry.index for entry in entries) == [first + way for way in range(4)]
    assert bench.soc.counters()["no_way"] == 3
    assert len(bench.soc.flows()) == 5


def test_full_and_reset(bench: Bench) -> None:
    bench.soc.fill(100)
    bench.install(bench.rule(UDP4, NEW4))
    for _ in range(3):
        bench.send("lan", UDP4)
    assert bench.soc.counters()["no_way"] == 3
    bench.soc.fill(0)
    for _ in range(3):
        bench.send("lan", UDP4)
    assert bench.soc.counters()["bypass"] == 2
    bench.soc.reset()
    assert bench.soc.entries() == [] and len(bench.soc.flows()) == 1
    for _ in range(2):
        bench.send("lan", UDP4)
    assert bench.soc.counters()["bypass"] == 3


def test_dead_port_swallows(bench: Bench) -> None:
    """Nobody tells the hardware that a port or a link is down."""
    bench.install(bench.rule(UDP4, NEW4))
    for _ in range(2):
        bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    bench.soc.link("wan", up=False)
    bench.send("lan", UDP4)
    bench.soc.link("wan", up=True)
    bench.router.ip("link set wan down")
    bench.send("lan", UDP4)
    bench.router.ip("link set wan up")
    assert bench.soc.port("wan").tx_lost == 2
    assert bench.received("wan") == []
    bench.send("lan", UDP4)
    assert len(bench.received("wan")) == 1
    bench.settle("wan")


def test_engine_is_chosen_by_ingress(bench: Bench) -> None:
    back = BACK4
    new = replace(back, dst=HOST, dport=4001, ttl=63)
    rule = bench.rule(back, new, out="lan", ingress="wan")
    cookie = bench.install(rule)
    assert bench.soc.flows()[0].ppe == 1
    for _ in range(2):
        bench.send("wan", back)
    assert bench.received("lan") == [new.frame(NEXT_HOP, bench.mac("lan"))]
    assert bench.soc.detectors() == {}
    # The real driver looks for the device in the first namespace only, and takes its first engine.
    assert bench.probe.destroy("lan", cookie) == 0
    bench.soc.set(init_net_only=1)
    bench.install(rule)
    assert bench.soc.flows()[0].ppe == 0
    for _ in range(2):
        bench.send("wan", back)
    assert bench.received("lan") == []


def test_switch_ports(bench: Bench) -> None:
    """They hand the block on to the conduit; what comes from them is the conduit's engine's."""
    assert bench.soc.port("user").bound == 1
    bench.install(bench.rule(UDP4, NEW4, out="user"))
    for _ in range(2):
        bench.send("lan", UDP4)
    assert bench.received("user") == [NEW4.frame(NEXT_HOP, bench.mac("user"))]
    assert bench.soc.port("eth2").hw_tx == 1
    # The driver does not know the switch port of the ingress key, and takes its first engine.
    bench.install(bench.rule(BACK4, replace(BACK4, dst=HOST, ttl=63), "lan", "user"), via="user")
    assert bench.soc.detectors() == {"wrong_ppe": 1}
    bench.install(bench.rule(TCP4, replace(TCP4, ttl=63), "lan", "eth2"), via="user")
    for _ in range(2):
        bench.send("user", TCP4)
    assert len(bench.received("lan")) == 1
    assert bench.soc.detectors() == {"wrong_ppe": 1}
    assert bench.soc.port("user").hw_rx == bench.soc.port("eth2").hw_rx == 1
    bench.install(bench.rule(TCP6, TCP6, out="user").plus(VLAN7, VLAN8))
    assert bench.soc.detectors() == {"wrong_ppe": 1, "dsa_two_tags": 1}


def test_wed(bench: Bench) -> None:
    """To the station, and from it by the wireless interface's own callback."""
    station = device_mac(bench.far, "wifi")
    there = Rule(
        PEER,
        HOST,
        53,
        4000,
        "wan",
        [*eth(station, bench.mac("wifi")), Action(REDIRECT, device="wifi")],
    )
    bench.install(there)
    assert bench.soc.flows()[0].fields["wdma"] == "0"
    assert bench.soc.counters()["wed0_flows"] == 1
    packet = UDP4.mirrored()
    for _ in range(2):
        bench.send("wan", packet)
    frame = replace(packet, ttl=63).frame(station, bench.mac("wifi"))
    assert frame in bench.wires["wifi"].frames()
    back = bench.rule(UDP4, NEW4, ingress="wifi")
    cookie = bench.install(back, via="wifi")
    for _ in range(2):
        bench.send("wifi", UDP4)
    assert len(bench.received("wan")) == 1
    assert bench.soc.detectors() == {}
    bench.soc.set(wed_attached=0)
    assert bench.probe.replace("lan", 999, there.but(sport=54)) == -errno.ENODEV
    assert bench.probe.destroy("wifi", cookie) == 0


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


def test_what_is_left_behind() -> None:
    """MT7622: WED that only sends, and detectors of an untidy end."""
    bench = make_bench("mt7622", entries=1024)
    try:
        assert bench.probe.bind("wifi") == -errno.EOPNOTSUPP
        assert bench.probe.bind("lan") == 0
        station = device_mac(bench.far, "wifi")
        rule = bench.rule(UDP4, NEW4).but(
            actions=[*eth(station, bench.mac("wifi")), Action(REDIRECT, device="wifi")]
        )
        bench.install(rule)
        assert bench.soc.flows()[0].wed == 0
        # What comes from the air meets no engine.
        for _ in range(3):
            bench.send("wifi", UDP4)
        assert bench.soc.port("wifi").cpu_rx == 3 and bench.soc.entries("unbind") == []
        # The second tag lies where this SoC's hardware keeps the station.
        bench.install(rule.but(sport=1, actions=[*rule.actions, VLAN7, VLAN8]))
        assert bench.soc.counters()["wed0_flows"] == 2
        assert bench.probe.destroy("lan", 2) == 0
        assert bench.soc.counters()["wed0_flows"] == 1
        assert bench.soc.detectors() == {"tags_ignored": 1}
        bench.soc.zero()
        assert bench.probe.unbind("lan") == 0
        assert bench.probe.unbind("lan") == -errno.ENOENT
        assert bench.soc.detectors() == {"destroy_missing": 1, "unbind_unknown": 1}
        bench.soc.zero()
        assert bench.probe.destroy("lan", 1, LATE) == -errno.EOPNOTSUPP
        assert bench.probe.bind("wan") == 0
        bench.router.ip("link del wan")
        assert bench.soc.detectors() == {
            "call_after_unbind": 1,
            "unbind_missing": 1,
        }
    finally:
        remove_bench(bench)


def test_without_counters() -> None:
    """MT7621: two ways, some entries never used, no counters, a clock of 15 bits."""
    bench = make_bench("mt7621", wed=None)
    try:
        assert bench.probe.bind("lan") == 0
        (packet,) = colliding(1, 2, 16384, at=12)
        cookie = bench.install(bench.rule(packet, replace(packet, src=ROUTER, ttl=63)))
        for _ in range(3):
            bench.send("lan", packet)
        assert [entry.index for entry in bench.soc.entries()] == [13]
        answer = bench.probe.stats("lan", cookie)
        assert (answer.packets, answer.bytes) == (0, 0)
        bench.soc.advance(300)
        assert 300_000 <= bench.probe.stats("lan", cookie).idle < 305_000
        assert bench.probe.destroy("lan", cookie) == 0
        assert bench.probe.unbind("lan") == 0
        assert bench.soc.detectors() == {}
    finally:
        remove_bench(bench)
