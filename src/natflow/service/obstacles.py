# SPDX-License-Identifier: GPL-2.0-only
"""What must see the packets, and so keeps flows off the fast path or out of the hardware."""

from __future__ import annotations

from natflow.host import conflict
from natflow.service.devices import Devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from natflow.host import Conflict
    from natflow.kernel.records import Stats

FILTER_TEXT = (
    "A tc or nftables filter on {device} must see all that comes in there. Flows that stay on the "
    "normal stack for it now: {flows}."
)
FILTER_HINT = (
    "SQM on {device} has such a filter. On the port below {device} it comes before natflow, and "
    "keeps only what comes in on the normal stack."
)
SHAPER_TEXT = (
    "A queueing discipline or filter on {device} must see every packet. What leaves by it is "
    "accelerated in software and not handed to the hardware."
)
SHAPER_HINT = (
    "That is right for a shaper. Without it (SQM, tc) on {device} the hardware can have them."
)

#: For the translators.
TEXTS = (FILTER_TEXT, FILTER_HINT, SHAPER_TEXT, SHAPER_HINT)


def obstacles(stats: Stats, hardware: bool) -> list[Conflict]:
    """Each as host.conflict() makes them; ``hardware``: flows could go there otherwise."""
    found = []
    device = Devices()
    count = stats.reason_flows.get("qdisc", 0)
    if count and stats.filter_ifindex:
        name = device(stats.filter_ifindex)
        found.append(conflict("filter", FILTER_TEXT, FILTER_HINT, device=name, flows=count))
    if hardware and stats.shaper_ifindex:
        name = device(stats.shaper_ifindex)
        found.append(conflict("shaper", SHAPER_TEXT, SHAPER_HINT, device=name))
    return found
