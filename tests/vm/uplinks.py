# SPDX-License-Identifier: GPL-2.0-only
"""One WAN port of the simulated SoC with every kind of link on it at once: plain, a VLAN, a PPPoE
session, and another one on the VLAN. The server has an address behind each."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from lab import CLIENT6, SERVER4, SERVER6, WAN4, WAN6, Pair
from links import vlan
from pppoe import Server, Session, address_of, wait_for
from vm.hw import HwLab

VLAN = 88
KINDS = ("udp4", "tcp4", "udp6", "tcp6")


@dataclass(frozen=True)
class Uplink:
    """A link: its device at both ends, the addresses of router and server, and the tags that a
    rule for the hardware has to put on."""

    name: str
    device: str
    at: tuple[str, str]
    server_at: tuple[str, str]
    tags: frozenset[str]


def _uplink(number: int, name: str, device: str, *tags: str) -> Uplink:
    if not number:
        return Uplink(name, device, (WAN4, WAN6), (SERVER4, SERVER6), frozenset(tags))
    network4, network6 = f"198.51.{100 + number}.", f"fd99:{number}::"
    at, server_at = ((f"{network4}{host}", f"{network6}{host}") for host in (1, 2))
    return Uplink(name, device, at, server_at, frozenset(tags))


UPLINKS = (
    _uplink(0, "plain", "wan"),
    _uplink(1, "vlan", "wanv", "vlan0"),
    _uplink(2, "pppoe", "wanp", "pppoe"),
    _uplink(3, "pppoe on vlan", "wanvp", "vlan0", "pppoe"),
)


class UplinkLab(HwLab):
    """A HwLab with all UPLINKS on its second MAC."""

    def __init__(
        self, profile: str, *, lan: str = "gmac", settings: dict[str, int] | None = None
    ) -> None:
        super().__init__(profile, lan=lan, wan="gmac1", settings=settings)
        self.sessions: dict[str, Session] = {}
        self._servers: list[Server] = []
        plain, tagged, dialled, both = UPLINKS
        for ns, ends in ((self.s, tagged.server_at), (self.r, tagged.at)):
            ns.ip(*vlan(plain.device, tagged.device, VLAN), *_addresses(tagged.device, *ends))
        # The server of the plain port would hear the questions of the VLAN, too: it comes last.
        self._dial(both, tagged.device, 101)
        self._dial(dialled, plain.device, 1)
        # Answers go the way that the question came.
        routes = []
        for number, uplink in enumerate(UPLINKS[1:], 101):
            routes += [
                f"route add fd77::/64 via {uplink.at[1]} dev {uplink.device} table {number}",
                f"rule add from {uplink.server_at[1]} to {CLIENT6} table {number}",
            ]
        self.s.run("ip", "-6", "-batch", "-", text="\n".join(routes) + "\n")

    def _dial(self, uplink: Uplink, lower: str, first: int) -> None:
        network = uplink.at[0].rpartition(".")[0]
        pool = [uplink.at[0], *(f"{network}.{host}" for host in range(11, 20))]
        server = Server(self.s, lower, uplink.device, uplink.server_at[0], pool, first)
        self._servers.append(server)
        session = Session(self.r, lower, uplink.device)
        self.sessions[uplink.name] = session
        assert session.address == uplink.at[0]
        self._wait_for_server(uplink)
        for ns, ends in ((self.s, uplink.server_at), (self.r, uplink.at)):
            # PPP's own three packets are less than a burst of TCP: the sender would drop them.
            ns.ip(
                f"link set {uplink.device} txqueuelen 1000",
                f"addr add {ends[1]}/64 dev {uplink.device} nodad",
            )

    def _wait_for_server(self, uplink: Uplink) -> None:
        session = self.sessions[uplink.name]
        wait_for(
            lambda: address_of(self.s, uplink.device, peer=True) == session.address,
            "the provider's end of the session",
        )

    def redial(self, uplink: Uplink) -> str:
        """A PPPoE session ends, and another one begins: the new address."""
        address = self.sessions[uplink.name].redial()
        self._wait_for_server(uplink)
        return address

    def pairs(self) -> dict[tuple[Uplink, str], Pair]:
        """A connection of each of KINDS over each uplink."""
        made = {}
        for uplink in UPLINKS:
            for kind in KINDS:
                version = int(kind[3])
                opener = self.udp if kind.startswith("udp") else self.tcp
                made[uplink, kind] = opener(version, at=uplink.server_at[version == 6])
        return made

    def tags(self, pair: Pair) -> frozenset[str]:
        """What the hardware puts on a connection's packets to the server."""
        _, l4proto, _, _, *ports = pair.tuple_
        (found,) = (
            flow.fields
            for flow in self.soc.flows()
            if flow.ports == tuple(ports)
            and flow.fields["proto"] == ("tcp" if l4proto == socket.IPPROTO_TCP else "udp")
            and flow.fields["type"] == ("ipv4" if pair.client.family == socket.AF_INET else "ipv6")
        )
        return tags_of(found)

    def remove(self) -> None:
        """Sessions end before their devices."""
        for session in self.sessions.values():
            session.close()
        for server in self._servers:
            server.close()
        super().remove()


def tags_of(fields: Mapping[str, str]) -> frozenset[str]:
    """The tags among the fields of a rule or an entry."""
    return frozenset(name for name in fields if name.startswith(("vlan", "pppoe")))


def _addresses(device: str, address4: str, address6: str) -> list[str]:
    return [f"addr add {address4}/24 dev {device}", f"addr add {address6}/64 dev {device} nodad"]
