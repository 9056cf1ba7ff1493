# SPDX-License-Identifier: GPL-2.0-only
"""The blobmsg codec: Python values to ubus bytes and back.

A blob attribute is a big-endian word `ext << 31 | id << 24 | length` (length counts the word, not
the padding), its payload, and zeros up to a multiple of 4. A blobmsg attribute sets ext, uses the
id as the value's type, and starts its payload with a be16 name length, the name, a NUL and padding
to 4. Source: libubox blob.h, blobmsg.h; checked against vectors recorded from ubusd.
"""

from __future__ import annotations

from struct import Struct

from natflow.bus.interface import ARRAY, BOOL, DOUBLE, INT16, INT32, INT64, STRING, TABLE, UNSPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: How many tables and arrays may be inside one another; json-c, which the ubus command uses, stops
#: at 32.
MAX_DEPTH = 32
#: Values one message may hold. The smallest takes 8 bytes, so a full message could ask for 131,072
#: Python objects.
MAX_ITEMS = 65536

_EXTENDED = 0x80000000
_LENGTH = 0x00FFFFFF
_MAX_NAME = 0xFFFF
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1

_WORD = Struct(">I")
_HEADER = Struct(">IH")
_NAME_LENGTH = Struct(">H")
_INTEGERS = {INT64: Struct(">q"), INT32: Struct(">i"), INT16: Struct(">h")}
_INT32 = _INTEGERS[INT32]
_INT64 = _INTEGERS[INT64]
_DOUBLE = Struct(">d")
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class BlobError(ValueError):
    """Bytes that are no blob (`offset` says where in the decoded buffer), or a value blobmsg cannot
    carry (`offset` is -1).
    """

    def __init__(self, message: str, offset: int = -1) -> None:
        super().__init__(message if offset < 0 else f"{message} at offset {offset}")
        self.offset = offset


def attribute(ident: int, payload: bytes) -> bytes:
    """One plain (not blobmsg) attribute, padded to 4 bytes; `ident` is 0 to 127."""
    size = 4 + len(payload)
    if size > _LENGTH:
        raise BlobError(f"an attribute of {size} bytes; at most {_LENGTH} fit")
    return _WORD.pack(ident << 24 | size) + payload + _PADDING[size & 3]


def split(data: bytes) -> list[tuple[int, bytes]]:
    """The plain attributes one after another in `data`, as (id, payload); strict about every
    length.
    """
    found = []
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 4:
            raise BlobError("a truncated attribute header", offset)
        (word,) = _WORD.unpack_from(data, offset)
        size = word & _LENGTH
        if word & _EXTENDED:
            raise BlobError("a named attribute where a plain one belongs", offset)
        if size < 4 or offset + size > end:
            raise BlobError(f"an attribute of {size} bytes with {end - offset} left", offset)
        found.append((word >> 24, data[offset + 4 : offset + size]))
        offset += (size + 3) & ~3
    if offset != end:
        raise BlobError("an attribute without its padding", end)
    return found


# --- encoding ---

#: Wire form of the names used lately: a flow table repeats the same few keys thousands of times.
_names: dict[str, bytes] = {}


def _name(name: object) -> bytes:
    if not isinstance(name, str):
        raise BlobError(f"a key of type {type(name).__name__}; keys must be str")
    raw = name.encode("utf-8", "replace").replace(b"\0", b"")
    if len(raw) > _MAX_NAME:
        raise BlobError(f"a key of {len(raw)} bytes; at most {_MAX_NAME} fit")
    wire = _NAME_LENGTH.pack(len(raw)) + raw + b"\0"
    wire += _PADDING[len(wire) & 3]
    if len(raw) <= 32:
        if len(_names) >= 512:
            _names.clear()
        _names[name] = wire
    return wire


_NO_NAME = b"\0\0\0\0"  # array elements: length 0, NUL, padding


def encode(table: Mapping[str, Any]) -> bytes:
    """The blobmsg attributes of `table`, as they stand inside a message's DATA.

    bool becomes INT8, int the smaller of INT32 and INT64 (clamped to int64: a u64 counter must not
    make a reply fail), float DOUBLE (NaN and infinities null, as JSON has none), str STRING without
    NULs (lone surrogates become "?"), list and tuple ARRAY, dict TABLE, None UNSPEC. Anything else
    raises BlobError naming the place.
    """
    out = bytearray()
    _encode_items(out, table, 1)
    return bytes(out)


def _encode_items(out: bytearray, table: Mapping[str, Any], depth: int) -> None:
    for key, value in table.items():
        try:
            _encode_value(out, _names.get(key) or _name(key), value, depth)
        except BlobError as error:
            raise _located(error, f"{key}") from None


def _encode_elements(out: bytearray, values: list[Any] | tuple[Any, ...], depth: int) -> None:
    for index, value in enumerate(values):
        try:
            _encode_value(out, _NO_NAME, value, depth)
        except BlobError as error:
            raise _located(error, f"[{index}]") from None


def _located(error: BlobError, step: str) -> BlobError:
    """`error` with one more step of the path to the value in front: `flows: [3]: src: ...`."""
    return BlobError(f"{step[:40]}: {error}")


def _encode_value(out: bytearray, name: bytes, value: Any, depth: int) -> None:
    start = len(out)
    out += b"\0\0\0\0"
    out += name
    if isinstance(value, str):
        kind = STRING
        text = value.encode("utf-8", "replace")
        out += text.replace(b"\0", b"") if b"\0" in text else text
        out += b"\0"
    elif isinstance(value, bool):
        kind = BOOL
        out.append(value)
    elif isinstance(value, int):
        if -0x80000000 <= value <= 0x7FFFFFFF:
            kind = INT32
            out += _INT32.pack(value)
        else:
            kind = INT64
            out += _INT64.pack(min(max(value, _INT64_MIN), _INT64_MAX))
    elif isinstance(value, dict):
        kind = TABLE
        if depth >= MAX_DEPTH:
            raise BlobError(f"nested deeper than {MAX_DEPTH} levels")
        _encode_items(out, value, depth + 1)
    elif isinstance(value, list | tuple):
        kind = ARRAY
        if depth >= MAX_DEPTH:
            raise BlobError(f"nested deeper than {MAX_DEPTH} levels")
        _encode_elements(out, value, depth + 1)
    elif value is None:
        kind = UNSPEC
    elif isinstance(value, float):
        if value - value == 0.0:
            kind = DOUBLE
            out += _DOUBLE.pack(value)
        else:
            kind = UNSPEC
    else:
        raise BlobError(
            f"a value of type {type(value).__name__}; allowed are str, int, float, bool, None,"
            " list, tuple and dict"
        )
    size = len(out) - start
    if size > _LENGTH:
        raise BlobError(f"a value of {size} bytes; at most {_LENGTH} fit")
    _WORD.pack_into(out, start, _EXTENDED | kind << 24 | size)
    out += _PADDING[size & 3]


# --- decoding ---


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def decode(data: bytes, max_items: int = MAX_ITEMS) -> dict[str, Any]:
    """The table whose blobmsg attributes stand in `data`; of a repeated key the last one counts.

    Text that is not UTF-8 (an SSID, a host name) decodes with U+FFFD, and ends at its first NUL as
    in C. Raises BlobError with the offset for any length, type, name or nesting that does not hold,
    and for more than `max_items` values.
    """
    return _Decoder(data, max_items).table(0, len(data), 1)


def shallow(data: bytes) -> dict[str, tuple[int, bytes]]:
    """One level of the table in `data`, as {name: (type, value still encoded)}.

    For whoever passes values on, as decoding and encoding again would not keep an INT64 that is
    small. Raises BlobError like `decode`.
    """
    return _Decoder(data, MAX_ITEMS).raw()


class _Decoder:
    __slots__ = ("_data", "_left", "_limit", "_names")

    def __init__(self, data: bytes, max_items: int) -> None:
        self._data = data
        self._limit = max_items
        self._left = max_items
        self._names: dict[bytes, str] = {}

    def table(self, offset: int, end: int, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        data, names = self._data, self._names
        while offset < end:
            kind, size, body, name_end = self._head(offset, end)
            raw = data[offset + 6 : name_end]
            name = names.get(raw)
            if name is None:
                names[raw] = name = _text(raw)
            values[name] = self._value(kind, body, offset + size, depth)
            offset += (size + 3) & ~3
        return values

    def raw(self) -> dict[str, tuple[int, bytes]]:
        values: dict[str, tuple[int, bytes]] = {}
        data = self._data
        offset, end = 0, len(data)
        while offset < end:
            kind, size, body, name_end = self._head(offset, end)
            if kind == STRING and (body == offset + size or data[offset + size - 1]):
                raise BlobError("a string without its NUL", body)
            values[_text(data[offset + 6 : name_end])] = (kind, data[body : offset + size])
            offset += (size + 3) & ~3
        return values

    def array(self, offset: int, end: int, depth: int) -> list[Any]:
        values: list[Any] = []
        while offset < end:
            kind, size, body, _ = self._head(offset, end)
            values.append(self._value(kind, body, offset + size, depth))
            offset += (size + 3) & ~3
        return values

    def _head(self, offset: int, end: int) -> tuple[int, int, int, int]:
        """Check an attribute's frame: its type, its size, where its value starts and where its name
        ends.
        """
        if end - offset < 8:
            raise BlobError("a truncated value header", offset)
        word, length = _HEADER.unpack_from(self._data, offset)
        size = word & _LENGTH
        if not word & _EXTENDED:
            raise BlobError("a plain attribute where a named one belongs", offset)
        if ((size + 3) & ~3) > end - offset:
            raise BlobError(f"a value of {size} bytes with {end - offset} left", offset)
        name_end = offset + 6 + length
        body = offset + 4 + ((length + 6) & ~3)
        if body > offset + size:
            raise BlobError(f"a name of {length} bytes in a value of {size}", offset)
        if self._data[name_end]:
            raise BlobError("a name without its NUL", name_end)
        self._left -= 1
        if self._left < 0:
            raise BlobError(f"more than {self._limit} values", offset)
        return word >> 24 & 0x7F, size, body, name_end

    def _value(self, kind: int, body: int, end: int, depth: int) -> Any:
        data = self._data
        if kind == STRING:
            if body == end or data[end - 1]:
                raise BlobError("a string without its NUL", body)
            return data[body : data.index(0, body, end)].decode("utf-8", "replace")
        integer = _INTEGERS.get(kind)
        if integer is not None:
            self._expect(integer.size, body, end)
            return integer.unpack_from(data, body)[0]
        if kind in (TABLE, ARRAY):
            if depth >= MAX_DEPTH:
                raise BlobError(f"nested deeper than {MAX_DEPTH} levels", body)
            return (
                self.table(body, end, depth + 1)
                if kind == TABLE
                else self.array(body, end, depth + 1)
            )
        if kind == BOOL:
            self._expect(1, body, end)
            return data[body] != 0
        if kind == DOUBLE:
            self._expect(8, body, end)
            return _DOUBLE.unpack_from(data, body)[0]
        if kind == UNSPEC:
            return None
        raise BlobError(f"a value of unknown type {kind}", body)

    @staticmethod
    def _expect(size: int, body: int, end: int) -> None:
        if end - body != size:
            raise BlobError(f"a number of {end - body} bytes where {size} belong", body)
