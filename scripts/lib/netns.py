# SPDX-License-Identifier: GPL-2.0-only
"""Network namespaces for tests: sockets of any namespace in one process, so that no program has
to be started for a packet (a program start costs most of a second in an emulated guest)."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def run(*command: str, text: str | None = None, check: bool = True) -> str:
    """Runs a program; its output. Fails with what it said on standard error."""
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {result.returncode}: {result.stderr}")
    return result.stdout


class Netns:
    """A named network namespace that ends with :meth:`remove`."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link set lo up")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread in the namespace; what it opens there stays there."""
        with open("/proc/self/ns/net") as home, Path("/run/netns", self.name).open() as there:
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
        run("ip", "netns", "del", self.name, check=False)
