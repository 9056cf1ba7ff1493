# SPDX-License-Identifier: GPL-2.0-only
"""What a ubus broker does with messages: objects, calls, events and subscriptions, without sockets.

Behaves as ubusd does towards its clients, but for one thing: when the server of a call goes away,
the caller is told NO_DATA at once (ubusd leaves it waiting for its own timeout).
"""

from __future__ import annotations

import os

from natflow.bus import blob, wire
from natflow.bus.blob import BlobError
from natflow.bus.interface import INT16, INT32, INT64, STRING, TABLE, Status
from natflow.bus.wire import Attr, FrameError, Message, TooLarge, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from natflow.bus.wire import Attributes

#: Bytes that may wait for a client: for calls and events to it, and for answers it has asked for.
#: A call over the first is refused, an event dropped; a client that lets the second fill up is cut
#: off, as it would miss an answer.
WORK_ROOM, ANSWER_ROOM = 2 << 20, 4 << 20
#: What one client may have.
MAX_OBJECTS, MAX_PATTERNS, MAX_TARGETS, MAX_CALLS = 256, 256, 256, 1024
MAX_PATH, MAX_SIGNATURE = 256, 64 << 10

#: Not a status: the handler has answered already, or will let somebody else answer.
_ANSWERED = -1


class Peer:
    """A client of the broker."""

    __slots__ = ("calls", "cut_off", "deliver", "group", "ident", "objects", "user")

    def __init__(
        self, ident: int, user: str, group: str, deliver: Callable[[bytes, int], bool]
    ) -> None:
        """deliver(packed, room): queue a message unless more than `room` bytes would wait."""
        self.ident = ident
        self.user = user
        self.group = group
        self.deliver = deliver
        self.objects: dict[int, _Object] = {}
        #: Its calls that have no STATUS yet: (seq, object id) to the peer that has to answer.
        self.calls: dict[tuple[int, int], Peer] = {}
        #: Set when it missed an answer: the connection must be closed.
        self.cut_off = False

    def answer(self, kind: int, seq: int, sender: int, body: bytes) -> None:
        """Deliver something the peer waits for."""
        packed = wire.pack(kind, seq, sender, body, wire.MAX_MESSAGE)
        if not self.deliver(packed, ANSWER_ROOM):
            self.cut_off = True


class _Type:
    """A signature, shared by all objects that name it."""

    __slots__ = ("ident", "signature", "users")

    def __init__(self, ident: int, signature: bytes) -> None:
        self.ident = ident
        self.signature = signature
        self.users = 0


class _Object:
    __slots__ = ("ident", "path", "patterns", "peer", "subscribers", "targets", "type")

    def __init__(self, ident: int, path: str | None, kind: _Type | None, peer: Peer) -> None:
        self.ident = ident
        self.path = path
        self.type = kind
        self.peer = peer
        self.patterns: set[str] = set()
        self.subscribers: dict[int, _Object] = {}
        self.targets: dict[int, _Object] = {}


class Exchange:
    """All peers, and what they have put on the bus."""

    def __init__(self) -> None:
        self._peers: dict[int, Peer] = {}
        self._objects: dict[int, _Object] = {}
        self._paths: dict[str, _Object] = {}
        self._types: dict[int, _Type] = {}
        self._seq = 0
        self._handlers = {
            Type.PING: self._ping,
            Type.LOOKUP: self._lookup,
            Type.INVOKE: self._invoke,
            Type.ADD_OBJECT: self._add_object,
            Type.REMOVE_OBJECT: self._remove_object,
            Type.SUBSCRIBE: self._subscribe,
            Type.UNSUBSCRIBE: self._unsubscribe,
            Type.NOTIFY: self._notify,
        }

    def join(self, user: str, group: str, deliver: Callable[[bytes, int], bool]) -> Peer:
        """Take a client in and greet it."""
        peer = Peer(_new_id(self._peers), user, group, deliver)
        self._peers[peer.ident] = peer
        peer.answer(Type.HELLO, 0, peer.ident, b"")
        return peer

    def leave(self, peer: Peer) -> None:
        """Forget a client and all it had; who waits for its answers is told."""
        self._peers.pop(peer.ident, None)
        for found in list(peer.objects.values()):
            self._free(found)
        peer.calls.clear()

    def handle(self, peer: Peer, message: Message) -> None:
        """Deal with one message of a client; raises FrameError when it deserves no further one."""
        if message.type in (Type.DATA, Type.STATUS):
            self._forward_answer(peer, message)
            return
        handler = self._handlers.get(message.type)
        if handler is None:
            status = Status.INVALID_COMMAND
        else:
            try:
                status = handler(peer, message, message.attributes())
            except (BlobError, TooLarge):
                status = Status.INVALID_ARGUMENT
        if status != _ANSWERED:
            body = wire.put_number(Attr.STATUS, status)
            peer.answer(Type.STATUS, message.seq, message.peer, body)

    # --- objects ---

    def _ping(self, peer: Peer, message: Message, _attributes: Attributes) -> int:
        peer.answer(Type.DATA, message.seq, message.peer, message.body)
        return Status.OK

    def _lookup(self, peer: Peer, message: Message, attributes: Attributes) -> int:
        path = attributes.text(Attr.OBJPATH)
        if path is None:
            found = [self._paths[known] for known in sorted(self._paths)]
        elif not path:
            return Status.INVALID_ARGUMENT
        elif path.endswith("*"):
            names = [known for known in sorted(self._paths) if known.startswith(path[:-1])]
            found = [self._paths[known] for known in names]
        else:
            found = [self._paths[path]] if path in self._paths else []
        if path is not None and not found:
            return Status.NOT_FOUND
        for entry in found:
            if entry.type is None or entry.path is None:
                continue
            body = (
                wire.put_text(Attr.OBJPATH, entry.path)
                + wire.put_number(Attr.OBJID, entry.ident)
                + wire.put_number(Attr.OBJTYPE, entry.type.ident)
                + wire.put_nested(Attr.SIGNATURE, entry.type.signature)
            )
            peer.answer(Type.DATA, message.seq, message.peer, body)
        return Status.OK

    def _add_object(self, peer: Peer, message: Message, attributes: Attributes) -> int:
        path = attributes.text(Attr.OBJPATH)
        if path is not None and (not path or len(path) > MAX_PATH or path in self._paths):
            return Status.INVALID_ARGUMENT
        if len(peer.objects) >= MAX_OBJECTS:
            return Status.NO_MEMORY
        kind: _Type | None = None
        type_id = attributes.number(Attr.OBJTYPE)
        signature = attributes.nested(Attr.SIGNATURE)
        if type_id is not None:
            kind = self._types.get(type_id)
            if kind is None:
                return Status.INVALID_ARGUMENT
        elif signature is not None:
            _check_signature(signature)
            kind = _Type(_new_id(self._types), signature)
        entry = _Object(_new_id(self._objects), path, kind, peer)
        body = wire.put_number(Attr.OBJID, entry.ident)
        if kind is not None:
            self._types[kind.ident] = kind
            kind.users += 1
            body += wire.put_number(Attr.OBJTYPE, kind.ident)
        self._objects[entry.ident] = entry
        peer.objects[entry.ident] = entry
        if path is not None:
            self._paths[path] = entry
            self._announce("ubus.object.add", entry)
        peer.answer(Type.DATA, message.seq, message.peer, body)
        return Status.OK

    def _remove_object(self, peer: Peer, message: Message, attributes: Attributes) -> int:
        ident = attributes.number(Attr.OBJID)
        if ident is None:
            return Status.INVALID_ARGUMENT
        entry = self._objects.get(ident)
        if entry is None:
            return Status.NOT_FOUND
        if entry.peer is not peer:
            return Status.PERMISSION_DENIED
        body = wire.put_number(Attr.OBJID, ident)
        if entry.type is not None and entry.type.users == 1:
            body += wire.put_number(Attr.OBJTYPE, entry.type.ident)
        peer.answer(Type.DATA, message.seq, message.peer, body)
        self._free(entry)
        return Status.OK

    def _free(self, entry: _Object) -> None:
        for target in list(entry.targets.values()):
            self._part(entry, target)
        for subscriber in list(entry.subscribers.values()):
            body = wire.put_number(Attr.OBJID, subscriber.ident)
            body += wire.put_number(Attr.TARGET, entry.ident)
            subscriber.peer.answer(Type.UNSUBSCRIBE, self._next_seq(), 0, body)
            self._part(subscriber, entry)
        del self._objects[entry.ident]
        del entry.peer.objects[entry.ident]
        if entry.type is not None:
            entry.type.users -= 1
            if not entry.type.users:
                del self._types[entry.type.ident]
        if entry.path is not None:
            del self._paths[entry.path]
            self._announce("ubus.object.remove", entry)
        self._fail_calls(entry)

    def _fail_calls(self, entry: _Object) -> None:
        """Tell every caller that still waits for `entry` that no answer will come."""
        body = wire.put_number(Attr.STATUS, Status.NO_DATA)
        body += wire.put_number(Attr.OBJID, entry.ident)
        for caller in self._peers.values():
            for seq, ident in [key for key in caller.calls if key[1] == entry.ident]:
                del caller.calls[seq, ident]
                caller.answer(Type.STATUS, seq, ident, body)

    # --- calls ---

    def _invoke(self, peer: Peer, message: Message, attributes: Attributes) -> int:
        ident, method = attributes.number(Attr.OBJID), attributes.text(Attr.METHOD)
        if ident is None or method is None:
            return Status.INVALID_ARGUMENT
        data = attributes.nested(Attr.DATA)
        if ident < wire.FIRST_FREE_OBJECT:
            return self._invoke_bus(peer, message, ident, method, data or b"")
        entry = self._objects.get(ident)
        if entry is None:
            return Status.NOT_FOUND
        return self._forward_call(peer, message.seq, entry, method, data, False)

    def _forward_call(
        self, peer: Peer, seq: int, entry: _Object, method: str, data: bytes | None, silent: bool
    ) -> int:
        """Pass a call on; its server answers it, unless it is `silent`."""
        body = wire.put_number(Attr.OBJID, entry.ident) + wire.put_text(Attr.METHOD, method)
        if silent:
            body += wire.put_flag(Attr.NO_REPLY, True)
        body += wire.put_text(Attr.USER, peer.user) + wire.put_text(Attr.GROUP, peer.group)
        if data is not None:
            body += wire.put_nested(Attr.DATA, data)
        try:
            packed = wire.pack(Type.INVOKE, seq, peer.ident, body, wire.MAX_MESSAGE)
        except TooLarge:
            return Status.INVALID_ARGUMENT
        if not entry.peer.deliver(packed, WORK_ROOM):
            return Status.NO_MEMORY
        if not silent:
            if len(peer.calls) >= MAX_CALLS:  # the oldest is the one its caller gave up first
                del peer.calls[next(iter(peer.calls))]
            peer.calls[seq, entry.ident] = entry.peer
        return _ANSWERED

    def _forward_answer(self, peer: Peer, message: Message) -> None:
        """Pass DATA or STATUS on to whoever called; nobody else gets one."""
        try:
            attributes = message.attributes()
        except BlobError as error:
            raise FrameError(f"an answer that is no blob: {error}") from error
        ident = attributes.number(Attr.OBJID)
        caller = self._peers.get(message.peer)
        if ident is None or caller is None:
            return
        if message.type == Type.STATUS:
            content = attributes.number(Attr.STATUS) is not None
        else:
            content = attributes.nested(Attr.DATA) is not None
        if not content or caller.calls.get((message.seq, ident)) is not peer:
            return
        if message.type == Type.STATUS:
            del caller.calls[message.seq, ident]
        caller.answer(message.type, message.seq, ident, message.body)

    def _invoke_bus(
        self, peer: Peer, message: Message, ident: int, method: str, data: bytes
    ) -> int:
        """A call to the bus itself."""
        if ident == wire.EVENT_OBJECT and method == "register":
            return self._register(peer, data)
        if ident == wire.EVENT_OBJECT and method == "send":
            return self._send_event(peer, data)
        if ident == wire.ACL_OBJECT and method == "query":
            body = wire.put_number(Attr.OBJID, ident)
            body += wire.put_nested(Attr.DATA, blob.encode({"seq": 0, "acl": []}))
            peer.answer(Type.DATA, message.seq, message.peer, body)
            return Status.OK
        if ident == wire.MONITOR_OBJECT:
            return Status.NOT_SUPPORTED
        if ident in (wire.EVENT_OBJECT, wire.ACL_OBJECT):
            return Status.INVALID_COMMAND
        return Status.NOT_FOUND

    # --- events ---

    def _register(self, peer: Peer, data: bytes) -> int:
        values = blob.decode(data)
        ident, pattern = values.get("object"), values.get("pattern")
        if not isinstance(ident, int) or isinstance(ident, bool) or not isinstance(pattern, str):
            return Status.INVALID_ARGUMENT
        ident &= 0xFFFFFFFF  # travels as an INT32
        if ident < wire.FIRST_FREE_OBJECT or not pattern or len(pattern) > MAX_PATH:
            return Status.PERMISSION_DENIED
        entry = self._objects.get(ident)
        if entry is None:
            return Status.NOT_FOUND
        if entry.peer is not peer:
            return Status.PERMISSION_DENIED
        if len(entry.patterns) >= MAX_PATTERNS:
            return Status.NO_MEMORY
        entry.patterns.add(pattern)
        return Status.OK

    def _send_event(self, peer: Peer, data: bytes) -> int:
        values = blob.shallow(data)
        kind, raw = values.get("id", (0, b""))
        content_kind, content = values.get("data", (0, b""))
        if kind != STRING or content_kind != TABLE:
            return Status.INVALID_ARGUMENT
        event = raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if event.startswith("ubus."):
            return Status.PERMISSION_DENIED
        self._publish(event, content, peer)
        return Status.OK

    def _announce(self, event: str, entry: _Object) -> None:
        signed = entry.ident - (1 << 32) if entry.ident >> 31 else entry.ident
        path = (entry.path or "").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self._publish(event, blob.encode({"id": signed, "path": path}), None)

    def _publish(self, event: str, content: bytes, sender: Peer | None) -> None:
        """Deliver an event to every listener but its sender; who is too slow misses it."""
        for entry in self._objects.values():
            if entry.peer is sender or not entry.patterns:
                continue
            if not any(_matches(pattern, event) for pattern in entry.patterns):
                continue
            body = (
                wire.put_number(Attr.OBJID, entry.ident)
                + wire.put_text(Attr.METHOD, event)
                + wire.put_nested(Attr.DATA, content)
            )
            entry.peer.deliver(wire.pack(Type.INVOKE, self._next_seq(), 0, body), WORK_ROOM)

    # --- subscriptions ---

    def _subscribe(self, peer: Peer, _message: Message, attributes: Attributes) -> int:
        subscriber, target, status = self._pair(peer, attributes)
        if subscriber is None or target is None:
            return status
        if target.peer is peer:
            return Status.INVALID_ARGUMENT
        if len(subscriber.targets) >= MAX_TARGETS:
            return Status.NO_MEMORY
        first = not target.subscribers
        subscriber.targets[target.ident] = target
        target.subscribers[subscriber.ident] = subscriber
        if first:
            self._tell_active(target)
        return Status.OK

    def _unsubscribe(self, peer: Peer, _message: Message, attributes: Attributes) -> int:
        subscriber, target, status = self._pair(peer, attributes)
        if subscriber is None or target is None:
            return status
        if target.ident not in subscriber.targets:
            return Status.NOT_FOUND
        self._part(subscriber, target)
        return Status.OK

    def _pair(
        self, peer: Peer, attributes: Attributes
    ) -> tuple[_Object | None, _Object | None, int]:
        """The subscriber and the target a message names, or why not."""
        ident, target_id = attributes.number(Attr.OBJID), attributes.number(Attr.TARGET)
        if ident is None or target_id is None:
            return None, None, Status.INVALID_ARGUMENT
        subscriber, target = self._objects.get(ident), self._objects.get(target_id)
        if subscriber is None or target is None:
            return None, None, Status.NOT_FOUND
        if subscriber.peer is not peer:
            return None, None, Status.INVALID_ARGUMENT
        return subscriber, target, Status.OK

    def _part(self, subscriber: _Object, target: _Object) -> None:
        del subscriber.targets[target.ident]
        del target.subscribers[subscriber.ident]
        if not target.subscribers:
            self._tell_active(target)

    def _tell_active(self, target: _Object) -> None:
        """Tell an object's owner whether anybody listens to it."""
        body = wire.put_number(Attr.OBJID, target.ident)
        body += wire.put_flag(Attr.ACTIVE, bool(target.subscribers))
        target.peer.answer(Type.NOTIFY, self._next_seq(), 0, body)

    def _notify(self, peer: Peer, message: Message, attributes: Attributes) -> int:
        ident, method = attributes.number(Attr.OBJID), attributes.text(Attr.METHOD)
        if ident is None or method is None:
            return Status.INVALID_ARGUMENT
        entry = self._objects.get(ident)
        if entry is None:
            return Status.NOT_FOUND
        if entry.peer is not peer:
            return Status.PERMISSION_DENIED
        silent = bool(attributes.number(Attr.NO_REPLY))
        data = attributes.nested(Attr.DATA)
        subscribers = list(entry.subscribers.values())
        if not silent:
            numbers = b"".join(wire.put_number(0, one.ident) for one in subscribers)
            body = (
                wire.put_number(Attr.OBJID, ident)
                + wire.put_nested(Attr.SUBSCRIBERS, numbers)
                + wire.put_number(Attr.STATUS, Status.OK)
            )
            peer.answer(Type.STATUS, message.seq, message.peer, body)
        for subscriber in subscribers:
            status = self._forward_call(peer, message.seq, subscriber, method, data, silent)
            if status != _ANSWERED and not silent:
                body = wire.put_number(Attr.STATUS, status)
                body += wire.put_number(Attr.OBJID, subscriber.ident)
                peer.answer(Type.STATUS, message.seq, subscriber.ident, body)
        return _ANSWERED

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) & 0xFFFF
        return self._seq


def _matches(pattern: str, event: str) -> bool:
    return event.startswith(pattern[:-1]) if pattern.endswith("*") else event == pattern


def _check_signature(signature: bytes) -> None:
    """Raise BlobError unless it says {method: {argument: number}}."""
    if len(signature) > MAX_SIGNATURE:
        raise BlobError(f"a signature of {len(signature)} bytes; at most {MAX_SIGNATURE} fit")
    for method, (kind, arguments) in blob.shallow(signature).items():
        if kind != TABLE:
            raise BlobError(f"signature of method {method} is no table")
        for name, (argument_kind, value) in blob.shallow(arguments).items():
            if argument_kind not in (INT16, INT32, INT64):
                raise BlobError(f"type of argument {name} of method {method} is no number")
            if len(value) not in (2, 4, 8):
                raise BlobError(f"type of argument {name} of method {method} is malformed")


def _new_id(taken: dict[int, Peer] | dict[int, _Object] | dict[int, _Type]) -> int:
    """An id nobody can guess: it is what a caller addresses an object by."""
    while True:
        ident = int.from_bytes(os.urandom(4), "big")
        if ident >= wire.FIRST_FREE_OBJECT and ident not in taken:
            return ident
