# SPDX-License-Identifier: GPL-2.0-only
"""Command line options of both programs. argparse alone would double the start-up of the CLI."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UsageError(Exception):
    """The command line is wrong; the text says what is allowed."""


def parse(
    arguments: Sequence[str], flags: Sequence[str], values: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], list[str]]:
    """Split a command line into options and the other words.

    ``flags`` are options without a value, ``values`` those with one and what it may be (nothing
    listed: anything). Options are written ``--name``, ``--name=VALUE`` or ``--name VALUE``, before
    or behind the words; ``--`` ends them. A flag that was given has the value "1".
    """
    options: dict[str, str] = {}
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, words + rest
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, equals, value = word.partition("=")
        if name in flags:
            if equals:
                raise UsageError(f"{name} takes no value")
            options[name] = "1"
        elif name in values:
            if not equals:
                if not rest:
                    raise UsageError(f"{name} needs a value")
                value = rest.pop(0)
            allowed = values[name]
            if not value or (allowed and value not in allowed):
                listed = ", ".join(allowed) or "anything but nothing"
                raise UsageError(f"{name}: {value!r} is not allowed; allowed: {listed}")
            options[name] = value
        else:
            listed = ", ".join([*flags, *values])
            raise UsageError(f"{name} is no option; allowed: {listed}")
    return options, words
