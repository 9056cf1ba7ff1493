# SPDX-License-Identifier: GPL-2.0-only
"""status and info: what the module tells, what is installed, and a sentence for what is missing."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from unit.hardware.router import Router
from unit.kernel.fake import NO_HARDWARE, FakeKernel, client, flow
from unit.service.bench import ON, Bench

from natflow.kernel.errors import KernelError
from natflow.kernel.records import Hardware
from natflow.kernel.uapi import REASONS
from natflow.reasons import reason
from natflow.service import hardware as service
from natflow.wed import CONFIRM_SECONDS

TOLD = NO_HARDWARE._replace(
    client=True,
    reason="none",
    profile="mt7986",
    door=True,
    counters=True,
    wed_version=2,
    capacity=12288,
    tokens=200,
)
WED = ON + "\toption hwnat_wed '1'\n"
NO_DOOR = f"{reason('hw-no-door').sentence} {reason('hw-no-door').hint}"


def bench(tmp_path: Path, config: str = ON, **told: Any) -> Bench:
    kernel = FakeKernel()
    kernel.hw = TOLD._replace(**told)
    return Bench(tmp_path, config, kernel)


def rename(router: Router, package: str) -> None:
    (router.root / "etc/modules.d/natflow-mt7986").rename(router.root / "etc/modules.d" / package)


def test_it_is_active(tmp_path: Path) -> None:
    Router(tmp_path / "root")
    hwnat = bench(tmp_path, installed=5, bound=3, errors={22: 4, 12345: 1}).call("status")["hwnat"]
    assert hwnat == {
        "configured": True,
        "active": True,
        "supported": True,
        "reason": "",
        "reboot_required": False,
        "mode": "auto",
        "installed": 5,
        "bound": 3,
        "capacity": 12288,
        "estimated": False,
        "failures": {"EINVAL": 4, "12345": 1},
    }


def test_an_engine_that_does_not_count(tmp_path: Path) -> None:
    Router(tmp_path / "root", "mt7621")
    made = bench(tmp_path, profile="mt7621", counters=False, wed_version=0)
    assert made.call("status")["hwnat"]["estimated"] is True
    assert made.call("info")["hardware"]["counters"] is False


@pytest.mark.parametrize("counters", [False, True])
def test_hosts_of_an_engine_that_does_not_count(counters: bool, tmp_path: Path) -> None:
    kernel = FakeKernel(
        clients=[
            client("192.168.1.2", rate=(1, 0), hardware_packets=(0, 1)),
            client("192.168.1.3", mac="", software_packets=(1, 1)),
        ]
    )
    kernel.hw = TOLD._replace(counters=counters)
    rows = Bench(tmp_path, ON, kernel).call("clients")["clients"]
    assert [row["estimated"] for row in rows] == [not counters, False]


@pytest.mark.parametrize(
    ("chip", "package", "told", "reason_text", "supported"),
    [
        ("", "", {"client": False}, service.NO_ENGINE, False),
        ("mt7986", "natflow-mt7986", {"client": False}, service.NO_CLIENT, False),
        (
            "mt7986",
            "other",
            {"client": False},
            "The package kmod-natflow-mt7986 is not installed, so its hardware is not used.",
            False,
        ),
        (
            "mt7986",
            "natflow-mt7981",
            {"client": False},
            "The package installed is for the mt7981, this is a mt7986: kmod-natflow-mt7986.",
            False,
        ),
        (
            "mt7986",
            "natflow-mt7981",
            {"profile": "mt7981"},
            "The module takes this mt7986 for a mt7981. Install kmod-natflow-mt7986 alone.",
            False,
        ),
        ("mt7986", "natflow-mt7986", {"door": False, "reason": "hw-no-door"}, NO_DOOR, False),
        ("", "", {"profile": "none"}, "", True),
        (
            "mt7986",
            "natflow-mt7986",
            {"reason": "hw-backoff"},
            reason("hw-backoff").sentence,
            True,
        ),
    ],
)
def test_why_it_is_not_active(
    chip: str,
    package: str,
    told: dict[str, Any],
    reason_text: str,
    supported: bool,
    tmp_path: Path,
) -> None:
    if chip:
        rename(Router(tmp_path / "root", chip), package)
    hwnat = bench(tmp_path, **told).call("status")["hwnat"]
    assert (hwnat["reason"], hwnat["supported"]) == (reason_text, supported)
    assert hwnat["active"] is not bool(reason_text)


@pytest.mark.parametrize(
    ("config", "reason_text"),
    [
        ("\toption hwnat '0'\n", reason("hw-off").sentence),
        ("\toption enabled '0'\n", ""),
    ],
)
def test_switched_off(config: str, reason_text: str, tmp_path: Path) -> None:
    Router(tmp_path / "root")
    hwnat = bench(tmp_path, ON + config).call("status")["hwnat"]
    assert (hwnat["active"], hwnat["supported"], hwnat["reason"]) == (False, True, reason_text)


def test_software_goes_on_without_a_door(tmp_path: Path) -> None:
    """A kernel without the door, as x-wrt's: it is said, and it is no error."""
    Router(tmp_path / "root")
    made = bench(tmp_path, door=False, reason="hw-no-door")
    made.kernel.flow_list = [flow(state="software", hw_reason=("hw-no-door", "hw-no-door"))]
    status = made.call("status")
    assert (status["state"], status["message"]) == ("software", "")
    assert "x-wrt" in status["hwnat"]["reason"]
    assert "Software goes on." in status["hwnat"]["reason"]
    assert made.call("info")["capabilities"]["hardware"] is False


def test_a_module_that_does_not_know_the_question(tmp_path: Path) -> None:
    made = bench(tmp_path)

    def unknown() -> Hardware:
        raise KernelError(errno.EOPNOTSUPP, "hw-get: Operation not supported")

    made.kernel.hardware = unknown  # type: ignore[method-assign]
    status = made.call("status")
    assert status["state"] == "software"
    assert (status["hwnat"]["active"], status["hwnat"]["reason"]) == (False, service.NO_MODULE)


def test_info(tmp_path: Path) -> None:
    Router(tmp_path / "root")
    info = bench(tmp_path, features=("vlan-hash",)).call("info")
    assert info["soc"] == "mt7986"
    assert info["hardware"] == {
        "variants": ["mt7986"],
        "fits": True,
        "loaded": True,
        "profile": "mt7986",
        "build_options": ["vlan-hash"],
        "door": True,
        "counters": True,
        "wed_version": 2,
        "capacity": 12288,
    }
    assert info["capabilities"]["hardware"] is True
    assert info["capabilities"]["wed"] is True


def test_a_package_for_another_chip(tmp_path: Path) -> None:
    rename(Router(tmp_path / "root"), "natflow-mt7981")
    hardware = bench(tmp_path, client=False).call("info")["hardware"]
    assert (hardware["variants"], hardware["fits"]) == (["mt7981"], False)
    assert (hardware["loaded"], hardware["profile"], hardware["capacity"]) == (False, "", 0)
    assert hardware["wed_version"] == 2, "the chip has it"


def test_wed_runs(tmp_path: Path) -> None:
    router = Router(tmp_path / "root")
    assert bench(tmp_path, WED).call("status")["wed"]["active"] is False
    router.boot()
    made = bench(tmp_path, WED)
    wed = made.call("status")["wed"]
    assert (wed["active"], wed["supported"], wed["stage"]) == (True, True, "trial")
    assert wed["reason"].startswith("It is on trial")
    router.uptime(CONFIRM_SECONDS)
    made.service.tick()
    assert made.call("status")["wed"] == {
        "configured": True,
        "active": True,
        "supported": True,
        "reason": "",
        "reboot_required": False,
        "stage": "confirmed",
    }


def test_wed_needs_the_hardware(tmp_path: Path) -> None:
    router = Router(tmp_path / "root")
    bench(tmp_path, WED)
    router.boot()
    made = bench(tmp_path, WED)
    router.uptime(CONFIRM_SECONDS)
    made.service.tick()
    made.call("set", options={"hwnat": "0"})
    wed = made.call("status")["wed"]
    assert wed["active"] is False
    assert wed["reason"] == f"WED needs the hardware. {reason('hw-off').sentence}"


def test_flows_in_wed_are_evidence_enough(tmp_path: Path) -> None:
    """A driver that natflow does not know by name, as in the simulator."""
    made = bench(tmp_path, WED)
    made.kernel.flow_list = [flow(state="wed")]
    wed = made.call("status")["wed"]
    assert (wed["active"], wed["supported"], wed["reason"]) == (True, True, "")


def test_every_reason_of_the_hardware_has_words() -> None:
    for name in REASONS:
        if name.startswith("hw-"):
            assert reason(name).sentence.endswith(".")
            assert reason(name).hint.endswith(".")


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        (0, "", ""),
        (errno.EOPNOTSUPP, "EOPNOTSUPP", service.ERRORS[errno.EOPNOTSUPP]),
        (errno.ENOSPC, "ENOSPC", "The table of the engine is full."),
        (errno.EPERM, "EPERM", "Operation not permitted."),
        (4000, "4000", "Unknown error 4000."),
    ],
)
def test_error_numbers(code: int, name: str, text: str) -> None:
    assert (service.error_name(code), service.error_text(code)) == (name, text)
