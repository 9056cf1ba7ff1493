# SPDX-License-Identifier: GPL-2.0-only
"""Messages, and their way through a socket that takes and gives them in pieces."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from natflow.bus import blob, wire
from natflow.bus.blob import BlobError
from natflow.bus.wire import Attr, Channel, FrameError, Message, TooLarge, Type


def raw(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


# Recorded from `ubus call natflow set '{"name":"ab","on":true,"n":5}'` against the real ubusd.
OBJECT = 0xB32C04EF
ARGUMENTS = {"name": "ab", "on": True, "n": 5}
LOOKUP = raw("00040001 00000000 00000010 0200000c 6e6174666c6f7700")
STATUS = raw("00010001 00000000 0000000c 01000008 00000000")
INVOKE = raw(
    "00050002 b32c04ef 00000044 03000008 b32c04ef 04000008 73657400 07000030"
    "8300000f 0004 6e616d65 0000 61620000 8700000d 0002 6f6e 00000000 01000000 8500000c 0001 6e00"
    "00000005"
)
DATA = raw(
    "00020002 b32c04ef 00000048 03000008 b32c04ef 0700003c 82000038 0003 676f74 000000"
    "8300000f 0004 6e616d65 0000 61620000 8700000d 0002 6f6e 00000000 01000000 8500000c 0001 6e00"
    "00000005"
)
LAST = raw("00010002 b32c04ef 00000014 01000008 00000000 03000008 b32c04ef")


def test_packs_the_recorded_messages() -> None:
    ident = wire.put_number(Attr.OBJID, OBJECT)
    data = wire.put_nested(Attr.DATA, blob.encode(ARGUMENTS))
    reply = wire.put_nested(Attr.DATA, blob.encode({"got": ARGUMENTS}))
    ok = wire.put_number(Attr.STATUS, 0)
    assert wire.pack(Type.LOOKUP, 1, 0, wire.put_text(Attr.OBJPATH, "natflow")) == LOOKUP
    assert wire.pack(Type.STATUS, 1, 0, ok) == STATUS
    body = ident + wire.put_text(Attr.METHOD, "set") + data
    assert wire.pack(Type.INVOKE, 2, OBJECT, body) == INVOKE
    assert wire.pack(Type.DATA, 2, OBJECT, ident + reply) == DATA
    assert wire.pack(Type.STATUS, 2, OBJECT, ok + ident) == LAST


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the peer's end of its socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = Channel(ours, 4 << 20)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_reads_the_recorded_messages(pair: tuple[Channel, socket.socket]) -> None:
    channel, peer = pair
    peer.sendall(LOOKUP + STATUS + INVOKE + DATA + LAST)
    lookup, status, invoke, data, last = channel.receive()
    assert (lookup.type, lookup.seq, lookup.peer) == (Type.LOOKUP, 1, 0)
    assert lookup.attributes().text(Attr.OBJPATH) == "natflow"
    assert status.attributes().number(Attr.STATUS) == 0
    assert (invoke.type, invoke.seq, invoke.peer) == (Type.INVOKE, 2, OBJECT)
    assert invoke.attributes().number(Attr.OBJID) == OBJECT
    assert invoke.attributes().text(Attr.METHOD) == "set"
    assert blob.decode(invoke.attributes().nested(Attr.DATA) or b"") == ARGUMENTS
    assert blob.decode(data.attributes().nested(Attr.DATA) or b"") == {"got": ARGUMENTS}
    assert last.attributes().number(Attr.STATUS) == 0


def test_reads_messages_byte_by_byte(pair: tuple[Channel, socket.socket]) -> None:
    channel, peer = pair
    messages: list[Message] = []
    stream = LOOKUP + INVOKE + STATUS
    for index in range(len(stream)):
        peer.sendall(stream[index : index + 1])
        messages += channel.receive()
    assert [message.type for message in messages] == [Type.LOOKUP, Type.INVOKE, Type.STATUS]
    assert messages[1].body == INVOKE[12:]
    assert channel.receive() == []


def test_an_end_of_stream_is_an_error(pair: tuple[Channel, socket.socket]) -> None:
    channel, peer = pair
    peer.sendall(LOOKUP[:7])
    assert channel.receive() == []
    peer.close()
    with pytest.raises(EOFError):
        channel.receive()


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("01040001 00000000 00000004", "version 1"),
        ("00040001 00000000 00000003", "heads no blob"),
        ("00040001 00000000 00000006", "heads no blob"),
        ("00040001 00000000 03000008", "heads no blob"),
        ("00040001 00000000 80000008", "heads no blob"),
        ("00040001 00000000 00100004", "1,048,580 bytes; at most 1,048,576"),
        ("00040001 00000000 00fffffc", "at most 1,048,576"),
    ],
)
def test_a_bad_header_ends_the_stream(
    pair: tuple[Channel, socket.socket], head: str, problem: str
) -> None:
    channel, peer = pair
    peer.sendall(raw(head))
    with pytest.raises(FrameError, match=problem):
        channel.receive()


def test_the_largest_message_passes_a_slow_peer(pair: tuple[Channel, socket.socket]) -> None:
    channel, peer = pair
    body = wire.put_nested(Attr.DATA, bytes(wire.MAX_MESSAGE - 8))
    packed = wire.pack(Type.DATA, 3, 4, body, wire.MAX_MESSAGE)
    other = Channel(peer, 1 << 20)
    peer.setblocking(False)
    assert channel.send(packed)
    received: list[Message] = []
    rounds = 0
    while not received:
        channel.flush()
        received = other.receive()
        rounds += 1
    assert rounds > 10  # the socket takes some 200 kB, a read 64 kB
    assert received[0].body == body
    assert channel.queued == 0


def test_too_large_a_message_is_refused_before_sending() -> None:
    with pytest.raises(TooLarge, match="1,047,556 bytes; ubus carries at most 1,047,552") as caught:
        wire.pack(Type.DATA, 1, 1, bytes(wire.MAX_SENT))
    assert caught.value.size == wire.MAX_SENT + 4


def test_the_queue_is_bounded(pair: tuple[Channel, socket.socket]) -> None:
    channel, _ = pair
    packed = wire.pack(Type.DATA, 1, 1, bytes(1 << 19))
    sent = 0
    while channel.send(packed):
        sent += 1
    assert sent == 7  # 8 bodies of half a MiB are 4 MiB; the headers no longer fit
    assert channel.queued == 7 * len(packed)


def test_a_reset_connection_is_an_os_error(pair: tuple[Channel, socket.socket]) -> None:
    channel, peer = pair
    peer.close()
    channel.send(LOOKUP)
    with pytest.raises(OSError):
        channel.flush()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("0300000500000000", "attribute 3 has 1 bytes, not 4"),
        ("0a00000800000000", "attribute 10 has 4 bytes, not 1"),
        ("0400000861626364", "attribute 4 is a string without its NUL"),
        ("02000004", "attribute 2 is a string without its NUL"),
        ("0300000c00000001", "12 bytes with 8 left"),
    ],
)
def test_malformed_attributes_are_named(body: str, problem: str) -> None:
    with pytest.raises(BlobError, match=problem):
        Message(Type.INVOKE, 1, 0, raw(body)).attributes()


def test_unknown_attributes_are_skipped() -> None:
    message = Message(Type.INVOKE, 1, 0, raw("7f000005 01000000 03000008 00000007"))
    assert message.attributes().number(Attr.OBJID) == 7
    assert message.attributes().number(Attr.TARGET) is None
    assert message.attributes().text(Attr.METHOD) is None


def test_names_that_are_not_utf8_survive() -> None:
    name = Message(Type.LOOKUP, 1, 0, raw("02000007 e4f600 00")).attributes().text(Attr.OBJPATH)
    assert name is not None
    assert wire.put_text(Attr.OBJPATH, name) == raw("02000007 e4f600 00")
