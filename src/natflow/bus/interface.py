# SPDX-License-Identifier: GPL-2.0-only
"""The narrow bus interface the rest of natflow is written against.

Synchronous and driven by `Bus.tick`: no threads, no event loop library (asyncio alone would cost 11
MB of a router's memory). Two backends implement it, `natflow.bus.embedded` and
`natflow.bus.libubus`; tests/unit/bus/test_contract.py holds both to it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing: that module would be a tenth of the daemon's start-up
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Handler = Callable[[dict[str, Any]], dict[str, Any]]
    EventHandler = Callable[[str, dict[str, Any]], None]

#: blobmsg types a method may declare for an argument (libubox blobmsg.h). INT16, INT32 and INT64
#: accept one another.
UNSPEC, ARRAY, TABLE, STRING, INT64, INT32, INT16, BOOL, DOUBLE = range(9)

#: The argument uhttpd adds to every call that comes over HTTP. Declare it to be reachable from
#: LuCI; handlers never see it.
SESSION_ARGUMENT = "ubus_rpc_session"

DEFAULT_SOCKET = "/var/run/ubus/ubus.sock"


class Status:
    """ubus status codes (ubusmsg.h)."""

    OK = 0
    INVALID_COMMAND = 1
    INVALID_ARGUMENT = 2
    METHOD_NOT_FOUND = 3
    NOT_FOUND = 4
    NO_DATA = 5
    PERMISSION_DENIED = 6
    TIMEOUT = 7
    NOT_SUPPORTED = 8
    UNKNOWN_ERROR = 9
    CONNECTION_FAILED = 10
    NO_MEMORY = 11
    PARSE_ERROR = 12
    SYSTEM_ERROR = 13


_TEXTS = (
    "success",
    "invalid command",
    "invalid argument",
    "method not found",
    "object not found",
    "no response",
    "permission denied",
    "request timed out",
    "operation not supported",
    "unknown error",
    "connection failed",
    "out of memory",
    "malformed data",
    "system error",
)


def status_text(status: int) -> str:
    """What a status code means, in words."""
    return _TEXTS[status] if 0 <= status < len(_TEXTS) else f"status {status}"


class BusError(Exception):
    """A call failed, or (raised by a handler) is to be answered with this status.

    A handler's `message` reaches the caller as `{"error": message}` before the status, because a
    ubus status is a bare number.
    """

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message or status_text(status)

    def __str__(self) -> str:
        return f"{self.message} (ubus status {self.status})"


class Method:
    """One method of a served object: its handler and its declared arguments, {name: blobmsg type}.

    The handler gets exactly the declared arguments (without `ubus_rpc_session`) and returns the one
    reply, a dict. An undeclared argument or one of a wrong type is answered INVALID_ARGUMENT
    without calling the handler. A declared TABLE or ARRAY the caller left out arrives empty on the
    embedded backend; python-ubus refuses such a call (it wants every declared argument present).
    Any other missing argument is refused by both.
    """

    __slots__ = ("args", "handler")

    def __init__(self, handler: Handler, args: Mapping[str, int] | None = None) -> None:
        self.handler = handler
        self.args: dict[str, int] = dict(args or {})


class Bus:
    """A connection to ubusd, or to natflow's own broker. Backends subclass it; get one from
    `natflow.bus.open_bus`.

    Losing the bus is never an exception in `tick`: the backend reconnects with backoff (at most 1 s
    between attempts) and adds its objects and listeners again. Not thread-safe.
    """

    #: True while the bus is up and has greeted us.
    connected: bool = False

    def serve(self, name: str, methods: Mapping[str, Method]) -> None:
        """Put an object on the bus, now and after every reconnect.

        Raises BusError when the bus is there and refuses: INVALID_ARGUMENT, most often because the
        name is taken (a second natflowd), or PERMISSION_DENIED. The object is then not remembered.
        With no bus in sight it is remembered and added later.
        """
        raise NotImplementedError

    def send(self, event: str, data: Mapping[str, Any]) -> bool:
        """Broadcast an event; False when it could not be handed to the bus (not connected, queue
        full, over 1 MiB).
        """
        raise NotImplementedError

    def listen(self, pattern: str, handler: EventHandler) -> None:
        """Call `handler(event, data)` for events named `pattern` (a trailing * matches any rest),
        from within `tick`.
        """
        raise NotImplementedError

    def call(
        self, obj: str, method: str, args: Mapping[str, Any] | None = None, timeout: float = 30.0
    ) -> dict[str, Any]:
        """Call a method of an object and return its reply ({} when it sent none), waiting `timeout`
        seconds at most.

        Raises BusError with the callee's status; TIMEOUT, CONNECTION_FAILED and NOT_FOUND (no such
        object) come from the bus. Inside a handler it works on the embedded backend, on the own
        objects too; libubus cannot and answers NOT_SUPPORTED.
        """
        raise NotImplementedError

    def objects(
        self, pattern: str = "*", timeout: float = 30.0
    ) -> dict[str, dict[str, dict[str, int]]]:
        """The objects on the bus named `pattern` (a trailing * matches any rest).

        As {path: {method: {argument: blobmsg type}}}; empty when there is none.
        """
        raise NotImplementedError

    def watch(self, fd: int, callback: Callable[[], None] | None) -> None:
        """Have `tick` call `callback` whenever `fd` is readable (level-triggered); None stops it.

        What the callback raises comes out of `tick`: it is the caller's own code.
        """
        raise NotImplementedError

    def tick(self, seconds: float) -> None:
        """Handle what is pending; if nothing is, wait for the bus or a watched fd, at most
        `seconds`.

        Handlers run in here; an exception of theirs is written to stderr and answered
        UNKNOWN_ERROR. A Python signal handler runs at once but does not shorten the wait: give
        `signal.set_wakeup_fd` a pipe and `watch` its other end.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Leave the bus; what was already answered is still sent if the peer takes it at once."""
        raise NotImplementedError
