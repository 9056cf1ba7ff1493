# SPDX-License-Identifier: GPL-2.0-only
"""Generic netlink messages to and from bytes, with pyroute2's codec.

pyroute2's package ``__init__`` loads all of its protocols and asyncio (24 MB of memory); only its
message classes are needed here, so they are imported around it (docs/adr/0001-netlink-client.md).
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import struct
import sys
from types import ModuleType
from typing import Any

from natflow.kernel import uapi
from natflow.kernel.errors import KernelError

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port (struct nlmsghdr)
GENL_HEADER = struct.Struct("=BBH")  # command, version, reserved (struct genlmsghdr)
TLV = struct.Struct("=HH")  # length, type (struct nlattr)
ATTRS_AT = HEADER.size + GENL_HEADER.size
TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
NLA_F_NESTED = 0x8000  # the kernel's strict validation demands it of a nest

NLA_TYPES = {
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "be16": "be16",
    "binary": "cdata",
    "string": "asciiz",
    "pad": "none",
}
WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "be16": 2}

# The part of the family "nlctrl" (include/uapi/linux/genetlink.h) that resolves a family's name.
CTRL_ATTRS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "group": (("name", "string", ""), ("id", "u32", "")),
    # An array of nests: the type of each is its index, from 1.
    "groups": (("group", "nest", "group"),) * 16,
    "main": (
        ("family-id", "u16", ""),
        ("family-name", "string", ""),
        ("version", "u32", ""),
        ("hdrsize", "u32", ""),
        ("maxattr", "u32", ""),
        ("ops", "binary", ""),
        ("mcast-groups", "nest", "groups"),
    ),
}


def _netlink() -> ModuleType:
    """Import pyroute2.netlink without running pyroute2's ``__init__``."""
    if "pyroute2" in sys.modules:
        return importlib.import_module("pyroute2.netlink")
    spec = importlib.util.find_spec("pyroute2")
    if spec is None:
        raise KernelError(
            errno.ENOPKG,
            "the Python library pyroute2 is not installed",
            "Install python3-pyroute2 (OpenWrt), or: pip install pyroute2",
        )
    sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module("pyroute2.netlink")
    finally:
        # Whoever imports pyroute2 itself later gets the whole of it.
        del sys.modules["pyroute2"]


class Codec:
    """Encodes and decodes the messages of one family, from its attribute tables."""

    def __init__(self, tables: dict[str, tuple[tuple[str, str, str], ...]]) -> None:
        netlink = _netlink()
        self._tables = tables
        classes: dict[str, Any] = {}
        # A nested set stands before those that nest it, and "main" comes last.
        for name, table in tables.items():
            base = netlink.genlmsg if name == "main" else netlink.nla
            members: dict[str, Any] = {
                nested: classes[nested] for _, kind, nested in table if kind == "nest"
            }
            members["nla_map"] = tuple(
                (code, attr, nested if kind == "nest" else NLA_TYPES[kind])
                for code, (attr, kind, nested) in enumerate(table, 1)
            )
            if name != "main":
                members["nla_flags"] = NLA_F_NESTED
            classes[name] = type(name, (base,), members)
        self._message = classes["main"]

    def encode(
        self,
        family: int,
        command: int,
        version: int,
        flags: int,
        sequence: int,
        attrs: list[tuple[str, Any]],
    ) -> bytes:
        """Return a request; ``attrs`` are (name, value), a nest's value is {"attrs": [...]}."""
        message = self._message()
        message["header"]["type"] = family
        message["header"]["flags"] = flags
        message["header"]["sequence_number"] = sequence
        message["cmd"] = command
        message["version"] = version
        message["attrs"] = attrs
        message.encode()
        return bytes(message.data)

    def decode(self, data: bytes) -> tuple[int, dict[str, list[Any]]]:
        """Return (command, {attribute: its values}) of one whole message, netlink header included.

        Attributes the tables do not know are left out. Raises KernelError (EBADMSG) when lengths
        contradict each other, or a number has not the width of its type.
        """
        if len(data) < ATTRS_AT or HEADER.unpack_from(data)[0] != len(data):
            raise KernelError(errno.EBADMSG, "the kernel's answer is truncated")
        self._check(data, ATTRS_AT, len(data), "main")
        try:
            message = self._message(data)
            message.decode()
            return message["cmd"], _grouped(message)
        except Exception as error:  # whatever a library makes of odd bytes must not end the daemon
            text = f"the kernel's answer makes no sense: {error}"
            raise KernelError(errno.EBADMSG, text) from error

    def _check(self, data: bytes, start: int, end: int, name: str) -> None:
        """Check lengths before the library does: it logs a traceback for each it dislikes."""
        table = self._tables[name]
        while end - start >= TLV.size:
            length, code = TLV.unpack_from(data, start)
            code &= TYPE_MASK
            if length < TLV.size or start + length > end:
                place = f"attribute {code} of {name}"
                raise KernelError(errno.EBADMSG, f"the kernel's answer is truncated at {place}")
            if 0 < code <= len(table):
                attr, kind, nested = table[code - 1]
                if kind == "nest":
                    self._check(data, start + TLV.size, start + length, nested)
                elif length - TLV.size != WIDTHS.get(kind, length - TLV.size):
                    text = f"the kernel's answer: {attr} has {length - TLV.size} bytes"
                    raise KernelError(errno.EBADMSG, text)
                elif kind == "string" and not data[start + TLV.size : start + length].isascii():
                    raise KernelError(errno.EBADMSG, f"the kernel's answer: {attr} is no text")
            start += (length + 3) & ~3

    def locate(self, request: bytes, offset: int) -> str:
        """Return the name of the attribute at ``offset`` of a request ("" when there is none)."""
        return self._locate(request, ATTRS_AT, len(request), offset, "main")

    def _locate(self, data: bytes, start: int, end: int, offset: int, name: str) -> str:
        table = self._tables[name]
        length: int
        code: int
        while end - start >= TLV.size:
            length, code = TLV.unpack_from(data, start)
            code &= TYPE_MASK
            if length < TLV.size or not 0 < code <= len(table):
                return ""
            if start <= offset < start + length:
                attr, kind, nested = table[code - 1]
                if kind == "nest" and offset > start:
                    return self._locate(data, start + TLV.size, start + length, offset, nested)
                return attr
            start += (length + 3) & ~3
        return ""


def _grouped(message: Any) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for name, value in message["attrs"]:
        if name == "UNKNOWN":
            continue
        values.setdefault(name, []).append(
            _grouped(value) if isinstance(value, dict) and "attrs" in value else value
        )
    return values


def family_codec() -> Codec:
    """Return the codec of the family natflow."""
    return Codec(uapi.ATTRS)


def control_codec() -> Codec:
    """Return the codec of the family nlctrl, as far as names are resolved with it."""
    return Codec(CTRL_ATTRS)
