# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's half of a conversation, built byte by byte with struct alone.

Nothing of the code under test is used to make the bytes, so that both cannot be wrong alike.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable

FAMILY = 0x1F
EVENTS_GROUP = 7
FLOWS_GROUP = 8

NLM_F_MULTI = 2
NLM_F_DUMP_INTR = 0x10
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200


def tlv(code: int, value: bytes, nested: bool = False) -> bytes:
    """Return one attribute, padded."""
    head = struct.pack("=HH", 4 + len(value), code | (0x8000 if nested else 0))
    return head + value + bytes(-len(value) % 4)


def u8(code: int, value: int) -> bytes:
    return tlv(code, struct.pack("=B", value))


def u16(code: int, value: int) -> bytes:
    return tlv(code, struct.pack("=H", value))


def u32(code: int, value: int) -> bytes:
    return tlv(code, struct.pack("=I", value))


def u64(code: int, value: int) -> bytes:
    return tlv(code, struct.pack("=Q", value))


def text(code: int, value: str) -> bytes:
    return tlv(code, value.encode() + b"\0")


def nest(code: int, *attrs: bytes) -> bytes:
    return tlv(code, b"".join(attrs), nested=True)


def message(
    kind: int, sequence: int, body: bytes, flags: int = 0, length: int | None = None
) -> bytes:
    """Return one netlink message, padded."""
    size = 16 + len(body) if length is None else length
    head = struct.pack("=IHHII", size, kind, flags, sequence, 0)
    return head + body + bytes(-len(body) % 4)


def genl(command: int, sequence: int, *attrs: bytes, kind: int = FAMILY, flags: int = 0) -> bytes:
    """Return one generic netlink message."""
    return message(kind, sequence, struct.pack("=BBH", command, 1, 0) + b"".join(attrs), flags)


def ack(sequence: int) -> bytes:
    """Return the acknowledgement of a request."""
    return message(2, sequence, struct.pack("=i", 0) + bytes(16), NLM_F_CAPPED)


def nack(request: bytes, number: int, *tlvs: bytes, capped: bool = True) -> bytes:
    """Return a refusal with extended-ack attributes."""
    echo = request[:16] if capped else request + bytes(-len(request) % 4)
    flags = (NLM_F_CAPPED if capped else 0) | (NLM_F_ACK_TLVS if tlvs else 0)
    sequence = struct.unpack_from("=I", request, 8)[0]
    return message(2, sequence, struct.pack("=i", -number) + echo + b"".join(tlvs), flags)


def done(sequence: int, number: int = 0, flags: int = NLM_F_MULTI) -> bytes:
    """Return the end of a dump."""
    return message(3, sequence, struct.pack("=i", -number), flags)


def family_reply(sequence: int, family: int = FAMILY) -> bytes:
    """Return what nlctrl answers about the family natflow."""
    groups = nest(
        7,
        nest(1, u32(2, EVENTS_GROUP), text(1, "events")),
        nest(2, u32(2, FLOWS_GROUP), text(1, "flows")),
    )
    ops = nest(6, nest(1, u32(1, 1), u32(2, 0x1A)))
    attrs = (text(2, "natflow"), u16(1, family), u32(3, 1), u32(4, 0), u32(5, 23), ops, groups)
    return genl(1, sequence, *attrs, kind=16)


def flow_record(**values: int | bytes) -> bytes:
    """Return a flow record of 256 bytes; offsets are those of docs/netlink.md."""
    places = {
        "id": (0, "=Q"),
        "bytes_0": (8, "=Q"),
        "bytes_1": (16, "=Q"),
        "packets_0": (24, "=Q"),
        "packets_1": (32, "=Q"),
        "ct_bytes_0": (40, "=Q"),
        "ct_bytes_1": (48, "=Q"),
        "ct_packets_0": (56, "=Q"),
        "ct_packets_1": (64, "=Q"),
        "original_src": (72, "16s"),
        "original_dst": (88, "16s"),
        "reply_src": (104, "16s"),
        "reply_dst": (120, "16s"),
        "original_sport": (136, ">H"),
        "original_dport": (138, ">H"),
        "reply_sport": (140, ">H"),
        "reply_dport": (142, ">H"),
        "rate_0": (144, "=I"),
        "rate_1": (148, "=I"),
        "in_ifindex_0": (152, "=I"),
        "in_ifindex_1": (156, "=I"),
        "out_ifindex_0": (160, "=I"),
        "out_ifindex_1": (164, "=I"),
        "mark": (168, "=I"),
        "age": (172, "=I"),
        "idle": (176, "=I"),
        "timeout": (180, "=I"),
        "flags": (184, "=I"),
        "vlan_0": (188, "=H"),
        "vlan_1": (190, "=H"),
        "reason": (192, "=H"),
        "mac": (194, "12s"),
        "family": (206, "=B"),
        "l4proto": (207, "=B"),
        "state": (208, "=B"),
        "tcp_state": (209, "=B"),
        "hw_state_0": (210, "=B"),
        "hw_state_1": (211, "=B"),
        "hw_flags_0": (212, "=B"),
        "hw_flags_1": (213, "=B"),
        "hw_reason_0": (216, "=H"),
        "hw_reason_1": (218, "=H"),
        "hw_errno_0": (220, "=H"),
        "hw_errno_1": (222, "=H"),
        "hw_bytes_0": (224, "=Q"),
        "hw_bytes_1": (232, "=Q"),
        "hw_packets_0": (240, "=Q"),
        "hw_packets_1": (248, "=Q"),
    }
    record = bytearray(256)
    for name, value in values.items():
        offset, layout = places[name]
        struct.pack_into(layout, record, offset, value)
    return bytes(record)


Answer = list[bytes | OSError]
Handler = Callable[[bytes], Answer]


class FakeSocket(socket.socket):
    """A socket whose other end is ``handler``: request in, datagrams out."""

    def __init__(self, handler: Handler) -> None:
        # A real descriptor, so that select() and close() do what they should.
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.handler = handler
        self.sent: list[bytes] = []
        self.options: list[tuple[int, int, object]] = []
        self.queue: deque[tuple[bytes | OSError, int]] = deque()

    def feed(self, *datagrams: bytes | OSError, port: int = 0) -> None:
        """Queue datagrams from the process with that netlink port; 0 is the kernel."""
        self.queue.extend((datagram, port) for datagram in datagrams)

    def setsockopt(self, level: int, option: int, value: object) -> None:  # type: ignore[override]
        self.options.append((level, option, value))

    def sendto(self, data: bytes, address: object) -> int:  # type: ignore[override]
        if self.fileno() < 0:
            raise OSError(9, "Bad file descriptor")
        self.sent.append(bytes(data))
        self.feed(*self.handler(bytes(data)))
        return len(data)

    def _next(self) -> tuple[bytes, tuple[int, int]]:
        if not self.queue:
            if self.gettimeout() == 0:
                raise BlockingIOError
            raise TimeoutError
        datagram, port = self.queue.popleft()
        if isinstance(datagram, OSError):
            raise datagram
        return datagram, (port, 0)

    def recvfrom_into(self, buffer: bytearray, *_: int) -> tuple[int, tuple[int, int]]:  # type: ignore[override]
        datagram, sender = self._next()
        part = datagram[: len(buffer)]
        buffer[: len(part)] = part
        return len(datagram), sender

    def recvfrom(self, size: int, *_: int) -> tuple[bytes, tuple[int, int]]:
        datagram, sender = self._next()
        return datagram[:size], sender


def header(request: bytes) -> tuple[int, int, int, int]:
    """Return (type, flags, sequence number, command) of a request."""
    _, kind, flags, sequence, _ = struct.unpack_from("=IHHII", request)
    return kind, flags, sequence, request[16]


def kernel_of(handler: Handler) -> Handler:
    """Answer nlctrl's questions, and leave those to natflow to ``handler``."""

    def answer(request: bytes) -> Answer:
        kind, _, sequence, _ = header(request)
        if kind == 16:
            return [family_reply(sequence), ack(sequence)]
        return handler(request)

    return answer
