# SPDX-License-Identifier: GPL-2.0-only
"""The status page, in a browser."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from luci.browser import PHONE, Browser
from luci.routerd import HOSTILE
from luci.web import REAL_LUCI, Web
from luci_host.pages import catalogue
from luci_host.server import PACKAGE

from natflow import host
from natflow.service import obstacles


def test_a_login_opens_the_page(browser: Browser, busy: Web) -> None:
    browser.driver.get(f"{busy.host.url}/")
    browser.find("[name=luci_password]").send_keys("wrong")
    browser.find("#login button").click()
    browser.says(".alert-message", "Wrong name or password.")
    browser.find("[name=luci_password]").send_keys("natflow")
    browser.find("#login button").click()
    browser.find("#nf-toggle")


def test_it_shows_what_is_accelerated(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("status")
    browser.says("#nf-sentence", "Acceleration is on")
    assert browser.find("#nf-toggle").get_attribute("aria-checked") == "true"
    assert "21" in browser.text("[data-engine=software] .nf-facts")
    assert "Not available" in browser.text("[data-engine=hardware]")
    assert "No hardware that natflow knows was found." in browser.text("[data-engine=hardware]")
    assert "Software 99." in browser.text("#nf-share")
    assert "GiB" in browser.text("#nf-clients")
    assert "A connection tracking helper" in browser.text("[data-reason=helper]")
    assert browser.all(".nf-notice") == []
    # Two answers make a rate; the module in memory moves 88 Mbit/s in software.
    rate = "[data-figure=software-now]"
    browser.says(rate, " Mbit/s")
    # Wide enough for a machine that stalls, narrow enough to tell bits from bytes.
    assert 20 < float(browser.text(rate).split()[0]) < 300
    assert "Mbit/s" in (browser.find(".nf-graph svg").get_attribute("aria-label") or "")


def test_hosts_are_listed_and_can_be_unfolded(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("status")
    browser.find("#nf-more")
    assert len(browser.all(".nf-hosts tbody tr")) == 10
    browser.find("#nf-more").click()
    assert len(browser.all(".nf-hosts tbody tr")) == 15
    first = browser.texts(".nf-hosts tbody tr")[0]
    assert "laptop" in first and "fd00::10" in first and "100.0 %" in first


def test_luci_names_hosts_that_natflowd_cannot(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    web.host.rpc.hints = {
        "02:00:00:00:00:0A": {"name": "not-this-one.lan", "ipaddrs": ["192.168.1.10"]},
        "02:00:00:00:01:00": {"name": "printer.lan", "ipaddrs": [], "ip6addrs": []},
        "02:00:00:00:09:09": {"name": HOSTILE, "ipaddrs": ["192.168.1.31"]},
        "02:00:00:00:01:02": {"ipaddrs": ["192.168.1.32"]},
    }
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-clients", "laptop")  # natflowd knows best
    hosts = browser.texts(".nf-hosts tbody tr strong")
    assert {"laptop", "printer.lan", HOSTILE, "192.168.1.32"} <= set(hosts)
    assert "not-this-one.lan" not in hosts
    assert browser.all("#view img") == []
    browser.open("flows?search=printer")
    browser.says("#nf-empty", "No flow matches.")  # a host's name, not a device's
    assert browser.texts("#nf-notices") == [""]


def test_without_host_hints_the_pages_work(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    del web.host.rpc._own["luci-rpc"]  # a LuCI without rpcd-mod-luci
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-clients", "laptop")
    assert browser.all(".nf-notice") == []


def test_what_is_not_counted_is_said(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-sentence", "Acceleration is on")
    assert browser.text("#nf-uncounted") == ""
    web.call("set", options={"enabled": False})
    browser.says("#nf-uncounted", "nothing is counted")


def test_the_first_rate_can_be_seen(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("status")
    browser.says("[data-figure=total-now]", "bit/s")
    width = "return document.querySelector('.nf-area-software').getBoundingClientRect().width"
    browser.until("an area", lambda: browser.script(width) > 2)


def test_a_hostile_host_name_is_text(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    for page, place in (("status", ".nf-hosts"), ("flows?search=203.0.113.9", "#nf-rows")):
        browser.open(page)
        browser.says(place, HOSTILE)
        assert browser.all("#view img") == []
        assert not browser.alert_open()


def test_the_switch_changes_the_configuration_and_the_module(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("status")
    browser.find("#nf-toggle").click()
    browser.says("#nf-sentence", "Acceleration is off")
    assert web.call("status")["enabled"] is False
    assert "option enabled '0'" in web.read()
    assert web.applied == ["natflow"]
    browser.until("the switch", lambda: browser.find("#nf-toggle").is_enabled())
    assert browser.find("#nf-toggle").get_attribute("aria-checked") == "false"
    browser.find("#nf-toggle").click()
    browser.says("#nf-sentence", "Acceleration is on")
    assert web.call("status")["enabled"] is True
    assert "option enabled '1'" in web.read()
    assert browser.all(".alert-message") == []


def test_the_switch_never_applies_what_else_waits(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("settings")
    browser.script(
        """L.require('uci').then(uci =>
        uci.load('natflow').then(() => { uci.set('natflow', 'main', 'delay_pkts', '9');
        return uci.save(); }).then(() => { window.stagedDone = true; }));"""
    )
    browser.until("it is staged", lambda: browser.script("return window.stagedDone === true"))
    browser.open("status")
    browser.find("#nf-toggle").click()
    browser.says(".modal", "delay_pkts")
    browser.says(".modal", "enabled")
    assert web.applied == []
    assert web.call("status")["enabled"] is True


def test_a_read_only_login_sees_all_and_can_change_nothing(browser: Browser, busy: Web) -> None:
    browser.login(busy.host, "guest")
    browser.open("status")
    browser.says("#nf-readonly", "change nothing")
    assert not browser.find("#nf-toggle").is_enabled()
    browser.says("#nf-clients", "laptop")
    browser.open("flows")
    browser.says("#nf-rows", "192.168.1.10")
    assert browser.all("#nf-flush") == []
    browser.find(".nf-open").click()
    browser.says("#nf-why", "natflow forwards it in software")
    assert browser.all(".modal .cbi-button-negative") == []
    browser.open("settings")
    assert browser.usable("#view input, #view button") == []
    # And the router does not depend on the page: the calls are refused.
    answer = browser.driver.execute_async_script(
        """const done = arguments[arguments.length - 1]; L.require('natflow.bus').then(bus =>
        bus.flush({})).then(() => done('flushed'), error => done(error.kind));"""
    )
    assert answer == "denied"


def test_no_access_is_no_page(browser: Browser, busy: Web) -> None:
    browser.login(busy.host, "nobody")
    browser.driver.get(f"{busy.host.url}/cgi-bin/luci/admin/network/natflow/status")
    assert "no access" in browser.text("body")


def test_nothing_yet(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("empty")
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-share", "Nothing has been forwarded yet.")
    browser.says("#nf-clients", "No host has sent anything")
    browser.says("#nf-reasons", "nothing to explain")
    browser.open("flows")
    browser.says("#nf-empty", "There are no flows yet.")
    assert not browser.find("#nf-flush").is_enabled()


def test_the_module_is_missing(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("missing")
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-notices", "The kernel module is not loaded")
    assert not browser.find("#nf-toggle").is_enabled()
    browser.picture("missing-module")
    browser.find("#nf-notices button").click()
    browser.until("the start", lambda: web.started == [("natflow", "start")])
    browser.open("flows")
    browser.says("#nf-notices", "module")


def test_the_daemon_dies_and_comes_back(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-sentence", "Acceleration is on")
    assert web.daemon is not None
    web.daemon.kill()
    web.daemon.wait()
    browser.says("#nf-notices", "The daemon is not running")
    browser.says("#nf-sentence", "not known")
    assert not browser.find("#nf-toggle").is_enabled()
    browser.picture("dead-daemon")
    browser.find("#nf-notices button").click()
    browser.says("#nf-sentence", "Acceleration is on")
    browser.until("no notice", lambda: browser.all(".nf-notice") == [])


def test_a_page_opened_without_the_daemon(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    web.stop_daemon()
    browser.login(web.host)
    for page in ("status", "flows", "settings"):
        browser.open(page)
        browser.says("#view .nf-notice", "The daemon is not running")
        assert browser.all("#luci-error") == []


def test_a_slow_answer_says_so(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("busy")
    web.host.rpc.bus_seconds = 1.0
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-sentence", "Acceleration is on")
    web.signal(signal.SIGSTOP)
    try:
        browser.says("#nf-notices", "did not answer in time")
        assert "laptop" in browser.text("#nf-clients")  # what is known stays
    finally:
        web.signal(signal.SIGCONT)
    browser.says("#nf-sentence", "Acceleration is on")


def test_an_expired_session_asks_for_a_login(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    """The first two pages find it out by themselves, the third when something is saved. There
    LuCI's own form puts its dialog of errors over that of the session."""
    web = make_router("empty")
    for page in ("status", "flows", "settings"):
        browser.login(web.host)
        browser.open(page)
        web.host.access.expire()
        if page == "settings":
            browser.find(".cbi-button-save").click()
            browser.says("body", "expired")
        else:
            browser.says(".modal", "Session expired")
            browser.find(".modal .btn").click()
            browser.find("[name=luci_password]")


def test_a_conflict_is_mended_through_the_usual_dialog(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("busy")
    path = web.directory / "firewall"
    path.write_text("config defaults\n\toption flow_offloading '1'\n", encoding="utf-8")
    web.signal(signal.SIGHUP)
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-notices", "firewall's own flow offloading")
    browser.picture("conflict")
    browser.find("#nf-notices button").click()
    browser.says(".modal", "flow_offloading")
    assert "flow_offloading '1'" in web.read("firewall")  # nothing behind the user's back
    browser.find(".modal .cbi-button-positive").click()
    browser.until("it is applied", lambda: web.applied == ["firewall"])
    assert "flow_offloading '0'" in web.read("firewall")
    browser.until("the page anew", lambda: browser.texts("#nf-notices") == [""])


CONFLICTS = {
    "nft-flowtable": (host.FLOWTABLE_TEXT, host.FLOWTABLE_HINT),
    **{f"module-{name.replace('_', '-')}": (host.MODULE_TEXT, host.MODULE_HINT)
       for name in host.ACCELERATORS},
    "other-natflow": (host.OTHER_TEXT, host.OTHER_HINT),
    "filter": (obstacles.FILTER_TEXT, obstacles.FILTER_HINT),
    "shaper": (obstacles.SHAPER_TEXT, obstacles.SHAPER_HINT),
}  # fmt: skip


def test_conflicts_name_what_they_are_about(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    """The page has natflowd's sentences anew, to be translated: it says the same in English."""
    web = make_router("conflicts")
    told = web.call("status")["conflicts"]
    assert [conflict["code"] for conflict in told] == list(CONFLICTS)
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-notices", "must see every packet")
    for conflict, shown in zip(told, browser.texts("#nf-notices .nf-notice"), strict=True):
        assert conflict["text"] in shown
        assert conflict["hint"] in shown
    browser.picture("conflicts")


@pytest.mark.skipif(REAL_LUCI is not None, reason="LuCI's cbi.js finds texts by a hash of them")
def test_conflicts_speak_chinese(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("conflicts")
    chinese = catalogue(PACKAGE / "po/zh_Hans/natflow.po")
    browser.language("zh-CN")
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-notices", "lo ")
    shown = browser.texts("#nf-notices .nf-notice")
    for conflict, text in zip(web.call("status")["conflicts"], shown, strict=True):
        words = {
            name: ", ".join(value) if isinstance(value, list) else chinese.get(value, value)
            for name, value in conflict["data"].items()
        }
        for sentence in CONFLICTS[conflict["code"]]:
            assert chinese[sentence].format(**words) in text
        assert conflict["text"] not in text
        assert conflict["hint"] not in text
    browser.picture("conflicts-zh")


def test_errors_in_the_configuration_are_shown(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    web = make_router("empty")
    web.write("config natflow 'main'\n\toption enabled 'maybe'\n\tnonsense\n")
    web.signal(signal.SIGHUP)
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-notices", "The configuration has errors")


def test_light_dark_desktop_phone(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    for dark in (False, True):
        browser.dark(dark)
        for name, size in (("desktop", (1280, 900)), ("phone", PHONE)):
            browser.size(size)
            for page in ("status", "flows", "settings"):
                browser.open(page)
                if page == "status":
                    browser.says("[data-figure=total-now]", "bit/s")
                browser.picture(f"{page}-{name}-{'dark' if dark else 'light'}")
                # Not window.innerWidth: a phone's grows with a page that is too wide.
                cut = browser.script(
                    """return Array.from(document.querySelectorAll('#view *'))
                    .filter(n => n.getBoundingClientRect().right > arguments[0] + 1)
                    .map(n => n.outerHTML.slice(0, 80))""",
                    size[0],
                )
                assert cut == [], f"{page} is cut off on a {name}"


def test_a_poll_moves_nothing(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("status")
    browser.says("[data-figure=total-now]", "bit/s")
    places = """return Array.from(document.querySelectorAll('#view h3'), n =>
        Math.round(n.getBoundingClientRect().top + window.scrollY))"""
    before = browser.script(places)
    figure = browser.text("#nf-versions")
    browser.until("the next poll", lambda: browser.text("#nf-versions") != figure)
    assert browser.script(places) == before


@pytest.mark.skipif(REAL_LUCI is not None, reason="LuCI's cbi.js finds texts by a hash of them")
def test_it_speaks_chinese(browser: Browser, busy: Web) -> None:
    browser.language("zh-CN")
    browser.login(busy.host)
    browser.open("status")
    browser.says("#view h2", "流量加速")
    browser.picture("status-zh")


def test_a_module_that_tells_nothing_but_its_settings(
    browser: Browser, make_router: Callable[[str], Web]
) -> None:
    """x-wrt's: it is named and can be switched, and no number is shown that nobody counted."""
    web = make_router("foreign")
    browser.login(web.host)
    browser.open("status")
    browser.says("#nf-sentence", "By which engine the module does not tell")
    browser.says("#nf-versions", "x-wrt's natflow (/dev/natflow_ctl)")
    browser.says("#nf-untold", "tells no flows, hosts, reasons or counters")
    assert "does not tell" in browser.text("[data-engine=hardware]")
    assert "Flows" not in browser.text("#nf-engines")
    for section in ("#nf-share", "#nf-clients", "#nf-reasons", ".nf-graph"):
        assert not any(node.is_displayed() for node in browser.all(section)), section
    assert browser.all(".nf-notice") == []
    browser.find("#nf-toggle").click()
    browser.says("#nf-sentence", "Acceleration is off")
    assert web.call("status")["enabled"] is False
    browser.open("flows")
    browser.says("#nf-untold", "tells no flows, hosts, reasons or counters")
    assert not any(node.is_displayed() for node in browser.all("#nf-search"))
    assert browser.all(".nf-notice") == []
    browser.language("zh-CN")
    browser.open("status")
    browser.says("#nf-untold", "已加载的模块不提供")
