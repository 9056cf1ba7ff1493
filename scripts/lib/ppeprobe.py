# SPDX-License-Identifier: GPL-2.0-only
"""A caller of the flow offload interface, by hand: see tests/kmod/ppesim/probe.c. Rules are built
as mainline's flowtable builds them, and can be changed to what it never builds."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from netns import Netns
from ppesim import ROOT, Soc

TCP, UDP = 6, 17
BIND, UNBIND, REPLACE, DESTROY, STATS = range(5)
META, CONTROL, BASIC, PORTS = 1, 2, 4, 8
ATOMIC, RCU, LATE, BINDER = 1, 2, 4, 8
MANGLE, REDIRECT, CSUM, VLAN_PUSH, VLAN_POP, PPPOE_PUSH, DROP = range(7)
# enum flow_action_mangle_base
ETH, IP4, IP6, TCP_HEADER, UDP_HEADER = 1, 2, 3, 4, 5
ETH_P_8021Q, ETH_P_8021AD = 0x8100, 0x88A8
ACTIONS_MAX = 16
_ACTION = struct.Struct("=7I")
_REQUEST = struct.Struct("=4IQ4I2s2s16s16sI")
_ANSWER = struct.Struct("=iIQQ")


def _word(data: bytes) -> int:
    """Four bytes as the number that lies so in memory."""
    return int.from_bytes(data, sys.byteorder)


@dataclass(frozen=True)
class Action:
    """See struct action in probe.c; `device` is a name in the router."""

    kind: int
    header: int = 0
    offset: int = 0
    mask: int = 0
    value: int = 0
    device: str = ""
    proto: int = 0


def eth(to: bytes, sender: bytes) -> list[Action]:
    """MAC addresses of the frame that goes out."""
    return [
        Action(MANGLE, ETH, 4, 0x0000FFFF, _word(b"\0\0" + sender[:2])),
        Action(MANGLE, ETH, 8, 0, _word(sender[2:])),
        Action(MANGLE, ETH, 0, 0, _word(to[:4])),
        Action(MANGLE, ETH, 4, 0xFFFF0000, _word(to[4:] + b"\0\0")),
    ]


def address(offset: int, new: str) -> Action:
    """A new IPv4 address: offset 12 is the source, 16 the destination."""
    return Action(MANGLE, IP4, offset, 0, _word(socket.inet_aton(new)))


def source_port(new: int, header: int = UDP_HEADER) -> Action:
    mask = 0xFFFFFFFF ^ _word(b"\xff\xff\0\0")
    return Action(MANGLE, header, 0, mask, _word(struct.pack("!HH", new, 0)))


def dest_port(new: int, header: int = UDP_HEADER) -> Action:
    mask = 0xFFFFFFFF ^ _word(b"\0\0\xff\xff")
    return Action(MANGLE, header, 0, mask, _word(struct.pack("!HH", 0, new)))


@dataclass(frozen=True)
class Rule:
    """Packets of one direction and what to do to them. `ingress`: device of the META key."""

    src: str
    dst: str
    sport: int
    dport: int
    ingress: str
    actions: list[Action] = field(default_factory=list)
    proto: int = UDP
    keys: int = META | CONTROL | BASIC | PORTS
    addr_type: int = 0
    control_flags: int = 0

    def but(self, **changes: object) -> Rule:
        """The same with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def plus(self, *actions: Action) -> Rule:
        """The same with more actions at the end."""
        return replace(self, actions=[*self.actions, *actions])


@dataclass(frozen=True)
class Answer:
    """`error`: 0 or a negative errno of the driver; `idle` in ms, `packets` and `bytes`: STATS."""

    error: int
    idle: int
    packets: int
    bytes: int


class Probe:
    """Gives commands in the name of the router; raises OSError when the request itself is wrong."""

    def __init__(self, soc: Soc) -> None:
        self.soc = soc
        self.router: Netns = soc.router
        self._path: Path = ROOT / soc.name / "probe"

    def _ask(
        self, command: int, device: str, cookie: int = 0, rule: Rule | None = None, flags: int = 0
    ) -> Answer:
        rule = rule or Rule("", "", 0, 0, device)
        kinds = {True: 6, False: 4}
        head = _REQUEST.pack(
            command,
            flags,
            self._index(device),
            rule.keys,
            cookie,
            self._index(rule.ingress),
            (rule.addr_type or kinds[":" in rule.src]) if rule.src else 0,
            rule.control_flags,
            rule.proto,
            struct.pack("!H", rule.sport),
            struct.pack("!H", rule.dport),
            self._address(rule.src),
            self._address(rule.dst),
            len(rule.actions),
        )
        actions = b"".join(self._action(action) for action in rule.actions)
        request = head + actions.ljust(ACTIONS_MAX * _ACTION.size, b"\0")
        with self.router.entered(), self._path.open("r+b", buffering=0) as file:
            file.write(request)
            return Answer(*_ANSWER.unpack(file.read(_ANSWER.size)))

    def _index(self, device: str) -> int:
        with self.router.entered():
            return socket.if_nametoindex(device) if device else 0

    @staticmethod
    def _address(text: str) -> bytes:
        if not text:
            return b""
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)

    def _action(self, action: Action) -> bytes:
        index = self._index(action.device)
        return _ACTION.pack(
            action.kind,
            action.header,
            action.offset,
            action.mask,
            action.value,
            index,
            action.proto,
        )

    def bind(self, device: str, flags: int = 0) -> int:
        """The error, 0 for none; so in the methods below."""
        return self._ask(BIND, device, flags=flags).error

    def unbind(self, device: str) -> int:
        return self._ask(UNBIND, device).error

    def replace(self, device: str, cookie: int, rule: Rule, flags: int = 0) -> int:
        """Install a rule through the callback of `device`."""
        return self._ask(REPLACE, device, cookie, rule, flags).error

    def destroy(self, device: str, cookie: int, flags: int = 0) -> int:
        return self._ask(DESTROY, device, cookie, flags=flags).error

    def stats(self, device: str, cookie: int) -> Answer:
        """What the hardware has counted since the last STATS of anybody."""
        return self._ask(STATS, device, cookie)
