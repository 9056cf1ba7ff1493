# SPDX-License-Identifier: GPL-2.0-only
"""The test network of lab.py with a simulated MediaTek SoC for a router.

Both sides are ports of the SoC ("gmac", "dsa", "wlan"), the router's own addresses are on them, on
a bridge over them, on a VLAN device.
"""

from __future__ import annotations

from lab import CLIENT4, CLIENT6, LAN4, LAN6, PROMPT, SERVER4, SERVER6, WAN4, WAN6, Lab
from netns import Netns
from ppesim import Soc

from natflow.kernel.client import Kernel

VLANS = {"lan": 77, "wan": 88}
CONDUIT = "eth0"


class PpeLab(Lab):
    """A client, a router with SoC `profile`, a server. A side is "gmac", "dsa", "wed", "wlan" or
    "gmac1" (the second MAC), with "-vlan" (one tag), "-qinq" (two) or "-bridge" after it.

    `flowtable`: forwarded flows are given to mainline's flowtable with hardware offload.
    `natflow`: settings for natflow instead; None leaves it alone.
    """

    def __init__(
        self,
        profile: str,
        *,
        lan: str = "gmac",
        wan: str = "gmac1",
        flowtable: bool = False,
        masquerade: bool = True,
        entries: int = 16384,
        natflow: dict[str, int] | None = None,
    ) -> None:
        self.make_hosts()
        self.soc = Soc(self.r, profile, entries=entries)
        # The router's ports, by side.
        self.ports: dict[str, str] = {}
        # Their kinds.
        self.bases: dict[str, str] = {}
        for side, kind, host in (("lan", lan, self.c), ("wan", wan, self.s)):
            self._make_port(side, kind, host)
        self._addresses(self.c, "lan", lan, (CLIENT4, CLIENT6), (LAN4, LAN6))
        self._addresses(self.s, "wan", wan, (SERVER4, SERVER6), (WAN4, WAN6))
        self.c.ip(f"route add default via {LAN4}", f"route add default via {LAN6}")
        self.s.ip(f"route add 192.168.77.0/24 via {WAN4}", f"route add fd77::/64 via {WAN6}")
        self.r.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.r.sysctl(net__netfilter__nf_conntrack_acct=1)
        self.r.nft(self.ruleset(masquerade, False, False))
        if flowtable:
            # Mainline offers a flow once, and leaves out the direction whose neighbour it must ask
            # for first.
            for version in (4, 6):
                self.udp(version).close()
            self.add_flowtable()
        self.kernel = self.r.call(Kernel)
        if natflow is not None:
            self.configure(**PROMPT | natflow)

    def _make_port(self, side: str, kind: str, host: Netns) -> None:
        base, _, upper = kind.partition("-")
        # An upper device has the name of the side, its port another one; the host has no bridge.
        name = f"{side}0" if upper else side
        wire = side if upper == "bridge" else name
        if base == "dsa":
            if CONDUIT not in self.soc.ports():
                self.soc.gmac(CONDUIT, index=0, wire=None)
                self.r.ip(f"link set {CONDUIT} up")
            index = 1 if side == "lan" else 4
            self.soc.dsa(name, index=index, wire=host, wire_name=wire)
        elif base in ("wed", "wlan"):
            wed = 0 if base == "wed" else None
            index = 0 if side == "lan" else 1
            self.soc.wlan(name, index=index, wed=wed, wire=host, wire_name=wire)
        else:
            index = 1 if base == "gmac1" else 0
            self.soc.gmac(name, index=index, wire=host, wire_name=wire)
        self.ports[side] = name
        self.bases[side] = base
        self.r.ip(f"link set {name} up")
        host.ip(f"link set {wire} up")

    def _addresses(
        self, host: Netns, side: str, kind: str, host_at: tuple[str, str], at: tuple[str, str]
    ) -> None:
        """Upper devices, so that "lan" and "wan" are there on both ends, and addresses."""
        upper = kind.partition("-")[2]
        for ns, addresses in ((host, host_at), (self.r, at)):
            port = self.ports[side]
            if upper == "vlan":
                ns.ip(f"link add link {port} name {side} type vlan id {VLANS[side]}")
            elif upper == "qinq":
                ns.ip(
                    f"link add link {port} name {side}1 type vlan id {VLANS[side]}",
                    f"link set {side}1 up",
                    f"link add link {side}1 name {side} type vlan id {VLANS[side] + 1}",
                )
            elif upper == "bridge" and ns is self.r:
                ns.ip(f"link add {side} type bridge", f"link set {port} master {side}")
            ns.ip(
                f"link set {side} up",
                f"addr add {addresses[0]}/24 dev {side}",
                f"addr add {addresses[1]}/64 dev {side} nodad",
            )

    def add_flowtable(self) -> None:
        """Mainline's flowtable on both ports, for all that is forwarded."""
        # A device whose driver refuses the block would fail the whole flowtable.
        refuses = {"wlan"} | ({"wed"} if self.soc.profile == "mt7622" else set())
        devices = ", ".join(
            f'"{name}"' for side, name in self.ports.items() if self.bases[side] not in refuses
        )
        self.r.nft(
            "table inet hw {\n"
            "flowtable ft { hook ingress priority 0; flags offload; counter; "
            f"devices = {{ {devices} }}; }}\n"
            "chain forward { type filter hook forward priority 1; policy accept; "
            "meta l4proto { tcp, udp } flow add @ft\n}\n}\n"
        )

    def remove(self) -> None:
        """The end of the network, and of the SoC."""
        self.kernel.close()
        for ns in (self.c, self.s, self.r):
            ns.remove()
        self.soc.remove()
