# SPDX-License-Identifier: GPL-2.0-only
"""A netlink socket: sends a request, hands out the messages that answer it.

Protocol: RFC 3549 and include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator

from natflow.kernel.codec import HEADER, TLV
from natflow.kernel.errors import KernelError

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
NLMSG_MIN_TYPE = 16

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP_INTR = 0x010
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLM_F_DUMP = 0x300

NETLINK_NETFILTER = 12
NETLINK_GENERIC = 16
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2
NLMSGERR_ATTR_MISS_TYPE = 5

# The kernel fills dump messages up to the largest read it has seen, 32 KiB at the most.
READ_BYTES = 65536
TIMEOUT_S = 5.0


class Refusal(Exception):
    """The kernel answered with an error.

    ``errno`` is positive, ``text`` the extended ack's words, ``offset`` the place of the attribute
    at fault in the request (None when not told), ``missing`` the type of an attribute that lacks.
    """

    def __init__(self, number: int, text: str, offset: int | None, missing: int | None) -> None:
        super().__init__(number, text)
        self.errno = number
        self.text = text
        self.offset = offset
        self.missing = missing


def open_socket(bus: int = NETLINK_GENERIC) -> socket.socket:
    """Return a netlink socket, bound, with extended acks and strict checks."""
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, bus)
    except OSError as error:
        number = error.errno or errno.EIO
        raise KernelError(number, f"no netlink socket: {os.strerror(number)}") from error
    sock.bind((0, 0))
    for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
        sock.setsockopt(SOL_NETLINK, option, 1)
    return sock


def split(data: bytes | memoryview) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (type, flags, sequence number, whole message) of each message of one datagram."""
    at = 0
    while at < len(data):
        if len(data) - at < HEADER.size:
            raise KernelError(errno.EBADMSG, "the kernel's answer is truncated")
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, at)
        if not HEADER.size <= length <= len(data) - at:
            raise KernelError(errno.EBADMSG, "the kernel's answer is truncated")
        yield kind, flags, sequence, bytes(data[at : at + length])
        at += (length + 3) & ~3


def refusal(flags: int, message: bytes) -> Refusal | None:
    """Return what an NLMSG_ERROR or NLMSG_DONE message says; None when it says success."""
    if len(message) < HEADER.size + 4:
        return None
    (code,) = struct.unpack_from("=i", message, HEADER.size)
    if code >= 0:
        return None
    text, offset, missing = "", None, None
    if flags & NLM_F_ACK_TLVS:
        at = HEADER.size + 4
        if HEADER.unpack_from(message)[1] == NLMSG_ERROR:
            # The request follows: its header alone when capped, else the whole of it.
            length = HEADER.size
            if not flags & NLM_F_CAPPED and len(message) >= at + 4:
                length = struct.unpack_from("=I", message, at)[0]
            at += (length + 3) & ~3
        while len(message) - at >= TLV.size:
            length, kind = TLV.unpack_from(message, at)
            value = message[at + TLV.size : at + length]
            if length < TLV.size or at + length > len(message):
                break
            if kind == NLMSGERR_ATTR_MSG:
                text = value.rstrip(b"\0").decode("utf-8", "replace")
            elif kind == NLMSGERR_ATTR_OFFS and len(value) == 4:
                offset = int(struct.unpack("=I", value)[0])
            elif kind == NLMSGERR_ATTR_MISS_TYPE and len(value) == 4:
                missing = int(struct.unpack("=I", value)[0])
            at += (length + 3) & ~3
    return Refusal(-code, text, offset, missing)


class Transport:
    """One socket and its sequence numbers. Use it from one thread."""

    def __init__(self, sock: socket.socket | None = None, timeout: float = TIMEOUT_S) -> None:
        self._socket = sock or open_socket()
        self._timeout = timeout
        self._buffer = bytearray(READ_BYTES)
        self._sequence = 0
        self.interrupted = False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def sequence(self) -> int:
        """Return the next sequence number."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF or 1
        return self._sequence

    def exchange(self, request: bytes) -> Iterator[bytes]:
        """Send a request and yield the messages of the answer until its ack or end.

        Sets ``interrupted`` when the kernel marks a dump as inconsistent. Raises Refusal when the
        kernel says no, KernelError when it does not answer in time or its answer is malformed.
        """
        sequence = HEADER.unpack_from(request)[3]
        self.interrupted = False
        try:
            self._socket.sendto(request, (0, 0))
        except OSError as error:
            number = error.errno or errno.EIO
            raise KernelError(number, f"netlink: {os.strerror(number)}") from error
        while True:
            for kind, flags, number, message in split(self._receive()):
                if number != sequence:
                    continue  # an answer to an earlier request, which was given up
                self.interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    refused = refusal(flags, message)
                    if refused is not None:
                        raise refused
                    return
                if kind == NLMSG_OVERRUN:
                    raise KernelError(errno.ENOBUFS, "netlink: answers were lost")
                if kind >= NLMSG_MIN_TYPE:
                    yield message

    def _receive(self) -> memoryview:
        """Return the next datagram that the kernel sent."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                size, sender = self._socket.recvfrom_into(self._buffer, 0, socket.MSG_TRUNC)
            except TimeoutError:
                raise KernelError(
                    errno.ETIMEDOUT, f"the kernel did not answer within {self._timeout:g} s"
                ) from None
            except OSError as error:
                number = error.errno or errno.EIO
                raise KernelError(number, f"netlink: {os.strerror(number)}") from error
            if sender[0] != 0:
                # Another process may send to this socket; only the kernel has port 0.
                if time.monotonic() >= deadline:
                    raise KernelError(errno.ETIMEDOUT, "the kernel did not answer in time")
                continue
            if size > len(self._buffer):
                raise KernelError(errno.EMSGSIZE, f"the kernel's answer has {size} bytes")
            return memoryview(self._buffer)[:size]
