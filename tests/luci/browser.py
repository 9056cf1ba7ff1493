# SPDX-License-Identifier: GPL-2.0-only
"""Debian's Chromium without a screen, and what the tests do in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from luci_host.server import COOKIE, LOGINS, Host
from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    UnexpectedAlertPresentException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = "/usr/bin/chromium"
CHROMEDRIVER = "/usr/bin/chromedriver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
)
SECONDS = 30.0  # the longest any of these waits, on the slowest machine
# A request that was refused, and what LuCI itself says besides its dialogs.
MEANT = (
    "Failed to load resource",
    'Uncaught TypeError: Option "',
    "Uncaught TypeError: Exception ",
    "Uncaught Error: Login session is expired",
)
DESKTOP, PHONE = (1280, 900), (390, 844)


class Browser:
    """One window. Every wait polls and has an end."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, Service(CHROMEDRIVER))
        self.driver.set_page_load_timeout(SECONDS)
        self.url = ""

    def close(self) -> None:
        self.driver.quit()

    def size(self, size: tuple[int, int]) -> None:
        """The page's own size, whatever the window around it has."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
        )

    def dark(self, on: bool) -> None:
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def language(self, name: str) -> None:
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(
            "Network.setExtraHTTPHeaders", {"headers": {"Accept-Language": name}}
        )

    def login(self, host: Host, user: str = "root") -> None:
        """Begin anew as this user, without the form."""
        self.url = host.url
        session = host.access.login(user, LOGINS[user].password)
        assert session is not None
        self.driver.get(f"{host.url}/luci-static/none")
        self.script("localStorage.clear(); sessionStorage.clear();")
        self.driver.add_cookie({"name": COOKIE, "value": session.sid, "path": "/"})

    def leave(self) -> None:
        """Forget who was logged in; nothing polls any more."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def open(self, page: str) -> None:
        """A page of the app, drawn."""
        self.driver.get(f"{self.url}/cgi-bin/luci/admin/network/natflow/{page}")
        self.find("#view .nf-page")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def usable(self, selector: str) -> list[WebElement]:
        """Those a person could use: seen, and not greyed out."""
        return [node for node in self.all(selector) if node.is_displayed() and node.is_enabled()]

    def find(self, selector: str) -> WebElement:
        """The element, waited for until it can be seen."""

        def seen() -> WebElement | None:
            return next((node for node in self.all(selector) if node.is_displayed()), None)

        found: WebElement = self.until(selector, seen)
        return found

    def text(self, selector: str) -> str:
        """Text as a person sees it; "" when it is not there."""
        try:
            return self.driver.find_element(By.CSS_SELECTOR, selector).text
        except (NoSuchElementException, StaleElementReferenceException):
            return ""

    def texts(self, selector: str) -> list[str]:
        """Texts of all that match, taken in one moment."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), n => n.innerText)"
        return list(self.driver.execute_script(script, selector))

    def says(self, selector: str, words: str) -> None:
        """Wait until the element's text holds the words."""
        self.until(f"{words!r} in {selector}", lambda: words in self.text(selector))

    def until(self, what: str, ready: Callable[[], Any]) -> Any:
        """What ``ready`` returns as soon as it is true."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                if result := ready():
                    return result
            except (StaleElementReferenceException, NoSuchElementException):
                pass
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come in {SECONDS:.0f} s: {self.text('body')}")

    def script(self, text: str, *values: Any) -> Any:
        return self.driver.execute_script(text, *values)

    def picture(self, name: str) -> None:
        """A screenshot of the whole page, where $NATFLOW_SCREENSHOTS names a directory."""
        directory = os.environ.get("NATFLOW_SCREENSHOTS")
        if not directory:
            return
        import base64

        width, height = self.script(
            "return [document.documentElement.clientWidth, document.documentElement.scrollHeight]"
        )
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
        )
        Path(directory, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the browser's console holds of errors, without those that tests cause on purpose."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and not any(text in entry["message"] for text in MEANT)
        ]

    def alert_open(self) -> bool:
        """Whether a script has opened an alert box."""
        try:
            self.driver.execute_script("return 1")
        except UnexpectedAlertPresentException:
            return True
        return False
