# SPDX-License-Identifier: GPL-2.0-only
"""docs/ubus.md and docs/uci.md name every key, option, default and limit there is, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from unit.kernel.fake import FakeKernel, client, flow
from unit.service.bench import FRESH, ON, Bench

from natflow import host
from natflow.kernel.filters import _READERS
from natflow.kernel.uapi import SETTINGS
from natflow.service.flows import SORTS
from natflow.service.obstacles import obstacles
from natflow.settings import NUMBERS, OPTIONS, SWITCHES, Settings, change
from natflow.uci import open_uci

DOCS = Path(__file__).parents[3] / "docs"
UBUS = (DOCS / "ubus.md").read_text(encoding="utf-8")
UCI = (DOCS / "uci.md").read_text(encoding="utf-8")
WANTED = {"proto": "tcp", "src": "192.168.1.2", "sport": 40000, "dst": "198.51.100.1", "dport": 443}
METHODS = ("status", "info", "query", "clients", "explain", "flush", "set")
OPEN = ("reasons", "states", "changed")  # tables whose keys depend on what happened
ARGUMENTS: dict[str, dict[str, Any]] = {
    "query": {"filter": {}},
    "flush": {"filter": {}},
    "explain": {"flow": WANTED},
    "set": {"options": {}},
}


def section(method: str) -> str:
    found = re.search(rf"(?ms)^## `{method}`\n(.*?)(?=^## |\Z)", UBUS)
    assert found is not None, f"docs/ubus.md does not describe {method}"
    return found[1]


def tables(text: str, header: str) -> list[set[str]]:
    """The names in the first column of each table with this header."""
    found = re.findall(rf"(?m)^\| {re.escape(header)}\n\|[-|]+\n((?:\|.*\n)+)", text)
    return [
        {
            name
            for row in table.splitlines()
            for name in re.findall(r"`([\w.]+)`", row.split("|")[1])
        }
        for table in found
    ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, ON, FakeKernel([flow()], [client()], settings=FRESH))


@pytest.mark.parametrize(
    "method", ["status", "info", "query", "clients", "explain", "flush", "set"]
)
def test_every_key_of_a_reply(method: str, bench: Bench) -> None:
    reply = bench.call(method, **ARGUMENTS.get(method, {}))
    documented = tables(section(method), "key | type | meaning |")
    assert documented[0] == set(reply)
    if method == "query":
        assert documented[1] == set(reply["flows"][0])
    if method == "clients":
        assert documented[1] == set(reply["clients"][0])


@pytest.mark.parametrize(
    "method", ["status", "info", "query", "clients", "explain", "flush", "set"]
)
def test_examples_are_json_with_the_same_keys(method: str, bench: Bench) -> None:
    examples = re.findall(r"(?s)```json\n(.*?)```", section(method))
    assert len(examples) == 1
    reply = bench.call(method, **ARGUMENTS.get(method, {}))

    def same(example: Any, real: Any, place: str) -> None:
        if isinstance(real, dict) and place.rpartition(".")[2] not in (
            "reasons",
            "states",
            "changed",
        ):
            assert set(example) == set(real), place
            for key, value in real.items():
                same(example[key], value, f"{place}.{key}")
        elif isinstance(real, list) and real and example and isinstance(real[0], dict):
            same(example[0], real[0], place)

    same(json.loads(examples[0]), reply, method)


def test_methods_and_events(bench: Bench) -> None:
    assert tables(UBUS, "method | argument | answers |")[0] == set(bench.bus.served["natflow"])
    assert tables(UBUS, "event | data | when |")[0] == {
        "natflow.state",
        "natflow.conflict",
        "natflow.flush",
    }


def test_keys_of_a_filter() -> None:
    documented = tables(section("query"), "key | allowed | selects flows |")[0]
    assert documented == {*_READERS, "offset", "limit", "sort", "order"}
    sorts = re.search(r"\| `sort` \| (.*?) \|", section("query"))
    assert sorts is not None
    assert set(re.findall(r"`(\w+)`", sorts[1])) == set(SORTS)


def test_conflicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every code with the names of its data."""
    (tmp_path / "natflow_ctl").symlink_to("/dev/null")
    monkeypatch.setattr(host, "CONTROL", str(tmp_path / "natflow_ctl"))
    monkeypatch.setattr(host, "MODULES", str(tmp_path))
    for module in host.ACCELERATORS:
        (tmp_path / module).mkdir()
    monkeypatch.setattr(host, "flowtables", lambda: [{"name": "ft"}])
    kernel = FakeKernel([flow(state="slow", reason="qdisc")])
    kernel.filter_ifindex = kernel.shaper_ifindex = 1
    told = host.conflicts(open_uci("embedded", str(tmp_path)))
    told += obstacles(kernel.stats(), hardware=True)
    (tmp_path / "firewall").write_text("config defaults\n\toption flow_offloading '1'\n")
    told += host.conflicts(open_uci("embedded", str(tmp_path)))
    rows = re.search(r"(?m)^\| code \| data \| what it is \|\n.*\n((?:\|.*\n)+)", section("status"))
    assert rows is not None
    documented = {}
    for row in rows[1].splitlines():
        _, codes, data, *_ = row.split("|")
        for code in re.findall(r"`([\w-]+)`", codes):
            documented[code] = set(re.findall(r"`(\w+)`", data))
    assert documented == {conflict["code"]: set(conflict["data"]) for conflict in told}


def test_options_with_default_and_range() -> None:
    options = UCI[: UCI.index("## Sections `exception`")]
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (.*) \|$", options))
    assert set(rows) == set(OPTIONS)
    for name, default in SWITCHES.items():
        assert rows[name].startswith(f"{int(default)} | a switch |")
    for name, number in NUMBERS.items():
        least, most = SETTINGS[name]
        assert rows[name].startswith(f"{number} | {least} to {most} |")


def test_the_configuration_shown_is_the_one_shipped() -> None:
    shipped = (DOCS.parent / "files" / "natflow.config").read_text(encoding="utf-8")
    shown = re.search(r"(?s)```\n(config natflow.*?)```", UCI)
    assert shown is not None
    assert shipped.endswith(shown[1])


def test_the_message_shown_is_the_one_given() -> None:
    _, problems = change(Settings(), {"delay_pkts": "70000"})
    assert f"main.{problems[0]}\n" in UCI
