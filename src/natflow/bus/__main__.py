# SPDX-License-Identifier: GPL-2.0-only
"""The ubus command for hosts without one: `python -m natflow.bus call|list|listen|send`.

Takes the arguments and returns the exit codes of OpenWrt's `ubus` (the ubus status of what failed).
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from natflow.bus import BACKENDS, Bus, BusError, open_bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_TYPE_NAMES = ("Any", "Array", "Table", "String", "Int64", "Integer", "Int16", "Boolean", "Double")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or the ubus status of what failed (255: bad usage)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.command in ("call", "send"):
            options.message = _table(options.message)
        bus = open_bus(options.socket, options.backend)
        return _COMMANDS[options.command](bus, options)
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"{error}\n")
        return 255
    except BusError as error:
        sys.stderr.write(f"Command failed: {error.message} (status {error.status})\n")
        return error.status
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()  # or the interpreter complains about stdout once more
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m natflow.bus", description="Talk to ubus.")
    parser.add_argument("-s", "--socket", metavar="PATH", help="unix socket of the bus")
    parser.add_argument("-t", "--timeout", metavar="SECONDS", type=float, default=30.0)
    parser.add_argument("-S", "--simple", action="store_true", help="print JSON on one line")
    parser.add_argument("--backend", choices=BACKENDS, default="embedded")
    commands = parser.add_subparsers(dest="command", required=True)
    call = commands.add_parser("call", help="call a method of an object")
    call.add_argument("object")
    call.add_argument("method")
    call.add_argument("message", nargs="?", default="{}", help="arguments as a JSON table")
    listing = commands.add_parser("list", help="list the objects on the bus")
    listing.add_argument("-v", "--verbose", action="store_true", help="with their methods")
    listing.add_argument("pattern", nargs="?", default="*")
    listen = commands.add_parser("listen", help="print events until interrupted")
    listen.add_argument("pattern", nargs="*", default=["*"])
    send = commands.add_parser("send", help="send an event")
    send.add_argument("event")
    send.add_argument("message", nargs="?", default="{}", help="content as a JSON table")
    return parser


def _table(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f'must be a JSON table such as {{"filter": {{}}}}, not {text}')
    return value


def _print(value: object, simple: bool) -> None:
    print(json.dumps(value) if simple else json.dumps(value, indent="\t"), flush=True)


def _call(bus: Bus, options: argparse.Namespace) -> int:
    reply = bus.call(options.object, options.method, options.message, options.timeout)
    _print(reply, options.simple)
    return 0


def _list(bus: Bus, options: argparse.Namespace) -> int:
    found = bus.objects(options.pattern, options.timeout)
    for path, methods in sorted(found.items()):
        if not options.verbose:
            print(path)
            continue
        print(f"'{path}'")
        for method, args in methods.items():
            print(f'\t"{method}":{json.dumps({name: _type(kind) for name, kind in args.items()})}')
    return 0 if found else 4


def _type(kind: object) -> str:
    known = isinstance(kind, int) and 0 <= kind < len(_TYPE_NAMES)
    return _TYPE_NAMES[kind] if known and isinstance(kind, int) else "(unknown)"


def _listen(bus: Bus, options: argparse.Namespace) -> int:
    for pattern in options.pattern:
        bus.listen(pattern, lambda event, data: _print({event: data}, True))
    if not bus.connected:
        bus.objects("-")  # says why
    while True:
        # Python misses an interrupt that comes just before it waits, until the wait is over.
        bus.tick(1.0)


def _send(bus: Bus, options: argparse.Namespace) -> int:
    if not bus.connected:
        bus.objects("-")  # says why
    if not bus.send(options.event, options.message):
        sys.stderr.write(f"{options.event}: not sent\n")
        return 2
    bus.objects(os.devnull)  # an answer to this means that the event before it was taken
    return 0


_COMMANDS = {"call": _call, "list": _list, "listen": _listen, "send": _send}

if __name__ == "__main__":
    raise SystemExit(main())
