# SPDX-License-Identifier: GPL-2.0-only
"""The settings page, in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from luci.browser import Browser
from luci.web import Web
from luci_host.server import PACKAGE

from natflow.kernel import uapi
from natflow.settings import NUMBERS

SETTINGS = PACKAGE / "htdocs/luci-static/resources/view/natflow/settings.js"


def field(option: str) -> str:
    """The control of an option, in LuCI's form as in ours."""
    return f"[id='widget.cbid.natflow.main.{option}']"


def put(browser: Browser, option: str, value: str) -> None:
    box = browser.find(field(option))
    box.clear()
    box.send_keys(value)


def tab(browser: Browser, name: str) -> None:
    browser.find(f".cbi-tabmenu [data-tab={name}] a").click()


def test_save_and_apply_reaches_the_module(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("settings")
    tab(browser, "learning")
    browser.picture("settings-learning")
    put(browser, "delay_pkts", "20")
    tab(browser, "exceptions")
    put(browser, "exclude_mark", "0x10/0xf0")
    browser.find(".cbi-button-apply").click()
    browser.until("it is applied", lambda: web.applied == ["natflow"])
    settings = browser.until(
        "the settings",
        lambda: (got := web.call("info")["settings"])["delay_pkts"] == 20 and got,
    )
    assert settings["exclude_mark"] == "0x10/0xf0"
    assert "option delay_pkts '20'" in web.read()
    # The page comes back by itself, with the new values.
    browser.until("the page anew", lambda: not browser.all("body.modal-overlay-active"))
    tab(browser, "learning")
    assert browser.find(field("delay_pkts")).get_attribute("value") == "20"


NOT_ALLOWED = (
    ("learning", "delay_pkts", "70000"),
    ("learning", "idle_timeout", "1"),
    ("limits", "max_flows", "many"),
    ("exceptions", "exclude_mark", "0"),
    ("exceptions", "exclude_mark", "0x1f/0x0f"),
    ("exceptions", "exclude_mark", "0x1ffffffff"),
)


def test_what_is_not_allowed_is_not_saved(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    for name, option, value in NOT_ALLOWED:
        browser.open("settings")
        tab(browser, name)
        put(browser, option, value)
        browser.find(".cbi-button-save").click()
        browser.find(".modal")
        assert browser.all("body.modal-overlay-active"), value
    assert all(not changes for changes in busy.host.staged._changes.values())


def test_the_limits_are_those_of_the_daemon() -> None:
    """The page has a copy for the day the daemon does not answer."""
    text = SETTINGS.read_text(encoding="utf-8")
    block = re.search(r"const LIMITS = (\{.*?\n\});", text, re.DOTALL)
    assert block is not None
    table = json.loads(re.sub(r"(\w+):", r'"\1":', block.group(1)))
    assert table == {
        name: {"min": uapi.SETTINGS[name][0], "max": uapi.SETTINGS[name][1], "default": default}
        for name, default in NUMBERS.items()
    }
