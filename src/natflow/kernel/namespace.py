# SPDX-License-Identifier: GPL-2.0-only
"""The network namespace a client belongs to: a socket opened later must be in it as well."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from natflow.kernel.errors import KernelError

# Of the thread, not of the process: setns(2) moves one thread.
PATH = "/proc/thread-self/ns/net"
CLONE_NEWNET = 0x40000000


class Namespace:
    """The network namespace in which the calling thread was when this object was made."""

    def __init__(self) -> None:
        self._fd = os.open(PATH, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let the namespace go; entered() fails from then on."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the namespace; nothing is done where the thread is in it anyway.

        Going there from another one needs CAP_SYS_ADMIN; raises KernelError without it.
        """
        if self._fd < 0:
            raise KernelError(errno.EBADF, "netlink: the client is closed")
        if os.path.samestat(os.stat(PATH), os.fstat(self._fd)):
            yield
            return
        here = os.open(PATH, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._fd)
            try:
                yield
            finally:
                _setns(here)
        finally:
            os.close(here)


def _setns(fd: int) -> None:
    # os.setns() came with Python 3.12; a daemon never gets here, so ctypes is loaded by need.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET):
        number = ctypes.get_errno()
        text = f"cannot go back to the client's network namespace: {os.strerror(number)}"
        raise KernelError(number, text)
