# SPDX-License-Identifier: GPL-2.0-only
"""The page of flows, in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from luci.browser import Browser
from luci.routerd import HOSTILE
from luci.web import Web
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A router with 5,000 flows, for tests that only look."""
    web = Web(tmp_path_factory.mktemp("many"), "many")
    try:
        yield web
    finally:
        web.close()


def test_five_thousand_flows_are_paged_by_the_router(browser: Browser, many: Web) -> None:
    browser.login(many.host)
    browser.open("flows")
    browser.says("#nf-range", "1 to 50 of 5\u202f000")
    assert len(browser.all("#nf-rows tr")) == 50
    assert not browser.find("#nf-back").is_enabled()
    browser.find("#nf-forth").click()
    browser.says("#nf-range", "51 to 100 of 5\u202f000")
    assert len(browser.all("#nf-rows tr")) == 50
    browser.find("#nf-back").click()
    browser.says("#nf-range", "1 to 50 of")


def test_sorting_is_done_by_the_router(browser: Browser, many: Web) -> None:
    browser.login(many.host)
    browser.open("flows")
    browser.says("#nf-rows tr:first-child", ":6023")  # the fastest
    browser.find("[data-sort=rate] button").click()
    browser.says("#nf-rows tr:first-child", "192.168.0.1:1024")
    assert browser.find("[data-sort=rate]").get_attribute("aria-sort") == "ascending"
    browser.find("[data-sort=src] button").click()
    browser.says("#nf-rows tr:first-child", "192.168.19.250:6023")


def test_a_row_keeps_the_keyboard_while_it_is_refreshed(browser: Browser, many: Web) -> None:
    browser.login(many.host)
    browser.open("flows")
    browser.find("#nf-rows tr:first-child .nf-open")
    browser.script(
        """document.querySelector('#nf-rows tr:nth-child(3) .nf-open').focus(); window.polls = 0;
        const ask = window.fetch, send = XMLHttpRequest.prototype.send;
        window.fetch = function() { window.polls++; return ask.apply(this, arguments); };
        XMLHttpRequest.prototype.send = function() {
            window.polls++; return send.apply(this, arguments); };"""
    )
    browser.until("two polls", lambda: browser.script("return window.polls") >= 2)
    rows = "document.querySelectorAll('#nf-rows tr')"
    focused = f"return document.activeElement.closest('tr') === {rows}[2]"
    assert browser.script(focused)


SEARCHES = {
    "192.168.3.7": "1",
    "192.168.3.0/24": "250",
    "192.168.3.7:1780": "1",
    "192.168.3.7 udp": "0",
    ":443 tcp": "5\u202f000",
    "443 ipv6": "0",
    "02:00:00:00:00:01": "5\u202f000",
}


def test_search(browser: Browser, many: Web) -> None:
    browser.login(many.host)
    browser.open("flows")
    for typed, count in SEARCHES.items():
        browser.find("#nf-search").clear()
        browser.find("#nf-search").send_keys(typed)
        browser.says("#nf-summary", f"Flows: {count}.")


def test_search_by_name_state_and_reason(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("flows")
    browser.says("#nf-summary", "Flows: 23.")
    browser.find("#nf-search").send_keys("lapt")
    browser.says("#nf-summary", "Flows: 21.")
    Select(browser.find("#nf-state")).select_by_value("learning")
    browser.says("#nf-empty", "No flow matches.")
    browser.find("#nf-search").clear()
    browser.find("#nf-search").send_keys(Keys.SPACE)
    browser.says("#nf-summary", "Flows: 1.")
    Select(browser.find("#nf-state")).select_by_value("")
    Select(browser.find("#nf-reason")).select_by_value("helper")
    browser.says("#nf-rows", "203.0.113.9:5060")
    assert len(browser.all("#nf-rows tr")) == 1


def test_a_word_that_means_nothing_is_answered(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("flows")
    browser.find("#nf-search").send_keys("gibberish")
    browser.says("#nf-notices", "allowed: the name of a device")
    assert browser.all("#nf-rows tr") == []
    browser.find("#nf-search").clear()
    browser.find("#nf-search").send_keys("tcp")
    browser.says("#nf-summary", "Flows: 22.")
    assert browser.texts("#nf-notices") == [""]


def test_why(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("flows?reason=helper")
    browser.find(".nf-open").click()
    browser.says("#nf-why", "The normal stack forwards it.")
    browser.says("#nf-why", "A connection tracking helper")
    browser.says("#nf-why", "Remove the helper assignment")
    browser.picture("why-slow")
    browser.find("#nf-why-close").send_keys(Keys.ESCAPE)
    browser.until("it is closed", lambda: not browser.all("body.modal-overlay-active"))
    browser.open("flows?search=50003")
    browser.says("#nf-rows", "192.168.1.10:50003")
    browser.find(".nf-open").click()
    browser.says("[data-direction=original]", "VLAN 7")
    browser.says("[data-direction=reply]", "192.168.1.10:50003")
    browser.picture("why-fast")
    browser.find("#nf-why-close").click()
    assert browser.script("return document.activeElement.className").endswith("nf-open")


def test_removing_asks_first(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("busy")
    browser.login(web.host)
    browser.open("flows?search=192.168.1.10")
    browser.says("#nf-summary", "Flows: 20.")
    browser.find("#nf-flush").click()
    browser.says("#nf-flush-count", "20")
    browser.picture("flush")
    assert web.call("query", filter={})["total"] == 23
    browser.find("#nf-flush-confirm").click()
    browser.says(".alert-message", "Flows removed: 20, of which accelerated: 20")
    browser.says("#nf-empty", "No flow matches.")
    assert web.call("query", filter={})["total"] == 3


def test_the_hostile_name_stays_text_in_the_dialog(browser: Browser, busy: Web) -> None:
    browser.login(busy.host)
    browser.open("flows?search=203.0.113.9")
    browser.says("#nf-rows", HOSTILE)
    browser.find(".nf-open").click()
    browser.says("#nf-why", "The normal stack")
    assert browser.all("#modal_overlay img, #view img") == []
