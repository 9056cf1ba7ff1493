# SPDX-License-Identifier: GPL-2.0-only
"""scripts/vm: see its --help."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from testvm import accel, apt, console, initramfs, kernels, paths, qemu

HELP = """\
Boots a stock Debian kernel in QEMU on this machine's own file system and runs COMMAND there, as
root.

The file system is read-only for the guest, under an overlay in memory: whatever COMMAND writes is
gone afterwards. The repository is at the same path as outside and is the working directory. There
is no network but loopback; make namespaces. With --reach SOCKET, a unix socket of this machine, the
guest can connect to that, and only that, at /run/natflow-vm/reach. The guest's modules load with
modprobe.

stdout and stderr are COMMAND's own, as they come. The kernel log goes to
.cache/vm/last-console.log. Exit code: COMMAND's, or
  124  it took longer than --timeout
  125  the kernel warned, oopsed, hung or leaked (the lines are printed), whatever COMMAND said
  126  the guest did not come up or went down before COMMAND ended
"""
EPILOG = """\
Set in COMMAND's environment: NATFLOW_VM (the kernel's name, e.g. 6.1), NATFLOW_KMOD (folder of the
modules that scripts/kmod built for it), and from outside CI, TERM, NATFLOW_*, PYTEST_*.
"""
PASSED_ON = ("CI", "TERM")
PASSED_ON_PREFIXES = ("NATFLOW_", "PYTEST_")
TIMED_OUT, BROKEN_KERNEL, NO_GUEST = 124, 125, 126
KEPT_RUNS = 20
PROBE_SECONDS = 15


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, boot, run; the exit code is the one --help describes."""
    options = _parser().parse_args(argv)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        _parser().error("COMMAND is missing, e.g.: scripts/vm -- uname -r")
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGHUP, _interrupted)
    try:
        kernel = kernels.get(options.kernel)
        chosen = accel.choose(options.accel, lambda: _kvm_works(kernel))
        machine = qemu.Machine(
            kernel.vmlinux, chosen, options.memory, options.cpus, options.append, options.reach
        )
        return boot(kernel, machine, command, _environment(kernel, options.env), options.timeout)
    except (apt.AptError, ValueError, OSError) as error:
        paths.say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def boot(
    kernel: kernels.Kernel,
    machine: qemu.Machine,
    command: Sequence[str],
    env: dict[str, str],
    timeout: float,
) -> int:
    """Run `command` in a guest and judge the run; returns scripts/vm's exit code."""
    folder = _run_folder()
    initrd = folder / "initrd"
    reaches = machine.reach is not None
    facts = {"REACHES": "1" if reaches else "", "LEAPS": "1" if machine.accel == "leap" else ""}
    initrd.write_bytes(initramfs.build(kernel, command, paths.REPO, env, facts))
    try:
        outcome = qemu.run(machine, initrd, folder, timeout, _pass_on)
    finally:
        initrd.unlink()
        log = folder / "console.log"
        if log.exists():
            _replace_link(paths.CACHE / "vm" / "last-console.log", log)
    text = log.read_text(errors="replace") if log.exists() else ""
    return _judge(outcome, text, timeout, folder)


def _judge(outcome: qemu.Outcome, text: str, timeout: float, folder: Path) -> int:
    where = (folder / "console.log").relative_to(paths.REPO)
    bad = console.offending(text)
    tainted = console.taint(outcome.taint)
    if bad or tainted:
        ended = "was killed" if outcome.status is None else f"exited with {outcome.status}"
        paths.say(f"the guest's kernel complained (the command {ended}); whole log: {where}")
        for line in bad[:40]:
            print(f"  {line}", file=sys.stderr)
        if tainted:
            print(f"  kernel tainted: {', '.join(tainted)}", file=sys.stderr)
        return BROKEN_KERNEL
    if outcome.timed_out:
        paths.say(f"killed after {timeout:g} s; the kernel log is in {where}")
        return TIMED_OUT
    if outcome.status is None:
        paths.say("the guest went down before the command ended; last lines of its console:")
        said = (folder / "qemu.log").read_text(errors="replace") + text
        for line in said.splitlines()[-15:]:
            print(f"  {line}", file=sys.stderr)
        return NO_GUEST
    return outcome.status


def _kvm_works(kernel: kernels.Kernel) -> bool:
    folder = _run_folder()
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.build(kernel, ["true"], Path("/"), {}, {}))
    machine = qemu.Machine(kernel.vmlinux, "kvm", 512, 2)
    outcome = qemu.run(machine, initrd, folder, PROBE_SECONDS, lambda _port, _data: None)
    return outcome.status == 0


def _pass_on(port: int, data: bytes) -> None:
    stream = sys.stdout.buffer if port == 1 else sys.stderr.buffer
    stream.write(data)
    stream.flush()


def _environment(kernel: kernels.Kernel, extra: Sequence[str]) -> dict[str, str]:
    env = {"HOME": "/root", "LANG": "C.UTF-8", "USER": "root"}
    for name, value in os.environ.items():
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES):
            env[name] = value
    env["NATFLOW_VM"] = kernel.name
    env["NATFLOW_KMOD"] = str(paths.CACHE / "build" / kernel.name)
    for item in extra:
        name, equals, value = item.partition("=")
        if not name.isidentifier():
            raise ValueError(f"--env {item}: want NAME=VALUE, or NAME to pass on what is set here")
        env[name] = value if equals else os.environ.get(name, "")
    return env


def _run_folder() -> Path:
    runs = paths.CACHE / "vm" / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for old in sorted(runs.iterdir())[: -(KEPT_RUNS - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=runs))


def _replace_link(link: Path, target: Path) -> None:
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)


def _interrupted(number: int, _frame: object) -> None:
    # An exception, so that every clean-up on the way out runs and takes QEMU with it.
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/vm",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--kernel", default="6.1", metavar="|".join(kernels.NAMES), help="default: 6.1")
    add("--timeout", type=_positive, default=1800, metavar="SECONDS", help="default: 1800")
    add("--memory", type=_positive, default=1024, metavar="MB", help="default: 1024")
    add("--cpus", type=_positive, default=2, metavar="N", help="default: 2")
    add(
        "--accel",
        choices=("known", "auto", "tcg", "icount", "leap", "kvm"),
        default="known",
        help="known (default): KVM if a probe boot since this machine started proved that it "
        "works, else software emulation; auto: probe if not done yet; tcg, kvm: just that; icount: "
        "software emulation of one processor, on whose clock an instruction takes a nanosecond; "
        "leap: the same, and the clock leaps over idle time while a test stops the process named "
        "in /run/natflow-vm/idler",
    )
    add(
        "--append",
        default="",
        metavar="WORDS",
        help="more words for the kernel's command line, e.g. slub_debug=FZPU",
    )
    add("--reach", type=Path, metavar="SOCKET", help="a unix socket that the guest can connect to")
    add("--env", action="append", default=[], metavar="NAME[=VALUE]", help="may be repeated")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    return parser


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"want a whole number above 0, not {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
