# SPDX-License-Identifier: GPL-2.0-only
"""The netlink specification as typed objects: read, checked, numbered and laid out.

The input has the form of the kernel's own netlink specifications
(Documentation/userspace-api/netlink/specs.rst); what is checked here is what the writers rely on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

SCALARS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
ATTR_TYPES = frozenset({*SCALARS, "binary", "string", "nest", "pad"})
CHECKS = {"min", "max", "min-len", "max-len", "exact-len"}
ATTR_KEYS = {
    *("name", "type", "doc", "byte-order", "nested-attributes", "multi-attr", "enum", "checks"),
}
OP_KEYS = {"name", "doc", "attribute-set", "flags", "do", "dump", "event"}
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


class SpecError(ValueError):
    """The specification is wrong; the text says where, what, and what is allowed."""


@dataclass(frozen=True)
class Const:
    """A number both sides must agree on."""

    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Entry:
    """One value of an enum (its number) or of a set of flags (its bit, as a number)."""

    name: str
    value: int
    doc: str
    hint: str


@dataclass(frozen=True)
class Enum:
    """An enumeration, or a set of flags where ``flags`` is true."""

    name: str
    flags: bool
    doc: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Member:
    """One member of a record; ``offset`` and ``size`` are in bytes."""

    name: str
    type: str
    count: int
    big_endian: bool
    enum: str | None
    doc: str
    offset: int
    size: int


@dataclass(frozen=True)
class Struct:
    """A record; ``size`` is in bytes and holds no hidden padding."""

    name: str
    doc: str
    members: tuple[Member, ...]
    size: int


@dataclass(frozen=True)
class Attr:
    """One netlink attribute."""

    name: str
    value: int
    type: str
    doc: str
    big_endian: bool
    nested: str | None
    multi: bool
    enum: str | None
    checks: dict[str, int]


@dataclass(frozen=True)
class AttrSet:
    """A space of attribute numbers, counted from 1."""

    name: str
    doc: str
    attrs: tuple[Attr, ...]


@dataclass(frozen=True)
class Op:
    """One command; ``kind`` is "do", "dump" or "event"."""

    name: str
    value: int
    doc: str
    attr_set: str
    admin: bool
    kind: str
    request: tuple[str, ...]
    reply: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """The whole interface."""

    name: str
    version: int
    doc: str
    consts: tuple[Const, ...]
    enums: tuple[Enum, ...]
    structs: tuple[Struct, ...]
    sets: tuple[AttrSet, ...]
    ops: tuple[Op, ...]
    groups: tuple[str, ...] = field(default=())

    def enum(self, name: str) -> Enum:
        """Return the enum of that name; KeyError when there is none."""
        return {item.name: item for item in self.enums}[name]

    def attr_set(self, name: str) -> AttrSet:
        """Return the attribute set of that name; KeyError when there is none."""
        return {item.name: item for item in self.sets}[name]


class Reader:
    """Turns the parsed YAML into a Spec; every complaint names its place."""

    def __init__(self, tree: Any) -> None:
        self.tree = self._map("specification", tree)
        self.enums: list[Enum] = []

    def read(self) -> Spec:
        """Return the checked specification; raise SpecError where it is wrong."""
        tree = self.tree
        consts: list[Const] = []
        structs: list[Struct] = []
        definitions = self._named("definitions", tree.get("definitions"))
        for item in definitions:
            where = f"definitions/{item['name']}"
            kind = item.get("type")
            if kind == "const":
                value = self._int(where, item.get("value"))
                consts.append(Const(item["name"], value, self._doc(where, item)))
            elif kind in ("enum", "flags"):
                self.enums.append(self._enum(where, item, kind == "flags"))
            elif kind != "struct":
                raise SpecError(f"{where}: type {kind!r}; allowed: const, enum, flags, struct")
        for item in definitions:
            if item["type"] == "struct":
                structs.append(self._struct(f"definitions/{item['name']}", item))
        sets = tuple(
            self._set(f"attribute-sets/{item['name']}", item)
            for item in self._named("attribute-sets", tree.get("attribute-sets"))
        )
        names = {item.name for item in sets}
        for attr_set in sets:
            for attr in attr_set.attrs:
                if attr.nested is not None and attr.nested not in names:
                    place = f"attribute-sets/{attr_set.name}/{attr.name}"
                    raise SpecError(f"{place}: nests {attr.nested!r}, which is no attribute set")
        groups = self._map("mcast-groups", tree.get("mcast-groups", {"list": []}))
        return Spec(
            name=self._name("name", tree.get("name")),
            version=self._int("version", tree.get("version")),
            doc=self._doc("specification", tree),
            consts=tuple(consts),
            enums=tuple(self.enums),
            structs=tuple(structs),
            sets=sets,
            ops=self._ops(sets),
            groups=tuple(g["name"] for g in self._named("mcast-groups", groups.get("list"))),
        )

    def _enum(self, where: str, item: dict[str, Any], flags: bool) -> Enum:
        entries = []
        for number, entry in enumerate(self._named(where, item.get("entries"))):
            place = f"{where}/{entry['name']}"
            self._keys(place, entry, {"name", "doc", "x-hint"})
            hint = entry.get("x-hint", "")
            if not isinstance(hint, str) or (item["name"] == "reason" and not hint):
                raise SpecError(f"{place}: needs a text as x-hint")
            value = 1 << number if flags else number
            entries.append(Entry(entry["name"], value, self._doc(place, entry), hint.strip()))
        return Enum(item["name"], flags, self._doc(where, item), tuple(entries))

    def _struct(self, where: str, item: dict[str, Any]) -> Struct:
        members: list[Member] = []
        offset = 0
        widest = 1
        for member in self._named(where, item.get("members")):
            place = f"{where}/{member['name']}"
            self._keys(place, member, {"name", "type", "len", "byte-order", "enum", "doc"})
            kind = member.get("type")
            count = self._int(place, member.get("len", 1))
            if kind != "binary" and kind not in SCALARS:
                raise SpecError(f"{place}: type {kind!r}; allowed: binary, {', '.join(SCALARS)}")
            if kind == "binary" and "len" not in member:
                raise SpecError(f"{place}: binary needs a len")
            unit = SCALARS.get(kind, 1)
            if offset % unit:
                raise SpecError(f"{place}: hidden padding at offset {offset}: needs {unit}")
            members.append(
                Member(
                    member["name"],
                    kind,
                    count,
                    self._big_endian(place, member),
                    self._enum_ref(place, member),
                    self._doc(place, member),
                    offset,
                    unit * count,
                )
            )
            offset += unit * count
            widest = max(widest, unit)
        if offset % widest:
            raise SpecError(f"{where}: size {offset} is no multiple of {widest}: hidden padding")
        return Struct(item["name"], self._doc(where, item), tuple(members), offset)

    def _set(self, where: str, item: dict[str, Any]) -> AttrSet:
        attrs = []
        for number, attr in enumerate(self._named(where, item.get("attributes")), 1):
            place = f"{where}/{attr['name']}"
            self._keys(place, attr, ATTR_KEYS)
            kind = attr.get("type")
            if kind not in ATTR_TYPES:
                raise SpecError(f"{place}: type {kind!r}; allowed: {', '.join(sorted(ATTR_TYPES))}")
            nested = attr.get("nested-attributes")
            if (kind == "nest") != (nested is not None):
                raise SpecError(f"{place}: nested-attributes belongs to type nest, and only there")
            checks = self._map(place, attr.get("checks", {}))
            self._keys(f"{place}/checks", checks, CHECKS)
            lengths = {"min-len", "max-len", "exact-len"}
            wrong = set(checks) & (lengths if kind in SCALARS else {"min", "max"})
            if wrong:
                raise SpecError(f"{place}/checks: {', '.join(sorted(wrong))} does not fit {kind}")
            limit = (1 << 8 * SCALARS[kind]) - 1 if kind in SCALARS else 0xFFFF
            for key, value in checks.items():
                if self._int(f"{place}/checks/{key}", value) > limit:
                    raise SpecError(f"{place}/checks/{key}: {value} is more than a {kind} holds")
            if checks.get("min", 0) > checks.get("max", limit):
                raise SpecError(f"{place}/checks: min is greater than max")
            attrs.append(
                Attr(
                    attr["name"],
                    number,
                    kind,
                    "" if kind == "pad" else self._doc(place, attr),
                    self._big_endian(place, attr),
                    nested,
                    bool(attr.get("multi-attr", False)),
                    self._enum_ref(place, attr),
                    checks,
                )
            )
        return AttrSet(item["name"], self._doc(where, item), tuple(attrs))

    def _ops(self, sets: tuple[AttrSet, ...]) -> tuple[Op, ...]:
        tree = self._map("operations", self.tree.get("operations"))
        ops = []
        by_name = {item.name: item for item in sets}
        for number, item in enumerate(self._named("operations", tree.get("list")), 1):
            where = f"operations/{item['name']}"
            self._keys(where, item, OP_KEYS)
            kinds = [kind for kind in ("do", "dump", "event") if kind in item]
            if len(kinds) != 1:
                raise SpecError(f"{where}: needs exactly one of do, dump and event")
            kind = kinds[0]
            body = self._map(where, item[kind])
            reply = body if kind == "event" else body.get("reply", {})
            used = (
                tuple(body.get("request", {}).get("attributes", ())),
                tuple(reply.get("attributes", ())),
            )
            attr_set = by_name.get(item.get("attribute-set", ""))
            if attr_set is None:
                raise SpecError(f"{where}: attribute-set is missing or unknown")
            names = {attr.name for attr in attr_set.attrs}
            for name in (*used[0], *used[1]):
                if name not in names:
                    raise SpecError(f"{where}: {name!r} is not in the set {attr_set.name}")
            flags = item.get("flags", [])
            if not set(flags) <= {"admin-perm", "uns-admin-perm"}:
                raise SpecError(f"{where}: flags; allowed: admin-perm, uns-admin-perm")
            doc = self._doc(where, item)
            ops.append(Op(item["name"], number, doc, attr_set.name, bool(flags), kind, *used))
        return tuple(ops)

    def _big_endian(self, where: str, item: dict[str, Any]) -> bool:
        order = item.get("byte-order")
        if order not in (None, "big-endian"):
            raise SpecError(f"{where}: byte-order {order!r}; allowed: big-endian")
        if order and item.get("type") not in ("u16", "u32", "u64"):
            raise SpecError(f"{where}: a {item.get('type')} has no byte-order")
        return order is not None

    def _enum_ref(self, where: str, item: dict[str, Any]) -> str | None:
        name = item.get("enum")
        if name is None:
            return None
        if name not in {enum.name for enum in self.enums}:
            raise SpecError(f"{where}: enum {name!r} is not defined")
        return str(name)

    def _named(self, where: str, items: Any) -> list[dict[str, Any]]:
        if not isinstance(items, list) or not items:
            raise SpecError(f"{where}: must be a list with at least one item")
        seen: set[str] = set()
        for item in items:
            name = self._name(where, self._map(where, item).get("name"))
            if name in seen:
                raise SpecError(f"{where}/{name}: the name is used twice")
            seen.add(name)
        return items

    @staticmethod
    def _map(where: str, item: Any) -> dict[str, Any]:
        if not isinstance(item, dict):
            raise SpecError(f"{where}: must be a mapping, is {item!r}")
        return item

    @staticmethod
    def _keys(where: str, item: dict[str, Any], known: set[str]) -> None:
        unknown = set(item) - known
        if unknown:
            allowed = ", ".join(sorted(known))
            raise SpecError(f"{where}: unknown {', '.join(sorted(unknown))}; allowed: {allowed}")

    @staticmethod
    def _name(where: str, name: Any) -> str:
        if not isinstance(name, str) or not NAME.match(name):
            raise SpecError(f"{where}: name {name!r}; allowed: lower case words joined by '-'")
        return name

    @staticmethod
    def _doc(where: str, item: dict[str, Any]) -> str:
        doc = item.get("doc")
        if not isinstance(doc, str) or not doc.strip():
            raise SpecError(f"{where}: needs a text as doc")
        return " ".join(doc.split())

    @staticmethod
    def _int(where: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise SpecError(f"{where}: {value!r}; allowed: a number from 0")
        return value
