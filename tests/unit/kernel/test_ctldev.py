# SPDX-License-Identifier: GPL-2.0-only
"""Files, pipes and /dev/null in the place of a control device: locks, time limits, bad listings."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from unit.daemon.processes import wait_for

from natflow.kernel import ctldev
from natflow.kernel.ctldev import Device, Session
from natflow.kernel.errors import KernelError, ModuleMissing


@pytest.fixture
def any_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take plain files for devices."""
    monkeypatch.setattr(ctldev, "S_ISCHR", lambda mode: True)


def read(session: Session) -> list[str]:
    return session.read()


def test_a_plain_file_is_no_device(tmp_path: Path) -> None:
    """The one that echo leaves in /dev when no module is loaded."""
    path = tmp_path / "ctl"
    path.write_text("disabled=0\n")
    with pytest.raises(ModuleMissing):
        Device(str(path)).call(read)


def test_no_file_is_no_module(tmp_path: Path) -> None:
    with pytest.raises(ModuleMissing):
        Device(str(tmp_path / "ctl")).call(read)


@pytest.mark.usefixtures("any_file")
def test_lines_are_written_whole_and_read(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    path.write_text("disabled=0\nhwnat=1\n")
    assert Device(str(path)).call(read, shared=True) == ["disabled=0", "hwnat=1", ""]
    reader = os.open(os.mkfifo(tmp_path / "pipe") or tmp_path / "pipe", os.O_RDWR)

    def write(session: Session) -> None:
        session.end_line()
        session.line("disabled=1")

    Device(str(tmp_path / "pipe")).call(write)
    assert os.read(reader, 100) == b"\ndisabled=1\n"
    os.close(reader)


@pytest.mark.usefixtures("any_file")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x" * 257 + b"\n", "a line of 257 bytes"),
        (b"disabled=0\n" * 10000, "more than 65536 bytes"),
        (b"\x7fELF\xff\xfe\n", "is no text"),
    ],
)
def test_garbage_is_an_error_of_its_own(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    path.write_bytes(content)
    with pytest.raises(KernelError, match=says) as caught:
        Device(str(path)).call(read)
    assert (caught.value.errno, caught.value.retry) == (errno.EBADMSG, True)


@pytest.mark.parametrize("text", ["x" * 257, "a\nb", "delay_pkts=\u0661"])
def test_no_line_is_written_that_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        Device("/dev/null").call(lambda session: session.line(text))


@pytest.mark.usefixtures("any_file")
def test_an_error_names_path_and_line(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="/dev/full: disabled=0: No space left on device"):
        Device("/dev/full").call(lambda session: session.line("disabled=0"))
    with pytest.raises(KernelError, match="Is a directory"):
        Device(str(tmp_path)).call(read)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """A device whose lock another open file holds, until the value is called."""
    path = tmp_path / "ctl"
    path.write_text("disabled=0\n")
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    yield lambda: fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


@pytest.mark.usefixtures("any_file")
def test_a_lock_is_waited_for(held: Callable[[], None], tmp_path: Path) -> None:
    timer = threading.Timer(0.3, held)
    timer.start()
    start = time.monotonic()
    assert Device(str(tmp_path / "ctl")).call(read) == ["disabled=0", ""]
    assert time.monotonic() - start >= 0.25
    timer.join()


@pytest.mark.usefixtures("any_file")
def test_a_lock_that_is_never_given_is_an_error(held: Callable[[], None], tmp_path: Path) -> None:
    device = Device(str(tmp_path / "ctl"), seconds=0.2)
    with pytest.raises(KernelError, match=r"another program has held its lock for 0\.2 s"):
        device.call(read, shared=True)
    held()

    def answers() -> bool:
        try:
            return bool(device.call(read))
        except KernelError:
            return False

    wait_for("an answer", answers, 5)


@pytest.mark.usefixtures("any_file")
def test_two_readers_do_not_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    path.write_text("disabled=0\n")

    def nested(session: Session) -> list[str]:
        return Device(str(path)).call(read, shared=True)

    assert Device(str(path)).call(nested, shared=True) == ["disabled=0", ""]


@pytest.mark.usefixtures("any_file")
def test_a_call_that_hangs_is_left_behind_and_ends_before_it_writes(tmp_path: Path) -> None:
    """A pipe that nobody writes to blocks the reader as a driver can."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keep = os.open(pipe, os.O_RDWR)
    device = Device(str(pipe), seconds=0.2)
    ran: list[str] = []

    def work(session: Session) -> None:
        ran.append("begun")
        os.read(keep, 100)
        try:
            session.line("disabled=1")
        finally:
            ran.append("ended")

    start = time.monotonic()
    with pytest.raises(KernelError, match=r"does not answer within 0\.2 s") as caught:
        device.call(work)
    assert 0.2 <= time.monotonic() - start < 5
    assert (caught.value.errno, caught.value.retry) == (errno.ETIMEDOUT, True)
    start = time.monotonic()
    with pytest.raises(KernelError, match="does not answer"):
        device.call(work)
    assert time.monotonic() - start < 0.2, "it does not wait, nor start another thread"
    assert ran == ["begun"]
    os.write(keep, b"x")  # the driver lets go
    wait_for("the end of the thread", lambda: ran == ["begun", "ended"], 5)

    def answers() -> bool:
        try:
            return device.call(lambda session: True)
        except KernelError:
            return False

    wait_for("an answer", answers, 5)
    os.set_blocking(keep, False)
    with pytest.raises(BlockingIOError):
        os.read(keep, 100)
    os.close(keep)
