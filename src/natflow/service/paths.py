# SPDX-License-Identifier: GPL-2.0-only
"""The way of a flow's packets in the founding notation: "port --> ppe --> port".

The host that opened the connection is on the left: its packets go --> that way, replies come back
<-- that way. Between the ends stands who forwards: "cpu" (the normal stack or natflow in software)
or "ppe" (the packet engine). "wifi --> cpu --> ppe --> port", the processor feeding the engine,
needs a patched driver: it cannot be drawn for anything that natflow does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from natflow.kernel.records import Flow

CPU, PPE, WIFI = "cpu", "ppe", "wifi"


def draw(hops: tuple[str, ...], reply: bool) -> str:
    """The hops in the order in which the packets meet them, as one line."""
    return " <-- ".join(reversed(hops)) if reply else " --> ".join(hops)


def drawing(flow: Flow, kind: Callable[[int], str], index: int) -> str:
    """The way of direction 0 (original) or 1 (reply); ``kind`` names the sort of a device.

    The engine is drawn only where there is evidence that it forwards. What the engine knows of its
    ends counts for more than what the device looks like from here.
    """
    source = WIFI if _through_wed(flow, index) else kind(flow.in_ifindex[index])
    target = WIFI if "wed" in flow.hw_flags[index] else kind(flow.out_ifindex[index])
    through = PPE if flow.hw_state[index] == "bound" else CPU
    return draw((source, through, target), reply=index == 1)


def _through_wed(flow: Flow, index: int) -> bool:
    """Whether the direction comes from a station behind WED, be it in hardware or not."""
    back = 1 - index
    return "wed-rx" in flow.hw_flags[index] or (
        "wed" in flow.hw_flags[back] and flow.in_ifindex[index] == flow.out_ifindex[back]
    )
