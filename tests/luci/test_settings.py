# SPDX-License-Identifier: GPL-2.0-only
"""The settings page, in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from luci.browser import Browser
from luci.web import Web
from luci_host.server import PACKAGE
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from natflow import exceptions
from natflow.kernel import uapi
from natflow.kernel.ctl import COMMANDS
from natflow.problems import TRUE
from natflow.service.foreign import NOT_BUILT
from natflow.settings import NUMBERS, OPTIONS
from natflow.uci import Section

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


def test_the_hardware_has_a_tab(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("hardware")
    browser.login(web.host)
    browser.open("settings")
    tab(browser, "hardware")
    mode = Select(browser.find(field("hwnat_mode")))
    assert [option.get_attribute("value") for option in mode.options] == list(uapi.HW_MODES)
    assert mode.first_selected_option.get_attribute("value") == "auto"
    mode.select_by_value("always")
    put(browser, "hw_min_rate", "70000")
    browser.picture("settings-hardware")
    browser.find(".cbi-button-apply").click()
    settings = browser.until(
        "the settings",
        lambda: (got := web.call("info")["settings"])["hw_min_rate"] == 70000 and got,
    )
    assert settings["hwnat_mode"] == "always"
    assert "option hwnat_mode 'always'" in web.read()


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


def test_the_words_for_on_are_those_of_the_daemon() -> None:
    block = re.search(r"const ON = \[(.*?)\];", SETTINGS.read_text(encoding="utf-8"))
    assert block is not None
    assert re.findall(r"'(\w+)'", block.group(1)) == list(TRUE)


ADD = "#cbi-natflow-exception .cbi-button-add"
ROW = "#cbi-natflow-exception tr.cbi-section-table-row:not(.placeholder)"
KEEP = ".modal .cbi-button-positive"


def condition(browser: Browser, option: str) -> WebElement:
    """The control of an option in the dialog of an exception."""
    return browser.find(f".modal [id^='widget.cbid.natflow.'][id$='.{option}']")


def put_condition(browser: Browser, option: str, value: str) -> None:
    box = condition(browser, option)
    box.clear()
    box.send_keys(value)


def closed(browser: Browser) -> None:
    browser.until("the page", lambda: not browser.all("body.modal-overlay-active"))


def apply(browser: Browser, web: Web) -> None:
    web.applied.clear()
    browser.find(".cbi-page-actions .cbi-button-apply").click()
    browser.until("it is applied", lambda: web.applied == ["natflow"])
    closed(browser)


def test_an_exception_is_added_changed_and_deleted(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("settings")
    browser.find(ADD).click()
    for option, value in (("name", "Büro"), ("src", "192.168.1.0/24"), ("port", "5060-5070")):
        put_condition(browser, option, value)
    Select(condition(browser, "proto")).select_by_value("udp")
    browser.picture("settings-exception")
    browser.find(KEEP).click()
    closed(browser)
    browser.says(ROW, "Source 192.168.1.0/24, Protocol udp, Port 5060-5070")
    assert "exception" not in web.read(), "it is not applied yet"
    apply(browser, web)
    text = web.read()
    assert "\nconfig exception\n" in text
    for line in ("name 'Büro'", "src '192.168.1.0/24'", "port '5060-5070'", "proto 'udp'"):
        assert f"\toption {line}\n" in text
    assert "enabled '0'" not in text
    in_force = web.call("info")["exceptions"]
    assert [each["name"] for each in in_force] == ["Büro"]
    browser.find(f"{ROW} .cbi-button-edit").click()
    put_condition(browser, "mac", "02:00:00:12:34:56")
    put_condition(browser, "mark", "0x100/0x100")
    # LuCI's theme draws a box of its own over the browser's.
    box = browser.all(".modal [data-name=enabled] input[type=checkbox]")[0]
    browser.script("arguments[0].click()", box)
    browser.find(KEEP).click()
    closed(browser)
    browser.says(ROW, "MAC address 02:00:00:12:34:56, Connection mark 0x100/0x100")
    apply(browser, web)
    assert "\toption enabled '0'\n" in web.read()
    browser.until("it is off", lambda: not web.call("info")["exceptions"])
    browser.find(f"{ROW} .cbi-button-remove")
    browser.picture("settings-exceptions")
    browser.find(f"{ROW} .cbi-button-remove").click()
    browser.until("the row gone", lambda: not browser.all(ROW))
    apply(browser, web)
    assert "exception" not in web.read()


WRONG_CONDITIONS = (
    ("src", "192.168.1"),
    ("port", "5060-"),
    ("device", "not a device"),
    ("device", "longer-than-15-chars"),
    ("mac", "02:00:00:12:34"),
    ("mark", "0x1f/0x0f"),
)


def test_an_exception_that_is_wrong_is_not_kept(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("settings")
    for option, value in WRONG_CONDITIONS:
        browser.find(ADD).click()
        put_condition(browser, option, value)
        browser.find(KEEP).click()
        assert browser.all("body.modal-overlay-active"), value
        browser.find(".modal .button-row .btn").click()
        closed(browser)
        browser.until("no row", lambda: not browser.all(ROW))
    assert all(not changes for changes in busy.host.staged._changes.values())


def staged(web: Web) -> bool:
    return any(web.host.staged._changes.values())


def complaint(browser: Browser) -> str:
    """What the dialog says of an exception without a condition; LuCI's own has it in a tooltip."""
    tooltip = condition(browser, "src").get_attribute("data-tooltip") or ""
    return browser.text(".modal [data-name=src]") + tooltip


def daemons_words() -> str:
    """What natflowd says of an exception without a condition, before its list of options."""
    _, problems = exceptions.read(Section("exception", "anything"), "")
    words, found, _ = problems[0].reason.partition(" src, ")
    assert found
    return words


def test_an_exception_without_a_condition_is_not_kept(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("settings")
    browser.find(ADD).click()
    put_condition(browser, "name", "Büro")
    browser.find(KEEP).click()
    browser.until("the reason", lambda: daemons_words() in complaint(browser).lower())
    assert "Source, Destination, Protocol, Port, Device, MAC" in complaint(browser)
    assert browser.all("body.modal-overlay-active")
    assert not staged(web)
    browser.picture("settings-exception-empty")
    put_condition(browser, "port", "22")
    browser.find(KEEP).click()
    closed(browser)
    browser.says(ROW, "Port 22")
    apply(browser, web)
    browser.until("it is in force", lambda: web.call("info")["exceptions"])
    # One that is off may be empty: natflowd does not mind.
    browser.find(f"{ROW} .cbi-button-edit").click()
    put_condition(browser, "port", "")
    box = browser.all(".modal [data-name=enabled] input[type=checkbox]")[0]
    browser.script("arguments[0].click()", box)
    browser.find(KEEP).click()
    closed(browser)
    browser.says(ROW, "nothing yet")
    apply(browser, web)
    assert "port" not in web.read()
    assert web.call("status")["config_errors"] == []


def test_nothing_is_saved_beside_an_exception_without_a_condition(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    """natflowd would refuse all of it."""
    web = make_router("busy")
    web.write(
        "config natflow 'main'\n\toption enabled '1'\n"
        "config exception\n\toption port '22'\n"
        "config exception\n\toption enabled '0'\n"
        "config exception\n\toption proto ''\n"
        "config exception 'desk'\n\toption name 'Büro'\n"
    )
    browser.login(web.host)
    browser.open("settings")
    rows = browser.texts(f"{ROW} [data-name=_matches]")
    assert rows[:2] == ["Port 22", "nothing yet"]
    assert all(daemons_words() in row.lower() for row in rows[2:])
    browser.picture("settings-exceptions-empty")
    tab(browser, "learning")
    put(browser, "delay_pkts", "20")
    for button in ("save", "apply"):
        browser.find(f".cbi-page-actions .cbi-button-{button}").click()
        browser.says(".modal", "Exception Büro: It has no condition")
        assert "Exception 3: It has no condition" in browser.text(".modal")
        assert "Exception 1" not in browser.text(".modal")
        browser.find(".modal .right button").click()
        closed(browser)
    assert not staged(web)
    assert web.applied == []
    browser.find(f"{ROW}:nth-last-child(2) .cbi-button-remove").click()
    browser.until("the row gone", lambda: len(browser.all(ROW)) == 3)
    browser.find(f"{ROW}:last-child .cbi-button-edit").click()
    put_condition(browser, "device", "br-lan")
    browser.find(KEEP).click()
    closed(browser)
    browser.says(f"{ROW}:last-child", "Device br-lan")
    tab(browser, "learning")
    put(browser, "delay_pkts", "20")
    apply(browser, web)
    in_force = browser.until("both", lambda: web.call("info")["exceptions"])
    assert [each["text"] for each in in_force] == ["port 22", "device br-lan"]
    assert web.call("info")["settings"]["delay_pkts"] == 20


def described(browser: Browser, option: str) -> str:
    (text,) = browser.texts(f"#cbi-natflow [data-name={option}] .cbi-value-description")
    return text


EFFECT = "It has no effect: the module that is loaded has no such setting."


def test_what_the_other_module_lacks_is_marked(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    """x-wrt's has four of the settings. The others are marked, and may be taken away."""
    web = make_router("foreign")
    web.write("config natflow 'main'\n\toption enabled '1'\n\toption max_flows '1000'\n")
    browser.login(web.host)
    browser.open("settings")
    marked = {option for option in OPTIONS if EFFECT in described(browser, option)}
    assert marked == {*OPTIONS} - COMMANDS.keys()
    assert "has no exceptions" in browser.text("#cbi-natflow-exception .cbi-section-descr")
    off = "#view input[disabled], #view select[disabled], #view button[disabled]"
    assert browser.all(off) == []
    tab(browser, "limits")
    browser.picture("settings-foreign")
    put(browser, "max_flows", "")
    tab(browser, "learning")
    put(browser, "delay_pkts", "20")
    apply(browser, web)
    browser.until("it is in force", lambda: web.call("info")["settings"]["delay_pkts"] == 20)
    assert "max_flows" not in web.read()


def test_a_module_without_hardware_is_told_of_once(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("foreign-software")
    browser.login(web.host)
    browser.open("settings")
    for option in ("hwnat", "hwnat_wed"):
        assert described(browser, option).endswith(f" {NOT_BUILT}"), option
        assert EFFECT not in described(browser, option)


def test_our_module_lacks_nothing(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("settings")
    assert [option for option in OPTIONS if "no effect" in described(browser, option)] == []
    assert "no effect" not in browser.text("#cbi-natflow-exception .cbi-section-descr")
