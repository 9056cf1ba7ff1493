# SPDX-License-Identifier: GPL-2.0-only
"""natflowd on the real module: it adopts, survives and explains while packets flow.

The daemon runs in the router's namespace, on natflow's own broker.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import kmodule
import pytest
from lab import CLIENT4, SERVER4, Lab, Pair, ping
from unit.daemon.processes import wait_for
from unit.daemon.test_footprint import memory
from vm.site import ON, Site, new_site

from natflow.bus import BusError

BROKEN = ON + "\toption idle_timeout '5'\n\toption delay_pkts 'many'\n"

START_SECONDS = 8.0  # in the emulated guest, which runs Python about 27 times slower than its host
STARTS = 3  # the host may be busy with something else


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_site(tmp_path_factory.mktemp("router")) as made:
        starts = [made.start_in_namespace()]
        while starts[-1] > START_SECONDS and len(starts) < STARTS:
            made.kill_daemon()
            starts.append(made.start_in_namespace())
        assert made.daemon is not None
        shown = ", ".join(f"{start:.2f}" for start in starts)
        print(f"\nnatflowd answers after {shown} s in the guest")
        print(f"natflowd takes {memory(made.daemon.pid) / 1024:.1f} MiB in the guest")
        assert starts[-1] <= START_SECONDS
        yield made


@pytest.fixture(scope="module")
def lab(site: Site) -> Lab:
    return site.lab


@pytest.fixture
def pair(lab: Lab, site: Site) -> Iterator[Pair]:
    """An accelerated connection."""
    made = lab.udp()
    ping(made, 4)
    assert lab.state(made) == "software"
    yield made
    made.close()


def counted(site: Site, pair: Pair) -> tuple[int, int]:
    """Number of the flow of a connection, and packets of the fast path in both directions."""
    rows = site.call("query", filter={"port": pair.client.getsockname()[1]})["flows"]
    assert len(rows) == 1
    return rows[0]["id"], sum(rows[0]["packets"])


def test_the_configuration_is_in_force(lab: Lab, site: Site) -> None:
    settings = lab.kernel.config().settings
    assert settings["enabled"] == 1
    assert settings["delay_pkts"] == 0
    reply = site.call("status")
    assert (reply["state"], reply["enabled"], reply["message"]) == ("software", True, "")
    assert reply["module"]["version"]


def test_status_counts_what_flows(site: Site, pair: Pair) -> None:
    before = site.call("status")
    ping(pair, 50)
    after = site.call("status")
    assert after["packets"]["software"] - before["packets"]["software"] >= 96
    assert after["bytes"]["software"] > before["bytes"]["software"]
    assert after["flows"]["software"] >= 1
    assert sum(after["reasons"].values()) > 0


def test_flows_explain_clients_and_flush(site: Site, pair: Pair) -> None:
    port = pair.client.getsockname()[1]
    wanted = {"src": CLIENT4, "sport": port, "dst": SERVER4, "dport": pair.server.getsockname()[1]}
    row = site.call("query", filter={"port": port})["flows"][0]
    assert {key: row[key] for key in wanted} == wanted
    assert (row["state"], row["reason"]) == ("software", "none")
    why = site.call("explain", flow={"proto": "udp", **wanted})
    assert (why["state"], why["reason"], why["tracked"]) == ("software", "none", True)
    assert [path["direction"] for path in why["path"]] == ["original", "reply"]

    def upload() -> bool:
        """The ageing of the module adds up what a host's flows have moved, once a second."""
        hosts = [row for row in site.call("clients")["clients"] if CLIENT4 in row["addresses"]]
        assert len(hosts) == 1 and hosts[0]["flows"] >= 1
        return bool(hosts[0]["bytes"]["software"]["up"])

    wait_for("the host's bytes", upload)
    reply = site.call("flush", filter={"port": port})
    assert reply == {"removed": 1, "accelerated": 1, "slow": 0}
    ping(pair, 2)


def test_the_command_shows_it(site: Site, pair: Pair) -> None:
    with site.lab.r.entered():
        done = site.run("flows", f"port={pair.client.getsockname()[1]}")
        status = site.run("--json", "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("software   udp ")
    assert json.loads(status.stdout)["state"] == "software"


def test_kill_and_restart_lose_no_packet_and_no_counter(site: Site, pair: Pair) -> None:
    number, before = counted(site, pair)
    site.kill_daemon()
    ping(pair, 20)
    site.start_in_namespace()
    ping(pair, 5)
    again, after = counted(site, pair)
    assert again == number, "the flow was learned anew"
    assert after - before >= 46
    errors = [line for line in site.log.read_text().splitlines() if "Traceback" in line]
    assert errors == []


def test_a_broker_restart_loses_nothing(site: Site, pair: Pair) -> None:
    number, before = counted(site, pair)
    assert site.broker is not None
    site.broker.kill()
    site.broker.wait()
    ping(pair, 20)
    Path(site.socket).unlink(missing_ok=True)
    site.start_broker()
    wait_for("the objects", site.answers)
    again, after = counted(site, pair)
    assert again == number
    assert after - before >= 38


def test_hup_with_a_broken_file_keeps_the_last_good_one(lab: Lab, site: Site, pair: Pair) -> None:
    before = lab.kernel.config().settings
    number, _ = counted(site, pair)
    site.write(BROKEN)
    site.signal(signal.SIGHUP)
    reply = wait_for(
        "the errors", lambda: (status := site.call("status"))["config_errors"] and status
    )
    texts = [problem["text"] for problem in reply["config_errors"]]
    assert texts == [
        f"{site.directory}/natflow:4: main.idle_timeout: '5' is not allowed; "
        "allowed: a whole number from 1000 to 600000 (milliseconds)",
        f"{site.directory}/natflow:5: main.delay_pkts: 'many' is not allowed; "
        "allowed: a whole number from 0 to 65535",
    ]
    assert (reply["state"], reply["enabled"]) == ("software", True)
    assert lab.kernel.config().settings == before
    ping(pair, 5)
    assert counted(site, pair)[0] == number
    site.write(ON)
    site.signal(signal.SIGHUP)
    wait_for("the good file", lambda: not site.call("status")["config_errors"])


def test_set_and_reload(lab: Lab, site: Site) -> None:
    site.call("set", options={"learn_rate": 123, "exclude_mark": "0x10/0xf0"})
    settings = lab.kernel.config().settings
    assert (settings["learn_rate"], settings["exclude_mark"], settings["exclude_mask"]) == (
        123,
        0x10,
        0xF0,
    )
    with pytest.raises(BusError, match="learn_rate: '0' is not allowed; allowed: a whole number"):
        site.call("set", options={"learn_rate": 0, "delay_pkts": 7})
    assert lab.kernel.config().settings == settings
    site.signal(signal.SIGHUP)
    wait_for("the configuration", lambda: lab.kernel.config().settings["learn_rate"] != 123)
    assert lab.kernel.config().settings["exclude_mask"] == 0


def test_a_module_that_is_loaded_anew_gets_its_settings(lab: Lab, site: Site) -> None:
    kmodule.unload()
    reply = wait_for(
        "the loss", lambda: (status := site.call("status"))["state"] == "error" and status
    )
    assert reply["message"] == (
        "the kernel module natflow is not loaded. Load it with: modprobe natflow"
    )
    with pytest.raises(BusError, match="is not loaded"):
        site.call("flows")
    kmodule.load()
    wait_for("the settings", lambda: site.call("status")["state"] == "software")
    assert lab.kernel.config().settings["delay_pkts"] == 0
    pair = lab.udp()
    ping(pair, 4)
    assert lab.state(pair) == "software"
    pair.close()


def test_term_leaves_the_module_as_it_is(lab: Lab, site: Site, pair: Pair) -> None:
    number, before = counted(site, pair)
    settings = lab.kernel.config().settings
    assert site.stop_daemon() == 0
    assert lab.kernel.config().settings == settings
    ping(pair, 5)
    site.start_in_namespace()
    again, after = counted(site, pair)
    assert (again, after - before >= 8) == (number, True)
