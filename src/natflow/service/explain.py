# SPDX-License-Identifier: GPL-2.0-only
"""Why a flow is forwarded the way it is, and which way that is."""

from __future__ import annotations

from natflow.kernel.errors import FilterError
from natflow.kernel.filters import FAMILIES, FlowTuple
from natflow.reasons import reason
from natflow.service.devices import Devices
from natflow.service.flows import row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from natflow.kernel.client import Kernel
    from natflow.kernel.records import Path

ARROW = " → "

STATES = {
    "slow": "The normal stack forwards it.",
    "learning": "natflow is learning it; the normal stack still forwards it.",
    "software": "natflow forwards it in software, from the ingress hook straight to the egress.",
    "hw-pending": "It was handed to the hardware, with no evidence yet that the hardware took it.",
    "hardware": "The hardware forwards it.",
    "wed": "The hardware forwards it to or from WiFi.",
}
UNKNOWN = (
    "Connection tracking does not know it: it has ended, or never was, or is not forwarded here."
)


def explain(kernel: Kernel, table: Mapping[str, Any]) -> dict[str, Any]:
    """State, reason, sentence, hint and path of one flow. FilterError says what is wrong."""
    keys = dict(table)
    family = keys.pop("family", None)
    wanted = FlowTuple.parse(keys)
    if family is not None and FAMILIES.get(str(family).lower()) != wanted.family:
        raise FilterError(f"family: {family!r}; allowed: that of the addresses, or nothing")
    answer = kernel.explain(wanted)
    why = reason(answer.reason)
    device = Devices()
    known = answer.tracked or answer.flow is not None
    reply: dict[str, Any] = {
        "tracked": known,
        "state": answer.state,
        "summary": STATES.get(answer.state, answer.state) if known else UNKNOWN,
        "reason": why.name,
        "code": why.code,
        "sentence": why.sentence,
        "hint": why.hint,
        "path": [_path(path, device) for path in answer.paths],
    }
    if answer.flow is not None:
        reply["flow"] = row(answer.flow, device)
    return reply


def _path(path: Path, device: Devices) -> dict[str, Any]:
    """One direction: the port it comes in by, the device the route names, the port it leaves by."""
    incoming, routed, outgoing = map(device, (path.in_ifindex, path.dst_ifindex, path.out_ifindex))
    steps = [incoming or "?"]
    if routed and routed != outgoing:
        steps.append(routed)
    leaving = outgoing or "?"
    if path.vlan is not None:
        leaving += f" VLAN {path.vlan}"
    steps.append(leaving)
    if path.mac:
        steps.append(path.mac)
    return {
        "direction": path.direction,
        "in": incoming,
        "route": routed,
        "out": outgoing,
        "vlan": path.vlan,
        "mac": path.mac,
        "mtu": path.mtu,
        "proved": path.proved_ms,
        "text": ARROW.join(steps),
    }
