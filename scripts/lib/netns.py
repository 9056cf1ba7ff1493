# SPDX-License-Identifier: GPL-2.0-only
"""Network namespaces for tests: sockets of any namespace in one process, so that no program has
to be started for a packet (a program start costs most of a second in an emulated guest)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000
MS_BIND, MNT_DETACH = 0x1000, 2
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
FOLDER = Path("/run/netns")
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def _checked(result: int) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _setns(fd: int) -> None:
    _checked(_libc.setns(fd, CLONE_NEWNET))


def run(*command: str, text: str | None = None, check: bool = True) -> str:
    """Runs a program; its output. Fails with what it said on standard error."""
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {result.returncode}: {result.stderr}")
    return result.stdout


class Netns:
    """A named network namespace, made without a program and known to ip(8); it ends with
    :meth:`remove`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = FOLDER / name
        if not FOLDER.exists():
            # ip(8) makes the folder a mount point of its own kind.
            run("ip", "netns", "add", "first")
            run("ip", "netns", "del", "first")
        self.path.touch()
        failure: list[OSError] = []

        def make() -> None:
            try:
                _checked(_libc.unshare(CLONE_NEWNET))
                source = b"/proc/thread-self/ns/net"
                _checked(_libc.mount(source, bytes(self.path), b"none", MS_BIND, None))
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
            except OSError as error:
                failure.append(error)

        # Only this thread goes there, and it ends there.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread in the namespace; what it opens there stays there."""
        with open("/proc/thread-self/ns/net") as home, self.path.open() as there:
            _setns(there.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def call(self, function: Callable[[], T]) -> T:
        with self.entered():
            return function()

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        with self.entered():
            return socket.socket(family, kind, protocol)

    def run(self, *command: str, text: str | None = None, check: bool = True) -> str:
        with self.entered():
            return run(*command, text=text, check=check)

    def popen(self, *command: str) -> subprocess.Popen[str]:
        with self.entered():
            return subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )

    def ip(self, *commands: str) -> None:
        """ip(8) commands in one go."""
        run("ip", "-n", self.name, "-batch", "-", text="\n".join(commands) + "\n")

    def nft(self, rules: str) -> None:
        self.run("nft", "-f", "-", text=rules)

    def sysctl(self, **values: int | str) -> None:
        """Keys with "__" for the dots: net__ipv4__ip_forward=1."""
        with self.entered():
            for key, value in values.items():
                Path("/proc/sys", *key.split("__")).write_text(f"{value}\n")

    def conntrack(self, *arguments: str) -> str:
        return self.run("conntrack", *arguments, check=False)

    def remove(self) -> None:
        _checked(_libc.umount2(bytes(self.path), MNT_DETACH))
        self.path.unlink()
