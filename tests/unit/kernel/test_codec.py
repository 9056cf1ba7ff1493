# SPDX-License-Identifier: GPL-2.0-only
"""Messages to and from bytes, against bytes that were laid out by hand."""

from __future__ import annotations

import logging
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.kernel import kernelside as k

from natflow.kernel import uapi
from natflow.kernel.codec import Codec, control_codec, family_codec
from natflow.kernel.errors import KernelError
from natflow.kernel.filters import Filter, FlowTuple

CODEC = family_codec()
CONTROL = control_codec()


def encode(command: int, attrs: list[tuple[str, object]]) -> bytes:
    return CODEC.encode(k.FAMILY, command, 1, 5, 9, attrs)


def test_a_request_without_attributes() -> None:
    request = encode(uapi.CMD_CONFIG_GET, [])
    assert request == struct.pack("=IHHIIBBH", 20, k.FAMILY, 5, 9, 0, 1, 1, 0)


def test_a_filter_byte_for_byte() -> None:
    match = Filter.parse(
        {
            "family": "ipv4",
            "proto": "udp",
            "address": ["192.168.1.7/24", "2001:db8::1"],
            "port": 53,
            "ifindex": 3,
            "mark": "0x10/0xff",
            "mac": "02:00:00:00:00:0a",
            "state": "software",
            "reason": "helper",
            "min_age": 1,
            "min_idle": 2,
            "min_rate": 3,
        }
    )
    request = encode(uapi.CMD_FLOW_GET, [("filter", {"attrs": match.attributes()})])
    v6 = bytes.fromhex("20010db8000000000000000000000001")
    body = k.nest(
        11,
        k.nest(3, k.tlv(1, bytes([192, 168, 1, 0])), k.u8(2, 24)),
        k.nest(3, k.tlv(1, v6), k.u8(2, 128)),
        k.u8(1, 2),
        k.u8(2, 17),
        k.tlv(4, b"\0\x35"),
        k.u32(5, 3),
        k.u32(6, 0x10),
        k.u32(7, 0xFF),
        k.tlv(8, bytes.fromhex("02000000000a")),
        k.u8(9, 2),
        k.u16(10, uapi.REASONS.index("helper")),
        k.u32(11, 1),
        k.u32(12, 2),
        k.u32(13, 3),
    )
    assert request[20:] == body
    assert request[:4] == struct.pack("=I", 20 + len(body))


def test_a_tuple_byte_for_byte() -> None:
    flow = FlowTuple.parse(
        {"proto": "tcp", "src": "10.0.0.1", "dst": "10.0.0.2", "sport": 1, "dport": 0x1234}
    )
    request = encode(uapi.CMD_FLOW_EXPLAIN, [("tuple", {"attrs": flow.attributes()})])
    assert request[20:] == k.nest(
        17,
        k.u8(1, 2),
        k.u8(2, 6),
        k.tlv(3, bytes([10, 0, 0, 1])),
        k.tlv(4, bytes([10, 0, 0, 2])),
        k.tlv(5, b"\0\1"),
        k.tlv(6, b"\x12\x34"),
    )


def test_the_largest_filter_fits_an_attribute() -> None:
    prefixes = [f"2001:db8::{index:x}" for index in range(uapi.PREFIXES_MAX)]
    match = Filter.parse({"address": prefixes})
    request = encode(uapi.CMD_FLOW_FLUSH, [("filter", {"attrs": match.attributes()})])
    length, kind = struct.unpack_from("=HH", request, 20)
    assert (length, kind) == (len(request) - 20, 11 | 0x8000)
    assert len(CODEC.decode(request)[1]["filter"][0]["prefix"]) == uapi.PREFIXES_MAX


def test_decoding_keeps_repeats_and_leaves_out_the_unknown() -> None:
    body = (
        k.text(2, "0.1.0"),
        k.nest(7, k.u32(1, 0), k.u64(2, 5)),
        k.tlv(23, b""),
        k.nest(7, k.u32(1, 1), k.tlv(4, b""), k.u64(3, 1 << 63)),
        k.u32(99, 1),
        k.nest(1, k.u8(1, 1), k.u32(77, 4)),
    )
    command, reply = CODEC.decode(k.genl(1, 1, *body))
    assert command == 1
    del reply["pad"]
    assert reply == {
        "version": ["0.1.0"],
        "engine-stats": [
            {"engine": [0], "packets": [5]},
            {"engine": [1], "pad": [None], "bytes": [1 << 63]},
        ],
        "config": [{"enabled": [1]}],
    }


def test_the_answer_of_the_controller() -> None:
    command, reply = CONTROL.decode(k.family_reply(3))
    assert command == 1
    assert reply["family-id"] == [k.FAMILY]
    assert [group["name"] for group in reply["mcast-groups"][0]["group"]] == [["events"], ["flows"]]


MALFORMED = {
    "empty": b"",
    "header only": struct.pack("=IHHII", 16, k.FAMILY, 0, 1, 0),
    "length of the message": k.genl(1, 1) + b"....",
    "attribute of no length": k.genl(1, 1, struct.pack("=HH", 0, 1)),
    "attribute of length 3": k.genl(1, 1, struct.pack("=HH", 3, 1)),
    "attribute past the end": k.genl(1, 1, struct.pack("=HH", 8, 1)),
    "nest past its end": k.genl(1, 1, k.nest(1, struct.pack("=HH", 6, 1))),
    "too short a number": k.genl(1, 1, k.tlv(4, b"\1")),
    "too long a number": k.genl(1, 1, k.tlv(4, bytes(8))),
    "no text": k.genl(1, 1, k.tlv(2, b"\xff\xfe\0")),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_messages_are_errors(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Found before the library sees them: it would log a traceback for each."""
    with caplog.at_level(logging.DEBUG), pytest.raises(KernelError):
        CODEC.decode(data)
    assert caplog.records == []


attribute = st.builds(k.tlv, st.integers(0, 30), st.binary(max_size=40), st.booleans())
nested = st.builds(
    lambda code, items: k.nest(code, *items), st.integers(0, 30), st.lists(attribute)
)


@settings(max_examples=400)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda items: k.genl(1, 1, *items), st.lists(st.one_of(attribute, nested))),
    )
)
@pytest.mark.parametrize("codec", [CODEC, CONTROL], ids=["natflow", "nlctrl"])
def test_garbage_decodes_or_is_a_kernel_error(codec: Codec, data: bytes) -> None:
    try:
        command, reply = codec.decode(data)
    except KernelError:
        return
    assert 0 <= command <= 255
    assert all(isinstance(values, list) for values in reply.values())


@pytest.mark.parametrize(
    ("offset", "name"),
    [(20, "config"), (24, "enabled"), (32, "delay-pkts"), (40, ""), (4000, "")],
)
def test_offsets_name_attributes(offset: int, name: str) -> None:
    request = encode(2, [("config", {"attrs": [("enabled", 1), ("delay-pkts", 2)]})])
    assert CODEC.locate(request, offset) == name


FOOTPRINT = """
import sys, time
start = time.perf_counter()
import natflow.kernel.client
natflow.kernel.client.family_codec()
print(len(sys.modules), "asyncio" in sys.modules, "pyroute2" in sys.modules)
import pyroute2
print(pyroute2.IPRoute.__name__)
"""


def test_only_the_codec_of_pyroute2_is_loaded() -> None:
    """pyroute2 as a whole is 320 modules; afterwards it must still be there for others."""
    source = Path(__file__).resolve().parents[3] / "src"
    out = subprocess.run(
        [sys.executable, "-c", FOOTPRINT],
        env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    modules, asyncio, pyroute2 = out[0].split()
    assert int(modules) < 120
    assert (asyncio, pyroute2) == ("False", "False")
    assert out[1] == "IPRoute"
