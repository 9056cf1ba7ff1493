# SPDX-License-Identifier: GPL-2.0-only
"""Writes the C header of the netlink interface (kernel style, kernel-doc comments)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from genspec_model import Attr, AttrSet, Enum, Member, Spec, Struct

CHECK_SUFFIX = {
    "min": "MIN",
    "max": "MAX",
    "min-len": "LEN_MIN",
    "max-len": "LEN_MAX",
    "exact-len": "LEN",
}


def upper(*words: str) -> str:
    """Join words to one C constant name."""
    return "_".join(words).upper().replace("-", "_")


def lower(*words: str) -> str:
    """Join words to one C identifier."""
    return "_".join(words).lower().replace("-", "_")


def header(spec: Spec, source: str) -> str:
    """Return the text of the header; ``source`` names the specification's file."""
    family = spec.name
    out = [
        "/* SPDX-License-Identifier: GPL-2.0-only */",
        *_comment(
            f"The netlink interface of {family}. "
            f"Written by scripts/genspec from {source}: do not edit."
        ),
        "",
        f"#ifndef {upper(family)}_UAPI_H",
        f"#define {upper(family)}_UAPI_H",
        "",
        "#include <linux/types.h>",
        "#ifdef __KERNEL__",
        "#include <linux/build_bug.h>",
        "#else",
        "#include <assert.h>",
        "#endif",
        "",
        f'#define {upper(family)}_GENL_NAME "{family}"',
        f"#define {upper(family)}_GENL_VERSION {spec.version}",
    ]
    for name in spec.groups:
        out.append(f'#define {upper(family, "mcgrp", name)} "{name}"')
    for const in spec.consts:
        out += ["", *_comment(const.doc), f"#define {upper(family, const.name)} {const.value}"]
    for enum in spec.enums:
        out += ["", *_enum(family, enum)]
    for struct in spec.structs:
        out += ["", *_struct(family, struct)]
    for attr_set in spec.sets:
        out += ["", *_attrs(family, attr_set)]
    out += ["", *_commands(spec)]
    out += ["", f"#endif /* {upper(family)}_UAPI_H */", ""]
    text = "\n".join(out)
    defined = [line.split()[1] for line in out if line.startswith("#define")]
    if len(set(defined)) != len(defined):
        raise ValueError("two constants of the header have one name")
    return text


def _comment(text: str) -> list[str]:
    one = f"/* {text} */"
    if len(one) <= 80:
        return [one]
    return ["/*", *(f" * {line}" for line in textwrap.wrap(text, 76)), " */"]


def _wrap(lead: str, text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        f"{lead}{text}",
        96,
        initial_indent=" * ",
        subsequent_indent=f" * {indent}",
        break_on_hyphens=False,
    )


def _kernel_doc(title: str, doc: str, items: Iterable[tuple[str, str]]) -> list[str]:
    brief, _, rest = doc.partition(". ")
    out = ["/**", *_wrap(f"{title} - ", brief.rstrip("."), "  ")]
    for name, text in items:
        out += _wrap(f"@{name}: ", text, "  ")
    if rest:
        out += [" *", *_wrap("", rest, "")]
    return [*out, " */"]


def _enum(family: str, enum: Enum) -> list[str]:
    names = [upper(family, enum.name, entry.name) for entry in enum.entries]
    out = _kernel_doc(
        f"enum {lower(family, enum.name)}",
        enum.doc,
        zip(names, (entry.doc for entry in enum.entries), strict=True),
    )
    out.append(f"enum {lower(family, enum.name)} {{")
    if enum.flags:
        for bit, name in enumerate(names):
            out.append(f"\t{name} = 1u << {bit},")
        mask = f"#define {upper(family, enum.name)}_MASK 0x{(1 << len(names)) - 1:x}u"
        return [*out, "};", "", mask]
    out += [f"\t{name}," for name in names]
    return [*out, *_max(upper(family, enum.name)), "};"]


def _max(prefix: str) -> list[str]:
    return [
        "\t/* private: */",
        f"\t__{prefix}_MAX,",
        f"\t{prefix}_MAX = (__{prefix}_MAX - 1)",
    ]


def _member(member: Member) -> str:
    name = lower(member.name)
    if member.type == "binary":
        return f"\t__u8 {name}[{member.count}];"
    kind = f"__be{member.type[1:]}" if member.big_endian else f"__{member.type}"
    return f"\t{kind} {name};" if member.count == 1 else f"\t{kind} {name}[{member.count}];"


def _struct(family: str, struct: Struct) -> list[str]:
    name = lower(family, struct.name)
    items = []
    for member in struct.members:
        where = f" ({_enum_name(family, member.enum)})" if member.enum else ""
        items.append((lower(member.name), f"{member.doc.rstrip('.')}{where}."))
    out = _kernel_doc(f"struct {name}", struct.doc, items)
    out += [f"struct {name} {{", *(_member(member) for member in struct.members), "};", ""]
    size = f"{upper(family, struct.name)}_SIZE"
    out.append(f"#define {size} {struct.size}")
    out.append(f'static_assert(sizeof(struct {name}) == {size}, "has holes");')
    return out


def _enum_name(family: str, name: str) -> str:
    return f"enum {lower(family, name)}"


def _attr_type(family: str, attr: Attr) -> str:
    text = attr.type
    if attr.big_endian:
        text = f"be{attr.type[1:]}"
    if attr.nested:
        text = f"nest of {upper(family, 'a', attr.nested)}_*"
    if attr.multi:
        text += ", may repeat"
    if attr.enum:
        text += f", {_enum_name(family, attr.enum)}"
    return text


def _attrs(family: str, attr_set: AttrSet) -> list[str]:
    prefix = upper(family, "a", attr_set.name)
    items = []
    for attr in attr_set.attrs:
        if attr.type == "pad":
            items.append((upper(prefix, attr.name), "Aligns 64 bit attributes."))
        else:
            text = f"{attr.doc.rstrip('.')} ({_attr_type(family, attr)})."
            items.append((upper(prefix, attr.name), text))
    out = _kernel_doc(f"enum {lower(family, 'a', attr_set.name)}", attr_set.doc, items)
    out.append(f"enum {lower(family, 'a', attr_set.name)} {{")
    for attr in attr_set.attrs:
        first = " = 1" if attr.value == 1 else ""
        out.append(f"\t{upper(prefix, attr.name)}{first},")
    out += [*_max(prefix), "};"]
    limits = [
        f"#define {upper(family, attr_set.name, attr.name, CHECK_SUFFIX[check])} {limit}"
        for attr in attr_set.attrs
        for check, limit in attr.checks.items()
    ]
    return [*out, "", *limits] if limits else out


def _commands(spec: Spec) -> list[str]:
    prefix = upper(spec.name, "cmd")
    items = [(upper(prefix, op.name), f"{op.doc.rstrip('.')} ({op.kind}).") for op in spec.ops]
    out = _kernel_doc(f"enum {lower(prefix)}", f"Commands of the family {spec.name}", items)
    out.append(f"enum {lower(prefix)} {{")
    for op in spec.ops:
        first = " = 1" if op.value == 1 else ""
        out.append(f"\t{upper(prefix, op.name)}{first},")
    return [*out, *_max(prefix), "};"]
