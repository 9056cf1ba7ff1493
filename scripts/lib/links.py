# SPDX-License-Identifier: GPL-2.0-only
"""The kinds of links between a host and the router. Each makes a device `side` ("lan" or "wan")
at both ends, on a veth pair:

    plain             the veth itself
    vlan              a VLAN device on it
    qinq, qinq-8021q  a VLAN device on one of 802.1ad, or of 802.1Q
    bridge            router: a bridge with the veth as its port
    ports             router: a bridge with three ports, one of which leads to the host
    vlan-bridge       router: a bridge with a VLAN device as its port
    filter-tagged     router: a VLAN device on a VLAN-filtering bridge, whose port carries the tag
    filter-untagged   the same, but the bridge takes the tag off at the port
    bond              a bond of two veths at both ends
    roaming           host: an active-backup bond of two veths; router: a bridge of both
    macvlan           router: a macvlan device on it
    pppoe, vlan-pppoe a PPPoE session, over a VLAN device
    wireguard         a WireGuard tunnel
    tun               no veth, a program's tun devices
    vrf               router: the veth, in a VRF
    sit, ip6tnl       a tunnel over IPv4 (6in4 and IPIP) and over IPv6
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from netns import Netns, run
from pppoe import Server, Session, address_of, wait_for
from tunpipe import TunPipe

VLAN_ID, OUTER_ID = 77, 88
VRF_TABLE = 10
# Of the veths below tunnels: addresses that the hosts do not use.
OUTER4, HOST_OUTER4 = "203.0.113.1", "203.0.113.2"
OUTER6, HOST_OUTER6 = "2001:db8::1", "2001:db8::2"
# WireGuard keys of router and host, private and public.
WG_KEY = "4JOKomTq9FrjZMj1q/UKDeKVztii9ttscA4jQ6K6RVQ="
WG_PUBLIC = "MmGuTB9e9k7I5gLydU/OyPSWbMZImPnXnj6IjyRQ+Vc="
WG_HOST_KEY = "oKHNE5ATf8aKxN8gPiOS86fNBWEEL3sSfr40LPSp3Xw="
WG_HOST_PUBLIC = "u1Ch/Ea3s2cwioEiTTx5LeaTEOmqj3k/l/bznDHlVxY="


@dataclass
class Link:
    """A link of one kind, "lan" or "wan", with these addresses (IPv4, IPv6) and, for the host,
    routes."""

    kind: str
    host: Netns
    router: Netns
    side: str
    host_at: tuple[str, str]
    at: tuple[str, str]
    routes: Sequence[str] = ()
    session: Session | None = None
    _closers: list[Callable[[], None]] = field(default_factory=list)
    _host_todo: list[str] = field(default_factory=list)
    _router_todo: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        getattr(self, "_" + self.kind.replace("-", "_"))()
        ends = ((self._host_todo, self.host_at), (self._router_todo, self.at))
        for todo, (address4, address6) in ends:
            if not self.session:
                todo += [f"link set {self.side} up", f"addr add {address4}/24 dev {self.side}"]
            todo.append(f"addr add {address6}/64 dev {self.side} nodad")
        self._host_todo += [f"route add {route}" for route in self.routes]
        self._do()

    def close(self) -> None:
        """Ends the programs that carry the link. Its devices go with their namespaces."""
        for closer in reversed(self._closers):
            closer()

    def wait_for_host(self) -> None:
        """Until the host has its end of the session that the router has now."""
        session = self.session
        assert session
        wait_for(
            lambda: address_of(self.host, self.side, peer=True) == session.address,
            "the provider's end of the session",
        )

    # Parts. What ip(8) is to do is gathered, as a program start costs more than all of it.

    def _do(self) -> None:
        """Does what was gathered: the host's part first, which makes the veths."""
        for ns, todo in ((self.host, self._host_todo), (self.router, self._router_todo)):
            if todo:
                ns.ip(*todo)
            todo.clear()

    @property
    def _both(self) -> tuple[list[str], list[str]]:
        return self._host_todo, self._router_todo

    @property
    def lower(self) -> str:
        """The veth below, at both ends."""
        return f"{self.side}0"

    def _veth(self, host_name: str, name: str) -> None:
        self._host_todo += [
            f"link add {host_name} type veth peer name {name} netns {self.router.name}",
            f"link set {host_name} up",
        ]
        self._router_todo.append(f"link set {name} up")

    def _outer_addresses(self) -> None:
        """For what a tunnel travels in."""
        self._veth(self.lower, self.lower)
        for todo, address4, address6 in (
            (self._host_todo, HOST_OUTER4, HOST_OUTER6),
            (self._router_todo, OUTER4, OUTER6),
        ):
            todo += [
                f"addr add {address4}/24 dev {self.lower}",
                f"addr add {address6}/64 dev {self.lower} nodad",
            ]

    # Kinds

    def _plain(self) -> None:
        self._veth(self.side, self.side)

    def _vlan(self) -> None:
        self._veth(self.lower, self.lower)
        for todo in self._both:
            todo += vlan(self.lower, self.side)

    def _qinq(self, outer: str = "802.1ad") -> None:
        self._veth(self.lower, self.lower)
        middle = f"{self.lower}.{OUTER_ID}"
        for todo in self._both:
            todo += vlan(self.lower, middle, OUTER_ID, outer) + vlan(middle, self.side)

    def _qinq_8021q(self) -> None:
        self._qinq("802.1Q")

    def _bridge(self) -> None:
        self._veth(self.side, self.lower)
        self._router_todo += bridge(self.side, self.lower)

    def _ports(self) -> None:
        self._veth(self.side, f"{self.side}1")
        others = (f"{self.side}0", f"{self.side}2")
        for port in others:
            self._veth(f"{port}x", port)
        self._router_todo += bridge(self.side, others[0], f"{self.side}1", others[1])

    def _vlan_bridge(self) -> None:
        self._veth(self.lower, self.lower)
        self._host_todo += vlan(self.lower, self.side)
        port = f"{self.side}.{VLAN_ID}"
        self._router_todo += vlan(self.lower, port) + bridge(self.side, port)

    def _filter_tagged(self) -> None:
        self._veth(self.lower, self.lower)
        self._host_todo += vlan(self.lower, self.side)
        self._filtering("")

    def _filter_untagged(self) -> None:
        self._veth(self.side, self.lower)
        self._filtering("pvid untagged")

    def _filtering(self, port_mode: str) -> None:
        name = f"br-{self.side}"
        self._router_todo += [
            f"link add {name} type bridge vlan_filtering 1 vlan_default_pvid 0",
            f"link set {self.lower} master {name}",
            f"link set {name} up",
            *vlan(name, self.side),
        ]
        self._do()
        members = f"vlan add dev {self.lower} vid {VLAN_ID} {port_mode}\n"
        members += f"vlan add dev {name} vid {VLAN_ID} self\n"
        self.router.run("bridge", "-batch", "-", text=members)

    def _bond(self) -> None:
        run("modprobe", "bonding", "max_bonds=0")
        slaves = [f"{self.side}{number}" for number in range(2)]
        for slave in slaves:
            self._veth(slave, slave)
        for todo in self._both:
            todo += bond(self.side, "balance-xor", *slaves)

    def _roaming(self) -> None:
        run("modprobe", "bonding", "max_bonds=0")
        places = [f"{self.side}{number}" for number in range(2)]
        for place in places:
            self._veth(place, place)
        self._host_todo += bond(self.side, "active-backup", *places)
        self._router_todo += bridge(self.side, *places)

    def _macvlan(self) -> None:
        self._veth(self.side, self.lower)
        self._router_todo.append(
            f"link add link {self.lower} name {self.side} type macvlan mode bridge"
        )

    def _pppoe(self) -> None:
        self._veth(self.lower, self.lower)
        self._dial(self.lower)

    def _vlan_pppoe(self) -> None:
        self._veth(self.lower, self.lower)
        device = f"{self.lower}.{VLAN_ID}"
        for todo in self._both:
            todo += vlan(self.lower, device)
        self._dial(device)

    def _dial(self, device: str) -> None:
        self._do()
        network = self.at[0].rpartition(".")[0]
        pool = [self.at[0], *(f"{network}.{host}" for host in range(11, 20))]
        server = Server(self.host, device, self.side, self.host_at[0], pool)
        self._closers.append(server.close)
        self.session = Session(self.router, device, self.side)
        self._closers.append(self.session.close)
        self.wait_for_host()
        assert self.session.address == self.at[0]
        for todo in self._both:
            # PPP's own three packets are less than a burst of TCP: the sender would drop them.
            todo.append(f"link set {self.side} txqueuelen 1000")

    def _wireguard(self) -> None:
        self._outer_addresses()
        for todo in self._both:
            todo.append(f"link add {self.side} type wireguard")
        self._do()
        for ns, key, peer, endpoint in (
            (self.router, WG_KEY, WG_HOST_PUBLIC, HOST_OUTER4),
            (self.host, WG_HOST_KEY, WG_PUBLIC, OUTER4),
        ):
            ns.run(
                *(f"wg set {self.side} listen-port 51820 private-key /dev/stdin peer").split(),
                *(f"{peer} endpoint {endpoint}:51820 allowed-ips 0.0.0.0/0,::/0").split(),
                text=key,
            )

    def _tun(self) -> None:
        self._closers.append(TunPipe(self.host, self.router, self.side).close)

    def _vrf(self) -> None:
        self._veth(self.side, self.side)
        if self.side == "lan":
            self._router_todo += [f"link add red type vrf table {VRF_TABLE}", "link set red up"]
        self._router_todo.append(f"link set {self.side} master red")

    def _tunnel(self, kind: str, local: str, remote: str) -> None:
        self._outer_addresses()
        add = f"link add {self.side} type {kind} mode any"
        self._router_todo.append(f"{add} local {local} remote {remote}")
        self._host_todo.append(f"{add} local {remote} remote {local}")

    def _sit(self) -> None:
        self._tunnel("sit", OUTER4, HOST_OUTER4)

    def _ip6tnl(self) -> None:
        self._tunnel("ip6tnl", OUTER6, HOST_OUTER6)


# ip(8) commands


def vlan(lower: str, name: str, number: int = VLAN_ID, protocol: str = "802.1Q") -> list[str]:
    """A VLAN device on `lower`, up."""
    return [
        f"link add link {lower} name {name} type vlan protocol {protocol} id {number}",
        f"link set {name} up",
    ]


def bridge(name: str, *ports: str) -> list[str]:
    """A bridge with these ports."""
    return [f"link add {name} type bridge", *(f"link set {port} master {name}" for port in ports)]


def bond(name: str, mode: str, *slaves: str) -> list[str]:
    """A bond of these devices, which go down on their way into it."""
    return [
        f"link add {name} type bond mode {mode} miimon 100",
        *(f"link set {slave} down" for slave in slaves),
        *(f"link set {slave} master {name}" for slave in slaves),
        f"link set {name} up",
    ]
