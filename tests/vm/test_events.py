# SPDX-License-Identifier: GPL-2.0-only
"""What changes in the network ends acceleration at once: routes, neighbours, addresses, devices,
bridge ports. What should go on does go on, on the new way."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from lab import LAN4, SERVER4, SERVER6, WAN4, WAN6, Lab, ping
from links import Link
from netns import Netns
from vm.craft import Frame, Wire, device_mac, mac_bytes
from vm.ghosts import BACK, OUT, RULES, GhostFlow, Ghosts

SIDES = pytest.mark.parametrize("side", [OUT, BACK], ids=["out", "back"])
VERSIONS = pytest.mark.parametrize("version", [4, 6])
KINDS = pytest.mark.parametrize("kind", ["routed", "masqueraded"])
OTHER_HOP = {4: "198.51.100.50", 6: "fd99::50"}
OTHER_MAC = "02:00:00:00:00:50"
NETWORKS = {4: ("198.51.100.0/24", "src " + WAN4), 6: ("fd99::/64", "")}


@pytest.fixture(scope="module")
def ghosts() -> Iterator[Ghosts]:
    lab = Lab(rules=RULES)
    # With its last address a device loses all its neighbours, too.
    lab.r.ip("addr add 192.0.2.1/32 dev lan", "addr add 192.0.2.2/32 dev wan")
    ghosts = Ghosts(lab)
    yield ghosts
    ghosts.close()
    lab.remove()


def nothing_comes(flow: GhostFlow, side: int, *, silently: bool = False) -> Frame | None:
    """None of the next packets comes out; what ICMP tells their sender about it."""
    at = flow.sides[side]
    at.ingress.drain()
    at.egress.drain()
    before = flow.lab.kernel.stats().engines["software"].packets
    for _ in range(3):
        flow.send(side, flow.packet(side, payload=b"lost"))
    assert not flow.collect(side, 1, 0.2)
    assert flow.lab.kernel.stats().engines["software"].packets == before
    return None if silently else flow.icmp(side)


@VERSIONS
@pytest.mark.parametrize("kind", ["blackhole", "unreachable"])
def test_route_becomes_dead_end(ghosts: Ghosts, version: int, kind: str) -> None:
    flow = ghosts.flow(version, 17, "masqueraded")
    host = flow.sides[OUT].template.dst
    ghosts.lab.r.ip(f"route add {kind} {host}")
    try:
        error = nothing_comes(flow, OUT, silently=kind == "blackhole")
        if kind == "unreachable":
            assert error and error.l4[0] == (3 if version == 4 else 1)
        before = flow.fast(BACK)
        assert len(flow.exchange(BACK, [flow.packet(BACK)] * 3)) == 3, "the other way is open"
        assert flow.fast(BACK) >= before + 2
    finally:
        ghosts.lab.r.ip(f"route del {kind} {host}")
    flow.prime()


@VERSIONS
def test_route_deleted(ghosts: Ghosts, version: int) -> None:
    flow = ghosts.flow(version, 17, "masqueraded")
    network, source = NETWORKS[version]
    ghosts.lab.r.ip(f"route del {network} dev wan")
    try:
        error = nothing_comes(flow, OUT)
        assert error and (error.l4[0], error.l4[1]) == ((3, 0) if version == 4 else (1, 0))
    finally:
        ghosts.lab.r.ip(f"route add {network} dev wan {source}")
    flow.prime()


@VERSIONS
@KINDS
def test_route_to_another_next_hop(ghosts: Ghosts, version: int, kind: str) -> None:
    """The very next packet goes to the new next hop."""
    flow = ghosts.flow(version, 17, kind)
    host, hop = flow.sides[OUT].template.dst, OTHER_HOP[version]
    ghosts.lab.r.ip(f"neigh replace {hop} lladdr {OTHER_MAC} dev wan nud permanent")
    for change, mac in (
        (f"route add {host} via {hop} dev wan", mac_bytes(OTHER_MAC)),
        (f"route del {host} via {hop} dev wan", ghosts.wan.mac),
    ):
        flow.prime()
        ghosts.lab.r.ip(change)
        before = flow.fast(OUT)
        frames = flow.exchange(OUT, [flow.packet(OUT)] * 5)
        assert [frame.to for frame in frames] == [mac] * 5
        assert flow.fast(OUT) == before + 4, "only the first one is slow"


@VERSIONS
def test_unrelated_route(ghosts: Ghosts, version: int) -> None:
    """A route that does not concern the flow costs it one slow packet at the most."""
    flow = ghosts.flow(version, 17, "masqueraded")
    near = {4: "198.51.100.200", 6: "fd99::200"}[version]
    for change in ("add", "del"):
        ghosts.lab.r.ip(f"route {change} {near} via {OTHER_HOP[version]} dev wan")
        for side in (OUT, BACK):
            before = flow.fast(side)
            assert len(flow.exchange(side, [flow.packet(side)] * 5)) == 5
            assert flow.fast(side) >= before + 4


@SIDES
@VERSIONS
def test_neighbour_moves(ghosts: Ghosts, version: int, side: int) -> None:
    """The next packets go to the neighbour's new address."""
    flow = ghosts.flow(version, 17, "masqueraded")
    lab = ghosts.lab
    device, wire = ("wan", ghosts.wan) if side == OUT else ("lan", ghosts.lan)
    host = flow.sides[not side].template.src
    for mac in (mac_bytes("02:00:00:00:00:77"), wire.mac):
        flow.prime()
        lab.r.ip(f"neigh replace {host} lladdr {mac.hex(':')} dev {device} nud permanent")
        frames = flow.exchange(side, [flow.packet(side)] * 5)
        assert [frame.to for frame in frames] == [mac] * 5
    before = flow.fast(side)
    flow.exchange(side, [flow.packet(side)] * 2)
    assert flow.fast(side) == before + 2, "and they are fast again"


@VERSIONS
def test_neighbour_deleted(ghosts: Ghosts, version: int) -> None:
    """It is asked for again; no packet goes to the address that is not known any more."""
    flow = ghosts.flow(version, 17, "masqueraded")
    host = flow.sides[OUT].template.dst
    ghosts.lab.r.ip(f"neigh del {host} dev wan")
    try:
        nothing_comes(flow, OUT, silently=True)
    finally:
        mac = ghosts.wan.mac.hex(":")
        ghosts.lab.r.ip(f"neigh replace {host} lladdr {mac} dev wan nud permanent")
    ghosts.wan.drain()
    flow.prime()


@VERSIONS
def test_real_neighbour_deleted(ghosts: Ghosts, version: int) -> None:
    """A host that answers is found again: nothing is lost."""
    pair = ghosts.lab.udp(version)
    ping(pair, 4)
    explained = ghosts.lab.kernel.explain(pair.tuple_)
    assert explained.state == "software"
    ghosts.lab.r.ip(f"neigh del {SERVER4 if version == 4 else SERVER6} dev wan")
    ping(pair, 4)
    assert ghosts.lab.state(pair) == "software"
    pair.close()


def test_lan_address_deleted(ghosts: Ghosts) -> None:
    """Its network's route goes with it: no way back to the client."""
    flow = ghosts.flow(4, 17, "routed")
    ghosts.lab.r.ip(f"addr del {LAN4}/24 dev lan")
    try:
        error = nothing_comes(flow, BACK)
        assert error and error.l4[0] == 3
    finally:
        ghosts.lab.r.ip(f"addr add {LAN4}/24 dev lan")
    flow.prime()


def test_mtu_grows_and_shrinks(ghosts: Ghosts) -> None:
    """The next packet after the change is measured by the new MTU."""
    flow = ghosts.flow(4, 17, "masqueraded")
    packet = flow.packet(OUT, payload=bytes(1400))
    assert flow.exchange(OUT, [packet])
    ghosts.lab.r.ip("link set wan mtu 1300")
    try:
        flow.send(OUT, packet)
        assert not flow.collect(OUT, 1, 0.2)
        error = flow.icmp(OUT)
        assert error and int.from_bytes(error.l4[6:8], "big") == 1300
    finally:
        ghosts.lab.r.ip("link set wan mtu 1500")
    assert flow.exchange(OUT, [packet])
    flow.prime()


def test_mtu_of_ipv6(ghosts: Ghosts) -> None:
    """IPv6 has an MTU of its own (router advertisements set it), and no event tells about it: a
    flow that was learned with a small one is fast with large packets soon after it has grown."""
    ghosts.lab.r.sysctl(net__ipv6__conf__wan__mtu=1300)
    try:
        flow = ghosts.flow(6, 17, "masqueraded")
        packet = flow.packet(OUT, payload=bytes(1400))
        flow.send(OUT, packet)
        error = flow.icmp(OUT)
        assert error and error.l4[0] == 2 and int.from_bytes(error.l4[4:8], "big") == 1300
    finally:
        ghosts.lab.r.sysctl(net__ipv6__conf__wan__mtu=1500)
    before = flow.fast(OUT)
    for _ in range(60):
        assert flow.exchange(OUT, [packet])
        if flow.fast(OUT) > before:
            return
        time.sleep(0.5)
    raise AssertionError("packets of the new size stay slow")


def delete_address(ns: Netns, device: str, address: str, prefix: int) -> float:
    """RTM_DELADDR (rtnetlink(7)); the time at which the kernel had done it."""
    with ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        index = ns.call(lambda: socket.if_nametoindex(device))
        body = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, 0, index)
        body += struct.pack("=HH4s", 8, 2, socket.inet_aton(address))
        sock.send(struct.pack("=IHHII", 16 + len(body), 21, 0x5, 1, 0) + body)
        error = struct.unpack_from("=i", sock.recv(4096), 16)[0]
        assert not error, f"RTM_DELADDR: {error}"
        return time.time()


def test_wan_address_changes(ghosts: Ghosts) -> None:
    """Masqueraded traffic under full steam: 100 ms after the change no packet has the old
    source any more, and the connection goes on with the new one."""
    flow = ghosts.flow(4, 17, "masqueraded")
    new = "198.51.100.9"
    lab, wire = ghosts.lab, ghosts.wan
    wire.drain()
    stop = threading.Event()
    frame = flow.frame(OUT, flow.packet(OUT, payload=b"steady"))

    def steam() -> None:
        while not stop.is_set():
            ghosts.lan.send(frame)
            stop.wait(0.003)

    sender = threading.Thread(target=steam)
    before = flow.fast(OUT)
    sender.start()
    try:
        time.sleep(0.3)
        assert flow.fast(OUT) > before + 20
        moment = delete_address(lab.r, "wan", WAN4, 24)
        lab.r.ip(f"addr add {new}/24 dev wan")
        time.sleep(0.5)
    finally:
        stop.set()
        sender.join()
    frames = [f for f in wire.drain() if f.version == 4 and f.proto == 17]
    old = [f.time - moment for f in frames if f.src == WAN4]
    assert sum(1 for late in old if late < 0) > 20
    print(f"last packet with the old source {max(old) * 1000:+.1f} ms after its address went")
    assert max(old) < 0.1
    assert sum(1 for f in frames if f.src == new) > 20
    lab.r.ip(f"addr del {new}/24 dev wan", f"addr add {WAN4}/24 dev wan")


# Devices


def test_device_down_and_up() -> None:
    lab = Lab(masquerade=True)
    try:
        pair = lab.udp(4)
        ping(pair, 4)
        assert lab.state(pair) == "software"
        wire = Wire(lab.s, "wan")
        lab.r.ip("link set wan down")
        wire.drain()
        software = lab.kernel.stats().engines["software"].packets
        for _ in range(3):
            pair.client.send(b"nowhere")
        time.sleep(0.1)
        assert not wire.drain()
        assert lab.kernel.stats().engines["software"].packets == software
        lab.r.ip("link set wan up")
        # What ICMP said meanwhile.
        pair.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        ping(pair, 6)
        assert lab.state(pair) == "software"
        wire.close()

        # And it goes away altogether: nothing holds it, nothing is sent.
        other = lab.udp(4)
        ping(other, 4)
        start = time.monotonic()
        lab.r.ip("link del wan")
        took = time.monotonic() - start
        print(f"the device was gone after {took:.1f} s")
        assert took < 5
        software = lab.kernel.stats().engines["software"].packets
        for _ in range(3):
            other.client.send(b"nowhere")
        assert lab.kernel.stats().engines["software"].packets == software
        Link(
            *("plain", lab.s, lab.r, "wan", (SERVER4, SERVER6), (WAN4, WAN6)),
            routes=[f"192.168.77.0/24 via {WAN4}"],
        )
        again = lab.udp(4)
        ping(again, 6)
        assert lab.state(again) == "software"
        for one in (pair, other, again):
            one.close()
    finally:
        lab.remove()


# A bridge


@pytest.fixture(scope="module")
def bridge() -> Iterator[tuple[Ghosts, Wire]]:
    """Ghosts whose LAN is a bridge with a second port, and the far end of that port."""
    lab = Lab(lan="bridge", rules=RULES)
    # The bridge would learn the ghosts' place from what the client says of itself, too.
    lab.c.sysctl(net__ipv6__conf__all__disable_ipv6=1)
    lab.c.ip("link add alt type veth peer name lan1 netns " + lab.r.name, "link set alt up")
    # A port of its own address, so that frames to the bridge are not the port's.
    lab.r.ip(
        "link set lan1 up",
        "link set lan1 master lan",
        "link set lan address 02:00:00:00:00:aa",
    )
    ghosts = Ghosts(lab)
    alt = Wire(lab.c, "alt")
    yield ghosts, alt
    alt.close()
    ghosts.close()
    lab.remove()


@VERSIONS
@KINDS
def test_bridge_port_of_another_address(
    bridge: tuple[Ghosts, Wire], version: int, kind: str
) -> None:
    """Frames to the bridge come in as frames for another host on its port, and are fast."""
    ghosts, _ = bridge
    assert device_mac(ghosts.lab.r, "lan") != device_mac(ghosts.lab.r, "lan0")
    flow = ghosts.flow(version, 17, kind)
    for side in (OUT, BACK):
        before = flow.fast(side)
        assert len(flow.exchange(side, [flow.packet(side)] * 5)) == 5
        assert flow.fast(side) == before + 5, (flow.record(), flow.lab.reasons())
    # The same packet in a frame from one LAN host to another is the bridge's business.
    before = flow.fast(OUT)
    frame = flow.packet(OUT, payload=b"not for you").frame(
        mac_bytes("02:00:00:00:00:cc"), ghosts.lan.mac
    )
    assert not flow.all_frames(OUT, [frame])
    assert flow.fast(OUT) == before + 1


@VERSIONS
def test_host_moves_to_another_port(bridge: tuple[Ghosts, Wire], version: int) -> None:
    """A laptop changes from one access point to another: the first packet it sends there moves
    its traffic over; of each flow at most one packet is lost."""
    ghosts, alt = bridge
    flows = [ghosts.flow(version, 17, kind) for kind in ("routed", "masqueraded", "dnat")]
    here, there = ghosts.lan, alt
    mac = ghosts.lan.mac
    for _ in range(2):
        downs = [BACK if flow.sides[BACK].ingress is ghosts.wan else OUT for flow in flows]
        for flow, down in zip(flows, downs, strict=True):
            assert flow.state() == "software"
            assert len(sent_down(flow, down, here, 3)) == 3
        # Any frame from the new place.
        there.send(b"\xff" * 6 + mac + b"\x08\x06" + bytes(46))
        time.sleep(0.05)
        for flow, down in zip(flows, downs, strict=True):
            here.drain()
            came = sent_down(flow, down, there, 10)
            assert len(came) >= 9, f"{10 - len(came)} lost"
            assert not [f for f in here.drain() if flow.is_mine(down, f)]
        # What the host sends from there is fast again, too.
        for flow, down in zip(flows, downs, strict=True):
            up = 1 - down
            before = flow.fast(up)
            router = flow.sides[up].router
            frames = [flow.packet(up).frame(router, mac)] * 6
            flow.sides[up].egress.drain()
            for frame in frames:
                there.send(frame)
            assert len(flow.collect(up, 6)) == 6
            assert flow.fast(up) >= before + 4
        here, there = there, here


def sent_down(flow: GhostFlow, side: int, wire: Wire, count: int) -> list[Frame]:
    """Sends packets to the LAN; those that come out on a certain port."""
    wire.drain()
    for _ in range(count):
        flow.send(side, flow.packet(side))
    return wire.collect(lambda frame: flow.is_mine(side, frame), count, 0.5)


@VERSIONS
def test_port_leaves_its_bridge(bridge: tuple[Ghosts, Wire], version: int) -> None:
    """A port without a bridge carries nothing, and carries it again when it is back."""
    ghosts, alt = bridge
    flow = ghosts.flow(version, 17, "masqueraded")
    lab = ghosts.lab
    # Flooded frames would come out of the other port.
    alt.drain()
    lab.r.ip("link set lan0 nomaster")
    try:
        software = lab.kernel.stats().engines["software"].packets
        for side in (OUT, BACK):
            at = flow.sides[side]
            at.egress.drain()
            for _ in range(3):
                flow.send(side, flow.packet(side))
            assert not flow.collect(side, 1, 0.2)
        assert lab.kernel.stats().engines["software"].packets == software
    finally:
        lab.r.ip("link set lan0 master lan")
    time.sleep(0.1)
    flow.prime()
