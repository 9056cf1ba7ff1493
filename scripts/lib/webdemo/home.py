# SPDX-License-Identifier: GPL-2.0-only
"""The household: three hosts on a bridge, a router that masquerades, and the Internet."""

from __future__ import annotations

import json

from demo_guest import HELPER, plain_packets
from lab import LAN4, LAN6, Lab
from netns import Netns

#: The hosts by name: the last part of their addresses.
HOSTS = {"laptop": 2, "phone": 3, "television": 4}

#: What firewall4 sets up for flow_offloading=1: it takes connections before natflow can.
OFFLOAD = """
table inet fw4 {{
	flowtable ft {{
		hook ingress priority 0
		devices = {{ {devices} }}
	}}
	chain forward {{
		type filter hook forward priority 1
		meta l4proto {{ tcp, udp }} flow add @ft
	}}
}}
"""


class Home:
    """The lab with more hosts on its LAN. ``hosts`` are their namespaces by name."""

    def __init__(self) -> None:
        self.lab = Lab(lan="bridge", masquerade=True, enable=False)
        self.router, self.internet = self.lab.r, self.lab.s
        self.hosts = {"laptop": self.lab.c}
        self.ports = ["lan0"]
        for name, number in HOSTS.items():
            if name != "laptop":
                self._join(name, number)
        plain_packets(self.lab)
        self.router.nft(HELPER)
        self._offloads = False

    def _join(self, name: str, number: int) -> None:
        host = self.hosts[name] = Netns(name)
        port = f"lan{len(self.ports)}"
        host.sysctl(net__ipv6__conf__default__accept_dad=0)
        host.ip(f"link add lan type veth peer name {port} netns {self.router.name}")
        self.router.ip(f"link set {port} master lan", f"link set {port} up")
        host.ip(
            "link set lan up",
            f"addr add 192.168.77.{number}/24 dev lan",
            f"addr add fd77::{number}/64 dev lan nodad",
            f"route add default via {LAN4}",
            f"route add default via {LAN6}",
        )
        self.ports.append(port)

    def leases(self) -> str:
        """The hosts as dnsmasq would list them."""
        lines = []
        for name, number in HOSTS.items():
            link = json.loads(self.hosts[name].run("ip", "-json", "link", "show", "lan"))[0]
            lines.append(f"1 {link['address']} 192.168.77.{number} {name} *\n")
        return "".join(lines)

    def offload(self, on: bool) -> None:
        """The firewall's own flow offloading, as its configuration wants it."""
        if on and not self._offloads:
            self.router.nft(OFFLOAD.format(devices=", ".join([*self.ports, "wan"])))
        elif self._offloads and not on:
            self.router.nft("delete table inet fw4")
        self._offloads = on

    def remove(self) -> None:
        """The namespaces go, and with them all that is in them."""
        for name, host in self.hosts.items():
            if name != "laptop":
                host.remove()
        self.lab.remove()
