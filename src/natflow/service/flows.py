# SPDX-License-Identifier: GPL-2.0-only
"""Flows for a reply: selected by the kernel, sorted and paged here.

The pairs in a row are [original direction, reply direction]. Counters are plain numbers: what a
browser rounds above 2**53 is less than the 0.1 % promised (docs/ubus.md).
"""

from __future__ import annotations

import heapq
from socket import ntohs

from natflow.kernel.errors import FilterError
from natflow.kernel.filters import Filter, number
from natflow.kernel.records import name_of
from natflow.kernel.uapi import STATES
from natflow.service.devices import Devices
from natflow.service.hardware import error_name
from natflow.service.paths import drawing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from natflow.kernel.interface import KernelModule
    from natflow.kernel.records import Flow

TOP = 50  # rows of the method flows
LIMIT = 100  # rows of a page where the caller names no limit
LIMIT_MAX = 500  # keeps the largest page below half of what ubus carries
OFFSET_MAX = 10000  # bounds what is held in memory while sorting

SORTS: dict[str, Callable[[Flow], Any]] = {
    "rate": lambda flow: flow.raw.rate_0 + flow.raw.rate_1,
    "bytes": lambda flow: sum(flow.bytes) + sum(flow.hw_bytes),
    "packets": lambda flow: sum(flow.packets) + sum(flow.hw_packets),
    "total_bytes": lambda flow: flow.raw.ct_bytes_0 + flow.raw.ct_bytes_1,
    "age": lambda flow: flow.raw.age,
    "idle": lambda flow: flow.raw.idle,
    "src": lambda flow: (flow.raw.family, flow.raw.original_src, ntohs(flow.raw.original_sport)),
    "dst": lambda flow: (flow.raw.family, flow.raw.original_dst, ntohs(flow.raw.original_dport)),
    "state": lambda flow: flow.raw.state,
    "reason": lambda flow: flow.raw.reason,
    "id": lambda flow: flow.raw.id,
}
ORDERS = ("desc", "asc")


def row(flow: Flow, device: Devices) -> dict[str, Any]:
    """One flow as data. Rates are bytes per second; age and idle milliseconds, timeout seconds."""
    return {
        "id": flow.id,
        "family": "ipv6" if flow.family == 6 else "ipv4",
        "proto": flow.protocol,
        "src": flow.src,
        "sport": flow.sport,
        "dst": flow.dst,
        "dport": flow.dport,
        "reply_src": flow.reply_src,
        "reply_sport": flow.reply_sport,
        "reply_dst": flow.reply_dst,
        "reply_dport": flow.reply_dport,
        "state": flow.state,
        "reason": flow.reason,
        "flags": list(flow.flags),
        "bytes": list(flow.bytes),
        "packets": list(flow.packets),
        "total_bytes": list(flow.ct_bytes),
        "total_packets": list(flow.ct_packets),
        "rate": list(flow.rate),
        "hw_state": list(flow.hw_state),
        "hw_reason": list(flow.hw_reason),
        "hw_error": [error_name(code) for code in flow.hw_errno],
        "hw_bytes": list(flow.hw_bytes),
        "hw_packets": list(flow.hw_packets),
        "estimated": ["estimated" in flags for flags in flow.hw_flags],
        "drawing": [drawing(flow, device.kind, index) for index in (0, 1)],
        "in": [device(index) for index in flow.in_ifindex],
        "out": [device(index) for index in flow.out_ifindex],
        "vlan": list(flow.vlan),
        "mac": list(flow.mac),
        "mark": flow.mark,
        "age": flow.age_ms,
        "idle": flow.idle_ms,
        "timeout": flow.timeout_s,
    }


def top(kernel: KernelModule) -> dict[str, Any]:
    """The flows with the highest rate now."""
    return page(kernel, Filter(), 0, TOP, "rate", "desc")


def query(kernel: KernelModule, table: Mapping[str, Any]) -> dict[str, Any]:
    """The flows that match, one page of them. FilterError says which key is wrong."""
    keys = dict(table)
    offset = number("offset", keys.pop("offset", 0), OFFSET_MAX)
    limit = number("limit", keys.pop("limit", LIMIT), LIMIT_MAX, 1)
    sort = keys.pop("sort", "rate")
    order = keys.pop("order", "desc")
    if sort not in tuple(SORTS):  # it may be unhashable
        raise FilterError(f"sort: {sort!r}; allowed: {', '.join(SORTS)}")
    if order not in ORDERS:
        raise FilterError(f"order: {order!r}; allowed: {', '.join(ORDERS)}")
    return page(kernel, Filter.parse(keys), offset, limit, sort, order)


def page(
    kernel: KernelModule, selected: Filter, offset: int, limit: int, sort: str, order: str
) -> dict[str, Any]:
    """Rows offset to offset+limit, and the totals of all flows that match."""
    states = [0] * 256  # by number
    moved = packets = rate = count = 0

    def counted() -> Iterator[Flow]:
        """The flows as they come; tens of thousands may, so this does no more than it must."""
        nonlocal moved, packets, rate, count
        for flow in kernel.flows(selected):
            raw = flow.raw
            count += 1
            moved += raw.bytes_0 + raw.bytes_1 + raw.hw_bytes_0 + raw.hw_bytes_1
            packets += raw.packets_0 + raw.packets_1 + raw.hw_packets_0 + raw.hw_packets_1
            rate += raw.rate_0 + raw.rate_1
            states[raw.state] += 1
            yield flow

    best = heapq.nlargest if order == "desc" else heapq.nsmallest
    chosen = best(offset + limit, counted(), key=SORTS[sort])[offset:]
    device = Devices()
    return {
        "total": count,
        "offset": offset,
        "limit": limit,
        "sort": sort,
        "order": order,
        "states": {name_of(STATES, code): number for code, number in enumerate(states) if number},
        "totals": {"bytes": moved, "packets": packets, "rate": rate},
        "flows": [row(flow, device) for flow in chosen],
    }
