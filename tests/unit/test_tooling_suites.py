# SPDX-License-Identifier: GPL-2.0-only
"""Counting: scripts/test must not call a broken run a good one."""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import suites
from suites import Counts
from testvm import accel, paths


@pytest.mark.parametrize(
    ("output", "status", "counts"),
    [
        ("...\n==== 12 passed in 10.48s ====\n", 0, Counts(12)),
        ("= 1 failed, 2 passed, 3 skipped in 0.1s =\n", 1, Counts(2, 1, 3)),
        ("= 2 passed, 1 error in 61.20s (0:01:01) =", 1, Counts(2, 1)),
        ("= 1 passed, 2 xfailed, 1 warning in 0.10s =", 0, Counts(3)),
        ("3 passed, 1 deselected in 0.47s\n", 0, Counts(3)),
        # Nothing collected, an internal error, a guest that died or a kernel that complained.
        ("= no tests ran in 0.01s =", 5, Counts(0, 1)),
        ("INTERNALERROR> x", 3, Counts(0, 1)),
        ("", 126, Counts(0, 1)),
        ("= 12 passed in 10.48s =\nvm: the guest's kernel complained\n", 125, Counts(12, 1)),
    ],
)
def test_pytest_summary(output: str, status: int, counts: Counts) -> None:
    assert suites.pytest_counts(output, status) == counts


def test_lint_summary() -> None:
    assert suites.check_counts("lint: ruff ok\nlint: 7 passed, 1 failed\n", 1) == Counts(7, 1)
    assert suites.check_counts("cannot start", 2) == Counts(0, 1)


def test_last_line() -> None:
    assert str(Counts(3, 0)) == "3 passed, 0 failed"
    assert str(Counts(3, 1) + Counts(1, 0, 2)) == "4 passed, 1 failed, 2 skipped"


def test_named_tests_replace_the_folder() -> None:
    run = suites.Run("6.1", ["-k", "uci"], explicit=True)
    assert run.suite("unit") == ["tests/unit", "tests/fuzz", "-k", "uci"]
    assert run.suite("vm") == ["tests/vm", "-k", "uci"]
    run = suites.Run("6.1", ["tests/unit/test_tooling_suites.py::test_last_line"], explicit=True)
    assert run.suite("unit") == ["tests/unit/test_tooling_suites.py::test_last_line"]


def test_missing_folder_fails_only_who_asks_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(suites.SUITES, "nonsense", ["tests/nonsense"])
    for explicit, failed in ((True, 1), (False, 0)):
        run = suites.Run("6.1", [], explicit=explicit)
        assert run.suite("nonsense") is None
        assert run.total == Counts(failed=failed)
        assert "there is no tests/nonsense yet" in capsys.readouterr().out


def test_failing_command_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    run = suites.Run("6.1", [], explicit=True)
    assert not run.step("x", ["sh", "-c", "echo said; exit 3"], suites.one_count)
    assert run.step("y", ["true"], suites.one_count)
    assert run.total == Counts(1, 1)
    assert "said" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "guests"),
    [
        ("tests/vm/test_shaping.py", ["vm on 6.1, icount"]),
        ("tests/vm/test_hwnat_hours.py", ["vm on 6.1, leap"]),
        ("tests/vm/traffic.py", ["vm on 6.1"]),
    ],
)
def test_each_clock_has_a_guest_of_its_own(
    monkeypatch: pytest.MonkeyPatch, named: str, guests: list[str]
) -> None:
    """No guest boots for nothing; where there is nothing at all, one of them fails for it."""
    run = suites.Run("6.1", [named], explicit=True)
    booted = []
    monkeypatch.setattr(run, "build", lambda *_: Path("built"))
    monkeypatch.setattr(run, "guest", lambda name, *_: booted.append(name))
    run.vm(*suites.CLOCKS)
    assert booted == guests


def test_clocks_alone_neither_build_nor_boot_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = suites.Run("6.1", ["tests/vm/traffic.py"], explicit=True)
    monkeypatch.setattr(run, "build", lambda *_: pytest.fail("built"))
    monkeypatch.setattr(run, "guest", lambda name, *_: pytest.fail(name))
    run.vm(*suites.MARKERS)
    assert run.total == Counts()


@pytest.mark.parametrize(
    ("says", "status", "counts"),
    [
        ("leap: 2 passed, 1 failed (3 s)\n\n9 passed, 1 failed, 2 skipped\n", 1, Counts(9, 1, 2)),
        ("9 passed, 0 failed\n", 0, Counts(9)),
        ("9 passed, 0 failed\nand then it broke\n", 1, Counts(0, 1)),
        ("9 passed, 0 failed\n", 1, Counts(9, 1)),
    ],
)
def test_what_runs_beside_is_shown_and_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    says: str,
    status: int,
    counts: Counts,
) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import sys; print({says!r}, end=''); sys.exit({status})")
    monkeypatch.setattr(suites, "__file__", str(program))
    run = suites.Run("6.1", [], explicit=False)
    with run.beside("clocks"):
        run.step("x", ["true"], suites.one_count)
    assert run.total == counts + Counts(1)
    assert says in capsys.readouterr().out


def test_what_runs_beside_ends_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, pid = tmp_path / "program.py", tmp_path / "pid"
    program.write_text(
        f"import os, time; open({str(pid)!r}, 'w').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    )
    monkeypatch.setattr(suites, "__file__", str(program))
    with pytest.raises(RuntimeError), suites.Run("6.1", [], explicit=False).beside("clocks"):
        until = time.monotonic() + 30
        while not pid.exists() or not pid.read_text().endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.05)
        raise RuntimeError
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize("failing", [None, *suites.BUILDS])
def test_all_builds_for_other_kernels(
    failing: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is one check, and fails everything when it fails."""
    ran = []

    def stream(command: Sequence[str]) -> tuple[str, int]:
        ran.append(list(command))
        return "", 2 if failing in command else 0

    monkeypatch.setattr(suites, "_stream", stream)
    for suite in ("lint", "on_host", "vm"):
        monkeypatch.setattr(suites.Run, suite, lambda *_: None)
    monkeypatch.setattr(suites.Run, "beside", lambda *_: nullcontext())
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert suites.main(["all"]) == (0 if failing is None else 1)
    builds = [["scripts/kmod", "--kernel", name, "--strict"] for name in ("6.12", "6.1-mipsel")]
    assert ran == builds
    failed = 0 if failing is None else 1
    assert capsys.readouterr().out.endswith(f"{2 - failed} passed, {failed} failed\n")


@pytest.mark.parametrize("name", ["setup", "vm", "kmod", "lint", "test"])
def test_help_of_every_script(name: str) -> None:
    script = paths.REPO / "scripts" / name
    done = subprocess.run(
        [script, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert f"scripts/{name}" in done.stdout


# Not scripts/test: what it does not know is pytest's.
@pytest.mark.parametrize("name", ["setup", "vm", "kmod", "lint"])
def test_unknown_option_is_refused(name: str) -> None:
    done = subprocess.run(
        [paths.REPO / "scripts" / name, "--no-such-option"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no-such-option" in done.stderr


def test_setup_is_quiet_and_quick_when_nothing_is_to_do() -> None:
    script = paths.REPO / "scripts/setup"
    subprocess.run([script], stdin=subprocess.DEVNULL, check=True)
    started = time.monotonic()
    done = subprocess.run([script], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert time.monotonic() - started < 1


def test_requirements_are_exact_and_installed() -> None:
    wanted = [
        line.strip()
        for line in (paths.REPO / "scripts/lib/requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    freeze = [paths.REPO / ".venv/bin/python", "-m", "pip", "freeze", "--all"]
    done = subprocess.run(freeze, capture_output=True, text=True, check=True)
    assert all("==" in line for line in wanted)
    assert sorted(set(wanted) - set(done.stdout.splitlines())) == []


def test_kvm_verdict_lasts_one_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "VERDICT", tmp_path / "vm/kvm.json")
    probes = []

    def probe() -> bool:
        probes.append(1)
        return True

    monkeypatch.setattr(os, "access", lambda *_: True)
    assert accel.choose("tcg", probe) == "tcg"
    assert accel.choose("known", probe) == "tcg"
    assert probes == []
    assert accel.choose("auto", probe) == "kvm"
    assert accel.choose("auto", probe) == "kvm"
    assert accel.choose("known", probe) == "kvm"
    assert probes == [1]
    monkeypatch.setattr(accel, "_boot", lambda: "another boot")
    assert accel.known() is None
    assert accel.choose("auto", lambda: False) == "tcg"
    assert accel.choose("known", probe) == "tcg"
