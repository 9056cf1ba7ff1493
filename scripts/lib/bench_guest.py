# SPDX-License-Identifier: GPL-2.0-only
"""The part of scripts/bench that runs inside the virtual router: measures, and prints JSON.

Every way to forward has a routing namespace of its own with the same two devices, addresses and
rules. All are set up before the first measurement, and measured in turn, round by round. The first
address of a connection is translated. What is measured is the direction that leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from dataclasses import dataclass

import kmodule
from bench_nic import ACK, PSH, SYN, TCP, Answer, Frame, Nic
from netns import Netns, run

from natflow.kernel import uapi
from natflow.kernel.client import Kernel

LAN, WAN = "192.168.77.1", "198.51.100.1"
CLIENT, SERVER = "192.168.77.2", "198.51.100.2"
CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:0c", "02:00:00:00:00:05"
FIRST_PORT, SERVER_PORT = 10000, 5201
MTU_PAYLOAD, SEGMENT, SEGMENTS = 1460, 1448, 16
WAYS = ("generator", "slow", "idle", "flowtable", "natflow")
TRAFFIC = ("udp", "tcp", "super")

FLOWTABLE = "flowtable f { hook ingress priority 0; devices = { lan, wan }; }\n"
OFFLOAD = "meta l4proto { tcp, udp } ct state established flow add @f\n"
RULES = """table inet fw {{
{flowtable}chain forward {{ type filter hook forward priority 0; policy accept;
{offload}ct state established,related accept
ct state invalid drop
}}
chain post {{ type nat hook postrouting priority 100; oifname "wan" masquerade
}}
}}
"""


class BenchError(Exception):
    """A measurement that would not mean what it says."""


class Router:
    """A namespace that forwards in one way."""

    def __init__(self, way: str, number: int) -> None:
        self.way = way
        self.ns = Netns(f"bench{number}")
        # Router solicitations would be counted as packets that came out.
        self.ns.sysctl(net__ipv6__conf__default__disable_ipv6=1)
        self.lan, self.wan = Nic(self.ns, "lan"), Nic(self.ns, "wan")
        self.ns.ip(
            f"addr add {LAN}/24 dev lan",
            f"addr add {WAN}/24 dev wan",
            f"neigh add {CLIENT} lladdr {CLIENT_MAC} dev lan nud permanent",
            f"neigh add {SERVER} lladdr {SERVER_MAC} dev wan nud permanent",
        )
        self.ns.sysctl(net__ipv4__ip_forward=1, net__netfilter__nf_conntrack_acct=1)
        offloads = way == "flowtable"
        self.ns.nft(
            RULES.format(
                flowtable=FLOWTABLE if offloads else "", offload=OFFLOAD if offloads else ""
            )
        )
        self.kernel = self.ns.call(Kernel)
        if way in ("idle", "natflow"):
            # "idle": natflow looks at every packet, and accelerates none.
            most = uapi.SETTINGS["delay_pkts"][1]
            self.kernel.configure({"enabled": 1, "delay_pkts": most if way == "idle" else 0})

    def remove(self) -> None:
        self.kernel.close()
        self.ns.remove()

    def _pair(self, traffic: str) -> tuple[Frame, Frame]:
        """A packet that leaves, and one that answers."""
        out = Frame(self.lan.mac, CLIENT, SERVER, FIRST_PORT, SERVER_PORT)
        back = Frame(self.wan.mac, SERVER, WAN, SERVER_PORT, FIRST_PORT)
        if traffic == "udp":
            return out.but(payload=bytes(18)), back.but(payload=bytes(18))
        out = out.but(proto=TCP, flags=ACK | PSH, seq=1001, ack=5001, extra=MTU_PAYLOAD)
        if traffic == "super":
            out = out.but(extra=SEGMENT * SEGMENTS, segment=SEGMENT)
        return out, back.but(proto=TCP, seq=5001, ack=1001)

    def establish(self, traffic: str, flows: int) -> None:
        """Open the connections and let them become as fast as they get here."""
        out, back = self._pair(traffic)
        if out.proto == TCP:
            bare = out.but(extra=0, segment=0)
            self.lan.receive(bare.but(flags=SYN, seq=1000, ack=0), flows, flows)
            self.wan.receive(back.but(flags=SYN | ACK, seq=5000), flows, flows, "dport")
            self.lan.receive(bare.but(flags=ACK), flows, flows)
        for _ in range(4):
            self.lan.receive(out, flows, flows)
            self.wan.receive(back, flows, flows, "dport")
        self._check_offload(flows)

    def _check_offload(self, flows: int) -> None:
        if self.way == "flowtable":
            offloaded = self.ns.conntrack("-L").count("[OFFLOAD]")
            if offloaded < flows:
                raise BenchError(f"flowtable has {offloaded} of {flows} connections")

    def _fast_packets(self) -> int:
        return self.kernel.stats().engines["software"].packets

    def measure(self, traffic: str, flows: int, packets: int) -> float:
        """Nanoseconds of this machine's clock for each packet."""
        out, back = self._pair(traffic)
        if self.way == "generator":
            return self.lan.receive(out.dropped(), packets, flows).ns / packets
        # Both directions are used, as they would be: a proof is younger than the interval.
        self.wan.receive(back, flows, flows, "dport")
        self.lan.receive(out, flows, flows)
        fast, sent = self._fast_packets(), self.wan.counters().tx_packets
        took = self.lan.receive(out, packets, flows).ns
        self._check(self.wan.counters(), sent, packets, self._fast_packets() - fast)
        return took / packets

    def _check(self, after: Answer, sent: int, packets: int, fast: int) -> None:
        arrived = after.tx_packets - sent
        if arrived != packets:
            raise BenchError(f"{self.way}: {arrived} of {packets} packets came out")
        if after.source != WAN or after.ttl != 63:
            raise BenchError(f"{self.way}: source {after.source}, TTL {after.ttl}")
        share = fast / packets
        if (share < 0.95) if self.way == "natflow" else fast:
            raise BenchError(f"{self.way}: {share:.0%} took natflow's fast path")


@dataclass(frozen=True)
class Plan:
    traffic: tuple[str, ...]
    flows: tuple[int, ...]
    packets: int
    rounds: int


def bench(plan: Plan) -> list[dict[str, object]]:
    """One line for each traffic and number of flows: nanoseconds of each way, the median round."""
    lines: list[dict[str, object]] = []
    number = 0
    for traffic in plan.traffic:
        for flows in plan.flows:
            print(f"bench: {traffic}, {flows} flows", file=sys.stderr, flush=True)
            routers = []
            try:
                for way in WAYS:
                    number += 1
                    routers.append(Router(way, number))
                    if way != "generator":
                        routers[-1].establish(traffic, flows)
                taken: dict[str, list[float]] = {way: [] for way in WAYS}
                for _ in range(plan.rounds):
                    for router in routers:
                        taken[router.way].append(router.measure(traffic, flows, plan.packets))
            finally:
                for router in routers:
                    router.remove()
            line: dict[str, object] = {"traffic": traffic, "flows": flows}
            line["ns"] = {way: statistics.median(values) for way, values in taken.items()}
            lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--traffic", default=",".join(TRAFFIC))
    parser.add_argument("--flows", default="1,1000")
    parser.add_argument("--packets", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    plan = Plan(
        tuple(options.traffic.split(",")),
        tuple(int(count) for count in options.flows.split(",")),
        options.packets,
        options.rounds,
    )
    run("modprobe", "-a", "nf_tables", "nft_masq", "nft_flow_offload", "nf_flow_table_inet")
    kmodule.load()
    run("insmod", str(kmodule.path().with_name("natflow_benchnic.ko")))
    lines = bench(plan)
    facts = {"kernel": os.uname().release, "packets": plan.packets, "rounds": plan.rounds}
    print(json.dumps({**facts, "lines": lines}))


if __name__ == "__main__":
    main()
