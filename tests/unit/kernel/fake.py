# SPDX-License-Identifier: GPL-2.0-only
"""An in-memory double of natflow.kernel.client.Kernel, for tests of what stands above it.

It keeps the rules of the real one: names and limits of settings, filters, each flow once, the
errors. It never opens a netlink socket; its event socket is one end of a socket pair.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from socket import AF_INET, AF_INET6, htons, inet_pton

from natflow.kernel import uapi
from natflow.kernel.client import Kernel
from natflow.kernel.errors import KernelError, ModuleMissing
from natflow.kernel.exceptions import Exemption
from natflow.kernel.filters import Filter, FlowTuple, settings_attributes
from natflow.kernel.records import (
    Client,
    Config,
    Counter,
    Event,
    Explanation,
    Flow,
    Flushed,
    Hardware,
    HardwareDevice,
    Pair,
    Path,
    Stats,
)

ACCELERATED = ("software", "hw-pending", "hardware", "wed")
DEFAULTS = {
    "enabled": 1,
    "delay_pkts": 4,
    "sample_interval": 2000,
    "idle_timeout": 30000,
    "max_flows": 16384,
    "host_flows": 4096,
    "learn_rate": 5000,
    "exclude_mark": 0,
    "exclude_mask": 0,
}

_ids = count(1)


def _raw(text: str) -> tuple[int, bytes]:
    family = AF_INET6 if ":" in text else AF_INET
    return int(family), inet_pton(family, text).ljust(16, b"\0")


def flow(
    src: str = "192.168.1.2",
    sport: int = 40000,
    dst: str = "198.51.100.1",
    dport: int = 443,
    nat: str = "203.0.113.1",
    proto: str = "tcp",
    state: str = "software",
    reason: str = "none",
    bytes: Pair = (0, 0),
    packets: Pair = (0, 0),
    ct_bytes: Pair | None = None,
    ct_packets: Pair | None = None,
    rate: Pair = (0, 0),
    in_ifindex: Pair = (2, 3),
    out_ifindex: Pair = (3, 2),
    mark: int = 0,
    age: int = 1000,
    idle: int = 10,
    timeout: int = 300,
    vlan: Pair = (uapi.VLAN_NONE, uapi.VLAN_NONE),
    mac: tuple[str, str] = ("02:00:00:00:00:02", "02:00:00:00:00:01"),
    tcp_state: int = 3,
    hw_state: tuple[str, str] = ("none", "none"),
    hw_flags: Pair = (0, 0),
    hw_reason: tuple[str, str] = ("none", "none"),
    hw_errno: Pair = (0, 0),
    hw_bytes: Pair = (0, 0),
    hw_packets: Pair = (0, 0),
    id: int | None = None,
) -> Flow:
    """Return a flow whose source is translated to ``nat`` ("" for a flow without translation)."""
    family, source = _raw(src)
    _, target = _raw(dst)
    reply_target = _raw(nat)[1] if nat else source
    flags = 1 << uapi.FLOW_FLAGS.index("snat" if nat else "symmetric")
    return Flow(
        uapi.FlowRecord(
            id=next(_ids) if id is None else id,
            bytes_0=bytes[0],
            bytes_1=bytes[1],
            packets_0=packets[0],
            packets_1=packets[1],
            ct_bytes_0=(ct_bytes or bytes)[0],
            ct_bytes_1=(ct_bytes or bytes)[1],
            ct_packets_0=(ct_packets or packets)[0],
            ct_packets_1=(ct_packets or packets)[1],
            original_src=source,
            original_dst=target,
            reply_src=target,
            reply_dst=reply_target,
            original_sport=htons(sport),
            original_dport=htons(dport),
            reply_sport=htons(dport),
            reply_dport=htons(sport),
            rate_0=rate[0],
            rate_1=rate[1],
            in_ifindex_0=in_ifindex[0],
            in_ifindex_1=in_ifindex[1],
            out_ifindex_0=out_ifindex[0],
            out_ifindex_1=out_ifindex[1],
            mark=mark,
            age=age,
            idle=idle,
            timeout=timeout,
            flags=flags,
            vlan_0=vlan[0],
            vlan_1=vlan[1],
            reason=uapi.REASONS.index(reason),
            mac=b"".join(_mac(text) for text in mac),
            family=family,
            l4proto={"tcp": 6, "udp": 17}[proto],
            state=uapi.STATES.index(state),
            tcp_state=tcp_state if proto == "tcp" else 0,
            hw_state_0=uapi.HW_STATES.index(hw_state[0]),
            hw_state_1=uapi.HW_STATES.index(hw_state[1]),
            hw_flags_0=hw_flags[0],
            hw_flags_1=hw_flags[1],
            hw_reason_0=uapi.REASONS.index(hw_reason[0]),
            hw_reason_1=uapi.REASONS.index(hw_reason[1]),
            hw_errno_0=hw_errno[0],
            hw_errno_1=hw_errno[1],
            hw_bytes_0=hw_bytes[0],
            hw_bytes_1=hw_bytes[1],
            hw_packets_0=hw_packets[0],
            hw_packets_1=hw_packets[1],
        )
    )


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", "")) if text else bytes(6)


def client(
    address: str = "192.168.1.2",
    mac: str = "02:00:00:00:00:01",
    flows: int = 1,
    idle: int = 10,
    rate: Pair = (0, 0),
    slow_bytes: Pair = (0, 0),
    slow_packets: Pair = (0, 0),
    software_bytes: Pair = (0, 0),
    software_packets: Pair = (0, 0),
    hardware_bytes: Pair = (0, 0),
    hardware_packets: Pair = (0, 0),
) -> Client:
    """Return a host."""
    family, raw = _raw(address)
    return Client(
        uapi.ClientRecord(
            raw,
            *slow_bytes,
            *slow_packets,
            *software_bytes,
            *software_packets,
            *hardware_bytes,
            *hardware_packets,
            *rate,
            flows,
            idle,
            _mac(mac),
            family,
        )
    )


NO_HARDWARE = Hardware(
    client=False,
    reason="hw-no-client",
    profile="",
    features=(),
    door=False,
    counters=False,
    wed_version=0,
    capacity=0,
    installed=0,
    bound=0,
    installs=0,
    destroys=0,
    failures=0,
    errors={},
    tokens=0,
    backoff_ms=0,
    busy=0,
)


class FakeEventSocket:
    """Stands for EventSocket: what the fake kernel emits is read here."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._queue: list[Event] = []

    def put(self, event: Event) -> None:
        """Queue an event and make fileno() readable."""
        self._queue.append(event)
        self._there.send(b"e")

    def fileno(self) -> int:
        """Return a descriptor that is readable while events wait."""
        return self._here.fileno()

    def read(self) -> list[Event]:
        """Return the events that wait."""
        try:
            self._here.recv(4096)
        except BlockingIOError:
            return []
        events, self._queue = self._queue, []
        return events

    def close(self) -> None:
        """Close both ends."""
        self._here.close()
        self._there.close()


class FakeKernel:
    """The interface of Kernel in memory.

    Tests may set every attribute: ``missing`` makes each call raise ModuleMissing, ``error`` makes
    it raise that error; ``engines`` and ``reason_packets`` are what stats() tells; ``calls`` holds
    (method, argument) of all calls.
    """

    backend = Kernel.backend
    name = Kernel.name
    tells = Kernel.tells
    note = Kernel.note

    def __init__(
        self,
        flows: Iterable[Flow] = (),
        clients: Iterable[Client] = (),
        settings: Mapping[str, int] | None = None,
        version: str = "0.1.0",
        features: Iterable[str] = ("ingress", "path"),
    ) -> None:
        self.flow_list = list(flows)
        self.client_list = list(clients)
        self.settings = {**DEFAULTS, **(settings or {})}
        self.version = version
        self.features = tuple(features)
        self.uptime_ms = 60000
        self.engines = {name: Counter(0, 0) for name in uapi.ENGINES}
        self.reason_packets = dict.fromkeys(uapi.REASONS, 0)
        self.filter_ifindex = self.shaper_ifindex = 0
        self.paths: tuple[Path, ...] = ()
        self.exemptions: tuple[Exemption, ...] = ()
        self.excepted: int | None = None  # what explain() names as the exception
        self.hw = NO_HARDWARE
        self.hw_devices: tuple[HardwareDevice, ...] = ()
        self.missing = False
        self.error: KernelError | None = None
        self.closed = False
        self.calls: list[tuple[str, object]] = []
        self._sockets: list[tuple[FakeEventSocket, bool]] = []

    def __enter__(self) -> FakeKernel:
        """Return the object itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Mark it closed; later calls fail as on a closed socket."""
        self.closed = True

    def _call(self, name: str, argument: object = None) -> None:
        self.calls.append((name, argument))
        if self.closed:
            raise KernelError(errno.EBADF, "netlink: Bad file descriptor")
        if self.missing:
            raise ModuleMissing
        if self.error is not None:
            raise self.error

    def config(self) -> Config:
        """Return the configuration."""
        self._call("config")
        return Config(self.version, self.features, 512, 576, self.uptime_ms, dict(self.settings))

    def configure(self, settings: Mapping[str, int]) -> None:
        """Change settings, all or none, and tell the listeners."""
        attrs = settings_attributes(settings)
        self._call("configure", dict(settings))
        self.settings.update({name.replace("-", "_"): value for name, value in attrs})
        self.emit(Event("config", dict(self.settings), None, ()))

    def stats(self) -> Stats:
        """Return the counters; states and reasons of flows are counted from the flows."""
        self._call("stats")
        states = dict.fromkeys(uapi.STATES, 0)
        reasons = dict.fromkeys(uapi.REASONS, 0)
        for item in self.flow_list:
            states[item.state] += 1
            if item.reason != "none":
                reasons[item.reason] += 1
        return Stats(
            self.uptime_ms,
            dict(self.engines),
            states,
            dict(self.reason_packets),
            reasons,
            self.filter_ifindex,
            self.shaper_ifindex,
        )

    def flows(self, match: Filter | None = None) -> Iterator[Flow]:
        """Yield the flows that match."""
        self._call("flows", match)
        yield from [item for item in self.flow_list if matches(match, item)]

    def clients(self) -> Iterator[Client]:
        """Yield the hosts."""
        self._call("clients")
        yield from list(self.client_list)

    def flush(self, match: Filter | None = None) -> Flushed:
        """Remove the flows that match, and tell the listeners."""
        self._call("flush", match)
        gone = [item for item in self.flow_list if matches(match, item)]
        self.flow_list = [item for item in self.flow_list if item not in gone]
        flushed = Flushed(len(gone), sum(item.state in ACCELERATED for item in gone))
        if gone:
            self.emit(Event("flush", {}, flushed, ()))
        return flushed

    def explain(self, flow: FlowTuple) -> Explanation:
        """Explain the flow that has this tuple in either direction; conntrack knows no others."""
        self._call("explain", flow)
        for item in self.flow_list:
            if flow in (_tuple(item, reply=False), _tuple(item, reply=True)):
                number = self.excepted if item.reason == "excluded" else None
                return Explanation(item.state, item.reason, True, item, self.paths, number)
        return Explanation("slow", "untracked", False, None, ())

    def exceptions(self) -> tuple[Exemption, ...]:
        """Return the exceptions in force."""
        self._call("exceptions")
        return self.exemptions

    def set_exceptions(self, exceptions: Iterable[Exemption]) -> None:
        """Replace all exceptions."""
        self._call("set_exceptions", tuple(exceptions))
        self.exemptions = tuple(exceptions)

    def hardware(self) -> Hardware:
        """Return what was set as ``hw``."""
        self._call("hardware")
        return self.hw

    def hardware_devices(self) -> Iterator[HardwareDevice]:
        """Yield what was set as ``hw_devices``."""
        self._call("hardware_devices")
        yield from self.hw_devices

    def reprove(self) -> None:
        """Remember that it was asked for."""
        self._call("reprove")

    def commits(self) -> None:
        """It sees the rules itself."""
        self._call("commits")

    def events(self, flows: bool = False) -> FakeEventSocket:
        """Return a socket that hears what emit() says."""
        self._call("events", flows)
        made = FakeEventSocket()
        self._sockets.append((made, flows))
        return made

    def emit(self, event: Event) -> None:
        """Send an event to the sockets that listen to its kind."""
        for made, flows in self._sockets:
            if flows or not event.kind.startswith("flow-"):
                made.put(event)


def _tuple(item: Flow, reply: bool) -> FlowTuple:
    raw = item.raw
    width = 16 if raw.family == AF_INET6 else 4
    if reply:
        return FlowTuple(
            raw.family,
            raw.l4proto,
            raw.reply_src[:width],
            raw.reply_dst[:width],
            item.reply_sport,
            item.reply_dport,
        )
    return FlowTuple(
        raw.family,
        raw.l4proto,
        raw.original_src[:width],
        raw.original_dst[:width],
        item.sport,
        item.dport,
    )


def matches(match: Filter | None, item: Flow) -> bool:
    """Tell whether a filter selects a flow, by the rules of docs/netlink.md."""
    if match is None:
        return True
    raw = item.raw
    width = 16 if raw.family == AF_INET6 else 4
    addresses = (raw.original_src, raw.original_dst, raw.reply_src, raw.reply_dst)
    ports = (item.sport, item.dport, item.reply_sport, item.reply_dport)
    mask = 0xFFFFFFFF if match.mark_mask is None else match.mark_mask
    checks = (
        match.family is None or match.family == raw.family,
        match.l4proto is None or match.l4proto == raw.l4proto,
        not match.prefixes
        or any(
            len(prefix.network) == width and _within(prefix.network, prefix.length, text[:width])
            for prefix in match.prefixes
            for text in addresses
        ),
        match.port is None or match.port in ports,
        match.ifindex is None or match.ifindex in (*item.in_ifindex, *item.out_ifindex),
        match.mark is None or raw.mark & mask == match.mark & mask,
        match.mac is None or match.mac in (raw.mac[:6], raw.mac[6:]),
        match.state is None or match.state == raw.state,
        match.reason is None or match.reason == raw.reason,
        match.min_age is None or raw.age >= match.min_age,
        match.min_idle is None or raw.idle >= match.min_idle,
        match.min_rate is None or sum(item.rate) >= match.min_rate,
    )
    return all(checks)


def _within(network: bytes, length: int, raw: bytes) -> bool:
    shift = len(raw) * 8 - length
    return int.from_bytes(raw, "big") >> shift == int.from_bytes(network, "big") >> shift
