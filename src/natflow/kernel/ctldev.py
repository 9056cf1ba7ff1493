# SPDX-License-Identifier: GPL-2.0-only
"""A control device that takes text: whole lines, one writer at a time, and never for ever.

Such a device keeps the beginning of a line in one buffer for all of its writers, checks nothing
and answers nothing. So each session holds an advisory lock, first ends the line that somebody
else may have left half written, and writes each line with one write(2). The calls may hang in the
driver: they run in a thread that is left behind when its time is over.
"""

from __future__ import annotations

import _thread  # the module threading alone would cost a tenth of the daemon's memory
import errno
import fcntl
import os
from stat import S_ISCHR

from natflow.kernel.errors import KernelError, ModuleMissing, NoPermission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

LINE_MAX = 256  # bytes, without the newline
READ_MAX = 65536  # bytes of one listing
CALL_SECONDS = 5.0  # waiting for the lock included

GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV)


class Session:
    """The device while its lock is held. It is used from the thread of one call."""

    def __init__(self, path: str) -> None:
        self.path = path
        #: It waits for those who have the lock.
        self.queued = False
        #: Set by the one who waits no more: nothing is written after that.
        self.given_up = False

    def line(self, text: str) -> None:
        """Write one line. KernelError with the line in its text when the device refuses it."""
        data = text.encode("ascii")
        if len(data) > LINE_MAX or b"\n" in data:
            raise ValueError(f"{text!r} is no line for {self.path}")
        self._write(data + b"\n", text)

    def end_line(self) -> None:
        """End the line that another writer may have begun. An empty line does nothing."""
        self._write(b"\n", "end of line")

    def _write(self, data: bytes, what: str) -> None:
        fd = self._open(os.O_WRONLY, what)
        try:
            while data:
                self._check()
                written = os.write(fd, data)
                if not written:
                    raise KernelError(errno.EIO, f"{self.path}: {what}: nothing was written")
                data = data[written:]
        except OSError as error:
            raise failure(self.path, what, error) from None
        finally:
            os.close(fd)

    def read(self) -> list[str]:
        """The lines it lists. KernelError where these are no lines of text."""
        fd = self._open(os.O_RDONLY, "read")
        data = bytearray()
        try:
            while len(data) <= READ_MAX:
                self._check()
                part = os.read(fd, READ_MAX)
                if not part:
                    break
                data += part
        except OSError as error:
            raise failure(self.path, "read", error) from None
        finally:
            os.close(fd)
        if len(data) > READ_MAX:
            raise KernelError(errno.EBADMSG, f"{self.path}: it lists more than {READ_MAX} bytes")
        lines = bytes(data).split(b"\n")
        longest = max(map(len, lines))
        if longest > LINE_MAX:
            raise KernelError(errno.EBADMSG, f"{self.path}: it lists a line of {longest} bytes")
        try:
            return [line.decode("ascii") for line in lines]
        except UnicodeDecodeError:
            raise KernelError(errno.EBADMSG, f"{self.path}: what it lists is no text") from None

    def _open(self, flags: int, what: str) -> int:
        self._check()
        try:
            return os.open(self.path, flags | os.O_CLOEXEC)
        except OSError as error:
            raise failure(self.path, what, error) from None

    def _check(self) -> None:
        if self.given_up:
            raise KernelError(errno.ETIMEDOUT, f"{self.path}: given up")


class Device:
    """The device at a path. It is open during a call only, so that its module can be removed."""

    def __init__(self, path: str, seconds: float = CALL_SECONDS) -> None:
        self.path = path
        self._seconds = seconds
        self._stuck: Session | None = None

    def call(self, work: Callable[[Session], Result], shared: bool = False) -> Result:
        """What ``work`` returns, done under the lock; ``shared`` is for those who only read.

        KernelError when it takes longer than a few seconds; until the driver has let go of the
        thread, all further calls fail at once.
        """
        if self._stuck is not None:
            raise self._silent(self._stuck)
        session = Session(self.path)
        results: list[Result] = []
        errors: list[Exception] = []
        done = _thread.allocate_lock()
        done.acquire()

        def run() -> None:
            try:
                results.append(self._locked(session, work, shared))
            except Exception as error:
                errors.append(error)
            finally:
                done.release()
                if self._stuck is session:
                    self._stuck = None

        _thread.start_new_thread(run, ())
        if not done.acquire(timeout=self._seconds):
            session.given_up = True
            self._stuck = session
            if not done.acquire(blocking=False):
                raise self._silent(session)
            self._stuck = None  # it ended in between
        if errors:
            raise errors[0]
        return results[0]

    def _silent(self, session: Session) -> KernelError:
        if session.queued:
            return KernelError(
                errno.EBUSY,
                f"{self.path}: another program has held its lock for {self._seconds:g} s",
            )
        return KernelError(
            errno.ETIMEDOUT,
            f"{self.path} does not answer within {self._seconds:g} s",
            "The module behind it hangs; the system log (dmesg) may tell why.",
        )

    def _locked(self, session: Session, work: Callable[[Session], Result], shared: bool) -> Result:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise failure(self.path, "open", error) from None
        try:
            if not S_ISCHR(os.fstat(fd).st_mode):
                raise ModuleMissing
            # It may wait for long. That is the time limit's business, and the queue is fair.
            session.queued = True
            try:
                lock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            except OSError as error:
                raise failure(self.path, "lock", error) from None
            session.queued = False
            return work(session)
        finally:
            os.close(fd)  # and with it the lock


def lock(fd: int, kind: int) -> None:
    """Wait for the advisory lock of an open file; ``flock DEVICE COMMAND`` takes the same one."""
    fcntl.flock(fd, kind)


def failure(path: str, what: str, error: OSError) -> KernelError:
    """The error of a system call in words."""
    number = error.errno or errno.EIO
    if number in GONE:
        return ModuleMissing()
    if number in (errno.EPERM, errno.EACCES):
        return NoPermission(f"{path}: {what}")
    return KernelError(number, f"{path}: {what}: {os.strerror(number)}")
