# SPDX-License-Identifier: GPL-2.0-only
"""Ten thousand malformed ubus frames each, against the broker and against a client that serves.

Both must live, answer well-behaved peers all the while, meet what is malformed with an error or a
closed connection, and not grow. NATFLOW_FUZZ_SEED= and NATFLOW_FUZZ_FRAMES= choose other frames.
"""

from __future__ import annotations

import collections
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.ubus_frames import Frame, Frames, is_broken, is_one
from unit.bus.brokers import SOURCE, RunningBroker
from unit.bus.rawclient import RawClient, RawPeer, content, invocation

from natflow.bus import TABLE, Method, Status, embedded, wire
from natflow.bus.embedded import EmbeddedBus
from natflow.bus.wire import Attr, Type

SEED = int(os.environ.get("NATFLOW_FUZZ_SEED", "20261120"))
FRAMES = int(os.environ.get("NATFLOW_FUZZ_FRAMES", "10000"))
GROWTH_KB = 16 << 10
PING_SEQ = 0xFFFF
DEFECT = f"status {Status.UNKNOWN_ERROR}"  # what a handler's or our own failure is answered with


def rss_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


@pytest.fixture
def socket_path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="nf") as directory:
        yield os.fspath(Path(directory) / "bus")


@pytest.fixture
def broker(socket_path: str) -> Iterator[RunningBroker]:
    running = RunningBroker(socket_path)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def server(broker: RunningBroker) -> Iterator[subprocess.Popen[str]]:
    """The embedded client in a process of its own, serving `natflow`."""
    script = Path(__file__).with_name("ubus_server.py")
    with open(broker.log_path, "a") as log:  # both complain there
        process = subprocess.Popen(
            [sys.executable, script, broker.path],
            env={**os.environ, "PYTHONPATH": os.fspath(SOURCE)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    assert process.stdout.readline() == "serving\n"
    yield process
    process.terminate()
    assert process.wait(10) == -signal.SIGTERM
    process.stdout.close()


class Fuzzer:
    """A client of the broker that sends one frame after another and looks what comes of it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.client: RawClient | None = None
        self.sent = 0

    def throw(self, frame: Frame) -> str:
        """Send a frame: "closed", "status N", "silence", or "left open" when more must follow."""
        if self.client is None or self.sent == 200:  # objects pile up on one connection
            self.drop()
            self.client = RawClient(self.path)
        self.sent += 1
        try:
            self.client.send_bytes(frame.data)
            if is_broken(frame.data):
                assert self.client.is_closed(10), f"still open after {frame}"
                raise EOFError
            if not is_one(frame.data):
                self.drop()
                return "left open"
            self.client.send(Type.PING, seq=PING_SEQ)
            return self._outcome(frame)
        except (EOFError, OSError):
            self.drop()
            return "closed"

    def _outcome(self, frame: Frame) -> str:
        assert self.client is not None
        seq = int.from_bytes(frame.data[2:4], "big")
        asks = frame.data[1] not in (Type.STATUS, Type.DATA, Type.NOTIFY)
        statuses: list[int] = []
        pong = False
        deadline = time.monotonic() + 10
        while not pong or (asks and not statuses):
            assert time.monotonic() < deadline, f"no answer to {frame}"
            self.client.pump(deadline - time.monotonic())
            for message in self.client.waiting:
                if message.type == Type.STATUS and message.seq == PING_SEQ:
                    pong = True
                elif message.type == Type.STATUS and message.seq == seq:
                    status = message.attributes().number(Attr.STATUS)
                    assert status is not None
                    statuses.append(status)
            self.client.waiting.clear()
        assert len(statuses) <= 1, f"{len(statuses)} answers to {frame}"
        return f"status {statuses[0]}" if statuses else "silence"

    def drop(self) -> None:
        if self.client is not None:
            self.client.close()
            self.client = None
        self.sent = 0


def test_the_broker_and_the_object_behind_it(
    broker: RunningBroker,
    server: subprocess.Popen[str],
) -> None:
    assert broker.process is not None
    print(f"seed {SEED}, {FRAMES} frames")
    caller = RawClient(broker.path)
    lookup = caller.ask(Type.LOOKUP, wire.put_text(Attr.OBJPATH, "natflow"))[1][0]
    target = lookup.attributes().number(Attr.OBJID)
    assert target is not None
    source = Frames(random.Random(SEED), target)
    fuzzer = Fuzzer(broker.path)
    seen: collections.Counter[tuple[str, str]] = collections.Counter()

    def answers() -> bool:
        reply = caller.invoke(target, "echo", {"filter": {"n": 1}})
        return reply == (0, [{"got": {"filter": {"n": 1}}}])

    before = [rss_kb(process.pid) for process in (broker.process, server)]
    for number in range(FRAMES):
        frame = source.next()
        outcome = fuzzer.throw(frame)
        seen[frame.kind, outcome] += 1
        assert outcome != DEFECT, f"frame {number}: {frame}"
        if frame.certain:
            good = outcome == "closed" or (outcome > "status 0" and outcome.startswith("status"))
            assert good, f"frame {number}: {outcome} for {frame}"
        if number % 100 == 0:
            assert answers(), f"after frame {number}"
    fuzzer.drop()
    assert answers()
    after = [rss_kb(process.pid) for process in (broker.process, server)]
    for (kind, outcome), count in sorted(seen.items()):
        print(f"{kind:16} {outcome:12} {count}")
    print(f"RSS of broker and server before {before} kB, after {after} kB")
    assert all(new - old < GROWTH_KB for old, new in zip(before, after, strict=True))
    complaints = broker.log_path.read_text()
    assert "broker: cut off a client" in complaints
    for defect in ("internal error", "failed", "Traceback"):
        assert defect not in complaints
    caller.close()


class HostileBus:
    """A bus that greets the client properly and then sends it whatever comes to mind."""

    def __init__(self, path: str, client: EmbeddedBus) -> None:
        self.client = client
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.setblocking(False)
        self.peer: RawPeer | None = None
        self.links = 0

    def connect(self) -> RawPeer:
        """The present link to the client, or the next one, with its object added."""
        if self.peer is not None:
            return self.peer
        poller = select.poll()
        poller.register(self.listener, select.POLLIN)
        deadline = time.monotonic() + 5
        while not poller.poll(0):
            assert time.monotonic() < deadline, "the client does not come back"
            self.client.tick(0)
        self.links += 1
        self.peer = RawPeer(self.listener.accept()[0])
        self.peer.send(Type.HELLO, peer=0x10000001, seq=0)
        self.client.tick(1)
        added = self.peer.get(Type.ADD_OBJECT)
        self.peer.send(Type.DATA, wire.put_number(Attr.OBJID, TARGET), seq=added.seq)
        self.peer.send(Type.STATUS, wire.put_number(Attr.STATUS, 0), seq=added.seq)
        self.client.tick(1)
        return self.peer

    def throw(self, frame: Frame) -> str:
        """Send a frame and after it a good call: "closed", "status N" of the frame, "silence"."""
        peer = self.connect()
        seq = int.from_bytes(frame.data[2:4], "big") if len(frame.data) >= 4 else 0
        statuses: list[int] = []
        served = False
        try:
            peer.send_bytes(frame.data)
            if not is_one(frame.data):
                # The client cannot find the next message after this one: hang up, as a bus would.
                for _ in range(4 + len(frame.data) // wire.CHUNK):
                    self.client.tick(0)
                    peer.pump()
                self.hang_up()
                return "hung up"
            peer.send(Type.INVOKE, invocation(TARGET, "echo", {}), CALLER, PING_SEQ)
            deadline = time.monotonic() + 10
            while not served:
                assert time.monotonic() < deadline, f"no answer after {frame}"
                self.client.tick(0)
                peer.pump()
                for message in peer.waiting:
                    if message.type != Type.STATUS:
                        continue
                    status = message.attributes().number(Attr.STATUS)
                    assert status is not None
                    if message.seq == PING_SEQ and message.peer == CALLER:
                        assert status == 0
                        served = True
                    elif message.seq == seq:
                        statuses.append(status)
                peer.waiting.clear()
        except (EOFError, OSError):
            peer.close()
            self.peer = None
            return "closed"
        assert len(statuses) <= 1, f"{len(statuses)} answers to {frame}"
        return f"status {statuses[0]}" if statuses else "silence"

    def hang_up(self) -> None:
        if self.peer is not None:
            self.peer.close()
            self.peer = None
        self.client.tick(0)


TARGET, CALLER = 0xF0000001, 0x20000002


def test_a_serving_client_on_a_hostile_bus(
    socket_path: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedded, "FIRST_RETRY", 0.0)  # it is pacing that we do not test here
    monkeypatch.setattr(embedded, "LAST_RETRY", 0.0)
    print(f"seed {SEED}, {FRAMES} frames")
    client = EmbeddedBus(socket_path)
    client.serve("natflow", {"echo": Method(lambda args: {"got": args}, {"filter": TABLE})})
    bus = HostileBus(socket_path, client)
    source = Frames(random.Random(SEED + 1), TARGET)
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    for frame in (source.next() for _ in range(100)):
        bus.throw(frame)  # warm up: what is imported and cached on the way is no growth
    before = rss_kb(os.getpid())
    for number in range(FRAMES):
        frame = source.next()
        outcome = bus.throw(frame)
        seen[frame.kind, outcome] += 1
        assert outcome != DEFECT, f"frame {number}: {frame}"
        to_us = frame.data[1:2] == bytes([Type.INVOKE]) and frame.data[16:20] == TARGET.to_bytes(4)
        if frame.certain and to_us:
            assert outcome not in ("status 0", "silence"), f"frame {number}: {outcome} for {frame}"
    after = rss_kb(os.getpid())
    peer = bus.connect()
    peer.send(Type.INVOKE, invocation(TARGET, "echo", {"filter": {"n": 1}}), CALLER)
    client.tick(1)
    assert content(peer.get(Type.DATA)) == {"got": {"filter": {"n": 1}}}
    for (kind, outcome), count in sorted(seen.items()):
        print(f"{kind:16} {outcome:12} {count}")
    print(f"{bus.links} links, RSS before {before} kB, after {after} kB")
    assert after - before < GROWTH_KB
    out, complaints = capfd.readouterr()
    sys.stdout.write(out)
    assert "lost the bus" in complaints
    for defect in ("internal error", "failed", "cannot be sent", "Traceback"):
        assert defect not in complaints
    client.close()
    bus.hang_up()
    bus.listener.close()
