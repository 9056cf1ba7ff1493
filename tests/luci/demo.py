# SPDX-License-Identifier: GPL-2.0-only
"""scripts/demo --web as a person runs it: the command, its page, and the router behind it."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from luci.browser import Browser
from luci_host.server import LOGINS, PACKAGE

from natflow.bus import open_bus

REPO = PACKAGE.parents[1]
UP_SECONDS = 300.0  # the module may have to be built, and a kernel fetched
END_SECONDS = 90.0


class DemoRouter:
    """The command, from its start until it has said where the page and the bus are."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        with errors.open("wb") as log:
            self.process = subprocess.Popen(
                [str(REPO / "scripts/demo"), "--web", "--port", "0"],
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.said = self._listen()
        found = re.search(r"^(http://127\.0\.0\.1:\d+)/$", self.said, re.M)
        assert found, self.said
        self.url = found.group(1)
        (self.socket,) = re.findall(r"UBUS_SOCKET=(\S+)$", self.said, re.M)

    def _listen(self) -> str:
        assert self.process.stdout is not None
        said = b""
        until = time.monotonic() + UP_SECONDS
        while b"UBUS_SOCKET=" not in said or not said.endswith(b"\n"):
            left = until - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            part = self.process.stdout.read1(4096) if ready else b""
            if not part:
                self.interrupt()
                raise AssertionError(f"no router: {self._errors.read_text(errors='replace')}")
            said += part
        return said.decode()

    def call(self, name: str, method: str, **arguments: Any) -> dict[str, Any]:
        """`ubus call NAME METHOD` on the router's bus."""
        bus = open_bus(self.socket, "embedded")
        try:
            return bus.call(name, method, arguments)
        finally:
            bus.close()

    def kernel(self) -> dict[str, Any]:
        """What the module says over netlink; natflowd and the pages have no part in it."""
        return self.call("demo", "kernel")

    def run(self, *command: str) -> str:
        """A program in the router's network namespace; its output."""
        return str(self.call("demo", "run", command=list(command))["output"])

    def login(self, browser: Browser, user: str = "root") -> None:
        """Through the form, as a person does."""
        browser.leave()
        browser.url = self.url
        browser.driver.get(f"{self.url}/")
        name = browser.find("[name=luci_username]")
        name.clear()
        name.send_keys(user)
        browser.find("[name=luci_password]").send_keys(LOGINS[user].password)
        browser.find("#login button").click()
        browser.find("#nf-toggle")

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
