# SPDX-License-Identifier: GPL-2.0-only
"""The bus through libubus, by python-ubus 0.1.3 (OpenWrt's python3-ubus).

What python-ubus does not do by itself, and how it is made up for here:

- its loop never returns when ubusd dies: we poll the socket ourselves (it tells nobody its
  descriptor, so we look for the one that appeared when it connected) and only let it handle what
  has come, which also leaves signal handlers alone and lets other descriptors be watched;
- it loses a reply over 1 MiB and every later one to that call: we measure before;
- of a failing handler a caller learns no more than UNKNOWN_ERROR: the text goes ahead as reply;
- a call from inside a handler hangs until its time-out: we refuse it;
- libubox takes SIGTERM and SIGINT for a loop that we do not run: we give them back;
- there is one connection for the whole process, and connecting waits for ubusd without limit.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from time import monotonic

import ubus

from natflow.bus import blob, dispatch, wire
from natflow.bus.blob import BlobError
from natflow.bus.dispatch import log
from natflow.bus.interface import Bus, BusError, Method, Status, status_text
from natflow.bus.watches import FOREVER, Watches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from natflow.bus.interface import EventHandler

#: Seconds between attempts to connect (doubling from the first to the last), and to add an object
#: the bus refused after a reconnect.
FIRST_RETRY, LAST_RETRY = 0.1, 1.0
ADD_RETRY = 1.0
#: Bytes around the data of a reply: message header, the object's id, the two containers.
_REPLY_FRAME = 64

#: What libubus calls the status codes; python-ubus passes on nothing else.
_STATUSES = {
    "Invalid command": Status.INVALID_COMMAND,
    "Invalid argument": Status.INVALID_ARGUMENT,
    "Method not found": Status.METHOD_NOT_FOUND,
    "Not found": Status.NOT_FOUND,
    "No response": Status.NO_DATA,
    "Permission denied": Status.PERMISSION_DENIED,
    "Request timed out": Status.TIMEOUT,
    "Operation not supported": Status.NOT_SUPPORTED,
    "Connection failed": Status.CONNECTION_FAILED,
    "Out of memory": Status.NO_MEMORY,
    "Parsing message data failed": Status.PARSE_ERROR,
    "System error": Status.SYSTEM_ERROR,
}


class _Refused(Exception):
    """Raised through python-ubus to make it answer UNKNOWN_ERROR; why was told already."""


def _no_traceback(kind: Any, value: Any, trace: Any) -> None:
    if not issubclass(kind, _Refused):
        _print_traceback(kind, value, trace)


_print_traceback = sys.excepthook


class LibubusBus(Bus):
    """See `natflow.bus.interface.Bus`."""

    def __init__(self, path: str) -> None:
        """Connect to the socket `path` if a bus answers there now; else `tick` goes on trying.

        Raises RuntimeError when the process is on the bus already.
        """
        if ubus.get_connected():
            raise RuntimeError("python-ubus has one connection for a process, and it is in use")
        if sys.excepthook is not _no_traceback:
            global _print_traceback
            _print_traceback = sys.excepthook
            sys.excepthook = _no_traceback
        self.path = path
        self._objects: dict[str, dict[str, Any]] = {}
        self._missing: set[str] = set()  # objects the bus refused, to be tried again
        self._refused: set[str] = set()  # of these, those we have complained about
        self._listeners: list[tuple[str, EventHandler]] = []
        self._watches = Watches()
        self._fd = -1
        self._retry = FIRST_RETRY
        self._next_attempt = 0.0
        self._add_again = FOREVER
        self._poke = False
        self._serving = False
        self._closed = False
        self._problem = f"{path}: not connected"
        self._connect()

    # --- the interface ---

    def serve(self, name: str, methods: Mapping[str, Method]) -> None:
        dispatch.check_methods(name, methods)
        if name in self._objects:
            raise BusError(Status.INVALID_ARGUMENT, f"object {name} is served already")
        table = {
            method: {"signature": dict(entry.args), "method": self._handler(name, method, entry)}
            for method, entry in methods.items()
        }
        if self.connected:
            try:
                self._add(name, table)
            except BusError as error:
                if not self._is_lost():
                    raise BusError(
                        error.status,
                        f"cannot add object {name}: {error.message} (is its name taken by another"
                        " process, or this user not allowed to publish it?)",
                    ) from error
        self._objects[name] = table

    def send(self, event: str, data: Mapping[str, Any]) -> bool:
        if not self.connected or event.startswith("ubus."):
            return False
        try:
            clean, size = _clean(dict(data))
        except BlobError as error:
            log(f"event {event} not sent: {error}")
            return False
        if size > wire.MAX_SENT - len(event) - _REPLY_FRAME:
            log(f"event {event} not sent: {size:,} bytes")
            return False
        self._poke = True
        return bool(ubus.send(event, clean))

    def listen(self, pattern: str, handler: EventHandler) -> None:
        if not pattern:
            raise ValueError("an event pattern must not be empty")
        self._listeners.append((pattern, handler))
        if self.connected:
            self._hear(pattern, handler)

    def call(
        self,
        obj: str,
        method: str,
        args: Mapping[str, Any] | None = None,
        timeout: float = 30.0,
    ) -> dict[str, Any]:
        place = f"{obj}.{method}"
        self._ready_to_ask(place)
        try:
            clean, size = _clean(dict(args or {}))
        except BlobError as error:
            raise BusError(Status.INVALID_ARGUMENT, f"{place}: {error}") from error
        if size > wire.MAX_SENT - len(method) - _REPLY_FRAME:
            raise BusError(Status.INVALID_ARGUMENT, f"{place}: {size:,} bytes of arguments")
        try:
            replies = ubus.call(obj, method, clean, max(1, int(timeout * 1000)))
        except (RuntimeError, SystemError) as error:  # SystemError: a reply it could not read
            raise self._failure(place, error) from error
        finally:
            self._poke = True
        reply: dict[str, Any] = {}
        for part in replies:
            reply.update(part)
        return reply

    def objects(
        self, pattern: str = "*", timeout: float = 30.0
    ) -> dict[str, dict[str, dict[str, int]]]:
        self._ready_to_ask(pattern)
        try:
            found: dict[str, dict[str, dict[str, int]]] = ubus.objects(pattern)
        except RuntimeError as error:
            raise self._failure(pattern, error) from error
        finally:
            self._poke = True
        return found

    def watch(self, fd: int, callback: Callable[[], None] | None) -> None:
        self._watches.set(fd, callback)

    def tick(self, seconds: float) -> None:
        now = monotonic()
        deadline = now + seconds
        while True:
            self._keep_up(now)
            worked = self._poke and self.connected
            if worked:  # a call of ours may have put calls from others aside
                self._handle()
            wait = 0.0 if worked else max(0.0, min(deadline, self._alarm()) - now)
            ready, what = self._watches.wait(wait, self._fd, select.POLLIN)
            if what and self.connected:
                self._handle()
                if what & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                    self._lose("closed by the peer")
            now = monotonic()
            if worked or ready or now >= deadline:
                return

    def close(self) -> None:
        self._closed = True
        if self.connected:
            self._lose("closed")

    # --- the connection ---

    def _connect(self) -> None:
        before = _sockets()
        try:
            ubus.connect(self.path)
        except (OSError, RuntimeError) as error:
            self._put_off(str(error).strip())
            return
        finally:
            _give_back_signals()
        new = _sockets() - before
        if len(new) != 1:
            ubus.disconnect(False)
            self._put_off("cannot tell libubus's socket from /proc/self/fd")
            return
        self._fd = new.pop()
        self.connected = True
        self._missing = set(self._objects)
        self._add_missing()
        for pattern, handler in self._listeners:
            self._hear(pattern, handler)

    def _put_off(self, problem: str) -> None:
        self._problem = problem if self.path in problem else f"{self.path}: {problem}"
        self._next_attempt = monotonic() + self._retry
        self._retry = min(self._retry * 2, LAST_RETRY)

    def _lose(self, problem: str) -> None:
        if not self._closed:
            log(f"lost the bus at {self.path}: {problem}")
        self.connected = False
        self._fd = -1
        self._poke = False
        self._add_again = FOREVER
        ubus.disconnect(False)
        self._put_off(problem)

    def _is_lost(self) -> bool:
        """Whether ubusd has closed the connection, which python-ubus would never say."""
        if not self.connected:
            return True
        poller = select.poll()
        poller.register(self._fd, 0)
        return bool(poller.poll(0))

    def _alarm(self) -> float:
        if self._closed:
            return FOREVER
        return self._add_again if self.connected else self._next_attempt

    def _keep_up(self, now: float) -> None:
        if self._closed or now < self._alarm():
            return
        if self.connected:
            self._add_missing()
        else:
            self._connect()

    def _handle(self) -> None:
        """Let libubus handle what has come."""
        self._poke = False
        ubus.loop(0)

    def _ready_to_ask(self, place: str) -> None:
        if self._serving:
            raise BusError(
                Status.NOT_SUPPORTED, f"{place}: python-ubus cannot call from inside a handler"
            )
        if self._is_lost() and not self._closed:
            if self.connected:
                self._lose("closed by the peer")
            self._connect()
        if not self.connected:
            raise BusError(Status.CONNECTION_FAILED, self._problem)

    def _failure(self, place: str, error: Exception) -> BusError:
        text = str(error)
        if self._is_lost():
            return BusError(Status.CONNECTION_FAILED, f"{self.path}: closed by the peer")
        if text.startswith("Object ") and text.endswith("was not found."):
            status = Status.NOT_FOUND
        else:
            status = _STATUSES.get(text.rpartition(": ")[2], Status.UNKNOWN_ERROR)
        return BusError(status, f"{place}: {status_text(status)}")

    # --- objects and listeners ---

    def _add(self, name: str, table: dict[str, Any]) -> None:
        self._poke = True
        try:
            ubus.add(name, table)
        except RuntimeError as error:
            text = str(error).rpartition(": ")[2]
            status = _STATUSES.get(text, Status.UNKNOWN_ERROR)
            raise BusError(status, status_text(status)) from error
        self._retry = FIRST_RETRY  # only now do we know that this bus is of use

    def _add_missing(self) -> None:
        self._add_again = FOREVER
        for name in sorted(self._missing):
            try:
                self._add(name, self._objects[name])
                self._missing.discard(name)
                self._refused.discard(name)
            except BusError as error:
                if name not in self._refused:
                    self._refused.add(name)
                    text = f"the bus refuses object {name}: {error.message}"
                    log(f"{text}; trying again every second")
                self._add_again = monotonic() + ADD_RETRY

    def _handler(self, name: str, method: str, entry: Method) -> Callable[[Any, Any], None]:
        place = f"{name}.{method}"

        def handle(request: Any, data: dict[str, Any]) -> None:
            self._serving = True
            try:
                reply = dispatch.run(place, entry, dispatch.check_arguments(entry.args, data))
                try:
                    clean, size = _clean(reply)
                except BlobError as error:
                    log(f"the reply of {method} cannot be sent: {error}")
                    raise dispatch.internal_error(place) from error
                if size > wire.MAX_SENT - _REPLY_FRAME:
                    raise BusError(
                        Status.NO_MEMORY, f"the reply is too large: {size:,} bytes; ask for less"
                    )
                request.reply(clean)
            except BusError as error:
                request.reply(_clean({"error": error.message})[0])
                raise _Refused from None
            finally:
                self._serving = False

        return handle

    def _hear(self, pattern: str, handler: EventHandler) -> None:
        def heard(event: str, data: dict[str, Any]) -> None:
            self._serving = True
            try:
                dispatch.notify(pattern, handler, event, data)
            finally:
                self._serving = False

        self._poke = True
        ubus.listen((pattern, heard))  # says nothing when ubusd refuses


def _clean(table: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """`table` as the other end will read it, and its size on the wire in bytes.

    python-ubus goes by way of JSON, where NaN, a NUL in a string or a tuple's type would turn into
    something else than with the embedded backend. Raises BlobError.
    """
    data = blob.encode(table)
    return blob.decode(data, len(data)), len(data)


def _give_back_signals() -> None:
    """Undo libubox's handlers, which it installs over SIG_DFL and which would only set a flag."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)


def _sockets() -> set[int]:
    """The process's open sockets."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.add(int(name))
        except OSError:
            continue  # the descriptor of the listing itself
    return found
