# SPDX-License-Identifier: GPL-2.0-only
"""Makes malformed generic netlink messages for the family natflow.

Two sorts: ``invalid`` messages are wrong for certain, by the rules of docs/netlink.md and of
generic netlink's strict validation, and must each be refused; ``wild`` ones are valid messages with
random damage, or random bytes, where anything may come back but silence.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

from natflow.kernel import uapi

ACK = 0x5  # NLM_F_REQUEST | NLM_F_ACK
DUMP = 0x300
NESTED = 0x8000
LAST_CODE = 0x3FFF  # the largest attribute number

CODES = {"u8": "=B", "u16": "=H", "be16": "=H", "u32": "=I", "u64": "=Q"}
WIDTHS = {kind: struct.calcsize(code) for kind, code in CODES.items()}
NUMBERS = {
    name: {attr: code for code, (attr, _, _) in enumerate(table, 1)}
    for name, table in uapi.ATTRS.items()
}
TOP = NUMBERS["main"]
FILTER = NUMBERS["filter"]
TUPLE = NUMBERS["tuple"]
PREFIX = NUMBERS["prefix"]
EXCEPTION = NUMBERS["exception"]

DO_COMMANDS = (
    uapi.CMD_CONFIG_GET,
    uapi.CMD_CONFIG_SET,
    uapi.CMD_STATS_GET,
    uapi.CMD_FLOW_FLUSH,
    uapi.CMD_FLOW_EXPLAIN,
    uapi.CMD_HW_GET,
    uapi.CMD_REPROVE,
    uapi.CMD_EXCEPTION_SET,
)
DUMP_COMMANDS = (
    uapi.CMD_FLOW_GET,
    uapi.CMD_CLIENT_GET,
    uapi.CMD_HW_DEVICE_GET,
    uapi.CMD_EXCEPTION_GET,
)
LAST_COMMAND = max(code for name, code in vars(uapi).items() if name.startswith("CMD_"))
COMMANDS = (*DO_COMMANDS, *DUMP_COMMANDS)
# The nest that each command takes.
NESTS = {
    uapi.CMD_CONFIG_SET: "config",
    uapi.CMD_FLOW_GET: "filter",
    uapi.CMD_FLOW_FLUSH: "filter",
    uapi.CMD_FLOW_EXPLAIN: "tuple",
    uapi.CMD_EXCEPTION_SET: "exceptions",
}
NESTED_COMMANDS = tuple(NESTS.items())
ADDRESSES = (bytes([192, 168, 77, 2]), bytes([198, 51, 100, 1]), bytes.fromhex("fd77" + "0" * 28))


class Body(NamedTuple):
    """A message without its netlink header."""

    sort: str
    command: int
    flags: int
    reserved: int
    attrs: bytes


_head = struct.Struct("=HH").pack
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


def tlv(code: int, value: bytes) -> bytes:
    """Return one attribute, padded; flags are part of ``code``."""
    size = len(value)
    return _head(4 + size, code) + value + _PADDING[size & 3]


def flags_of(command: int) -> int:
    """Return the flags with which a command is rightly sent."""
    return ACK | DUMP if command in DUMP_COMMANDS else ACK


def _valid_values() -> dict[tuple[str, int], tuple[bytes, ...]]:
    """Return {(set, attribute): values} of the attributes that do not take any number."""
    values = {
        ("filter", FILTER["family"]): (b"\2", b"\n"),
        ("filter", FILTER["mac"]): (bytes(6), b"\2\0\0\0\0\1"),
        ("filter", FILTER["state"]): tuple(bytes([n]) for n in range(len(uapi.STATES))),
        ("filter", FILTER["reason"]): tuple(struct.pack("=H", n) for n in range(len(uapi.REASONS))),
    }
    values["exception", EXCEPTION["l4proto"]] = (b"\6", b"\x11")
    values["exception", EXCEPTION["device"]] = (b"lan0\0", b"123456789012345\0")
    values["exception", EXCEPTION["mac"]] = (bytes(6), b"\2\0\0\0\0\1")
    for code, (name, kind, _) in enumerate(uapi.ATTRS["config"], 1):
        limits = uapi.SETTINGS[name.replace("-", "_")]
        values["config", code] = tuple(struct.pack(CODES[kind], value) for value in limits)
    return values


class Generator:
    """A stream of messages that the seed determines."""

    def __init__(self, seed: int) -> None:
        source = random.Random(seed)
        self._random = source.random
        self._randbytes = source.randbytes
        self._block = b""
        self._at = 0
        self._values = _valid_values()
        self._prefixes = [
            tlv(
                FILTER["prefix"] | NESTED,
                tlv(PREFIX["addr"], address) + tlv(PREFIX["len"], bytes([bits])),
            )
            for address in ADDRESSES
            for bits in (0, 1, 24, len(address) * 8)
        ]
        # Valid attributes are taken from a stock: what is damaged is made anew each time.
        self._stock = {
            name: [
                self._attribute(name, code)
                for code in range(1, len(uapi.ATTRS[name]) + 1)
                for _ in range(64)
            ]
            for name in ("config", "filter", "exception")
        }
        self._tuples = [self._tuple() for _ in range(64)]
        self._damage: tuple[Callable[[str], list[bytes]], ...] = (
            self._unknown,
            self._wrong_nesting,
            self._out_of_range,
            self._cut,
            self._wrong_length,
            self._wrong_length,
            self._senseless,
            self._senseless,
        )
        self._whole: tuple[Callable[[], Body], ...] = (
            self._misplaced,
            self._misplaced,
            self._garbage,
            self._garbage,
            self._unknown_command,
            self._wrong_mode,
            self._reserved_bits,
        )

    def noise(self, size: int) -> bytes:
        """Return random bytes; they are cut from blocks, since randbytes() is slow."""
        at = self._at
        end = self._at = at + size
        if end > len(self._block):
            self._block = self._randbytes(1 << 16)
            at, end = 0, size
            self._at = size
        return self._block[at:end]

    def below(self, limit: int) -> int:
        """Return a number from 0 to limit - 1."""
        return int(self._random() * limit)

    def invalid(self) -> Body:
        """Return a message that must be refused."""
        if self.below(2):
            return self._whole[self.below(len(self._whole))]()
        command, name = NESTED_COMMANDS[self.below(len(NESTED_COMMANDS))]
        damage = self._damage[self.below(len(self._damage))]
        if name == "exceptions":
            rule = tlv(NUMBERS[name]["exception"] | NESTED, b"".join(damage("exception")))
            parts = [*self.parts(name), rule]
        else:
            parts = damage(name)
        nest = tlv(TOP[name] | NESTED, b"".join(parts))
        return Body(damage.__name__[1:], command, flags_of(command), 0, nest)

    def wild(self) -> Body:
        """Return a message that may be anything, but is no dump."""
        command = DO_COMMANDS[self.below(len(DO_COMMANDS))]
        attrs = bytearray(self.valid(command))
        choice = self.below(8)
        if choice == 0:
            attrs = bytearray(self.noise(self.below(60)))
        elif choice == 1:
            command = self.below(256)
        for _ in range(choice):
            if attrs:
                attrs[self.below(len(attrs))] = self.noise(1)[0]
        if choice == 7:
            del attrs[self.below(len(attrs) + 1) :]
        return Body("wild", command, ACK, 0, bytes(attrs))

    def wild_dump(self) -> Body:
        """Return a dump request that may be valid."""
        command = DUMP_COMMANDS[self.below(len(DUMP_COMMANDS))]
        attrs = bytearray(self.valid(command))
        for _ in range(self.below(4)):
            if attrs:
                attrs[self.below(len(attrs))] = self.noise(1)[0]
        return Body("wild dump", command, ACK | DUMP, 0, bytes(attrs))

    # Valid parts

    def parts(self, name: str) -> list[bytes]:
        """Return valid attributes of a set."""
        if name == "tuple":
            return list(self._tuples[self.below(64)])
        if name == "exceptions":
            code = NUMBERS[name]["exception"] | NESTED
            return [tlv(code, b"".join(self.parts("exception"))) for _ in range(self.below(3))]
        stock = self._stock[name]
        return [stock[self.below(len(stock))] for _ in range(self.below(4))]

    def _tuple(self) -> list[bytes]:
        wide = self.below(2)
        address = ADDRESSES[2 if wide else self.below(2)]
        return [
            tlv(TUPLE["family"], b"\n" if wide else b"\2"),
            tlv(TUPLE["l4proto"], b"\x11" if self.below(2) else b"\6"),
            tlv(TUPLE["src"], address),
            tlv(TUPLE["dst"], address),
            tlv(TUPLE["sport"], self.noise(2)),
            tlv(TUPLE["dport"], self.noise(2)),
        ]

    def valid(self, command: int) -> bytes:
        """Return the attributes of a valid request."""
        name = NESTS.get(command)
        return tlv(TOP[name] | NESTED, b"".join(self.parts(name))) if name else b""

    def _attribute(self, name: str, code: int) -> bytes:
        _, kind, nested = uapi.ATTRS[name][code - 1]
        if nested:
            return self._prefixes[self.below(len(self._prefixes))]
        values = self._values.get((name, code))
        if values is not None:
            return tlv(code, values[self.below(len(values))])
        return tlv(code, self.noise(WIDTHS.get(kind, 4)))

    # Damage to a nest: each returns its attributes

    def _insert(self, name: str, bad: bytes) -> list[bytes]:
        parts = self.parts(name)
        parts.insert(self.below(len(parts) + 1), bad)
        return parts

    def _unknown(self, name: str) -> list[bytes]:
        """An attribute of a number that does not exist."""
        first = len(uapi.ATTRS[name]) + 1
        code = first + self.below(LAST_CODE - first)
        return self._insert(name, tlv(code, self.noise(self.below(12))))

    def _wrong_nesting(self, name: str) -> list[bytes]:
        """A nest without the flag for it, or a plain attribute with it."""
        part = self._attribute(name, self.below(len(uapi.ATTRS[name])) + 1)
        length, code = struct.unpack_from("=HH", part)
        return self._insert(name, struct.pack("=HH", length, code ^ NESTED) + part[4:])

    def _out_of_range(self, name: str) -> list[bytes]:
        """A number that is too small or too large."""
        if name == "tuple":
            return self._wrong_length(name)
        if name == "exception":
            # Of an attribute that comes twice the last one counts.
            return [*self.parts(name), tlv(EXCEPTION["l4proto"], bytes([18 + self.below(200)]))]
        if name == "filter":
            large = (
                tlv(FILTER["state"], bytes([len(uapi.STATES) + self.below(200)])),
                tlv(FILTER["reason"], struct.pack("=H", len(uapi.REASONS) + self.below(60000))),
                tlv(FILTER["prefix"] | NESTED, tlv(PREFIX["len"], bytes([129 + self.below(127)]))),
            )
            return self._insert(name, large[self.below(len(large))])
        while True:
            code = self.below(len(uapi.ATTRS[name])) + 1
            attr, kind, _ = uapi.ATTRS[name][code - 1]
            least, most = uapi.SETTINGS[attr.replace("-", "_")]
            wrong = least - 1 if least and self.below(2) else most + 1 + self.below(250)
            if wrong < 1 << 8 * WIDTHS[kind]:
                return self._insert(name, tlv(code, struct.pack(CODES[kind], wrong)))

    def _cut(self, name: str) -> list[bytes]:
        """The last attribute ends within its own head, or beyond the nest."""
        length = self.below(4) if self.below(2) else 64 + self.below(60000)
        code = self.below(len(uapi.ATTRS[name])) + 1
        return [*self.parts(name), struct.pack("=HH", length, code) + self.noise(self.below(5) * 4)]

    def _wrong_length(self, name: str) -> list[bytes]:
        """An attribute that is shorter or longer than its type."""
        code = self.below(len(uapi.ATTRS[name])) + 1
        _, kind, nested = uapi.ATTRS[name][code - 1]
        if nested:
            inner = (
                tlv(PREFIX["addr"], self.noise(17 + self.below(20))),
                tlv(PREFIX["len"], self.noise(2 + self.below(6))),
                tlv(3 + self.below(90), self.noise(self.below(9))),
            )
            return self._insert(name, tlv(code | NESTED, inner[self.below(len(inner))]))
        if kind in ("binary", "string"):
            return self._insert(name, tlv(code, self.noise(17 + self.below(20))))
        size = self.below(2 * WIDTHS[kind] + 4)
        return self._insert(name, tlv(code, self.noise(size + (size >= WIDTHS[kind]))))

    def _senseless(self, name: str) -> list[bytes]:
        """Every attribute is as its type demands, but together they make no sense."""
        parts = self.parts(name)
        if name == "config":
            return self._out_of_range(name)
        choice = self.below(4)
        if name == "exception":
            alone = (
                [],
                [tlv(EXCEPTION["port-max"], self.noise(2))],
                [tlv(EXCEPTION["device"], b"a/b\0")],
                [tlv(EXCEPTION["mark"], b"\7\0\0\0"), tlv(EXCEPTION["mark-mask"], bytes(4))],
            )
            return alone[choice]
        if name == "tuple":
            if choice == 0:
                del parts[self.below(len(parts))]
            elif choice == 1:
                parts[0] = tlv(TUPLE["family"], bytes([11 + self.below(200)]))
            else:
                code = TUPLE["src"] if choice == 2 else TUPLE["dst"]
                parts[choice] = tlv(code, self.noise(5 + self.below(11)))
            return parts
        if choice == 0:
            return [*parts, tlv(FILTER["family"], bytes([11 + self.below(200)]))]
        if choice == 1 and not self.below(16):
            return [*parts, *[self._prefixes[0]] * (uapi.PREFIXES_MAX + 1)]
        if choice == 2:
            inner = tlv(PREFIX["addr"], self.noise((0, 1, 3, 5, 8, 15)[self.below(6)]))
        else:
            inner = tlv(PREFIX["len"], bytes([33 + self.below(96)]))
            if choice == 1:
                inner = tlv(PREFIX["addr"], self.noise(4)) + inner
        return [*parts, tlv(FILTER["prefix"] | NESTED, inner)]

    # Messages that are wrong as a whole

    def _command(self) -> int:
        return COMMANDS[self.below(len(COMMANDS))]

    def _misplaced(self) -> Body:
        """A top-level attribute that the command does not take."""
        command = self._command()
        name = NESTS.get(command)
        code = self.below(2 * len(TOP)) + 1
        if code > len(TOP):
            code = code + self.below(LAST_CODE - 2 * len(TOP))
        if name and code == TOP[name]:  # the right one, but without the flag of a nest
            attrs = tlv(code, b"".join(self.parts(name)))
        else:
            bad, good = tlv(code, self.noise(self.below(24))), self.valid(command)
            attrs = bad + good if self.below(2) else good + bad
        return Body("misplaced", command, flags_of(command), 0, attrs)

    def _garbage(self) -> Body:
        """Random bytes; the number of the first attribute does not exist."""
        command = self._command()
        size = self.below(120)
        code = len(TOP) + 1 + self.below(LAST_CODE - len(TOP))
        attrs = self.noise(2) + struct.pack("=H", code) + self.noise(size)
        return Body("garbage", command, flags_of(command), 0, attrs)

    def _unknown_command(self) -> Body:
        """A command that does not exist, or that only the kernel sends."""
        command = (0, uapi.CMD_EVENT, LAST_COMMAND + 1 + self.below(255 - LAST_COMMAND))[
            self.below(3)
        ]
        flags = ACK | (DUMP if self.below(2) else 0)
        return Body("unknown_command", command, flags, 0, self.noise(4 * self.below(12)))

    def _wrong_mode(self) -> Body:
        """A dump of what is no dump, or the other way round."""
        command = self._command()
        flags = flags_of(command) ^ DUMP
        return Body("wrong_mode", command, flags, 0, self.valid(command))

    def _reserved_bits(self) -> Body:
        """Reserved bits of either header are set."""
        command = DO_COMMANDS[self.below(len(DO_COMMANDS))]
        if self.below(2):
            reserved = 1 + self.below(65535)
            return Body("reserved_bits", command, ACK, reserved, self.valid(command))
        extra = (0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800)[self.below(8)]
        return Body("reserved_bits", command, ACK | extra, 0, self.valid(command))
