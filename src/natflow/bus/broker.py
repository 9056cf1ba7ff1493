# SPDX-License-Identifier: GPL-2.0-only
"""A small ubus broker, for hosts without ubusd: `python -m natflow.bus.broker [--socket PATH]`.

The sockets, and who may use them; what is done with messages is in `natflow.bus.exchange`. Only
uid 0 and the broker's own user may connect, unless it is told otherwise, and whoever may connect
may do everything: there are no ACL files.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import struct
import sys
from time import monotonic

from natflow.bus.dispatch import log
from natflow.bus.exchange import ANSWER_ROOM, Exchange, Peer
from natflow.bus.interface import DEFAULT_SOCKET
from natflow.bus.wire import Channel, FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MAX_CLIENTS = 64
#: Seconds without accepting after the process ran out of descriptors.
ACCEPT_PAUSE = 1.0

_CREDENTIALS = struct.Struct("iII")  # struct ucred, socket(7)


class Broker:
    """A broker listening on a unix socket."""

    def __init__(
        self, path: str, mode: int = 0o600, allowed: Collection[int] | None = frozenset()
    ) -> None:
        """Listen at `path`; raises OSError, with EADDRINUSE when a bus is alive there.

        mode: of the socket file. allowed: uids that may connect besides 0 and our own; None: all.
        """
        self.path = path
        self._allowed = None if allowed is None else {0, os.getuid(), *allowed}
        self._exchange = Exchange()
        self._clients: dict[int, tuple[Channel, Peer]] = {}
        self._stopping = False
        self._accept_again = 0.0
        self._listener = _listen(path, mode)
        self._inode = os.stat(path).st_ino
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._poller = select.poll()
        self._poller.register(self._listener, select.POLLIN)
        self._poller.register(self._wake, select.POLLIN)

    def run(self) -> None:
        """Serve until `stop`, then close everything."""
        try:
            while not self._stopping:
                self._round()
        finally:
            self._close()

    def stop(self) -> None:
        """Make `run` return soon; callable from a signal handler or another thread."""
        self._stopping = True
        try:
            self._waker.send(b"\0")
        except OSError:
            return  # full, or closed: either way it is awake

    def wake_fd(self) -> int:
        """A descriptor for signal.set_wakeup_fd."""
        return self._waker.fileno()

    def _round(self) -> None:
        timeout = None
        if self._accept_again:
            timeout = max(0.0, self._accept_again - monotonic()) * 1000 + 1
        for fd, what in self._poller.poll(timeout):
            if fd == self._listener.fileno():
                self._accept()
            elif fd == self._wake.fileno():
                self._wake.recv(64)
            elif fd in self._clients:
                self._serve(fd, what)
        if self._accept_again and monotonic() >= self._accept_again:
            self._accept_again = 0.0
            self._poller.register(self._listener, select.POLLIN)
        self._flush()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            log(f"broker: cannot accept a client: {error.strerror}")
            self._poller.unregister(self._listener)
            self._accept_again = monotonic() + ACCEPT_PAUSE
            return
        sock.setblocking(False)
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        if self._allowed is not None and uid not in self._allowed:
            log(f"broker: refused uid {uid} (pid {pid})")
            sock.close()
            return
        if len(self._clients) >= MAX_CLIENTS:
            log(f"broker: refused pid {pid}: {MAX_CLIENTS} clients are connected")
            sock.close()
            return
        channel = Channel(sock, ANSWER_ROOM)
        peer = self._exchange.join(_user_name(uid), _group_name(gid), channel.send)
        self._clients[sock.fileno()] = channel, peer
        self._poller.register(sock, select.POLLIN)

    def _serve(self, fd: int, what: int) -> None:
        channel, peer = self._clients[fd]
        if not what & ~select.POLLOUT:
            return  # writing is done for all clients at once
        try:
            for message in channel.receive():
                self._exchange.handle(peer, message)
        except FrameError as error:
            log(f"broker: cut off a client: {error}")
            self._drop(fd)
        except (OSError, EOFError):
            self._drop(fd)
        except Exception as error:
            # A defect of ours must cost no more than the connection it showed on.
            log(f"broker: internal error: {type(error).__name__}: {error}")
            self._drop(fd)

    def _flush(self) -> None:
        """Write what waits. Dropping a client makes new messages, so go on until nobody drops."""
        dropped = True
        while dropped:
            dropped = False
            for fd, (channel, peer) in list(self._clients.items()):
                try:
                    if channel.queued:
                        channel.flush()
                except OSError:
                    peer.cut_off = True
                if peer.cut_off:
                    self._drop(fd)
                    dropped = True
        for fd, (channel, _) in self._clients.items():
            self._poller.modify(fd, select.POLLIN | (select.POLLOUT if channel.queued else 0))

    def _drop(self, fd: int) -> None:
        channel, peer = self._clients.pop(fd)
        self._poller.unregister(fd)
        channel.close()
        self._exchange.leave(peer)

    def _close(self) -> None:
        for channel, _ in self._clients.values():
            channel.close()
        self._clients.clear()
        self._listener.close()
        self._wake.close()
        self._waker.close()
        try:
            if os.stat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        except OSError:
            return  # somebody removed it, or put another one there


def _listen(path: str, mode: int) -> socket.socket:
    """A listening socket at `path`; a dead one there is replaced, a live one is not."""
    os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        _unlink_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    umask = os.umask(0o777 & ~mode)  # not chmod: the socket must never have been open to others
    try:
        sock.bind(path)
        sock.listen(32)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(umask)
    return sock


def _unlink_stale(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # its queue is full: alive
            pass
    raise OSError(errno.EADDRINUSE, "a bus is running there already", path)


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a broker in the foreground until SIGTERM or SIGINT; 1 when it cannot listen."""
    import argparse
    import signal

    parser = argparse.ArgumentParser(
        prog="python -m natflow.bus.broker",
        description="A small ubus broker for hosts without ubusd.",
    )
    parser.add_argument(
        "-s",
        "--socket",
        metavar="PATH",
        default=os.environ.get("UBUS_SOCKET") or DEFAULT_SOCKET,
        help="unix socket to listen on (default: $UBUS_SOCKET, else %(default)s)",
    )
    parser.add_argument(
        "--mode", type=_mode, default=0o600, help="octal mode of the socket file (default: 600)"
    )
    parser.add_argument(
        "--allow",
        metavar="UID",
        action="append",
        default=[],
        type=_uid,
        help="let this uid connect, too ('all': everybody); may be repeated",
    )
    options = parser.parse_args(arguments)
    allowed = None if -1 in options.allow else options.allow
    try:
        broker = Broker(options.socket, options.mode, allowed)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.socket}: {error.strerror}\n")
        return 1
    signal.set_wakeup_fd(broker.wake_fd(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: broker.stop())
    sys.stdout.write(f"listening on {options.socket}\n")
    sys.stdout.flush()
    broker.run()
    return 0


def _mode(text: str) -> int:
    mode = int(text, 8)
    if not 0 <= mode <= 0o777:
        raise ValueError
    return mode


def _uid(text: str) -> int:
    if text == "all":
        return -1
    uid = int(text)
    if uid < 0:
        raise ValueError
    return uid


if __name__ == "__main__":
    raise SystemExit(main())
