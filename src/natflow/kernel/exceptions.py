# SPDX-License-Identifier: GPL-2.0-only
"""Exceptions as the module takes them: which flows are never accelerated."""

from __future__ import annotations

from typing import Any, NamedTuple

from natflow.kernel.filters import PROTOCOLS, Prefix

MARK_MASK = 0xFFFFFFFF


class Exemption(NamedTuple):
    """Flows that stay on the normal stack; what is set must all match, and something must be set.

    ``src``, ``dst`` and ``ports`` (first, last) are those of the direction that opened the
    connection, ``dst`` and ``ports`` before or after translation. ``mac`` is six bytes.
    """

    src: Prefix | None = None
    dst: Prefix | None = None
    l4proto: int | None = None
    ports: tuple[int, int] | None = None
    device: str | None = None
    mac: bytes | None = None
    mark: tuple[int, int] | None = None  # value and mask

    def attributes(self) -> list[tuple[str, Any]]:
        """Return the attributes of the set "exception"."""
        attrs: list[tuple[str, Any]] = []
        for name, prefix in (("src", self.src), ("dst", self.dst)):
            if prefix is not None:
                nest = [("addr", prefix.network), ("len", prefix.length)]
                attrs.append((name, {"attrs": nest}))
        if self.l4proto is not None:
            attrs.append(("l4proto", self.l4proto))
        if self.ports is not None:
            attrs += [("port-min", self.ports[0]), ("port-max", self.ports[1])]
        if self.device is not None:
            attrs.append(("device", self.device))
        if self.mac is not None:
            attrs.append(("mac", self.mac))
        if self.mark is not None:
            attrs += [("mark", self.mark[0]), ("mark-mask", self.mark[1])]
        return attrs

    @classmethod
    def of(cls, nest: dict[str, list[Any]]) -> Exemption:
        """Read the decoded attributes of one exception."""

        def one(name: str) -> Any:
            return nest[name][0] if name in nest else None

        low, mark = one("port-min"), one("mark")
        return cls(
            src=_prefix(one("src")),
            dst=_prefix(one("dst")),
            l4proto=one("l4proto"),
            ports=None if low is None else (low, nest.get("port-max", [low])[0]),
            device=one("device"),
            mac=one("mac"),
            mark=None if mark is None else (mark, nest.get("mark-mask", [MARK_MASK])[0]),
        )

    def __str__(self) -> str:
        """Return the conditions as an owner would write them."""
        ends = (("src", self.src), ("dst", self.dst))
        parts = [f"{name} {prefix}" for name, prefix in ends if prefix is not None]
        if self.l4proto is not None:
            names = {number: name for name, number in PROTOCOLS.items()}
            parts.append(f"proto {names.get(self.l4proto, self.l4proto)}")
        if self.ports is not None:
            low, high = self.ports
            parts.append(f"port {low}" if low == high else f"port {low}-{high}")
        if self.device is not None:
            parts.append(f"device {self.device}")
        if self.mac is not None:
            parts.append(f"mac {self.mac.hex(':')}")
        if self.mark is not None:
            parts.append(f"mark 0x{self.mark[0]:x}/0x{self.mark[1]:x}")
        return ", ".join(parts)


def _prefix(nest: dict[str, list[Any]] | None) -> Prefix | None:
    if nest is None or "addr" not in nest:
        return None
    addr = nest["addr"][0]
    return Prefix(addr, nest.get("len", [len(addr) * 8])[0])
