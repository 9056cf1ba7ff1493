# SPDX-License-Identifier: GPL-2.0-only
"""What natflowd asks of a kernel module, whichever it is. For the type checker only.

``client.Kernel`` is natflow.ko over netlink, ``ctl.ControlDevice`` the older module of the same
name behind its control device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from natflow.kernel.commits import CommitSocket
from natflow.kernel.events import EventSocket
from natflow.kernel.exceptions import Exemption
from natflow.kernel.filters import Filter, FlowTuple
from natflow.kernel.records import Client, Config, Explanation, Flow, Flushed, Hardware, Stats


class KernelModule(Protocol):
    """The calls, each of which may raise a KernelError."""

    #: How it is reached: "netlink" or "control-device".
    backend: str
    #: The module in words.
    name: str
    #: Whether it tells flows, hosts, reasons, counters, hardware and events; if not, those calls
    #: raise NotAvailable.
    tells: bool
    #: A sentence about what it does not tell, empty where there is nothing.
    note: str

    def close(self) -> None:
        """Let go of it."""

    def config(self) -> Config:
        """Version, features and settings; a setting that it does not have is not among them."""

    def configure(self, settings: Mapping[str, int]) -> None:
        """Change the settings that are given."""

    def stats(self) -> Stats:
        """Return the counters."""

    def flows(self, match: Filter | None = None) -> Iterator[Flow]:
        """Yield the flows that match."""

    def clients(self) -> Iterator[Client]:
        """Yield the inner hosts."""

    def flush(self, match: Filter | None = None) -> Flushed | None:
        """Forget the flows that match; None when it does not tell how many they were."""

    def explain(self, flow: FlowTuple) -> Explanation:
        """Tell how a flow is forwarded, and why."""

    def hardware(self) -> Hardware:
        """Tell whether there is hardware to hand flows to, and what it was given."""

    def exceptions(self) -> tuple[Exemption, ...]:
        """Return the exceptions in force, in their order."""

    def set_exceptions(self, exceptions: Iterable[Exemption]) -> None:
        """Replace all exceptions."""

    def reprove(self) -> None:
        """Let each flow be fast only after its next packet has passed the rules again."""

    def commits(self) -> CommitSocket | None:
        """Return a socket that hears of new rules, None where the kernel has none."""

    def events(self, flows: bool = False) -> EventSocket:
        """Return a socket that hears what changes."""
