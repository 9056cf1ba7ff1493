# SPDX-License-Identifier: GPL-2.0-only
"""flows, query, clients, explain and flush: selection, order, pages, sizes and clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.kernel.fake import FakeKernel, client, flow
from unit.service.bench import ON, Bench

from natflow import host
from natflow.bus import Status, blob
from natflow.kernel.records import Path as KernelPath
from natflow.service.flows import SORTS

MEGABYTE = 1 << 20


def bench_of(tmp_path: Path, *flows: Any, **kernel: Any) -> Bench:
    return Bench(tmp_path, ON, FakeKernel(flows, **kernel))


def test_flows_are_the_fifty_fastest(tmp_path: Path) -> None:
    many = [flow(sport=1000 + number, rate=(number * 7 % 120, number)) for number in range(120)]
    reply = bench_of(tmp_path, *many).call("flows")
    assert reply["total"] == 120
    rates = [sum(row["rate"]) for row in reply["flows"]]
    expected = sorted((sum(item.rate) for item in many), reverse=True)[:50]
    assert rates == expected


def test_a_row(tmp_path: Path) -> None:
    item = flow(
        src="192.168.1.10",
        sport=40000,
        dst="203.0.113.5",
        dport=443,
        nat="198.51.100.2",
        bytes=(2**53 + 1, 9),
        packets=(3, 4),
        ct_bytes=(2**53 + 5, 10),
        ct_packets=(5, 6),
        rate=(100, 200),
        in_ifindex=(1, 999999),
        out_ifindex=(999999, 1),
        vlan=(0xFFFF, 7),
        mark=16,
    )
    row = bench_of(tmp_path, item).call("flows")["flows"][0]
    assert row == {
        "id": item.id,
        "family": "ipv4",
        "proto": "tcp",
        "src": "192.168.1.10",
        "sport": 40000,
        "dst": "203.0.113.5",
        "dport": 443,
        "reply_src": "203.0.113.5",
        "reply_sport": 443,
        "reply_dst": "198.51.100.2",
        "reply_dport": 40000,
        "state": "software",
        "reason": "none",
        "flags": ["snat"],
        "bytes": [2**53 + 1, 9],
        "packets": [3, 4],
        "total_bytes": [2**53 + 5, 10],
        "total_packets": [5, 6],
        "rate": [100, 200],
        "hw_state": ["none", "none"],
        "hw_reason": ["none", "none"],
        "hw_error": ["", ""],
        "hw_bytes": [0, 0],
        "hw_packets": [0, 0],
        "estimated": [False, False],
        "drawing": ["port --> cpu --> port", "port <-- cpu <-- port"],
        "in": ["lo", "#999999"],
        "out": ["#999999", "lo"],
        "vlan": [None, 7],
        "mac": ["02:00:00:00:00:02", "02:00:00:00:00:01"],
        "mark": 16,
        "age": 1000,
        "idle": 10,
        "timeout": 300,
    }


FLOWS = (
    flow(src="192.168.1.2", sport=1, dport=443, rate=(10, 0), state="software", bytes=(1, 2)),
    flow(src="192.168.1.3", sport=2, dport=53, proto="udp", rate=(30, 0), mark=16),
    flow(src="192.168.2.4", sport=3, dport=21, state="slow", reason="helper", rate=(20, 0)),
    flow(src="2001:db8::2", dst="2001:db8:1::1", sport=4, nat="", rate=(5, 0), age=60000),
)


@pytest.mark.parametrize(
    ("table", "sports"),
    [
        ({}, [2, 3, 1, 4]),
        ({"proto": "udp"}, [2]),
        ({"address": "192.168.1.0/24"}, [2, 1]),
        ({"address": ["192.168.2.4", "2001:db8::/32"]}, [3, 4]),
        ({"port": 443}, [1, 4]),
        ({"port": "53"}, [2]),
        ({"state": "slow"}, [3]),
        ({"reason": "helper"}, [3]),
        ({"mark": "0x10/0xf0"}, [2]),
        ({"mac": "02:00:00:00:00:01", "family": "ipv6"}, [4]),
        ({"min_rate": 20}, [2, 3]),
        ({"min_age": 60000}, [4]),
        ({"device": "lo"}, []),
        ({"ifindex": 2, "proto": "tcp", "sort": "src", "order": "asc"}, [1, 3, 4]),
        ({"sort": "age"}, [4, 1, 2, 3]),
        ({"sort": "rate", "order": "asc"}, [4, 1, 3, 2]),
        ({"sort": "bytes", "limit": 1}, [1]),
        ({"offset": 1, "limit": 2}, [3, 1]),
        ({"offset": "3", "limit": "2"}, [4]),
        ({"offset": 100}, []),
    ],
)
def test_query(table: dict[str, Any], sports: list[int], tmp_path: Path) -> None:
    reply = bench_of(tmp_path, *FLOWS).call("query", filter=table)
    assert [row["sport"] for row in reply["flows"]] == sports


def test_query_counts_all_that_match_not_the_page_alone(tmp_path: Path) -> None:
    reply = bench_of(tmp_path, *FLOWS).call("query", filter={"limit": 1, "family": "ipv4"})
    assert len(reply["flows"]) == 1
    assert {key: reply[key] for key in ("total", "offset", "limit", "sort", "order")} == {
        "total": 3,
        "offset": 0,
        "limit": 1,
        "sort": "rate",
        "order": "desc",
    }
    assert reply["totals"] == {"bytes": 3, "packets": 0, "rate": 60}
    assert reply["states"] == {"software": 2, "slow": 1}


@pytest.mark.parametrize("sort", SORTS)
def test_pages_together_are_all_flows_once(sort: str, tmp_path: Path) -> None:
    bench = bench_of(tmp_path, *(flow(sport=1 + n, rate=(n % 5, 0)) for n in range(25)))
    seen = []
    for offset in range(0, 30, 7):
        page = bench.call("query", filter={"offset": offset, "limit": 7, "sort": sort})
        seen += [row["sport"] for row in page["flows"]]
    assert sorted(seen) == list(range(1, 26))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"colour": "red"}, "'colour' is no filter; allowed: family, proto, address"),
        ({"limit": 501}, "limit: 501; allowed: a number from 1 to 500"),
        ({"limit": 0}, "limit: 0; allowed: a number from 1 to 500"),
        ({"offset": -1}, "offset: -1; allowed: a number from 0 to 10000"),
        ({"offset": None}, "offset: None; allowed: a number"),
        ({"sort": "colour"}, "sort: 'colour'; allowed: rate, bytes"),
        ({"sort": ["rate"]}, "sort: ['rate']; allowed: rate, bytes"),
        ({"order": "up"}, "order: 'up'; allowed: desc, asc"),
        ({"order": {}}, "order: {}; allowed: desc, asc"),
        ({"address": "192.168.1.300"}, "address: '192.168.1.300'; allowed: an IPv4 or IPv6"),
        ({"state": "fast"}, "state: 'fast'; allowed: slow, learning, software"),
        ({"device": "nowhere0"}, "device: 'nowhere0'; allowed: the name of a device"),
    ],
)
def test_query_refuses(table: dict[str, Any], says: str, tmp_path: Path) -> None:
    bench = bench_of(tmp_path, *FLOWS)
    status, text = bench.refusal("query", filter=table)
    assert status == Status.INVALID_ARGUMENT
    assert text.startswith(says)


def test_the_largest_page_fits_the_bus(tmp_path: Path) -> None:
    longest = [
        flow(
            src=f"2001:db8:ffff:ffff:ffff:ffff:{n:x}:ffff",
            dst="2001:db8:ffff:ffff:ffff:ffff:ffff:fffe",
            nat="2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            state="slow",
            reason="foreign-offload",
            bytes=(2**62, 2**62),
            in_ifindex=(999999999, 999999998),
            id=2**62 + n,
        )
        for n in range(1, 600)
    ]
    reply = bench_of(tmp_path, *longest).call("query", filter={"limit": 500})
    assert len(reply["flows"]) == 500
    assert len(blob.encode(reply)) < MEGABYTE


def test_flush(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, *FLOWS)
    assert bench.call("flush", filter={"address": "192.168.0.0/16"}) == {
        "removed": 3,
        "accelerated": 2,
        "slow": 1,
    }
    assert bench.call("flush", filter={}) == {"removed": 1, "accelerated": 1, "slow": 0}
    assert bench.call("flows")["total"] == 0


@pytest.mark.parametrize("table", [{"colour": 1}, {"limit": 5}, {"port": 70000}, {"address": []}])
def test_flush_refuses_and_removes_nothing(table: dict[str, Any], tmp_path: Path) -> None:
    bench = bench_of(tmp_path, *FLOWS)
    status, text = bench.refusal("flush", filter=table)
    assert status == Status.INVALID_ARGUMENT
    assert "allowed: " in text
    assert bench.call("flows")["total"] == 4


def test_explain(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, *FLOWS)
    bench.kernel.paths = (
        KernelPath("original", 1, 1, 999999, None, "02:00:00:00:00:02", 1500, 40),
        KernelPath("reply", 999999, 999998, 1, 7, "", 1492, 80),
    )
    wanted = {
        "proto": "tcp",
        "src": "192.168.2.4",
        "sport": 3,
        "dst": "198.51.100.1",
        "dport": 21,
    }
    reply = bench.call("explain", flow=wanted)
    assert reply["flow"]["sport"] == 3
    assert [path["text"] for path in reply["path"]] == [
        "lo → lo → #999999 → 02:00:00:00:00:02",
        "#999999 → #999998 → lo VLAN 7",
    ]
    assert {key: reply[key] for key in ("tracked", "state", "reason", "code")} == {
        "tracked": True,
        "state": "slow",
        "reason": "helper",
        "code": 11,
    }
    assert reply["sentence"].startswith("A connection tracking helper (ALG")
    assert reply["hint"].startswith("Remove the helper assignment")
    assert reply["summary"] == "The normal stack forwards it."
    assert bench.call("explain", flow={**wanted, "family": "ipv4"})["flow"]["sport"] == 3


def test_explain_a_flow_nobody_knows(tmp_path: Path) -> None:
    wanted = {"proto": "udp", "src": "192.0.2.1", "sport": 1, "dst": "192.0.2.2", "dport": 2}
    reply = bench_of(tmp_path).call("explain", flow=wanted)
    assert reply["tracked"] is False
    assert "flow" not in reply
    assert reply["summary"].startswith("Connection tracking does not know it")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"src": None}, "src: None; allowed: an IPv4 or IPv6 address"),
        ({"dst": "2001:db8::1"}, "src and dst are of different families"),
        ({"family": "ipv6"}, "family: 'ipv6'; allowed: that of the addresses"),
        ({"family": 7}, "family: 7; allowed: that of the addresses"),
        ({"colour": "red"}, "'colour' is no part of a flow"),
        ({"sport": 65536}, "sport: 65536; allowed: a number from 0 to 65535"),
    ],
)
def test_explain_refuses(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    wanted = {"proto": "udp", "src": "192.0.2.1", "sport": 1, "dst": "192.0.2.2", "dport": 2}
    status, text = bench_of(tmp_path).refusal("explain", flow={**wanted, **change})
    assert status == Status.INVALID_ARGUMENT
    assert text.startswith(says)


def test_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = tmp_path / "leases"
    leases.write_text(
        "1700000000 02:00:00:00:00:01 192.168.1.2 laptop *\n"
        "1700000000 02:00:00:00:00:09 192.168.1.9 * *\n"
        "1700000000 02:00:00:00:00:aa 192.168.1.66 evil\x1b[31m *\n"
        "rubbish\n"
    )
    monkeypatch.setattr(host, "LEASES", str(leases))
    bench = bench_of(
        tmp_path,
        clients=[
            client("192.168.1.2", "02:00:00:00:00:01", 3, 50, (10, 20), software_bytes=(1, 2)),
            client("2001:db8::2", "02:00:00:00:00:01", 2, 40, (1, 2), slow_bytes=(5, 6)),
            client("10.0.0.1", "02:00:00:00:00:aa", 1, rate=(100, 0)),
            client("192.168.1.66", "02:00:00:00:00:aa", 1, rate=(0, 7)),
            client("192.168.1.9", "", 1),
        ],
    )
    reply = bench.call("clients")
    rows = reply["clients"]
    assert reply["total"] == 4
    assert [row["addresses"] for row in rows] == [
        ["10.0.0.1"],
        ["192.168.1.2", "2001:db8::2"],
        ["192.168.1.66"],
        ["192.168.1.9"],
    ]
    assert [row["name"] for row in rows] == ["", "laptop", "evil?[31m", ""]
    assert rows[1] == {
        "name": "laptop",
        "mac": "02:00:00:00:00:01",
        "addresses": ["192.168.1.2", "2001:db8::2"],
        "flows": 5,
        "idle": 40,
        "rate": {"up": 11, "down": 22},
        "bytes": {
            "slow": {"up": 5, "down": 6},
            "software": {"up": 1, "down": 2},
            "hardware": {"up": 0, "down": 0},
        },
        "packets": {engine: {"up": 0, "down": 0} for engine in ("slow", "software", "hardware")},
        "estimated": False,
    }


@pytest.mark.parametrize("method", ["flows", "clients", "query", "flush", "explain", "set"])
def test_without_the_module(method: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.kernel.missing = True
    arguments: dict[str, dict[str, Any]] = {
        "query": {"filter": {}},
        "flush": {"filter": {}},
        "set": {"options": {"delay_pkts": 1}},
        "explain": {
            "flow": {"proto": 6, "src": "192.0.2.1", "sport": 1, "dst": "192.0.2.2", "dport": 2}
        },
    }
    status, text = bench.refusal(method, **arguments.get(method, {}))
    assert status == Status.NOT_SUPPORTED
    assert text == "the kernel module natflow is not loaded. Load it with: modprobe natflow"
