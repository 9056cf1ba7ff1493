# SPDX-License-Identifier: GPL-2.0-only
"""Sends generic netlink messages in bulk, takes the answers in bulk, and judges each.

In an emulated guest Python is about 27 times slower than on its host: so many messages go in one
datagram, and answers are drained with recvmmsg(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable

from fuzz.netlink_messages import Body

NLMSG_ERROR = 2
NLMSG_DONE = 3
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
SO_RCVBUFFORCE = 33

MESSAGE = struct.Struct("=IHHIIBBH")
REPLY = struct.Struct("=IHHIIi40x")  # header and the first number of what follows, in its slot
SLOTS = 512


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("hdr", _Msghdr), ("len", ctypes.c_uint))


class Session:
    """A socket that sends many messages at once and takes the answers in bulk."""

    def __init__(self, family: int, extended_acks: bool = False) -> None:
        self.family = family
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.socket.bind((0, 0))
        # Without CAP_NET_ADMIN a smaller batch must do.
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, int(extended_acks))
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._buffer = ctypes.create_string_buffer(SLOTS * REPLY.size)
        base = ctypes.addressof(self._buffer)
        self._iovecs = (_Iovec * SLOTS)()
        self._headers = (_Mmsghdr * SLOTS)()
        for index in range(SLOTS):
            self._iovecs[index] = _Iovec(base + index * REPLY.size, REPLY.size)
            self._headers[index].hdr.iov = ctypes.pointer(self._iovecs[index])
            self._headers[index].hdr.iovlen = 1

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def frame(self, number: int, body: Body) -> bytes:
        """Return a body as a whole message, padded."""
        _, command, flags, reserved, attrs = body
        size = MESSAGE.size + len(attrs)
        head = MESSAGE.pack(size, self.family, flags, number, number & 7, command, 1, reserved)
        return head + attrs + bytes(-size % 4)

    def exchange(self, datagram: bytes, answers: dict[int, int]) -> None:
        """Send a datagram and put {sequence number: code} of the answers into ``answers``.

        A code is 0 or a negative errno, as in NLMSG_ERROR. A second answer to one number becomes
        1, which is no code. Raises AssertionError when the kernel had to drop answers.
        """
        self.socket.sendto(datagram, (0, 0))
        while True:
            count = self._libc.recvmmsg(
                self.socket.fileno(), self._headers, SLOTS, socket.MSG_DONTWAIT, None
            )
            if count < 0:
                number = ctypes.get_errno()
                if number == errno.EAGAIN:
                    return
                raise AssertionError(f"answers were lost: {os.strerror(number)}")
            whole = memoryview(self._buffer)[: count * REPLY.size]
            for _, kind, _, sequence, _, code in REPLY.iter_unpack(whole):
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    answers[sequence] = 1 if sequence in answers else code

    def dump(self, number: int, body: Body, limit: int = 1000) -> int:
        """Send a dump request, read it to its end, return its code.

        Raises AssertionError when it has not ended after ``limit`` datagrams.
        """
        self.socket.settimeout(10)
        self.socket.sendto(self.frame(number, body), (0, 0))
        for _ in range(limit):
            data = self.socket.recv(65536)
            at = 0
            while at + 16 <= len(data):
                size, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
                if kind in (NLMSG_ERROR, NLMSG_DONE) and sequence == number:
                    return int(struct.unpack_from("=i", data, at + 16)[0])
                at += (size + 3) & ~3
        raise AssertionError(f"a dump did not end: {self.frame(number, body).hex()}")


class Report:
    """What was sent and what came back."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.dropped = 0
        self.faults: list[str] = []

    def judge(self, sort: str, code: int | None, must_fail: bool, message: bytes) -> None:
        """Book one message and its answer (None when there was none)."""
        self.sent[sort] += 1
        if code is None or code > 0:
            what = "no answer" if code is None else "more than one answer"
        elif must_fail and code == 0:
            what = "accepted"
        else:
            self.codes[errno.errorcode.get(-code, str(code)) if code else "ok"] += 1
            return
        if len(self.faults) < 20:
            self.faults.append(f"{sort}: {what}: {message.hex()}")

    def __str__(self) -> str:
        """Return a summary for people."""
        sent = ", ".join(f"{count} {sort}" for sort, count in self.sent.most_common())
        codes = ", ".join(f"{count} {name}" for name, count in self.codes.most_common())
        return f"sent: {sent}, {self.dropped} of broken length; answers: {codes}"


def run(
    session: Session,
    make: Callable[[], Body],
    count: int,
    must_fail: bool,
    report: Report,
    batch: int = 200,
    noise: Callable[[int], bytes] | None = None,
    first: int = 1,
) -> None:
    """Send ``count`` messages in datagrams of ``batch`` and judge every answer.

    With ``noise`` each datagram ends in a message whose length field is broken: the kernel must
    drop that one without an answer, and only that.
    """
    number = first
    end = first + count
    while number < end:
        size = min(batch, end - number)
        broken = noise is not None and size > 1
        bodies = [make() for _ in range(size - broken)]
        frames = [session.frame(number + index, body) for index, body in enumerate(bodies)]
        if broken and noise is not None:
            tail = bytearray(session.frame(number + size - 1, make()))
            value = noise(4)
            length = value[0] % 16 if value[1] & 1 else len(tail) + 4 + value[2]
            struct.pack_into("=I", tail, 0, length)
            frames.append(bytes(tail))
            report.dropped += 1
        answers: dict[int, int] = {}
        session.exchange(b"".join(frames), answers)
        for index, body in enumerate(bodies):
            code = answers.pop(number + index, None)
            report.judge(body[0], code, must_fail, frames[index])
        if answers:
            report.faults.append(f"answers to what was never asked: {sorted(answers)[:5]}")
        number += size
