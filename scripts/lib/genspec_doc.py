# SPDX-License-Identifier: GPL-2.0-only
"""Writes the manual pages of the netlink interface and of the reason codes (Markdown)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from genspec_model import Attr, AttrSet, Enum, Op, Spec, Struct

ERRORS = (
    ("EPERM", "The sender has no CAP_NET_ADMIN in the user namespace of its network namespace."),
    ("EOPNOTSUPP", "The command does not exist, or is a dump and was sent without NLM_F_DUMP."),
    ("EINVAL", "An attribute is unknown, malformed, missing, or contradicts another."),
    ("ERANGE", "A number is outside the values given below."),
    ("E2BIG", "A filter has too many prefixes."),
    ("EAFNOSUPPORT", "An address family is neither 2 nor 10."),
    ("EBUSY", "A dump was asked for on a socket while another one runs on it."),
    ("ENOENT", "There is no family of that number: the module is not loaded, or was loaded anew."),
    ("ENOMEM", "The kernel has no memory for the answer."),
    ("EMSGSIZE", "The answer does not fit; read with a buffer of 32 KiB."),
)


def notice(source: str) -> list[str]:
    """Return the first lines of a written page."""
    return [
        "<!-- SPDX-License-Identifier: GPL-2.0-only -->",
        f"<!-- Written by scripts/genspec from {source}: do not edit. -->",
        "",
    ]


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table; a bar in a cell is escaped."""
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return [*out, ""]


def reasons(spec: Spec, source: str) -> str:
    """Return the text of docs/reasons.md."""
    rows = [
        (str(entry.value), f"`{entry.name}`", entry.doc, entry.hint)
        for entry in spec.enum("reason").entries
    ]
    return "\n".join(
        [
            *notice(source),
            "# Why a flow is not accelerated",
            "",
            "Every packet and every flow that does not take the fast path has one of these",
            "reasons. `natflow explain` shows it with its sentence and its hint; `natflow status`",
            "counts them. The numbers never change their meaning; new ones are added at the end.",
            "",
            *table(("Code", "Name", "What it says", "What to do"), rows),
        ]
    )


def netlink(spec: Spec, source: str) -> str:
    """Return the text of docs/netlink.md."""
    out = [
        *notice(source),
        "# The netlink interface of natflow.ko",
        "",
        *textwrap.wrap(spec.doc, 90),
        "",
        f"Generic netlink family `{spec.name}`, version {spec.version}; multicast groups "
        + " and ".join(f"`{group}`" for group in spec.groups)
        + ". The names below follow",
        f"[`{source}`](../{source}); in C they are `{spec.name.upper()}_CMD_*`, "
        f"`{spec.name.upper()}_A_<SET>_*` and",
        f"`{spec.name.upper()}_<ENUM>_*` of [`src/kmod/uapi.h`](../src/kmod/uapi.h).",
        "",
        "## Errors",
        "",
        "The kernel answers a request that is wrong with `NLMSG_ERROR`; with NETLINK_EXT_ACK set",
        "it adds a text and the offset of the attribute at fault. Nothing is changed by a request",
        "that fails.",
        "",
        *table(("errno", "When"), ERRORS),
        "## Commands",
        "",
    ]
    for op in spec.ops:
        out += _op(op)
    out += ["## Attributes", ""]
    for attr_set in spec.sets:
        out += _set(attr_set)
    out += ["## Records", ""]
    out += [
        "Dumps carry records: structures of fixed size, one behind the other in one attribute.",
        "`record-size` of the same message tells the distance from one record to the next; a later",
        "version may append members, and a reader takes those it knows.",
        "",
    ]
    for struct in spec.structs:
        out += _struct(struct)
    out += ["## Numbers", ""]
    out += table(
        ("Constant", "Value", "Meaning"),
        [(f"`{const.name}`", str(const.value), const.doc) for const in spec.consts],
    )
    for enum in spec.enums:
        out += _enum(enum)
    return "\n".join(out).rstrip("\n") + "\n"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _op(op: Op) -> list[str]:
    how = {
        "do": "Request with an answer (do).",
        "dump": "Dump: send with NLM_F_DUMP; the answer is many messages, ended by NLMSG_DONE.",
        "event": "Sent by the kernel to the multicast groups.",
    }[op.kind]
    out = [f"### {op.name} ({op.value})", "", op.doc, "", f"- {how}"]
    if op.kind == "event":
        out.append(f"- Attributes: {_list(op.reply)}")
    else:
        out += [f"- Request: {_list(op.request)}", f"- Answer: {_list(op.reply)}"]
        if op.admin:
            out.append("- Needs CAP_NET_ADMIN")
    return [*out, ""]


def _allowed(attr: Attr) -> str:
    checks = attr.checks
    words = []
    if "min" in checks or "max" in checks:
        words.append(f"{checks.get('min', 0)} to {checks.get('max', 'all of the type')}")
    if "exact-len" in checks:
        words.append(f"exactly {checks['exact-len']} bytes")
    if "min-len" in checks:
        words.append(f"at least {checks['min-len']} bytes")
    if "max-len" in checks:
        words.append(f"at most {checks['max-len']} bytes")
    return ", ".join(words)


def _type(attr: Attr) -> str:
    text = attr.type + (", big-endian" if attr.big_endian else "")
    if attr.nested:
        text = f"nest of [{attr.nested}](#attributes-{attr.nested})"
    if attr.multi:
        text += ", may repeat"
    if attr.enum:
        text += f", [{attr.enum}](#{attr.enum})"
    return text


def _set(attr_set: AttrSet) -> list[str]:
    rows = [
        (
            str(attr.value),
            f"`{attr.name}`",
            _type(attr),
            _allowed(attr),
            attr.doc or "Aligns 64 bit attributes.",
        )
        for attr in attr_set.attrs
    ]
    head = ("Number", "Name", "Type", "Allowed", "Meaning")
    return [f"### Attributes {attr_set.name}", "", attr_set.doc, "", *table(head, rows)]


def _struct(struct: Struct) -> list[str]:
    rows = []
    for member in struct.members:
        kind = f"be{member.type[1:]}" if member.big_endian else member.type
        text = f"{kind}[{member.count}]" if member.count > 1 else kind
        if member.enum:
            text += f", [{member.enum}](#{member.enum})"
        rows.append((str(member.offset), str(member.size), f"`{member.name}`", text, member.doc))
    head = ("Offset", "Bytes", "Name", "Type", "Meaning")
    return [f"### {struct.name} ({struct.size} bytes)", "", struct.doc, "", *table(head, rows)]


def _enum(enum: Enum) -> list[str]:
    if enum.name == "reason":
        return ["### reason", "", "See [reasons.md](reasons.md).", ""]
    rows = [
        (f"0x{entry.value:x}" if enum.flags else str(entry.value), f"`{entry.name}`", entry.doc)
        for entry in enum.entries
    ]
    return [f"### {enum.name}", "", enum.doc, "", *table(("Value", "Name", "Meaning"), rows)]
