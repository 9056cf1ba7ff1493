# SPDX-License-Identifier: GPL-2.0-only
"""The pages in front of a router whose kernel and traffic are real: scripts/demo --web.

What a page says is held against the kernel, asked over netlink in the router. One boot for all;
the tests run in this order, the last one ends the demo.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from luci.browser import Browser
from luci.demo import DemoRouter

FAST = "natflow forwards it in software"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRouter]:
    router = DemoRouter(tmp_path_factory.mktemp("demo") / "stderr")
    try:
        yield router
    finally:
        router.interrupt()


def wan_packets(demo: DemoRouter) -> int:
    """Packets that the router has sent to the Internet, whoever forwarded them."""
    link = json.loads(demo.run("ip", "-json", "-statistics", "link", "show", "wan"))[0]
    return int(link["stats64"]["tx"]["packets"])


def number(text: str) -> float:
    found = re.search(r"[\d.]+", text)
    assert found, text
    return float(found.group())


def test_status_shows_the_traffic(browser: Browser, demo: DemoRouter) -> None:
    demo.login(browser)
    browser.says("#nf-sentence", "software forwards the traffic")
    for host in ("laptop", "phone", "television"):
        browser.says("#nf-clients", host)
    browser.until("a rate", lambda: browser.text("[data-figure=software-now]").endswith("Mbit/s"))
    assert number(browser.text("[data-figure=software-now]")) > 1
    browser.says("[data-reason=helper]", "A connection tracking helper")
    packets = demo.kernel()["packets"]
    assert packets["software"] > packets["slow"] > 0
    assert number(browser.text("#nf-share [data-engine=software]")) > 80
    assert browser.all(".nf-notice") == []
    browser.picture("demo-status")


def test_flows_have_a_path_and_a_reason(browser: Browser, demo: DemoRouter) -> None:
    demo.login(browser)
    browser.open("flows?search=television")
    browser.says("#nf-rows", "192.168.77.4")
    row = browser.texts("#nf-rows tr")[0]
    for text in ("TCP", "198.51.100.2:8443", "as 198.51.100.1:", "Software", "lan2 → wan"):
        assert text in row
    browser.find(".nf-open").click()
    browser.says("#nf-why", FAST)
    assert re.search(r"192\.168\.77\.4:\d+.*lan.*wan.*198\.51\.100\.2:8443",
                     browser.text("[data-direction=original]"), re.DOTALL)  # fmt: skip
    # The next hop on the LAN is the host itself.
    link = demo.run("ip", "neigh", "show", "192.168.77.4")
    assert link.split("lladdr ")[1].split()[0] in browser.text("[data-direction=reply]")
    browser.picture("demo-why-fast")
    browser.open("flows?reason=helper")
    browser.says("#nf-rows", "198.51.100.2:21")
    browser.find(".nf-open").click()
    browser.says("#nf-why", "The normal stack forwards it.")
    browser.says("#nf-why", "Remove the helper assignment")
    browser.open("flows?search=ipv6")
    browser.says("#nf-rows", "[fd99::2]:443")
    browser.picture("demo-flows")


def test_a_removed_flow_is_learned_again(browser: Browser, demo: DemoRouter) -> None:
    filter_ = {"address": ["192.168.77.4"]}
    before = [flow["id"] for flow in demo.call("natflow", "query", filter=filter_)["flows"]]
    assert len(before) == 1
    demo.login(browser)
    browser.open("flows?search=television")
    browser.says("#nf-summary", "Flows: 1.")
    browser.find("#nf-flush").click()
    browser.says("#nf-flush-count", "1")
    browser.find("#nf-flush-confirm").click()
    browser.says(".alert-message", "Flows removed: 1, of which accelerated: 1")

    def learned() -> bool:
        flows = demo.call("natflow", "query", filter=filter_)["flows"]
        return len(flows) == 1 and flows[0]["state"] == "software" and flows[0]["id"] not in before

    browser.until("it is learned anew", learned)


def test_a_setting_reaches_the_kernel(browser: Browser, demo: DemoRouter) -> None:
    demo.login(browser)
    browser.open("settings")
    browser.find(".cbi-tabmenu [data-tab=learning] a").click()
    box = browser.find("[id='widget.cbid.natflow.main.delay_pkts']")
    box.clear()
    box.send_keys("7")
    browser.find(".cbi-button-apply").click()
    browser.until("the kernel", lambda: demo.kernel()["settings"]["delay_pkts"] == 7)
    browser.until("it is confirmed", lambda: not browser.all("body.modal-overlay-active"))


def test_the_switch_switches_the_kernel(browser: Browser, demo: DemoRouter) -> None:
    demo.login(browser)
    browser.says("#nf-sentence", "Acceleration is on")
    browser.find("#nf-toggle").click()
    browser.says("#nf-sentence", "Acceleration is off")
    off = demo.kernel()
    assert off["settings"]["enabled"] == 0
    assert off["states"]["software"] == 0
    # The traffic goes on, in the normal stack alone.
    sent = wan_packets(demo)
    browser.until("more of it", lambda: wan_packets(demo) > sent + 50)
    assert demo.kernel()["packets"]["software"] == off["packets"]["software"]
    browser.until("the switch", lambda: browser.find("#nf-toggle").is_enabled())
    browser.picture("demo-off")
    browser.find("#nf-toggle").click()
    browser.says("#nf-sentence", "Acceleration is on")
    assert demo.kernel()["settings"]["enabled"] == 1
    browser.until("fast packets", lambda: (
        demo.kernel()["packets"]["software"] > off["packets"]["software"]))  # fmt: skip


def test_a_conflict_is_seen_and_mended(browser: Browser, demo: DemoRouter) -> None:
    """The firewall takes connections with a flowtable of its own, until its option is off."""
    demo.login(browser)
    browser.script(
        """Promise.all([ L.require('uci'), L.require('rpc') ]).then(([ uci, rpc ]) => rpc.declare({
        object: 'uci', method: 'set', params: [ 'config', 'section', 'values' ], reject: true })(
        'firewall', '@defaults[0]', { flow_offloading: '1' }).then(() => uci.apply())
        .then(() => { window.applied = true; }));"""
    )
    browser.until("the flowtable", lambda: "ft" in demo.run("nft", "list", "flowtables"))
    browser.until("it is applied", lambda: browser.script("return window.applied === true"))
    browser.says("#nf-notices", "firewall's own flow offloading")
    browser.says("#nf-sentence", "another accelerator")
    browser.picture("demo-conflict")
    browser.find("#nf-notices button").click()
    browser.says(".modal", "flow_offloading")
    assert "ft" in demo.run("nft", "list", "flowtables")  # nothing behind the user's back
    browser.find(".modal .cbi-button-positive").click()
    browser.until("no flowtable", lambda: "ft" not in demo.run("nft", "list", "flowtables"))
    browser.until("no notice", lambda: browser.texts("#nf-notices") == [""])
    browser.says("#nf-sentence", "software forwards the traffic")


def test_who_may_only_look_has_no_control(browser: Browser, demo: DemoRouter) -> None:
    before = demo.kernel()["settings"]
    demo.login(browser, "guest")
    browser.says("#nf-clients", "laptop")
    assert not browser.find("#nf-toggle").is_enabled()
    assert browser.all("#view .cbi-button-action") == []
    browser.open("flows")
    browser.says("#nf-rows", "192.168.77.")
    assert browser.all("#nf-flush") == []
    browser.open("settings")
    assert browser.usable("#view input, #view button") == []
    answer = browser.driver.execute_async_script(
        """const done = arguments[arguments.length - 1]; L.require('natflow.bus').then(bus =>
        bus.set({ enabled: false })).then(() => done('set'), error => done(error.kind));"""
    )
    assert answer == "denied"
    assert demo.kernel()["settings"] == before


def test_ctrl_c_ends_all_of_it(demo: DemoRouter) -> None:
    """The last one: nothing stays behind, and the guest's kernel had nothing to complain of."""
    assert demo.interrupt() == 0
    assert not os.path.exists(demo.socket) and not Path(demo.socket).parent.exists()
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", urlsplit(demo.url).port))
