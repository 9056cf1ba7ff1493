# SPDX-License-Identifier: GPL-2.0-only
"""Malformed ubus frames: random ones, and valid ones with something broken."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from natflow.bus import blob, wire
from natflow.bus.wire import Attr, Type


class Frame(NamedTuple):
    """One frame, and whether it is malformed for certain (a mutation may leave a valid one)."""

    kind: str
    data: bytes
    certain: bool


class Frames:
    """A source of frames that mean an object `target` with a method `echo`."""

    def __init__(self, rng: random.Random, target: int) -> None:
        self.rng = rng
        self.target = target
        self._nests = [_nest(levels) for levels in (40, 1000, 20000)]
        self._crowds = [blob.encode({"filter": {"a": [None] * count}}) for count in (5000, 20000)]
        self._makers: list[tuple[int, Callable[[], Frame]]] = [
            (10, self._noise),
            (10, self._noisy_body),
            (20, self._flipped),
            (15, self._cut),
            (15, self._wrong_length),
            (8, self._wrong_ids),
            (6, self._no_nul),
            (6, self._deep),
            (4, self._too_many),
            (4, self._huge),
            (4, self._wrong_head),
            (8, self._wrong_value),
        ]

    def next(self) -> Frame:
        weights = [weight for weight, _ in self._makers]
        (_, make), *_ = self.rng.choices(self._makers, weights)
        return make()

    # --- what a well-behaved client sends ---

    def valid(self) -> tuple[int, bytes]:
        """Type and body of a valid request."""
        name = f"fuzz.{self.rng.randrange(1 << 30)}"
        ident = wire.put_number(Attr.OBJID, self.rng.choice([self.target, self._number()]))
        kinds: list[tuple[int, bytes]] = [
            (Type.INVOKE, self._invoke("echo", {"filter": self._table(2)})),
            (Type.INVOKE, self._invoke("echo", {"filter": self._table(2)})),
            (Type.INVOKE, self._invoke("register", {"object": 1, "pattern": name}, 1)),
            (Type.INVOKE, self._invoke("send", {"id": name, "data": self._table(2)}, 1)),
            (Type.LOOKUP, wire.put_text(Attr.OBJPATH, self.rng.choice(["*", "na*", name]))),
            (
                Type.ADD_OBJECT,
                wire.put_text(Attr.OBJPATH, name)
                + wire.put_nested(Attr.SIGNATURE, blob.encode({"m": {"a": 3}, "n": {}})),
            ),
            (Type.REMOVE_OBJECT, ident),
            (Type.SUBSCRIBE, ident + wire.put_number(Attr.TARGET, self.target)),
            (Type.UNSUBSCRIBE, ident + wire.put_number(Attr.TARGET, self.target)),
            (Type.NOTIFY, ident + wire.put_text(Attr.METHOD, "x")),
            (Type.PING, ident),
            (Type.STATUS, wire.put_number(Attr.STATUS, 0) + ident),
            (Type.DATA, ident + wire.put_nested(Attr.DATA, blob.encode({"x": 1}))),
        ]
        return self.rng.choice(kinds)

    def _invoke(self, method: str, data: dict[str, Any], ident: int | None = None) -> bytes:
        return self._call(method, blob.encode(data), ident)

    def _call(self, method: str, data: bytes, ident: int | None = None) -> bytes:
        return (
            wire.put_number(Attr.OBJID, self.target if ident is None else ident)
            + wire.put_text(Attr.METHOD, method)
            + wire.put_nested(Attr.DATA, data)
        )

    def _table(self, depth: int) -> dict[str, Any]:
        values: list[Any] = [1, 2**40, True, None, 1.5, "text", [1, "x"]]
        if depth:
            values.append(self._table(depth - 1))
        return {f"k{number}": self.rng.choice(values) for number in range(self.rng.randrange(4))}

    def _number(self) -> int:
        return self.rng.choice([0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF, self.rng.getrandbits(32)])

    def _pack(self, kind: int, body: bytes) -> bytes:
        # The sequence number of our own PINGs is 0xFFFF.
        return wire.pack(kind, self.rng.randrange(1, 0xFFFF), self._number(), body, 16 << 20)

    # --- what is broken about it ---

    def _noise(self) -> Frame:
        return Frame("noise", self.rng.randbytes(self.rng.randrange(1, 200)), False)

    def _noisy_body(self) -> Frame:
        body = self.rng.randbytes(4 * self.rng.randrange(1, 60))
        return Frame("noisy body", self._pack(self.rng.randrange(12), body), False)

    def _flipped(self) -> Frame:
        data = bytearray(self._pack(*self.valid()))
        for _ in range(self.rng.randrange(1, 8)):
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        return Frame("flipped bits", bytes(data), False)

    def _cut(self) -> Frame:
        """The frame is whole, but what is in it ends too early."""
        kind, body = self.valid()
        body = body[: 4 * self.rng.randrange(len(body) // 4)]
        return Frame("cut", self._pack(kind, body), False)

    def _wrong_length(self) -> Frame:
        """One length somewhere in the body is another."""
        kind, body = self.valid()
        data = bytearray(body)
        at = 4 * self.rng.randrange(len(data) // 4)
        data[at + 1 : at + 4] = self.rng.choice(
            [b"\0\0\0", b"\0\0\3", b"\0\0\4", b"\xff\xff\xff", self.rng.randbytes(3)]
        )
        return Frame("wrong length", self._pack(kind, bytes(data)), False)

    def _wrong_ids(self) -> Frame:
        """Attributes have other ids or types; some come twice, some not at all."""
        kind, body = self.valid()
        parts = [
            blob.attribute(self.rng.choice([ident, self.rng.randrange(128)]), payload)
            for ident, payload in blob.split(body)
        ]
        parts = self.rng.choices(parts, k=self.rng.randrange(1, 5))
        return Frame("wrong ids", self._pack(kind, b"".join(parts)), False)

    def _no_nul(self) -> Frame:
        text = blob.attribute(Attr.METHOD, b"echoecho")
        ident = wire.put_number(Attr.OBJID, self.target)
        path = blob.attribute(Attr.OBJPATH, b"natflow!")
        string = blob.encode({"filter": {"a": "bbbbbbb"}}).replace(b"bbb\0", b"bbbb")
        choices = [
            (Type.INVOKE, ident + text),
            (Type.LOOKUP, path),
            (Type.ADD_OBJECT, path),
            (Type.INVOKE, self._call("echo", string)),
        ]
        return Frame("no NUL", self._pack(*self.rng.choice(choices)), True)

    def _deep(self) -> Frame:
        """Thousands of tables in one another, where somebody has to look inside."""
        data = self.rng.choice(self._nests)
        choices = [
            (Type.INVOKE, self._call("echo", data)),
            (Type.INVOKE, self._call("register", data, 1)),
        ]
        return Frame("deep", self._pack(*self.rng.choice(choices)), True)

    def _too_many(self) -> Frame:
        """More values than a service wants."""
        body = self._call("echo", self.rng.choice(self._crowds))
        return Frame("too many values", self._pack(Type.INVOKE, body), True)

    def _huge(self) -> Frame:
        """A frame that claims, or has, more than a message may have."""
        kind, body = self.valid()
        head = bytearray(self._pack(kind, body))
        head[8:12] = self.rng.choice([b"\0\xff\xff\xfc", b"\0\x10\0\4", b"\0\x7f\xff\xf0"])
        return Frame("huge", bytes(head), True)

    def _wrong_head(self) -> Frame:
        kind, body = self.valid()
        data = bytearray(self._pack(kind, body))
        change = self.rng.randrange(3)
        if change == 0:
            data[0] = self.rng.randrange(1, 256)  # version
        elif change == 1:
            data[1] = self.rng.randrange(11, 256)  # type
        else:
            data[8] = self.rng.randrange(1, 256)  # the blob's id
        return Frame("wrong head", bytes(data), True)

    def _wrong_value(self) -> Frame:
        """Every length is right, and the values are of the wrong type."""
        wrong: Any = self.rng.choice(["x", 5, None, [1], True, 1.5])
        short = blob.attribute(Attr.OBJID, b"\1\2")
        choices = [
            (Type.INVOKE, self._invoke("echo", {"filter": wrong if wrong is not None else 1})),
            (Type.INVOKE, self._invoke("echo", {"filter": {}, "extra": wrong})),
            (Type.INVOKE, self._invoke("send", {"id": "x", "data": wrong}, 1)),
            (Type.INVOKE, self._invoke("register", {"object": "x", "pattern": wrong}, 1)),
            (Type.INVOKE, short + wire.put_text(Attr.METHOD, "echo")),
            (Type.REMOVE_OBJECT, short),
            (Type.SUBSCRIBE, short + wire.put_number(Attr.TARGET, self.target)),
            (
                Type.ADD_OBJECT,
                wire.put_text(Attr.OBJPATH, "fuzz.wrong")
                + wire.put_nested(Attr.SIGNATURE, blob.encode({"m": wrong})),
            ),
        ]
        return Frame("wrong value", self._pack(*self.rng.choice(choices)), True)


def _nest(levels: int) -> bytes:
    """The argument `filter`, a table with a table in it, with a table in it..."""
    heads = [
        (0x82000000 + 8 * left).to_bytes(4, "big") + b"\0\1a\0" for left in range(levels, 0, -1)
    ]
    size = 16 + 8 * levels
    return (0x82000000 + size).to_bytes(4, "big") + b"\0\6filter\0\0\0\0" + b"".join(heads)


def is_broken(data: bytes) -> bool:
    """Whether the head alone tells a receiver that this is no frame."""
    if len(data) < 12:
        return False
    word = int.from_bytes(data[8:12], "big")
    return bool(data[0] or word >> 24 or word & 3) or not 4 <= word <= wire.MAX_MESSAGE


def is_one(data: bytes) -> bool:
    """Whether a receiver sees one frame, and neither waits for more nor has something left over."""
    if len(data) < 12 or is_broken(data):
        return False
    return data[8:12] == (len(data) - 8).to_bytes(4, "big")
