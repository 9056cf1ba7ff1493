# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/test runs: the suites, their counts, and the one line that sums them up."""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PYTHON = str(REPO / ".venv/bin/python")
KERNELS = ("6.1", "6.12", "sid")
# What the module is built for besides, without a guest that boots it: the kernel of newer OpenWrt,
# and a 32-bit processor, where not everything links that does on this machine.
BUILDS = ("6.12", "6.1-mipsel")
VM_MEMORY = 1536
# Freed memory is poisoned, and what is written beyond an object is found, where natflow allocates:
# in these caches it costs next to nothing. Caches of their own also show what has leaked.
VM_DEBUG = (
    "slub_debug=FZP,natflow_flow*,nf_conntrack,net_namespace,ip_dst_cache,ip6_dst_cache,"
    "kmalloc-128,kmalloc-192,kmalloc-256"
)

# Guests by their clocks, and the time that each gets. One has the processors' own (under software
# emulation a vCPU runs Python about 20 times slower than its host does); the others are for tests
# with such a marker, and nothing in them depends on what else the host does.
OWN = ""
CLOCKS = {OWN: 3300, "icount": 900, "leap": 900}
MARKERS = [clock for clock in CLOCKS if clock != OWN]
# What natflow_hwnat.ko may be built with; tests/vm/test_hwnat_options.py has that module.
EXTDEV = ("CONFIG_HWNAT_EXTDEV_DISABLED=y", "CONFIG_HWNAT_EXTDEV_USE_VLAN_HASH=y")

# tests/fuzz is part of unit where it needs no kernel; tests/vm calls the rest of it.
SUITES = {name: [f"tests/{name}"] for name in ("unit", "vm", "feed", "luci")}
SUITES["unit"] += ["tests/fuzz"]

HELP = """\
Runs the tests. Without an argument: exactly what CI runs.

  unit   lint, and tests/unit and tests/fuzz on this machine
  vm     the kernel module and everything that needs it, inside the virtual test router: once with
         the processors' own time, and once with each of the clocks that some tests need
  clocks the part of vm that needs such a clock; in all it runs beside lint, unit, feed and luci
  feed   the OpenWrt packages
  luci   the LuCI app
  all    all of these, and the module built for 6.12 and for 32-bit MIPS without a warning

What follows is handed to pytest: scripts/test vm -k vlan, scripts/test unit tests/unit/uci.
The last line is the sum of all suites. Exit code 1 if anything failed.
"""


@dataclass
class Counts:
    """Results of tests; a check that is no pytest test counts as one."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        line = f"{self.passed} passed, {self.failed} failed"
        return f"{line}, {self.skipped} skipped" if self.skipped else line


_PYTEST_WORDS = {
    "passed": "passed",
    "xfailed": "passed",
    "failed": "failed",
    "xpassed": "failed",
    "error": "failed",
    "errors": "failed",
    "skipped": "skipped",
}


def pytest_counts(output: str, status: int) -> Counts:
    """Read pytest's own summary line, the last of `output`.

    `status` is the exit code of whatever ran pytest. A run that fails without a failed test (none
    collected, an internal error, a kernel that complained) counts as one failure.
    """
    counts = Counts()
    for line in reversed(output.splitlines()):
        if re.search(r"\b\d+ \w+.* in [\d.]+s", line):
            for number, word in re.findall(r"(\d+) ([a-z]+)", line):
                if name := _PYTEST_WORDS.get(word):
                    setattr(counts, name, getattr(counts, name) + int(number))
            break
    if status and not counts.failed:
        counts.failed = 1
    return counts


def check_counts(output: str, status: int) -> Counts:
    """Read the last line of scripts/lint."""
    if found := re.search(r"^lint: (\d+) passed, (\d+) failed$", output, re.MULTILINE):
        return Counts(int(found.group(1)), int(found.group(2)))
    return one_count(output, status)


def total_counts(output: str, status: int) -> Counts:
    """Read the last line of this program."""
    last = output.rstrip().rpartition("\n")[2]
    found = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", last)
    counts = Counts(*(int(number or 0) for number in found.groups())) if found else Counts()
    if status and not counts.failed:
        counts.failed = 1
    return counts


def one_count(_output: str, status: int) -> Counts:
    """A command that is one check as a whole."""
    return Counts(failed=1) if status else Counts(passed=1)


@dataclass
class Run:
    """One call of scripts/test: its options, and what came out so far."""

    kernel: str
    pytest: Sequence[str]
    explicit: bool
    total: Counts = field(default_factory=Counts)
    lines: list[str] = field(default_factory=list)

    def step(self, name: str, command: Sequence[str], count: Callable[[str, int], Counts]) -> bool:
        """Run `command`, show its output as it comes, add its counts; True if it succeeded."""
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        output, status = _stream(command)
        self.add(name, count(output, status), time.monotonic() - started)
        return status == 0

    def add(self, name: str, counts: Counts, seconds: float) -> None:
        """Take note of what a step has come to."""
        self.total += counts
        self.lines.append(f"{name}: {counts} ({seconds:.0f} s)")

    @contextmanager
    def beside(self, suite: str) -> Iterator[None]:
        """Have another process run `suite` meanwhile. What it says is shown when it has ended."""
        command = [sys.executable, __file__, suite, "--kernel", self.kernel, *self.pytest]
        started = time.monotonic()
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            with subprocess.Popen(
                command, cwd=REPO, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            ) as process:
                try:
                    yield
                except BaseException:
                    process.terminate()
                    raise
            said.seek(0)
            output = said.read()
        print(f"\n== {suite}, beside the others\n{output}", flush=True)
        self.add(suite, total_counts(output, process.returncode), time.monotonic() - started)

    def suite(self, folder: str) -> list[str] | None:
        """The pytest arguments for tests/`folder`; None, and said so, if there is nothing."""
        if not all((REPO / path).is_dir() for path in SUITES[folder]):
            self.lines.append(f"{folder}: there is no tests/{folder} yet")
            print(f"\n== {folder}: there is no tests/{folder} yet", flush=True)
            if self.explicit:
                self.total.failed += 1
            return None
        named = any((REPO / arg.partition("::")[0]).exists() for arg in self.pytest)
        return [*([] if named else SUITES[folder]), *self.pytest]

    def lint(self) -> None:
        """All static checks."""
        self.step("lint", ["scripts/lint"], check_counts)

    def on_host(self, folder: str) -> None:
        """A suite that runs on this machine."""
        if (arguments := self.suite(folder)) is not None:
            self.step(folder, [PYTHON, "-m", "pytest", *arguments], pytest_counts)

    def vm(self, *clocks: str) -> None:
        """Build the module and run tests/vm, each test in the guest with its clock, of `clocks`."""
        if (arguments := self.suite("vm")) is None:
            return
        pytest = [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "-m"]
        plain = " and ".join(f"not {clock}" for clock in MARKERS)
        commands = {clock: [*pytest, clock or plain] for clock in clocks}
        # With nothing to run at all it is pytest in the guest that says so.
        some = [clock for clock in clocks if _any_of(commands[clock])] or [OWN]
        if not (wanted := [clock for clock in some if clock in commands]):
            return
        name = f"vm on {self.kernel}"
        # Only OWN needs the second build, which is made beside the rest for it, too.
        if self.build() is None or (extdev := self.build(*EXTDEV)) is None:
            self.total.failed += 1
            self.lines.append(f"{name}: 0 passed, 1 failed (the module does not build)")
            return
        for clock in wanted:
            guest = ["--timeout", str(CLOCKS[clock])]
            if clock == OWN:
                guest += ["--append", VM_DEBUG, "--env", f"NATFLOW_KMOD_EXTDEV={extdev}"]
            else:
                guest += ["--accel", clock]
            self.guest(f"{name}, {clock}" if clock else name, guest, commands[clock])

    def guest(self, name: str, options: Sequence[str], command: Sequence[str]) -> None:
        """Run pytest in a guest."""
        guest = ["scripts/vm", "--kernel", self.kernel, "--memory", str(VM_MEMORY), *options]
        self.step(name, [*guest, "--", *command], pytest_counts)

    def build(self, *options: str) -> Path | None:
        """Build the modules, or with options natflow's own alone; the folder that they are in."""
        command = ["scripts/kmod", "--kernel", self.kernel, *options]
        if options:
            command += ["--strict", "--source", "src/kmod"]
        done = subprocess.run(command, cwd=REPO, stdout=subprocess.PIPE, text=True, check=False)
        return Path(done.stdout.split()[0]).parent if done.returncode == 0 else None

    def strict_build(self, kernel: str) -> None:
        """The module builds for `kernel` without a warning."""
        command = ["scripts/kmod", "--kernel", kernel, "--strict"]
        self.step(f"build for {kernel}", command, one_count)


def _any_of(pytest: Sequence[str]) -> bool:
    """Are there such tests? Looking leaves compiled ones behind, which the slow guest then need not
    make."""
    command = [*pytest, "--collect-only", "-q"]
    return subprocess.run(command, cwd=REPO, capture_output=True, check=False).returncode != 5


def _stream(command: Sequence[str]) -> tuple[str, int]:
    """Run with stdout and stderr as one; returns all of it and the exit code."""
    heard = []
    with subprocess.Popen(
        command,
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                heard.append(line)
                sys.stdout.write(line)
                sys.stdout.flush()
        except BaseException:
            # scripts/vm takes its QEMU along when it is told to end.
            process.terminate()
            raise
    return "".join(heard), process.returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suites that the arguments name; 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description=HELP,
        usage="scripts/test [unit|vm|clocks|luci|feed|all] [--kernel VERSION] [pytest arguments]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    arguments = list(sys.argv[1:] if argv is None else argv)
    suite = "all"
    if arguments and not arguments[0].startswith("-"):
        suite = arguments.pop(0)
    parser.add_argument("--kernel", choices=KERNELS, default="6.1", help="for vm; default: 6.1")
    options, pytest = parser.parse_known_args(arguments)
    run = Run(options.kernel, pytest, explicit=suite != "all")
    os.environ.pop("PYTHONPATH", None)
    match suite:
        case "unit":
            run.lint()
            run.on_host("unit")
        case "vm":
            run.vm(*CLOCKS)
        case "clocks":
            run.vm(*MARKERS)
        case "luci" | "feed":
            run.on_host(suite)
        case "all":
            with run.beside("clocks"):
                run.lint()
                run.on_host("unit")
                run.on_host("feed")
                run.on_host("luci")
                for kernel in BUILDS:
                    run.strict_build(kernel)
            run.vm(OWN)
        case _:
            parser.error(f"no suite {suite!r}: there are unit, vm, clocks, luci, feed and all")
    print("", *run.lines, "", sep="\n")
    print(run.total, flush=True)
    return 1 if run.total.failed else 0


if __name__ == "__main__":
    # Who is told to end tells what it runs: a guest would live on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
