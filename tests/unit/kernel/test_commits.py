# SPDX-License-Identifier: GPL-2.0-only
"""The socket that hears of nftables commits: a change is never missed, nor told too early."""

from __future__ import annotations

import errno

import pytest
from unit.kernel import kernelside as k

from natflow.kernel.commits import READS_AT_ONCE, CommitSocket
from natflow.kernel.errors import KernelError

ADD_MEMBERSHIP = (270, 1)
NFTABLES_GROUP = 7
NEWGEN = k.message(10 << 8 | 15, 0, b"\0\0\0\0" + k.u32(1, 77))
OVERRUN = OSError(errno.ENOBUFS, "No buffer space")


def listen() -> tuple[CommitSocket, k.FakeSocket]:
    sock = k.FakeSocket(lambda _: [])
    return CommitSocket(sock), sock


def test_the_group_of_nftables_is_joined() -> None:
    commits, sock = listen()
    joined = [value for level, option, value in sock.options if (level, option) == ADD_MEMBERSHIP]
    assert joined == [NFTABLES_GROUP]
    assert not commits.read()
    commits.close()
    assert sock.fileno() == -1


def test_many_messages_are_one_change() -> None:
    commits, sock = listen()
    sock.feed(*[NEWGEN] * 5)
    assert commits.read()
    assert not sock.queue
    assert not commits.read()


def test_an_overrun_is_a_change_and_what_follows_is_taken_first() -> None:
    """Until the buffer is empty nothing more is told about what is dropped."""
    commits, sock = listen()
    sock.feed(OVERRUN, NEWGEN)
    assert commits.read()
    assert not sock.queue
    sock.feed(OVERRUN)
    assert commits.read()


def test_a_storm_does_not_starve_the_caller() -> None:
    commits, sock = listen()
    sock.feed(*[NEWGEN] * (READS_AT_ONCE + 1))
    assert commits.read()
    assert len(sock.queue) == 1
    assert commits.read()


def test_other_processes_are_not_believed() -> None:
    commits, sock = listen()
    sock.feed(NEWGEN, port=4711)
    assert not commits.read()


def test_a_broken_socket_is_an_error() -> None:
    commits, sock = listen()
    sock.feed(OSError(errno.EBADF, "Bad file descriptor"))
    with pytest.raises(KernelError, match="nftables commits: Bad file descriptor"):
        commits.read()


class Refusing(k.FakeSocket):
    def setsockopt(self, level: int, option: int, value: object) -> None:  # type: ignore[override]
        if (level, option) == ADD_MEMBERSHIP:
            raise OSError(errno.EPERM, "no")


def test_joining_without_permission() -> None:
    sock = Refusing(lambda _: [])
    with pytest.raises(KernelError, match="not permitted"):
        CommitSocket(sock)
    assert sock.fileno() == -1
