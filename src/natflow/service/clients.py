# SPDX-License-Identifier: GPL-2.0-only
"""The hosts on the inner side, one row for each host with all its addresses."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from natflow.kernel.records import Client, Pair

ROWS_MAX = 500
ENGINES = ("slow", "software", "hardware")


def clients(
    records: Iterable[Client], names: Mapping[str, str], *, estimated: bool = False
) -> dict[str, Any]:
    """All hosts by rate, highest first. Rates are bytes per second, idle milliseconds;
    ``estimated`` says that the hardware does not count.

    Addresses with one MAC address are one host, unless there are several IPv4 addresses among
    them: then the MAC address is that of a router in between, and each address is a host.
    """
    groups: dict[str, list[Client]] = {}
    for client in records:
        groups.setdefault(client.mac or client.address, []).append(client)
    rows = []
    for group in groups.values():
        if sum(client.family == 4 for client in group) > 1:
            rows += [_row([client], names, "", estimated) for client in group]
        else:
            rows.append(_row(group, names, names.get(group[0].mac, ""), estimated))
    rows.sort(key=lambda row: (row["rate"]["up"] + row["rate"]["down"], row["flows"]), reverse=True)
    return {"total": len(rows), "clients": rows[:ROWS_MAX]}


def _row(
    group: list[Client], names: Mapping[str, str], name: str, estimated: bool
) -> dict[str, Any]:
    """One host; name is what its MAC address is known by."""
    group.sort(key=lambda client: (client.family, client.address))
    mac = group[0].mac
    name = next((names[client.address] for client in group if client.address in names), name)
    return {
        "name": name,
        "mac": mac,
        "addresses": [client.address for client in group],
        "flows": sum(client.flows for client in group),
        "idle": min(client.idle_ms for client in group),
        "rate": _pair(client.rate for client in group),
        "bytes": {
            engine: _pair(getattr(client, f"{engine}_bytes") for client in group)
            for engine in ENGINES
        },
        "packets": {
            engine: _pair(getattr(client, f"{engine}_packets") for client in group)
            for engine in ENGINES
        },
        "estimated": estimated and any(any(client.hardware_packets) for client in group),
    }


def _pair(pairs: Iterable[Pair]) -> dict[str, int]:
    """Sums of (from the host, to the host)."""
    up = down = 0
    for first, second in pairs:
        up += first
        down += second
    return {"up": up, "down": down}
