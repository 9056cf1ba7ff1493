# SPDX-License-Identifier: GPL-2.0-only
"""The part on this machine: python -m webdemo --help. Prints where the page is, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from luci_host.server import LOGINS, Host

from natflow.bus import BusError, open_bus
from natflow.bus.broker import Broker

REPO = Path(__file__).resolve().parents[3]
UP_SECONDS = 180.0
CALL_SECONDS = 30.0
END_SECONDS = 60.0
FOREVER = 7 * 24 * 3600  # seconds

#: The router's configuration when it starts; the pages change it.
PACKAGES = {
    "natflow": "config natflow 'main'\n\toption enabled '1'\n",
    "firewall": "config defaults\n\toption input 'REJECT'\n\toption flow_offloading '0'\n",
    "luci": "",  # LuCI's own form asks for it
}


class Ended(Exception):
    """The virtual router is no longer there."""


class Demo:
    """The virtual router, seen from this machine. ``folder`` takes the bus and the configuration.

    kernel: which one to boot; seconds: when it is killed, however it is.
    """

    def __init__(self, folder: Path, kernel: str, seconds: int) -> None:
        self.socket = str(folder / "ubus.sock")
        self.config = folder / "config"
        self.config.mkdir()
        for name, text in PACKAGES.items():
            (self.config / name).write_text(text, encoding="utf-8")
        self._broker = Broker(self.socket)
        self._bus = threading.Thread(target=self._broker.run, daemon=True)
        self._bus.start()
        command = [str(REPO / "scripts/vm"), "--kernel", kernel, "--timeout", str(seconds)]
        command += ["--reach", self.socket, "--env", f"PYTHONPATH={REPO}/src:{REPO}/scripts/lib"]
        command += ["--", sys.executable, "-m", "webdemo.guest"]
        # A session of its own: Ctrl-C is for us, and we stop it in good order.
        self._machine = subprocess.Popen(command, stdout=sys.stderr, start_new_session=True)

    def call(self, name: str, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method of an object on the bus; raises BusError."""
        bus = open_bus(self.socket, "embedded")
        try:
            return bus.call(name, method, arguments, CALL_SECONDS)
        finally:
            bus.close()

    def await_object(self, name: str) -> None:
        """Until the object is on the bus; raises Ended when that will not be."""
        until = time.monotonic() + UP_SECONDS
        bus = open_bus(self.socket, "embedded")
        try:
            while name not in bus.objects(name):
                self.check()
                if time.monotonic() > until:
                    raise Ended(f"{name} did not come to the bus in {UP_SECONDS:.0f} s")
                time.sleep(0.1)
        finally:
            bus.close()

    def start(self) -> None:
        """Wait for the router, then start natflowd on it."""
        self.await_object("demo")
        self.applied(list(PACKAGES))
        self.call("demo", "start")
        self.await_object("luci.natflow")

    def check(self) -> None:
        """Raises Ended when the virtual machine has gone."""
        if self._machine.poll() is not None:
            raise Ended(f"the virtual router ended with {self._machine.returncode}")

    def applied(self, packages: list[str]) -> None:
        """What procd's triggers do: the router is told the packages that were applied."""
        files = {name: (self.config / name).read_text(encoding="utf-8") for name in packages}
        self.call("demo", "apply", files=files)

    def service(self, name: str, action: str) -> None:
        """What ``rc init`` does."""
        if (name, action) == ("natflow", "start"):
            self.call("demo", "start")

    def close(self) -> int:
        """Shut the router down; the exit code of scripts/vm."""
        with contextlib.suppress(BusError):
            self.call("demo", "stop")
        try:
            status = self._machine.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._machine.terminate()
            status = self._machine.wait()
        self._broker.stop()
        self._bus.join()
        return status


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM."""
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
    yield event


def main() -> int:
    """Boot, serve, wait, shut down; 1 when the router or its kernel had trouble."""
    parser = argparse.ArgumentParser(prog="webdemo", description=__doc__)
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--port", type=int, default=8080, help="on 127.0.0.1; 0: a free one")
    parser.add_argument("--seconds", type=int, default=0, help="default: until Ctrl-C")
    options = parser.parse_args()
    trouble = ""
    with interrupts() as stop, tempfile.TemporaryDirectory(prefix="natflow-") as folder:
        limit = options.seconds + int(UP_SECONDS + END_SECONDS) if options.seconds else FOREVER
        demo = Demo(Path(folder), options.kernel, limit)
        try:
            demo.start()
            web = Host(demo.socket, demo.config, demo.applied, demo.service, port=options.port)
            web.start()
            print(f"{web.url}/\n")
            for user, may in (("root", "may do everything"), ("guest", "may only look")):
                print(f"  login {user}, password {LOGINS[user].password}: {may}")
            print(f"\nCtrl-C ends it. The router's bus: UBUS_SOCKET={demo.socket}", flush=True)
            until = time.monotonic() + (options.seconds or FOREVER)
            while not stop.wait(0.5) and time.monotonic() < until:
                demo.check()
            web.close()
        except (Ended, BusError, OSError) as error:
            trouble = str(error)
        status = demo.close()
    if trouble or status:
        print(f"demo: {trouble or f'the virtual router ended with {status}'}", file=sys.stderr)
    return 1 if trouble or status else 0


if __name__ == "__main__":
    sys.exit(main())
