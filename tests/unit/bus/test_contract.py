# SPDX-License-Identifier: GPL-2.0-only
"""What every backend promises, on every bus at hand.

The embedded backend is always tested on natflow's own broker. With UBUS_SOCKET= pointing at a real
ubusd both backends are tested there too (libubus needs python-ubus), as its own user or as root.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import pytest
from unit.bus.brokers import RunningBroker

from natflow.bus import (
    ARRAY,
    BOOL,
    INT32,
    SESSION_ARGUMENT,
    STRING,
    TABLE,
    Bus,
    BusError,
    Method,
    Status,
    open_bus,
)
from natflow.bus.embedded import EmbeddedBus

REAL = os.environ.get("UBUS_SOCKET", "")
NAME = f"natflow-test-{os.getpid()}"

Meanwhile = Callable[..., Any]
Serving = Callable[[Bus], AbstractContextManager[None]]


def is_up(bus: Bus) -> bool:
    """For type checkers, who think that what was asserted once stays true."""
    return bus.connected


class Subject(NamedTuple):
    """The bus under test, and what its backend cannot do."""

    bus: Bus
    path: str
    backend: str

    @property
    def exact(self) -> bool:
        """Whether callers must give exactly the declared arguments, and only status 9 goes back."""
        return self.backend == "libubus"


BACKENDS = ["embedded", "libubus"] if importlib.util.find_spec("ubus") else ["embedded"]
BUSES = ["broker", "ubusd"] if REAL else ["broker"]


@pytest.mark.skipif(bool(REAL), reason="the other tests of this file run there")
def test_on_a_real_ubusd() -> None:
    pytest.skip("UBUS_SOCKET does not point at a ubusd: tested on natflow's own broker only")


@pytest.mark.skipif("libubus" in BACKENDS, reason="the other tests of this file run with it")
def test_with_python_ubus() -> None:
    pytest.skip("python-ubus is not installed: its backend is not tested")


@pytest.fixture(params=[f"{where}-{backend}" for where in BUSES for backend in BACKENDS])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    where, _, backend = str(request.param).partition("-")
    path = REAL if where == "ubusd" else request.getfixturevalue("broker").path
    bus = open_bus(path, backend)
    try:
        assert bus.connected
        yield Subject(bus, path, backend)
    finally:
        bus.close()


@pytest.fixture
def caller(subject: Subject) -> Iterator[EmbeddedBus]:
    """Somebody else on the same bus."""
    bus = EmbeddedBus(subject.path)
    assert bus.connected
    yield bus
    bus.close()


def test_serves_a_call(subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile) -> None:
    subject.bus.serve(NAME, {"echo": Method(lambda args: {"got": args}, {"filter": TABLE})})
    arguments = {"filter": {"src": "192.168.1.0/24", "limit": 5, "deep": [{"a": [True, None]}]}}
    assert meanwhile(subject.bus, lambda: caller.call(NAME, "echo", arguments)) == {
        "got": arguments
    }


def test_replies_carry_every_type(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    reply = {
        "string": "Grüße",
        "bytes": 2**40,
        "negative": -5,
        "huge": 2**64,
        "float": 1.5,
        "nan": float("nan"),
        "yes": True,
        "nothing": None,
        "nul": "a\0b",
        "tuple": (1, "x"),
        "table": {"": {}, "list": []},
    }
    subject.bus.serve(NAME, {"all": Method(lambda _: reply)})
    assert meanwhile(subject.bus, lambda: caller.call(NAME, "all")) == {
        **reply,
        "huge": 2**63 - 1,
        "nan": None,
        "nul": "ab",
        "tuple": [1, "x"],
    }


def test_an_empty_reply_is_an_empty_table(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    subject.bus.serve(NAME, {"nothing": Method(lambda _: {})})
    assert meanwhile(subject.bus, lambda: caller.call(NAME, "nothing")) == {}


def test_the_session_is_dropped(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    declared = {"filter": TABLE, SESSION_ARGUMENT: STRING}
    subject.bus.serve(NAME, {"echo": Method(lambda args: {"got": args}, declared)})
    arguments = {"filter": {"a": 1}, SESSION_ARGUMENT: "0" * 32}
    reply = meanwhile(subject.bus, lambda: caller.call(NAME, "echo", arguments))
    assert reply == {"got": {"filter": {"a": 1}}}


def test_bad_arguments_are_refused_without_a_call(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    calls: list[dict[str, Any]] = []

    def handler(args: dict[str, Any]) -> dict[str, Any]:
        calls.append(args)
        return {}

    declared = {"filter": TABLE, "name": STRING, "on": BOOL, "n": INT32, "list": ARRAY}
    good: dict[str, Any] = {"filter": {}, "name": "x", "on": True, "n": 1, "list": []}
    subject.bus.serve(NAME, {"take": Method(handler, declared), "none": Method(handler)})
    bad: list[tuple[str, dict[str, Any]]] = [
        ("none", {"a": 1}),
        ("none", {SESSION_ARGUMENT: "0" * 32}),
        ("take", {**good, "extra": 1}),
        ("take", {key: value for key, value in good.items() if key != "name"}),
        ("take", {**good, "filter": []}),
        ("take", {**good, "filter": "x"}),
        ("take", {**good, "name": 5}),
        ("take", {**good, "on": 1}),
        ("take", {**good, "n": True}),
        ("take", {**good, "n": "1"}),
        ("take", {**good, "list": {}}),
    ]
    for method, args in bad:
        with pytest.raises(BusError) as caught:
            meanwhile(subject.bus, partial(caller.call, NAME, method, args))
        assert caught.value.status == Status.INVALID_ARGUMENT, args
    assert calls == []
    meanwhile(subject.bus, lambda: caller.call(NAME, "take", good))
    assert calls == [good]


def test_left_out_tables(subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile) -> None:
    """The one difference between the backends a caller sees: python-ubus wants every argument."""
    declared = {"filter": TABLE, "list": ARRAY}
    subject.bus.serve(NAME, {"echo": Method(lambda args: {"got": args}, declared)})
    if subject.exact:
        with pytest.raises(BusError) as caught:
            meanwhile(subject.bus, lambda: caller.call(NAME, "echo"))
        assert caught.value.status == Status.INVALID_ARGUMENT
    else:
        reply = meanwhile(subject.bus, lambda: caller.call(NAME, "echo"))
        assert reply == {"got": {"filter": {}, "list": []}}


def test_a_refusal_reaches_the_caller_in_words(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise BusError(Status.NOT_SUPPORTED, "filter.src: 'x' is no address")

    subject.bus.serve(NAME, {"refuse": Method(refuse)})
    with pytest.raises(BusError, match=r"filter\.src: 'x' is no address") as caught:
        meanwhile(subject.bus, lambda: caller.call(NAME, "refuse"))
    expected = Status.UNKNOWN_ERROR if subject.exact else Status.NOT_SUPPORTED
    assert caught.value.status == expected


@pytest.mark.parametrize("broken", ["raises", "wrong type", "not encodable"])
def test_a_broken_handler_is_survived(
    broken: str,
    subject: Subject,
    caller: EmbeddedBus,
    meanwhile: Meanwhile,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def handler(_: dict[str, Any]) -> Any:
        if broken == "raises":
            return {"x": ["a"][len(broken)]}
        return ["not a table"] if broken == "wrong type" else {"x": {1, 2}}

    subject.bus.serve(NAME, {"broken": Method(handler), "fine": Method(lambda _: {"ok": True})})
    with pytest.raises(BusError, match="internal error") as caught:
        meanwhile(subject.bus, lambda: caller.call(NAME, "broken"))
    assert caught.value.status == Status.UNKNOWN_ERROR
    assert meanwhile(subject.bus, lambda: caller.call(NAME, "fine")) == {"ok": True}
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert "broken" in lines[0]
    if broken == "raises":
        assert "IndexError: list index out of range" in lines[0]
        assert "test_contract.py" in lines[0]


def test_unknown_methods_and_objects(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    subject.bus.serve(NAME, {"fine": Method(lambda _: {})})
    with pytest.raises(BusError) as caught:
        meanwhile(subject.bus, lambda: caller.call(NAME, "nope"))
    assert caught.value.status == Status.METHOD_NOT_FOUND
    with pytest.raises(BusError) as caught:
        subject.bus.call(f"{NAME}-nope", "fine")
    assert caught.value.status == Status.NOT_FOUND


def test_large_replies(subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile) -> None:
    subject.bus.serve(NAME, {"give": Method(lambda args: {"x": "y" * args["n"]}, {"n": INT32})})
    reply = meanwhile(subject.bus, lambda: caller.call(NAME, "give", {"n": 1_040_000}))
    assert len(reply["x"]) == 1_040_000
    started = time.monotonic()
    with pytest.raises(BusError, match="reply is too large") as caught:
        meanwhile(subject.bus, lambda: caller.call(NAME, "give", {"n": 1_060_000}))
    assert time.monotonic() - started < 5
    expected = Status.UNKNOWN_ERROR if subject.exact else Status.NO_MEMORY
    assert caught.value.status == expected
    assert meanwhile(subject.bus, lambda: caller.call(NAME, "give", {"n": 1})) == {"x": "y"}


def test_two_objects_share_a_bus(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    subject.bus.serve(NAME, {"who": Method(lambda _: {"me": 1}), "more": Method(lambda _: {})})
    subject.bus.serve(f"luci.{NAME}", {"who": Method(lambda _: {"me": 2}, {"s": STRING})})
    assert meanwhile(subject.bus, lambda: caller.call(NAME, "who")) == {"me": 1}
    reply = meanwhile(subject.bus, lambda: caller.call(f"luci.{NAME}", "who", {"s": ""}))
    assert reply == {"me": 2}
    assert caller.objects(f"luci.{NAME}") == {f"luci.{NAME}": {"who": {"s": STRING}}}
    assert subject.bus.objects(f"{NAME}*") == {NAME: {"who": {}, "more": {}}}
    assert subject.bus.objects(f"{NAME}-nope") == {}
    assert subject.bus.objects(f"{NAME}-nope*") == {}


def test_a_taken_name_is_refused(subject: Subject, caller: EmbeddedBus) -> None:
    caller.serve(NAME, {"fine": Method(lambda _: {})})
    with pytest.raises(BusError, match=f"cannot add object {NAME}") as caught:
        subject.bus.serve(NAME, {"fine": Method(lambda _: {})})
    assert caught.value.status == Status.INVALID_ARGUMENT
    subject.bus.tick(0)
    assert subject.bus.connected
    with pytest.raises(ValueError, match="must not be empty"):
        subject.bus.serve("", {})


def test_calls_others(subject: Subject, caller: EmbeddedBus, serving: Serving) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise BusError(Status.PERMISSION_DENIED, "no")

    caller.serve(
        NAME,
        {"echo": Method(lambda args: {"got": args}, {"a": TABLE}), "refuse": Method(refuse)},
    )
    with serving(caller):
        reply = subject.bus.call(NAME, "echo", {"a": {"b": [1, 2**40]}})
        assert reply == {"got": {"a": {"b": [1, 2**40]}}}
        with pytest.raises(BusError) as caught:
            subject.bus.call(NAME, "refuse")
        assert caught.value.status == Status.PERMISSION_DENIED


def test_a_call_times_out(subject: Subject, caller: EmbeddedBus) -> None:
    caller.serve(NAME, {"slow": Method(lambda _: {})})  # and nobody ticks it
    started = time.monotonic()
    with pytest.raises(BusError) as caught:
        subject.bus.call(NAME, "slow", timeout=0.3)
    assert caught.value.status == Status.TIMEOUT
    assert 0.25 < time.monotonic() - started < 3


def test_calls_that_come_while_it_calls_are_answered(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile, serving: Serving
) -> None:
    """Nothing that arrives during a call of ours is lost."""

    def slow(_: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.5)
        return {"ok": 1}

    def call() -> dict[str, Any]:
        time.sleep(0.2)
        other = EmbeddedBus(subject.path)
        return other.call(NAME, "hi", timeout=5)

    replies: list[dict[str, Any]] = []
    subject.bus.serve(NAME, {"hi": Method(lambda _: {"hello": 1})})
    caller.serve(f"{NAME}-slow", {"slow": Method(slow)})
    with serving(caller):
        reply = meanwhile(
            subject.bus,
            call,
            first=lambda: replies.append(subject.bus.call(f"{NAME}-slow", "slow")),
        )
    assert reply == {"hello": 1}
    assert replies == [{"ok": 1}]


def test_events_both_ways(subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile) -> None:
    got: list[tuple[str, dict[str, Any]]] = []
    subject.bus.listen(f"{NAME}.*", lambda event, data: got.append((event, data)))
    assert caller.send(f"{NAME}.state", {"state": "software", "n": 2**40})
    assert caller.send(f"{NAME}-other", {})
    meanwhile(subject.bus, lambda: caller.objects(NAME))
    deadline = time.monotonic() + 5
    while not got and time.monotonic() < deadline:
        subject.bus.tick(0.1)
    assert got == [(f"{NAME}.state", {"state": "software", "n": 2**40})]

    heard: list[tuple[str, dict[str, Any]]] = []
    caller.listen(f"{NAME}.flush", lambda event, data: heard.append((event, data)))
    assert subject.bus.send(f"{NAME}.flush", {"removed": 3})
    assert subject.bus.send(f"{NAME}.state", {})
    deadline = time.monotonic() + 5
    while not heard and time.monotonic() < deadline:
        caller.tick(0.1)
    assert heard == [(f"{NAME}.flush", {"removed": 3})]


def test_a_broken_listener_is_survived(
    subject: Subject, caller: EmbeddedBus, capfd: pytest.CaptureFixture[str]
) -> None:
    got: list[str] = []

    def listener(event: str, data: dict[str, Any]) -> None:
        got.append(event)
        raise RuntimeError(data["x"])

    subject.bus.listen(f"{NAME}.*", listener)
    caller.send(f"{NAME}.a", {"x": "first"})
    caller.send(f"{NAME}.b", {"x": "second"})
    deadline = time.monotonic() + 5
    while len(got) < 2 and time.monotonic() < deadline:
        subject.bus.tick(0.1)
    assert got == [f"{NAME}.a", f"{NAME}.b"]
    assert "RuntimeError: first" in capfd.readouterr().err


def test_what_cannot_be_sent(subject: Subject) -> None:
    assert not subject.bus.send("ubus.object.add", {})
    assert not subject.bus.send("a", {"x": {1}})
    assert not subject.bus.send("a", {"x": "y" * (1 << 20)})
    assert subject.bus.send("a", {})
    with pytest.raises(BusError) as caught:
        subject.bus.call(NAME, "x", {"x": {1}})
    assert caught.value.status in (Status.INVALID_ARGUMENT, Status.NOT_FOUND)


def test_a_call_from_inside_a_handler(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    """The embedded backend can; python-ubus would hang, so it refuses at once."""
    subject.bus.serve(
        NAME,
        {
            "inner": Method(lambda _: {"inner": True}),
            "outer": Method(lambda _: subject.bus.call(NAME, "inner", timeout=5)),
        },
    )
    started = time.monotonic()
    if subject.exact:
        with pytest.raises(BusError, match="inside a handler"):
            meanwhile(subject.bus, lambda: caller.call(NAME, "outer"))
    else:
        reply = meanwhile(subject.bus, lambda: caller.call(NAME, "outer"))
        assert reply == {"inner": True}
    assert time.monotonic() - started < 3


def test_an_event_from_inside_a_handler(
    subject: Subject, caller: EmbeddedBus, meanwhile: Meanwhile
) -> None:
    subject.bus.serve(
        NAME, {"shout": Method(lambda _: {"sent": subject.bus.send(f"{NAME}.shout", {"a": 1})})}
    )
    heard: list[dict[str, Any]] = []
    caller.listen(f"{NAME}.shout", lambda _, data: heard.append(data))
    other = EmbeddedBus(subject.path)
    assert meanwhile(subject.bus, lambda: other.call(NAME, "shout")) == {"sent": True}
    other.close()
    caller.tick(1)
    assert heard == [{"a": 1}]


def test_ticks_wait_and_watch(subject: Subject) -> None:
    for _ in range(3):
        subject.bus.tick(0)  # whatever adding things left behind
    started = time.monotonic()
    subject.bus.tick(0.3)
    assert 0.25 < time.monotonic() - started < 2
    reader, writer = os.pipe()
    got: list[bytes] = []
    subject.bus.watch(reader, lambda: got.append(os.read(reader, 10)))
    os.write(writer, b"x")
    started = time.monotonic()
    subject.bus.tick(5)
    assert got == [b"x"]
    assert time.monotonic() - started < 2
    subject.bus.watch(reader, None)
    os.write(writer, b"y")
    subject.bus.tick(0.1)
    assert got == [b"x"]
    os.close(reader)
    os.close(writer)


def test_what_a_watcher_raises_comes_out(subject: Subject) -> None:
    reader, writer = os.pipe()
    os.close(writer)

    def fail() -> None:
        raise LookupError("mine")

    subject.bus.watch(reader, fail)
    with pytest.raises(LookupError, match="mine"):
        subject.bus.tick(1)
    os.close(reader)
    subject.bus.tick(0.1)  # the descriptor is closed: no longer watched
    subject.bus.tick(0.1)


def test_closing_leaves_the_bus(subject: Subject, caller: EmbeddedBus) -> None:
    subject.bus.serve(NAME, {"fine": Method(lambda _: {})})
    assert NAME in caller.objects()
    subject.bus.close()
    assert not is_up(subject.bus)
    deadline = time.monotonic() + 5
    while NAME in caller.objects() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert NAME not in caller.objects()
    assert not subject.bus.send("a", {})
    with pytest.raises(BusError) as caught:
        subject.bus.call(NAME, "fine")
    assert caught.value.status == Status.CONNECTION_FAILED
    subject.bus.tick(0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_bus_comes_and_goes(
    backend: str,
    socket_path: str,
    unstarted: RunningBroker,
    meanwhile: Meanwhile,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Started before the bus, and through restarts of it: back within 2 s, with everything.

    On our broker: a real ubusd is not ours to restart.
    """
    broker = unstarted
    bus = open_bus(socket_path, backend)
    assert not is_up(bus)
    events: list[str] = []
    bus.serve(NAME, {"hi": Method(lambda _: {"hello": 1})})
    bus.serve(f"luci.{NAME}", {"hi": Method(lambda _: {"hello": 2})})
    bus.listen("test.*", lambda event, _: events.append(event))
    assert not bus.send("a", {})
    bus.tick(0.05)
    try:
        for _ in range(3):
            broker.start()
            started = time.monotonic()
            while not is_up(bus) and time.monotonic() < started + 5:
                bus.tick(0.5)
            assert time.monotonic() - started < 2
            bus.tick(0.1)
            other = EmbeddedBus(socket_path)
            assert meanwhile(bus, partial(other.call, NAME, "hi")) == {"hello": 1}
            assert meanwhile(bus, partial(other.call, f"luci.{NAME}", "hi")) == {"hello": 2}
            events.clear()
            other.send("test.event", {})
            deadline = time.monotonic() + 5
            while not events and time.monotonic() < deadline:
                bus.tick(0.1)
            assert events == ["test.event"]
            other.close()
            broker.stop()
            deadline = time.monotonic() + 5
            while is_up(bus) and time.monotonic() < deadline:
                bus.tick(0.5)
            assert not is_up(bus)
            with pytest.raises(BusError) as caught:
                bus.call(NAME, "hi", timeout=1)
            assert caught.value.status == Status.CONNECTION_FAILED
    finally:
        bus.close()
    assert capfd.readouterr().err.count(f"lost the bus at {socket_path}") == 3
