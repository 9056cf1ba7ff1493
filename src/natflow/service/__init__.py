# SPDX-License-Identifier: GPL-2.0-only
"""The ubus object natflow, and its twin luci.natflow for calls that come over HTTP.

python-ubus wants exactly the declared arguments of a method, so each takes none or one table.
uhttpd adds ``ubus_rpc_session`` to every call: the twin declares it. What the methods take and
answer is written down in docs/ubus.md.
"""

from __future__ import annotations

import time

from natflow import host
from natflow.bus import SESSION_ARGUMENT, STRING, TABLE, BusError, Method, Status
from natflow.control import SettingsError
from natflow.kernel.errors import (
    FilterError,
    KernelError,
    ModuleMissing,
    NoPermission,
    NotAvailable,
)
from natflow.kernel.filters import Filter
from natflow.service.clients import clients
from natflow.service.explain import explain
from natflow.service.flows import query, top
from natflow.service.hardware import Hardware, ask
from natflow.service.status import info, look, settings, state, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from natflow.bus import Bus
    from natflow.control import Control
    from natflow.kernel.records import Event

    Reply = dict[str, Any]

OBJECT = "natflow"
LUCI_OBJECT = "luci.natflow"

CONFLICT_SECONDS = 15.0  # a status call asks anew what else runs when the last answer is older
CONFLICT_IDLE_SECONDS = 300.0  # and the daemon by itself


class Service:
    """Answers the methods and sends the events; ``root`` is where the router's files are."""

    def __init__(self, control: Control, bus: Bus, bus_name: str, root: str = "/") -> None:
        self.control = control
        self.bus = bus
        self.hardware = Hardware(root)
        self._bus_name = bus_name
        self._started = time.monotonic()
        self._conflicts: list[host.Conflict] = []
        self._conflicts_at = 0.0
        self._conflicts_read = False
        self._conflicts_foreign = False
        self._state = ""

    def serve(self) -> None:
        """Put both objects on the bus. BusError when they are there already."""
        self.bus.serve(OBJECT, self.methods())
        self.bus.serve(LUCI_OBJECT, self.methods(luci=True))

    def methods(self, luci: bool = False) -> dict[str, Method]:
        """The methods of one of the two objects."""
        table: dict[str, tuple[Callable[..., Reply], str]] = {
            "status": (self.status, ""),
            "info": (self.info, ""),
            "flows": (self.flows, ""),
            "query": (self.query, "filter"),
            "clients": (self.clients, ""),
            "explain": (self.explain, "flow"),
            "flush": (self.flush, "filter"),
            "set": (self.set, "options"),
        }
        methods = {}
        for name, (answer, argument) in table.items():
            args = {argument: TABLE} if argument else {}
            if luci:
                args[SESSION_ARGUMENT] = STRING
            methods[name] = Method(_handler(answer, argument, luci), args)
        return methods

    def status(self) -> Reply:
        """Everything at a glance."""
        reply = status(
            self.control, self.hardware, self.conflicts(CONFLICT_SECONDS), self._running()
        )
        self._announce(reply["state"], reply["message"])
        return reply

    def info(self) -> Reply:
        """What does not change while it runs."""
        return info(self.control, self.hardware, self._bus_name)

    def flows(self) -> Reply:
        """The fastest flows."""
        return top(self.control.kernel())

    def query(self, table: Reply) -> Reply:
        """The flows that match a filter, paged."""
        return query(self.control.kernel(), table)

    def clients(self) -> Reply:
        """The hosts on the inner side."""
        kernel = self.control.kernel()
        told = ask(kernel)
        estimated = told is not None and told.client and not told.counters
        return clients(kernel.clients(), host.names(), estimated=estimated)

    def explain(self, table: Reply) -> Reply:
        """Why a flow is forwarded as it is."""
        return explain(self.control.kernel(), table, self.control.settings.exceptions)

    def flush(self, table: Reply) -> Reply:
        """Remove the flows that match a filter, all with an empty one."""
        flushed = self.control.kernel().flush(Filter.parse(table))
        if flushed is None:
            return {"removed": None, "accelerated": None, "slow": None}
        return {
            "removed": flushed.removed,
            "accelerated": flushed.accelerated,
            "slow": flushed.removed - flushed.accelerated,
        }

    def set(self, options: Reply) -> Reply:
        """Change options until the next reload."""
        changed = self.control.set(options)
        self.update()
        return {"changed": changed, "settings": settings(self.control, look(self.control))}

    def conflicts(self, age: float = 0.0) -> list[host.Conflict]:
        """Who else accelerates, asked anew when the last answer is older than so many seconds."""
        now = time.monotonic()
        fresh = self._conflicts_read and self._conflicts_foreign == self.control.foreign
        if not fresh or now - self._conflicts_at >= age:
            before = {conflict["code"] for conflict in self._conflicts}
            self._conflicts = host.conflicts(self.control.uci, self.control.foreign)
            self._conflicts_at = time.monotonic()
            self._conflicts_foreign = self.control.foreign
            self._conflicts_read = True
            if before != {conflict["code"] for conflict in self._conflicts}:
                self.bus.send("natflow.conflict", {"conflicts": self._conflicts})
        return self._conflicts

    def update(self) -> None:
        """Tell the bus when the state is another one than before."""
        self._announce(*state(self.control, look(self.control), self._conflicts))

    def event(self, event: Event) -> None:
        """Pass on what the module tells."""
        if event.kind == "flush" and event.flushed is not None:
            removed, accelerated = event.flushed
            self.bus.send("natflow.flush", {"removed": removed, "accelerated": accelerated})
        elif event.kind in ("loaded", "unloaded"):
            self.control.apply()
            self.update()
        elif event.kind in ("config", "lost"):
            self.update()

    def configure(self) -> None:
        """Read the configuration: the module gets it at once, the WiFi driver with a boot."""
        self.control.reload()
        if not self.control.errors:
            self.hardware.wed.apply(self.control.settings.hwnat_wed)

    def reload(self) -> None:
        """Read the configuration again, and who else accelerates."""
        self.configure()
        self.conflicts()
        self.update()

    def tick(self) -> None:
        """Look at the module and, from time to time, at the others."""
        before = self._conflicts
        self.hardware.wed.tick()
        if self.control.tick() or self.conflicts(CONFLICT_IDLE_SECONDS) != before:
            self.update()

    def _announce(self, word: str, sentence: str) -> None:
        if word != self._state:
            self.bus.send(
                "natflow.state", {"state": word, "previous": self._state, "message": sentence}
            )
            self._state = word

    def _running(self) -> int:
        return int(time.monotonic() - self._started)


def _handler(
    answer: Callable[..., Reply], argument: str, luci: bool
) -> Callable[[dict[str, Any]], Reply]:
    """Turn what a method raises into an answer.

    The caller gets {"error": text} with a ubus status, over HTTP without one: LuCI throws the
    text of a call that has a status away.
    """

    def handle(args: dict[str, Any]) -> Reply:
        unavailable = {}
        try:
            return answer(args[argument]) if argument else answer()
        except (FilterError, SettingsError) as error:
            status_code, text = Status.INVALID_ARGUMENT, str(error)
        except KernelError as error:
            status_code = Status.SYSTEM_ERROR
            if isinstance(error, (ModuleMissing, NotAvailable)):
                status_code = Status.NOT_SUPPORTED
                if isinstance(error, NotAvailable):
                    unavailable = {"unavailable": True}
            elif isinstance(error, NoPermission):
                status_code = Status.PERMISSION_DENIED
            text = f"{error}. {error.hint}".rstrip(" ") if error.hint else str(error)
        if luci:
            return {"error": text, **unavailable}
        raise BusError(status_code, text)

    return handle
