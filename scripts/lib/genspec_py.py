# SPDX-License-Identifier: GPL-2.0-only
"""Writes the Python side of the netlink interface: numbers, names, formats, sentences."""

from __future__ import annotations

from genspec_model import SCALARS, Attr, Spec, Struct

CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


def quote(text: str) -> str:
    """Return a string literal as the formatter likes it."""
    if '"' in text and "'" not in text:
        return "'" + text.replace("\\", "\\\\") + "'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def constant(*words: str) -> str:
    """Join words to one constant's name."""
    return "_".join(words).upper().replace("-", "_")


def word(name: str) -> str:
    """Return the Python spelling of a name."""
    return name.replace("-", "_")


def constants(spec: Spec, source: str) -> str:
    """Return the text of natflow/kernel/uapi.py."""
    out = [
        "# SPDX-License-Identifier: GPL-2.0-only",
        f'"""Numbers and names of the netlink interface; scripts/genspec: from {source}."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import NamedTuple",
        "",
        f"GENL_NAME = {quote(spec.name)}",
        f"GENL_VERSION = {spec.version}",
        f"GROUPS = {_row(spec.groups)}",
        "",
    ]
    for const in spec.consts:
        out += [f"# {const.doc}", f"{constant(const.name)} = {const.value}"]
    out.append("")
    for op in spec.ops:
        out.append(f"{constant('cmd', op.name)} = {op.value}")
    for enum in spec.enums:
        what = "names by bit" if enum.flags else "names by number"
        out += ["", f"# {enum.doc} ({what})"]
        out += [
            f"{constant(enum.name)}S = (",
            *(f"    {quote(e.name)}," for e in enum.entries),
            ")",
        ]
    out += [
        "",
        "# Settings: name, least value, greatest value; the order is that of the attributes.",
    ]
    out.append("SETTINGS = {")
    for attr in spec.attr_set("config").attrs:
        least, most = limits(attr)
        out.append(f"    {quote(word(attr.name))}: ({least}, {most}),")
    out += [
        "}",
        "",
        "# Attribute sets: (name, type, set nested in it) of the attributes from number 1.",
    ]
    out.append("ATTRS: dict[str, tuple[tuple[str, str, str], ...]] = {")
    for attr_set in spec.sets:
        rows = []
        for attr in attr_set.attrs:
            kind = f"be{attr.type[1:]}" if attr.big_endian else attr.type
            rows.append(f"({quote(attr.name)}, {quote(kind)}, {quote(attr.nested or '')}),")
        if len(rows) == 1:
            out.append(f"    {quote(attr_set.name)}: ({rows[0]}),")
        else:
            rows = [f"        {row}" for row in rows]
            out += [f"    {quote(attr_set.name)}: (", *rows, "    ),"]
    out.append("}")
    for number, struct in enumerate(spec.structs):
        out += ["", *_struct(struct)] if number else _struct(struct)
    return "\n".join([*out, ""])


def limits(attr: Attr) -> tuple[int, int]:
    """Return the least and the greatest value a scalar attribute may have."""
    most = (1 << 8 * SCALARS[attr.type]) - 1
    return attr.checks.get("min", 0), attr.checks.get("max", most)


def _row(items: tuple[str, ...]) -> str:
    inner = ", ".join(quote(item) for item in items)
    return f"({inner},)" if len(items) == 1 else f"({inner})"


def _struct(struct: Struct) -> list[str]:
    code = "="
    fields = []
    for member in struct.members:
        name = word(member.name)
        if name == "reserved":
            code += f"{member.size}x"
            continue
        if member.type == "binary":
            code += f"{member.count}s"
            fields.append(f"    {name}: bytes")
            continue
        code += CODES[member.type] * member.count
        if member.count == 1:
            fields.append(f"    {name}: int")
        else:
            fields += [f"    {name}_{index}: int" for index in range(member.count)]
    name = constant(struct.name)
    title = "".join(part.capitalize() for part in struct.name.split("-"))
    return [
        "",
        "# struct format of a record, without alignment; its size in bytes",
        f"{name}_FORMAT = {quote(code)}",
        f"{name}_SIZE = {struct.size}",
        "",
        "",
        f"class {title}(NamedTuple):",
        f'    """The members of a {struct.name} as they stand in the message."""',
        "",
        *fields,
    ]


def reason_text(spec: Spec, source: str) -> str:
    """Return the text of natflow/kernel/reason_text.py."""
    out = [
        "# SPDX-License-Identifier: GPL-2.0-only",
        "# ruff: noqa: E501",
        f'"""Sentence and hint of each reason code; scripts/genspec: from {source}."""',
        "",
        "from __future__ import annotations",
        "",
        "TEXT: tuple[tuple[str, str], ...] = (",
    ]
    for entry in spec.enum("reason").entries:
        out += ["    (", f"        {quote(entry.doc)},", f"        {quote(entry.hint)},", "    ),"]
    return "\n".join([*out, ")", ""])
