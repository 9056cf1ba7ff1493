# SPDX-License-Identifier: GPL-2.0-only
"""ubus messages and their way over a stream socket.

A message is `u8 version = 0, u8 type, be16 seq, be32 peer`, then one blob attribute with id 0 that
holds the message's own attributes. Source: ubusmsg.h; limits as in ubusd.
"""

from __future__ import annotations

import socket
from struct import Struct

from natflow.bus import blob
from natflow.bus.blob import BlobError

#: A blob over this makes ubusd close the connection (UBUS_MAX_MSGLEN).
MAX_MESSAGE = 1 << 20
#: What we send stays a little below, because the bus adds the caller's user and group to a call it
#: forwards.
MAX_SENT = MAX_MESSAGE - 1024
#: Bytes taken from a socket in one go.
CHUNK = 1 << 16

_HEAD = Struct(">BBHII")
_LENGTH = 0x00FFFFFF
_U32 = Struct(">I")


class Type:
    """Message types."""

    HELLO = 0
    STATUS = 1
    DATA = 2
    PING = 3
    LOOKUP = 4
    INVOKE = 5
    ADD_OBJECT = 6
    REMOVE_OBJECT = 7
    SUBSCRIBE = 8
    UNSUBSCRIBE = 9
    NOTIFY = 10


class Attr:
    """Attribute ids."""

    STATUS = 1
    OBJPATH = 2
    OBJID = 3
    METHOD = 4
    OBJTYPE = 5
    SIGNATURE = 6
    DATA = 7
    TARGET = 8
    ACTIVE = 9
    NO_REPLY = 10
    SUBSCRIBERS = 11
    USER = 12
    GROUP = 13


_U32_ATTRS = frozenset((Attr.STATUS, Attr.OBJID, Attr.OBJTYPE, Attr.TARGET))
_U8_ATTRS = frozenset((Attr.ACTIVE, Attr.NO_REPLY))
_STRING_ATTRS = frozenset((Attr.OBJPATH, Attr.METHOD, Attr.USER, Attr.GROUP))

#: Objects that are the bus itself.
EVENT_OBJECT, ACL_OBJECT, MONITOR_OBJECT, FIRST_FREE_OBJECT = 1, 2, 3, 1024


class FrameError(Exception):
    """The stream is out of step or the peer breaks the protocol: the only remedy is to close the
    connection.
    """


class TooLarge(Exception):
    """A message over the bus's limit; `size` in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a message of {size:,} bytes; ubus carries at most {MAX_SENT:,}")
        self.size = size


class Message:
    """One message: `body` is its attributes, still encoded."""

    __slots__ = ("body", "peer", "seq", "type")

    def __init__(self, kind: int, seq: int, peer: int, body: bytes) -> None:
        self.type = kind
        self.seq = seq
        self.peer = peer
        self.body = body

    def attributes(self) -> Attributes:
        """The message's attributes, checked; raises BlobError."""
        return Attributes(self.body)


class Attributes:
    """A message's attributes by id; ids unknown to us are skipped, as ubusd does, so that ubus can
    grow.
    """

    __slots__ = ("_raw", "_words")

    def __init__(self, body: bytes) -> None:
        self._raw: dict[int, bytes] = {}
        self._words: dict[int, int] = {}
        for ident, payload in blob.split(body):
            if ident in _U32_ATTRS:
                if len(payload) != 4:
                    raise BlobError(f"message attribute {ident} has {len(payload)} bytes, not 4")
                self._words[ident] = _U32.unpack(payload)[0]
            elif ident in _U8_ATTRS:
                if len(payload) != 1:
                    raise BlobError(f"message attribute {ident} has {len(payload)} bytes, not 1")
                self._words[ident] = payload[0]
            elif ident in _STRING_ATTRS:
                if not payload.endswith(b"\0"):
                    raise BlobError(f"message attribute {ident} is a string without its NUL")
                self._raw[ident] = payload.partition(b"\0")[0]
            else:
                self._raw[ident] = payload

    def number(self, ident: int) -> int | None:
        """An unsigned number, or None."""
        return self._words.get(ident)

    def text(self, ident: int) -> str | None:
        """A string, or None; bytes that are no UTF-8 survive a round trip through `put_text`."""
        raw = self._raw.get(ident)
        return None if raw is None else raw.decode("utf-8", "surrogateescape")

    def nested(self, ident: int) -> bytes | None:
        """A container's content, still encoded, or None."""
        return self._raw.get(ident)


def put_number(ident: int, value: int) -> bytes:
    """A 32-bit attribute, modulo 2**32."""
    return blob.attribute(ident, _U32.pack(value & 0xFFFFFFFF))


def put_flag(ident: int, value: bool) -> bytes:
    """An 8-bit attribute."""
    return blob.attribute(ident, b"\1" if value else b"\0")


def put_text(ident: int, text: str) -> bytes:
    """A string attribute; the text ends at its first NUL."""
    return blob.attribute(
        ident, text.encode("utf-8", "surrogateescape").partition(b"\0")[0] + b"\0"
    )


put_nested = blob.attribute


def pack(kind: int, seq: int, peer: int, body: bytes = b"", limit: int = MAX_SENT) -> bytes:
    """A whole message; raises TooLarge when its blob would be over `limit` bytes."""
    size = 4 + len(body)
    if size > limit:
        raise TooLarge(size)
    return _HEAD.pack(0, kind, seq, peer, size) + body


class Channel:
    """Messages over a connected, non-blocking stream socket, with bounded memory in both
    directions.
    """

    __slots__ = ("_in", "_out", "limit", "sock")

    def __init__(self, sock: socket.socket, limit: int) -> None:
        """`limit`: bytes that may wait to be written."""
        self.sock = sock
        self.limit = limit
        self._in = bytearray()
        self._out = bytearray()

    @property
    def queued(self) -> int:
        """Bytes waiting to be written."""
        return len(self._out)

    def receive(self) -> list[Message]:
        """Read once (CHUNK bytes at most) and return the messages that are complete now.

        Raises FrameError when the stream is out of step, OSError when the connection is gone
        (EOFError: closed by the peer). File descriptors passed along are closed by the kernel, as
        we give it nowhere to put them.
        """
        try:
            data = self.sock.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return []
        if not data:
            raise EOFError("closed by the peer")
        buffer = self._in
        buffer += data
        messages = []
        offset = 0
        while len(buffer) - offset >= _HEAD.size:
            version, kind, seq, peer, word = _HEAD.unpack_from(buffer, offset)
            size = word & _LENGTH
            if version:
                raise FrameError(f"message version {version}; only 0 is known")
            if word & ~_LENGTH or size < 4 or size & 3:
                raise FrameError(f"message starts with {word:#010x}, which heads no blob")
            if size > MAX_MESSAGE:
                raise FrameError(f"message of {size:,} bytes; at most {MAX_MESSAGE:,} are allowed")
            end = offset + 8 + size
            if end > len(buffer):
                break
            messages.append(Message(kind, seq, peer, bytes(buffer[offset + 12 : end])))
            offset = end
        if offset:
            del buffer[:offset]
        return messages

    def send(self, packed: bytes, limit: int | None = None) -> bool:
        """Queue a packed message for `flush`; False (and nothing queued) when too much is waiting
        already.
        """
        if len(self._out) + len(packed) > (self.limit if limit is None else limit):
            return False
        self._out += packed
        return True

    def flush(self) -> None:
        """Write what the socket takes now; raises OSError when the connection is gone."""
        out = self._out
        while out:
            try:
                # Not the whole queue: each call would copy it all, and the socket takes about 200
                # kB.
                with memoryview(out) as view:
                    sent = self.sock.send(view[: CHUNK * 4], socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                return
            del out[:sent]

    def close(self) -> None:
        """Close the socket, after what it still takes of the queue."""
        try:
            self.flush()
        except OSError:
            self._out.clear()
        self.sock.close()
