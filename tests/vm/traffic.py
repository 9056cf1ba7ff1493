# SPDX-License-Identifier: GPL-2.0-only
"""Traffic: a transfer both ways, and what goes on while a test does other things: a moderate one of
which every byte is accounted for, and a flood."""

from __future__ import annotations

import ctypes
import hashlib
import os
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType

from lab import Pair
from netns import Netns

_NUMBER = struct.Struct("!Q")
BLOCK = 1024
MEGABYTE = 1 << 20
PIECE = os.urandom(MEGABYTE)


def transfer(pair: Pair, size: int) -> None:
    """`size` bytes each way at once over TCP; what arrives has the digest of what was sent."""
    want = hashlib.sha256(PIECE * (size // MEGABYTE) + PIECE[: size % MEGABYTE]).hexdigest()
    got: dict[str, str] = {}

    def send(sock: socket.socket) -> None:
        for start in range(0, size, MEGABYTE):
            sock.sendall(PIECE[: size - start])

    def receive(name: str, sock: socket.socket) -> None:
        digest = hashlib.sha256()
        left = size
        while left:
            part = sock.recv(min(left, 1 << 18))
            if not part:
                break
            digest.update(part)
            left -= len(part)
        got[name] = digest.hexdigest()

    threads = [
        threading.Thread(target=send, args=(pair.client,)),
        threading.Thread(target=send, args=(pair.server,)),
        threading.Thread(target=receive, args=("server", pair.server)),
        threading.Thread(target=receive, args=("client", pair.client)),
    ]
    for sock in (pair.client, pair.server):
        sock.settimeout(30)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == {"server": want, "client": want}


class Thread:
    """Something that runs while a "with" block does; its failure fails the block."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded)

    def _guarded(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self._failure = error

    def work(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure and not error:
            raise self._failure


class Echo(Thread):
    """Answers every datagram to a port with itself, whoever sends it."""

    def __init__(self, ns: Netns, address: str, port: int) -> None:
        super().__init__()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = ns.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((address, port))
        self.sock.settimeout(0.1)

    def work(self) -> None:
        with self.sock:
            while not self._end.is_set():
                # Silence, and what ICMP says about an earlier answer.
                with suppress(OSError):
                    self.sock.sendto(*self.sock.recvfrom(2048))


class Accounted(Thread):
    """Numbered datagrams there and back, and numbered blocks of TCP in both directions.

    `sent` and `returned` count datagrams; TCP data that is not what was sent fails the block.
    """

    def __init__(self, udp: list[Pair], tcp: list[Pair], interval: float = 0.01) -> None:
        super().__init__()
        self.udp, self.tcp, self.interval = udp, tcp, interval
        self.sent = 0
        self.returned: set[int] = set()
        self.tcp_bytes = 0
        # By socket: bytes sent, bytes received.
        self._streams: dict[socket.socket, list[int]] = {}
        for pair in tcp:
            for sock in (pair.client, pair.server):
                sock.setblocking(False)
                self._streams[sock] = [0, 0]
        for pair in udp:
            pair.client.setblocking(False)
            pair.server.setblocking(False)

    @property
    def lost(self) -> int:
        return self.sent - len(self.returned)

    @staticmethod
    def _stream(start: int, size: int) -> bytes:
        """Bytes of the endless stream of numbers."""
        first, last = start // 8, (start + size) // 8 + 1
        data = b"".join(_NUMBER.pack(number) for number in range(first, last))
        return data[start % 8 : start % 8 + size]

    def _send(self) -> None:
        for pair in self.udp:
            pair.client.send(_NUMBER.pack(self.sent) + bytes(200))
            self.sent += 1
        for sock, progress in self._streams.items():
            with suppress(BlockingIOError):
                progress[0] += sock.send(self._stream(progress[0], BLOCK))

    def _read(self, timeout: float) -> bool:
        echoes = {pair.server: pair for pair in self.udp}
        origins = {pair.client for pair in self.udp}
        ready, _, _ = select.select([*echoes, *origins, *self._streams], [], [], timeout)
        for sock in ready:
            data = sock.recv(1 << 16)
            if sock in echoes:
                sock.send(data)
            elif sock in origins:
                self.returned.add(_NUMBER.unpack_from(data)[0])
            else:
                progress = self._streams[sock]
                assert data == self._stream(progress[1], len(data)), "TCP data was changed"
                progress[1] += len(data)
                self.tcp_bytes += len(data)
        return bool(ready)

    def work(self) -> None:
        due = time.monotonic()
        while not self._end.is_set():
            now = time.monotonic()
            if now >= due:
                self._send()
                due = max(due + self.interval, now - 1)
            self._read(max(due - time.monotonic(), 0))
        for sock in self._streams:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        quiet_at = time.monotonic() + 10
        while time.monotonic() < quiet_at and (
            self.lost or sum(s - r for s, r in self._streams.values())
        ):
            self._read(0.5)
        assert not sum(s - r for s, r in self._streams.values()), "TCP data is missing"


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class _Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    ]


class Flood(Thread):
    """As many small datagrams as `pause` seconds between bursts allow, from both ends of the
    pairs. Nobody reads them: what does not fit into a socket's buffer is dropped there."""

    BURST = 32

    def __init__(self, pairs: list[Pair], pause: float = 0.002) -> None:
        super().__init__()
        self.pause = pause
        self.sent = 0
        self._sockets = [sock for pair in pairs for sock in (pair.client, pair.server)]
        self._libc = ctypes.CDLL(None, use_errno=True)
        vector = _Iovec(b"flood" * 4, 20)
        self._messages = (_Msghdr * self.BURST)()
        for message in self._messages:
            message.iov = ctypes.pointer(vector)
            message.iovlen = 1

    def work(self) -> None:
        while not self._end.is_set():
            for sock in self._sockets:
                # Fails while the way is broken, and with what ICMP told about that.
                done = self._libc.sendmmsg(
                    sock.fileno(), self._messages, self.BURST, socket.MSG_DONTWAIT
                )
                self.sent += max(done, 0)
            time.sleep(self.pause)
