# SPDX-License-Identifier: GPL-2.0-only
"""The command natflow: asks natflowd over ubus and shows the answer to people, or as JSON."""

from __future__ import annotations

import os
import sys

from natflow import __version__
from natflow.bus import BusError, Status, open_bus
from natflow.options import UsageError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from natflow.bus import Bus

    Reply = dict[str, Any]

USAGE = """\
Usage: natflow [OPTION]... COMMAND [ARGUMENT]...

  status                     what is on, what it does, what is wrong
  flows [KEY=VALUE]...       flows, the fastest first; keys below
  clients                    the hosts on the inner side
  explain PROTO SRC DST      why a flow is (not) accelerated, and its path:
                     natflow explain tcp 192.168.1.10:40000 203.0.113.5:443
  flush [KEY=VALUE]...       forget flows, all without a key; connections go on
  info                       versions, features, settings in force
  set OPTION=VALUE...        change options until the next reload

  --json                     print the reply as JSON
  --socket PATH              the bus (default: $UBUS_SOCKET, or
                             /var/run/ubus/ubus.sock)
  --bus BACKEND              auto, libubus or embedded (default: $NATFLOW_BUS,
                             or auto)
  --version                  print the version
  --help                     print this

Keys that select flows: family, proto, address (an address or prefix, several
with commas), port, device, mark, mac, state, reason, min_age, min_idle (ms),
min_rate (bytes per second). Keys of flows alone: sort, order, offset, limit.

Exit codes: 0 done, 1 it failed, 2 the command line is wrong, 3 natflowd or the
kernel module is missing.
"""

FLAGS = ("--json", "--version", "--help")
VALUES = {"--socket": (), "--bus": ("auto", "libubus", "embedded")}

OK, FAILED, USED_WRONGLY, MISSING = 0, 1, 2, 3

CALL_SECONDS = 30.0

NO_BUS = """\
natflow: there is no ubus at {path}.
On OpenWrt look at: service ubus status. On another host start natflow's own:
  python3 -m natflow.bus.broker --socket {path}"""
NO_DAEMON = """\
natflow: natflowd is not running.
Start it with: service natflow start. To see why it ended: logread -e natflow"""
NOT_ROOT = "\nOr run this as root: ubus hides objects from other users."


class Missing(Exception):
    """natflowd or the bus is not there; the text says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The program natflow; returns its exit code."""
    try:
        options, words = parse(sys.argv[1:] if arguments is None else arguments, FLAGS, VALUES)
        if "--help" in options:
            print(USAGE, end="")
            return OK
        if "--version" in options:
            print(f"natflow {__version__}")
            return OK
        if not words:
            raise UsageError(f"a command is missing; allowed: {', '.join(COMMANDS)}")
        if words[0] not in COMMANDS:
            raise UsageError(f"{words[0]!r} is no command; allowed: {', '.join(COMMANDS)}")
        method, argument, reader = COMMANDS[words[0]]
        table = reader(words[1:])
    except UsageError as error:
        print(f"natflow: {error}\nTry: natflow --help", file=sys.stderr)
        return USED_WRONGLY
    if words[0] == "flows" and table:
        method, argument = "query", "filter"
    args = {argument: table} if argument else {}
    try:
        return _ask(options, words[0], method, args)
    except Missing as error:
        print(error, file=sys.stderr)
        return MISSING
    except BrokenPipeError:  # the reader, head for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (BusError, ImportError, ValueError, OSError) as error:
        text = error.message if isinstance(error, BusError) else str(error)
        print(f"natflow: {text}", file=sys.stderr)
        return FAILED


def _ask(options: dict[str, str], command: str, method: str, args: Reply) -> int:
    bus = open_bus(options.get("--socket"), options.get("--bus"))
    try:
        reply = _call(bus, method, args)
    finally:
        bus.close()
    if "--json" in options:
        import json

        print(json.dumps(reply, indent=1, ensure_ascii=False))
    else:
        from natflow.cli import show

        view = {"set": show.changed}.get(command) or getattr(show, command)
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        print("\n".join(view(reply)))
    sys.stdout.flush()
    if command != "status" or reply["state"] != "error":
        return OK
    return FAILED if reply["module"]["loaded"] else MISSING


def _call(bus: Bus, method: str, args: Reply) -> Reply:
    """Call natflowd; Missing with what to type when it, the bus or the module is not there."""
    try:
        return bus.call("natflow", method, args, CALL_SECONDS)
    except BusError as error:
        if error.status == Status.NOT_FOUND:
            raise Missing(NO_DAEMON + (NOT_ROOT if os.geteuid() else "")) from None
        if not bus.connected:
            path = getattr(bus, "path", "the usual place")
            raise Missing(NO_BUS.format(path=path)) from None
        # python-ubus loses the status of a refusal: whether the module is there, status knows.
        if method != "status" and not _module(bus):
            raise Missing(f"natflow: {error.message}") from None
        raise


def _module(bus: Bus) -> bool:
    try:
        return bool(bus.call("natflow", "status", {}, CALL_SECONDS)["module"]["loaded"])
    except (BusError, KeyError):
        return True


def _nothing(words: Sequence[str]) -> Reply:
    if words:
        raise UsageError(f"{words[0]!r} is not understood here: nothing more is allowed")
    return {}


def _pairs(words: Sequence[str]) -> Reply:
    """KEY=VALUE words; a key twice, or a comma in an address, makes a list."""
    table: Reply = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r} is not understood; allowed: KEY=VALUE")
        if key == "address":
            table[key] = [*table.get(key, []), *value.split(",")]
        elif key in table:
            raise UsageError(f"{key} is given twice")
        else:
            table[key] = value
    return table


def _options(words: Sequence[str]) -> Reply:
    if not words:
        raise UsageError("an option is missing; for example: natflow set delay_pkts=10")
    return _pairs(words)


def _flow(words: Sequence[str]) -> Reply:
    """PROTO SRC DST."""
    if len(words) != 3:
        example = "natflow explain tcp 192.168.1.10:40000 203.0.113.5:443"
        raise UsageError(f"explain needs PROTO SRC DST; for example: {example}")
    src, sport = _endpoint(words[1])
    dst, dport = _endpoint(words[2])
    return {"proto": words[0], "src": src, "sport": sport, "dst": dst, "dport": dport}


def _endpoint(word: str) -> tuple[str, int]:
    """192.0.2.1:80 or [2001:db8::1]:80."""
    address, colon, port = word.rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]")
    plain = address[1:-1] if bracketed else address
    number = int(port) if colon and port.isascii() and port.isdigit() and len(port) < 6 else -1
    if not plain or not 0 <= number <= 65535 or (":" in plain) != bracketed:
        raise UsageError(f"{word!r} is not understood; allowed: ADDRESS:PORT or [IPV6]:PORT")
    return plain, number


COMMANDS: dict[str, tuple[str, str, Callable[[Sequence[str]], Reply]]] = {
    "status": ("status", "", _nothing),
    "flows": ("flows", "", _pairs),
    "clients": ("clients", "", _nothing),
    "explain": ("explain", "flow", _flow),
    "flush": ("flush", "filter", _pairs),
    "info": ("info", "", _nothing),
    "set": ("set", "options", _options),
}
