# SPDX-License-Identifier: GPL-2.0-only
"""The emulator: its command line, and one run of it from power-on to power-off."""

import contextlib
import ctypes
import os
import selectors
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Kernel command line. Quiet until the session raises the level again: each character on the
# emulated serial line costs. The mitigations guard against neighbours that an emulated CPU does not
# have. A vCPU of a busy host may stand still for seconds, which must not look like a lock-up.
# Software emulation counts each round of a "rep" instruction, and init_on_alloc is all "rep stos":
# without them copies and page faults are several times faster (iperf3 over loopback: 3 times).
APPEND = (
    "console=ttyS0 loglevel=5 panic=-1 oops=panic nokaslr mitigations=off audit=0 "
    "no_timer_check tsc=reliable random.trust_cpu=on "
    "clearcpuid=erms,fsrm,rep_good init_on_alloc=0 "
    "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=100"
)


@dataclass(frozen=True)
class Machine:
    """What to boot.

    `accel` is "tcg", "kvm", or "icount": software emulation with one processor, on whose clock
    each instruction takes a nanosecond; with "leap" the clock of an idle guest, besides, leaps to
    what the guest waits for. memory is in MiB; `append` ends the command line. `reach`
    is a unix socket of this machine that the guest may connect to.
    """

    vmlinux: Path
    accel: str = "tcg"
    memory: int = 1024
    cpus: int = 2
    append: str = ""
    reach: Path | None = None


@dataclass
class Outcome:
    """How a run ended.

    `status` is the command's exit code, None if the guest never reported one; `taint` the guest's
    taint flags; `timed_out` whether it was killed for its time.
    """

    status: int | None = None
    taint: int = 0
    timed_out: bool = False
    seconds: float = 0.0


def command_line(machine: Machine, initrd: Path, console: Path, ports: list[int]) -> list[str]:
    """QEMU's arguments; `ports` are the sockets behind the guest's virtio ports 1, 2, ..."""
    accel = {
        "tcg": "tcg,thread=multi,tb-size=256",
        "icount": "tcg,thread=single,tb-size=256",
        "leap": "tcg,thread=single,tb-size=256",
        "kvm": "kvm",
    }[machine.accel]
    counted = machine.accel in ("icount", "leap")
    cpus = 1 if counted else machine.cpus
    line = [
        *("qemu-system-x86_64", "-M", "pc,usb=off,vmport=off", "-accel", accel),
        *("-cpu", "host" if machine.accel == "kvm" else "max"),
        *("-smp", str(cpus), "-m", str(machine.memory)),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-kernel", str(machine.vmlinux), "-initrd", str(initrd)),
        *("-append", f"{APPEND} {machine.append}".rstrip()),
        *("-serial", f"file:{console}"),
        # remap: files of several host file systems must not share an inode number, overlayfs
        # would take them for the same file.
        "-fsdev",
        "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        *("-device", "virtio-serial-pci"),
    ]
    if counted:
        # An idle guest goes on with the host's clock: else every wait for a file would time out.
        # Where it must leap it is kept from being idle until a test wants it to (guest/session).
        line += ["-icount", f"shift=0,sleep={'off' if machine.accel == 'leap' else 'on'}"]
    if machine.reach is not None:
        line += ["-netdev", _network(machine.reach), "-device", "virtio-net-pci,netdev=n,romfile="]
    for number, fd in enumerate(ports, start=1):
        line += ["-chardev", f"socket,id=port{number},fd={fd}"]
        line += ["-device", f"virtserialport,chardev=port{number},nr={number}"]
    return line


def _network(socket_path: Path) -> str:
    """A network on which there is nothing but this socket, at 10.0.2.9 port 1 (guest/session).

    No port is opened on this machine: QEMU starts a program for each connection.
    """
    command = shlex.join(["socat", "STDIO", f"UNIX-CONNECT:{socket_path}"])
    forward = f"guestfwd=tcp:10.0.2.9:1-cmd:{command}".replace(",", ",,")
    return f"user,id=n,restrict=on,ipv6=off,{forward}"


def run(
    machine: Machine,
    initrd: Path,
    folder: Path,
    timeout: float,
    on_output: Callable[[int, bytes], None],
) -> Outcome:
    """Boot, stream, and wait for power-off; QEMU never outlives this call.

    `on_output(1 or 2, data)` gets the command's stdout and stderr as they come. `folder` receives
    console.log and qemu.log. After `timeout` seconds QEMU is killed by SIGKILL (it can
    ignore less).
    """
    outcome = Outcome()
    report = b""
    started = time.monotonic()
    ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
    fds = [each.fileno() for each in theirs]
    with contextlib.ExitStack() as stack:
        for each in (*ours, *theirs):
            stack.callback(each.close)
        log = stack.enter_context((folder / "qemu.log").open("wb"))
        qemu = subprocess.Popen(
            command_line(machine, initrd, folder / "console.log", fds),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=fds,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (there are no threads)
        )
        stack.callback(_end, qemu)
        for each in theirs:
            each.close()
        selector = stack.enter_context(selectors.DefaultSelector())
        for number, each in enumerate(ours, start=1):
            selector.register(each, selectors.EVENT_READ, number)
        # QEMU closes all three when it goes.
        while selector.get_map():
            left = started + timeout - time.monotonic()
            if left <= 0:
                outcome.timed_out = True
                break
            for key, _ in selector.select(left):
                data = ours[key.data - 1].recv(1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == 3:
                    report += data
                else:
                    on_output(key.data, data)
        if not outcome.timed_out:
            with contextlib.suppress(subprocess.TimeoutExpired):
                qemu.wait(10)
    words = report.split()
    if len(words) == 4 and words[0] == b"exit":
        outcome.status, outcome.taint = int(words[1]), int(words[3])
    outcome.seconds = time.monotonic() - started
    return outcome


def _end(qemu: subprocess.Popen[bytes]) -> None:
    if qemu.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(qemu.pid, signal.SIGKILL)
    qemu.wait()


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG: should we be killed ourselves, no QEMU stays behind.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
