# SPDX-License-Identifier: GPL-2.0-only
"""natflowd on a module in memory, in one of several worlds: routerd.py WORLD [natflowd option]...

Everything but the module is the real thing. The counters grow as on a router with traffic.
"""

from __future__ import annotations

import json
import os
import sys
import time

from unit.kernel.fake import DEFAULTS, FakeKernel, client, flow
from unit.kernel.played import PATH, Played

from natflow import daemon, host
from natflow.kernel import uapi
from natflow.kernel.ctl import ControlDevice
from natflow.kernel.records import Counter, Flow, Hardware, Path, Stats

HOSTILE = "<img src=x onerror=alert(1)>"
SLOW_RATE, FAST_RATE = 400_000, 11_000_000  # bytes per second
LEASES = """\
1 02:00:00:00:00:0a 192.168.1.10 laptop *
1 02:00:00:00:00:0c 192.168.1.12 television-in-the-living-room-on-the-first-floor *
"""


class Router(FakeKernel):
    """A module whose engines count while it is switched on."""

    def __init__(self, flows: list[Flow], traffic: bool = True, **settings: int) -> None:
        super().__init__(flows, settings={**DEFAULTS, "enabled": 0, **settings})
        self.started = time.monotonic()
        self.traffic = traffic
        self.paths = (
            Path("original", 1, 1, 1, 7, "02:00:00:00:00:02", 1500, 850),
            Path("reply", 1, 1, 1, None, "02:00:00:00:00:0a", 1500, 310),
        )

    def stats(self) -> Stats:
        """What real counters would show after this time."""
        seconds = time.monotonic() - self.started
        self.uptime_ms = int(seconds * 1000) + 90_000
        if self.traffic:
            fast = FAST_RATE if self.settings["enabled"] else 0
            self.engines = {
                "slow": Counter(90_000, int(30e6 + seconds * SLOW_RATE)),
                "software": Counter(5_000_000, int(6.1e9 + seconds * fast)),
                "hardware": Counter(0, 0),
            }
            self.reason_packets |= {"unproved": 8123, "delay": 4021, "local": 1200, "helper": 77}
        return super().stats()


def busy() -> Router:
    """A household: some fast flows, some that are not, IPv6, a port forward."""
    flows = [
        flow("192.168.1.10", 50000 + number, "198.51.100.7", 443, rate=(20_000, 900_000 - number),
             bytes=(10**6 * number, 10**8), ct_bytes=(10**6 * number, 10**8 + 5000),
             in_ifindex=(1, 1), out_ifindex=(1, 1), id=100 + number)
        for number in range(20)
    ]  # fmt: skip
    flows += [
        flow("fd00::10", 40001, "2001:db8:1:2:3:4:5:6", 443, nat="", rate=(1000, 4000),
             bytes=(2**60, 2**61), in_ifindex=(1, 1), out_ifindex=(1, 1), id=200),
        flow("192.168.1.11", 5060, "203.0.113.9", 5060, proto="udp", state="slow",
             reason="helper", mac=("", ""), in_ifindex=(1, 0), out_ifindex=(0, 0), id=201),
        flow("192.168.1.12", 41000, "198.51.100.8", 80, state="learning", reason="delay", id=202),
    ]  # fmt: skip
    router = Router(flows)
    router.client_list = [
        client("192.168.1.10", "02:00:00:00:00:0a", 20, rate=(400_000, 9_000_000),
               slow_bytes=(10**6, 10**6), software_bytes=(2 * 10**8, 5 * 10**9)),
        client("fd00::10", "02:00:00:00:00:0a", 1, rate=(1000, 4000)),
        client("192.168.1.11", "02:00:00:00:00:0b", 1, slow_bytes=(40_000, 50_000)),
        client("192.168.1.12", "02:00:00:00:00:0c", 1, rate=(10, 20)),
        *(client(f"192.168.1.{30 + n}", f"02:00:00:00:01:{n:02x}", 0) for n in range(12)),
    ]  # fmt: skip
    return router


def many() -> Router:
    """A table with 5,000 flows."""
    return Router(
        [
            flow(f"192.168.{n // 250}.{n % 250 + 1}", 1024 + n, "198.51.100.7", 443,
                 rate=(n, 2 * n), bytes=(n, n), id=n + 1)
            for n in range(5000)
        ]
    )  # fmt: skip


def hardware() -> Router:
    """An engine that does not count, has one flow, half of another, and refuses the third."""
    wed = 1 << uapi.HW_FLAGS.index("wed")
    estimated = 1 << uapi.HW_FLAGS.index("estimated")
    router = Router(
        [
            flow(sport=1, state="hardware", rate=(3, 3), bytes=(10, 10), hw_bytes=(10**6, 10**9),
                 hw_state=("bound", "bound"), hw_flags=(estimated, estimated), id=1),
            flow(sport=2, state="wed", rate=(2, 2), hw_state=("none", "bound"), id=2,
                 hw_reason=("hw-wed-rx", "none"), hw_flags=(0, wed | estimated)),
            flow(sport=3, rate=(1, 1), hw_state=("refused", "refused"), id=3,
                 hw_reason=("hw-refused", "hw-refused"), hw_errno=(95, 95)),
        ],
        traffic=False,
        enabled=1,
    )  # fmt: skip
    router.hw = Hardware(
        client=True, reason="none", profile="none", features=(), door=True, counters=False,
        wed_version=1, capacity=16384, installed=4, bound=3, installs=9, destroys=5, failures=2,
        errors={95: 2}, tokens=200, backoff_ms=0, busy=0,
    )  # fmt: skip
    return router


def empty() -> Router:
    """Just started, nobody there."""
    return Router([], traffic=False)


def conflicts() -> Router:
    """A shaper and a filter; with others() also those who are no part of natflow."""
    router = hardware()
    router.flow_list.append(flow(sport=4, state="slow", reason="qdisc", id=4))
    router.filter_ifindex = router.shaper_ifindex = 1  # the one device that every host has
    return router


def others(directory: str) -> None:
    """All the accelerators that natflowd knows, beside it."""
    host.MODULES = os.path.join(directory, "modules")
    for module in host.ACCELERATORS:
        os.makedirs(os.path.join(host.MODULES, module))
    host.CONTROL = "/dev/zero"  # as good a character device as any
    ruleset = os.path.join(directory, "ruleset")
    table = {"family": "inet", "table": "fw4", "name": "ft", "dev": ["lan1", "wan"]}
    with open(ruleset, "w", encoding="utf-8") as stream:
        json.dump({"nftables": [{"flowtable": table}]}, stream)
    host.NFT = ("cat", ruleset)


def missing() -> Router:
    """The module is not loaded."""
    router = empty()
    router.missing = True
    return router


def foreign() -> ControlDevice:
    """x-wrt's module, which tells its settings and nothing else."""
    return ControlDevice(PATH, Played())  # type: ignore[arg-type]


def foreign_software() -> ControlDevice:
    """The same, built without hardware."""
    played = Played()
    del played.settings["hwnat"], played.settings["hwnat_wed_disabled"]
    return ControlDevice(PATH, played)  # type: ignore[arg-type]


WORLDS = {
    "busy": busy,
    "many": many,
    "hardware": hardware,
    "conflicts": conflicts,
    "empty": empty,
    "missing": missing,
    "foreign": foreign,
    "foreign-software": foreign_software,
}


if __name__ == "__main__":
    world = WORLDS[sys.argv[1]]()
    leases = os.path.join(os.environ["UCI_CONFIG_DIR"], "dhcp.leases")
    with open(leases, "w", encoding="utf-8") as stream:
        stream.write(LEASES)
    host.LEASES = leases
    leased = host.names
    # dnsmasq keeps names without spaces only; whoever else names hosts may not.
    host.names = lambda: {**leased(), "192.168.1.11": HOSTILE}
    host.NFT = ("/nonexistent",)
    if sys.argv[1] == "conflicts":
        others(os.environ["UCI_CONFIG_DIR"])
    daemon.open_kernel = lambda: world  # type: ignore[assignment,return-value]
    sys.exit(daemon.main(sys.argv[2:]))
