# SPDX-License-Identifier: GPL-2.0-only
"""What a request may say: filters, tuples and settings, checked before the kernel sees them.

A FilterError names the field, the value that was given, and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from socket import AF_INET, AF_INET6, if_nametoindex, inet_ntop, inet_pton
from typing import Any, NamedTuple

from natflow.kernel import uapi
from natflow.kernel.errors import FilterError

PROTOCOLS = {"tcp": 6, "udp": 17}
FAMILIES = {"ipv4": AF_INET, "4": AF_INET, "ipv6": AF_INET6, "6": AF_INET6}
U32 = 0xFFFFFFFF
MAC_BYTES = 6


def number(name: str, value: object, most: int, least: int = 0) -> int:
    """Return a number given as int or as text (decimal, or hexadecimal with 0x)."""
    result: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        result = value
    elif isinstance(value, str):
        try:
            result = int(value, 16 if value.lower().startswith("0x") else 10)
        except ValueError:
            result = None
    if result is None or not least <= result <= most:
        raise FilterError(f"{name}: {value!r}; allowed: a number from {least} to {most}")
    return result


def address(name: str, text: object) -> tuple[int, bytes]:
    """Return (address family, bytes in network order) of an IPv4 or IPv6 address."""
    if isinstance(text, str):
        family = AF_INET6 if ":" in text else AF_INET
        try:
            return int(family), inet_pton(family, text)
        except (OSError, ValueError):
            pass
    raise FilterError(f"{name}: {text!r}; allowed: an IPv4 or IPv6 address")


def _choice(name: str, value: object, table: Mapping[str, int]) -> int:
    key = str(value).lower()
    if isinstance(value, bool) or key not in table:
        raise FilterError(f"{name}: {value!r}; allowed: {', '.join(table)}")
    return table[key]


def _code(name: str, value: object, names: tuple[str, ...]) -> int:
    key = str(value).replace("_", "-")
    if key not in names:
        raise FilterError(f"{name}: {value!r}; allowed: {', '.join(names)}")
    return names.index(key)


def _protocol(name: str, value: object) -> int:
    if isinstance(value, str) and value.lower() in PROTOCOLS:
        return PROTOCOLS[value.lower()]
    try:
        return number(name, value, 255)
    except FilterError:
        allowed = f"{', '.join(PROTOCOLS)}, or a number from 0 to 255"
        raise FilterError(f"{name}: {value!r}; allowed: {allowed}") from None


class Prefix(NamedTuple):
    """An address prefix; ``length`` is in bits, host bits of ``network`` are zero."""

    network: bytes
    length: int

    @classmethod
    def parse(cls, text: object) -> Prefix:
        """Read "192.168.1.0/24", "2001:db8::/32", or a plain address."""
        head, slash, tail = text.partition("/") if isinstance(text, str) else ("", "", "")
        try:
            _, raw = address("address", head)
        except FilterError:
            raise FilterError(
                f"address: {text!r}; allowed: an IPv4 or IPv6 address or prefix"
            ) from None
        bits = len(raw) * 8
        length = bits
        if slash:
            if not (tail.isascii() and tail.isdigit()):
                tail = "-1"
            try:
                length = number("address", tail, bits)
            except FilterError:
                allowed = f"a prefix length from 0 to {bits}"
                raise FilterError(f"address: {text!r}; allowed: {allowed}") from None
        kept = int.from_bytes(raw, "big") >> (bits - length) << (bits - length)
        return cls(kept.to_bytes(len(raw), "big"), length)

    def __str__(self) -> str:
        """Return the usual notation."""
        family = AF_INET if len(self.network) == 4 else AF_INET6
        return f"{inet_ntop(family, self.network)}/{self.length}"


class Filter(NamedTuple):
    """Selects flows: what is set must all match; an empty filter matches every flow.

    ``prefixes`` match when any of the flow's four addresses lies in any of them. ``min_age`` and
    ``min_idle`` are milliseconds, ``min_rate`` is bytes per second. Build one with parse().
    """

    family: int | None = None
    l4proto: int | None = None
    prefixes: tuple[Prefix, ...] = ()
    port: int | None = None
    ifindex: int | None = None
    mark: int | None = None
    mark_mask: int | None = None
    mac: bytes | None = None
    state: int | None = None
    reason: int | None = None
    min_age: int | None = None
    min_idle: int | None = None
    min_rate: int | None = None

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Filter:
        """Read a filter as people and ubus callers write it.

        Keys: family (ipv4, ipv6), proto (tcp, udp, number), address (one or a list of addresses
        or prefixes), port, device (name) or ifindex, mark (number, or "value/mask"), mark_mask,
        mac, state, reason, min_age, min_idle, min_rate. Raises FilterError.
        """
        fields: dict[str, Any] = {}
        for key, value in table.items():
            reader = _READERS.get(key)
            if reader is None:
                raise FilterError(f"{key!r} is no filter; allowed: {', '.join(_READERS)}")
            fields.update(reader(key, value))
        mark, mask = fields.get("mark"), fields.get("mark_mask")
        if mask is not None and (mark is None or mark & ~mask):
            given = "missing" if mark is None else hex(mark)
            raise FilterError(f"mark: {given}; allowed: a number without bits outside {mask:#x}")
        return cls(**fields)

    def attributes(self) -> list[tuple[str, Any]]:
        """Return the attributes of the set "filter"."""
        attrs: list[tuple[str, Any]] = []
        for prefix in self.prefixes:
            nest = {"attrs": [("addr", prefix.network), ("len", prefix.length)]}
            attrs.append(("prefix", nest))
        for name, value in zip(self._fields, self, strict=True):
            if name != "prefixes" and value is not None:
                attrs.append((name.replace("_", "-"), value))
        return attrs


def _addresses(_key: str, value: object) -> dict[str, Any]:
    items: Iterable[object] = value if isinstance(value, list | tuple) else (value,)
    prefixes = tuple(Prefix.parse(item) for item in items)
    if not 0 < len(prefixes) <= uapi.PREFIXES_MAX:
        allowed = f"1 to {uapi.PREFIXES_MAX} addresses or prefixes"
        raise FilterError(f"address: {len(prefixes)} of them; allowed: {allowed}")
    return {"prefixes": prefixes}


def _device(key: str, value: object) -> dict[str, Any]:
    try:
        return {"ifindex": if_nametoindex(str(value))}
    except (OSError, ValueError):
        raise FilterError(f"{key}: {value!r}; allowed: the name of a device") from None


def _mark(key: str, value: object) -> dict[str, Any]:
    if isinstance(value, str) and "/" in value:
        mark, mask = value.split("/", 1)
        return {"mark": number(key, mark, U32), "mark_mask": number(key, mask, U32)}
    return {"mark": number(key, value, U32)}


def _mac(key: str, value: object) -> dict[str, Any]:
    parts = str(value).replace("-", ":").split(":")
    try:
        if len(parts) == MAC_BYTES and all(len(part) == 2 for part in parts):
            return {"mac": bytes.fromhex("".join(parts))}
    except ValueError:
        pass
    raise FilterError(f"{key}: {value!r}; allowed: a MAC address such as 02:00:00:00:00:01")


_READERS: dict[str, Callable[[str, object], dict[str, Any]]] = {
    "family": lambda key, value: {"family": int(_choice(key, value, FAMILIES))},
    "proto": lambda key, value: {"l4proto": _protocol(key, value)},
    "address": _addresses,
    "port": lambda key, value: {"port": number(key, value, 0xFFFF)},
    "device": _device,
    "ifindex": lambda key, value: {"ifindex": number(key, value, 0x7FFFFFFF, 1)},
    "mark": _mark,
    "mark_mask": lambda key, value: {"mark_mask": number(key, value, U32)},
    "mac": _mac,
    "state": lambda key, value: {"state": _code(key, value, uapi.STATES)},
    "reason": lambda key, value: {"reason": _code(key, value, uapi.REASONS)},
    "min_age": lambda key, value: {"min_age": number(key, value, U32)},
    "min_idle": lambda key, value: {"min_idle": number(key, value, U32)},
    "min_rate": lambda key, value: {"min_rate": number(key, value, U32)},
}


class FlowTuple(NamedTuple):
    """A conntrack tuple of either direction; addresses are bytes in network order."""

    family: int
    l4proto: int
    src: bytes
    dst: bytes
    sport: int
    dport: int

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> FlowTuple:
        """Read {proto, src, dst, sport, dport}; all are needed. Raises FilterError."""
        keys = ("proto", "src", "dst", "sport", "dport")
        unknown = [key for key in table if key not in keys]
        if unknown:
            raise FilterError(f"{unknown[0]!r} is no part of a flow; allowed: {', '.join(keys)}")
        missing = [key for key in keys if key not in table]
        if missing:
            raise FilterError(f"{missing[0]} is missing; needed: {', '.join(keys)}")
        family, src = address("src", table["src"])
        other, dst = address("dst", table["dst"])
        if family != other:
            raise FilterError("src and dst are of different families; allowed: both IPv4 or IPv6")
        return cls(
            family,
            _protocol("proto", table["proto"]),
            src,
            dst,
            number("sport", table["sport"], 0xFFFF),
            number("dport", table["dport"], 0xFFFF),
        )

    def attributes(self) -> list[tuple[str, Any]]:
        """Return the attributes of the set "tuple"."""
        return list(zip(self._fields, self, strict=True))


def settings_attributes(settings: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the attributes of the set "config"; raise FilterError for a name or value not allowed.

    Keys are those of uapi.SETTINGS; a bool counts as 0 or 1.
    """
    attrs = []
    for name, value in settings.items():
        if name not in uapi.SETTINGS:
            raise FilterError(f"{name!r} is no setting; allowed: {', '.join(uapi.SETTINGS)}")
        least, most = uapi.SETTINGS[name]
        plain = int(value) if isinstance(value, bool) else value
        attrs.append((name.replace("_", "-"), number(name, plain, most, least)))
    return attrs
