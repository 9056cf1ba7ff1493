# SPDX-License-Identifier: GPL-2.0-only
"""The module's packet rewriting, built in user space, against a full recomputation of every
checksum (RFC 1071, RFC 768, RFC 8200 section 8.1)."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

HERE = Path(__file__).parent
KMOD = HERE.parents[2] / "src" / "kmod"
TCP, UDP = 6, 17
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
BUILDS = {"plain": ("-O2",), "sanitized": SANITIZERS}
INCLUDES = ("-I", str(HERE / "shim"), "-I", str(KMOD))
WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")


def ones_sum(data: bytes, start: int = 0) -> int:
    """Ones' complement sum of big-endian 16-bit words; an odd last byte is padded with zero."""
    data += b"\0" * (len(data) % 2)
    total: int = start + sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True)
class Case:
    """A packet and its translation.

    Addresses are 4 or 16 bytes. partial: CHECKSUM_PARTIAL; nat: the flow is translated at all;
    no_sum: UDP without a checksum.
    """

    proto: int
    src: bytes
    dst: bytes
    sport: int
    dport: int
    to_src: bytes
    to_dst: bytes
    to_sport: int
    to_dport: int
    payload: bytes = b""
    ttl: int = 64
    tos: int = 0
    ident: int = 0
    partial: bool = False
    nat: bool = True
    no_sum: bool = False

    @property
    def version(self) -> int:
        return 4 if len(self.src) == 4 else 6

    def translated(self) -> Case:
        """What the packet has to become."""
        new = replace(self, ttl=self.ttl - 1)
        if self.nat:
            new = replace(
                new,
                src=self.to_src,
                dst=self.to_dst,
                sport=self.to_sport,
                dport=self.to_dport,
            )
        return new

    def packet(self) -> bytes:
        """The packet with every checksum computed over the whole of it."""
        ports = struct.pack(">HH", self.sport, self.dport)
        if self.proto == UDP:
            length = 8 + len(self.payload)
            before, after = ports + struct.pack(">H", length), b""
        else:
            length = 20 + len(self.payload)
            before = ports + struct.pack(">IIHH", self.ident * 77, 0xFFFF0000, 0x5018, 65535)
            after = b"\0\0"
        pseudo = ones_sum(self.src + self.dst + struct.pack(">II", length, self.proto))
        check = 0xFFFF & ~ones_sum(before + b"\0\0" + after + self.payload, pseudo)
        if self.proto == UDP and check == 0:
            check = 0xFFFF
        if self.partial:
            check = pseudo
        elif self.no_sum:
            check = 0
        transport = before + struct.pack(">H", check) + after + self.payload
        if self.version == 6:
            head = struct.pack(">IHBB", 0x60000000 | self.tos << 20, length, self.proto, self.ttl)
            return head + self.src + self.dst + transport
        head = struct.pack(
            ">BBHHHBBH",
            *(0x45, self.tos, 20 + length, self.ident, 0x4000, self.ttl, self.proto, 0),
        )
        head_check = 0xFFFF & ~ones_sum(head + self.src + self.dst)
        head = head[:10] + struct.pack(">H", head_check)
        return head + self.src + self.dst + transport

    def record(self) -> bytes:
        packet, new = self.packet(), self.translated()
        to = new.src + new.dst + struct.pack(">HH", new.sport, new.dport)
        flags = struct.pack("=BBBBH", self.version, self.proto, self.partial, self.nat, len(packet))
        return flags + to.ljust(36, b"\0") + packet

    def with_last_word(self, check: int) -> Case:
        """The same with a payload end that makes the packet's checksum `check`."""
        even = self.payload[: len(self.payload) // 2 * 2] + b"\0\0"
        bare = replace(self, payload=even, partial=False, no_sum=False)
        at = (40 if self.version == 6 else 20) + (6 if self.proto == UDP else 16)
        (now,) = struct.unpack_from(">H", bare.packet(), at)
        # Adding x to the sum takes x from its complement; 0xffff and 0 are the same sum.
        word = (now - check) % 0xFFFF
        done = replace(bare, payload=even[:-2] + struct.pack(">H", word))
        got = struct.unpack_from(">H", done.packet(), at)[0]
        assert got % 0xFFFF == check % 0xFFFF
        return done


def rewritten(program: Path, cases: list[Case]) -> Iterator[bytes]:
    result = subprocess.run(
        [program],
        check=False,
        input=b"".join(case.record() for case in cases),
        capture_output=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr.decode()
    at = 0
    for case in cases:
        length = len(case.packet())
        yield result.stdout[at : at + length]
        at += length
    assert at == len(result.stdout)


def verify(program: Path, cases: list[Case]) -> None:
    for case, got in zip(cases, rewritten(program, cases), strict=True):
        assert got == case.translated().packet(), case


@pytest.fixture(scope="module", params=BUILDS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if not compiler:
        pytest.skip("gcc is not installed")
    out = tmp_path_factory.mktemp("rewrite") / "rewrite"
    command = [compiler, *WARNINGS, *BUILDS[request.param], *INCLUDES, "-o", str(out)]
    built = subprocess.run(
        [*command, str(HERE / "rewrite_main.c")], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return out


# Bytes and ports whose sums carry, vanish or stay zero.
EDGES = (b"\0\0", b"\xff\xff", b"\0\1", b"\xff\xfe", b"\1\0", b"\xfe\xff", b"\x80\0", b"\x7f\xff")


def address(rng: random.Random, size: int) -> bytes:
    if rng.random() < 0.5:
        return rng.randbytes(size)
    return b"".join(rng.choice(EDGES) for _ in range(size // 2))


def port(rng: random.Random) -> int:
    return rng.choice((0, 1, 0xFF, 0x100, 0xFFFE, 0xFFFF, rng.randrange(1 << 16)))


def some_case(rng: random.Random) -> Case:
    size = rng.choice((4, 16))
    src, dst = address(rng, size), address(rng, size)
    case = Case(
        proto=rng.choice((TCP, UDP)),
        src=src,
        dst=dst,
        sport=port(rng),
        dport=port(rng),
        # Source, destination, both or neither are translated.
        to_src=rng.choice((src, address(rng, size))),
        to_dst=rng.choice((dst, address(rng, size))),
        to_sport=port(rng),
        to_dport=port(rng),
        payload=rng.choice((b"", rng.randbytes(rng.randrange(1, 64)), b"\0" * rng.randrange(9))),
        ttl=rng.choice((2, 64, 128, 255, rng.randrange(2, 256))),
        tos=rng.randrange(256),
        ident=rng.choice((0, 0xFFFF, rng.randrange(1 << 16))),
        partial=rng.random() < 0.3,
        nat=rng.random() < 0.9,
    )
    if rng.random() < 0.1:
        case = replace(case, to_src=src, to_dst=dst, to_sport=case.sport, to_dport=case.dport)
    if case.proto == UDP and not case.partial and rng.random() < 0.2:
        case = replace(case, no_sum=True)
    return case


@pytest.mark.parametrize("seed", range(4))
def test_any_translation(program: Path, seed: int) -> None:
    """Every byte of 8000 packets a seed is what a sender behind the translation would send."""
    rng = random.Random(seed)
    verify(program, [some_case(rng) for _ in range(8000)])


@pytest.mark.parametrize("proto", [TCP, UDP])
@pytest.mark.parametrize("check", [0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF])
def test_checksum_before_and_after(program: Path, proto: int, check: int) -> None:
    """The value before, and the value after, at the ends of the range."""
    rng = random.Random(check << 8 | proto)
    cases = []
    for _ in range(500):
        case = replace(some_case(rng), proto=proto, partial=False, no_sum=False, nat=True)
        cases.append(case.with_last_word(check))
        after = case.translated().with_last_word(check)
        cases.append(replace(case, payload=after.payload))
    verify(program, cases)


def test_udp_zero_becomes_all_ones(program: Path) -> None:
    """RFC 768: a computed zero is sent as 0xffff, zero means that there is no checksum."""
    base = Case(
        proto=UDP,
        src=bytes([192, 168, 1, 2]),
        dst=bytes([198, 51, 100, 2]),
        sport=4000,
        dport=53,
        to_src=bytes([198, 51, 100, 1]),
        to_dst=bytes([198, 51, 100, 2]),
        to_sport=61000,
        to_dport=53,
    )
    zero_after = replace(base, payload=base.translated().with_last_word(0).payload)
    (got,) = rewritten(program, [zero_after])
    assert got[26:28] == b"\xff\xff"
    (got,) = rewritten(program, [replace(base, no_sum=True)])
    assert got[26:28] == b"\0\0"
    (got,) = rewritten(program, [replace(zero_after, proto=TCP).with_last_word(5)])
    assert got == replace(zero_after, proto=TCP).with_last_word(5).translated().packet()


@pytest.mark.parametrize("version", [4, 6])
def test_every_ttl(program: Path, version: int) -> None:
    """With every next byte of the word that the TTL lies in, protocol 6 and 17."""
    size = 4 if version == 4 else 16
    rng = random.Random(version)
    cases = []
    for ttl in range(2, 256):
        for proto in (TCP, UDP):
            src, dst = rng.randbytes(size), rng.randbytes(size)
            same = Case(proto, src, dst, 1, 2, src, dst, 1, 2, ttl=ttl, nat=False)
            moved = replace(same, nat=True, to_src=rng.randbytes(size))
            cases += [same, replace(same, nat=True), moved]
    verify(program, cases)


def test_identity_changes_nothing(program: Path) -> None:
    """A translation to the same addresses leaves the transport checksum alone, whatever it is."""
    rng = random.Random(7)
    cases = []
    for _ in range(2000):
        case = replace(some_case(rng), nat=True)
        cases.append(
            replace(
                case,
                to_src=case.src,
                to_dst=case.dst,
                to_sport=case.sport,
                to_dport=case.dport,
            )
        )
    for case, got in zip(cases, rewritten(program, cases), strict=True):
        at = 20 if case.version == 4 else 40
        assert got[at:] == case.packet()[at:], case


# The other byte order. The sums are over words as they lie in memory, so a machine of the other
# order computes the same with every word swapped; only the TTL's constant is chosen by order.


def ttl_delta(order: int) -> int:
    """NATFLOW_TTL_DELTA as the header defines it for __BYTE_ORDER__ == order."""
    text = '#include "rewrite.h"\nTTL_IS NATFLOW_TTL_DELTA\n'
    compiler = shutil.which("gcc")
    if not compiler:
        pytest.skip("gcc is not installed")
    # A libc header comes first: some define __BIG_ENDIAN on every machine.
    command = [compiler, "-E", "-P", "-U__BYTE_ORDER__", f"-D__BYTE_ORDER__={order}", *INCLUDES]
    result = subprocess.run(
        [*command, "-include", "endian.h", "-"],
        check=False,
        input=text,
        capture_output=True,
        text=True,
    )
    found = re.search(r"TTL_IS .*?(0x[0-9a-f]{4})\b", result.stdout)
    assert found, result.stderr + result.stdout
    return int(found[1], 16)


@pytest.mark.parametrize(("order", "form"), [(1234, "<"), (4321, ">")])
def test_both_byte_orders(order: int, form: str) -> None:
    """The header's arithmetic, done here for a machine of each order, gives the true header."""
    delta = ttl_delta(order)

    def add(a: int, b: int) -> int:
        return (a + b & 0xFFFF) + (a + b >> 16)

    rng = random.Random(order)
    for _ in range(3000):
        case = replace(some_case(rng), nat=True)
        if case.version == 6:
            continue
        packet, want = case.packet(), case.translated().packet()
        total = delta
        old = struct.unpack(f"{form}4H", packet[12:20])
        new = struct.unpack(f"{form}4H", want[12:20])
        for before, after in zip(old, new, strict=True):
            total = add(add(total, ~before & 0xFFFF), after)
        (check,) = struct.unpack(f"{form}H", packet[10:12])
        got = ~add(~check & 0xFFFF, total) & 0xFFFF
        assert struct.pack(f"{form}H", got) == want[10:12], case
