# SPDX-License-Identifier: GPL-2.0-only
"""The embedded client against a bus made by hand: slow, silent, garbled, gone."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from unit.bus.brokers import RunningBroker
from unit.bus.rawclient import RawPeer, content, invocation, signed

from natflow.bus import TABLE, BusError, Method, Status, blob, embedded, link, wire
from natflow.bus.embedded import EmbeddedBus
from natflow.bus.wire import Attr, Type

CLIENT_ID, OBJECT, CALLER = 0x10000001, 0xF0000001, 0x20000002

Greet = Callable[[], RawPeer]


class HandMadeBus:
    """The listening end of a bus whose every message a test writes itself."""

    def __init__(self, path: str, client: EmbeddedBus) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(5)
        self.client = client
        self.peers: list[RawPeer] = []

    def accept(self) -> RawPeer:
        """Take the client's next connection, without greeting it."""
        deadline = time.monotonic() + 5
        self.listener.setblocking(False)
        while time.monotonic() < deadline:
            self.client.tick(0.02)
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                continue
            self.peers.append(RawPeer(sock))
            return self.peers[-1]
        raise AssertionError("the client did not connect")

    def greet(self) -> RawPeer:
        """Take the next connection, greet it, and give its object an id."""
        peer = self.accept()
        peer.send(Type.HELLO, peer=CLIENT_ID, seq=0)
        self.client.tick(1)
        added = peer.get(Type.ADD_OBJECT)
        assert added.attributes().text(Attr.OBJPATH) == "natflow"
        peer.send(Type.DATA, wire.put_number(Attr.OBJID, OBJECT), seq=added.seq)
        peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 0), seq=added.seq)
        self.client.tick(1)
        return peer

    def close(self) -> None:
        self.listener.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
def client(socket_path: str) -> Iterator[EmbeddedBus]:
    bus = EmbeddedBus(socket_path)
    bus.serve(
        "natflow",
        {
            "echo": Method(lambda args: {"got": args}, {"filter": TABLE}),
            "large": Method(lambda _: {"x": "y" * 500_000}),
        },
    )
    yield bus
    bus.close()


@pytest.fixture
def bus(socket_path: str, client: EmbeddedBus) -> Iterator[HandMadeBus]:
    made = HandMadeBus(socket_path, client)
    yield made
    made.close()


def call(peer: RawPeer, method: str, data: dict[str, Any] | None = None) -> int:
    """Call the client's object as CALLER; the sequence number."""
    return peer.send(Type.INVOKE, invocation(OBJECT, method, data or {}), CALLER)


def answer(peer: RawPeer, client: EmbeddedBus) -> tuple[int | None, dict[str, Any]]:
    """What the client answers next: status and data."""
    deadline = time.monotonic() + 5
    while len(peer.waiting) < 2 and time.monotonic() < deadline:
        client.tick(0.02)
        peer.pump(0.02)
    data, status = peer.get(Type.DATA), peer.get(Type.STATUS)
    for message in (data, status):
        assert message.peer == CALLER
        assert message.attributes().number(Attr.OBJID) == OBJECT
    assert data.seq == status.seq
    return status.attributes().number(Attr.STATUS), content(data)


def is_up(client: EmbeddedBus) -> bool:
    return client.connected


# --- calls to us ---


def test_answers_a_call_that_comes_in_pieces(bus: HandMadeBus, client: EmbeddedBus) -> None:
    peer = bus.greet()
    body = invocation(OBJECT, "echo", {"filter": {"a": 1}})
    for byte in wire.pack(Type.INVOKE, 7, CALLER, body):
        peer.send_bytes(bytes([byte]))
        client.tick(0)
    assert answer(peer, client) == (0, {"got": {"filter": {"a": 1}}})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (invocation(OBJECT, "nope", {}), Status.METHOD_NOT_FOUND, "natflow has no method nope"),
        (wire.put_number(Attr.OBJID, OBJECT), Status.METHOD_NOT_FOUND, "no method"),
        (
            invocation(OBJECT, "echo", {}).replace(b"echo", b"echo")[:-4]
            + wire.put_nested(Attr.DATA, b"\x83\0\0\x0c\0\1a\0abcd"),
            Status.INVALID_ARGUMENT,
            "malformed arguments: a string without its NUL at offset 8",
        ),
        (
            invocation(OBJECT, "echo", {"filter": {"a": [None] * 5000}}),
            Status.INVALID_ARGUMENT,
            "more than 4096 values",
        ),
        (
            invocation(OBJECT, "echo", {"x" * 1000: 1}),
            Status.INVALID_ARGUMENT,
            "unknown argument 'xxxx",
        ),
    ],
)
def test_refuses_bad_calls(
    bus: HandMadeBus, client: EmbeddedBus, body: bytes, status: int, words: str
) -> None:
    peer = bus.greet()
    peer.send(Type.INVOKE, body, CALLER)
    got, data = answer(peer, client)
    assert got == status
    assert words in data["error"]
    assert len(data["error"]) < 200
    call(peer, "echo")
    assert answer(peer, client) == (0, {"got": {"filter": {}}})


def test_a_call_to_an_object_it_does_not_have(bus: HandMadeBus, client: EmbeddedBus) -> None:
    peer = bus.greet()
    peer.send(Type.INVOKE, invocation(0x1234, "echo", {}), CALLER)
    client.tick(1)
    data, status = peer.get(Type.DATA), peer.get(Type.STATUS)
    assert status.attributes().number(Attr.STATUS) == Status.NOT_FOUND
    assert status.attributes().number(Attr.OBJID) == 0x1234
    assert "error" in content(data)


def test_says_nothing_where_no_reply_is_wanted(bus: HandMadeBus, client: EmbeddedBus) -> None:
    peer = bus.greet()
    body = invocation(OBJECT, "echo", {}) + wire.put_flag(Attr.NO_REPLY, True)
    peer.send(Type.INVOKE, body, CALLER)
    peer.send(Type.INVOKE, wire.put_text(Attr.METHOD, "echo"), CALLER)  # cannot be answered
    client.tick(1)
    assert peer.nothing()


def test_ignores_what_it_did_not_ask_for(bus: HandMadeBus, client: EmbeddedBus) -> None:
    peer = bus.greet()
    for kind in (*range(5), *range(6, 13), 99):
        peer.send(kind, wire.put_number(Attr.OBJID, OBJECT), CALLER, seq=4711)
        client.tick(1)
    assert peer.nothing()
    call(peer, "echo")
    assert answer(peer, client) == (0, {"got": {"filter": {}}})


def test_a_peer_that_does_not_read_gets_no_more_work_done(
    bus: HandMadeBus, client: EmbeddedBus
) -> None:
    """Answers wait in bounded memory; the calls themselves wait in the socket."""
    peer = bus.greet()
    handled: list[int] = []

    def large(_: dict[str, Any]) -> dict[str, Any]:
        handled.append(1)
        return {"x": "y" * 500_000}

    client._objects["natflow"].methods["large"] = Method(large)
    for _ in range(20):  # all in one read
        call(peer, "large")
    for _ in range(10):
        client.tick(0)
    assert 1 <= len(handled) <= 2
    replies = 0
    deadline = time.monotonic() + 10
    while replies < 20 and time.monotonic() < deadline:
        client.tick(0.01)
        peer.pump(0.01)
        replies = sum(message.type == Type.STATUS for message in peer.waiting)
    assert (replies, len(handled)) == (20, 20)
    assert client.connected


# --- our calls ---


def test_ends_a_call_when_the_bus_goes(bus: HandMadeBus, client: EmbeddedBus) -> None:
    peer = bus.greet()
    inner: list[BusError] = []

    def handler(_: dict[str, Any]) -> dict[str, Any]:
        peer.close()
        try:
            client.call("network", "status", timeout=5)
        except BusError as error:
            inner.append(error)
        return {"late": True}

    client._objects["natflow"].methods["late"] = Method(handler)
    call(peer, "late")
    started = time.monotonic()
    client.tick(1)
    assert time.monotonic() - started < 3
    assert inner[0].status == Status.CONNECTION_FAILED
    # The answer belonged to the old link: on the new one it must not appear.
    fresh = bus.greet()
    assert fresh.nothing()


def test_gives_up_collecting_endless_replies(bus: HandMadeBus, client: EmbeddedBus) -> None:
    peer = bus.greet()
    request = client._link and client._link.begin(Type.LOOKUP, 0, b"")
    assert request
    asked = peer.get(Type.LOOKUP)
    filler = wire.put_nested(Attr.DATA, bytes(500_000))
    for _ in range(20):
        peer.channel.send(wire.pack(Type.DATA, asked.seq, 0, filler))
    peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 0), seq=asked.seq)
    deadline = time.monotonic() + 10
    while request.status is None and time.monotonic() < deadline:
        client.tick(0.01)
        peer.pump(0.01)
        assert len(request.replies) < 10
    assert request.status == Status.NO_MEMORY
    assert request.replies == []


def test_calls_that_pile_up_during_a_call_are_bounded(
    bus: HandMadeBus, client: EmbeddedBus
) -> None:
    peer = bus.greet()
    for _ in range(link.LATER_COUNT + 10):
        call(peer, "echo")
    with pytest.raises(BusError) as caught:
        client.call("network", "status", timeout=0.5)
    assert caught.value.status == Status.TIMEOUT
    assert peer.get(Type.LOOKUP)
    for _ in range(10):  # those over the bound are told at once
        data, status = peer.get(Type.DATA), peer.get(Type.STATUS)
        assert status.attributes().number(Attr.STATUS) == Status.NO_MEMORY
        assert "busy" in content(data)["error"]
    client.tick(1)
    for _ in range(link.LATER_COUNT):  # the others are served when the call is over
        assert answer(peer, client)[0] == Status.OK


def test_a_late_answer_is_not_taken_for_the_next(bus: HandMadeBus, client: EmbeddedBus) -> None:
    peer = bus.greet()
    with pytest.raises(BusError):
        client.call("network", "status", timeout=0.05)
    late = peer.get(Type.LOOKUP)
    body = wire.put_text(Attr.OBJPATH, "network") + wire.put_number(Attr.OBJID, 5000)
    peer.send(Type.DATA, body, seq=late.seq)
    peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 0), seq=late.seq)
    with pytest.raises(BusError) as caught:
        client.call("network", "status", timeout=0.05)
    assert caught.value.status == Status.TIMEOUT
    assert peer.get(Type.LOOKUP).seq != late.seq


def test_our_objects_may_call_one_another_but_not_for_ever(broker: RunningBroker) -> None:
    client = EmbeddedBus(broker.path)
    depth: list[int] = []

    def again(_: dict[str, Any]) -> dict[str, Any]:
        depth.append(1)
        return client.call("natflow", "again")

    client.serve("natflow", {"hi": Method(lambda _: {"hello": 1}), "again": Method(again)})
    assert client.call("natflow", "hi") == {"hello": 1}
    with pytest.raises(BusError, match="busy") as caught:
        client.call("natflow", "again", timeout=5)
    assert caught.value.status == Status.NO_MEMORY
    assert len(depth) == link.MAX_NESTING
    assert client.call("natflow", "hi") == {"hello": 1}
    client.close()


# --- the bus comes, goes, and talks nonsense ---


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,
        bytes(64),
        b"\0\5\0\1\0\0\0\0\x00\xff\xff\xfc",
        wire.pack(Type.INVOKE, 1, CALLER, b"\x03\0\0\x05\0\0\0\0"),
    ],
)
def test_garbage_costs_the_connection_and_no_more(
    bus: HandMadeBus, client: EmbeddedBus, garbage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    peer = bus.greet()
    peer.send_bytes(garbage)
    client.tick(1)
    assert not is_up(client)
    assert "lost the bus" in capfd.readouterr().err
    fresh = bus.greet()
    call(fresh, "echo")
    assert answer(fresh, client) == (0, {"got": {"filter": {}}})


def test_a_bus_that_always_talks_nonsense_is_not_hammered(
    bus: HandMadeBus, client: EmbeddedBus
) -> None:
    attempts = 0
    bus.listener.setblocking(False)
    started = time.monotonic()
    while time.monotonic() - started < 2:
        client.tick(0.05)
        try:
            sock, _ = bus.listener.accept()
        except BlockingIOError:
            continue
        attempts += 1
        sock.send(wire.pack(Type.HELLO, 0, CLIENT_ID) + b"\xff" * 64)
        bus.peers.append(RawPeer(sock))
    assert 2 <= attempts <= 6


def test_a_silent_bus_is_given_up(
    bus: HandMadeBus, client: EmbeddedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "GREETING_TIME", 0.1)
    peer = bus.accept()
    assert not is_up(client)
    deadline = time.monotonic() + 5
    while not peer.channel.sock._closed and time.monotonic() < deadline:  # type: ignore[attr-defined]
        client.tick(0.05)
        try:
            peer.pump()
        except EOFError:
            break
    with pytest.raises(BusError, match="did not greet us") as caught:
        client.call("natflow", "echo", timeout=0.05)
    assert caught.value.status == Status.CONNECTION_FAILED


def test_an_object_refused_after_a_reconnect_is_tried_again(
    bus: HandMadeBus,
    client: EmbeddedBus,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Our dead predecessor may still hold the name."""
    monkeypatch.setattr(embedded, "ADD_RETRY", 0.05)
    peer = bus.accept()
    peer.send(Type.HELLO, peer=CLIENT_ID, seq=0)
    for _ in range(3):
        client.tick(1)
        added = peer.get(Type.ADD_OBJECT)
        peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 2), seq=added.seq)
        client.tick(1)
    client.tick(0.2)
    added = peer.get(Type.ADD_OBJECT)
    peer.send(Type.DATA, wire.put_number(Attr.OBJID, OBJECT), seq=added.seq)
    peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 0), seq=added.seq)
    client.tick(1)
    call(peer, "echo")
    assert answer(peer, client)[0] == 0
    assert capfd.readouterr().err.count("refuses object natflow: invalid argument") == 1


def test_events(bus: HandMadeBus, client: EmbeddedBus, capfd: pytest.CaptureFixture[str]) -> None:
    got: list[tuple[str, str, dict[str, Any]]] = []
    client.listen("a.*", lambda event, data: got.append(("prefix", event, data)))
    client.listen("a.b", lambda event, data: got.append(("exact", event, data)))
    peer = bus.greet()
    listener = 0xE0000000
    added = peer.get(Type.ADD_OBJECT)
    assert added.body == b""
    peer.send(Type.DATA, wire.put_number(Attr.OBJID, listener), seq=added.seq)
    peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 0), seq=added.seq)
    client.tick(1)
    patterns = set()
    for _ in range(2):
        register = peer.get(Type.INVOKE)
        assert register.attributes().number(Attr.OBJID) == 1
        assert register.attributes().text(Attr.METHOD) == "register"
        assert content(register)["object"] == signed(listener)
        patterns.add(content(register)["pattern"])
        peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 0), seq=register.seq)
    assert patterns == {"a.*", "a.b"}
    peer.send(Type.INVOKE, invocation(listener, "a.b", {"x": 1}), peer=0)
    peer.send(Type.INVOKE, invocation(listener, "a.c", {"x": 2}), peer=0)
    nonsense = wire.put_number(Attr.OBJID, listener) + wire.put_text(Attr.METHOD, "a.\nd")
    peer.send(Type.INVOKE, nonsense + wire.put_nested(Attr.DATA, b"\1"), peer=0)
    client.tick(1)
    assert got == [
        ("prefix", "a.b", {"x": 1}),
        ("exact", "a.b", {"x": 1}),
        ("prefix", "a.c", {"x": 2}),
    ]
    assert peer.nothing()
    assert "malformed event a.?d" in capfd.readouterr().err


def test_without_a_bus_it_says_why(socket_path: str) -> None:
    client = EmbeddedBus(socket_path)
    with pytest.raises(BusError, match="No such file or directory") as caught:
        client.call("natflow", "status")
    assert caught.value.status == Status.CONNECTION_FAILED
    assert socket_path in str(caught.value)
    assert not client.send("x", {})
    started = time.monotonic()
    client.tick(0.3)
    assert 0.25 < time.monotonic() - started < 2
    client.close()


def test_an_idle_client_sleeps(broker: RunningBroker) -> None:
    client = EmbeddedBus(broker.path)
    client.serve("natflow", {"hi": Method(lambda _: {})})
    before = os.times()
    client.tick(1.0)
    after = os.times()
    assert (after.user - before.user) + (after.system - before.system) <= 0.02
    client.close()


def test_arguments_are_bounded_before_sending(broker: RunningBroker) -> None:
    client = EmbeddedBus(broker.path)
    client.serve("natflow", {"hi": Method(lambda _: {})})
    with pytest.raises(BusError, match="ubus carries at most 1,047,552") as caught:
        client.call("natflow", "hi", {"x": "y" * (1 << 20)})
    assert caught.value.status == Status.INVALID_ARGUMENT
    assert blob.decode(blob.encode(client.call("natflow", "hi"))) == {}
    client.close()
