# SPDX-License-Identifier: GPL-2.0-only
"""The bus in pure Python: a client of ubusd (or of `natflow.bus.broker`) that speaks the wire
protocol itself.

Objects and listeners are remembered, and added again on each new link.
"""

from __future__ import annotations

from time import monotonic

from natflow.bus import blob, dispatch, wire
from natflow.bus.blob import BlobError
from natflow.bus.dispatch import log
from natflow.bus.interface import Bus, BusError, Method, Status, status_text
from natflow.bus.link import Link, Request
from natflow.bus.watches import FOREVER, Watches
from natflow.bus.wire import Attr, Message, TooLarge, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from natflow.bus.interface import EventHandler
    from natflow.bus.wire import Attributes

#: Seconds: how long a new link may take to greet us, and to answer a request to the bus itself.
GREETING_TIME = 5.0
BUS_TIME = 5.0
#: Seconds between attempts to connect (doubling from the first to the last).
FIRST_RETRY, LAST_RETRY = 0.1, 1.0
#: Seconds between attempts to add an object the bus refused after a reconnect: our dead predecessor
#: may still hold its name.
ADD_RETRY = 1.0
#: Values a served call may carry: our methods take one small table.
ARGUMENT_ITEMS = 4096


class _Object:
    """An object we serve; `ident` is its id on the present link, `adding` says that we asked for
    one.
    """

    __slots__ = ("adding", "ident", "methods", "name", "refused")

    def __init__(self, name: str, methods: dict[str, Method]) -> None:
        self.name = name
        self.methods = methods
        self.ident: int | None = None
        self.adding = False
        self.refused = False


class EmbeddedBus(Bus):
    """See `natflow.bus.interface.Bus`."""

    def __init__(self, path: str) -> None:
        """Connect to the socket `path` if a bus answers there now; else `tick` goes on trying."""
        self.path = path
        self._objects: dict[str, _Object] = {}
        self._events = _Object("", {})  # the nameless object that events are sent to
        self._listeners: list[tuple[str, EventHandler]] = []
        self._watches = Watches()
        self._link: Link | None = None
        self._retry = FIRST_RETRY
        self._next_attempt = 0.0
        self._greeting_deadline = 0.0
        self._add_again = FOREVER
        self._problem = f"{path}: not connected"
        self._closed = False
        self._reach(monotonic() + 1.0)

    # --- the interface ---

    def serve(self, name: str, methods: Mapping[str, Method]) -> None:
        dispatch.check_methods(name, methods)
        if name in self._objects:
            raise BusError(Status.INVALID_ARGUMENT, f"object {name} is served already")
        entry = _Object(name, dict(methods))
        self._objects[name] = entry
        status = self._settle(self._add(entry))
        if status:
            del self._objects[name]
            raise BusError(
                status,
                f"cannot add object {name}: {status_text(status)} (is its name taken by another"
                " process, or this user not allowed to publish it?)",
            )

    def send(self, event: str, data: Mapping[str, Any]) -> bool:
        if not self.connected or self._link is None or event.startswith("ubus."):
            return False
        try:
            arguments = blob.encode({"id": event, "data": dict(data)})
            body = _invocation(wire.EVENT_OBJECT, "send", arguments)
            self._link.begin(Type.INVOKE, wire.EVENT_OBJECT, body)
        except (TooLarge, BlobError) as error:
            log(f"event {event} not sent: {error}")
            return False
        except BusError:
            return False
        return True

    def listen(self, pattern: str, handler: EventHandler) -> None:
        if not pattern:
            raise ValueError("an event pattern must not be empty")
        if self.connected and not any(other == pattern for other, _ in self._listeners):
            status = self._settle(self._add(self._events))
            status = status or self._settle(self._register(pattern))
            if status:
                raise BusError(status, f"cannot listen to {pattern}: {status_text(status)}")
        self._listeners.append((pattern, handler))

    def call(
        self,
        obj: str,
        method: str,
        args: Mapping[str, Any] | None = None,
        timeout: float = 30.0,
    ) -> dict[str, Any]:
        deadline = monotonic() + timeout
        place = f"{obj}.{method}"
        try:
            arguments = blob.encode(args or {})
        except BlobError as error:
            raise BusError(Status.INVALID_ARGUMENT, f"{place}: {error}") from error
        ident = self._lookup_id(obj, deadline)
        request = self._ask(Type.INVOKE, ident, _invocation(ident, method, arguments), deadline)
        reply: dict[str, Any] = {}
        for message in request.replies:
            try:
                data = message.attributes().nested(Attr.DATA) or b""
                reply.update(blob.decode(data))
            except BlobError as error:
                raise BusError(Status.PARSE_ERROR, f"{place} answered nonsense: {error}") from error
        if request.status:
            text = reply.get("error")
            if not isinstance(text, str):
                text = f"{place}: {status_text(request.status)}"
            raise BusError(request.status, text)
        return reply

    def objects(
        self, pattern: str = "*", timeout: float = 30.0
    ) -> dict[str, dict[str, dict[str, int]]]:
        return {
            path: {
                method: args if isinstance(args, dict) else {} for method, args in signature.items()
            }
            for path, _, signature in self._lookup(pattern, monotonic() + timeout)
        }

    def watch(self, fd: int, callback: Callable[[], None] | None) -> None:
        self._watches.set(fd, callback)

    def tick(self, seconds: float) -> None:
        now = monotonic()
        deadline = now + seconds
        while True:
            self._keep_up(now)
            worked = self._link is not None and self._link.work_off()
            wait = 0.0 if worked else max(0.0, min(deadline, self._alarm()) - now)
            worked |= self._wait(wait)
            if self._link is not None:
                worked |= self._link.work_off()
                if self._link is not None and self._link.client_id is not None:
                    self._greeted()
            now = monotonic()
            if worked or now >= deadline:
                return

    def close(self) -> None:
        self._closed = True
        if self._link is not None:
            self._link.lose("closed")

    # --- the link ---

    def _connect(self, now: float) -> None:
        """Start a link; it counts once the bus has greeted us."""
        try:
            self._link = Link(self.path, self._invoked, self._lost)
        except (OSError, ValueError) as error:
            self._problem = f"{self.path}: {getattr(error, 'strerror', None) or error}"
            self._put_off(now)
        else:
            self._greeting_deadline = now + GREETING_TIME

    def _reach(self, deadline: float) -> None:
        """Try to be connected by `deadline`, without regard to the backoff."""
        if self._link is None and not self._closed:
            self._connect(monotonic())
        if self._link is not None and not self.connected and self._link.await_greeting(deadline):
            self._greeted()

    def _greeted(self) -> None:
        if not self.connected:
            self.connected = True
            self._add_all()

    def _lost(self, link: Link) -> None:
        if self.connected and not self._closed:
            log(f"lost the bus at {self.path}: {link.problem}")
        self._problem = f"{self.path}: {link.problem}"
        self._link = None
        self.connected = False
        self._add_again = FOREVER
        for entry in (*self._objects.values(), self._events):
            entry.ident = None
            entry.adding = False
        self._put_off(monotonic())

    def _put_off(self, now: float) -> None:
        self._next_attempt = now + self._retry
        self._retry = min(self._retry * 2, LAST_RETRY)

    def _alarm(self) -> float:
        """When `_keep_up` next has something to do."""
        if self._closed:
            return FOREVER
        if self._link is None:
            return self._next_attempt
        return self._add_again if self.connected else self._greeting_deadline

    def _keep_up(self, now: float) -> None:
        """What time alone brings: another attempt to connect, to add an object; the end of
        patience.
        """
        if now < self._alarm() or self._closed:
            return
        if self._link is None:
            self._connect(now)
        elif self.connected:
            self._add_all()
        else:
            self._link.lose("connected, but the bus did not greet us")

    def _wait(self, seconds: float) -> bool:
        """Wait for the bus and the watched descriptors; True when any of them was ready."""
        link = self._link
        if link is None:
            return self._watches.wait(seconds, -1, 0)[0]
        ready, what = self._watches.wait(seconds, link.fileno(), link.interest())
        if what and link.alive:  # a callback may have lost it
            link.transfer(what)
        return ready

    # --- our requests ---

    def _ask(self, kind: int, peer: int, body: bytes, deadline: float) -> Request:
        """Send a request and wait for its status; raises BusError for what never got one."""
        self._reach(min(deadline, monotonic() + BUS_TIME))
        link = self._link
        if link is None or not self.connected:
            raise BusError(Status.CONNECTION_FAILED, self._problem)
        try:
            request = link.begin(kind, peer, body)
        except TooLarge as error:
            raise BusError(Status.INVALID_ARGUMENT, str(error)) from error
        if not link.wait(request, deadline):
            link.forget(request)
            raise BusError(Status.TIMEOUT)
        if not link.alive:
            raise BusError(Status.CONNECTION_FAILED, self._problem)
        return request

    def _settle(self, request: Request | None) -> int:
        """Wait for the bus to agree: its status, 0 also when it did not say (a new link asks
        again).
        """
        link = self._link
        if request is None or link is None or not link.wait(request, monotonic() + BUS_TIME):
            return Status.OK
        return (request.status or Status.OK) if link.alive else Status.OK

    def _lookup(self, pattern: str, deadline: float) -> list[tuple[str, int, dict[str, Any]]]:
        """(path, object id, signature) of what is on the bus and visible to us."""
        if not pattern:
            raise BusError(Status.NOT_FOUND, "an object's name must not be empty")
        request = self._ask(Type.LOOKUP, 0, wire.put_text(Attr.OBJPATH, pattern), deadline)
        if request.status == Status.NOT_FOUND:
            return []
        if request.status:
            raise BusError(request.status, f"{pattern}: {status_text(request.status)}")
        found = []
        for message in request.replies:
            try:
                attributes = message.attributes()
                path, ident = attributes.text(Attr.OBJPATH), attributes.number(Attr.OBJID)
                signature = blob.decode(attributes.nested(Attr.SIGNATURE) or b"")
            except BlobError as error:
                problem = f"{pattern}: the bus answered nonsense: {error}"
                raise BusError(Status.PARSE_ERROR, problem) from error
            if path is not None and ident is not None:
                found.append((path, ident, signature))
        return found

    def _lookup_id(self, obj: str, deadline: float) -> int:
        for path, ident, _ in self._lookup(obj, deadline):
            if path == obj:
                return ident
        raise BusError(Status.NOT_FOUND, f"{obj}: {status_text(Status.NOT_FOUND)}")

    # --- our objects ---

    def _add_all(self) -> None:
        """Ask for an id for everything that has none."""
        self._add_again = FOREVER
        for entry in list(self._objects.values()):
            self._add(entry)
        if self._listeners:
            self._add(self._events)

    def _add(self, entry: _Object) -> Request | None:
        """Put an object on the bus; None when it is there, on its way, or there is no bus."""
        link = self._link
        if entry.ident is not None or entry.adding or link is None or not self.connected:
            return None
        body = b""
        if entry.name:
            signature = {name: method.args for name, method in entry.methods.items()}
            body = wire.put_text(Attr.OBJPATH, entry.name)
            body += wire.put_nested(Attr.SIGNATURE, blob.encode(signature))

        def done(request: Request) -> None:
            entry.adding = False
            if not link.alive:
                return
            if request.status == Status.OK:
                self._added(entry, link, request)
            else:
                self._refused(entry, request.status or Status.UNKNOWN_ERROR)

        entry.adding = True
        try:
            return link.begin(Type.ADD_OBJECT, 0, body, done)
        except BusError:
            return None

    def _added(self, entry: _Object, link: Link, request: Request) -> None:
        try:
            for message in request.replies:
                entry.ident = message.attributes().number(Attr.OBJID)
        except BlobError:
            entry.ident = None
        if entry.ident is None:
            link.lose("the bus added an object without telling its id")
            return
        entry.refused = False
        self._retry = FIRST_RETRY  # only now do we know that this bus is of use
        if entry is self._events:
            for pattern in {pattern for pattern, _ in self._listeners}:
                self._register(pattern)

    def _refused(self, entry: _Object, status: int) -> None:
        if not entry.refused:
            entry.refused = True
            name = f"object {entry.name}" if entry.name else "our event listener"
            log(f"the bus refuses {name}: {status_text(status)}; trying again every second")
        self._add_again = monotonic() + ADD_RETRY

    def _register(self, pattern: str) -> Request | None:
        ident = self._events.ident
        if self._link is None or ident is None:
            return None
        signed = ident - (1 << 32) if ident >> 31 else ident  # ubusd wants an INT32
        arguments = blob.encode({"object": signed, "pattern": pattern})

        def done(request: Request) -> None:
            if request.status and request.status != Status.CONNECTION_FAILED:
                log(f"the bus refuses listening to {pattern}: {status_text(request.status)}")

        body = _invocation(wire.EVENT_OBJECT, "register", arguments)
        try:
            return self._link.begin(Type.INVOKE, wire.EVENT_OBJECT, body, done)
        except BusError:
            return None

    # --- what others want of us ---

    def _invoked(self, link: Link, message: Message) -> None:
        """A call to one of our objects, or an event."""
        try:
            attributes = message.attributes()
        except BlobError as error:
            link.lose(f"nonsense from the bus: {error}")
            return
        ident, name = attributes.number(Attr.OBJID), attributes.text(Attr.METHOD) or ""
        if ident is None:
            return  # cannot be answered: an answer names its object
        if ident == self._events.ident:
            self._event(name, attributes.nested(Attr.DATA) or b"")
            return
        status = Status.OK
        try:
            data = blob.encode(self._run(ident, name, attributes))
        except BlobError as error:
            log(f"the reply of {name} cannot be sent: {error}")
            failure = dispatch.internal_error(name)
            status, data = failure.status, blob.encode({"error": failure.message})
        except BusError as error:
            status = error.status or Status.UNKNOWN_ERROR
            data = blob.encode({"error": error.message})
        if not attributes.number(Attr.NO_REPLY):
            link.reply(message, ident, status, data)

    def _run(self, ident: int, name: str, attributes: Attributes) -> dict[str, Any]:
        for entry in self._objects.values():
            if entry.ident == ident:
                break
        else:
            raise BusError(Status.NOT_FOUND)
        method = entry.methods.get(name)
        if method is None:
            known = ", ".join(entry.methods)
            raise BusError(
                Status.METHOD_NOT_FOUND,
                f"{entry.name} has no method {name[:40]}; it has {known}",
            )
        try:
            given = blob.decode(attributes.nested(Attr.DATA) or b"", ARGUMENT_ITEMS)
        except BlobError as error:
            raise BusError(Status.INVALID_ARGUMENT, f"malformed arguments: {error}") from error
        arguments = dispatch.check_arguments(method.args, given)
        return dispatch.run(f"{entry.name}.{name}", method, arguments)

    def _event(self, name: str, data: bytes) -> None:
        try:
            content = blob.decode(data)
        except BlobError as error:
            log(f"malformed event {name}: {error}")
            return
        for pattern, handler in list(self._listeners):
            if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
                dispatch.notify(pattern, handler, name, content)


def _invocation(ident: int, method: str, arguments: bytes) -> bytes:
    return (
        wire.put_number(Attr.OBJID, ident)
        + wire.put_text(Attr.METHOD, method)
        + wire.put_nested(Attr.DATA, arguments)
    )
