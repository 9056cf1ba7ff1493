# SPDX-License-Identifier: GPL-2.0-only
"""What the writer writes, both readers read back; a failed write leaves the old file."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natflow.uci import Section, UciError, open_uci
from natflow.uci.embedded import Embedded
from natflow.uci.parse import parse
from natflow.uci.write import render, store

try:
    import uci as libuci
except ImportError:
    libuci = None

names = st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True)
types = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
values = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)
options = st.dictionaries(names, values | st.lists(text, min_size=1, max_size=4), max_size=5)


@st.composite
def packages(draw: st.DrawFn) -> list[Section]:
    sections: list[Section] = []
    named: set[str] = set()
    count: dict[str, int] = {}
    for type_, name, content in draw(
        st.lists(st.tuples(types, st.none() | names, options), max_size=5)
    ):
        if name in named or (
            name and name.startswith("cfg")
        ):  # libuci's own names for anonymous sections
            name = None
        index = count[type_] = count.get(type_, -1) + 1
        section = Section(type_, name or f"@{type_}[{index}]", not name)
        section.options = content
        sections.append(section)
        named.add(section.name)
    return sections


@given(packages())
def test_round_trip(package: list[Section]) -> None:
    assert parse(render(package, "p").encode(), "p") == package


@pytest.mark.skipif(
    libuci is None, reason="pyuci (libuci) is not installed: only the embedded reader is tested"
)
@given(packages())
def test_libuci_reads_what_we_write(package: list[Section]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Embedded(directory).store("p", package)
        assert open_uci("pyuci", directory).load("p") == package


@given(st.binary(max_size=60) | st.text(" \t\n'\"\\#;abconfigl", max_size=60).map(str.encode))
def test_any_bytes_give_sections_or_an_error_with_a_line(data: bytes) -> None:
    try:
        sections = parse(data, "p")
    except UciError as error:
        assert 1 <= error.line <= data.count(b"\n") + 1
        assert error.reason.isprintable()
    else:
        assert all(section.line >= 1 for section in sections)


@given(packages().filter(bool), st.data())
def test_a_file_cut_inside_a_value_is_an_error(package: list[Section], data: st.DataObject) -> None:
    """A value that lost its end must not come into force as a shorter one."""
    package[-1].options = {"x": data.draw(values.filter(lambda value: "'" not in value))}
    whole = render(package, "p")
    inside = data.draw(st.integers(1, len(package[-1].options["x"])))
    with pytest.raises(UciError, match="has no end; the file may be truncated"):
        parse(whole[: -1 - inside].encode(), "p")


def one(value: str | list[str], name: str = "x", section: str = "b") -> list[Section]:
    made = Section("a", section)
    made.options[name] = value
    return [made]


@pytest.mark.parametrize(
    ("package", "says"),
    [
        (one("a\0b"), "option x holds a NUL byte"),
        (one(["a", "\0"]), "option x holds a NUL byte"),
        (one(""), "option x is empty"),
        (one([]), "option x is empty"),
        (one("1", "x-y"), "'x-y' is no option name"),
        (one("1", "x\n"), "is no option name"),
        (one("1", section="b c"), "this is no section name"),
        ([Section("a b", "c")], "'a b' is no section type"),
    ],
)
def test_what_uci_cannot_hold_is_refused(package: list[Section], says: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("config old 'one'\n")
    with pytest.raises(UciError, match=says):
        Embedded(str(tmp_path)).store("p", package)
    assert (tmp_path / "p").read_text() == "config old 'one'\n"
    assert os.listdir(tmp_path) == ["p"]


def test_store_keeps_the_mode_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_text("config old 'one'\n")
    path.chmod(0o640)
    Embedded(str(tmp_path)).store("p", one("it's"))
    assert path.read_text() == "\nconfig a 'b'\n\toption x 'it'\\''s'\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["p"]


def test_a_new_file_is_private(tmp_path: Path) -> None:
    Embedded(str(tmp_path)).store("p", one("1"))
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o600


def test_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """A file size limit of the process makes write() fail half way, as a full disk does."""
    path = tmp_path / "p"
    path.write_text("config old 'one'\n")
    program = (
        "import sys\n"
        "from natflow.uci.write import store\n"
        "from natflow.uci import UciError\n"
        "try:\n"
        "    store(sys.argv[1], 'x' * 100000)\n"
        "except UciError as error:\n"
        "    print(error)\n"
        "    sys.exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == f"{path}: cannot be written: File too large\n"
    assert path.read_text() == "config old 'one'\n"
    assert os.listdir(tmp_path) == ["p"]


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(UciError, match="cannot be written: No such file or directory"):
        store(str(tmp_path / "gone" / "p"), "")
