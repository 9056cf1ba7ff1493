# SPDX-License-Identifier: GPL-2.0-only
"""Both backends read every file in cases/: NAME.uci as it lies on disk, NAME.json what it gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from natflow.uci import Section, UciError, open_uci

CASES = sorted((Path(__file__).parent / "cases").glob("*.uci"))


@pytest.fixture(params=["embedded", "pyuci"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "pyuci":
        pytest.importorskip(
            "uci", reason="pyuci (libuci) is not installed: only the embedded backend is tested"
        )
    return str(request.param)


def plain(section: Section) -> dict[str, Any]:
    return {
        "type": section.type,
        "name": section.name,
        "anonymous": section.anonymous,
        "options": section.options,
    }


def test_there_are_cases() -> None:
    assert len(CASES) > 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, backend: str, tmp_path: Path) -> None:
    shutil.copy(case, tmp_path / "package")
    expected = json.loads(case.with_suffix(".json").read_text(encoding="utf-8"))
    uci = open_uci(backend, str(tmp_path))
    if "sections" in expected:
        assert [plain(section) for section in uci.load("package")] == expected["sections"]
        return
    with pytest.raises(UciError) as caught:
        uci.load("package")
    assert caught.value.file == str(tmp_path / "package")
    assert {"line": caught.value.line, "reason": caught.value.reason} == expected["error"]
    assert str(caught.value).startswith(f"{tmp_path}/package:{caught.value.line}: ")


def test_missing_package(backend: str, tmp_path: Path) -> None:
    with pytest.raises(UciError, match="cannot be read: No such file or directory"):
        open_uci(backend, str(tmp_path)).load("nothing")


def test_directory_instead_of_a_package(backend: str, tmp_path: Path) -> None:
    (tmp_path / "natflow").mkdir()
    with pytest.raises(UciError, match=str(tmp_path)):
        open_uci(backend, str(tmp_path)).load("natflow")


@pytest.mark.parametrize("package", ["../passwd", "a/b", "", ".", "natflow\n"])
def test_package_names_stay_in_the_directory(package: str, backend: str, tmp_path: Path) -> None:
    with pytest.raises(UciError, match="is no package name"):
        open_uci(backend, str(tmp_path)).load(package)


def test_a_load_sees_the_file_of_now(backend: str, tmp_path: Path) -> None:
    """libuci caches a package for the life of a context; we must not."""
    uci = open_uci(backend, str(tmp_path))
    for value in ("1", "2"):
        (tmp_path / "p").write_text(f"config a b\n\toption x {value}\n")
        assert uci.load("p")[0].options == {"x": value}


def test_uncommitted_changes_are_not_seen(backend: str, tmp_path: Path) -> None:
    """`uci set` leaves a delta in /tmp/.uci until `uci commit`: we configure what is committed."""
    if backend == "pyuci":
        import uci as libuci

        (tmp_path / "p").write_text("config a b\n\toption x 1\n")
        deltas = Path("/tmp/.uci")
        existed = deltas.exists()
        context = libuci.Uci(confdir=str(tmp_path))
        context.set("p", "b", "x", "2")
        context.save("p")
        try:
            assert libuci.Uci(confdir=str(tmp_path)).get("p", "b", "x") == "2", (
                "no delta was made: nothing is proved"
            )
            assert open_uci(backend, str(tmp_path)).load("p")[0].options == {"x": "1"}
        finally:
            (deltas / "p").unlink()
            if not existed:
                deltas.rmdir()
        return
    (tmp_path / "p").write_text("config a b\n\toption x 1\n")
    assert open_uci(backend, str(tmp_path)).load("p")[0].options == {"x": "1"}


def test_too_large(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(UciError, match="is larger than 1048576 bytes"):
        open_uci("embedded", str(tmp_path)).load("p")


def test_directory_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCI_CONFIG_DIR", str(tmp_path))
    assert open_uci("embedded").config_dir == str(tmp_path)
    assert open_uci("embedded", "/elsewhere").config_dir == "/elsewhere"
    monkeypatch.delenv("UCI_CONFIG_DIR")
    assert open_uci("embedded").config_dir == "/etc/config"


def test_unknown_backend() -> None:
    with pytest.raises(ValueError, match="auto, pyuci, embedded"):
        open_uci("lua")
