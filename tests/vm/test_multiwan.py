# SPDX-License-Identifier: GPL-2.0-only
"""Two WAN lines and policy routing by mark: requests and answers of a connection keep to the line
that it was given, whichever side opened it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from lab import CLIENT4, CLIENT6, SERVER4, SERVER6, WAN4, WAN6, Lab, Pair, fast_packets, ping
from links import Link
from vm.craft import Frame, Wire

from natflow.kernel.filters import FlowTuple

WANS = ["wan", "wan2"]
# Of each line: the provider's end, and the router's address.
ENDS = {"wan": {4: SERVER4, 6: SERVER6}, "wan2": {4: "203.0.113.2", 6: "fd98::2"}}
ROUTER = {"wan": {4: WAN4, 6: WAN6}, "wan2": {4: "203.0.113.1", 6: "fd98::1"}}
# A server that both lines lead to.
FAR = {4: "192.0.2.10", 6: "2001:db8:5::10"}
CLIENT = {4: CLIENT4, 6: CLIENT6}
# Destination ports: what the mark is chosen by, with translation and without; and inbound.
NAT_PORTS, ROUTED_PORTS = {"wan": 9001, "wan2": 9002}, {"wan": 9101, "wan2": 9102}
INBOUND, INNER = 8080, 8000
L4 = "meta l4proto { tcp, udp } th dport"
RULES = f"""
table inet mwan {{
  chain pre {{
    type filter hook prerouting priority mangle;
    ct state new iifname "wan" ct mark set 1
    ct state new iifname "wan2" ct mark set 2
    ct state new iifname "lan" {L4} {{ 9001, 9101 }} ct mark set 1
    ct state new iifname "lan" {L4} {{ 9002, 9102 }} ct mark set 2
    meta mark set ct mark
  }}
  chain inbound {{
    type nat hook prerouting priority dstnat;
    iifname "wan*" meta nfproto ipv4 {L4} {INBOUND} dnat ip to {CLIENT4}:{INNER}
    iifname "wan*" meta nfproto ipv6 {L4} {INBOUND} dnat ip6 to [{CLIENT6}]:{INNER}
  }}
  chain post {{
    type nat hook postrouting priority srcnat;
    oifname "wan*" {L4} 9001-9002 masquerade
  }}
}}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(rules=RULES)
    second = [(ENDS["wan2"][4], ENDS["wan2"][6]), (ROUTER["wan2"][4], ROUTER["wan2"][6])]
    Link("plain", lab.s, lab.r, "wan2", second[0], second[1])
    lab.s.ip(f"addr add {FAR[4]}/32 dev lo", f"addr add {FAR[6]}/128 dev lo nodad")
    for family in ("-4", "-6"):
        # What is near is found without a mark; only the way to the rest of the world depends on it.
        lab.r.run(
            "ip",
            family,
            *["rule", "add", "pref", "100", "lookup", "main", "suppress_prefixlength", "0"],
        )
    for number, wan in enumerate(WANS, 1):
        for version, family in ((4, "-4"), (6, "-6")):
            route = f"route add default via {ENDS[wan][version]} dev {wan}"
            lab.r.run("ip", family, *f"{route} table {number}".split())
            lab.r.run("ip", family, *f"rule add pref 200 fwmark {number} lookup {number}".split())
            if wan == "wan":
                lab.r.run("ip", family, *route.split())
    yield lab
    lab.remove()


class Wires:
    """What comes in on the lines at the providers' end."""

    def __init__(self, lab: Lab) -> None:
        self.wires = {wan: Wire(lab.s, wan) for wan in WANS}

    def count(self, version: int, ports: set[int]) -> dict[str, int]:
        """Packets by line since the last call, of the connection with these ports."""

        def mine(frame: Frame) -> bool:
            return frame.version == version and frame.proto in (6, 17) and ports <= {*frame.ports}

        return {wan: sum(map(mine, wire.drain())) for wan, wire in self.wires.items()}


@pytest.fixture(scope="module")
def wires(lab: Lab) -> Iterator[Wires]:
    wires = Wires(lab)
    yield wires
    for wire in wires.wires.values():
        wire.close()


def connected(lab: Lab, version: int, kind: str, inbound: str | int) -> Pair:
    """A connection to the far server's port `inbound`, or from it by the line `inbound`."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    type_ = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    if isinstance(inbound, int):
        opener, listener = lab.c, lab.s
        target, bound = (FAR[version], inbound), (FAR[version], inbound)
        source = CLIENT[version]
    else:
        opener, listener = lab.s, lab.c
        target, bound = (ROUTER[inbound][version], INBOUND), (CLIENT[version], INNER)
        source = FAR[version]
    passive = listener.socket(family, type_)
    passive.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    passive.bind(bound)
    active = opener.socket(family, type_)
    active.bind((source, 0))
    for sock in (passive, active):
        sock.settimeout(10)
    if kind == "tcp":
        passive.listen()
        active.connect(target)
        accepted, _ = passive.accept()
        passive.close()
        accepted.settimeout(10)
        passive = accepted
    else:
        active.connect(target)
        active.send(b"hello")
        _, peer = passive.recvfrom(100)
        passive.connect(peer)
    tuple_ = FlowTuple.parse(
        {
            "proto": kind,
            "src": source,
            "dst": target[0],
            "sport": active.getsockname()[1],
            "dport": target[1],
        }
    )
    client, server = (active, passive) if opener is lab.c else (passive, active)
    return Pair(client, server, tuple_)


def ports_of(pair: Pair) -> set[int]:
    """What tells the connection apart at the server."""
    return {pair.server.getsockname()[1], pair.server.getpeername()[1]}


@pytest.mark.parametrize("wan", WANS)
@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("way", ["nat", "routed", "inbound"])
def test_keeps_to_its_line(
    lab: Lab, wires: Wires, way: str, version: int, kind: str, wan: str
) -> None:
    """The first packets of a connection, which are slow, and the fast ones after them."""
    to = {"nat": NAT_PORTS[wan], "routed": ROUTED_PORTS[wan], "inbound": wan}[way]
    other = WANS[1 - WANS.index(wan)]
    if way == "routed":
        # The far end, too, has a line for this connection.
        back = f"via {ROUTER[wan][version]} dev {wan}"
        lab.s.ip(f"route replace {'192.168.77.0/24' if version == 4 else 'fd77::/64'} {back}")
    pair = connected(lab, version, kind, to)
    ports = ports_of(pair)
    if way == "nat":
        assert pair.server.getpeername()[0] == ROUTER[wan][version]
    ping(pair, 20)
    explained = lab.kernel.explain(pair.tuple_)
    assert explained.state == "software", explained
    assert explained.flow and min(explained.flow.packets) >= 15
    counted = wires.count(version, ports)
    assert counted[wan] >= 20 and not counted[other], counted
    index = lab.r.call(lambda: socket.if_nametoindex(wan))
    # The flow's original direction goes out to the WAN, or comes in from there.
    assert index in (explained.flow.in_ifindex[0], explained.flow.out_ifindex[0])
    pair.close()


@pytest.mark.parametrize("version", [4, 6])
def test_line_is_given_up(lab: Lab, wires: Wires, version: int) -> None:
    """When the policy goes, the next packet takes the other line; when it is back, this one."""
    pair = connected(lab, version, "udp", ROUTED_PORTS["wan2"])
    pair.server.send(b"hello yourself")
    pair.client.recv(100)
    ports = ports_of(pair)
    for command, line, other in (("del", "wan", "wan2"), ("add", "wan2", "wan")) * 2:
        lab.r.run("ip", f"-{version}", *f"rule {command} pref 200 fwmark 2 lookup 2".split())
        wires.count(version, ports)
        ping(pair, 10)
        assert wires.count(version, ports) == {line: 10, other: 0}
        fast = fast_packets(lab.flow(pair))
        ping(pair, 5)
        assert fast_packets(lab.flow(pair)) == fast + 10
    pair.close()
