# SPDX-License-Identifier: GPL-2.0-only
"""The event socket: what it joins, what it tells, and what it survives."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.kernel import kernelside as k

from natflow.kernel import uapi
from natflow.kernel.codec import control_codec, family_codec
from natflow.kernel.errors import KernelError, NoPermission
from natflow.kernel.events import READS_AT_ONCE, EventSocket
from natflow.kernel.records import Event, Flushed

CODEC = family_codec()
CONTROL = control_codec()
GROUPS = {"events": k.EVENTS_GROUP, "flows": k.FLOWS_GROUP}
LOST = Event("lost", {}, None, ())
ADD_MEMBERSHIP = (270, 1)


def listen(flows: bool = False) -> tuple[EventSocket, k.FakeSocket]:
    sock = k.FakeSocket(lambda _: [])
    return EventSocket(CODEC, CONTROL, GROUPS, flows, sock), sock


def joined(sock: k.FakeSocket) -> list[object]:
    return [value for level, option, value in sock.options if (level, option) == ADD_MEMBERSHIP]


def event(number: int, *attrs: bytes) -> bytes:
    return k.genl(uapi.CMD_EVENT, 0, k.u32(21, number), *attrs)


def test_flows_are_joined_only_when_asked_for() -> None:
    assert joined(listen()[1]) == [16, k.EVENTS_GROUP]
    assert joined(listen(flows=True)[1]) == [16, k.EVENTS_GROUP, k.FLOWS_GROUP]


def test_reading_never_waits() -> None:
    events, _ = listen()
    assert events.read() == []
    assert events.fileno() >= 0
    events.close()
    assert events.fileno() == -1


def test_events_of_every_kind() -> None:
    events, sock = listen(flows=True)
    record = k.flow_record(id=9, family=2, l4proto=6, state=2)
    sock.feed(
        event(0, k.nest(1, k.u8(1, 0), k.u32(2, 8))),
        event(1, k.u32(15, 3), k.u32(16, 2)),
        event(2, k.u32(12, 256), k.tlv(13, record)) + event(3, k.u32(12, 256), k.tlv(13, record)),
        event(200),
    )
    config, flush, start, end, later = events.read()
    assert config == ("config", {"enabled": 0, "delay_pkts": 8}, None, ())
    assert flush == ("flush", {}, Flushed(3, 2), ())
    assert [start.kind, end.kind] == ["flow-start", "flow-end"]
    assert [flow.id for flow in (*start.flows, *end.flows)] == [9, 9]
    assert later.kind == "200"
    assert events.read() == []


def test_an_overrun_is_told() -> None:
    events, sock = listen()
    sock.feed(OSError(errno.ENOBUFS, "No buffer space"), event(1))
    assert events.read() == [LOST, Event("flush", {}, Flushed(0, 0), ())]


def test_a_broken_socket_is_an_error() -> None:
    events, sock = listen()
    sock.feed(OSError(errno.EBADF, "Bad file descriptor"))
    with pytest.raises(KernelError):
        events.read()


def test_a_storm_does_not_starve_the_caller() -> None:
    events, sock = listen()
    sock.feed(*[event(1)] * (READS_AT_ONCE + 1))
    assert len(events.read()) == READS_AT_ONCE
    assert len(events.read()) == 1


def test_other_processes_are_not_believed() -> None:
    events, sock = listen()
    sock.feed(event(1), port=4711)
    assert events.read() == []


def test_the_module_goes_and_comes() -> None:
    events, sock = listen(flows=True)
    sock.feed(k.genl(2, 0, k.text(2, "natflow"), k.u16(1, k.FAMILY), kind=16))
    sock.feed(k.genl(2, 0, k.text(2, "other"), k.u16(1, 99), kind=16))
    new = k.nest(
        7, k.nest(1, k.u32(2, 40), k.text(1, "events")), k.nest(2, k.u32(2, 41), k.text(1, "flows"))
    )
    sock.feed(k.genl(1, 0, k.text(2, "natflow"), k.u16(1, 77), new, kind=16))
    assert [told.kind for told in events.read()] == ["unloaded", "loaded"]
    assert joined(sock)[-2:] == [40, 41]


class Refusing(k.FakeSocket):
    number = errno.EPERM

    def setsockopt(self, level: int, option: int, value: object) -> None:  # type: ignore[override]
        if (level, option) == ADD_MEMBERSHIP and value != 16:
            raise OSError(self.number, "no")


def test_joining_without_permission() -> None:
    sock = Refusing(lambda _: [])
    with pytest.raises(NoPermission, match="events"):
        EventSocket(CODEC, CONTROL, GROUPS, False, sock)
    assert sock.fileno() == -1


def test_groups_that_are_not_there() -> None:
    with pytest.raises(KernelError, match="no group 'flows'"):
        EventSocket(CODEC, CONTROL, {"events": 7}, True, k.FakeSocket(lambda _: []))


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.builds(
                lambda attrs, kind, command: k.genl(command, 0, *attrs, kind=kind),
                st.lists(st.builds(k.tlv, st.integers(0, 24), st.binary(max_size=30)), max_size=4),
                st.sampled_from([k.FAMILY, 16, 3]),
                st.integers(0, 10),
            ),
        ),
        max_size=5,
    )
)
def test_garbage_is_an_event_that_was_lost(datagrams: list[bytes]) -> None:
    events, sock = listen(flows=True)
    sock.feed(*datagrams)
    for told in events.read():
        assert told.kind in (*uapi.EVENTS, "lost", "loaded", "unloaded") or told.kind.isdigit()
    events.close()
