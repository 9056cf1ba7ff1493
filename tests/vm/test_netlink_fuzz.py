# SPDX-License-Identifier: GPL-2.0-only
"""Malformed netlink messages: an error for each, and neither state nor traffic suffers.

NATFLOW_FUZZ_SEED and NATFLOW_FUZZ_COUNT change the seed and the number of messages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from fuzz.netlink_messages import Generator
from fuzz.netlink_session import Report, Session, run
from lab import Lab, Pair, fast_packets, ping

from natflow.kernel import uapi

SEED = int(os.environ.get("NATFLOW_FUZZ_SEED", "20261120"))
COUNT = int(os.environ.get("NATFLOW_FUZZ_COUNT", "200000"))
# What goes which way: refused for certain, damaged at random, dumps that may be valid.
DUMPS = COUNT // 100
WILD = COUNT // 5
INVALID = COUNT - WILD - DUMPS


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab(masquerade=True, settings={"idle_timeout": 600000})
    # Idle UDP flows must outlast the tests on a slow machine, too.
    made.r.sysctl(net__netfilter__nf_conntrack_udp_timeout=3600)
    made.r.sysctl(net__netfilter__nf_conntrack_udp_timeout_stream=3600)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def pairs(lab: Lab) -> Iterator[list[Pair]]:
    """Some flows to be found, filtered, explained and flushed."""
    made = [lab.udp(4), lab.udp(4), lab.tcp(4), lab.udp(6), lab.tcp(6)]
    for pair in made:
        ping(pair, 3)
    yield made
    for pair in made:
        pair.close()


def finish(report: Report, started: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what was done, and fail with the messages at fault."""
    total = sum(report.sent.values()) + report.dropped
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\n{total} messages in {seconds:.1f} s, seed {SEED}: {report}")
    assert not report.faults, "\n".join(report.faults)


def test_invalid_messages_are_refused(
    lab: Lab, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each gets an error, and nothing has changed afterwards."""
    config = lab.kernel.config().settings
    ids = sorted(flow.id for flow in lab.kernel.flows())
    assert len(ids) == len(pairs)
    report = Report()
    started = time.monotonic()
    make = Generator(SEED)
    for extended_acks in (False, True):
        with lab.r.entered():
            session = Session(lab.kernel._family, extended_acks)
        run(session, make.invalid, INVALID // 2, True, report, noise=make.noise)
        session.close()
    finish(report, started, capsys)
    assert lab.kernel.config().settings == config
    assert lab.kernel.exceptions() == ()
    assert sorted(flow.id for flow in lab.kernel.flows()) == ids


def test_wild_messages_are_answered(
    lab: Lab, pairs: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each gets one answer; whatever they set is within its limits, and traffic goes on."""
    before = lab.kernel.config().settings
    report = Report()
    started = time.monotonic()
    make = Generator(SEED + 1)
    with lab.r.entered():
        session = Session(lab.kernel._family)
    run(session, make.wild, WILD, False, report)
    for number in range(1, DUMPS + 1):
        body = make.wild_dump()
        code = session.dump(number, body)
        report.judge(body.sort, code, False, session.frame(number, body))
    session.close()
    finish(report, started, capsys)
    assert report.codes["ok"], "nothing was valid: the test does not reach beyond the checks"
    for name, value in lab.kernel.config().settings.items():
        least, most = uapi.SETTINGS[name]
        assert least <= value <= most, name
    lab.kernel.configure(before)
    lab.kernel.set_exceptions(())
    assert lab.kernel.config().settings == before
    for pair in pairs:
        ping(pair, 10)
        assert lab.state(pair) == "software"
        assert fast_packets(lab.flow(pair)) > 0
