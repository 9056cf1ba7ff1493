# SPDX-License-Identifier: GPL-2.0-only
"""The module, namespaces and devices come and go under full traffic: nothing crashes, nothing
leaks, nothing hangs, and loading or unloading the module loses no packet."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import kmodule
import pytest
from lab import CLIENT4, CLIENT6, LAN4, LAN6, SERVER4, WAN4, Lab, Pair
from links import Link
from netns import Netns, run
from vm.rtnl import Rtnl
from vm.traffic import Accounted, Flood

from natflow.kernel.client import Kernel
from natflow.kernel.errors import ModuleMissing
from natflow.kernel.filters import FlowTuple

CYCLES = 100
DEVICE_CYCLES = 6
CLIENT, SERVER = (CLIENT4, 4000), (SERVER4, 5000)
IP_FREEBIND = 15
ENABLED = {"enabled": 1, "delay_pkts": 0}
# Kernel memory of what must not leak. The kernel keeps the last namespaces until the next ends.
SLACK = {"nf_conntrack": 0, "net_namespace": 4}

_libc = ctypes.CDLL(None, use_errno=True)
SYS_DELETE_MODULE, SYS_FINIT_MODULE = {"x86_64": (176, 313)}[os.uname().machine]


def _syscall(*arguments: object) -> None:
    if _libc.syscall(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def load(**parameters: int) -> None:
    """Like kmodule.load(), but without a program start; what natflow needs is there already."""
    text = " ".join(f"{name}={value}" for name, value in parameters.items())
    with kmodule.path().open("rb") as module:
        _syscall(SYS_FINIT_MODULE, module.fileno(), text.encode(), 0)


def unload() -> None:
    """Raises OSError with EWOULDBLOCK while somebody uses it."""
    _syscall(SYS_DELETE_MODULE, b"natflow", os.O_NONBLOCK)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def slab_objects(cache: str) -> int | None:
    """Objects in use, None when there is no such cache."""
    text = Path("/proc/slabinfo").read_text()
    found = re.search(rf"^{re.escape(cache)}\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def kernel_memory() -> dict[str, int]:
    # Counters of memory that each CPU keeps for itself are only true without it.
    for cache in SLACK:
        shrink = Path("/sys/kernel/slab", cache, "shrink")
        if shrink.exists():
            shrink.write_text("1")
    return {cache: slab_objects(cache) or 0 for cache in SLACK}


def await_namespaces(seconds: float) -> None:
    """Until all namespaces that were removed are cleaned up: the kernel does that in order, and
    the last one takes its link along."""
    last = Netns("last")
    run("ip", "link", "add", "tracer", "type", "veth", "peer", "name", "x", "netns", last.name)
    last.remove()
    gone = until(lambda: "tracer" not in (name for _, name in socket.if_nameindex()), seconds)
    assert gone, "namespaces are not cleaned up"


def fast_total(kernel: Kernel) -> int:
    return kernel.stats().engines["software"].packets


def fast_beyond(kernel: Kernel, packets: int) -> bool:
    return fast_total(kernel) > packets


@pytest.fixture(scope="module", autouse=True)
def start_state() -> Iterator[None]:
    """What there was before the tests of this file is there after them, and no more."""
    kmodule.unload()
    await_namespaces(60)
    tracked = Path("/proc/sys/net/netfilter/nf_conntrack_count")
    run("conntrack", "-F")
    namespaces = run("ip", "netns")
    before = kernel_memory()
    load(**ENABLED)
    yield
    assert Path("/sys/module/natflow/refcnt").read_text() == "0\n"
    unload()
    assert run("ip", "netns") == namespaces
    assert tracked.read_text() == "0\n"
    assert slab_objects("natflow_flow4") is None and slab_objects("natflow_flow6") is None

    await_namespaces(60)
    now = kernel_memory()
    assert all(now[each] <= before[each] + SLACK[each] for each in SLACK), f"{before}, now {now}"
    complaints = re.findall(
        r".*(?:WARNING|BUG|refcount|unregister_netdevice|Objects remaining).*", run("dmesg")
    )
    assert not complaints
    kmodule.load()


def closed_by(stack: ExitStack, *pairs: Pair) -> list[Pair]:
    """An open socket keeps its namespace."""
    for pair in pairs:
        stack.callback(pair.close)
    return list(pairs)


@contextmanager
def network(**options: object) -> Iterator[Lab]:
    lab = Lab(masquerade=True, **options)  # type: ignore[arg-type]
    try:
        yield lab
    finally:
        lab.remove()


def test_load_and_unload() -> None:
    """Every datagram of a moderate stream arrives and returns, TCP goes on, while the module is
    unloaded and loaded a hundred times in a flood."""
    with network() as lab, ExitStack() as running:
        udp = closed_by(running, lab.udp(4), lab.udp(6))
        tcp = closed_by(running, lab.tcp(4), lab.tcp(6))
        flooded = closed_by(running, lab.udp(4), lab.udp(6))
        accounted = Accounted(udp, tcp)
        running.enter_context(accounted)
        running.enter_context(Flood(flooded))
        fast = 0
        for _ in range(CYCLES):
            unload()
            load(**ENABLED)
            fast += until(partial(fast_beyond, lab.kernel, 0), 2)
        running.close()
        assert fast >= 0.9 * CYCLES
        assert accounted.sent > 100 and accounted.lost == 0
        assert accounted.tcp_bytes > 1 << 16
        print(f"{accounted.sent} datagrams, {accounted.tcp_bytes} bytes of TCP, {fast} fast")


def test_disable_and_enable() -> None:
    """The same for the setting."""
    with network() as lab, ExitStack() as running:
        accounted = Accounted(closed_by(running, lab.udp(4)), closed_by(running, lab.tcp(4)))
        flooded = closed_by(running, lab.udp(4))
        running.enter_context(accounted)
        running.enter_context(Flood(flooded))
        fast = 0
        for _ in range(CYCLES):
            lab.configure(enabled=0)
            assert not list(lab.kernel.flows())
            before = fast_total(lab.kernel)
            lab.configure(enabled=1)
            fast += until(partial(fast_beyond, lab.kernel, before), 2)
        running.close()
        assert fast >= 0.9 * CYCLES
        assert accounted.lost == 0


class QuickRouter:
    """A routing namespace between two hosts, made and ended in milliseconds."""

    def __init__(self, name: str, client: Netns, server: Netns) -> None:
        self.client, self.server = client, server
        self.ns = Netns(name)
        with ExitStack() as stack:
            here, there, router = (Rtnl(ns) for ns in (client, server, self.ns))
            for rtnl in (here, there, router):
                stack.callback(rtnl.close)
            self.ns.sysctl(net__ipv4__ip_forward=1)
            here.add_veth(10, "lan", self.ns, 10)
            there.add_veth(11, "wan", self.ns, 11)
            for rtnl, index in ((here, 10), (there, 11), (router, 10), (router, 11)):
                rtnl.set_up(index)
            router.add_address(10, f"{LAN4}/24")
            router.add_address(11, f"{WAN4}/24")
            here.add_address(10, f"{CLIENT[0]}/24")
            there.add_address(11, f"{SERVER[0]}/24")
            here.add_route("0.0.0.0/0", LAN4)
            there.add_route("0.0.0.0/0", WAN4)

    def remove(self) -> None:
        self.ns.remove()

    def links_gone(self) -> bool:
        """The hosts' ends go with the router's, at the end of the namespace's clean-up."""
        with self.client.entered():
            gone = "lan" not in (name for _, name in socket.if_nameindex())
        with self.server.entered():
            return gone and "wan" not in (name for _, name in socket.if_nameindex())


def connected(client: Netns, server: Netns) -> Pair:
    """UDP sockets that outlive the links between them."""
    ends = []
    for ns, own, peer in ((client, CLIENT, SERVER), (server, SERVER, CLIENT)):
        sock = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        sock.bind(own)
        with suppress(OSError):
            sock.connect(peer)
        ends.append(sock)
    tuple_ = {"proto": "udp", "src": CLIENT[0], "dst": SERVER[0]}
    tuple_ |= {"sport": str(CLIENT[1]), "dport": str(SERVER[1])}
    return Pair(ends[0], ends[1], FlowTuple.parse(tuple_))


def test_namespaces_come_and_go() -> None:
    """A hundred routers, each of which forwards a flood fast when its namespace is ended."""
    client, server = Netns("host-c"), Netns("host-s")
    fast, slowest = 0, 0.0
    with ExitStack() as running:
        running.callback(client.remove)
        running.callback(server.remove)
        flood: Flood | None = None
        for cycle in range(CYCLES):
            router = QuickRouter(f"router-{cycle}", client, server)
            if not flood:
                pair = connected(client, server)
                running.callback(pair.close)
                flood = Flood([pair])
                running.enter_context(flood)
            with router.ns.call(Kernel) as kernel:
                fast += until(partial(fast_beyond, kernel, 100), 2)
            started = time.monotonic()
            router.remove()
            assert until(router.links_gone, 20), f"namespace {cycle} does not end"
            slowest = max(slowest, time.monotonic() - started)
        assert fast >= 0.9 * CYCLES
        print(f"{fast} fast, slowest end {slowest:.2f} s, {flood.sent if flood else 0} packets")


@pytest.mark.parametrize("lan", ["plain", "vlan-bridge"])
def test_devices_come_and_go(lan: str) -> None:
    """Devices of every kind on the path end under the flood, and come back."""
    with network(lan=lan) as lab, ExitStack() as running:
        running.enter_context(Flood(closed_by(running, lab.udp()), 0.01))
        # What the router loses, and what has to go with it before all is made anew.
        victims = {
            "plain": [["lan"]],
            "vlan-bridge": [["lan0", "lan"], ["lan.77", "lan", "lan0"], ["lan", "lan0"]],
        }[lan]
        fast = 0
        for cycle in range(DEVICE_CYCLES):
            assert until(partial(fast_beyond, lab.kernel, 0), 5)
            before = fast_total(lab.kernel)
            fast += until(partial(fast_beyond, lab.kernel, before), 3)
            lab.r.ip(*(f"link del {name}" for name in victims[cycle % len(victims)]))
            Link(
                *(lan, lab.c, lab.r, "lan", (CLIENT4, CLIENT6), (LAN4, LAN6)),
                routes=[f"default via {LAN4}"],
            )
        assert fast >= DEVICE_CYCLES - 1


def test_unload_while_netlink_is_in_use() -> None:
    """A dump that nobody reads to its end keeps the module; an open socket does not."""
    with network(settings={"idle_timeout": 60000}) as lab:
        server = lab.s.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((SERVER4, 0))
        server.settimeout(10)
        clients = []
        for _ in range(400):
            sock = lab.c.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect(server.getsockname())
            for _ in range(3):
                sock.send(b"flow")
                server.sendto(b"flow", server.recvfrom(100)[1])
            clients.append(sock)
        flows = lab.kernel.flows()
        next(flows)
        events = lab.kernel.events(flows=True)
        with pytest.raises(OSError, match="unavailable") as refused:
            unload()
        assert refused.value.errno == errno.EWOULDBLOCK
        assert len(list(flows)) >= 350
        flows = lab.kernel.flows()
        next(flows)
        with pytest.raises(OSError, match="unavailable"):
            unload()
        # Left early: its socket ends, and with it the dump.
        flows.close()  # type: ignore[attr-defined]
        unload()
        with pytest.raises(ModuleMissing):
            lab.kernel.stats()
        load(**ENABLED)
        assert lab.kernel.stats().states["software"] == 0
        events.close()
        for sock in (server, *clients):
            sock.close()


def test_bridge_loaded_later() -> None:
    """The bridge hears of a port's end after natflow, and then takes it out, which is an event
    about a device that is gone."""
    unload()
    run("rmmod", "bridge", check=False)
    if Path("/sys/module/bridge").exists():
        load(**ENABLED)
        pytest.skip("the bridge module is in use")
    load(**ENABLED)
    run("modprobe", "bridge")
    ns = Netns("bridged")
    ns.ip(
        "link add p0 type veth peer name p1",
        "link add br0 type bridge",
        "link set p0 master br0",
        "link set p0 up",
        "link set p1 up",
        "link add b1 type bridge",
        "link set p1 master b1",
    )
    other = Netns("moved-to")
    ns.ip(f"link set p1 netns {other.name}", "link del p0")
    ns.remove()
    other.remove()
    # A wrong entry in the list of ports shows when the namespace is cleaned up.
    await_namespaces(20)
