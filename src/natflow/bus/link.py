# SPDX-License-Identifier: GPL-2.0-only
"""One connection to a bus: our requests and their answers, and the calls from others that wait to
be served.

A link lives from connect to the first error; `natflow.bus.embedded` makes the next one.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from time import monotonic

from natflow.bus import blob, wire
from natflow.bus.blob import BlobError
from natflow.bus.interface import BusError, Status
from natflow.bus.wire import Attr, Channel, FrameError, Message, TooLarge, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes waiting to be written: over the first we take no more work from the bus, over the second
#: we give the connection up.
BUSY, OVERFULL = 256 << 10, 4 << 20
#: Calls from others put aside while we wait for an answer: how many, and how many bytes.
LATER_COUNT, LATER_BYTES = 256, 2 << 20
#: Bytes of replies one request may collect (a list of all objects is one reply for each).
REPLY_BYTES = 4 << 20
#: How deep our own objects may call one another over the bus.
MAX_NESTING = 16


class Request:
    """A request of ours under way; `status` is None until its STATUS came."""

    __slots__ = ("done", "replies", "size", "status")

    def __init__(self, done: Callable[[Request], None] | None) -> None:
        self.replies: list[Message] = []
        self.size = 0
        self.status: int | None = None
        self.done = done


class Link:
    """A connection in use. After an error `alive` is False and `problem` says why; nothing revives
    it.
    """

    def __init__(
        self, path: str, serve: Callable[[Link, Message], None], lost: Callable[[Link], None]
    ) -> None:
        """Connect to `path`, raising OSError (ValueError: a path with a NUL).

        serve: called with each call or event that may be handled now. lost: called once, at the
        end.
        """
        sock = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            sock.connect(path)
        except (OSError, ValueError):
            sock.close()
            raise
        self.alive = True
        self.problem = ""
        #: Our id on this bus, once it has greeted us.
        self.client_id: int | None = None
        self._channel = Channel(sock, OVERFULL)
        self._serve = serve
        self._lost = lost
        self._seq = 0
        self._requests: dict[int, Request] = {}
        self._inbox: deque[Message] = deque()
        self._later: deque[Message] = deque()
        self._later_size = 0
        self._nesting = 0

    # --- the socket ---

    def fileno(self) -> int:
        """The socket's descriptor, for select.poll."""
        return self._channel.sock.fileno()

    def interest(self) -> int:
        """What to poll for: no new work while the answers to the old one pile up."""
        if self._channel.queued >= BUSY:
            return select.POLLOUT
        return select.POLLIN | (select.POLLOUT if self._channel.queued else 0)

    def transfer(self, what: int) -> None:
        """Read and write as `what`, a result of select.poll, allows."""
        try:
            if what & select.POLLOUT:
                self._channel.flush()
            if what & ~select.POLLOUT:
                self._inbox.extend(self._channel.receive())
        except (OSError, EOFError, FrameError) as error:
            self.lose(str(error))

    def lose(self, problem: str) -> None:
        """End the link; every request under way ends as CONNECTION_FAILED."""
        if not self.alive:
            return
        self.alive = False
        self.problem = problem
        self._channel.close()
        self._inbox.clear()
        self._later.clear()
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.status = Status.CONNECTION_FAILED
            if request.done:
                request.done(request)
        self._lost(self)

    def _send(self, packed: bytes, flush: bool = True) -> None:
        """Send, or end the link and raise BusError."""
        try:
            if self.alive and not self._channel.send(packed):
                raise FrameError("the bus has stopped reading")
            if self.alive and flush:
                self._channel.flush()
        except (OSError, FrameError) as error:
            self.lose(str(error))
        if not self.alive:
            raise BusError(Status.CONNECTION_FAILED, self.problem)

    # --- our requests ---

    def begin(
        self, kind: int, peer: int, body: bytes, done: Callable[[Request], None] | None = None
    ) -> Request:
        """Send a request; raises TooLarge, or BusError when the link is lost."""
        if len(self._requests) >= 0x8000:
            raise BusError(Status.NO_MEMORY, "too many requests under way")
        while True:
            self._seq = self._seq % 0xFFFF + 1
            if self._seq not in self._requests:
                break
        packed = wire.pack(kind, self._seq, peer, body)
        request = Request(done)
        self._requests[self._seq] = request
        self._send(packed)
        return request

    def wait(self, request: Request, deadline: float) -> bool:
        """Work this link, and nothing else, until `request` has its status; False when the time is
        over.

        Calls from others are put aside meanwhile, for they must not pile up on our stack; only what
        we call of our own is served, as nobody else could answer it.
        """
        self._nesting += 1
        try:
            return self._until(lambda: request.status is not None, deadline)
        finally:
            self._nesting -= 1

    def await_greeting(self, deadline: float) -> bool:
        """Wait for the bus's HELLO."""
        return self._until(lambda: self.client_id is not None, deadline) and self.alive

    def forget(self, request: Request) -> None:
        """Stop caring about a request: its answers will be dropped."""
        self._requests = {seq: one for seq, one in self._requests.items() if one is not request}

    def _until(self, reached: Callable[[], bool], deadline: float) -> bool:
        poller = None
        while not reached():
            if self._inbox:
                self._put_aside(self._inbox.popleft())
                continue
            left = deadline - monotonic()
            if left <= 0 or not self.alive:
                return reached()
            if poller is None:
                poller = select.poll()
            poller.register(self.fileno(), select.POLLIN | self.interest())
            for _, what in poller.poll(min(left * 1000 + 0.999, 1 << 30)):
                self.transfer(what)
        return True

    def _put_aside(self, message: Message) -> None:
        if message.type != Type.INVOKE:
            self._answered(message)
        elif message.peer == self.client_id and self._nesting <= MAX_NESTING:
            self._serve(self, message)
        elif (
            message.peer != self.client_id
            and len(self._later) < LATER_COUNT
            and self._later_size + len(message.body) <= LATER_BYTES
        ):
            self._later.append(message)
            self._later_size += len(message.body)
        else:
            self._refuse(message)

    # --- what comes in ---

    def work_off(self) -> bool:
        """Handle what is here now, oldest first; True when there was anything it could handle.

        Stops while too many answers wait to be written; `interest` then waits for the peer to read.
        """
        handled = 0
        count = len(self._later) + len(self._inbox)  # not what comes meanwhile: others want a turn
        while handled < count and self._channel.queued < BUSY:
            if self._later:
                message = self._later.popleft()
                self._later_size -= len(message.body)
            elif self._inbox:
                message = self._inbox.popleft()
            else:
                break
            handled += 1
            if message.type == Type.INVOKE:
                self._serve(self, message)
            else:
                self._answered(message)
        return handled > 0

    def _answered(self, message: Message) -> None:
        """Anything but a call. What we did not ask for (a late reply, a subscription) is of no
        interest.
        """
        if message.type == Type.HELLO and self.client_id is None:
            self.client_id = message.peer
        request = self._requests.get(message.seq)
        if request is None:
            return
        if message.type == Type.DATA:
            request.size += len(message.body) + 64
            if request.size <= REPLY_BYTES:
                request.replies.append(message)
        elif message.type == Type.STATUS:
            try:
                status = message.attributes().number(Attr.STATUS)
            except BlobError as error:
                self.lose(f"nonsense from the bus: {error}")
                return
            del self._requests[message.seq]
            request.status = Status.PARSE_ERROR if status is None else status
            if request.size > REPLY_BYTES:
                request.status, request.replies = Status.NO_MEMORY, []
            if request.done:
                request.done(request)

    def reply(self, call: Message, ident: int, status: int, data: bytes) -> None:
        """Answer a call to our object `ident`: one DATA, one STATUS. A lost link has no caller left
        to tell.
        """
        own = wire.put_number(Attr.OBJID, ident)
        try:
            try:
                body = own + wire.put_nested(Attr.DATA, data)
                answer = wire.pack(Type.DATA, call.seq, call.peer, body)
            except (TooLarge, BlobError) as error:
                status = Status.NO_MEMORY
                data = blob.encode({"error": f"the reply is too large: {error}; ask for less"})
                body = own + wire.put_nested(Attr.DATA, data)
                answer = wire.pack(Type.DATA, call.seq, call.peer, body)
            self._send(answer, flush=False)
            body = wire.put_number(Attr.STATUS, status) + own
            self._send(wire.pack(Type.STATUS, call.seq, call.peer, body))
        except BusError:
            pass

    def _refuse(self, message: Message) -> None:
        try:
            ident = message.attributes().number(Attr.OBJID)
        except BlobError:
            return
        if ident is not None and message.peer:  # peer 0: an event, which wants no answer
            text = blob.encode({"error": "busy: too many calls are waiting"})
            self.reply(message, ident, Status.NO_MEMORY, text)
