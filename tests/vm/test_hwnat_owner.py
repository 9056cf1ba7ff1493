# SPDX-License-Identifier: GPL-2.0-only
"""What the router's owner sees of the hardware: natflowd and the command on the simulated PPE."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import kmodule
import pytest
from lab import Lab, ping
from netns import run
from vm.hw import HwLab
from vm.site import ON, Site

CONFIG = ON + "\toption hwnat_mode 'always'\n\toption hw_min_rate '0'\n\toption hwnat_wed '1'\n"


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[list[Site]]:
    made: list[Site] = []
    yield made
    for site in made:
        site.close()


def start(sites: list[Site], directory: Path, lab: Lab) -> Site:
    site = Site(directory, lab, CONFIG)
    sites.append(site)
    site.start_broker()
    site.start_in_namespace()
    return site


def test_ways_and_reasons(sites: list[Site], tmp_path: Path) -> None:
    """WED of the first version: to WiFi in hardware, from WiFi on the processor."""
    with HwLab("mt7622", lan="wed") as lab:
        site = start(sites, tmp_path, lab)
        pair = lab.udp()
        lab.bind(pair, states=("none", "bound"))
        port = pair.client.getsockname()[1]
        row = site.call("query", filter={"port": port})["flows"][0]
        assert row["drawing"] == ["wifi --> cpu --> port", "wifi <-- ppe <-- port"]
        assert (row["state"], row["hw_reason"]) == ("wed", ["hw-wed-rx", "none"])
        assert row["estimated"] == [False, False]
        why = site.call("explain", flow={key: row[key] for key in TUPLE})
        up, down = why["path"]
        assert (up["drawing"], down["drawing"]) == tuple(row["drawing"])
        assert up["hardware"]["reason"] == "hw-wed-rx"
        assert up["hardware"]["sentence"].startswith("This chip's WED carries traffic to WiFi only")
        assert (down["hardware"]["state"], down["hardware"]["reason"]) == ("bound", "none")
        status = site.call("status")
        assert status["state"] == "hardware"
        hwnat, wed = status["hwnat"], status["wed"]
        assert (hwnat["active"], hwnat["supported"], hwnat["reason"]) == (True, True, "")
        assert (hwnat["mode"], hwnat["bound"], hwnat["estimated"]) == ("always", 1, False)
        assert (wed["active"], wed["supported"], wed["reason"]) == (True, True, "")
        hardware = site.call("info")["hardware"]
        assert (hardware["loaded"], hardware["door"], hardware["profile"]) == (True, True, "mt7622")
        assert hardware["wed_version"] == 1
        with lab.r.entered():
            shown = site.run("flows", f"port={port}").stdout
        assert "path: wifi --> cpu --> port, wifi <-- ppe <-- port" in shown
        # Only what uses WED comes back when it is switched off.
        site.call("set", options={"hwnat_wed": "0"})
        lab.wait(lambda: lab.hw_reason(pair)[1] == "hw-wed-off", pair)
        row = site.call("query", filter={"port": port})["flows"][0]
        assert [way.split()[2] for way in row["drawing"]] == ["cpu", "cpu"]
        assert row["state"] == "software"
        pair.close()


def test_a_refusal_has_its_error_number(sites: list[Site], tmp_path: Path) -> None:
    with HwLab("mt7621") as lab:
        site = start(sites, tmp_path, lab)
        lab.soc.fail("replace", error=errno.EOPNOTSUPP, count=1000)
        pair = lab.udp()
        lab.bind(pair, states=("refused", "refused"))
        port = pair.client.getsockname()[1]
        row = site.call("query", filter={"port": port})["flows"][0]
        assert row["hw_error"] == ["EOPNOTSUPP", "EOPNOTSUPP"]
        assert row["drawing"] == ["port --> cpu --> port", "port <-- cpu <-- port"]
        told = site.call("explain", flow={key: row[key] for key in TUPLE})["path"][0]["hardware"]
        assert (told["reason"], told["error"]) == ("hw-refused", "EOPNOTSUPP")
        assert told["error_text"].startswith("The driver cannot encode it")
        failures = site.call("status")["hwnat"]["failures"]
        assert failures["EOPNOTSUPP"] >= 2
        pair.close()


def test_a_kernel_without_a_door(sites: list[Site], tmp_path: Path) -> None:
    """As on x-wrt, whose Ethernet driver has none: it is said, and software goes on."""
    lab = Lab()
    # As the package loads it; this machine does not say what it is.
    run("insmod", str(kmodule.path().with_name("natflow_hwnat.ko")), "variant=mt7986")
    try:
        site = start(sites, tmp_path, lab)
        pair = lab.udp()
        ping(pair, 10)
        status = site.call("status")
        assert (status["state"], status["message"]) == ("software", "")
        assert site.call("info")["hardware"]["profile"] == "mt7986"
        hwnat = status["hwnat"]
        assert (hwnat["active"], hwnat["supported"]) == (False, False)
        assert hwnat["reason"].startswith("No device offers the kernel's door to the hardware")
        assert "Software goes on." in hwnat["reason"]
        row = site.call("query", filter={"port": pair.client.getsockname()[1]})["flows"][0]
        assert (row["state"], row["drawing"][0]) == ("software", "port --> cpu --> port")
        with lab.r.entered():
            shown = site.run("status").stdout
        assert "No device offers the kernel's door" in " ".join(shown.split())
        pair.close()
    finally:
        kmodule.unload_hwnat()
        lab.remove()


TUPLE = ("proto", "src", "sport", "dst", "dport")
