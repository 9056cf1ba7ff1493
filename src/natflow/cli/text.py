# SPDX-License-Identifier: GPL-2.0-only
"""Numbers and sentences for a terminal of 80 columns."""

from __future__ import annotations

WIDTH = 80
PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def short(value: float) -> str:
    """A number in at most five characters, with a decimal prefix: 0, 999, 1.20k, 12.3M, 456G."""
    prefix = 0
    while value >= 999.5 and prefix < len(PREFIXES) - 1:
        value /= 1000
        prefix += 1
    if not prefix:
        return str(int(value))
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{PREFIXES[prefix]}"


def spaced(value: float, unit: str) -> str:
    """A number with its unit as they are set in print: 12.3 Mbit/s."""
    text = short(value)
    return f"{text} {unit}" if text[-1].isdigit() else f"{text[:-1]} {text[-1]}{unit}"


def size(count: int) -> str:
    """Bytes with a decimal prefix: "12.3 MB"."""
    return spaced(count, "B")


def bits(rate: int) -> str:
    """Bytes per second as bits per second, without the unit: "12.3M"."""
    return short(rate * 8)


def seconds(count: int) -> str:
    """A time span in its two largest units: "2 h 3 min"."""
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        whole, count = divmod(count, length)
        if whole:
            parts.append(f"{whole} {unit}")
    return " ".join(parts[:2]) or "0 s"


def share(part: int, whole: int) -> str:
    """A percentage that says 100 % only when it is."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if 99.5 <= percent < 100:
        return ">99 %"
    return "<1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"


def clean(value: object) -> str:
    """Text from the network without what could drive the terminal."""
    return "".join(character if character.isprintable() else "?" for character in str(value))


def wrapped(text: str, first: str = "", rest: str | None = None) -> list[str]:
    """Lines of at most 80 columns; ``first`` leads the first one, ``rest`` (blank) the others."""
    indent = " " * len(first) if rest is None else rest
    lines = [first]
    bare = True  # nothing but the indent stands on the line yet
    for word in clean(text).split():
        gap = "" if bare else " "
        if not bare and len(lines[-1]) + len(gap) + len(word) > WIDTH:
            lines.append(indent)
            gap = ""
        lines[-1] += gap + word
        bare = False
    return [line.rstrip() for line in lines]


def endpoint(address: str, port: int) -> str:
    """Address and port as they are written, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
