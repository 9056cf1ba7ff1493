# SPDX-License-Identifier: GPL-2.0-only
"""The netlink specification is sound, and all that is generated from it is fresh."""

from __future__ import annotations

import copy
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from genspec_model import Reader, Spec, SpecError

from natflow.kernel import uapi

ROOT = Path(__file__).resolve().parents[2]
TREE = yaml.safe_load((ROOT / "src" / "natflow.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def spec() -> Spec:
    return Reader(copy.deepcopy(TREE)).read()


def run_genspec(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "scripts" / "genspec"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_generated_files_are_fresh() -> None:
    result = run_genspec(ROOT, "--check")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    names = ("genspec_c.py", "genspec_doc.py", "genspec_files.py", "genspec_model.py")
    (tmp_path / "scripts" / "lib").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    for name in (*names, "genspec_py.py"):
        shutil.copy(ROOT / "scripts" / "lib" / name, tmp_path / "scripts" / "lib")
    shutil.copy(ROOT / "scripts" / "genspec", tmp_path / "scripts")
    shutil.copy(ROOT / "src" / "natflow.yaml", tmp_path / "src")
    return tmp_path


def test_check_notices_each_stale_file(checkout: Path) -> None:
    written = run_genspec(checkout)
    assert written.returncode == 0
    paths = [line.split()[-1] for line in written.stdout.splitlines()]
    assert len(paths) == 5
    assert run_genspec(checkout, "--check").returncode == 0
    for path in paths:
        text = (checkout / path).read_text(encoding="utf-8")
        (checkout / path).write_text(text + "\n", encoding="utf-8")
        stale = run_genspec(checkout, "--check")
        assert stale.returncode == 1
        assert f"{path} is stale" in stale.stderr
        (checkout / path).write_text(text, encoding="utf-8")
    (checkout / paths[0]).unlink()
    assert run_genspec(checkout, "--check").returncode == 1


def test_a_broken_specification_is_named(checkout: Path) -> None:
    source = checkout / "src" / "natflow.yaml"
    source.write_text(source.read_text().replace("type: u64, doc", "type: u63, doc", 1))
    result = run_genspec(checkout)
    assert result.returncode == 1
    assert "u63" in result.stderr
    assert "allowed" in result.stderr
    source.write_text("name: [")
    assert run_genspec(checkout).returncode == 1


def test_every_reason_has_sentence_and_hint() -> None:
    for definition in TREE["definitions"]:
        if definition["name"] != "reason":
            continue
        assert len(definition["entries"]) >= 40
        for entry in definition["entries"]:
            assert entry["doc"].strip().endswith("."), entry["name"]
            assert entry["x-hint"].strip(), entry["name"]
        break
    else:
        pytest.fail("there is no definition named reason")


def test_layouts_agree_with_struct(spec: Spec) -> None:
    """The generated formats put each member where the specification's layout has it."""
    formats = {
        "flow-record": (uapi.FLOW_RECORD_FORMAT, uapi.FLOW_RECORD_SIZE),
        "client-record": (uapi.CLIENT_RECORD_FORMAT, uapi.CLIENT_RECORD_SIZE),
    }
    for record in spec.structs:
        layout, size = formats[record.name]
        # "@" aligns as a C compiler does: the same size means that there is no hidden padding.
        assert struct.calcsize(layout) == struct.calcsize("@" + layout[1:]) == size == record.size
        end = 0
        for member in record.members:
            assert member.offset == end
            end += member.size
        assert end == size


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_compiler_lays_the_records_out_alike(spec: Spec, tmp_path: Path) -> None:
    lines = ["#include <stddef.h>", "#include <stdio.h>", '#include "uapi.h"', "int main(void) {"]
    expected = []
    for record in spec.structs:
        for member in record.members:
            kind = f"struct natflow_{record.name.replace('-', '_')}"
            field = member.name.replace("-", "_")
            lines.append(f'printf("%zu %zu\\n", offsetof({kind}, {field}),')
            lines.append(f"sizeof((({kind} *)0)->{field}));")
            expected.append((member.offset, member.size))
    lines += ["return 0; }", ""]
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines))
    binary = tmp_path / "layout"
    command = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/src/kmod"]
    subprocess.run([*command, "-o", str(binary), str(source)], check=True)
    out = subprocess.run([str(binary)], capture_output=True, text=True, check=True).stdout
    assert [tuple(map(int, line.split())) for line in out.splitlines()] == expected


def item(tree: Any, *path: str | int) -> Any:
    """Walk a tree: a text picks the key, or the list's item of that name."""
    for step in path:
        if isinstance(tree, list) and isinstance(step, str):
            tree = next(entry for entry in tree if entry["name"] == step)
        else:
            tree = tree[step]
    return tree


CONFIG = ("attribute-sets", "config", "attributes")
RECORD = ("definitions", "flow-record", "members")
BROKEN: list[tuple[str, tuple[str | int, ...], str, Any]] = [
    ("unknown type", (*CONFIG, "enabled"), "type", "u7"),
    ("unknown key", (*CONFIG, "enabled"), "default", 1),
    ("name is used twice", (*CONFIG, "delay-pkts"), "name", "enabled"),
    ("name with capitals", (*CONFIG, "delay-pkts"), "name", "Delay"),
    ("no doc", (*CONFIG, "enabled"), "doc", ""),
    ("too large a limit", (*CONFIG, "enabled"), "checks", {"max": 256}),
    ("min above max", (*CONFIG, "max-flows"), "checks", {"min": 5, "max": 4}),
    ("length check of a number", (*CONFIG, "enabled"), "checks", {"exact-len": 1}),
    ("unknown check", (*CONFIG, "enabled"), "checks", {"odd": 1}),
    ("enum that is not there", (*CONFIG, "enabled"), "enum", "colour"),
    ("nest of a number", (*CONFIG, "enabled"), "nested-attributes", "filter"),
    (
        "nest of nothing",
        ("attribute-sets", "main", "attributes", "filter"),
        "nested-attributes",
        "sieve",
    ),
    ("little endian", ("attribute-sets", "tuple", "attributes", "sport"), "byte-order", "little"),
    ("hidden padding", (*RECORD, "reason"), "type", "u8"),
    ("binary without length", (*RECORD, "mac"), "len", None),
    ("reason without hint", ("definitions", "reason", "entries", "helper"), "x-hint", ""),
    ("operation without attributes", ("operations", "list", "stats-get"), "attribute-set", "x"),
    ("unknown attribute", ("operations", "list", "stats-get", "do", "reply"), "attributes", ["x"]),
    ("unknown flag", ("operations", "list", "stats-get"), "flags", ["root"]),
    ("two kinds", ("operations", "list", "stats-get"), "dump", {}),
    ("unknown definition", ("definitions", "state"), "type", "list"),
    ("no number", ("definitions", "vlan-none"), "value", "many"),
]


@pytest.mark.parametrize(("what", "path", "key", "value"), BROKEN, ids=[row[0] for row in BROKEN])
def test_mistakes_are_refused(what: str, path: tuple[str | int, ...], key: str, value: Any) -> None:
    tree = copy.deepcopy(TREE)
    item(tree, *path)[key] = value
    with pytest.raises(SpecError) as error:
        Reader(tree).read()
    place = str(error.value)
    assert any(str(step) in place for step in path[1:]), f"{what}: {place} names no place"


def test_numbers_follow_the_order(spec: Spec) -> None:
    """Commands and attributes count from 1, enums from 0, flags by bits: as ynl does."""
    assert [op.value for op in spec.ops] == list(range(1, len(spec.ops) + 1))
    assert uapi.CMD_CONFIG_GET == 1
    assert [entry.value for entry in spec.enum("flow-flag").entries] == [1, 2, 4, 8, 16, 32]
    assert tuple(entry.name for entry in spec.enum("reason").entries) == uapi.REASONS
    for attr_set in spec.sets:
        assert tuple(attr.name for attr in attr_set.attrs) == tuple(
            name for name, _, _ in uapi.ATTRS[attr_set.name]
        )
