# SPDX-License-Identifier: GPL-2.0-only
"""Commits of nftables rules, for kernels whose module cannot see them by itself."""

from __future__ import annotations

import errno
import os
import socket

from natflow.kernel.errors import KernelError
from natflow.kernel.transport import (
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_NETFILTER,
    SOL_NETLINK,
    open_socket,
)

NFNLGRP_NFTABLES = 7

# Every message of the group is about a change, and what it says does not matter: it is cut off.
# Messages that do not fit into the buffer are changes, too, so it is small.
READ_BYTES = 16
RECEIVE_BUFFER = 1 << 14
# One read() takes so many messages at the most: a storm of commits must not starve the caller.
READS_AT_ONCE = 256


class CommitSocket:
    """A socket that listens. Watch fileno() for reading and call read()."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        self._socket = sock or open_socket(NETLINK_NETFILTER)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        except OSError as error:
            self._socket.close()
            raise _failure(error) from error

    def fileno(self) -> int:
        """Return the file descriptor, for select and its kin."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self) -> bool:
        """Take what is there, and tell whether the rules may have changed; never waits.

        The kernel tells after the change, so acting on it after this call is not too early.
        Raises KernelError when the socket is broken.
        """
        changed = False
        for _ in range(READS_AT_ONCE):
            try:
                _, sender = self._socket.recvfrom(READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                # Until the buffer is empty the kernel drops without telling again: read on.
                if error.errno != errno.ENOBUFS:
                    raise _failure(error) from error
                changed = True
                continue
            changed |= sender[0] == 0  # others may send to this socket; the kernel has port 0
        return changed


def _failure(error: OSError) -> KernelError:
    number = error.errno or errno.EIO
    return KernelError(number, f"nftables commits: {os.strerror(number)}")
