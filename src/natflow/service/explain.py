# SPDX-License-Identifier: GPL-2.0-only
"""Why a flow is forwarded the way it is, and which way that is."""

from __future__ import annotations

from natflow.kernel.errors import FilterError
from natflow.kernel.filters import FAMILIES, FlowTuple
from natflow.reasons import reason
from natflow.service.devices import Devices
from natflow.service.flows import row
from natflow.service.hardware import direction
from natflow.service.paths import drawing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from natflow.exceptions import Rule
    from natflow.kernel.interface import KernelModule
    from natflow.kernel.records import Flow, Path

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


def explain(
    kernel: KernelModule, table: Mapping[str, Any], exceptions: Sequence[Rule] = ()
) -> dict[str, Any]:
    """State, reason, sentence, hint and path of one flow. FilterError says what is wrong.

    ``exceptions`` are those that were put in force: they have the names of the module's numbers.
    """
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
        "exception": _name(answer.exception, exceptions),
        "path": [_path(path, answer.flow, device) for path in answer.paths],
    }
    if answer.flow is not None:
        reply["flow"] = row(answer.flow, device)
    return reply


def _name(number: int | None, exceptions: Sequence[Rule]) -> str:
    """The exception that keeps the flow slow, "" when none does."""
    if number is None:
        return ""
    return exceptions[number].name if number < len(exceptions) else f"#{number}"


def _path(path: Path, flow: Flow | None, device: Devices) -> dict[str, Any]:
    """One direction: the port it comes in by, the device the route names, the port it leaves by."""
    incoming, routed, outgoing = map(device, (path.in_ifindex, path.dst_ifindex, path.out_ifindex))
    shaper = device(path.shaper_ifindex)
    steps = [incoming or "?"]
    if routed and routed != outgoing:
        steps.append(routed)
    if shaper and shaper not in steps:
        steps.append(shaper)
    leaving = outgoing or "?"
    if path.vlan is not None:
        leaving += f" VLAN {path.vlan}"
    if path.inner_vlan is not None:
        leaving += f".{path.inner_vlan}"
    if path.pppoe is not None:
        leaving += f" PPPoE {path.pppoe}"
    steps.append(leaving)
    if path.mac:
        steps.append(path.mac)
    index = int(path.direction == "reply")
    return {
        "direction": path.direction,
        "in": incoming,
        "route": routed,
        "out": outgoing,
        "vlan": path.vlan,
        "inner_vlan": path.inner_vlan,
        "pppoe": path.pppoe,
        "kind": path.kind,
        "conduit": device(path.conduit_ifindex),
        "shaper": shaper,
        "mac": path.mac,
        "mtu": path.mtu,
        "proved": path.proved_ms,
        "text": ARROW.join(steps),
        "drawing": drawing(flow, device.kind, index) if flow else "",
        "hardware": direction(flow, index) if flow else None,
    }
