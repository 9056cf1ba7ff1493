# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel tells unasked: the multicast groups of natflow.ko, and its coming and going."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping

from natflow.kernel import replies, uapi
from natflow.kernel.codec import Codec
from natflow.kernel.errors import KernelError, NoPermission
from natflow.kernel.records import Event
from natflow.kernel.transport import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK, open_socket, split

# The controller's own group "notify" has the number of its family (net/netlink/genetlink.c).
CTRL_TYPE = 16
CTRL_NOTIFY_GROUP = 16
CTRL_CMD_NEWFAMILY = 1
CTRL_CMD_DELFAMILY = 2

RECEIVE_BUFFER = 1 << 20
READ_BYTES = 65536
# One read() hands out so many datagrams at the most: an event storm must not starve the caller.
READS_AT_ONCE = 64


def bare(kind: str) -> Event:
    """Return an event that carries nothing but its kind."""
    return Event(kind, {}, None, ())


class EventSocket:
    """A socket that listens. Watch fileno() for reading and call read().

    When the module is loaded anew it joins the groups again by itself and says so with the event
    "loaded"; "unloaded" tells that the module went.
    """

    def __init__(
        self,
        codec: Codec,
        control: Codec,
        groups: Mapping[str, int],
        flows: bool = False,
        sock: socket.socket | None = None,
    ) -> None:
        self._codec = codec
        self._control = control
        self._wanted = uapi.GROUPS if flows else uapi.GROUPS[:1]
        self._socket = sock or open_socket()
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._join(CTRL_NOTIFY_GROUP, "notify")
            self._join_all(groups)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the file descriptor, for select and its kin."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self) -> list[Event]:
        """Return the events that are there now, [] when there are none; never waits.

        "lost" stands where events were dropped or could not be read. Raises KernelError when the
        socket is broken.
        """
        events: list[Event] = []
        for _ in range(READS_AT_ONCE):
            try:
                data, sender = self._socket.recvfrom(READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    events.append(bare("lost"))
                    continue
                number = error.errno or errno.EIO
                raise KernelError(number, f"events: {os.strerror(number)}") from error
            if sender[0] != 0:
                continue
            try:
                for kind, _, _, message in split(data):
                    events.extend(self._event(kind, message))
            except KernelError as error:
                if isinstance(error, NoPermission):
                    raise
                events.append(bare("lost"))
        return events

    def _event(self, kind: int, message: bytes) -> list[Event]:
        if kind == CTRL_TYPE:
            command, reply = self._control.decode(message)
            if replies.first(reply, "family-name", "") != uapi.GENL_NAME:
                return []
            if command == CTRL_CMD_NEWFAMILY:
                self._join_all(replies.groups(reply))
                return [bare("loaded")]
            return [bare("unloaded")] if command == CTRL_CMD_DELFAMILY else []
        command, reply = self._codec.decode(message)
        return [replies.event(reply)] if command == uapi.CMD_EVENT else []

    def _join_all(self, groups: Mapping[str, int]) -> None:
        for name in self._wanted:
            if name not in groups:
                raise KernelError(errno.ENOENT, f"events: the kernel has no group {name!r}")
            self._join(groups[name], name)

    def _join(self, group: int, name: str) -> None:
        try:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        except OSError as error:
            number = error.errno or errno.EIO
            if number in (errno.EPERM, errno.EACCES):
                raise NoPermission(f"events: group {name!r}") from error
            raise KernelError(number, f"events: {name}: {os.strerror(number)}") from error
