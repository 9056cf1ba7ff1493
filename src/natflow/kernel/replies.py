# SPDX-License-Identifier: GPL-2.0-only
"""Decoded attributes to records. What the kernel left out is 0; what is malformed raises.

Every function raises KernelError (EBADMSG) where sizes contradict each other.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from typing import Any

from natflow.kernel import uapi
from natflow.kernel.errors import KernelError
from natflow.kernel.exceptions import Exemption
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
    Path,
    Stats,
    iter_records,
    mac_text,
    name_of,
)

Reply = dict[str, list[Any]]


def first(reply: Reply, name: str, default: Any = 0) -> Any:
    """Return the first value of an attribute, or ``default`` when it is absent."""
    values = reply.get(name)
    return values[0] if values else default


def groups(reply: Reply) -> dict[str, int]:
    """Return {name: number} of the multicast groups in an answer of nlctrl."""
    return {
        first(group, "name", ""): first(group, "id")
        for group in first(reply, "mcast-groups", {}).get("group", [])
    }


def settings(reply: Reply) -> dict[str, int]:
    """Return the settings of an answer or event; {} when it has none."""
    nest = first(reply, "config", {})
    return {name.replace("-", "_"): values[0] for name, values in nest.items()}


def config(reply: Reply) -> Config:
    """Return the answer of config-get."""
    return Config(
        version=first(reply, "version", ""),
        features=tuple(first(reply, "features", "").split()),
        flow_size=first(reply, "flow-size"),
        flow6_size=first(reply, "flow6-size"),
        uptime_ms=first(reply, "uptime"),
        settings=settings(reply),
    )


def _counts(reply: Reply, attr: str, code: str, names: tuple[str, ...]) -> dict[str, int]:
    """Return {name: number} of an array that is indexed by the numbers of ``names``."""
    data = first(reply, attr, b"")
    try:
        numbers = [number for (number,) in struct.iter_unpack(f"={code}", data)]
    except struct.error:
        raise KernelError(
            errno.EBADMSG, f"the kernel's answer: {attr} has {len(data)} bytes"
        ) from None
    counts = dict.fromkeys(names, 0)
    for index, number in enumerate(numbers):
        counts[name_of(names, index)] = number
    return counts


def stats(reply: Reply) -> Stats:
    """Return the answer of stats-get."""
    engines = {name: Counter(0, 0) for name in uapi.ENGINES}
    for nest in reply.get("engine-stats", []):
        name = name_of(uapi.ENGINES, first(nest, "engine"))
        engines[name] = Counter(first(nest, "packets"), first(nest, "bytes"))
    return Stats(
        uptime_ms=first(reply, "uptime"),
        engines=engines,
        states=_counts(reply, "state-flows", "I", uapi.STATES),
        reason_packets=_counts(reply, "reason-packets", "Q", uapi.REASONS),
        reason_flows=_counts(reply, "reason-flows", "I", uapi.REASONS),
        filter_ifindex=first(reply, "filter-ifindex", 0),
        shaper_ifindex=first(reply, "shaper-ifindex", 0),
    )


def _records(reply: Reply, attr: str, layout: str, size: int) -> Iterator[tuple[Any, ...]]:
    data = first(reply, attr, b"")
    try:
        yield from iter_records(layout, data, first(reply, "record-size", size))
    except struct.error as error:
        raise KernelError(errno.EBADMSG, f"the kernel's answer: {attr}: {error}") from None


def flows(reply: Reply) -> Iterator[Flow]:
    """Yield the flow records of a message."""
    layout, size = uapi.FLOW_RECORD_FORMAT, uapi.FLOW_RECORD_SIZE
    for raw in _records(reply, "flow-records", layout, size):
        yield Flow(uapi.FlowRecord._make(raw))


def clients(reply: Reply) -> Iterator[Client]:
    """Yield the client records of a message."""
    layout, size = uapi.CLIENT_RECORD_FORMAT, uapi.CLIENT_RECORD_SIZE
    for raw in _records(reply, "client-records", layout, size):
        yield Client(uapi.ClientRecord._make(raw))


def flushed(reply: Reply) -> Flushed:
    """Return the answer of flow-flush."""
    return Flushed(first(reply, "removed"), first(reply, "removed-accelerated"))


def _path(nest: Reply) -> Path:
    return Path(
        direction="reply" if first(nest, "direction") else "original",
        in_ifindex=first(nest, "in-ifindex"),
        dst_ifindex=first(nest, "dst-ifindex"),
        out_ifindex=first(nest, "out-ifindex"),
        vlan=first(nest, "vlan", None),
        mac=mac_text(first(nest, "mac", b"")),
        mtu=first(nest, "mtu"),
        proved_ms=first(nest, "proved"),
        inner_vlan=first(nest, "inner-vlan", None),
        pppoe=first(nest, "pppoe", None),
        kind=name_of(uapi.EGRESS_KINDS, first(nest, "kind")),
        conduit_ifindex=first(nest, "conduit"),
        shaper_ifindex=first(nest, "shaper"),
    )


def explanation(reply: Reply) -> Explanation:
    """Return the answer of flow-explain."""
    return Explanation(
        state=name_of(uapi.STATES, first(reply, "state")),
        reason=name_of(uapi.REASONS, first(reply, "reason")),
        tracked=bool(first(reply, "tracked")),
        flow=next(flows(reply), None),
        paths=tuple(_path(nest) for nest in reply.get("path", [])),
        exception=first(reply, "exception-index", None),
    )


def exceptions(reply: Reply) -> Iterator[Exemption]:
    """Yield the exceptions of a message."""
    for rule in first(reply, "exceptions", {}).get("exception", []):
        yield Exemption.of(rule)


def hardware(reply: Reply) -> Hardware:
    """Return the answer of hw-get."""
    nest = first(reply, "hw", {})
    return Hardware(
        client=bool(first(nest, "client")),
        reason=name_of(uapi.REASONS, first(nest, "reason")),
        profile=first(nest, "profile", ""),
        features=tuple(first(nest, "features", "").split()),
        door=bool(first(nest, "door")),
        counters=bool(first(nest, "counters")),
        wed_version=first(nest, "wed-version"),
        capacity=first(nest, "capacity"),
        installed=first(nest, "installed"),
        bound=first(nest, "bound"),
        installs=first(nest, "installs"),
        destroys=first(nest, "destroys"),
        failures=first(nest, "failures"),
        errors={first(error, "errno"): first(error, "count") for error in nest.get("errors", [])},
        tokens=first(nest, "tokens"),
        backoff_ms=first(nest, "backoff"),
        busy=first(nest, "busy"),
    )


def hardware_devices(reply: Reply) -> Iterator[HardwareDevice]:
    """Yield the devices of a message of hw-device-get."""
    for nest in reply.get("hw-device", []):
        yield HardwareDevice(
            ifindex=first(nest, "ifindex"),
            door=first(nest, "door"),
            errno=first(nest, "errno"),
            installed=first(nest, "installed"),
        )


def event(reply: Reply) -> Event:
    """Return an event message."""
    kind = name_of(uapi.EVENTS, first(reply, "event"))
    return Event(
        kind=kind,
        settings=settings(reply),
        flushed=flushed(reply) if kind == "flush" else None,
        flows=tuple(flows(reply)),
    )
