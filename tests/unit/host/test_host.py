# SPDX-License-Identifier: GPL-2.0-only
"""Other accelerators are found and reported, names are read, and nothing of the host is touched."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from natflow import host
from natflow.uci import open_uci
from natflow.uci.embedded import Embedded

META = {"metainfo": {"version": "1.0.9", "json_schema_version": 1}}
FLOWTABLE = {
    "flowtable": {
        "family": "inet",
        "name": "ft",
        "table": "fw4",
        "handle": 1,
        "hook": "ingress",
        "prio": 0,
        "dev": ["eth0", "lan1"],
    }
}


@pytest.fixture(autouse=True)
def empty_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(host, "MODULES", str(tmp_path / "modules"))
    monkeypatch.setattr(host, "CONTROL", str(tmp_path / "natflow_ctl"))
    monkeypatch.setattr(host, "LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(host, "NFT", (str(tmp_path / "nft"), "-j", "list", "flowtables"))
    return tmp_path


def install_nft(directory: Path, script: str) -> None:
    nft = directory / "nft"
    nft.write_text(f"#!/bin/sh\n{script}\n")
    nft.chmod(0o755)


def answers(directory: Path, ruleset: object) -> None:
    (directory / "ruleset").write_text(json.dumps(ruleset))
    install_nft(directory, f"cat {directory}/ruleset")


def uci(directory: Path, firewall: str | None = None) -> Embedded:
    if firewall is not None:
        (directory / "firewall").write_text(firewall)
    made = open_uci("embedded", str(directory))
    assert isinstance(made, Embedded)
    return made


def codes(found: list[host.Conflict]) -> list[str]:
    return [conflict["code"] for conflict in found]


def test_nothing_else_accelerates(tmp_path: Path) -> None:
    assert host.conflicts(uci(tmp_path)) == []


@pytest.mark.parametrize(
    ("firewall", "expected"),
    [
        ("config defaults\n\toption flow_offloading '1'\n", True),
        ("config defaults 'd'\n\toption flow_offloading 'on'\n", True),
        ("config defaults\n\toption flow_offloading '0'\n", False),
        ("config defaults\n", False),
        ("config zone\n\toption flow_offloading '1'\n", False),
        ("config defaults\nconfig defaults\n\toption flow_offloading '1'\n", False),
        ("config defaults\n\tlist flow_offloading '1'\n", False),
        ("config broken 'x\n", False),
        ("", False),
    ],
)
def test_the_firewalls_own_offloading(firewall: str, expected: bool, tmp_path: Path) -> None:
    found = host.conflicts(uci(tmp_path, firewall))
    assert codes(found) == (["firewall-flow-offloading"] if expected else [])
    assert (tmp_path / "firewall").read_text() == firewall, "never edited"
    for conflict in found:
        assert set(conflict) == {"code", "text", "hint", "data"}


def test_flowtables_of_nftables(tmp_path: Path) -> None:
    answers(tmp_path, {"nftables": [META, FLOWTABLE]})
    assert host.conflicts(uci(tmp_path)) == [
        {
            "code": "nft-flowtable",
            "text": "The nftables flowtable inet fw4 ft takes flows of eth0, lan1.",
            "hint": (
                "Connections it takes stay out of natflow. Remove the flowtable from the ruleset."
            ),
            "data": {"flowtable": "inet fw4 ft", "devices": ["eth0", "lan1"]},
        }
    ]


def test_the_flowtable_of_a_firewall_that_is_named_already(tmp_path: Path) -> None:
    answers(tmp_path, {"nftables": [META, FLOWTABLE]})
    firewall = "config defaults\n\toption flow_offloading '1'\n"
    assert codes(host.conflicts(uci(tmp_path, firewall))) == ["firewall-flow-offloading"]


def test_one_device_and_none(tmp_path: Path) -> None:
    one = {"flowtable": {**FLOWTABLE["flowtable"], "dev": "eth0"}}
    none = {"flowtable": {"family": "ip", "name": "f\x1b[31m", "table": "t"}}
    answers(tmp_path, {"nftables": [META, one, none]})
    found = host.conflicts(uci(tmp_path))
    assert [conflict["text"] for conflict in found] == [
        "The nftables flowtable inet fw4 ft takes flows of eth0.",
        "The nftables flowtable ip t f?[31m takes flows of no device.",
    ]
    assert [conflict["data"] for conflict in found] == [
        {"flowtable": "inet fw4 ft", "devices": ["eth0"]},
        {"flowtable": "ip t f?[31m", "devices": []},
    ]


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo not json",
        "echo '[]'",
        "echo '{\"nftables\": 7}'",
        "echo '{\"nftables\": [7]}'",
        "printf '\\377'",
        "kill -9 $$",
        "head -c 3000000 /dev/zero",
    ],
)
def test_a_nft_that_fails_is_no_conflict(script: str, tmp_path: Path) -> None:
    install_nft(tmp_path, script)
    assert host.conflicts(uci(tmp_path)) == []


def test_a_nft_that_hangs_costs_its_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "NFT_SECONDS", 0.3)
    install_nft(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    start = time.monotonic()
    assert host.conflicts(uci(tmp_path)) == []
    assert time.monotonic() - start < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_output_leaves_no_descriptor_and_no_zombie(tmp_path: Path) -> None:
    install_nft(tmp_path, "echo hello")
    before = os.listdir("/proc/self/fd")
    for command in ((str(tmp_path / "nft"),), (str(tmp_path / "missing"),), ("/bin/false",)):
        host.output(command, 5)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert host.output((str(tmp_path / "nft"),), 5) == b"hello\n"


def test_modules_of_others(tmp_path: Path) -> None:
    for module in ("shortcut_fe", "mtkhnat", "nf_conntrack"):
        (tmp_path / "modules" / module).mkdir(parents=True)
    modules = ["module-shortcut-fe", "module-mtkhnat"]
    control = tmp_path / "natflow_ctl"
    control.touch()
    assert codes(host.conflicts(uci(tmp_path))) == modules, "echo leaves a plain file"
    control.unlink()
    control.symlink_to("/dev/null")
    assert codes(host.conflicts(uci(tmp_path))) == [*modules, "other-natflow"]
    assert codes(host.conflicts(uci(tmp_path), foreign=True)) == modules


def test_names(tmp_path: Path) -> None:
    (tmp_path / "leases").write_bytes(
        b"1700000000 02:00:00:00:00:0A 192.168.1.2 laptop 01:02\n"
        b"1700000000 02:00:00:00:00:0b 192.168.1.3 * *\n"
        b"1700000000 02:00:00:00:00:0c 192.168.1.4 evil\x1b[2J\xff *\n"
        b"1700000000 02:00:00:00:00:0d 192.168.1.5 " + b"n" * 300 + b" *\n"
        b"short line\n\n"
        b"duid 00:01\n"
    )
    assert host.names() == {
        "02:00:00:00:00:0a": "laptop",
        "192.168.1.2": "laptop",
        "02:00:00:00:00:0c": "evil?[2J\ufffd",
        "192.168.1.4": "evil?[2J\ufffd",
        "02:00:00:00:00:0d": "n" * 63,
        "192.168.1.5": "n" * 63,
    }


def test_no_leases() -> None:
    assert host.names() == {}
