# SPDX-License-Identifier: GPL-2.0-only
"""The test network, one router between two hosts:

     client c                router r                  server s
    +---------+          +--------------+            +---------+
    |  lan    |==========| lan      wan |============|  wan    |
    +---------+          +--------------+            +---------+
     192.168.77.2         .77.1     198.51.100.1      198.51.100.2
     fd77::2              fd77::1   fd99::1           fd99::2

Each side is a link of a kind that links.py describes. The router masquerades or not
("masquerade"), and sends port 8080 of its WAN address to the client ("dnat").
"""

from __future__ import annotations

import errno
import itertools
import random
import socket
import time
from dataclasses import dataclass

from links import Link
from netns import Netns

from natflow.kernel.client import Kernel
from natflow.kernel.filters import FlowTuple
from natflow.kernel.records import Flow

CLIENT4, CLIENT6 = "192.168.77.2", "fd77::2"
LAN4, LAN6 = "192.168.77.1", "fd77::1"
WAN4, WAN6 = "198.51.100.1", "fd99::1"
SERVER4, SERVER6 = "198.51.100.2", "fd99::2"
DNAT_PORT = 8080
DNAT_TO = 8000
# Accelerated at once, and no re-proof while a test counts packets, however slow the machine is.
PROMPT = {"enabled": 1, "delay_pkts": 0, "sample_interval": 10000}

# Ports of connections: below those that the kernel chooses itself, and in every lab the same.
# Hardware finds a flow by a hash of them and has no place for each that it may meet: on mt7621 an
# IPv6 flow often has both directions in one bucket, and some buckets there hold one entry only.
PORTS = range(10000, 32000)
PORTS_SEED = 1

_numbers = itertools.count(1)


@dataclass
class Pair:
    """Two connected sockets of one connection through the router, and its original tuple."""

    client: socket.socket
    server: socket.socket
    tuple_: FlowTuple

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Lab:
    """One router with two hosts; see the module's picture."""

    def __init__(
        self,
        *,
        lan: str = "plain",
        wan: str = "plain",
        masquerade: bool = False,
        masquerade6: bool = False,
        dnat: bool = False,
        enable: bool = True,
        settings: dict[str, int] | None = None,
        rules: str = "",
    ) -> None:
        self.make_hosts()
        routes = (f"default via {LAN4}", f"default via {LAN6}")
        ends = (CLIENT4, CLIENT6), (LAN4, LAN6)
        self.lan = Link(lan, self.c, self.r, "lan", *ends, routes)
        routes = (f"192.168.77.0/24 via {WAN4}", f"fd77::/64 via {WAN6}")
        ends = (SERVER4, SERVER6), (WAN4, WAN6)
        self.wan = Link(wan, self.s, self.r, "wan", *ends, routes)
        self.r.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.r.sysctl(net__netfilter__nf_conntrack_acct=1)
        self.r.nft(self.ruleset(masquerade, masquerade6, dnat) + rules)
        self.kernel = self.r.call(Kernel)
        if enable:
            self.configure(**PROMPT | (settings or {}))

    def make_hosts(self) -> None:
        """The client, the router and the server without their links."""
        number = next(_numbers)
        self.c, self.r, self.s = (Netns(f"{side}{number}") for side in "crs")
        for ns in (self.c, self.r, self.s):
            # The end of duplicate address detection, seconds later, is an address event.
            ns.sysctl(net__ipv6__conf__default__accept_dad=0)
        self._ports = iter(random.Random(PORTS_SEED).sample(PORTS, len(PORTS)))

    @staticmethod
    def ruleset(masquerade: bool, masquerade6: bool, dnat: bool) -> str:
        text = "table inet fw {\nchain forward { type filter hook forward priority 0; "
        text += "policy accept; ct state established,related accept\nct state invalid drop\n}\n"
        if masquerade or masquerade6:
            families = ", ".join(
                name for name, on in (("ipv4", masquerade), ("ipv6", masquerade6)) if on
            )
            text += "chain post { type nat hook postrouting priority 100; "
            text += f'meta nfproto {{ {families} }} oifname "wan*" masquerade\n}}\n'
        if dnat:
            text += "chain pre { type nat hook prerouting priority -100; "
            text += f'meta l4proto {{ tcp, udp }} th dport {DNAT_PORT} iifname "wan*" '
            text += f"meta nfproto ipv4 dnat ip to {CLIENT4}:{DNAT_TO}\n"
            text += f'meta l4proto {{ tcp, udp }} th dport {DNAT_PORT} iifname "wan*" '
            text += f"meta nfproto ipv6 dnat ip6 to [{CLIENT6}]:{DNAT_TO}\n}}\n"
        return text + "}\n"

    def configure(self, **settings: int) -> None:
        self.kernel.configure(settings)

    # Connections

    def udp(
        self,
        version: int = 4,
        *,
        dnat: bool = False,
        port: int = 0,
        source: str = "",
        at: str = "",
    ) -> Pair:
        """A UDP exchange has taken place in both directions; the opener's address is `source`,
        the server's `at`."""
        return self._pair(socket.SOCK_DGRAM, version, dnat, port, source, at)

    def tcp(self, version: int = 4, *, dnat: bool = False, port: int = 0, at: str = "") -> Pair:
        """An established TCP connection."""
        return self._pair(socket.SOCK_STREAM, version, dnat, port, "", at)

    def _pair(
        self, kind: int, version: int, dnat: bool, port: int, source: str = "", at: str = ""
    ) -> Pair:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        opener, listener = (self.s, self.c) if dnat else (self.c, self.s)
        passive = listener.socket(family, kind)
        passive.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = (CLIENT4, CLIENT6) if dnat else (SERVER4, SERVER6)
        here = at or address[version == 6]
        passive.bind((here, DNAT_TO if dnat else port or next(self._ports)))
        target = (WAN4, WAN6)[version == 6] if dnat else here
        target_port = DNAT_PORT if dnat else passive.getsockname()[1]
        active = opener.socket(family, kind)
        active.bind((source, next(self._ports)))
        for sock in (passive, active):
            sock.settimeout(10)
        if kind == socket.SOCK_STREAM:
            passive.listen()
            self._connect(active, (target, target_port))
            accepted, _ = passive.accept()
            passive.close()
            accepted.settimeout(10)
            passive = accepted
        else:
            self._connect(active, (target, target_port))
            active.send(b"hello")
            data, peer = passive.recvfrom(100)
            assert data == b"hello"
            passive.connect(peer)
            passive.send(b"hello yourself")
            assert active.recv(100) == b"hello yourself"
        source = active.getsockname()
        tuple_ = FlowTuple.parse(
            {
                "proto": "tcp" if kind == socket.SOCK_STREAM else "udp",
                "src": source[0],
                "dst": target,
                "sport": source[1],
                "dport": target_port,
            }
        )
        client, server = (passive, active) if dnat else (active, passive)
        return Pair(client, server, tuple_)

    @staticmethod
    def _connect(sock: socket.socket, address: tuple[str, int]) -> None:
        """IPv6 needs a moment after a link came up."""
        for _ in range(50):
            try:
                return sock.connect(address)
            except OSError as error:
                if error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
                    raise
                time.sleep(0.1)
        sock.connect(address)

    # What natflow says

    def flow(self, pair: Pair) -> Flow | None:
        return self.kernel.explain(pair.tuple_).flow

    def state(self, pair: Pair) -> str:
        return self.kernel.explain(pair.tuple_).state

    def reason(self, pair: Pair) -> str:
        return self.kernel.explain(pair.tuple_).reason

    def reasons(self) -> dict[str, int]:
        """Why packets were left to the slow path so far, for the story of a failure."""
        return {name: count for name, count in self.kernel.stats().reason_packets.items() if count}

    def remove(self) -> None:
        self.kernel.close()
        self.wan.close()
        self.lan.close()
        for ns in (self.c, self.s, self.r):
            ns.remove()


def ping(pair: Pair, times: int = 1, size: int = 32) -> None:
    """Sends a message each way, `times` times, and checks what arrives."""
    for number in range(times):
        message = number.to_bytes(4, "big") * (size // 4)
        for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
            sender.send(message)
            came = receive(receiver, len(message))
            assert came == message, f"message {number}: {came[:64]!r}"


def receive(sock: socket.socket, size: int) -> bytes:
    if sock.type == socket.SOCK_DGRAM:
        return sock.recv(65536)
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        assert part, f"connection closed after {len(data)} of {size} bytes"
        data += part
    return data


def fast_packets(flow: Flow | None) -> int:
    return sum(flow.packets) if flow else 0
