# SPDX-License-Identifier: GPL-2.0-only
"""Units, spans and wrapping: right at the edges, never wider than promised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natflow.cli import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (9994, "9.99k"),
        (9995, "10.0k"),
        (99949, "99.9k"),
        (99951, "100k"),
        (999499, "999k"),
        (999500, "1.00M"),
        (12_345_678, "12.3M"),
        (2**64, "18.4E"),
    ],
)
def test_short(value: int, shown: str) -> None:
    assert text.short(value) == shown


@given(st.integers(0, 2**64))
def test_short_is_short_and_right(value: int) -> None:
    shown = text.short(value)
    assert len(shown) <= 5
    number = float(shown.rstrip("kMGTPE")) * 1000 ** text.PREFIXES.index(
        shown.lstrip("0123456789.")
    )
    assert abs(number - value) <= max(0.006 * value, 0.5)


def test_sizes_and_rates() -> None:
    assert text.size(0) == "0 B"
    assert text.size(1_234_567) == "1.23 MB"
    assert text.bits(125_000) == "1.00M"
    assert text.spaced(93_600_000, "bit/s") == "93.6 Mbit/s"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90_061, "1 d 1 h")],
)
def test_seconds(count: int, shown: str) -> None:
    assert text.seconds(count) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "-"),
        (0, 5, "0 %"),
        (1, 1000, "<1 %"),
        (999, 1000, ">99 %"),
        (5, 5, "100 %"),
        (1, 3, "33 %"),
    ],
)
def test_share(part: int, whole: int, shown: str) -> None:
    assert text.share(part, whole) == shown


@given(st.text(max_size=300), st.text(" abc:", max_size=20))
def test_wrapped_keeps_every_word_and_the_width(words: str, first: str) -> None:
    lines = text.wrapped(words, first)
    joined = " ".join(lines)
    for word in text.clean(words).split():
        assert word in joined
    for line in lines:
        assert line.isprintable()
        assert len(line) <= 80 or len(line.split()[-1]) > 80 - len(first)


def test_clean_stops_terminal_escapes() -> None:
    assert text.clean("a\x1b[31mb\x07\u202ec\nd") == "a?[31mb??c?d"
