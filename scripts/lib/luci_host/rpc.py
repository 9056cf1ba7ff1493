# SPDX-License-Identifier: GPL-2.0-only
"""JSON-RPC over HTTP as uhttpd and rpcd answer it: [session id, object, method, arguments]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from luci_host.access import Access, Session
from luci_host.staged import Refused, Staged
from natflow.bus import BusError, Status, open_bus

PARSE_ERROR = (-32700, "Parse error")
INVALID_REQUEST = (-32600, "Invalid request")
NOT_FOUND = (-32000, "Object not found")
DENIED = (-32002, "Access denied")
TIMEOUT = (-32003, "ubus request timed out")
BUS_SECONDS = 10.0

Arguments = dict[str, Any]


class Failed(Exception):
    """A JSON-RPC error: code, text."""


class Rpc:
    """Answers JSON-RPC messages. Objects that are not rpcd's own are looked for on the bus.

    start: what ``rc init`` is to do, given service and action. Safe for threads.
    """

    def __init__(
        self, access: Access, staged: Staged, socket: str, start: Callable[[str, str], None]
    ) -> None:
        self.access = access
        self.staged = staged
        self.socket = socket
        self.bus_seconds = BUS_SECONDS
        #: What LuCI knows of hosts: by MAC {name, ipaddrs, ip6addrs}.
        self.hints: Arguments = {}
        self._start = start
        self._own: dict[str, dict[str, Callable[[Session, Arguments], Arguments | None]]] = {
            "session": {"access": self._access, "login": self._login},
            "uci": {
                "get": self._get,
                "set": self._set,
                "add": self._add,
                "delete": self._delete,
                "changes": self._changes,
                "revert": lambda session, _: staged.revert(session.sid),
                "apply": self._apply,
                "confirm": lambda session, _: staged.confirm(session.sid),
            },
            "luci": {"getFeatures": lambda *_: {"firewall4": True}},
            "luci-rpc": {"getHostHints": lambda *_: self.hints},
            "file": {"list": lambda *_: {"entries": []}},
            "rc": {"init": self._init},
        }

    def answer(self, message: object) -> Any:
        """The reply to a message, or to an array of them."""
        if isinstance(message, list):
            return [self.answer(one) for one in message]
        if not isinstance(message, dict):
            return {"jsonrpc": "2.0", "id": None, "error": _error(PARSE_ERROR)}
        reply = {"jsonrpc": "2.0", "id": message.get("id")}
        if message.get("method") == "list":
            return {**reply, "result": {}}
        try:
            sid, name, method, arguments = message["params"]
        except (KeyError, ValueError, TypeError):
            return {**reply, "error": _error(INVALID_REQUEST)}
        try:
            return {**reply, "result": self.call(sid, name, method, arguments)}
        except Failed as failed:
            return {**reply, "error": _error(failed.args)}

    def call(self, sid: str, name: str, method: str, arguments: Arguments) -> list[Any]:
        """[0, data], or [status] where there is no data."""
        own = self._own.get(name)
        if own is None and not self._on_bus(name):
            raise Failed(*NOT_FOUND)
        session = self.access.session(sid)
        if session is None or not session.may("ubus", name, method):
            raise Failed(*DENIED)
        if own is None:
            return self._bus_call(sid, name, method, arguments)
        handler = own.get(method)
        if handler is None:
            return [Status.METHOD_NOT_FOUND]
        try:
            data = handler(session, arguments)
        except Refused as refused:
            return [refused.status]
        return [0, data] if data else [0]

    def _on_bus(self, name: str) -> bool:
        bus = open_bus(self.socket, "embedded")
        try:
            return name in bus.objects(name, self.bus_seconds)
        except BusError:
            return False
        finally:
            bus.close()

    def _bus_call(self, sid: str, name: str, method: str, arguments: Arguments) -> list[Any]:
        bus = open_bus(self.socket, "embedded")
        try:
            data = bus.call(name, method, {**arguments, "ubus_rpc_session": sid}, self.bus_seconds)
        except BusError as error:
            if error.status == Status.TIMEOUT:
                raise Failed(*TIMEOUT) from None
            return [error.status]
        finally:
            bus.close()
        return [0, data] if data else [0]

    def _access(self, session: Session, arguments: Arguments) -> Arguments:
        """Whether the session may do something; of everything it may, where nothing is named."""
        scope, what, function = (arguments.get(key, "") for key in ("scope", "object", "function"))
        return {"access": session.may(scope or "ubus", what, function)}

    def _login(self, _session: Session, arguments: Arguments) -> Arguments:
        made = self.access.login(str(arguments.get("username")), str(arguments.get("password")))
        if made is None:
            raise Refused(Status.PERMISSION_DENIED)
        return {"ubus_rpc_session": made.sid}

    @staticmethod
    def _uci(session: Session, arguments: Arguments, function: str) -> str:
        package = str(arguments.get("config", ""))
        if not session.may("uci", package, function):
            raise Refused(Status.PERMISSION_DENIED)
        return package

    def _get(self, session: Session, arguments: Arguments) -> Arguments:
        package = self._uci(session, arguments, "read")
        return {"values": self.staged.get(session.sid, package)}

    def _changes(self, session: Session, _arguments: Arguments) -> Arguments:
        """Of packages that the session may write but not read, rpcd keeps quiet."""
        staged = self.staged.changes(session.sid)
        return {"changes": {k: v for k, v in staged.items() if session.may("uci", k, "read")}}

    def _set(self, session: Session, arguments: Arguments) -> None:
        package = self._uci(session, arguments, "write")
        self.staged.set(session.sid, package, arguments["section"], arguments["values"])

    def _add(self, session: Session, arguments: Arguments) -> Arguments:
        package = self._uci(session, arguments, "write")
        values = arguments.get("values") or {}
        kind, name = arguments["type"], arguments.get("name") or ""
        return {"section": self.staged.add(session.sid, package, kind, name, values)}

    def _delete(self, session: Session, arguments: Arguments) -> None:
        package = self._uci(session, arguments, "write")
        options = arguments.get("options")
        self.staged.delete(session.sid, package, arguments["section"], options)

    def _apply(self, session: Session, arguments: Arguments) -> None:
        for package in self.staged.changes(session.sid):
            if not session.may("uci", package, "write"):
                raise Refused(Status.PERMISSION_DENIED)
        rollback = float(arguments.get("timeout", 30)) if arguments.get("rollback") else None
        self.staged.apply(session.sid, rollback)

    def _init(self, _session: Session, arguments: Arguments) -> None:
        self._start(str(arguments.get("name")), str(arguments.get("action")))


def _error(failed: tuple[Any, ...]) -> Arguments:
    return {"code": failed[0], "message": failed[1]}
