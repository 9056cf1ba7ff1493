# SPDX-License-Identifier: GPL-2.0-only
"""The in-memory kernel keeps the rules that its users' tests rely on."""

from __future__ import annotations

import select

import pytest
from unit.kernel.fake import FakeKernel, client, flow

from natflow.kernel.errors import FilterError, ModuleMissing
from natflow.kernel.filters import Filter, FlowTuple
from natflow.kernel.records import Flushed

FLOWS = [
    flow(src="192.168.1.2", proto="tcp", rate=(5, 5), mark=0x11),
    flow(src="192.168.1.3", proto="udp", dport=53, state="slow", reason="helper"),
    flow(src="2001:db8::2", dst="2001:db8:1::1", nat="", age=5, mac=("", "02:00:00:00:00:77")),
]


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({}, [0, 1, 2]),
        ({"family": "ipv6"}, [2]),
        ({"proto": "udp"}, [1]),
        ({"address": "192.168.1.0/24"}, [0, 1]),
        ({"address": ["192.168.1.3", "2001:db8::/32"]}, [1, 2]),
        ({"address": "203.0.113.1"}, [0, 1]),
        ({"address": "0.0.0.0/0"}, [0, 1]),
        ({"port": 53}, [1]),
        ({"ifindex": 3}, [0, 1, 2]),
        ({"ifindex": 9}, []),
        ({"mark": "0x10/0xf0"}, [0]),
        ({"mark": 0x11}, [0]),
        ({"mac": "02:00:00:00:00:77"}, [2]),
        ({"state": "slow"}, [1]),
        ({"reason": "helper", "proto": "udp"}, [1]),
        ({"reason": "helper", "proto": "tcp"}, []),
        ({"min_age": 6}, [0, 1]),
        ({"min_rate": 10}, [0]),
    ],
)
def test_filters(table: dict[str, object], found: list[int]) -> None:
    kernel = FakeKernel(flows=FLOWS)
    assert list(kernel.flows(Filter.parse(table))) == [FLOWS[index] for index in found]


def test_flush_removes_and_tells() -> None:
    kernel = FakeKernel(flows=FLOWS)
    events = kernel.events()
    assert kernel.flush(Filter.parse({"family": "ipv4"})) == Flushed(2, 1)
    assert list(kernel.flows()) == [FLOWS[2]]
    assert select.select([events], [], [], 0)[0] == [events]
    assert [event.kind for event in events.read()] == ["flush"]
    assert events.read() == []


def test_settings_are_checked() -> None:
    kernel = FakeKernel(settings={"delay_pkts": 8})
    with pytest.raises(FilterError):
        kernel.configure({"enabled": 0, "delay_pkts": -1})
    assert kernel.config().settings["enabled"] == 1
    kernel.configure({"enabled": 0})
    assert kernel.config().settings["enabled"] == 0
    assert kernel.config().settings["delay_pkts"] == 8


def test_explain_finds_both_directions() -> None:
    kernel = FakeKernel(flows=FLOWS)
    there = {
        "proto": "tcp",
        "src": "192.168.1.2",
        "dst": "198.51.100.1",
        "sport": 40000,
        "dport": 443,
    }
    back = {
        "proto": "tcp",
        "src": "198.51.100.1",
        "dst": "203.0.113.1",
        "sport": 443,
        "dport": 40000,
    }
    for table in (there, back):
        assert kernel.explain(FlowTuple.parse(table)).flow == FLOWS[0]
    assert kernel.explain(FlowTuple.parse({**there, "sport": 1})).reason == "untracked"


def test_a_missing_module() -> None:
    kernel = FakeKernel(clients=[client()])
    kernel.missing = True
    with pytest.raises(ModuleMissing):
        kernel.config()
    with pytest.raises(ModuleMissing):
        list(kernel.clients())


def test_stats_count_the_flows() -> None:
    stats = FakeKernel(flows=FLOWS).stats()
    assert (stats.states["software"], stats.states["slow"]) == (2, 1)
    assert stats.reason_flows["helper"] == 1
