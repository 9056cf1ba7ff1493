# SPDX-License-Identifier: GPL-2.0-only
"""The blobmsg codec: recorded bytes, round trips, limits, and bytes that are no blob."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natflow.bus import blob
from natflow.bus.blob import BlobError

# The DATA of `ubus call natflow set '{"name":"ab","on":true,"n":5}'`, recorded from the real ubus.
GOLDEN = bytes.fromhex(
    "8300000f00046e616d65000061620000"  # name: STRING "ab"
    "8700000d00026f6e0000000001000000"  # on: INT8 1
    "8500000c00016e0000000005"  # n: INT32 5
)


def test_encodes_the_recorded_bytes() -> None:
    assert blob.encode({"name": "ab", "on": True, "n": 5}) == GOLDEN


def test_decodes_the_recorded_bytes() -> None:
    assert blob.decode(GOLDEN) == {"name": "ab", "on": True, "n": 5}


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (None, "80000008 0001 6100"),
        (False, "87000009 0001 6100 00000000"),
        (-1, "8500000c 0001 6100 ffffffff"),
        (1 << 31, "84000010 0001 6100 0000000080000000"),
        (1.5, "88000010 0001 6100 3ff8000000000000"),
        ("", "83000009 0001 6100 00000000"),
        ({}, "82000008 0001 6100"),
        ([], "81000008 0001 6100"),
        ([1], "81000014 0001 6100 8500000c 0000 0000 00000001"),
    ],
)
def test_each_type_on_the_wire(value: object, wire: str) -> None:
    raw = bytes.fromhex(wire.replace(" ", ""))
    assert blob.encode({"a": value}) == raw
    assert blob.decode(raw) == {"a": value}


def test_small_integers_of_every_width_decode() -> None:
    assert blob.decode(bytes.fromhex("8600000a00016100fffe0000")) == {"a": -2}  # INT16
    assert blob.decode(bytes.fromhex("84000010000161000000000000000007")) == {"a": 7}  # INT64


def test_integers_beyond_int64_are_clamped() -> None:
    assert blob.decode(blob.encode({"a": 2**64 - 1, "b": -(2**70)})) == {
        "a": 2**63 - 1,
        "b": -(2**63),
    }


def test_what_json_lacks_becomes_null() -> None:
    values = {"nan": math.nan, "inf": math.inf, "minus": -math.inf}
    assert blob.decode(blob.encode(values)) == {"nan": None, "inf": None, "minus": None}


def test_hostile_text_survives_as_text() -> None:
    assert blob.decode(blob.encode({"a\0b": "x\0y", "s": "\udc80"})) == {"ab": "xy", "s": "?"}
    latin1 = bytes.fromhex("8300000b 0001 6100 e46200 00".replace(" ", ""))
    assert blob.decode(latin1) == {"a": "\ufffdb"}


def test_text_ends_at_its_first_nul() -> None:
    assert blob.decode(bytes.fromhex("8300000c 0001 6100 78007900".replace(" ", ""))) == {"a": "x"}


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)
_keys = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(_keys, inner), max_leaves=30
)


@given(st.dictionaries(_keys, _values))
def test_round_trip(table: dict[str, Any]) -> None:
    data = blob.encode(table)
    assert len(data) % 4 == 0
    assert blob.decode(data) == table


@given(st.binary(max_size=200))
def test_random_bytes_decode_or_raise_blob_error(data: bytes) -> None:
    for decode in (blob.decode, blob.shallow, blob.split):
        try:
            decode(data)
        except BlobError as error:
            assert 0 <= error.offset <= len(data)


@given(st.dictionaries(_keys, _values, min_size=1), st.data())
def test_every_truncation_is_noticed(table: dict[str, Any], data: st.DataObject) -> None:
    raw = blob.encode(table)
    firsts = [0]  # where an attribute starts: cutting there only drops whole ones
    while firsts[-1] < len(raw):
        size = int.from_bytes(raw[firsts[-1] + 1 : firsts[-1] + 4], "big")
        firsts.append(firsts[-1] + (size + 3 & ~3))
    cut = data.draw(st.integers(0, len(raw) - 1).filter(lambda at: at not in firsts))
    with pytest.raises(BlobError):
        blob.decode(raw[:cut])


@pytest.mark.parametrize(
    ("wire", "problem", "offset"),
    [
        ("8300", "truncated value header", 0),
        ("0300000c 0001 6100 61000000", "plain attribute where a named one belongs", 0),
        ("83000003 0001 6100", "name of 1 bytes in a value of 3", 0),
        ("83000040 0001 6100 61000000", "value of 64 bytes with 12 left", 0),
        ("8300000c ffff 6100 61000000", "name of 65535 bytes in a value of 12", 0),
        ("8300000c 0001 6161 61000000", "name without its NUL", 7),
        ("8300000c 0001 6100 61616161", "string without its NUL", 8),
        ("83000008 0001 6100", "string without its NUL", 8),
        ("8500000b 0001 6100 00000000", "number of 3 bytes where 4 belong", 8),
        ("8700000c 0001 6100 00000000", "number of 4 bytes where 1 belong", 8),
        ("84000009 0001 6100 00000000", "number of 1 bytes where 8 belong", 8),
        ("89000008 0001 6100", "unknown type 9", 8),
        ("82000010 0001 6100 83000040 00010000", "value of 64 bytes with 8 left", 8),
    ],
)
def test_malformed_bytes_are_named(wire: str, problem: str, offset: int) -> None:
    with pytest.raises(BlobError, match=problem) as caught:
        blob.decode(bytes.fromhex(wire.replace(" ", "")))
    assert caught.value.offset == offset


def _nested(levels: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for _ in range(levels - 1):
        table = {"a": table}
    return table


def test_nesting_is_limited_both_ways() -> None:
    deepest = _nested(blob.MAX_DEPTH)
    assert blob.decode(blob.encode(deepest)) == deepest
    with pytest.raises(BlobError, match="nested deeper than 32"):
        blob.encode(_nested(blob.MAX_DEPTH + 1))
    raw = b""
    for _ in range(5000):
        raw = (0x82000000 + 8 + len(raw)).to_bytes(4, "big") + b"\0\1a\0" + raw
    with pytest.raises(BlobError, match="nested deeper than 32"):
        blob.decode(raw)


def test_the_number_of_values_is_limited() -> None:
    raw = blob.encode({"a": [None] * 99})
    assert blob.decode(raw, max_items=100) == {"a": [None] * 99}
    with pytest.raises(BlobError, match="more than 99 values"):
        blob.decode(raw, max_items=99)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {1, 2}}, r"a: a value of type set; allowed are str, int"),
        ({"flows": [{}, {"src": b"x"}]}, r"flows: \[1\]: src: a value of type bytes"),
        ({"a": {3: 4}}, r"a: 3: a key of type int"),
        ({"x" * 70000: 1}, r"a key of 70000 bytes"),
    ],
)
def test_what_cannot_be_encoded_is_named(value: dict[str, Any], place: str) -> None:
    with pytest.raises(BlobError, match=place):
        blob.encode(value)


def test_shallow_keeps_values_as_they_are() -> None:
    raw = bytes.fromhex("84000010 0001 6100 0000000000000007".replace(" ", ""))
    assert blob.shallow(raw) == {"a": (4, bytes.fromhex("0000000000000007"))}


def test_plain_attributes() -> None:
    raw = blob.attribute(2, b"natflow\0") + blob.attribute(9, b"\1")
    assert raw == bytes.fromhex("0200000c6e6174666c6f7700 0900000501000000".replace(" ", ""))
    assert blob.split(raw) == [(2, b"natflow\0"), (9, b"\1")]


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("0200", "truncated attribute header"),
        ("02000003", "attribute of 3 bytes with 4 left"),
        ("0200000d 61616161 61", "attribute of 13 bytes with 9 left"),
        ("82000008 00000000", "named attribute where a plain one belongs"),
        ("09000005 01", "without its padding"),
    ],
)
def test_malformed_plain_attributes(wire: str, problem: str) -> None:
    with pytest.raises(BlobError, match=problem):
        blob.split(bytes.fromhex(wire.replace(" ", "")))
