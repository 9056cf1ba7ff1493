# SPDX-License-Identifier: GPL-2.0-only
"""The routers that the golden outputs show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unit.hardware.router import Router
from unit.kernel.fake import FakeKernel, client, flow
from unit.service.bench import OFF, ON, Bench
from unit.service.xbench import XBench

from natflow import host
from natflow.kernel import uapi
from natflow.kernel.records import Counter, Hardware
from natflow.kernel.records import Path as KernelPath


def busy(directory: Path) -> Bench:
    kernel = FakeKernel(
        [
            flow(
                src="192.168.1.10",
                sport=40000,
                dst="203.0.113.5",
                dport=443,
                rate=(150_000, 11_700_000),
                bytes=(2_000_000, 1_234_567_890),
                ct_bytes=(2_000_500, 1_234_570_000),
                age=125_000,
                id=1,
            ),
            flow(
                src="192.168.1.10",
                sport=40001,
                dst="203.0.113.6",
                dport=21,
                state="slow",
                reason="helper",
                rate=(10, 0),
                id=2,
            ),
            flow(
                src="2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
                sport=65535,
                dst="2001:db8:1111:2222:3333:4444:5555:6666",
                dport=65535,
                nat="",
                proto="udp",
                state="hw-pending",
                rate=(124_000_000, 0),
                id=3,
            ),
            flow(
                src="255.255.255.254",
                sport=65535,
                dst="255.255.255.253",
                dport=65535,
                state="learning",
                reason="one-direction",
                id=4,
            ),
        ],
        [
            client(
                "192.168.1.10",
                "02:00:00:00:00:01",
                2,
                rate=(150_010, 11_700_000),
                software_bytes=(2_000_000, 1_234_567_890),
                slow_bytes=(500, 2_110),
            ),
            client(
                "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
                "02:00:00:00:00:01",
                1,
                rate=(124_000_000, 0),
            ),
            client("192.168.1.66", "02:00:00:00:00:66", 0, slow_bytes=(700, 300)),
        ],
    )
    kernel.engines = {
        "slow": Counter(1_234, 98_765),
        "software": Counter(1_000_000, 1_236_567_890),
        "hardware": Counter(0, 0),
    }
    kernel.reason_packets.update({"no-flow": 1200, "helper": 34, "tcp-flags": 8})
    kernel.uptime_ms = 7_384_000
    kernel.paths = (
        KernelPath("original", 1, 1, 999_999, None, "02:00:00:00:00:02", 1500, 400),
        KernelPath("reply", 999_999, 999_998, 1, 7, "02:00:00:00:00:01", 0, 1800),
    )
    leases = directory / "leases"
    leases.write_text("1 02:00:00:00:00:01 192.168.1.10 laptop *\n")
    host.LEASES = str(leases)
    return Bench(directory, ON, kernel)


def hardware(directory: Path) -> Bench:
    """An MT7981 whose engine has some of the flows; WED runs on trial."""
    router = Router(directory / "root", "mt7981")
    wed = 1 << uapi.HW_FLAGS.index("wed")
    wed_rx = 1 << uapi.HW_FLAGS.index("wed-rx")
    kernel = FakeKernel(
        [
            flow(
                sport=1,
                state="hardware",
                rate=(1, 90_000_000),
                bytes=(100, 2000),
                ct_bytes=(1_000_100, 3_000_002_000),
                hw_state=("bound", "bound"),
                hw_bytes=(1_000_000, 3_000_000_000),
                id=1,
            ),
            flow(
                sport=2,
                state="wed",
                rate=(1, 80_000_000),
                hw_state=("bound", "bound"),
                hw_flags=(wed_rx, wed),
                id=2,
            ),
            flow(
                sport=3,
                state="wed",
                rate=(1, 70_000_000),
                hw_state=("none", "bound"),
                hw_flags=(wed_rx, wed),
                hw_reason=("hw-wed-rx", "none"),
                id=3,
            ),
            flow(
                sport=4,
                rate=(1, 60_000_000),
                hw_state=("refused", "refused"),
                hw_reason=("hw-refused", "hw-refused"),
                hw_errno=(95, 95),
                id=4,
            ),
            flow(sport=5, rate=(1, 50_000), hw_reason=("hw-rate", "hw-rate"), id=5),
        ]
    )
    kernel.hw = Hardware(
        client=True,
        reason="none",
        profile="mt7981",
        features=("vlan-hash",),
        door=True,
        counters=True,
        wed_version=2,
        capacity=12288,
        installed=6,
        bound=5,
        installs=60,
        destroys=54,
        failures=2,
        errors={95: 2},
        tokens=200,
        backoff_ms=0,
        busy=900,
    )
    kernel.paths = (
        KernelPath("original", 1, 1, 999_999, None, "02:00:00:00:00:02", 1500, 400),
        KernelPath("reply", 999_999, 1, 1, None, "02:00:00:00:00:01", 1500, 1800),
    )
    config = ON + "\toption hwnat_wed '1'\n"
    Bench(directory, config, kernel)
    router.boot()
    return Bench(directory, config, kernel)


def empty(directory: Path) -> Bench:
    return Bench(directory, OFF, FakeKernel(features=()))


def missing(directory: Path) -> Bench:
    kernel = FakeKernel()
    kernel.missing = True
    return Bench(directory, ON, kernel)


def broken(directory: Path) -> Bench:
    """A good start, then a file with two errors and a warning, and a firewall that offloads."""
    bench = Bench(directory, ON)
    bench.write(
        "config natflow 'main'\n\toption enabled 'maybe'\n\toption delay_pkts '70000'\n"
        "config exception\n\toption src '192.168.1.7'\n"
    )
    bench.write("config defaults\n\toption flow_offloading '1'\n", "firewall")
    bench.service.reload()
    return bench


def foreign(directory: Path) -> Bench:
    """x-wrt's module, with an option that it does not have."""
    return XBench(directory, ON + "\toption max_flows '100'\n")


WORLDS: dict[str, Callable[[Path], Bench]] = {
    "busy": busy,
    "hardware": hardware,
    "empty": empty,
    "missing": missing,
    "broken": broken,
    "foreign": foreign,
}
