# SPDX-License-Identifier: GPL-2.0-only
"""Whatever makes a flow wrong takes it out of the hardware, and traffic goes on.

The simulator keeps forwarding what nobody takes back, as the real one does: a missing DESTROY
shows as an entry that is left, or as packets that go astray.
"""

from __future__ import annotations

from collections.abc import Iterator

import kmodule
import ppesim
import pytest
from lab import CLIENT4, SERVER4, WAN4, WAN6, Pair, ping
from vm.hw import EAGER, HwLab


@pytest.fixture(scope="module")
def lab() -> Iterator[HwLab]:
    with HwLab("mt7986", lan="gmac-bridge") as made:
        yield made


@pytest.fixture
def pairs(lab: HwLab) -> Iterator[list[Pair]]:
    """Two flows in the hardware."""
    made = [lab.udp(4), lab.tcp(6)]
    lab.bind(*made)
    assert len(lab.soc.flows()) >= 4
    yield made
    for pair in made:
        pair.close()
    lab.kernel.flush()


@pytest.fixture(autouse=True)
def no_complaint(lab: HwLab) -> Iterator[None]:
    """The simulator has noticed no mistake of the module."""
    yield
    assert lab.soc.detectors() == {}
    lab.soc.zero()


def gone(lab: HwLab, *pairs: Pair) -> None:
    """Nothing is left; traffic goes on, and comes back to the hardware."""
    flows, entries = lab.left()
    assert not flows and not entries, lab.story(*pairs)


def test_flush(lab: HwLab, pairs: list[Pair]) -> None:
    flushed = lab.kernel.flush()
    gone(lab, *pairs)
    assert flushed.accelerated >= 2
    for pair in pairs:
        ping(pair)
    lab.bind(*pairs)


def test_an_address_comes(lab: HwLab, pairs: list[Pair]) -> None:
    lab.r.ip("addr add 203.0.113.1/32 dev wan")
    lab.wait(lambda: lab.left() == ([], []), seconds=1)
    lab.r.ip("addr del 203.0.113.1/32 dev wan")
    lab.bind(*pairs)


def test_a_route_comes(lab: HwLab, pairs: list[Pair]) -> None:
    """Software asks about its route with every packet; here somebody has to look."""
    lab.r.ip(f"route add blackhole {SERVER4}")
    try:
        lab.wait(lambda: not to(lab, SERVER4), seconds=3)
    finally:
        lab.r.ip(f"route del blackhole {SERVER4}")
    lab.bind(*pairs)


def to(lab: HwLab, address: str) -> list[ppesim.Flow]:
    """What is installed for packets to an address."""
    return [flow for flow in lab.soc.flows() if flow.fields["dst"] == address]


def test_a_neighbour_moves(lab: HwLab, pairs: list[Pair]) -> None:
    """Its old link-layer address must not be sent to any more."""
    other = "02:00:00:00:77:77"
    address = lab.mac(lab.c, "lan")
    assert [flow.fields["dmac"] for flow in to(lab, WAN4)] == [address]
    lab.c.ip(f"link set lan address {other}")
    lab.r.ip(f"neigh replace {CLIENT4} lladdr {other} dev lan nud reachable")
    lab.wait(lambda: not to(lab, WAN4), seconds=2)
    lab.wait(lambda: [flow.fields["dmac"] for flow in to(lab, WAN4)] == [other], pairs[0])


def test_the_ruleset_changes(lab: HwLab, pairs: list[Pair]) -> None:
    """On kernels that number the rulesets at once; elsewhere natflowd says so."""
    before = lab.kernel.hardware().destroys
    lab.r.nft("table inet extra {\n}\n")
    if "ruleset-seq" not in lab.kernel.config().features:
        lab.kernel.reprove()
    lab.wait(lambda: lab.kernel.hardware().destroys >= before + 4, seconds=2)
    lab.bind(*pairs)
    lab.r.nft("delete table inet extra\n")


def test_the_connection_is_deleted(lab: HwLab, pairs: list[Pair]) -> None:
    lab.r.run("conntrack", "-F")
    lab.wait(lambda: lab.left() == ([], []), seconds=3)


def test_a_shaper_comes(lab: HwLab, pairs: list[Pair]) -> None:
    lab.r.run("tc", "qdisc", "add", "dev", "wan", "root", "handle", "1:", "fq")
    try:
        lab.wait(
            lambda: (
                lab.hw_reason(pairs[0])[0] == "hw-qdisc" and lab.hw_state(pairs[0])[0] == "none"
            ),
            *pairs,
        )
    finally:
        lab.r.run("tc", "qdisc", "del", "dev", "wan", "root")
    lab.bind(*pairs)


def test_a_filter_on_the_way_in(lab: HwLab, pairs: list[Pair]) -> None:
    lab.r.run("tc", "qdisc", "add", "dev", "wan", "clsact")
    lab.r.run("tc", "filter", "add", "dev", "wan", "ingress", "matchall", "action", "pass")
    try:
        lab.wait(lambda: lab.hw_reason(pairs[0])[1] == "hw-qdisc", *pairs)
    finally:
        lab.r.run("tc", "qdisc", "del", "dev", "wan", "clsact")
    # tc itself offers its filters to the driver, in ways that the simulator complains about.
    lab.soc.zero()
    lab.bind(*pairs)


def test_the_device_goes_down(lab: HwLab, pairs: list[Pair]) -> None:
    """The driver does nothing about it: what stays would be sent into the void."""
    lab.r.ip("link set wan down")
    gone(lab, *pairs)
    # The IPv6 address went with it.
    lab.r.ip("link set wan up", f"addr add {WAN6}/64 dev wan nodad")
    lab.bind(*pairs)


def test_acceleration_is_switched_off(lab: HwLab, pairs: list[Pair]) -> None:
    lab.configure(enabled=0)
    gone(lab, *pairs)
    assert all(port.bound == 0 for port in lab.soc.ports().values())
    for pair in pairs:
        ping(pair)
    lab.configure(enabled=1)
    lab.bind(*pairs)


def test_the_module_goes(lab: HwLab, pairs: list[Pair]) -> None:
    lab.unload()
    gone(lab, *pairs)
    assert all(port.bound == 0 for port in lab.soc.ports().values())
    assert lab.kernel.hardware().reason == "hw-no-client"
    for pair in pairs:
        ping(pair, 5)
        assert lab.state(pair) == "software"
        assert lab.hw_reason(pair) == ("hw-no-client", "hw-no-client")
    kmodule.load_hwnat("mt7986")
    lab.client_loaded = True
    lab.bind(*pairs)


def test_settings_say_what_goes(lab: HwLab) -> None:
    """auto leaves flows to the CPU while it has room; slow flows are not worth it."""
    pair = lab.udp(4)
    try:
        lab.configure(hw_min_rate=1_000_000_000)
        lab.wait(lambda: lab.hw_reason(pair) == ("hw-rate", "hw-rate"), pair)
        lab.configure(hw_min_rate=0, hwnat_mode=0)
        with open("/sys/module/natflow_hwnat/parameters/busy", "w") as busy:
            busy.write("1001")
        lab.wait(lambda: lab.hw_reason(pair) == ("hw-cpu", "hw-cpu"), pair)
        with open("/sys/module/natflow_hwnat/parameters/busy", "w") as busy:
            busy.write("1")
        lab.bind(pair)
    finally:
        with open("/sys/module/natflow_hwnat/parameters/busy", "w") as busy:
            busy.write("700")
        lab.configure(**EAGER)
        pair.close()
