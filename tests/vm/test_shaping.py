# SPDX-License-Identifier: GPL-2.0-only
"""cake shapes accelerated traffic as it shapes that of the normal stack: the same rate, and the
same delay for others, on a port, on a PPPoE session above it, and behind SQM's ingress half."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab import Lab, Pair, ping
from vm.conftest import Table
from vm.load import Load, measure

pytestmark = pytest.mark.icount

RATE = 50e6
OFFERED = 1.4 * RATE
CAKE = ("root", "cake", "bandwidth", "50mbit")
# What two measurements of the same may differ by: a share of the rate, and seconds of delay.
RATE_NOISE, DELAY_NOISE = 0.02, 0.001


def shape_upload(lab: Lab) -> None:
    lab.r.run("tc", "qdisc", "add", "dev", "wan", *CAKE)


def shape_download(lab: Lab) -> None:
    """As sqm-scripts do it."""
    lab.r.ip("link add ifb0 type ifb", "link set ifb0 up")
    lab.r.run("tc", "qdisc", "add", "dev", "ifb0", *CAKE, "besteffort")
    lab.r.run("tc", "qdisc", "add", "dev", "wan", "handle", "ffff:", "ingress")
    redirect = ("action", "mirred", "egress", "redirect", "dev", "ifb0")
    lab.r.run("tc", "filter", "add", "dev", "wan", "parent", "ffff:", "matchall", *redirect)


def loaded(lab: Lab, bulk: Pair, probe: Pair, download: bool) -> Load:
    """One direction gets more than fits."""
    if download:
        return measure(bulk.server, OFFERED, probe.server, (lab.c, "lan"))
    # Not the PPP device of the other side: that is a program's.
    device = lab.wan.lower if lab.wan.session else "wan"
    return measure(bulk.client, OFFERED, probe.client, (lab.s, device))


# The WAN's kind, what sets the shaper up, whether it is about the download.
CASES: dict[str, tuple[str, Callable[[Lab], None], bool]] = {
    "port": ("plain", shape_upload, False),
    "pppoe": ("pppoe", shape_upload, False),
    "sqm download": ("plain", shape_download, True),
}


@pytest.mark.parametrize("case", CASES)
def test_shaped_as_ever(case: str, shaping: Table) -> None:
    wan, shape, download = CASES[case]
    lab = Lab(wan=wan, masquerade=True, enable=False)
    shape(lab)
    lab.configure(delay_pkts=0, sample_interval=10000)
    found = {}
    for way in ("normal", "natflow"):
        lab.configure(enabled=int(way == "natflow"))
        bulk, probe = lab.udp(), lab.udp()
        for pair in (bulk, probe):
            ping(pair, 4)
        before = lab.flow(bulk)
        found[way] = load = loaded(lab, bulk, probe, download)
        line = shaping.line(f"{case}, {way}")
        line["Mbit/s"] = f"{load.rate / 1e6:.2f}"
        line["median ms"] = f"{load.median * 1e3:.2f}"
        line["p95 ms"] = f"{load.p95 * 1e3:.2f}"
        line["probes lost"] = str(load.lost)
    after = lab.flow(bulk)
    lab.remove()

    normal, natflow = found["normal"], found["natflow"]
    # Of a PPPoE session cake does not count the headers that the port sees.
    assert normal.rate == pytest.approx(RATE, rel=0.05)
    assert normal.lost == natflow.lost == 0
    assert natflow.rate == pytest.approx(normal.rate, rel=RATE_NOISE)
    assert natflow.median == pytest.approx(normal.median, abs=DELAY_NOISE)
    assert natflow.p95 == pytest.approx(normal.p95, abs=DELAY_NOISE)
    assert before and after
    sent = after.ct_packets[download] - before.ct_packets[download]
    fast = after.packets[download] - before.packets[download]
    assert sent > 400
    # What comes back from an ifb has passed the fast path's hook by.
    assert fast == 0 if download else fast > 0.98 * sent
