# SPDX-License-Identifier: GPL-2.0-only
"""From a call's arguments to its reply: the part of serving an object that no backend may do its
own way.
"""

from __future__ import annotations

import sys

from natflow.bus.interface import (
    ARRAY,
    BOOL,
    DOUBLE,
    INT16,
    INT32,
    INT64,
    SESSION_ARGUMENT,
    STRING,
    TABLE,
    UNSPEC,
    BusError,
    Method,
    Status,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from natflow.bus.interface import EventHandler

#: blobmsg type: the Python types its values decode to, and its name in messages to people.
_KINDS: dict[int, tuple[tuple[type, ...], str]] = {
    ARRAY: ((list,), "array"),
    TABLE: ((dict,), "table"),
    STRING: ((str,), "string"),
    INT64: ((int,), "integer"),
    INT32: ((int,), "integer"),
    INT16: ((int,), "integer"),
    BOOL: ((bool,), "boolean"),
    DOUBLE: ((float, int), "number"),
    UNSPEC: ((object,), "anything"),
}


def log(text: str) -> None:
    """One line on stderr, where procd picks it up for syslog; a dead stderr is no reason to die.

    Some of it came from others: control characters become "?", and it ends at 500 characters.
    """
    line = "".join(char if char.isprintable() else "?" for char in text[:500])
    try:
        sys.stderr.write(f"natflow: {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return


def check_methods(name: str, methods: Mapping[str, Method]) -> None:
    """Refuse an object that could not be served, with ValueError: an error of the program, not of a
    caller.
    """
    if not name or "\0" in name or "*" in name:
        raise ValueError(f"object name {name!r}: must not be empty nor contain NUL or *")
    for method, entry in methods.items():
        for arg, kind in entry.args.items():
            if kind not in _KINDS:
                raise ValueError(
                    f"{name}.{method}: argument {arg!r} has unknown blobmsg type {kind}"
                )


def check_arguments(declared: Mapping[str, int], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments a handler is to see; raises BusError(INVALID_ARGUMENT) saying what is wrong and
    what is allowed.

    A TABLE or ARRAY left out becomes empty; the session uhttpd adds is dropped.
    """
    for name, value in given.items():
        if name not in declared:
            raise _invalid(declared, f"unknown argument {name[:40]!r}")
        types, kind = _KINDS[declared[name]]
        if not isinstance(value, types) or (
            isinstance(value, bool) and bool not in types and object not in types
        ):
            raise _invalid(
                declared, f"argument {name!r} must be of type {kind}, not {type(value).__name__}"
            )
    arguments: dict[str, Any] = {}
    for name, wanted in declared.items():
        if name == SESSION_ARGUMENT:
            continue
        if name in given:
            arguments[name] = given[name]
        elif wanted == TABLE:
            arguments[name] = {}
        elif wanted == ARRAY:
            arguments[name] = []
        else:
            raise _invalid(declared, f"argument {name!r} is missing")
    return arguments


def _invalid(declared: Mapping[str, int], problem: str) -> BusError:
    allowed = [
        f"{name} ({_KINDS[kind][1]})" for name, kind in declared.items() if name != SESSION_ARGUMENT
    ]
    return BusError(
        Status.INVALID_ARGUMENT, f"{problem}; allowed: {', '.join(allowed) or 'no argument'}"
    )


def run(place: str, method: Method, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a handler; raises nothing but BusError. `place` ("natflow.status") is for the log."""
    try:
        reply: object = method.handler(arguments)
    except BusError:
        raise
    except Exception as error:
        log(f"{place} failed: {type(error).__name__}: {error}{_where(error)}")
        raise internal_error(place) from error
    if not isinstance(reply, dict):
        log(f"{place} failed: its handler returned {type(reply).__name__}, not dict")
        raise internal_error(place)
    return reply


def notify(pattern: str, handler: EventHandler, event: str, data: dict[str, Any]) -> None:
    """Hand an event to a listener, whose failure is its own."""
    try:
        handler(event, data)
    except Exception as error:
        log(
            f"listener for {pattern} failed on {event}: {type(error).__name__}: {error}"
            f"{_where(error)}"
        )


def internal_error(place: str) -> BusError:
    """What a caller learns of a defect of ours: no more than where to look."""
    return BusError(
        Status.UNKNOWN_ERROR, f"internal error in {place}; the system log has the details"
    )


def _where(error: BaseException) -> str:
    """The innermost three frames, for one log line (the traceback module would cost more than the
    whole bus).
    """
    frames = []
    trace = error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return f" ({' < '.join(frames[:-4:-1])})" if frames else ""
