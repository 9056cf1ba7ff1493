# SPDX-License-Identifier: GPL-2.0-only
"""natflowd, the broker and the command as real processes, with a bus of their own.

Without a module in the kernel natflowd says so; ``fake=True`` starts it on the module in memory
of unit/kernel/fake.py instead.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from natflow.bus import Bus, BusError, open_bus

ON = "config natflow 'main'\n\toption enabled '1'\n"
FAKE = Path(__file__).parent / "fakedaemon.py"
SECONDS = 60.0  # the longest any of these waits, on the slowest machine


def wait_for(what: str, ready: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """What ``ready`` returns as soon as it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        result = ready()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen in {seconds} s")


class Router:
    """A directory with a configuration, a broker and a natflowd."""

    def __init__(self, directory: Path, config: str = ON) -> None:
        self.directory = directory
        self.socket = str(directory / "ubus.sock")
        self.log = directory / "log"
        self.broker: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None
        self.write(config)
        self._bus: Bus | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NATFLOW")},
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "UBUS_SOCKET": self.socket,
            "UCI_CONFIG_DIR": str(directory),
            "NATFLOW_BUS": "embedded",
        }

    def write(self, config: str) -> None:
        (self.directory / "natflow").write_text(config, encoding="utf-8")

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments], env=self.environment, stdout=log, stderr=log
            )

    def start_broker(self) -> None:
        self.broker = self._start("-m", "natflow.bus.broker", "--socket", self.socket)
        wait_for("the broker's socket", lambda: os.path.exists(self.socket))

    def start_daemon(self, *options: str, fake: bool = False) -> subprocess.Popen[bytes]:
        program = [str(FAKE)] if fake else ["-m", "natflow.daemon"]
        self.daemon = self._start(*program, "--uci", "embedded", *options)
        return self.daemon

    def start(self, fake: bool = False) -> None:
        self.start_broker()
        self.start_daemon(fake=fake)
        self.wait_for_daemon()

    def wait_for_daemon(self) -> None:
        """Until natflowd answers: it takes its name first, and then reads its configuration."""
        wait_for("natflowd on the bus", self.served)
        self.call("status")

    @property
    def bus(self) -> Bus:
        if self._bus is None or not self._bus.connected:
            if self._bus is not None:
                self._bus.close()
            self._bus = open_bus(self.socket, "embedded")
        return self._bus

    def served(self) -> bool:
        try:
            return "natflow" in self.bus.objects("natflow")
        except BusError:
            return False

    def call(self, method: str, **args: Any) -> dict[str, Any]:
        return self.bus.call("natflow", method, args, SECONDS)

    def said(self, text: str) -> bool:
        return text in self.log.read_text(encoding="utf-8")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command natflow."""
        return subprocess.run(
            [sys.executable, "-m", "natflow.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def signal(self, number: int) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(number)

    def stop_daemon(self) -> int:
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        return self.daemon.wait(SECONDS)

    def close(self) -> None:
        if self._bus is not None:
            self._bus.close()
        for process in (self.daemon, self.broker):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(SECONDS)
