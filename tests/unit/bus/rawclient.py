# SPDX-License-Identifier: GPL-2.0-only
"""A ubus peer made by hand, message by message, for tests of what the other end does."""

from __future__ import annotations

import select
import socket
import time
from typing import Any

from natflow.bus import blob, wire
from natflow.bus.wire import Attr, Channel, Message, Type


class RawPeer:
    """One end of a connection: packs, sends and receives single messages."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.channel = Channel(sock, 64 << 20)
        self.waiting: list[Message] = []
        self.seq = 0

    def send(self, kind: int, body: bytes = b"", peer: int = 0, seq: int | None = None) -> int:
        """Send one message; returns its sequence number."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        self.send_bytes(wire.pack(kind, seq, peer, body, wire.MAX_MESSAGE))
        return seq

    def send_bytes(self, data: bytes) -> None:
        assert self.channel.send(data)
        self.channel.flush()

    def pump(self, seconds: float = 0.0) -> None:
        """Read and write what is possible now, or within `seconds`; EOFError when it was closed."""
        poller = select.poll()
        poller.register(
            self.channel.sock, select.POLLIN | (select.POLLOUT if self.channel.queued else 0)
        )
        if poller.poll(seconds * 1000):
            if self.channel.queued:
                self.channel.flush()
            self.waiting += self.channel.receive()

    def get(self, kind: int, seconds: float = 5.0) -> Message:
        """The next message, which must be of this type."""
        deadline = time.monotonic() + seconds
        while not self.waiting:
            left = deadline - time.monotonic()
            assert left > 0, f"no message of type {kind} came"
            self.pump(left)
        message = self.waiting.pop(0)
        assert message.type == kind, (message.type, message.body)
        return message

    def nothing(self, seconds: float = 0.1) -> bool:
        """Whether nothing comes within `seconds`."""
        deadline = time.monotonic() + seconds
        while not self.waiting and time.monotonic() < deadline:
            self.pump(deadline - time.monotonic())
        return not self.waiting

    def is_closed(self, seconds: float = 5.0) -> bool:
        """Whether the other end closes the connection within `seconds`."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                self.pump(max(0.0, deadline - time.monotonic()))
        except (EOFError, OSError):
            return True
        return False

    def close(self) -> None:
        self.channel.close()


class RawClient(RawPeer):
    """A client of a broker."""

    def __init__(self, path: str) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(path)
        super().__init__(sock)
        self.ident = self.get(Type.HELLO).peer

    def ask(self, kind: int, body: bytes = b"", peer: int = 0) -> tuple[int, list[Message]]:
        """Send a request; its status and the DATA before it. Other messages stay waiting."""
        seq = self.send(kind, body, peer)
        others: list[Message] = []
        replies: list[Message] = []
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            while self.waiting:
                message = self.waiting.pop(0)
                if message.seq != seq or message.type not in (Type.DATA, Type.STATUS):
                    others.append(message)
                elif message.type == Type.DATA:
                    replies.append(message)
                else:
                    self.waiting = others + self.waiting
                    status = message.attributes().number(Attr.STATUS)
                    assert status is not None
                    return status, replies
            self.pump(1)
        raise AssertionError("no status came")

    def add(self, path: str | None, signature: dict[str, Any] | None = None) -> int:
        """Add an object; its id."""
        body = b""
        if path is not None:
            body += wire.put_text(Attr.OBJPATH, path)
            body += wire.put_nested(Attr.SIGNATURE, blob.encode(signature or {}))
        status, (reply,) = self.ask(Type.ADD_OBJECT, body)
        assert status == 0
        ident = reply.attributes().number(Attr.OBJID)
        assert ident is not None
        return ident

    def invoke(
        self, ident: int, method: str, data: dict[str, Any]
    ) -> tuple[int, list[dict[str, Any]]]:
        """Call a method; its status and replies."""
        status, replies = self.ask(Type.INVOKE, invocation(ident, method, data), ident)
        return status, [content(reply) for reply in replies]


def invocation(ident: int, method: str, data: dict[str, Any]) -> bytes:
    """The body of an INVOKE."""
    return (
        wire.put_number(Attr.OBJID, ident)
        + wire.put_text(Attr.METHOD, method)
        + wire.put_nested(Attr.DATA, blob.encode(data))
    )


def content(message: Message) -> dict[str, Any]:
    """A message's DATA."""
    data = message.attributes().nested(Attr.DATA)
    assert data is not None
    return blob.decode(data)


def signed(ident: int) -> int:
    """An object id as it stands in an INT32."""
    return ident - (1 << 32) if ident >> 31 else ident
