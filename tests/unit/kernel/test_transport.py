# SPDX-License-Identifier: GPL-2.0-only
"""One request, its answer, and everything that may go wrong between them."""

from __future__ import annotations

import contextlib
import errno
import struct
import time
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.kernel import kernelside as k

from natflow.kernel.errors import KernelError
from natflow.kernel.transport import READ_BYTES, Refusal, Transport, open_socket


def transport(*datagrams: bytes | OSError) -> tuple[Transport, k.FakeSocket]:
    sock = k.FakeSocket(lambda _: list(datagrams))
    return Transport(sock, timeout=0.05), sock


REQUEST = k.genl(1, 7)


def test_messages_up_to_the_ack() -> None:
    first, second = k.genl(1, 7, k.u32(4, 1)), k.genl(1, 7, k.u32(4, 2))
    link, sock = transport(first + second, k.ack(7))
    assert list(link.exchange(REQUEST)) == [first, second]
    assert sock.sent == [REQUEST]


def test_a_dump_over_several_datagrams() -> None:
    parts = [k.genl(4, 7, k.u32(12, index), flags=k.NLM_F_MULTI) for index in range(5)]
    link, _ = transport(parts[0] + parts[1], parts[2], parts[3] + parts[4] + k.done(7))
    assert list(link.exchange(REQUEST)) == parts
    assert not link.interrupted


def test_an_interrupted_dump_is_flagged() -> None:
    part = k.genl(4, 7, flags=k.NLM_F_MULTI | k.NLM_F_DUMP_INTR)
    link, _ = transport(part, k.done(7))
    list(link.exchange(REQUEST))
    assert link.interrupted


def test_late_answers_to_earlier_requests_are_skipped() -> None:
    stale, wanted = k.genl(1, 6, k.u32(4, 1)), k.genl(1, 7)
    link, _ = transport(stale + k.ack(6), k.nack(k.genl(1, 5), 22), wanted, k.ack(7))
    assert list(link.exchange(REQUEST)) == [wanted]


def test_other_processes_are_not_listened_to() -> None:
    link, sock = transport()
    sock.feed(k.genl(1, 7, k.u32(4, 666)) + k.ack(7), port=4711)
    sock.feed(k.genl(1, 7), k.ack(7))
    assert list(link.exchange(REQUEST)) == [k.genl(1, 7)]


@pytest.mark.parametrize("capped", [True, False])
def test_a_refusal_with_extended_ack(capped: bool) -> None:
    tlvs = (k.text(1, "no such thing"), k.u32(2, 24), k.tlv(4, b"policy"), k.u32(5, 17))
    link, _ = transport(k.nack(REQUEST, errno.EINVAL, *tlvs, capped=capped))
    with pytest.raises(Refusal) as refused:
        list(link.exchange(REQUEST))
    error = refused.value
    assert (error.errno, error.text, error.offset, error.missing) == (22, "no such thing", 24, 17)


def test_a_refusal_at_the_end_of_a_dump() -> None:
    body = struct.pack("=i", -errno.EINVAL) + k.text(1, "bad filter")
    link, _ = transport(k.message(3, 7, body, k.NLM_F_MULTI | k.NLM_F_ACK_TLVS))
    with pytest.raises(Refusal, match="bad filter"):
        list(link.exchange(REQUEST))


def test_a_refusal_without_words() -> None:
    link, _ = transport(k.nack(REQUEST, errno.EPERM))
    with pytest.raises(Refusal) as refused:
        list(link.exchange(REQUEST))
    assert (refused.value.errno, refused.value.text) == (errno.EPERM, "")


def test_silence_ends_at_the_time_limit() -> None:
    # A pair of sockets, where the real settimeout() counts.
    import socket as stdlib

    here, there = stdlib.socketpair(stdlib.AF_UNIX, stdlib.SOCK_DGRAM)

    class Deaf(stdlib.socket):
        def sendto(self, data: bytes, address: object) -> int:  # type: ignore[override]
            return len(data)

    deaf = Deaf(fileno=here.detach())
    link = Transport(deaf, timeout=0.1)
    start = time.monotonic()
    with pytest.raises(KernelError) as error:
        list(link.exchange(REQUEST))
    assert error.value.errno == errno.ETIMEDOUT
    assert 0.05 < time.monotonic() - start < 2
    link.close()
    there.close()


def test_a_chatting_stranger_does_not_extend_the_time_limit() -> None:
    link, sock = transport()

    class Endless(deque[tuple[bytes | OSError, int]]):
        def popleft(self) -> tuple[bytes | OSError, int]:
            return b"hello", 4711

        def __len__(self) -> int:
            return 1

    sock.queue = Endless()
    start = time.monotonic()
    with pytest.raises(KernelError) as error:
        list(link.exchange(REQUEST))
    assert error.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("datagram", "number"),
    [
        (b"", errno.ETIMEDOUT),  # nothing in it: go on waiting
        (b"short", errno.EBADMSG),
        (k.message(k.FAMILY, 7, b"", length=8), errno.EBADMSG),
        (k.message(k.FAMILY, 7, b"", length=4096), errno.EBADMSG),
        (k.message(4, 7, b""), errno.ENOBUFS),
        (bytes(READ_BYTES + 4), errno.EMSGSIZE),
        (OSError(errno.ENOBUFS, "overrun"), errno.ENOBUFS),
        (OSError(errno.EBADF, "closed"), errno.EBADF),
    ],
)
def test_broken_answers(datagram: bytes | OSError, number: int) -> None:
    link, _ = transport(datagram)
    with pytest.raises(KernelError) as error:
        list(link.exchange(REQUEST))
    assert error.value.errno == number


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=120), max_size=4), st.integers(0, 0xFFFF), st.integers(0, 20))
def test_garbage_never_raises_anything_else(blobs: list[bytes], flags: int, kind: int) -> None:
    framed = [k.message(kind, 7, blob, flags) for blob in blobs]
    for datagrams in (blobs, framed):
        link, _ = transport(*datagrams)
        with contextlib.suppress(KernelError, Refusal):
            list(link.exchange(REQUEST))
        link.close()


def test_sequence_numbers_wrap_without_zero() -> None:
    link, _ = transport()
    assert [link.sequence(), link.sequence()] == [1, 2]
    link._sequence = 0xFFFFFFFE
    assert [link.sequence(), link.sequence(), link.sequence()] == [0xFFFFFFFF, 1, 2]


def test_the_real_kernel_answers_about_its_own_controller() -> None:
    """nlctrl is in every kernel and needs no privilege: a whole round without a fake."""
    from natflow.kernel.codec import control_codec

    codec = control_codec()
    link = Transport(open_socket())
    request = codec.encode(16, 3, 2, 5, link.sequence(), [("family-name", "nlctrl")])
    answers = [codec.decode(data)[1] for data in link.exchange(request)]
    assert answers[0]["family-id"] == [16]
    request = codec.encode(16, 3, 2, 5, link.sequence(), [("family-name", "no-such-family")])
    with pytest.raises(Refusal) as refused:
        list(link.exchange(request))
    assert refused.value.errno == errno.ENOENT
    request = codec.encode(16, 3, 2, 5, link.sequence(), [])
    with pytest.raises(Refusal) as refused:
        list(link.exchange(request))
    assert refused.value.errno == errno.EINVAL
    link.close()
