# SPDX-License-Identifier: GPL-2.0-only
"""The netlink fuzzer itself: repeatable, varied, and not blind."""

from __future__ import annotations

import errno
import struct
from itertools import pairwise

import pytest
from fuzz.netlink_messages import NESTED, Body, Generator
from fuzz.netlink_session import MESSAGE, Report, Session, run

# The kernel numbers families from 16 up and gives out the next free one: nobody has this.
NO_FAMILY = 0x3F0


def test_the_seed_determines_the_stream() -> None:
    for name in ("invalid", "wild", "wild_dump"):
        first, second, other = Generator(1), Generator(1), Generator(2)
        stream = [getattr(first, name)() for _ in range(300)]
        assert stream == [getattr(second, name)() for _ in range(300)]
        assert stream != [getattr(other, name)() for _ in range(300)]


def test_every_sort_appears_and_few_messages_twice() -> None:
    make = Generator(3)
    bodies = [make.invalid() for _ in range(5000)]
    sorts = {body.sort for body in bodies}
    assert len(sorts) >= 11, sorts
    assert len(set(bodies)) > 4000


def test_frames_have_sound_headers() -> None:
    session = Session(NO_FAMILY)
    make = Generator(4)
    for number in range(500):
        body = make.invalid()
        frame = session.frame(number, body)
        length, family, flags, sequence, _, command, version, reserved = MESSAGE.unpack_from(frame)
        assert (length, len(frame) % 4) == (20 + len(body.attrs), 0)
        assert (family, flags, sequence) == (NO_FAMILY, body.flags, number)
        assert (command, version, reserved) == (body.command, 1, body.reserved)
    session.close()


def test_every_answer_is_booked() -> None:
    """A family that does not exist refuses everything: no answer may be lost or doubled."""
    session = Session(NO_FAMILY)
    report = Report()
    make = Generator(5)
    run(session, make.invalid, 1000, True, report, batch=50, noise=make.noise)
    session.close()
    assert report.faults == []
    assert (sum(report.sent.values()), report.dropped) == (980, 20)
    assert dict(report.codes) == {"ENOENT": 980}


def test_an_accepted_message_is_a_fault() -> None:
    """NLMSG_NOOP is acknowledged without a family: it stands for a check that is missing."""
    session = Session(1)
    report = Report()
    run(session, lambda: Body("noop", 1, 5, 0, b""), 10, True, report)
    session.close()
    assert len(report.faults) == 10
    assert "noop: accepted" in report.faults[0]


def test_silence_and_repetition_are_faults() -> None:
    report = Report()
    report.judge("one", None, False, b"")
    report.judge("two", 1, False, b"")
    report.judge("three", -errno.EINVAL, True, b"")
    report.judge("four", 0, False, b"")
    assert [fault.split(":")[1] for fault in report.faults] == [
        " no answer",
        " more than one answer",
    ]
    assert dict(report.codes) == {"EINVAL": 1, "ok": 1}


@pytest.mark.parametrize("command", [2, 4, 5, 6])
def test_valid_parts_are_well_formed(command: int) -> None:
    """Damage must be the only thing that is wrong, so the rest has to be right."""
    make = Generator(6)
    for _ in range(200):
        attrs = make.valid(command)
        length, code = struct.unpack_from("=HH", attrs)
        assert length == len(attrs)
        assert code & NESTED
        at, ends = 4, [4]
        while at < length:
            at += (struct.unpack_from("=H", attrs, at)[0] + 3) & ~3
            ends.append(at)
        assert at == length
        assert all(end - start >= 4 for start, end in pairwise(ends))
