# SPDX-License-Identifier: GPL-2.0-only
"""status and info: every key of the published table, and a sentence for all that is wrong."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from unit.hardware.router import Router
from unit.kernel.fake import FakeKernel, flow
from unit.service.bench import FRESH, OFF, ON, Bench

from natflow import __version__
from natflow.kernel.errors import KernelError
from natflow.kernel.records import Counter
from natflow.wed import CONFIRM_SECONDS


def test_every_key_of_the_table(tmp_path: Path) -> None:
    kernel = FakeKernel(
        [flow(state="software"), flow(state="software"), flow(state="slow", reason="helper")],
        settings=FRESH,
    )
    kernel.engines = {
        "slow": Counter(10, 1000),
        "software": Counter(20, 30000),
        "hardware": Counter(0, 0),
    }
    kernel.reason_packets["helper"] = 7
    bench = Bench(tmp_path, ON, kernel)
    reply = bench.call("status")
    daemon_uptime = reply.pop("daemon_uptime")
    assert 0 <= daemon_uptime < 60
    engine = {"configured": True, "active": False, "supported": False, "reboot_required": False}
    assert reply == {
        "enabled": True,
        "state": "software",
        "message": "",
        "version": __version__,
        "module": {
            "loaded": True,
            "version": "0.1.0",
            "name": "natflow.ko",
            "backend": "netlink",
            "tells": True,
            "note": "",
        },
        "flows": {
            "total": 3,
            "software": 2,
            "hardware": 0,
            "wed": 0,
            "learning": 0,
            "slow": 1,
            "hw_pending": 0,
        },
        "packets": {"slow": 10, "software": 20, "hardware": 0},
        "bytes": {"slow": 1000, "software": 30000, "hardware": 0},
        "hwnat": {
            **engine,
            "reason": "No hardware that natflow knows was found.",
            "mode": "auto",
            "installed": 0,
            "bound": 0,
            "capacity": 0,
            "estimated": False,
            "failures": {},
        },
        "wed": {
            **engine,
            "configured": False,
            "reason": "No system on a chip with WED was found.",
            "stage": "",
        },
        "conflicts": [],
        "reasons": {"helper": 7},
        "reason_flows": {"helper": 1},
        "config_errors": [],
        "config_warnings": [],
        "uptime": 60,
    }


def test_off(tmp_path: Path) -> None:
    reply = Bench(tmp_path, OFF).call("status")
    assert (reply["state"], reply["enabled"]) == ("off", False)
    assert reply["message"] == (
        "Acceleration is switched off: option enabled in /etc/config/natflow."
    )


@pytest.mark.parametrize("state", ["hardware", "wed"])
def test_hardware_when_a_flow_is_there(state: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, ON, FakeKernel([flow(state=state)]))
    assert bench.call("status")["state"] == "hardware"


def test_without_the_module_it_says_what_to_type(tmp_path: Path) -> None:
    kernel = FakeKernel()
    kernel.missing = True
    bench = Bench(tmp_path, ON, kernel)
    reply = bench.call("status")
    assert (reply["state"], reply["enabled"]) == ("error", False)
    assert reply["module"] == {
        "loaded": False,
        "version": "",
        "name": "",
        "backend": "",
        "tells": False,
        "note": "",
    }
    assert reply["message"] == (
        "the kernel module natflow is not loaded. Load it with: modprobe natflow"
    )
    assert reply["flows"]["total"] == 0
    assert reply["hwnat"]["configured"] is True, "what UCI says does not need the module"
    kernel.missing = False
    bench.control.apply()
    assert bench.call("status")["state"] == "software", "the settings reach it when it appears"


def test_a_module_that_refuses_the_settings_is_an_error(tmp_path: Path) -> None:
    kernel = FakeKernel(settings=FRESH)
    bench = Bench(tmp_path, OFF, kernel)
    bench.write(ON)
    kernel.error = KernelError(errno.ENOMEM, "config-set: Cannot allocate memory")
    bench.service.reload()
    reply = bench.call("status")
    assert reply["state"] == "error"
    assert "config-set: Cannot allocate memory" in reply["message"]
    kernel.error = None
    assert bench.call("status")["state"] == "error", "nothing was put in force yet"
    bench.control.apply()
    assert bench.call("status")["state"] == "software"


def test_firewall_offloading_is_a_conflict(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("config defaults\n\toption flow_offloading '1'\n", "firewall")
    bench.service.reload()
    reply = bench.call("status")
    assert reply["state"] == "conflict"
    assert [conflict["code"] for conflict in reply["conflicts"]] == ["firewall-flow-offloading"]
    assert reply["message"] == "The firewall's own flow offloading is switched on."
    assert bench.events("natflow.conflict") == [{"conflicts": reply["conflicts"]}]
    bench.write("config defaults\n\toption flow_offloading '0'\n", "firewall")
    bench.service.reload()
    assert bench.call("status")["state"] == "software"
    assert len(bench.events("natflow.conflict")) == 2


def test_wed_from_the_configuration_to_the_next_boot(tmp_path: Path) -> None:
    router = Router(tmp_path / "root")
    bench = Bench(tmp_path, ON + "\toption hwnat_wed '1'\n")
    wed = bench.call("status")["wed"]
    assert (wed["configured"], wed["supported"], wed["active"]) == (True, True, False)
    assert (wed["reboot_required"], wed["stage"]) == (True, "armed")
    bench.write(ON + "\toption hwnat_wed 'perhaps'\n")
    bench.service.reload()
    assert router.option == "mt7915e wed_enable=Y\n", "an error in the file changes nothing"
    assert router.boot() is True
    again = Bench(tmp_path, ON + "\toption hwnat_wed '1'\n")
    assert again.call("status")["wed"]["stage"] == "trial"
    router.uptime(CONFIRM_SECONDS)
    again.service.tick()
    assert again.call("status")["wed"]["stage"] == "confirmed"
    again.call("set", options={"hwnat_wed": "0"})
    assert router.option == "mt7915e wed_enable=Y\n", "a run-time change writes nothing"
    again.write(ON)
    again.service.reload()
    assert again.call("status")["wed"]["reboot_required"] is True
    assert router.boot() is False


def test_info(tmp_path: Path) -> None:
    info = Bench(tmp_path).call("info")
    assert info["version"] == __version__
    assert info["module_version"] == "0.1.0"
    assert info["build_options"] == ["ingress", "path"]
    assert info["memory_per_flow"] == {"ipv4": 512, "ipv6": 576}
    assert info["limits"]["delay_pkts"] == {"min": 0, "max": 65535, "default": 4}
    assert info["settings"]["enabled"] is True
    assert info["config_file"] == f"{tmp_path}/natflow"
    assert info["capabilities"]["software"] is True
    assert info["reasons"]["helper"]["code"] == 11
    assert info["reasons"]["helper"]["hint"].startswith("Remove the helper assignment")


def test_state_events_are_sent_once_for_each_change(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.call("status")
    bench.call("status")
    bench.write(OFF)
    bench.service.reload()
    states = [(event["previous"], event["state"]) for event in bench.events("natflow.state")]
    assert states == [("", "software"), ("software", "off")]


def test_luci_gets_the_same_with_its_session(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.bus.served.keys() == {"natflow", "luci.natflow"}
    plain, luci = bench.bus.served["natflow"], bench.bus.served["luci.natflow"]
    assert list(plain) == list(luci)
    for name, method in plain.items():
        assert "ubus_rpc_session" not in method.args
        assert luci[name].args == {**method.args, "ubus_rpc_session": 3}
    assert bench.bus.request("luci.natflow", "status")["state"] == "software"


def test_luci_sees_the_text_of_an_error(tmp_path: Path) -> None:
    """uhttpd and LuCI drop the data of a call with a status: the twin answers with status 0."""
    bench = Bench(tmp_path)
    text = "'colour' is no filter; allowed: "
    assert bench.refusal("query", filter={"colour": 1})[1].startswith(text)
    reply = bench.bus.request("luci.natflow", "query", filter={"colour": 1})
    assert list(reply) == ["error"]
    assert reply["error"].startswith(text)


def test_a_conflict_that_appears_later_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody needs to ask: the daemon looks by itself from time to time."""
    bench = Bench(tmp_path)
    bench.write("config defaults\n\toption flow_offloading '1'\n", "firewall")
    bench.service.tick()
    assert bench.events("natflow.conflict") == [], "it is not asked for with every tick"
    monkeypatch.setattr("natflow.service.CONFLICT_IDLE_SECONDS", 0.0)
    bench.service.tick()
    assert len(bench.events("natflow.conflict")) == 1
    assert bench.events("natflow.state")[-1]["state"] == "conflict"
