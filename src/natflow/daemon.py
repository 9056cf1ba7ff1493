# SPDX-License-Identifier: GPL-2.0-only
"""natflowd: brings the configuration into the module and serves the ubus object natflow.

It is never in the data path. The module holds all state, so starting, killing or upgrading the
daemon costs no packet and no counter. It writes nothing to disk but the pid file it is told of,
and what the next boot must know about WED (wed.py).

SIGHUP reads the configuration again, SIGTERM and SIGINT end it; the module goes on as it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from natflow import __version__
from natflow.options import UsageError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from natflow.bus import Bus
    from natflow.kernel.commits import CommitSocket
    from natflow.kernel.events import EventSocket
    from natflow.kernel.interface import KernelModule
    from natflow.service import Service
    from natflow.uci import Uci

USAGE = """\
Usage: natflowd [OPTION]...
Applies the natflow configuration to the kernel module and serves the ubus object natflow.

  --socket PATH      the bus (default: $UBUS_SOCKET, /var/run/ubus/ubus.sock)
  --bus BACKEND      auto, libubus or embedded (default: $NATFLOW_BUS, auto)
  --config-dir DIR   where the UCI packages lie (default: $UCI_CONFIG_DIR, /etc/config)
  --uci BACKEND      auto, pyuci or embedded (default: auto)
  --pidfile PATH     write the process id there, remove it at the end
  --version          print the version
  --help             print this

It stays in the foreground and writes short lines to standard error.
"""

FLAGS = ("--version", "--help")
VALUES = {
    "--socket": (),
    "--bus": ("auto", "libubus", "embedded"),
    "--config-dir": (),
    "--uci": ("auto", "pyuci", "embedded"),
    "--pidfile": (),
}

TICK_SECONDS = 1.0  # python-ubus notices signals and a dead bus between two ticks only

RULES_SLOW = "They act on accelerated flows within the re-proof interval"

OK, FAILED, USED_WRONGLY = 0, 1, 2


def log(text: str) -> None:
    """One line for the system log, which procd and systemd feed from standard error."""
    print(f"natflowd: {text}", file=sys.stderr, flush=True)


class Daemon:
    """The loop: signals, the module's events, the bus."""

    def __init__(
        self, bus: Bus, uci: Uci, open_kernel: Callable[[], KernelModule], pidfile: str = ""
    ) -> None:
        from natflow.control import Control
        from natflow.service import Service

        self.bus = bus
        self.control = Control(uci, open_kernel)
        self.control.on_connect = self._connected
        backend = "libubus" if "libubus" in type(bus).__module__ else "embedded"
        self.service: Service = Service(self.control, bus, backend)
        self._pidfile = pidfile
        self._events: EventSocket | None = None
        self._commits: CommitSocket | None = None
        self._running = True
        self._reload = False
        self._said: list[str] = []
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until a signal ends it. BusError when another natflowd has the objects."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signal)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        self.bus.watch(self._wake, self._drain)
        self.service.serve()  # before all else: a second natflowd must not touch anything
        if self._pidfile:
            with open(self._pidfile, "w", encoding="ascii") as stream:
                stream.write(f"{os.getpid()}\n")
        self.service.configure()
        self.service.update()
        self._report()
        while self._running:
            self.bus.tick(TICK_SECONDS)
            reload, self._reload = self._reload, False
            if reload:
                log("reading the configuration again")
                self.service.reload()
            else:
                self.service.tick()
            self._report(reload)
        log("ends; the module goes on as it is")
        if self._pidfile:
            with contextlib.suppress(OSError):
                os.unlink(self._pidfile)

    def close(self) -> None:
        """Leave the bus and the module."""
        signal.set_wakeup_fd(-1)
        for listener in (self._events, self._commits):
            if listener is not None:
                listener.close()
        self.control.close()
        self.bus.close()
        os.close(self._wake)
        os.close(self._woken)

    def _signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self._running = False

    def _drain(self) -> None:
        """The bytes that set_wakeup_fd wrote have done their work: the tick has ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 512)

    def _connected(self, kernel: KernelModule) -> None:
        from natflow.kernel.errors import KernelError

        if not kernel.tells:
            return
        # Sockets outlive the module: the first joins the groups of the next one by itself.
        if self._events is None:
            try:
                self._events = kernel.events()
            except KernelError as error:
                log(f"hears no events of the module: {error}")
            else:
                self.bus.watch(self._events.fileno(), self._heard)
        if self._commits is None:
            try:
                self._commits = kernel.commits()
            except KernelError as error:
                log(f"hears of no new rules: {error}. {RULES_SLOW}")
            if self._commits is not None:
                self.bus.watch(self._commits.fileno(), self._committed)

    def _heard(self) -> None:
        from natflow.kernel.errors import KernelError

        events = self._events
        if events is None:
            return
        try:
            for event in events.read():
                self.service.event(event)
        except KernelError as error:
            log(f"hears no more events of the module: {error}")
            self.bus.watch(events.fileno(), None)
            events.close()
            self._events = None

    def _committed(self) -> None:
        """New rules: what flows now must pass them before it is fast again."""
        from natflow.kernel.errors import KernelError

        commits = self._commits
        if commits is None:
            return
        try:
            changed = commits.read()
        except KernelError as error:
            log(f"hears of no more new rules: {error}. {RULES_SLOW}")
            self.bus.watch(commits.fileno(), None)
            commits.close()
            self._commits = None
            return
        if changed:
            with contextlib.suppress(KernelError):  # without a module nothing is fast
                self.control.kernel().reprove()

    def _report(self, again: bool = False) -> None:
        """Log what is wrong, once or again, and that nothing is any more."""
        control = self.control
        lines = [f"{problem.severity}: {problem}" for problem in control.warned()]
        if control.fault is not None:
            lines.append(f"{control.fault}. {control.fault.hint}".strip())
        if self.service.hardware.wed.notice:
            lines.append(self.service.hardware.wed.notice)
        for line in lines:
            if again or line not in self._said:
                log(line)
        if self._said and not lines:
            log("all is well again")
        self._said = lines


def open_kernel() -> KernelModule:
    """natflow.ko through netlink or, without it, the older module of that name.

    Loaded here because pyroute2's codec is the heaviest import, and the other one is rare.
    """
    from natflow import host
    from natflow.kernel.client import Kernel
    from natflow.kernel.errors import ModuleMissing

    try:
        return Kernel()
    except ModuleMissing:
        if not host.control_device():
            raise
    from natflow.kernel.ctl import ControlDevice

    return ControlDevice(host.CONTROL)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program natflowd; returns its exit code."""
    try:
        options, words = parse(sys.argv[1:] if arguments is None else arguments, FLAGS, VALUES)
        if words:
            raise UsageError(f"{words[0]!r} is not understood; natflowd takes options only")
    except UsageError as error:
        print(f"natflowd: {error}\nTry: natflowd --help", file=sys.stderr)
        return USED_WRONGLY
    if "--help" in options:
        print(USAGE, end="")
        return OK
    if "--version" in options:
        print(f"natflowd {__version__}")
        return OK
    return _serve(options)


def _serve(options: dict[str, str]) -> int:
    from natflow.bus import BusError, open_bus
    from natflow.uci import open_uci

    daemon = None
    try:
        uci = open_uci(options.get("--uci", "auto"), options.get("--config-dir", ""))
        bus = open_bus(options.get("--socket"), options.get("--bus"))
        daemon = Daemon(bus, uci, open_kernel, options.get("--pidfile", ""))
        daemon.run()
        return OK
    except BusError as error:
        log(f"cannot serve the ubus object natflow: {error}. Is another natflowd running?")
    except (ImportError, ValueError, OSError) as error:
        log(str(error))
    finally:
        if daemon is not None:
            daemon.close()
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
