# SPDX-License-Identifier: GPL-2.0-only
"""One cell of the matrix: a connection of one kind over one pair of links, what it carried, and
what was counted."""

from __future__ import annotations

import random
import socket
import struct
from typing import NamedTuple

from lab import Lab, Pair, ping
from vm.traffic import transfer

# Destination ports that RULES translates, and others that are routed as they are.
NAT_PORT, ROUTED_PORT = 7000, 6000
RULES = f"""
table inet matrix {{
  chain post {{
    type nat hook postrouting priority 100;
    oifname "wan*" th dport {NAT_PORT}-{NAT_PORT + 999} masquerade
  }}
}}
"""
TCP_BYTES = 400_000
DATAGRAMS = 240
BURST = 16
# Fits into every link here, also into IPv6 over WireGuard over IPv4.
DATAGRAM_MOST = 1200
# struct tcp_info (linux/tcp.h): bytes sent, those sent again included.
TCP_INFO_BYTES_SENT = 200
IP_HEADER = {4: 20, 6: 40}
UDP_HEADER, TCP_HEADER = 8, 20 + 12

_random = random.Random(3)


class Counted(NamedTuple):
    """Of one direction: what the sender sent, as IP packets; how far the counters of conntrack
    and of the fast path are off, as a share of it; and the share of the packets that went fast."""

    sent: int
    conntrack_off: float
    natflow_off: float
    fast: float


class Cell(NamedTuple):
    """What one connection has shown."""

    state: str
    reason: str
    directions: tuple[Counted, Counted]

    @property
    def fast(self) -> float:
        return min(direction.fast for direction in self.directions)

    @property
    def off(self) -> float:
        """The worst of all the counters."""
        return max(max(d.conntrack_off, d.natflow_off) for d in self.directions)


def measure(lab: Lab, version: int, proto: str, nat: bool, number: int) -> Cell:
    """Opens a connection, sends data both ways, checks what arrives, and compares the counters."""
    port = (NAT_PORT if nat else ROUTED_PORT) + number
    pair = lab.udp(version, port=port) if proto == "udp" else lab.tcp(version, port=port)
    try:
        assert (pair.server.getpeername()[0] != pair.client.getsockname()[0]) == nat
        ping(pair, 4)
        before = lab.flow(pair)
        if proto == "udp":
            sent = datagrams(pair)
        else:
            base = bytes_sent(pair)
            transfer(pair, TCP_BYTES)
            now = bytes_sent(pair)
            sent = now[0] - base[0], now[1] - base[1]
        explained = lab.kernel.explain(pair.tuple_)
        after = explained.flow
    finally:
        pair.close()
    header = IP_HEADER[version] + (UDP_HEADER if proto == "udp" else TCP_HEADER)
    assert before and after, explained
    directions = []
    for way in (0, 1):
        packets = after.ct_packets[way] - before.ct_packets[way]
        # A super-packet has one header, in the sender's stack as on the router.
        wire = sent[way] + packets * header
        conntrack = after.ct_bytes[way] - before.ct_bytes[way]
        fast = after.bytes[way] - before.bytes[way]
        directions.append(
            Counted(
                sent=wire,
                conntrack_off=abs(conntrack - wire) / wire,
                natflow_off=abs(fast - wire) / wire,
                fast=(after.packets[way] - before.packets[way]) / packets,
            )
        )
    return Cell(explained.state, explained.reason, (directions[0], directions[1]))


def datagrams(pair: Pair, count: int = DATAGRAMS) -> tuple[int, int]:
    """Datagrams of many sizes both ways, in bursts; the bytes sent each way."""
    ends = (pair.client, pair.server), (pair.server, pair.client)
    totals = [0, 0]
    for _ in range(count // BURST):
        bursts = []
        for _ in ends:
            sizes = [_random.randint(1, DATAGRAM_MOST) for _ in range(BURST)]
            bursts.append([_random.randbytes(size) for size in sizes])
        for (sender, _), burst in zip(ends, bursts, strict=True):
            for data in burst:
                sender.send(data)
        for way, ((_, receiver), burst) in enumerate(zip(ends, bursts, strict=True)):
            # Their order is that of the processors they were sent on, with natflow as without.
            assert sorted(receiver.recv(2048) for _ in burst) == sorted(burst)
            totals[way] += sum(map(len, burst))
    return totals[0], totals[1]


def bytes_sent(pair: Pair) -> tuple[int, int]:
    def of(sock: socket.socket) -> int:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (count,) = struct.unpack_from("=Q", info, TCP_INFO_BYTES_SENT)
        return int(count)

    return of(pair.client), of(pair.server)
