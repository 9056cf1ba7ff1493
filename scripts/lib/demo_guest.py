# SPDX-License-Identifier: GPL-2.0-only
"""The part of scripts/demo that runs in the virtual router: real traffic, real counters.

Progress goes to standard error, the result as one JSON object to standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kmodule
from lab import SERVER4, SERVER6, Lab, Pair, ping
from netns import Netns

PORT_TCP4, PORT_UDP4, PORT_TCP6 = 5201, 5202, 5203
FTP_PORT = 21
ETHERNET_HEADER = 14

CONFIG = """
config natflow 'main'
	option enabled '1'
	option delay_pkts '4'
"""

# An FTP control connection, so that the table shows a flow that must stay slow.
HELPER = """
table ip alg {
	ct helper ftp { type "ftp" protocol tcp; }
	chain pre {
		type filter hook prerouting priority -100
		tcp dport 21 ct helper set "ftp"
	}
}
"""


def say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


def sent(ns: Netns, dev: str) -> int:
    """Bytes an endpoint's device has sent, as IP sees them: after segmentation, without the
    Ethernet header of each frame. The few ARP and neighbour discovery frames are in it."""
    link = json.loads(ns.run("ip", "-json", "-statistics", "link", "show", "dev", dev))[0]
    counted = link["stats64"]["tx"]
    return int(counted["bytes"] - ETHERNET_HEADER * counted["packets"])


class Router:
    """The lab with natflowd and its bus in the router's namespace."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(masquerade=True, enable=False)
        self.lab.r.nft(HELPER)
        # Closed connections stay listed until the bytes of all of them are summed.
        self.lab.r.sysctl(net__netfilter__nf_conntrack_tcp_timeout_close=300)
        config = folder / "config"
        config.mkdir()
        (config / "natflow").write_text(CONFIG)
        self.socket = str(folder / "ubus.sock")
        python = sys.executable
        self.processes = [
            self.lab.r.popen(python, "-m", "natflow.bus.broker", "--socket", self.socket),
            self.lab.r.popen(
                python, "-m", "natflow.daemon", "--socket", self.socket,
                "--config-dir", str(config), "--bus", "embedded",
            ),
        ]  # fmt: skip

    def ubus(self, method: str, **table: Any) -> dict[str, Any]:
        """What `ubus call natflow METHOD` does on a router with ubusd."""
        from natflow.bus import BusError, open_bus

        bus = open_bus(self.socket, backend="embedded")
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    return bus.call("natflow", method, table)
                except BusError:
                    if time.monotonic() > deadline:
                        raise
                    bus.tick(0.2)
        finally:
            bus.close()

    def cli(self, *arguments: str) -> str:
        return self.lab.r.run(
            sys.executable, "-m", "natflow.cli", "--socket", self.socket, *arguments
        )

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
        self.lab.remove()


@contextlib.contextmanager
def iperf_server(ns: Netns, port: int) -> Iterator[None]:
    server = ns.popen("iperf3", "-s", "--forceflush", "-p", str(port))
    assert server.stdout
    for line in server.stdout:
        if "listening" in line:
            break
    try:
        yield
    finally:
        server.terminate()
        server.wait(30)


def iperf(ns: Netns, *arguments: str) -> dict[str, Any]:
    with ns.entered():
        result = subprocess.run(
            ["iperf3", "-J", *arguments], capture_output=True, text=True, timeout=300
        )
    data: dict[str, Any] = json.loads(result.stdout)
    if "error" in data:
        raise SystemExit(f"demo: iperf3: {data['error']}")
    return data


def mbps(result: dict[str, Any]) -> float:
    rate: float = result["end"]["sum_received"]["bits_per_second"]
    return round(rate / 1e6, 1)


class Totals:
    """Bytes since the start, counted in three places that know nothing of each other."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._start = self._now()

    def _now(self) -> tuple[int, int, int, int]:
        lab = self._router.lab
        engines = lab.kernel.stats().engines
        slow, software = engines["slow"], engines["software"]
        return (
            sent(lab.c, "lan") + sent(lab.s, "wan"),
            slow.bytes + software.bytes,
            slow.packets,
            software.packets,
        )

    def since(self) -> dict[str, int]:
        now = self._now()
        names = ("sent_bytes", "natflow_bytes", "slow_packets", "fast_packets")
        return {name: b - a for name, a, b in zip(names, self._start, now, strict=True)}


def conntrack_bytes(ns: Netns) -> int:
    """Bytes of all TCP and UDP connections of the router; every entry is still there."""
    entries = [
        line
        for protocol in ("tcp", "udp")
        for family in ("ipv4", "ipv6")
        for line in ns.conntrack("-L", "-f", family, "-p", protocol).splitlines()
    ]
    return sum(int(value) for line in entries for value in re.findall(r"bytes=(\d+)", line))


def plain_packets(lab: Lab) -> None:
    """Packets as on a wire: no segmentation by the endpoints' devices."""
    for ns, dev in ((lab.c, "lan"), (lab.s, "wan"), (lab.r, "lan"), (lab.r, "wan")):
        ns.run("ethtool", "-K", dev, "tso", "off", "gso", "off", "gro", "off", check=False)


def measure(router: Router, seconds: int) -> dict[str, float]:
    """Slow path against fast path in turns, so that a noisy machine is noisy for both."""
    rates: dict[int, list[float]] = {0: [], 1: []}
    with iperf_server(router.lab.s, PORT_TCP4):
        for enabled in (0, 1, 0, 1):
            router.ubus("set", options={"enabled": bool(enabled)})
            result = iperf(router.lab.c, "-c", SERVER4, "-p", str(PORT_TCP4), "-t", str(seconds))
            rates[enabled].append(mbps(result))
            say(f"TCP, acceleration {'on' if enabled else 'off'}: {rates[enabled][-1]} Mbit/s")
    return {
        "slow_mbps": round(sum(rates[0]) / len(rates[0]), 1),
        "fast_mbps": round(sum(rates[1]) / len(rates[1]), 1),
    }


def bulk(router: Router, seconds: int) -> dict[str, Any]:
    """TCP, UDP and IPv6 through the router with acceleration on, everything counted."""
    lab = router.lab
    lab.r.conntrack("-F")
    totals = Totals(router)
    with iperf_server(lab.s, PORT_TCP4):
        say("TCP over IPv4, masqueraded")
        iperf(lab.c, "-c", SERVER4, "-p", str(PORT_TCP4), "-t", str(seconds))
    with iperf_server(lab.s, PORT_UDP4):
        say("UDP over IPv4, masqueraded")
        udp = ("-u", "-b", "20M", "-l", "1200", "-t", str(seconds))
        iperf(lab.c, "-c", SERVER4, "-p", str(PORT_UDP4), *udp)
    with iperf_server(lab.s, PORT_TCP6):
        say("TCP over IPv6, routed")
        iperf(lab.c, "-c", SERVER6, "-p", str(PORT_TCP6), "-t", str(seconds))
    counted: dict[str, Any] = totals.since()
    counted["conntrack_bytes"] = conntrack_bytes(lab.r)
    slow, fast = counted.pop("slow_packets"), counted.pop("fast_packets")
    counted["fast_share"] = round(fast / (slow + fast), 4)
    return counted


@contextlib.contextmanager
def living_flows(lab: Lab) -> Iterator[None]:
    """Connections of each kind that stay open while the flow table is looked at."""
    pairs: list[Pair] = []
    for version in (4, 6):
        for opened in (lab.tcp(version), lab.udp(version)):
            ping(opened, 40)
            pairs.append(opened)
    ftp = lab.tcp(4, port=FTP_PORT)
    ping(ftp, 5)
    pairs.append(ftp)
    try:
        yield
    finally:
        for pair in pairs:
            pair.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3)
    seconds = parser.parse_args().seconds

    kmodule.load()
    with tempfile.TemporaryDirectory() as folder:
        say("router, client and server in namespaces; natflowd on its bus")
        router = Router(Path(folder))
        try:
            plain_packets(router.lab)
            router.ubus("status")
            result: dict[str, Any] = {"kernel": os.uname().release}
            result.update(measure(router, seconds))
            result.update(bulk(router, seconds))
            with living_flows(router.lab):
                result["status"] = router.ubus("status")
                result["flows"] = router.ubus("query", filter={"limit": 100})["flows"]
                result["flows_text"] = router.cli("flows")
        finally:
            router.close()
    kmodule.unload()
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
