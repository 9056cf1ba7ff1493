# SPDX-License-Identifier: GPL-2.0-only
"""Reason codes for people: number, name, sentence, hint. The table is docs/reasons.md."""

from __future__ import annotations

from typing import NamedTuple

from natflow.kernel.uapi import REASONS


class Reason(NamedTuple):
    """Why something is not accelerated, and what to do about it."""

    code: int
    name: str
    sentence: str
    hint: str


def reason(key: int | str) -> Reason:
    """Return the reason of a number or a name ("table-full" or "table_full").

    A number this version does not know, as a newer module may send, gets a sentence that says so;
    a name that does not exist raises KeyError.
    """
    if isinstance(key, str):
        name = key.replace("_", "-")
        if name in REASONS:
            code = REASONS.index(name)
        elif name.isascii() and name.isdigit():
            code = int(name)
        else:
            raise KeyError(key)
    else:
        code = key
    if not 0 <= code < len(REASONS):
        return Reason(
            code,
            str(code),
            f"The module gives reason {code}, which this version does not know.",
            "Update the package natflow to the version of the module.",
        )
    # The sentences are loaded when the first one is asked for: a daemon at rest needs none.
    from natflow.kernel.reason_text import TEXT

    return Reason(code, REASONS[code], *TEXT[code])
