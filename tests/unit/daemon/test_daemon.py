# SPDX-License-Identifier: GPL-2.0-only
"""natflowd as a process: signals, a bus that goes and comes, a second one, the command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.daemon.processes import SECONDS, Router, wait_for

from natflow import __version__
from natflow.kernel.client import Kernel
from natflow.kernel.errors import KernelError

OFF = "config natflow 'main'\n\toption enabled '0'\n"
BROKEN = "config natflow 'main'\n\toption enabled 'maybe'\n"


def module_loaded() -> bool:
    try:
        Kernel().close()
    except KernelError:
        return False
    return True


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    made = Router(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_term_ends_it_cleanly_and_at_once(router: Router) -> None:
    router.start(fake=True)
    start = time.monotonic()
    assert router.stop_daemon() == 0
    assert time.monotonic() - start < 5
    assert router.said("natflowd: ends; the module goes on as it is")


def test_hup_reads_the_configuration_again(router: Router) -> None:
    router.start(fake=True)
    assert router.call("status")["state"] == "software"
    router.write(OFF)
    router.signal(signal.SIGHUP)
    wait_for("off", lambda: router.call("status")["state"] == "off")


def test_hup_with_a_broken_file_keeps_the_last_good_one(router: Router) -> None:
    router.start(fake=True)
    router.write(BROKEN)
    router.signal(signal.SIGHUP)
    reply = wait_for(
        "the error in status",
        lambda: (status := router.call("status"))["config_errors"] and status,
    )
    assert (reply["state"], reply["enabled"]) == ("software", True)
    text = f"{router.directory}/natflow:2: main.enabled: 'maybe' is not allowed"
    assert reply["config_errors"][0]["text"].startswith(text)
    assert router.said(f"natflowd: error: {text}")
    router.write(OFF)
    router.signal(signal.SIGHUP)
    wait_for("the good file", lambda: router.call("status")["state"] == "off")
    assert router.said("all is well again")


def test_events_reach_the_bus(router: Router) -> None:
    router.start(fake=True)
    heard: list[tuple[str, dict[str, Any]]] = []
    router.bus.listen("natflow.*", lambda event, data: heard.append((event, data)))
    assert router.call("flush", filter={})["removed"] == 1
    router.call("set", options={"enabled": False})

    def both() -> bool:
        router.bus.tick(0.05)
        return {"natflow.flush", "natflow.state"} <= {event for event, _ in heard}

    wait_for("both events", both)
    events = dict(heard)
    assert events["natflow.flush"] == {"removed": 1, "accelerated": 1}
    assert events["natflow.state"]["previous"] == "software"
    assert events["natflow.state"]["state"] == "off"


def test_a_new_broker_gets_the_objects_again(router: Router) -> None:
    router.start(fake=True)
    assert router.broker is not None
    router.broker.kill()
    router.broker.wait(SECONDS)
    Path(router.socket).unlink(missing_ok=True)
    router.start_broker()
    wait_for("the objects", router.served, 10)
    assert router.call("status")["flows"]["total"] == 1
    assert router.stop_daemon() == 0, "the same process"


def test_started_before_the_bus(router: Router) -> None:
    router.start_daemon(fake=True)
    time.sleep(0.3)
    router.start_broker()
    wait_for("the objects", router.served, 10)
    assert router.call("status")["enabled"] is True


def test_a_second_one_ends_and_touches_nothing(router: Router) -> None:
    router.start(fake=True)
    first = router.daemon
    second = router.start_daemon(fake=True)
    assert second.wait(SECONDS) == 1
    assert router.said("Is another natflowd running?")
    assert first is not None
    assert first.poll() is None
    router.daemon = first
    assert router.call("status")["enabled"] is True


def test_pid_file(router: Router) -> None:
    router.start_broker()
    pidfile = router.directory / "pid"
    daemon = router.start_daemon("--pidfile", str(pidfile), fake=True)
    wait_for("the pid file", lambda: pidfile.exists() and pidfile.read_text() == f"{daemon.pid}\n")
    assert router.stop_daemon() == 0
    assert not pidfile.exists()


def test_it_sleeps_when_nothing_happens(router: Router) -> None:
    """CPU time of an idle daemon: one tick a second, well below one per cent."""
    router.start(fake=True)
    router.call("status")
    assert router.daemon is not None
    stat = Path(f"/proc/{router.daemon.pid}/stat")

    def used() -> int:
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # clock ticks of 10 ms, proc_pid_stat(5)

    before = used()
    time.sleep(4)
    spent = used() - before
    print(f"\nidle natflowd: {spent * 10} ms of CPU in 4 s")
    assert spent <= 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--version"], 0, f"natflowd {__version__}\n"),
        (["--help"], 0, "Usage: natflowd [OPTION]...\n"),
        (["--colour"], 2, "natflowd: --colour is no option; allowed: --version"),
        (["now"], 2, "natflowd: 'now' is not understood"),
        (["--bus", "lua"], 2, "natflowd: --bus: 'lua' is not allowed; allowed: auto, libubus"),
        (["--socket"], 2, "natflowd: --socket needs a value"),
        (["--version=1"], 2, "natflowd: --version takes no value"),
    ],
)
def test_command_line(arguments: list[str], code: int, says: str, router: Router) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "natflow.daemon", *arguments],
        env=router.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == code
    assert (done.stdout + done.stderr).startswith(says)


@pytest.mark.skipif(module_loaded(), reason="natflow.ko is loaded here: nothing is missing")
def test_without_the_module_everybody_says_so(router: Router) -> None:
    router.start()
    text = "the kernel module natflow is not loaded. Load it with: modprobe natflow"
    assert router.call("status")["message"] == text
    status = router.run("status")
    assert status.returncode == 3
    assert text in status.stdout
    flows = router.run("flows")
    assert (flows.returncode, flows.stdout) == (3, "")
    assert flows.stderr == f"natflow: {text}\n"
    assert router.run("--json", "info").returncode == 0
    assert router.said(text)


def test_the_command(router: Router) -> None:
    router.start(fake=True)
    flows = router.run("flows", "proto=tcp")
    assert (flows.returncode, flows.stderr) == (0, "")
    assert "192.168.1.2:40000 -> 198.51.100.1:443" in flows.stdout
    reply = json.loads(router.run("status", "--json").stdout)
    assert reply["flows"]["software"] == 1
    assert router.run("set", "delay_pkts=70000").returncode == 1
    assert router.run("flush", "proto=tcp").stdout.startswith("Removed 1 flow, 1 of them")


def test_the_command_without_a_daemon(router: Router) -> None:
    router.start_broker()
    done = router.run("status")
    assert (done.returncode, done.stdout) == (3, "")
    assert "natflowd is not running.\nStart it with: service natflow start" in done.stderr


def test_the_command_without_a_bus(router: Router) -> None:
    done = router.run("status")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"there is no ubus at {router.socket}" in done.stderr
    assert f"python3 -m natflow.bus.broker --socket {router.socket}" in done.stderr


def test_the_command_into_a_closed_pipe(router: Router) -> None:
    router.start(fake=True)
    shell = f"{sys.executable} -m natflow.cli info --json | true"
    done = subprocess.run(
        ["bash", "-c", shell],
        env=router.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.stderr == ""
