# SPDX-License-Identifier: GPL-2.0-only
"""Conntrack stays the truth while natflow forwards: counters, timeouts, TCP states."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from lab import Lab, Pair, ping, receive
from vm.cells import bytes_sent
from vm.stream import Stream

VERSIONS = pytest.mark.parametrize("version", [4, 6])
# Seconds: two re-proof intervals fit into it, and it is over soon without traffic.
SHORT_TIMEOUT = 5
SAMPLE_MS = 1000


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(masquerade=True)
    yield lab
    lab.remove()


class Entry:
    """What ``conntrack -L`` tells about one connection."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.packets = tuple(int(n) for n in re.findall(r"packets=(\d+)", line))
        self.bytes = tuple(int(n) for n in re.findall(r"bytes=(\d+)", line))
        self.id = re.search(r" id=(\d+)", line)[1]  # type: ignore[index]
        fields = line.split()
        self.timeout = int(fields[2])
        self.tcp_state = fields[3] if fields[0] == "tcp" else ""


def entry(lab: Lab, pair: Pair) -> Entry | None:
    version = "6" if pair.tuple_.family == socket.AF_INET6 else "4"
    proto = {6: "tcp", 17: "udp"}[pair.tuple_.l4proto]
    ports = ("--sport", str(pair.tuple_.sport), "--dport", str(pair.tuple_.dport))
    lines = lab.r.run("conntrack", "-L", "-o", "id", "-f", f"ipv{version}", "-p", proto, *ports)
    found = lines.splitlines()
    assert len(found) <= 1, lines
    return Entry(found[0]) if found else None


def known(lab: Lab, pair: Pair) -> Entry:
    found = entry(lab, pair)
    assert found, "conntrack has forgotten the connection"
    return found


@VERSIONS
def test_udp_counters_are_exact(lab: Lab, version: int) -> None:
    """Conntrack counts what was sent, to the byte, and natflow its own part of it."""
    pair = lab.udp(version)
    headers = 28 if version == 4 else 48
    sizes = {"client": [5], "server": [14]}  # the greeting of lab.udp()
    for number in range(400):
        sizes["client"].append(100 + number)
        pair.client.send(bytes(100 + number))
        assert len(pair.server.recv(2000)) == 100 + number
        if number % 4 == 0:
            sizes["server"].append(1000)
            pair.server.send(bytes(1000))
            assert len(pair.client.recv(2000)) == 1000
    ct = known(lab, pair)
    assert ct.packets == (len(sizes["client"]), len(sizes["server"]))
    assert ct.bytes == tuple(sum(s) + headers * len(s) for s in sizes.values())
    flow = lab.flow(pair)
    assert flow is not None
    assert (flow.ct_packets, flow.ct_bytes) == (ct.packets, ct.bytes)
    # One slow packet for each direction in a re-proof interval, and the first exchange.
    seconds = flow.age_ms / 1000
    for direction in (0, 1):
        slow = flow.ct_packets[direction] - flow.packets[direction]
        assert slow <= 4 + seconds / 2, (slow, seconds)
    pair.close()


@VERSIONS
def test_tcp_counters(lab: Lab, version: int) -> None:
    """Payload and headers of every segment: within 0.1 % of the endpoint's own count."""
    pair = lab.tcp(version)
    data = bytes(1 << 20)
    for _ in range(4):
        sender = threading.Thread(target=pair.client.sendall, args=(data,))
        sender.start()
        receive(pair.server, len(data))
        sender.join()
    ct = known(lab, pair)
    flow = lab.flow(pair)
    assert flow is not None
    assert flow.bytes[0] >= 0.95 * flow.ct_bytes[0]
    # What was sent again counts again.
    sent, _ = bytes_sent(pair)
    assert sent >= 4 * len(data)
    # Of a super-packet conntrack counts the headers once.
    options = 12
    headers = (20 if version == 4 else 40) + 20 + options
    payload = ct.bytes[0] - ct.packets[0] * headers
    print(f"IPv{version}: sent {sent}, conntrack {payload} of payload in {ct.packets[0]} packets")
    assert sent <= ct.bytes[0]
    assert abs(payload - sent) <= 0.001 * sent + 12 * 3
    pair.close()


def test_timeouts_are_refreshed(lab: Lab) -> None:
    """A flow that moves does not time out, however short the time-out, in either direction; its
    conntrack entry is the same one all along, and a TCP connection stays ESTABLISHED."""
    lab.configure(sample_interval=SAMPLE_MS)
    keys = {
        "net__netfilter__nf_conntrack_udp_timeout": SHORT_TIMEOUT,
        "net__netfilter__nf_conntrack_udp_timeout_stream": SHORT_TIMEOUT,
        "net__netfilter__nf_conntrack_tcp_timeout_established": SHORT_TIMEOUT,
    }
    lab.r.sysctl(**keys)
    out, back, idle = lab.udp(4), lab.udp(6), lab.udp(4)
    tcp = lab.tcp(4)
    pairs = (out, back, tcp)
    for pair in (*pairs, idle):
        ping(pair, 4)
        assert lab.state(pair) == "software"
    before = [(known(lab, pair).id, lab.flow(pair)) for pair in pairs]
    with (
        Stream(out.client, out.server, 0.05) as one,
        Stream(back.server, back.client, 0.05) as other,
    ):
        end = time.monotonic() + 2 * SHORT_TIMEOUT + 1
        while time.monotonic() < end:
            ping(tcp)
            time.sleep(0.05)
        for (id_, flow), pair in zip(before, pairs, strict=True):
            ct = known(lab, pair)
            assert ct.id == id_
            now = lab.flow(pair)
            assert now is not None and flow is not None and now.id == flow.id
            assert now.state == "software"
            assert sum(now.packets) > sum(flow.packets) + 60
        assert known(lab, tcp).tcp_state == "ESTABLISHED"
        assert entry(lab, idle) is None, "without traffic the time-out is really that short"
    assert not one.lost and not other.lost
    lab.r.sysctl(**{**dict.fromkeys(keys, 120), list(keys)[2]: 432000})
    lab.configure(sample_interval=2000)
    for pair in (*pairs, idle):
        pair.close()


def test_idle_flow_leaves_and_comes_back(lab: Lab) -> None:
    """It leaves natflow's table after idle_timeout; its connection lives on, and the next packets
    are learned again."""
    lab.configure(idle_timeout=1000)
    pair, busy = lab.udp(4), lab.udp(6)
    start = time.monotonic()
    ping(pair, 4)
    first = lab.flow(pair)
    assert first is not None and first.state == "software"
    ct = known(lab, pair)
    end = time.monotonic() + 6
    while lab.flow(pair) and time.monotonic() < end:
        ping(busy)
        time.sleep(0.05)
    print(f"left after {time.monotonic() - start:.1f} s")
    assert lab.flow(pair) is None
    # Its last packet came after the start; the kernel counts in ticks of 4 ms.
    assert time.monotonic() - start > 0.99
    explained = lab.kernel.explain(pair.tuple_)
    assert (explained.tracked, explained.state) == (True, "slow")
    assert lab.state(busy) == "software", "one that moves stays"
    assert known(lab, pair).id == ct.id
    ping(pair, 4)
    again = lab.flow(pair)
    assert again is not None and again.state == "software" and again.id != first.id
    assert known(lab, pair).id == ct.id
    lab.configure(idle_timeout=30000)
    pair.close()
    busy.close()


def wait_for_state(lab: Lab, pair: Pair, *states: str) -> str:
    end = time.monotonic() + 3
    while True:
        ct = entry(lab, pair)
        state = ct.tcp_state if ct else "gone"
        if state in states or time.monotonic() > end:
            return state
        time.sleep(0.05)


def bulk(pair: Pair, size: int) -> None:
    """So much on the fast path that conntrack's idea of the window is far behind."""
    data = bytes(size)
    for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
        thread = threading.Thread(target=sender.sendall, args=(data,))
        thread.start()
        receive(receiver, size)
        thread.join()


@VERSIONS
def test_tcp_close(lab: Lab, version: int) -> None:
    """Conntrack sees both FINs, and the flow leaves the table with the first."""
    pair = lab.tcp(version)
    bulk(pair, 1 << 20)
    assert lab.state(pair) == "software"
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.server.recv(10) == b""
    assert lab.flow(pair) is None
    assert known(lab, pair).tcp_state in ("FIN_WAIT", "CLOSE_WAIT")
    # Half closed: the other direction still carries data.
    data = bytes(range(256)) * 2048
    thread = threading.Thread(target=pair.server.sendall, args=(data,))
    thread.start()
    assert receive(pair.client, len(data)) == data
    thread.join()
    assert lab.flow(pair) is None
    pair.server.close()
    assert pair.client.recv(10) == b""
    pair.client.close()
    assert wait_for_state(lab, pair, "TIME_WAIT") == "TIME_WAIT"


@VERSIONS
@pytest.mark.parametrize("who", ["client", "server"])
def test_tcp_reset(lab: Lab, version: int, who: str) -> None:
    """A reset is let through by conntrack, although it has not seen the window, and closes."""
    pair = lab.tcp(version)
    bulk(pair, 1 << 20)
    assert lab.state(pair) == "software"
    closer = getattr(pair, who)
    other = pair.server if who == "client" else pair.client
    closer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    closer.close()
    with pytest.raises(ConnectionResetError):
        other.recv(10)
    assert wait_for_state(lab, pair, "CLOSE", "gone") in ("CLOSE", "gone")
    assert lab.flow(pair) is None
    other.close()
