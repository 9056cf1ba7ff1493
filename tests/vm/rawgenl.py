# SPDX-License-Identifier: GPL-2.0-only
"""Requests to the family natflow byte by byte, so that wrong ones can be sent too."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from natflow.kernel import uapi
from natflow.kernel.codec import ATTRS_AT, GENL_HEADER, HEADER, TLV
from natflow.kernel.transport import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    Transport,
    open_socket,
    split,
)

NESTED = 0x8000
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2


def attr(code: int, payload: bytes) -> bytes:
    """Return one attribute, padded."""
    data = TLV.pack(TLV.size + len(payload), code) + payload
    return data + bytes(-len(data) % 4)


def nest(code: int, *inner: bytes) -> bytes:
    """Return a nest of attributes."""
    return attr(code | NESTED, b"".join(inner))


def code(table: str, name: str) -> int:
    """Return the number of an attribute: code("filter", "mark-mask")."""
    return 1 + [row[0] for row in uapi.ATTRS[table]].index(name)


def u8(table: str, name: str, value: int) -> bytes:
    return attr(code(table, name), struct.pack("=B", value))


def u16(table: str, name: str, value: int) -> bytes:
    return attr(code(table, name), struct.pack("=H", value))


def u32(table: str, name: str, value: int) -> bytes:
    return attr(code(table, name), struct.pack("=I", value))


def raw(table: str, name: str, value: bytes) -> bytes:
    return attr(code(table, name), value)


def top(name: str, *inner: bytes) -> bytes:
    """Return a nest at the top of a message: top("config", u8("config", "enabled", 1))."""
    return nest(code("main", name), *inner)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of each attribute in a row of them."""
    while len(data) >= TLV.size:
        length, kind = TLV.unpack_from(data)
        yield kind & ~NESTED, data[TLV.size : length]
        data = data[(length + 3) & ~3 :]


class Raw:
    """A socket that sends what it is told to; answers as in Transport.exchange()."""

    def __init__(self) -> None:
        self.transport = Transport()
        name = attr(CTRL_ATTR_FAMILY_NAME, uapi.GENL_NAME.encode() + b"\0")
        (answer,) = self.send(CTRL_CMD_GETFAMILY, name, family=GENL_ID_CTRL)
        found = dict(attributes(answer[ATTRS_AT:]))
        (self.family,) = struct.unpack("=H", found[CTRL_ATTR_FAMILY_ID])

    def send(
        self, command: int, attrs: bytes = b"", flags: int = 0, family: int = 0, reserved: int = 0
    ) -> list[bytes]:
        """Return the messages of the answer; raises Refusal."""
        body = GENL_HEADER.pack(command, 1, reserved) + attrs
        header = HEADER.pack(
            HEADER.size + len(body),
            family or self.family,
            NLM_F_REQUEST | NLM_F_ACK | flags,
            self.transport.sequence(),
            0,
        )
        return list(self.transport.exchange(header + body))

    def close(self) -> None:
        self.transport.close()

    def pages(self, command: int, attrs: bytes = b"", room: int = 4096) -> Iterator[list[bytes]]:
        """Yield what each read of a dump brings, with a read buffer of so many bytes."""
        body = GENL_HEADER.pack(command, 1, 0) + attrs
        header = HEADER.pack(HEADER.size + len(body), self.family, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
        with open_socket() as sock:
            sock.settimeout(5)
            sock.send(header + body)
            while True:
                page = list(split(sock.recv(room)))
                yield [data for kind, _, _, data in page if kind != NLMSG_DONE]
                if page[-1][0] == NLMSG_DONE:
                    return


def values(message: bytes, name: str) -> list[bytes]:
    """Return the payloads of an attribute at the top of a message."""
    wanted = code("main", name)
    return [payload for kind, payload in attributes(message[ATTRS_AT:]) if kind == wanted]
