# SPDX-License-Identifier: GPL-2.0-only
"""What people write becomes a filter or a tuple, or a message that says what is allowed."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natflow.kernel import uapi
from natflow.kernel.errors import FilterError
from natflow.kernel.filters import Filter, FlowTuple, Prefix, settings_attributes


@pytest.mark.parametrize(
    ("text", "network", "length"),
    [
        ("192.168.1.7/24", "c0a80100", 24),
        ("192.168.1.7", "c0a80107", 32),
        ("0.0.0.0/0", "00000000", 0),
        ("2001:db8::1/33", "20010db8000000000000000000000000", 33),
        ("::1", "00000000000000000000000000000001", 128),
    ],
)
def test_prefixes(text: str, network: str, length: int) -> None:
    assert Prefix.parse(text) == (bytes.fromhex(network), length)


def test_prefixes_print_as_they_are_written() -> None:
    assert str(Prefix.parse("10.1.2.3/8")) == "10.0.0.0/8"
    assert str(Prefix.parse("fe80::1")) == "fe80::1/128"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"adress": "10.0.0.1"}, "'adress' is no filter; allowed: family, proto"),
        ({"address": "10.0.0.256"}, "'10.0.0.256'; allowed: an IPv4 or IPv6 address"),
        ({"address": "10.0.0.0/33"}, "prefix length from 0 to 32"),
        ({"address": "10.0.0.0/"}, "prefix length"),
        ({"address": "10.0.0.0/-1"}, "prefix length"),
        ({"address": "10.0.0.0/²"}, "prefix length"),
        ({"address": "10.0.0.1\0"}, "address"),
        ({"address": 7}, "address"),
        ({"address": []}, "1 to 256"),
        ({"address": ["10.0.0.1"] * 257}, "257 of them"),
        ({"family": "ipx"}, "allowed: ipv4"),
        ({"proto": "sctp"}, "tcp, udp, or a number"),
        ({"proto": 256}, "0 to 255"),
        ({"port": 65536}, "0 to 65535"),
        ({"port": "http"}, "0 to 65535"),
        ({"port": True}, "0 to 65535"),
        ({"device": "no-such-device0"}, "name of a device"),
        ({"device": "x\0y"}, "name of a device"),
        ({"ifindex": 0}, "1 to"),
        ({"mark": "0x1/"}, "mark"),
        ({"mark": "0x1ffffffff"}, "4294967295"),
        ({"mark": "0x101/0xff"}, "mark: 0x101; allowed: a number without bits outside 0xff"),
        ({"mark_mask": "0xff"}, "mark: missing"),
        ({"mac": "02:00:00:00:00"}, "MAC address"),
        ({"mac": "02:00:00:00:00:0g"}, "MAC address"),
        ({"state": "fast"}, "allowed: slow, learning"),
        ({"reason": "because"}, "allowed: none, disabled"),
        ({"min_age": -1}, "min_age"),
    ],
)
def test_wrong_filters(table: dict[str, Any], words: str) -> None:
    with pytest.raises(FilterError) as error:
        Filter.parse(table)
    assert words in str(error.value)


def test_spellings() -> None:
    match = Filter.parse(
        {
            "family": 6,
            "proto": "UDP",
            "mac": "02-00-00-00-00-0A",
            "reason": "table_full",
            "mark": 1,
            "mark_mask": "0xff",
            "port": "53",
            "device": "lo",
        }
    )
    assert (match.family, match.l4proto, match.port, match.ifindex) == (10, 17, 53, 1)
    assert match.mac == bytes.fromhex("02000000000a")
    assert match.reason == uapi.REASONS.index("table-full")
    assert (match.mark, match.mark_mask) == (1, 255)


def test_an_empty_filter_has_no_attributes() -> None:
    assert Filter.parse({}).attributes() == []


def test_zero_is_a_value() -> None:
    match = Filter.parse({"mark": 0, "state": "slow"})
    assert match.attributes() == [("mark", 0), ("state", 0)]


GOOD = {"proto": "udp", "src": "10.0.0.1", "dst": "10.0.0.2", "sport": 1, "dport": 2}


def test_tuples() -> None:
    assert FlowTuple.parse(GOOD) == (2, 17, b"\n\0\0\1", b"\n\0\0\2", 1, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dst": "::1"}, "different families"),
        ({"sport": -1}, "sport"),
        ({"src": "host"}, "src"),
        ({"port": 1}, "'port' is no part"),
    ],
)
def test_wrong_tuples(change: dict[str, Any], words: str) -> None:
    with pytest.raises(FilterError, match=words):
        FlowTuple.parse({**GOOD, **change})


@pytest.mark.parametrize("key", GOOD)
def test_incomplete_tuples(key: str) -> None:
    table = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(FilterError, match=f"{key} is missing"):
        FlowTuple.parse(table)


def test_settings_at_their_limits() -> None:
    for name, (least, most) in uapi.SETTINGS.items():
        assert settings_attributes(
            {
                name: least,
            }
        ) == [(name.replace("_", "-"), least)]
        assert settings_attributes({name: most}) == [(name.replace("_", "-"), most)]
        with pytest.raises(FilterError, match=f"{least} to {most}"):
            settings_attributes({name: most + 1})
        with pytest.raises(FilterError, match=f"{least} to {most}"):
            settings_attributes({name: least - 1})


@pytest.mark.parametrize("value", [1.5, "one", None, [1]])
def test_settings_are_numbers(value: Any) -> None:
    with pytest.raises(FilterError, match="delay_pkts"):
        settings_attributes({"delay_pkts": value})


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.one_of(st.text(), st.integers()), max_size=3),
)
keys = (
    "family",
    "proto",
    "address",
    "port",
    "device",
    "ifindex",
    "mark",
    "mark_mask",
    "mac",
    "state",
    "reason",
    "min_age",
    "min_idle",
    "min_rate",
    "other",
)


@settings(max_examples=500)
@given(st.dictionaries(st.sampled_from(keys), anything, max_size=4))
def test_any_table_is_a_filter_or_a_filter_error(table: dict[str, Any]) -> None:
    with contextlib.suppress(FilterError):
        Filter.parse(table).attributes()


@settings(max_examples=500)
@given(st.fixed_dictionaries(dict.fromkeys(GOOD, anything)))
def test_any_table_is_a_tuple_or_a_filter_error(table: dict[str, Any]) -> None:
    with contextlib.suppress(FilterError):
        FlowTuple.parse(table)
