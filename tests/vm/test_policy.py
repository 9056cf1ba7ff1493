# SPDX-License-Identifier: GPL-2.0-only
"""Policy comes first: rules, settings and sysctls that change under running accelerated flows."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from lab import Lab, Pair, fast_packets, ping, receive
from vm.stream import Stream

VERSIONS = pytest.mark.parametrize("version", [4, 6])
# What an owner may wait for a new rule, where the kernel does not tell that there is one.
INTERVAL_MS = 2000
# Until a stream that a rule ends without an event must have ended, on a busy machine.
REPROOF_SECONDS = 4.0
MARK = 0x40


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(masquerade=True, settings={"sample_interval": INTERVAL_MS})
    yield lab
    lab.remove()


def accelerated(lab: Lab, pair: Pair) -> None:
    ping(pair, 3)
    assert lab.state(pair) == "software", lab.kernel.explain(pair.tuple_)


def is_fast_again(lab: Lab, pair: Pair) -> None:
    """After the next packets only those are slow that prove each direction anew."""
    ping(pair, 3)
    before = fast_packets(lab.flow(pair))
    ping(pair, 10)
    assert fast_packets(lab.flow(pair)) >= before + 18


def flush_input(pair: Pair) -> None:
    for sock in (pair.client, pair.server):
        sock.setblocking(False)
        while True:
            try:
                sock.recv(2048)
            except BlockingIOError:
                break
            except OSError:
                continue
        sock.settimeout(10)


@pytest.mark.parametrize(
    ("version", "direction"), [(4, "out"), (4, "back"), (4, "both"), (6, "both")]
)
def test_drop_rule(lab: Lab, version: int, direction: str) -> None:
    """A rule that drops a running flow stops it: at once where the kernel numbers its rulesets,
    else when the next proof is due. When the rule goes the flow comes back."""
    pair = lab.udp(version)
    accelerated(lab, pair)
    port = pair.tuple_.dport
    match = {"out": "udp dport", "back": "udp sport", "both": "th dport"}[direction]
    rule = f"{match} {port} drop"
    if direction == "both":
        rule = f"udp dport {port} drop\nudp sport {port} drop"
    at_once = "ruleset-seq" in lab.kernel.config().features
    with ExitStack() as stack:
        out = stack.enter_context(Stream(pair.client, pair.server))
        back = stack.enter_context(Stream(pair.server, pair.client))
        time.sleep(0.3)
        lab.r.nft(
            "table inet guard {\nchain forward {\ntype filter hook forward priority -5\n"
            f"{rule}\n}}\n}}"
        )
        moment = time.time()
        time.sleep(1.0 if at_once else REPROOF_SECONDS)
    stopped = {"out": [out], "back": [back], "both": [out, back]}[direction]
    for stream in stopped:
        assert stream.arrived, "it was running before"
        late = stream.last_arrival() - moment
        print(f"IPv{version} {direction}: last packet {late * 1000:+.0f} ms after the rule")
        if at_once:
            assert not stream.arrivals_of_sent_after(moment)
        else:
            # The interval itself, and not the patience of the test.
            assert late < INTERVAL_MS / 1000 + 1
    for stream in {out, back} - set(stopped):
        assert not stream.lost, "the other direction is none of the rule's business"
    lab.r.nft("delete table inet guard")
    flush_input(pair)
    is_fast_again(lab, pair)
    pair.close()


@VERSIONS
def test_conntrack_delete(lab: Lab, version: int) -> None:
    """The next packet of a deleted connection is not fast, and opens a new one."""
    pair = lab.udp(version)
    accelerated(lab, pair)
    before = lab.flow(pair)
    assert before is not None
    fast = lab.kernel.stats().engines["software"].packets
    said = lab.r.run(
        "conntrack", "-D", "-f", f"ipv{version}", "-p", "udp", "--dport", str(pair.tuple_.dport)
    )
    assert "src=" in said
    pair.client.send(b"next")
    assert pair.server.recv(100) == b"next"
    assert lab.kernel.stats().engines["software"].packets == fast
    is_fast_again(lab, pair)
    after = lab.flow(pair)
    assert after is not None and after.id != before.id
    pair.close()


def test_tcp_survives_conntrack_delete(lab: Lab) -> None:
    """Conntrack picks a routed connection up in the middle, and it is learned again."""
    pair = lab.tcp(6)
    accelerated(lab, pair)
    lab.r.run("conntrack", "-D", "-f", "ipv6", "-p", "tcp")
    is_fast_again(lab, pair)
    pair.close()


def test_flush_of_conntrack(lab: Lab) -> None:
    pair = lab.udp(6)
    accelerated(lab, pair)
    fast = lab.kernel.stats().engines["software"].packets
    lab.r.run("conntrack", "-F")
    pair.client.send(b"next")
    assert pair.server.recv(100) == b"next"
    assert lab.kernel.stats().engines["software"].packets == fast
    is_fast_again(lab, pair)
    pair.close()


@VERSIONS
def test_switch_off_and_on(lab: Lab, version: int) -> None:
    """Switching acceleration off hands every flow back without losing a packet, and it starts
    again with the next ones."""
    pair, tcp = lab.udp(version), lab.tcp(version)
    accelerated(lab, pair)
    data = bytes(range(256)) * 4096
    got = hashlib.sha256()

    def read() -> None:
        for _ in range(6):
            got.update(receive(tcp.server, len(data)))

    reader = threading.Thread(target=read)
    reader.start()
    want = hashlib.sha256()
    with (
        Stream(pair.client, pair.server, 0.005) as out,
        Stream(pair.server, pair.client, 0.005) as back,
    ):
        for _ in range(3):
            lab.configure(enabled=0)
            assert not list(lab.kernel.flows())
            explained = lab.kernel.explain(pair.tuple_)
            assert (explained.state, explained.reason) == ("slow", "disabled")
            tcp.client.sendall(data)
            want.update(data)
            out.go_on(10)
            fast = lab.kernel.stats().engines["software"].packets
            back.go_on(10)
            assert lab.kernel.stats().engines["software"].packets == fast
            lab.configure(enabled=1)
            tcp.client.sendall(data)
            want.update(data)
            out.go_on(20)
            back.go_on(20)
            assert lab.kernel.stats().engines["software"].packets > fast
            assert lab.state(pair) == "software"
    reader.join(20)
    assert got.digest() == want.digest()
    assert len(out.sent) > 50 and not out.lost
    assert len(back.sent) > 50 and not back.lost
    pair.close()
    tcp.close()


@VERSIONS
def test_exclude_mark(lab: Lab, version: int) -> None:
    """A setting that excludes a running flow hands it back, with its reason, and it comes back
    when the setting goes."""
    pair, other = lab.udp(version), lab.udp(version)
    port = pair.tuple_.dport
    lab.r.nft(
        "table inet marks {\nchain forward {\ntype filter hook forward priority -4\n"
        f"udp dport {port} ct mark set {MARK}\n}}\n}}"
    )
    try:
        accelerated(lab, pair)
        accelerated(lab, other)
        lab.configure(exclude_mark=MARK, exclude_mask=0xF0)
        before = lab.flow(pair)
        assert before is not None and before.mark == MARK
        ping(pair, 5)
        after = lab.flow(pair)
        assert after is not None
        assert (after.state, after.reason) == ("slow", "excluded")
        assert after.packets == before.packets
        is_fast_again(lab, other)
        lab.configure(exclude_mark=0, exclude_mask=0)
        is_fast_again(lab, pair)
        assert lab.state(pair) == "software"
    finally:
        lab.configure(exclude_mark=0, exclude_mask=0)
        lab.r.nft("delete table inet marks")
    pair.close()
    other.close()


@VERSIONS
def test_forwarding_switched_off(lab: Lab, version: int) -> None:
    """What is no router any more does not route."""
    pair = lab.udp(version)
    accelerated(lab, pair)
    key = "net__ipv4__ip_forward" if version == 4 else "net__ipv6__conf__all__forwarding"
    with Stream(pair.client, pair.server) as stream:
        time.sleep(0.3)
        lab.r.sysctl(**{key: 0})
        moment = time.time()
        time.sleep(0.5)
        lab.r.sysctl(**{key: 1})
    late = [n for n in stream.arrivals_of_sent_after(moment) if stream.arrived[n] < moment + 0.5]
    assert not late
    flush_input(pair)
    is_fast_again(lab, pair)
    pair.close()


def test_flush_does_not_stop_traffic(lab: Lab) -> None:
    """Flushing natflow's table loses neither a packet nor a connection."""
    pair = lab.udp(4)
    accelerated(lab, pair)
    with Stream(pair.client, pair.server, 0.005) as stream:
        for _ in range(5):
            stream.go_on(20)
            assert lab.kernel.flush().removed >= 1
    assert len(stream.sent) > 50 and not stream.lost
    is_fast_again(lab, pair)
    pair.close()
