# SPDX-License-Identifier: GPL-2.0-only
"""What everybody says that the hardware has forwarded: natflowd's status, its flows and hosts, and
conntrack, each against what the senders have sent."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import CLIENT4, Pair, ping
from vm.hw import HwLab
from vm.site import ON, Site
from vm.traffic import transfer

CONFIG = ON + (
    "\toption hwnat_mode 'always'\n\toption hw_min_rate '0'\n\toption sample_interval '10000'\n"
)
# Of either generation; test_hwnat_links.py compares conntrack's bytes for all that count.
COUNTING = ("mt7622", "mt7986")
MOST_OFF = 0.001
DATAGRAMS, SIZE = 200, 1000
TCP_BYTES = 400_000
# struct tcp_info (linux/tcp.h).
SEGMENTS_OUT, BYTES_SENT = 136, 200
IP6_TCP_HEADERS, IP_UDP_HEADERS = 40 + 20 + 12, 20 + 8
TRIES = 3


class Watched:
    """A lab whose natflowd is asked, with a connection of UDP and one of TCP."""

    def __init__(self, directory: Path, lab: HwLab) -> None:
        self.lab = lab
        self.site = Site(directory, lab, CONFIG)
        for host in (lab.c, lab.s):
            # All segments of a connection have headers of the same size then.
            host.sysctl(net__ipv4__tcp_sack=0)
        # While one flow has its turn the other stays: the machine may be slow.
        lab.soc.set(age_udp=200, age_tcp=200)
        self.site.start_broker()
        self.site.start_in_namespace()
        self.udp, self.tcp = lab.udp(4), lab.tcp(6)

    def bytes_sent(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What TCP's two ends have sent so far, as IP packets."""

        def of(sock: socket.socket) -> int:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            (segments,) = struct.unpack_from("=I", info, SEGMENTS_OUT)
            (data,) = struct.unpack_from("=Q", info, BYTES_SENT)
            return int(data + segments * IP6_TCP_HEADERS)

        return (0, 0), (of(self.tcp.client), of(self.tcp.server))

    def told(self) -> dict[str, list[int]]:
        """By place, the bytes there and back of both connections, or of all of them."""
        places: dict[str, list[int]] = {
            "status": [self.site.call("status")["bytes"]["hardware"]],
            "flow": [],
            "flow total": [],
            "conntrack": [],
        }
        for pair in (self.udp, self.tcp):
            row = self.row(pair)
            places["flow"] += row["hw_bytes"]
            places["flow total"] += row["total_bytes"]
            places["conntrack"] += conntrack(self.lab, pair)
        host = self.host()
        places["client"] = [host["bytes"]["hardware"][way] for way in ("up", "down")]
        return places

    def host(self) -> dict[str, Any]:
        """The client; as long as it has sent nothing by IPv6, without that address."""
        rows = self.site.call("clients")["clients"]
        (host,) = [row for row in rows if CLIENT4 in row["addresses"]]
        assert isinstance(host, dict)
        return host

    def row(self, pair: Pair) -> dict[str, list[int]]:
        (row,) = self.site.call("query", filter={"port": pair.client.getsockname()[1]})["flows"]
        found: dict[str, list[int]] = row
        return found


@pytest.fixture
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    with HwLab(request.param) as lab:
        made = Watched(tmp_path, lab)
        try:
            yield made
        finally:
            made.site.close()
            made.udp.close()
            made.tcp.close()


def conntrack(lab: HwLab, pair: Pair) -> list[int]:
    """What conntrack -L says of a connection."""
    port = pair.client.getsockname()[1]
    family = "ipv4" if pair.client.family == socket.AF_INET else "ipv6"
    proto = "udp" if pair.client.type == socket.SOCK_DGRAM else "tcp"
    listed = lab.r.run("conntrack", "-L", "-f", family, "-p", proto)
    (line,) = [line for line in listed.splitlines() if f" sport={port} " in line.split("src=")[1]]
    return [int(count) for count in re.findall(r" bytes=(\d+)", line)]


@pytest.mark.parametrize("watched", COUNTING, indirect=True)
def test_everybody_tells_what_was_sent(watched: Watched) -> None:
    lab = watched.lab
    for _ in range(TRIES):
        lab.bind(watched.udp, watched.tcp)
        lab.drain()
        destroys = lab.kernel.hardware().destroys
        before, base = watched.told(), watched.bytes_sent()
        ping(watched.udp, DATAGRAMS, SIZE)
        transfer(watched.tcp, TCP_BYTES)
        lab.drain()
        after, now = watched.told(), watched.bytes_sent()
        # Once a minute a flow leaves the hardware, for a new proof by the slow path.
        if lab.kernel.hardware().destroys == destroys:
            break
    assert lab.kernel.hardware().destroys == destroys
    datagrams = DATAGRAMS * (SIZE + IP_UDP_HEADERS)
    udp = [datagrams, datagrams]
    tcp = [end - start for start, end in zip(base[1], now[1], strict=True)]
    assert min(tcp) > TCP_BYTES
    sent = {
        "status": [sum(udp + tcp)],
        "flow": udp + tcp,
        "flow total": udp + tcp,
        "conntrack": udp + tcp,
        "client": [udp[0] + tcp[0], udp[1] + tcp[1]],
    }
    found = {
        place: [end - start for start, end in zip(before[place], after[place], strict=True)]
        for place in sent
    }
    print(f"\nsent {sent}\ntold {found}")
    for place, counts in sent.items():
        for count, want in zip(found[place], counts, strict=True):
            assert abs(count - want) <= MOST_OFF * want, (place, found, sent)
    assert watched.row(watched.udp)["estimated"] == [False, False]
    assert watched.site.call("status")["hwnat"]["estimated"] is False
    assert watched.host()["estimated"] is False


class Talk:
    """Steady talk over a connection while a "with" block runs, and how fast it was."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.log: list[tuple[float, int]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        sent = 0
        while not self._end.wait(0.02):
            ping(self.pair, 1, SIZE)
            sent += SIZE + IP_UDP_HEADERS
            self.log.append((time.monotonic(), sent))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def rates(self) -> list[float]:
        """Bytes a second of each second or a little more."""
        found, later = [], 0
        for start, sent in self.log:
            while later < len(self.log) and self.log[later][0] < start + 1:
                later += 1
            if later == len(self.log):
                break
            at, then = self.log[later]
            found.append((then - sent) / (at - start))
        return found


@pytest.mark.parametrize("watched", ["mt7621"], indirect=True)
def test_without_counters_everybody_says_so(watched: Watched) -> None:
    """And the estimate is as good as it is said to be: the time is right to two seconds, the rate
    is that of one of the seconds before."""
    lab, pair = watched.lab, watched.udp
    watched.site.call("set", options={"hwnat": "0"})
    talk = Talk(pair)
    sent_before = conntrack(lab, pair)
    assert lab.soc.port("lan").hw_rx == 0
    with talk:
        time.sleep(4)
        watched.site.call("set", options={"hwnat": "1"})
        lab.wait(lambda: lab.hw_state(pair)[0] in ("pending", "bound"))
        start = time.monotonic()
        lab.wait(lambda: lab.hw_state(pair) == ("bound", "bound"))
        time.sleep(5)
    end = talk.log[-1][0]
    # The time of the last packet is read once a second, and taken when it has moved by more.
    time.sleep(4)
    counters = lab.soc.port("lan")
    really = counters.hw_rx_bytes - counters.hw_rx * 14
    guessed = watched.row(pair)["hw_bytes"][0]
    rates = talk.rates()
    least, most = min(rates) * max(end - start - 2, 0), max(rates) * (end - start + 2)
    print(f"\nforwarded {really}, estimated {guessed}, bounds {least:.0f} and {most:.0f}")
    assert really > 0
    assert least * 0.95 <= guessed <= most * 1.05
    # Conntrack is told what was counted, and that alone.
    counted = conntrack(lab, pair)[0] - sent_before[0]
    assert counted + really == talk.log[-1][1]

    assert watched.row(pair)["estimated"] == [True, True]
    status = watched.site.call("status")
    assert status["hwnat"]["estimated"] is True
    host = watched.host()
    assert host["estimated"] is True
    assert host["bytes"]["hardware"]["up"] == guessed
    assert status["bytes"]["hardware"] == sum(watched.row(pair)["hw_bytes"])
    # Silent for 10 seconds a flow is taken for forgotten, and the command may start that slowly.
    lab.bind(pair)
    with Talk(pair), lab.r.entered():
        shown = watched.site.run("status").stdout
        hosts = watched.site.run("clients").stdout
    assert "the truth is from 0 to what the link carries" in " ".join(shown.split())
    assert re.search(r"(?m)^hardware .* estimated$", shown)
    assert re.search(r"(?m) estimated$", hosts)
