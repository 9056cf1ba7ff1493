# SPDX-License-Identifier: GPL-2.0-only
"""scripts/vm keeps its promises: each test boots the virtual router once, as a person would."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from testvm import paths

pytestmark = pytest.mark.slow

VM = str(paths.REPO / "scripts/vm")


def vm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/vm to its end."""
    return subprocess.run(
        [VM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def children_of(pid: int) -> list[int]:
    """Processes below `pid`, their children included."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, thread.read_text().split()):
            found += [child, *children_of(child)]
    return found


def test_runs_a_command_as_if_it_were_here(tmp_path: Path) -> None:
    script = (
        'id -u; pwd; printf "%s\\n" "$1" "$NATFLOW_VM" "$GIVEN"; uname -r; echo aside >&2; '
        'echo changed >"$2"; cat "$2"; touch /etc/natflow-was-here; exit 7'
    )
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    done = vm("--env", "GIVEN=a b", "--", "sh", "-c", script, "-", "it's $HOME", str(victim))
    lines = done.stdout.splitlines()
    assert lines[:5] == ["0", str(paths.REPO), "it's $HOME", "6.1", "a b"], done.stderr
    assert lines[5].startswith("6.1.")
    assert lines[6:] == ["changed"]
    assert done.stderr == "aside\n"
    assert done.returncode == 7
    # The guest's writes stayed in the guest.
    assert victim.read_text() == "untouched"
    assert not Path("/etc/natflow-was-here").exists()


def test_output_streams_and_a_timeout_kills() -> None:
    started = time.monotonic()
    with subprocess.Popen(
        [VM, "--timeout", "40", "--", "sh", "-c", "echo early; exec sleep 1000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "early\n"
        assert process.poll() is None
        qemu = children_of(process.pid)
        assert qemu
        assert process.wait(80) == 124
        assert "killed after 40 s" in process.stderr.read()
    assert time.monotonic() - started < 70
    assert not any(Path(f"/proc/{pid}").exists() for pid in qemu)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_qemu_outlives_us(number: signal.Signals) -> None:
    process = subprocess.Popen(
        # pytest itself may have been started with SIGINT ignored.
        ["env", "--default-signal=INT", VM, "--", "sleep", "1000"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (qemu := [pid for pid in children_of(process.pid) if "qemu" in _name(pid)]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(process.pid, number)
    assert process.wait(20) != 0
    while any(Path(f"/proc/{pid}").exists() and _state(pid) != "Z" for pid in qemu):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_kernel_that_complains_fails_a_command_that_succeeds() -> None:
    # A process may write to the kernel's log: the same way out as a warning's.
    line = "WARNING: CPU: 0 PID: 1 at net/core/example.c:1 example+0x1/0x2"
    done = vm("--", "sh", "-c", f"echo '{line}' >/dev/kmsg; echo fine")
    assert done.stdout == "fine\n"
    assert done.returncode == 125
    assert line in done.stderr
    assert "the command exited with 0" in done.stderr
    assert line in (paths.CACHE / "vm/last-console.log").read_text()


def test_panic_ends_the_run_at_once() -> None:
    started = time.monotonic()
    done = vm("--", "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000")
    assert done.returncode == 125
    assert "Kernel panic" in done.stderr
    assert time.monotonic() - started < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND is missing"),
        (["--kernel", "2.4", "--", "true"], "no kernel '2.4': known are 6.1, 6.12, sid"),
        (["--timeout", "soon", "--", "true"], "want a whole number above 0, not 'soon'"),
        (["--memory", "0", "--", "true"], "want a whole number above 0, not '0'"),
        (["--env", "1=2", "--", "true"], "--env 1=2: want NAME=VALUE"),
    ],
)
def test_bad_arguments_are_named(arguments: list[str], message: str) -> None:
    done = vm(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
