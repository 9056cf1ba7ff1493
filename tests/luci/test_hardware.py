# SPDX-License-Identifier: GPL-2.0-only
"""What the pages show of the hardware: ways, refusals, how full its table is, what is estimated."""

from __future__ import annotations

from collections.abc import Callable

from luci.browser import Browser
from luci.web import Web


def test_ways_and_refusals(browser: Browser, make_router: Callable[[str], Web]) -> None:
    web = make_router("hardware")
    browser.login(web.host)
    browser.open("flows")
    browser.says("#nf-rows", "192.168.1.2:3")
    rows = browser.texts("#nf-rows tr")
    assert " --> ppe --> " in rows[0] and " <-- ppe <-- " in rows[0]
    assert " --> cpu --> " in rows[1] and "wifi <-- ppe <-- " in rows[1]
    assert "hw-wed-rx" in rows[1]
    assert "hw-refused EOPNOTSUPP" in rows[2]
    browser.picture("flows-hardware")
    browser.find("#nf-rows tr:nth-child(3) .nf-open").click()
    browser.says("[data-direction=original]", "Not in hardware: The driver of the hardware")
    browser.says("[data-direction=original]", "EOPNOTSUPP: The driver cannot encode it")
    browser.picture("why-hardware")
    browser.find("#nf-why-close").click()
    browser.open("flows?search=192.168.1.2:1")
    browser.says("#nf-rows", "192.168.1.2:1")
    browser.find(".nf-open").click()
    browser.says("[data-direction=reply]", " <-- ppe <-- ")
    browser.says("#nf-why", "(estimated)")
    browser.open("status")
    browser.says("[data-engine=hardware]", "It does not count")
    assert "3 of 16" in browser.text("[data-engine=hardware]")
    assert "Active" in browser.text("[data-engine=hardware]")
