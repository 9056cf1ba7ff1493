# SPDX-License-Identifier: GPL-2.0-only
"""Everything that ends a flow's time in the hardware, while some flows are bound and the driver is
in the middle of taking another one in: nothing is left, and traffic goes on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import kmodule
import pytest
from lab import WAN6, Pair, ping
from vm.faults import LABS, aside, bound_blocks, caught, empty, lift, there
from vm.hw import EAGER, HwLab

from natflow.kernel.client import Kernel

STALL_MS = 30000
# Time for the event to come to where it has to wait for the driver.
BEGUN = 0.3
ETH_P_LOOPBACK = 0x9000


@pytest.fixture(scope="module", params=["mt7621"])
def lab(request: pytest.FixtureRequest) -> Iterator[HwLab]:
    """Its bridge has a second port, with nobody there but a sender of single frames."""
    lan, wan = LABS[request.param]
    with HwLab(request.param, lan=lan, wan=wan) as made:
        if lan.startswith("dsa"):
            made.soc.dsa("lan2", index=2, wire=made.c)
        else:
            made.soc.gmac("lan2", index=2, wire=made.c)
        made.c.ip("link set lan2 up")
        made.r.ip("link set lan2 master lan", "link set lan2 up")
        yield made


@pytest.fixture(scope="module")
def connections(lab: HwLab) -> Iterator[list[Pair]]:
    made = [lab.udp(4), lab.tcp(6)]
    yield made
    for pair in made:
        pair.close()


@pytest.fixture
def pairs(lab: HwLab, connections: list[Pair]) -> Iterator[list[Pair]]:
    """Two connections in the hardware, and a third one on its way there."""
    there(lab, *connections)
    new = lab.udp(4)
    lab.soc.stall("replace", STALL_MS)
    caught(lab, "replace", *connections, new)
    yield [*connections, new]
    lift(lab)
    there(lab, *connections, new)
    assert lab.soc.detectors() == {}
    new.close()


def go_on(lab: HwLab) -> None:
    """The driver comes to an end with what it does, after an event has begun."""
    time.sleep(BEGUN)
    assert lab.soc.running() == "replace"
    lab.soc.stall("replace", 0)


def gone(lab: HwLab, *pairs: Pair) -> None:
    assert lab.left() == ([], []), lab.story(*pairs)


def test_flush(lab: HwLab, pairs: list[Pair]) -> None:
    with aside(lab.kernel.flush):
        go_on(lab)
    gone(lab, *pairs)


def test_the_device_goes_down(lab: HwLab, pairs: list[Pair]) -> None:
    port = lab.ports["wan"]
    with aside(lambda: lab.r.ip(f"link set {port} down")):
        go_on(lab)
    gone(lab, *pairs)
    # The IPv6 address went with it.
    lab.r.ip(f"link set {port} up", f"addr add {WAN6}/64 dev wan nodad")


def test_the_host_moves(lab: HwLab, pairs: list[Pair]) -> None:
    """Its bridge hears of it on another port. Nobody waits for what comes of that."""
    show_up(lab, "lan2")
    go_on(lab)
    # What goes to the host; what comes from it may stay.
    lab.wait(lambda: not to_host(lab), seconds=10)
    # It is back. Its accelerated packets alone would not tell the bridge.
    show_up(lab, "lan")
    for pair in pairs:
        ping(pair, 5)


def show_up(lab: HwLab, device: str) -> None:
    """A frame of the client, by one of its devices."""
    address = bytes.fromhex(lab.mac(lab.c, "lan").replace(":", ""))
    with lab.c.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        sock.send(b"\xff" * 6 + address + ETH_P_LOOPBACK.to_bytes(2, "big") + bytes(46))


def to_host(lab: HwLab) -> list[str]:
    """Where the hardware sends packets to the client."""
    address = lab.mac(lab.c, "lan")
    return [flow.via for flow in lab.soc.flows() if flow.fields["dmac"] == address]


def test_the_ruleset_changes(lab: HwLab, pairs: list[Pair]) -> None:
    def commit() -> None:
        lab.r.nft("table inet extra {\n}\n")
        if "ruleset-seq" not in lab.kernel.config().features:
            lab.kernel.reprove()

    with aside(commit):
        go_on(lab)
    empty(lab, *pairs, seconds=10)
    lab.r.nft("delete table inet extra\n")


@pytest.mark.parametrize("setting", ["enabled", "hwnat"])
def test_it_is_switched_off(lab: HwLab, pairs: list[Pair], setting: str) -> None:
    with aside(lambda: lab.configure(**{setting: 0})):
        go_on(lab)
    gone(lab, *pairs)
    assert bound_blocks(lab) == 0
    for pair in pairs:
        ping(pair, 5)
    lab.configure(**{setting: 1})


@pytest.mark.parametrize("both", [False, True])
def test_the_module_goes(lab: HwLab, pairs: list[Pair], both: bool) -> None:
    with aside(lab.unload):
        go_on(lab)
    if both:
        lab.kernel.close()
        kmodule.unload()
    gone(lab, *pairs)
    assert bound_blocks(lab) == 0
    for pair in pairs:
        ping(pair, 5)
    assert "OFFLOAD" not in lab.r.run("conntrack", "-L")
    if both:
        kmodule.load()
    kmodule.load_hwnat(lab.soc.profile)
    lab.client_loaded = True
    if both:
        lab.kernel = lab.r.call(Kernel)
        lab.configure(enabled=1, delay_pkts=0, **EAGER)
