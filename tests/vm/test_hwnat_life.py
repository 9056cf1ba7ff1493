# SPDX-License-Identifier: GPL-2.0-only
"""Long lives and many short ones: timeouts, churn, no known chip."""

from __future__ import annotations

import errno
import time

import kmodule
from lab import CLIENT4, ping
from vm.faults import caught
from vm.hw import HwLab


def test_a_flow_in_the_hardware_outlives_its_timeout() -> None:
    """Nothing of it comes to the CPU, and conntrack keeps it; a dead one goes in time."""
    with HwLab("mt7986", settings={"idle_timeout": 600000}) as lab:
        lab.r.sysctl(net__netfilter__nf_conntrack_udp_timeout=6)
        lab.r.sysctl(net__netfilter__nf_conntrack_udp_timeout_stream=6)
        alive, dead = lab.udp(4), lab.udp(4)
        lab.bind(alive, dead)
        before = lab.soc.port("lan").cpu_rx
        number = lab.get(alive).id
        until = time.monotonic() + 15
        while time.monotonic() < until:
            ping(alive, 2)
            time.sleep(0.2)
        assert lab.soc.port("lan").cpu_rx - before <= 4, lab.story(alive)
        flow = lab.get(alive)
        assert flow.id == number and flow.timeout_s <= 6
        assert lab.flow(dead) is None, lab.story(dead)
        assert "OFFLOAD" in lab.r.run("conntrack", "-L", "-p", "udp")
        lab.configure(hwnat=0)
        listed = lab.r.run("conntrack", "-L", "-p", "udp")
        assert "OFFLOAD" not in listed
        assert max(int(line.split()[2]) for line in listed.splitlines() if "udp" in line) <= 6
        alive.close()
        dead.close()


def test_hours_of_hardware_time() -> None:
    """Time stamps of 8 bits wrap every four minutes: no idle flow comes to life by that."""
    with HwLab("mt7986", settings={"idle_timeout": 600000}) as lab:
        pair = lab.udp(4)
        lab.bind(pair)
        for _ in range(8):
            lab.soc.advance(1000)
            ping(pair, 20)
            lab.bind(pair)
        expires = lab.get(pair).timeout_s
        time.sleep(2)
        for _ in range(20):
            lab.soc.advance(61)
            time.sleep(0.1)
        assert lab.get(pair).timeout_s < expires
        pair.close()


def test_two_budgets_do_not_pass_back_to_back() -> None:
    """The driver is slow with the first budget, and quick with the next. (Many more flows, and all
    of them new: test_hwnat_churn.py.)"""
    limit = 10
    settings = {"hw_rate_limit": limit, "sample_interval": 10000}
    with HwLab("mt7986", settings=settings) as lab:
        mice = [lab.udp(4) for _ in range(60)]
        elephant = lab.udp(4)
        start = time.monotonic()
        lab.soc.stall("replace", 80)
        number = spent = 0
        while lab.hw_state(elephant) != ("bound", "bound") or spent < 2 * limit:
            assert time.monotonic() < start + 60, lab.story(elephant)
            ping(elephant, 20, 1000)
            for _ in range(5):
                ping(mice[number % len(mice)])
                number += 1
            spent = lab.soc.counters()["cmd_replace"]
            if spent >= limit:
                lab.soc.stall("replace", 0)
        assert lab.soc.counters()["cmd_replace_most"] <= limit
        # It came before the mice, which are more than the budget of these seconds.
        assert sum("pending" in lab.hw_state(pair) for pair in mice) < len(mice)
        assert any("hw-limit" in lab.hw_reason(pair) for pair in mice)
        for pair in (*mice, elephant):
            pair.close()


def test_a_full_table_makes_room_for_faster_flows() -> None:
    with HwLab("mt7986", settings={"hw_max_flows": 2}) as lab:
        mouse, elephant = lab.udp(4), lab.udp(4)
        lab.bind(mouse)
        until = time.monotonic() + 20
        while lab.hw_state(elephant) != ("bound", "bound"):
            assert time.monotonic() < until, lab.story(mouse, elephant)
            ping(mouse, 1, 100)
            ping(elephant, 20, 1000)
        assert lab.kernel.hardware().installed == 2
        mouse.close()
        elephant.close()


def test_unknown_hardware_is_left_alone() -> None:
    with HwLab("mt7986", hwnat=False) as lab:
        kmodule.load_hwnat()
        lab.client_loaded = True
        told = lab.kernel.hardware()
        assert (told.client, told.profile, told.door) == (True, "none", False)
        assert told.reason == "hw-no-door"
        assert lab.soc.counters()["cmd_bind"] == 0
        pair = lab.udp(4)
        ping(pair, 10)
        assert lab.state(pair) == "software"
        pair.close()


def test_the_namespace_ends() -> None:
    """With a flow in the hardware, and another that the driver is about to take."""
    lab = HwLab("mt7986", lan="wed", wan="gmac")
    pair = lab.udp(4)
    lab.bind(pair)
    other = lab.tcp(4)
    lab.soc.stall("replace", 30000)
    caught(lab, "replace", pair, other)
    pair.close()
    other.close()
    lab.kernel.close()
    lab.r.remove()
    time.sleep(0.3)
    assert lab.soc.running() == "replace"
    lab.soc.stall("replace", 0)
    # Its exit is a work item; the ports go with it.
    lab_flows = lab.soc.flows
    for _ in range(200):
        if not lab_flows() and not lab.soc.ports():
            break
        lab.c.run("sleep", "0.1")
    assert lab_flows() == [] and lab.soc.entries("bind") == []
    assert lab.soc.detectors() == {}
    lab.unload()
    for ns in (lab.c, lab.s):
        ns.remove()
    lab.soc.remove()


def test_roaming_between_ports() -> None:
    """The client's frames come by another port of the bridge: the old entries must go."""
    with HwLab("mt7986", lan="dsa-bridge") as lab:
        pair = lab.udp(4)
        lab.bind(pair)
        # The same host behind another port of the switch.
        lab.soc.dsa("lan2", index=2, wire=lab.c, wire_name="lan2")
        lab.r.ip("link set lan2 up", "link set lan2 master lan")
        address = lab.mac(lab.c, "lan")
        lab.c.ip(
            "addr flush dev lan",
            "link set lan down",
            "link set lan address 02:00:00:00:aa:aa",
            f"link set lan2 address {address}",
            "link set lan2 up",
            f"addr add {CLIENT4}/24 dev lan2",
            "route add default via 192.168.77.1",
        )
        lab.wait(lambda: lab.hw_state(pair) == ("bound", "bound")
                 and lab.soc.port("lan2").hw_rx > 0 and lab.soc.port("lan2").hw_tx > 0,
                 pair)  # fmt: skip
        pair.close()


def test_a_driver_that_never_lets_go() -> None:
    """Nothing can be done about what it keeps, but to say so, and to go on without it."""
    lab = HwLab("mt7622")
    pair = lab.udp(4)
    lab.bind(pair)
    lab.soc.fail("destroy", 0, errno.EIO, 100)
    lab.kernel.flush()
    ping(pair, 5)
    lab.soc.fail("unbind", 0, errno.EBUSY, 100)
    lab.configure(hwnat=0)
    ping(pair, 5)
    told = lab.kernel.hardware()
    assert told.errors[errno.EIO] > 0 and told.errors[errno.EBUSY] > 0
    assert (told.installed, told.bound) == (0, 0)
    assert "OFFLOAD" not in lab.r.run("conntrack", "-L")
    assert len(lab.soc.flows()) == 2
    lab.unload()
    ping(pair, 5)
    pair.close()
    # It did keep its blocks, too: what is noticed at their end is not noticed here.
    assert lab.soc.detectors() == {}
    assert sum(port.bound for port in lab.soc.ports().values()) == 2
    lab.remove()
