# SPDX-License-Identifier: GPL-2.0-only
"""Read a guest's console for messages that mean a broken kernel.

A test that passes while the kernel warns has not passed. The patterns are data: console-patterns.
"""

import re
from functools import cache
from pathlib import Path

PATTERNS = Path(__file__).with_name("console-patterns")

# A kernel that is tainted by anything but these flags has warned or died, even if the console lost
# the message (Linux Documentation/admin-guide/tainted-kernels.rst).
TAINT_ALLOWED = {
    0: "proprietary",
    2: "CPU out of specification: we clear features of it at boot",
    10: "staging",
    12: "out of tree",
    13: "unsigned",
}
TAINT_MEANING = {
    1: "module loaded by force",
    3: "module unloaded by force",
    4: "machine check",
    5: "bad page",
    7: "oops",
    9: "warning",
    14: "soft lock-up",
}

_STAMP = re.compile(r"^\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])?\s?")


@cache
def patterns() -> tuple[re.Pattern[str], ...]:
    """The expressions of console-patterns."""
    lines = PATTERNS.read_text().splitlines()
    return tuple(re.compile(line) for line in lines if line and not line.startswith("#"))


def offending(text: str) -> list[str]:
    """The lines of a console log that fail a run, in their order, time stamps kept."""
    return [
        line
        for line in text.replace("\r", "").splitlines()
        if any(pattern.search(message(line)) for pattern in patterns())
    ]


def message(line: str) -> str:
    """A console line without its time stamp and the number of its task."""
    return _STAMP.sub("", line)


def taint(flags: int) -> list[str]:
    """What /proc/sys/kernel/tainted says went wrong; empty if nothing did."""
    return [
        TAINT_MEANING.get(bit, f"flag {bit}")
        for bit in range(flags.bit_length())
        if flags >> bit & 1 and bit not in TAINT_ALLOWED
    ]
