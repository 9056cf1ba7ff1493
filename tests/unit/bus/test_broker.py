# SPDX-License-Identifier: GPL-2.0-only
"""The broker, message by message: what ubusd does, and what it does better."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from unit.bus.brokers import SOURCE, RunningBroker
from unit.bus.rawclient import RawClient, content, invocation, signed

from natflow.bus import Status, blob, wire
from natflow.bus.wire import Attr, Type

Connect = Callable[[], RawClient]


@pytest.fixture
def connect(broker: RunningBroker) -> Iterator[Connect]:
    clients: list[RawClient] = []

    def new() -> RawClient:
        clients.append(RawClient(broker.path))
        return clients[-1]

    yield new
    for client in clients:
        client.close()


def objid(ident: int) -> bytes:
    return wire.put_number(Attr.OBJID, ident)


def status_is(status: int) -> bytes:
    return wire.put_number(Attr.STATUS, status)


# --- objects ---


def test_greets_each_client_with_an_id_of_its_own(connect: Connect) -> None:
    idents = {connect().ident for _ in range(5)}
    assert len(idents) == 5
    assert min(idents) >= 1024


def test_ping_echoes_and_unknown_types_are_refused(connect: Connect) -> None:
    client = connect()
    body = wire.put_text(Attr.METHOD, "x")
    status, (pong,) = client.ask(Type.PING, body, peer=77)
    assert (status, pong.body, pong.peer) == (0, body, 77)
    for kind in (Type.HELLO, 11, 12, 255):
        assert client.ask(kind) == (Status.INVALID_COMMAND, [])


def test_objects_can_be_looked_up(connect: Connect) -> None:
    server, client = connect(), connect()
    signature = {"query": {"filter": 2}, "status": {}}
    ident = server.add("natflow", signature)
    server.add("natflow.more")
    server.add("network")
    server.add(None)  # nobody can look it up
    status, (reply,) = client.ask(Type.LOOKUP, wire.put_text(Attr.OBJPATH, "natflow"))
    attributes = reply.attributes()
    assert status == 0
    assert attributes.text(Attr.OBJPATH) == "natflow"
    assert attributes.number(Attr.OBJID) == ident
    assert attributes.number(Attr.OBJTYPE) is not None
    assert blob.decode(attributes.nested(Attr.SIGNATURE) or b"") == signature

    def paths(body: bytes) -> list[str | None]:
        found = client.ask(Type.LOOKUP, body)[1]
        return [message.attributes().text(Attr.OBJPATH) for message in found]

    assert paths(b"") == ["natflow", "natflow.more", "network"]
    assert paths(wire.put_text(Attr.OBJPATH, "*")) == ["natflow", "natflow.more", "network"]
    assert paths(wire.put_text(Attr.OBJPATH, "natflow*")) == ["natflow", "natflow.more"]
    for pattern in ("nat", "x*"):
        lookup = client.ask(Type.LOOKUP, wire.put_text(Attr.OBJPATH, pattern))
        assert lookup == (Status.NOT_FOUND, [])
    assert client.ask(Type.LOOKUP, wire.put_text(Attr.OBJPATH, "")) == (2, [])


def test_objects_share_a_type_by_its_id(connect: Connect) -> None:
    """libubus sends a signature once, and then only the id it was given."""
    server = connect()
    signature = wire.put_nested(Attr.SIGNATURE, blob.encode({"up": {}}))
    added = server.ask(Type.ADD_OBJECT, wire.put_text(Attr.OBJPATH, "a") + signature)[1][0]
    kind = added.attributes().number(Attr.OBJTYPE)
    first = added.attributes().number(Attr.OBJID)
    assert kind is not None
    assert first is not None
    by_id = wire.put_text(Attr.OBJPATH, "b") + wire.put_number(Attr.OBJTYPE, kind)
    second = server.ask(Type.ADD_OBJECT, by_id)[1][0].attributes().number(Attr.OBJID)
    assert second is not None
    found = server.ask(Type.LOOKUP, wire.put_text(Attr.OBJPATH, "b"))[1][0]
    assert found.attributes().nested(Attr.SIGNATURE) == blob.encode({"up": {}})
    status, (reply,) = server.ask(Type.REMOVE_OBJECT, objid(first))
    assert (status, reply.attributes().number(Attr.OBJTYPE)) == (0, None)
    status, (reply,) = server.ask(Type.REMOVE_OBJECT, objid(second))
    assert (status, reply.attributes().number(Attr.OBJTYPE)) == (0, kind)
    assert server.ask(Type.ADD_OBJECT, by_id)[0] == Status.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "body",
    [
        wire.put_text(Attr.OBJPATH, ""),
        wire.put_text(Attr.OBJPATH, "x" * 300),
        wire.put_text(Attr.OBJPATH, "taken"),
        wire.put_text(Attr.OBJPATH, "a") + wire.put_nested(Attr.SIGNATURE, b"\x83\0\0\x40"),
        wire.put_text(Attr.OBJPATH, "a")
        + wire.put_nested(Attr.SIGNATURE, blob.encode({"method": 5})),
        wire.put_text(Attr.OBJPATH, "a")
        + wire.put_nested(Attr.SIGNATURE, blob.encode({"method": {"argument": "5"}})),
        wire.put_text(Attr.OBJPATH, "a")
        + wire.put_nested(Attr.SIGNATURE, blob.encode({"method": {"a" * 65000: 5}, "b" * 999: {}})),
        b"\x03\0\0\x05\0\0\0\0",
    ],
)
def test_objects_that_cannot_be_added(connect: Connect, body: bytes) -> None:
    client = connect()
    client.add("taken")
    assert client.ask(Type.ADD_OBJECT, body) == (Status.INVALID_ARGUMENT, [])


def test_objects_are_removed_by_their_owner_only(connect: Connect) -> None:
    server, client = connect(), connect()
    ident = server.add("natflow")
    assert client.ask(Type.REMOVE_OBJECT, objid(ident)) == (Status.PERMISSION_DENIED, [])
    assert client.ask(Type.REMOVE_OBJECT) == (Status.INVALID_ARGUMENT, [])
    assert server.ask(Type.REMOVE_OBJECT, objid(ident))[0] == 0
    assert server.ask(Type.REMOVE_OBJECT, objid(ident)) == (Status.NOT_FOUND, [])
    server.add("natflow")
    server.close()
    client.add("x")  # by now the broker has seen it
    assert client.ask(Type.LOOKUP, wire.put_text(Attr.OBJPATH, "natflow"))[0] == Status.NOT_FOUND


def test_a_client_may_not_have_ever_more_objects(connect: Connect) -> None:
    client = connect()
    for _ in range(256):
        client.add(None)
    assert client.ask(Type.ADD_OBJECT) == (Status.NO_MEMORY, [])
    assert connect().add("natflow")


# --- calls ---


def test_a_call_travels_there_and_back(connect: Connect) -> None:
    server, client = connect(), connect()
    ident = server.add("natflow", {"status": {}})
    seq = client.send(Type.INVOKE, invocation(ident, "status", {"a": 1}), ident)
    call = server.get(Type.INVOKE)
    attributes = call.attributes()
    assert (call.seq, call.peer) == (seq, client.ident)
    assert attributes.number(Attr.OBJID) == ident
    assert attributes.text(Attr.METHOD) == "status"
    assert attributes.text(Attr.USER) == _me()
    assert attributes.text(Attr.GROUP)
    assert content(call) == {"a": 1}
    answer = objid(ident) + wire.put_nested(Attr.DATA, blob.encode({"b": 2}))
    server.send(Type.DATA, answer, call.peer, call.seq)
    server.send(Type.STATUS, status_is(0) + objid(ident), call.peer, call.seq)
    reply = client.get(Type.DATA)
    assert (reply.seq, reply.peer, content(reply)) == (seq, ident, {"b": 2})
    last = client.get(Type.STATUS)
    assert (last.seq, last.peer) == (seq, ident)
    assert last.attributes().number(Attr.STATUS) == 0


def _me() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def test_calls_may_be_answered_late_and_in_any_order(connect: Connect) -> None:
    server, client = connect(), connect()
    ident = server.add("natflow")
    seqs = [client.send(Type.INVOKE, invocation(ident, "m", {}), ident) for _ in range(3)]
    for _ in seqs:
        server.get(Type.INVOKE)
    for seq in reversed(seqs):
        server.send(Type.STATUS, status_is(seq) + objid(ident), client.ident, seq)
    answers = [client.get(Type.STATUS) for _ in seqs]
    assert [answer.seq for answer in answers] == seqs[::-1]
    assert [answer.attributes().number(Attr.STATUS) for answer in answers] == seqs[::-1]


def test_calls_that_lead_nowhere(connect: Connect) -> None:
    client = connect()
    assert client.invoke(0xDEADBEEF, "x", {}) == (Status.NOT_FOUND, [])
    assert client.invoke(5, "x", {}) == (Status.NOT_FOUND, [])
    assert client.ask(Type.INVOKE, objid(1)) == (Status.INVALID_ARGUMENT, [])
    assert client.ask(Type.INVOKE, wire.put_text(Attr.METHOD, "x"))[0] == Status.INVALID_ARGUMENT
    assert client.invoke(1, "nope", {}) == (Status.INVALID_COMMAND, [])
    assert client.invoke(2, "query", {}) == (0, [{"seq": 0, "acl": []}])
    assert client.invoke(3, "add", {}) == (Status.NOT_SUPPORTED, [])


def test_a_dead_server_is_told_to_its_callers(connect: Connect) -> None:
    """ubusd would leave them to their time-out."""
    server, client = connect(), connect()
    one, two = server.add("one"), server.add("two")
    seqs = [client.send(Type.INVOKE, invocation(ident, "m", {}), ident) for ident in (one, two)]
    server.get(Type.INVOKE)
    server.get(Type.INVOKE)
    assert server.ask(Type.REMOVE_OBJECT, objid(one))[0] == 0
    first = client.get(Type.STATUS)
    server.close()
    second = client.get(Type.STATUS)
    assert [first.seq, second.seq] == seqs
    assert [first.peer, second.peer] == [one, two]
    for answer in (first, second):
        assert answer.attributes().number(Attr.STATUS) == Status.NO_DATA


def test_only_who_was_asked_can_answer_and_only_once(connect: Connect) -> None:
    server, client, stranger = connect(), connect(), connect()
    ident = server.add("natflow")
    own = stranger.add("stranger")
    seq = client.send(Type.INVOKE, invocation(ident, "m", {}), ident)
    server.get(Type.INVOKE)
    for claimed in (ident, own):
        stranger.send(Type.STATUS, status_is(0) + objid(claimed), client.ident, seq)
    server.send(Type.STATUS, status_is(0), client.ident, seq)  # names no object
    server.send(Type.DATA, objid(ident), client.ident, seq)  # has no data
    server.send(Type.STATUS, objid(ident), client.ident, seq)  # has no status
    server.send(Type.STATUS, status_is(0) + objid(ident), 0xDEAD, seq)  # for nobody
    server.send(Type.STATUS, status_is(0) + objid(ident), client.ident, seq + 1)
    server.ask(Type.PING)
    stranger.ask(Type.PING)
    assert client.nothing()
    server.send(Type.STATUS, status_is(7) + objid(ident), client.ident, seq)
    server.send(Type.STATUS, status_is(0) + objid(ident), client.ident, seq)
    assert client.get(Type.STATUS).attributes().number(Attr.STATUS) == 7
    server.ask(Type.PING)
    assert client.nothing()


def test_garbage_for_an_answer_ends_the_connection(connect: Connect) -> None:
    server, client = connect(), connect()
    ident = server.add("natflow")
    client.send(Type.INVOKE, invocation(ident, "m", {}), ident)
    server.get(Type.INVOKE)
    server.send(Type.STATUS, b"\x01\0\0\x05\0\0\0\0", client.ident, 1)
    assert server.is_closed()
    assert client.get(Type.STATUS).attributes().number(Attr.STATUS) == Status.NO_DATA


def test_the_largest_message_is_forwarded(connect: Connect) -> None:
    server, client = connect(), connect()
    ident = server.add("natflow")
    body = invocation(ident, "m", {"x": "y" * (wire.MAX_SENT - 60)})
    client.send(Type.INVOKE, body, ident)
    while client.channel.queued:
        client.pump(0.1)
    assert len(server.get(Type.INVOKE).body) > len(body)
    # One that leaves no room for the caller's name is refused, not lost.
    body = invocation(ident, "m", {"x": "y" * (wire.MAX_MESSAGE - 40)})
    client.channel.send(wire.pack(Type.INVOKE, 99, ident, body, wire.MAX_MESSAGE))
    refused = client.get(Type.STATUS)
    assert refused.attributes().number(Attr.STATUS) == Status.INVALID_ARGUMENT


# --- events and subscriptions ---


def test_events_reach_their_listeners(connect: Connect) -> None:
    listener, sender = connect(), connect()
    ident = listener.add(None)
    for pattern in ("natflow.*", "natflow.state", "exact"):
        register = {"object": signed(ident), "pattern": pattern}
        assert listener.invoke(1, "register", register) == (0, [])
    for event in ("natflow.state", "exactly", "other", "exact"):
        assert sender.invoke(1, "send", {"id": event, "data": {"n": event}}) == (0, [])
    for event in ("natflow.state", "exact"):  # each once, though two patterns match the first
        message = listener.get(Type.INVOKE)
        assert message.peer == 0
        assert message.attributes().number(Attr.OBJID) == ident
        assert message.attributes().text(Attr.METHOD) == event
        assert content(message) == {"n": event}
    assert listener.invoke(1, "send", {"id": "exact", "data": {}}) == (0, [])  # not looped back
    assert listener.nothing()


def test_events_that_are_refused(connect: Connect) -> None:
    client, other = connect(), connect()
    ident, theirs = client.add(None), other.add(None)
    assert client.invoke(1, "send", {"id": "ubus.x", "data": {}})[0] == Status.PERMISSION_DENIED
    events: list[dict[str, Any]] = [{}, {"id": "x"}, {"data": {}}, {"id": 5, "data": {}}]
    for data in (*events, {"id": "x", "data": "y"}):
        assert client.invoke(1, "send", data)[0] == Status.INVALID_ARGUMENT, data
    registrations: list[tuple[dict[str, Any], int]] = [
        ({}, Status.INVALID_ARGUMENT),
        ({"object": True, "pattern": "x"}, Status.INVALID_ARGUMENT),
        ({"object": signed(ident)}, Status.INVALID_ARGUMENT),
        ({"object": signed(ident), "pattern": ""}, Status.PERMISSION_DENIED),
        ({"object": 1, "pattern": "x"}, Status.PERMISSION_DENIED),
        ({"object": signed(theirs), "pattern": "x"}, Status.PERMISSION_DENIED),
        ({"object": 0x7FFFFFFF, "pattern": "x"}, Status.NOT_FOUND),
    ]
    for data, status in registrations:
        assert client.invoke(1, "register", data)[0] == status, data
    body = objid(1) + wire.put_text(Attr.METHOD, "send") + wire.put_nested(Attr.DATA, b"\x83\0\0")
    assert client.ask(Type.INVOKE, body)[0] == Status.INVALID_ARGUMENT


def test_objects_that_come_and_go_are_announced(connect: Connect) -> None:
    listener, server = connect(), connect()
    ident = listener.add(None)
    listener.invoke(1, "register", {"object": signed(ident), "pattern": "ubus.object.*"})
    added = server.add("natflow")
    server.add(None)  # has no name: nobody's business
    server.close()
    for event in ("ubus.object.add", "ubus.object.remove"):
        message = listener.get(Type.INVOKE)
        assert message.attributes().text(Attr.METHOD) == event
        assert content(message) == {"id": signed(added), "path": "natflow"}
    assert listener.nothing()


def test_subscriptions(connect: Connect) -> None:
    server, client = connect(), connect()
    target, subscriber = server.add("natflow"), client.add(None)
    pair = objid(subscriber) + wire.put_number(Attr.TARGET, target)
    assert client.ask(Type.SUBSCRIBE, pair) == (0, [])
    active = server.get(Type.NOTIFY).attributes()
    assert (active.number(Attr.OBJID), active.number(Attr.ACTIVE)) == (target, 1)

    data = wire.put_nested(Attr.DATA, blob.encode({"x": 1}))
    notice = objid(target) + wire.put_text(Attr.METHOD, "changed") + data
    server.send(Type.NOTIFY, notice + wire.put_flag(Attr.NO_REPLY, True))
    message = client.get(Type.INVOKE)
    assert message.attributes().number(Attr.NO_REPLY) == 1
    assert message.attributes().number(Attr.OBJID) == subscriber
    assert message.attributes().text(Attr.METHOD) == "changed"
    assert content(message) == {"x": 1}

    seq = server.send(Type.NOTIFY, notice)
    told = server.get(Type.STATUS)
    assert told.seq == seq
    assert told.attributes().nested(Attr.SUBSCRIBERS) == wire.put_number(0, subscriber)
    message = client.get(Type.INVOKE)
    assert (message.peer, message.seq) == (server.ident, seq)
    client.send(Type.STATUS, status_is(0) + objid(subscriber), message.peer, message.seq)
    answered = server.get(Type.STATUS)
    assert (answered.seq, answered.peer) == (seq, subscriber)

    assert client.ask(Type.UNSUBSCRIBE, pair) == (0, [])
    assert server.get(Type.NOTIFY).attributes().number(Attr.ACTIVE) == 0
    assert client.ask(Type.UNSUBSCRIBE, pair) == (Status.NOT_FOUND, [])


def test_subscriptions_end_with_either_side(connect: Connect) -> None:
    server, client, other = connect(), connect(), connect()
    target, subscriber = server.add("natflow"), client.add(None)
    body = wire.put_number(Attr.TARGET, target)
    assert client.ask(Type.SUBSCRIBE, objid(subscriber) + body) == (0, [])
    assert server.get(Type.NOTIFY).attributes().number(Attr.ACTIVE) == 1
    passing = other.add(None)
    assert other.ask(Type.SUBSCRIBE, objid(passing) + body) == (0, [])
    other.close()
    assert server.nothing()  # one is left
    assert server.ask(Type.REMOVE_OBJECT, objid(target))[0] == 0
    gone = client.get(Type.UNSUBSCRIBE).attributes()
    assert (gone.number(Attr.OBJID), gone.number(Attr.TARGET)) == (subscriber, target)


def test_subscriptions_that_are_refused(connect: Connect) -> None:
    server, client = connect(), connect()
    target, own, mine = server.add("natflow"), server.add(None), client.add(None)

    def subscribe(asker: RawClient, ident: int, to: int) -> int:
        return asker.ask(Type.SUBSCRIBE, objid(ident) + wire.put_number(Attr.TARGET, to))[0]

    assert client.ask(Type.SUBSCRIBE, objid(mine))[0] == Status.INVALID_ARGUMENT
    assert subscribe(client, mine, 0xDEAD) == Status.NOT_FOUND
    assert subscribe(client, own, target) == Status.INVALID_ARGUMENT
    assert subscribe(server, own, target) == Status.INVALID_ARGUMENT
    notice = objid(target) + wire.put_text(Attr.METHOD, "x")
    assert client.ask(Type.NOTIFY, notice)[0] == Status.PERMISSION_DENIED
    assert client.ask(Type.NOTIFY, objid(target))[0] == Status.INVALID_ARGUMENT
    no_object = objid(0xDEAD) + wire.put_text(Attr.METHOD, "x")
    assert client.ask(Type.NOTIFY, no_object)[0] == Status.NOT_FOUND


# --- slow and hostile clients ---


def test_a_slow_listener_misses_events_and_nobody_else_notices(connect: Connect) -> None:
    slow, sender, quick = connect(), connect(), connect()
    for listener in (slow, quick):
        ident = listener.add(None)
        listener.invoke(1, "register", {"object": signed(ident), "pattern": "x"})
    for number in range(60):
        event = {"id": "x", "data": {"n": number, "filler": "y" * 100_000}}
        assert sender.invoke(1, "send", event)[0] == 0
        assert content(quick.get(Type.INVOKE))["n"] == number
    got = []
    while not slow.nothing(0.2):
        got.append(content(slow.get(Type.INVOKE))["n"])
    assert 10 < len(got) < 60
    assert got == list(range(len(got)))
    assert slow.ask(Type.PING)[0] == 0


def test_a_full_server_refuses_calls(connect: Connect) -> None:
    server, client = connect(), connect()
    ident = server.add("natflow")
    body = invocation(ident, "m", {"x": "y" * 500_000})
    statuses = []
    for _ in range(8):
        client.send(Type.INVOKE, body, ident)
        while client.channel.queued:
            client.pump(0.1)
    client.ask(Type.PING)
    statuses = [message.attributes().number(Attr.STATUS) for message in client.waiting]
    assert statuses
    assert set(statuses) == {Status.NO_MEMORY}
    taken = 0
    while not server.nothing(0.3):
        server.get(Type.INVOKE)
        taken += 1
    assert taken == 8 - len(statuses)


def test_who_does_not_read_its_answers_is_cut_off(connect: Connect, broker: RunningBroker) -> None:
    flooder, other = connect(), connect()
    body = wire.put_nested(Attr.DATA, bytes(500_000))
    with contextlib.suppress(OSError):
        for _ in range(40):
            flooder.channel.send(wire.pack(Type.PING, 1, 0, body))
            for _ in range(20):
                flooder.channel.flush()
                assert other.ask(Type.PING)[0] == 0
    assert flooder.is_closed()
    assert other.ask(Type.PING)[0] == 0


def test_the_number_of_clients_is_limited(connect: Connect, broker: RunningBroker) -> None:
    clients = [connect() for _ in range(64)]
    with pytest.raises(EOFError):
        RawClient(broker.path)
    assert clients[0].ask(Type.PING)[0] == 0
    clients[1].close()
    clients[0].ask(Type.PING)
    assert connect().ask(Type.PING)[0] == 0


# --- the socket ---


def test_the_socket_is_private(broker: RunningBroker) -> None:
    mode = os.stat(broker.path).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_the_mode_can_be_chosen(unstarted: RunningBroker) -> None:
    unstarted.start("--mode", "666")
    assert stat.S_IMODE(os.stat(unstarted.path).st_mode) == 0o666


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(
    socket_path: str, unstarted: RunningBroker
) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(socket_path)
    dead.close()
    unstarted.start()
    second = _run_broker(socket_path)
    assert second.returncode == 1
    assert second.stderr == f"cannot listen on {socket_path}: a bus is running there already\n"
    client = RawClient(socket_path)
    assert client.ask(Type.PING)[0] == 0
    client.close()


def test_a_file_that_is_no_socket_is_left_alone(socket_path: str) -> None:
    with open(socket_path, "w") as file:
        file.write("precious")
    assert _run_broker(socket_path).returncode == 1
    with open(socket_path) as file:
        assert file.read() == "precious"


def _run_broker(path: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "natflow.bus.broker", "--socket", path, *options],
        env={**os.environ, "PYTHONPATH": os.fspath(SOURCE)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("options", [["--mode", "9"], ["--allow", "-5"], ["--allow", "bob"]])
def test_bad_options_are_refused(socket_path: str, options: list[str]) -> None:
    done = _run_broker(socket_path, *options)
    assert done.returncode == 2
    assert options[0] in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("options", "welcome"), [([], False), (["--allow", "65534"], True)])
def test_other_users_are_refused(
    unstarted: RunningBroker, options: list[str], welcome: bool
) -> None:
    os.chmod(os.path.dirname(unstarted.path), 0o755)
    unstarted.start("--mode", "666", *options)  # the file lets them pass: the broker must not
    script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", script + "print(len(s.recv(12)))", unstarted.path],
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ("12\n" if welcome else "0\n")
