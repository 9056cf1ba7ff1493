# SPDX-License-Identifier: GPL-2.0-only
"""`python -m natflow.bus`: what `ubus` prints and returns, on a host without it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from unit.bus.brokers import SOURCE, RunningBroker

from natflow.bus import STRING, TABLE, Bus, BusError, Method, Status
from natflow.bus.embedded import EmbeddedBus

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "natflow.bus", *arguments]


def environment(path: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.fspath(SOURCE), "UBUS_SOCKET": path}


@pytest.fixture
def run(
    broker: RunningBroker, serving: Callable[[Bus], AbstractContextManager[None]]
) -> Iterator[Run]:
    def refuse(_: dict[str, object]) -> dict[str, object]:
        raise BusError(Status.NOT_SUPPORTED, "filter.src: no such thing")

    bus = EmbeddedBus(broker.path)
    bus.serve(
        "natflow",
        {
            "echo": Method(lambda args: {"got": args}, {"filter": TABLE, "name": STRING}),
            "status": Method(lambda _: {"state": "software", "flows": 3}),
            "refuse": Method(refuse),
        },
    )

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            env=environment(broker.path),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    with serving(bus):
        yield call
    bus.close()


def test_call(run: Run) -> None:
    done = run("call", "natflow", "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{\n\t"state": "software",\n\t"flows": 3\n}\n'
    done = run("-S", "call", "natflow", "echo", '{"name": "x", "filter": {"a": [1, true]}}')
    got = {"got": {"filter": {"a": [1, True]}, "name": "x"}}
    assert (done.returncode, json.loads(done.stdout)) == (0, got)
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("call", "natflow", "refuse"), 8, "filter.src: no such thing (status 8)"),
        (("call", "natflow", "nope"), 3, "natflow has no method nope; it has echo, status"),
        (("call", "nobody", "status"), 4, "nobody: object not found"),
        (("call", "natflow", "status", '{"a": 1}'), 2, "unknown argument 'a'; allowed: no arg"),
        (("call", "natflow", "echo", "{"), 255, "not JSON: "),
        (("call", "natflow", "echo", "[1]"), 255, "must be a JSON table"),
        (("send", "x.y", "5"), 255, "must be a JSON table"),
        (("send", "ubus.x", "{}"), 2, "ubus.x: not sent"),
        (("list", "nobody*"), 4, ""),
        (("--socket", "/nonexistent/bus", "list"), 10, "/nonexistent/bus: No such file"),
        (("--socket", "/nonexistent/bus", "listen"), 10, "/nonexistent/bus: No such file"),
        (("--socket", "/nonexistent/bus", "send", "x"), 10, "/nonexistent/bus: No such file"),
        (("frobnicate",), 2, "invalid choice"),
    ],
)
def test_failures(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_list(run: Run) -> None:
    assert run("list").stdout == "natflow\n"
    assert run("list", "-v", "nat*").stdout == (
        "'natflow'\n"
        '\t"echo":{"filter": "Table", "name": "String"}\n'
        '\t"status":{}\n'
        '\t"refuse":{}\n'
    )


def test_events(run: Run, broker: RunningBroker) -> None:
    listener = subprocess.Popen(
        command("listen", "x.*"),
        env={**environment(broker.path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert listener.stdout is not None
    try:
        # Nothing says that it listens; but an event is heard once it does.
        os.set_blocking(listener.stdout.fileno(), False)
        line = ""
        for _ in range(100):
            assert run("send", "x.y", '{"n": 1}').returncode == 0
            line = listener.stdout.readline()
            if line:
                break
        assert json.loads(line) == {"x.y": {"n": 1}}
        listener.send_signal(signal.SIGINT)
        _, errors = listener.communicate(timeout=20)
    finally:
        listener.kill()
        listener.wait()
    assert listener.returncode == 0
    assert "Traceback" not in errors
