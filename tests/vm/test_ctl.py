# SPDX-License-Identifier: GPL-2.0-only
"""natflowd on the stand-in for x-wrt's module (tests/kmod/natflow_ctlsim.c): a real device."""

from __future__ import annotations

import errno
import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kmodule
import pytest
from netns import run
from unit.daemon.processes import Router, wait_for

from natflow.bus import BusError
from natflow.kernel.ctl import ControlDevice
from natflow.kernel.ctldev import Device
from natflow.kernel.errors import KernelError

DEVICE = Path("/dev/natflow_ctl")
KNOBS = Path("/sys/module/natflow_ctlsim/parameters")
NAME = "x-wrt's natflow (/dev/natflow_ctl)"
ON = "config natflow 'main'\n\toption enabled '1'\n\toption delay_pkts '7'\n"

# Writes all of its own settings again and again, and counts the rounds that read back wrong.
WRITER = """
import sys, time
from natflow.kernel.ctl import ControlDevice
from natflow.kernel.errors import NotTaken
kernel = ControlDevice("/dev/natflow_ctl")
first, rounds = int(sys.argv[1]), int(sys.argv[2])
wrong = 0
for number in range(rounds):
    on = number % 2
    try:
        kernel.configure({"enabled": on, "hwnat": on, "hwnat_wed": on, "delay_pkts": first + on})
    except NotTaken as error:
        print(error)
        wrong += 1
    time.sleep(0.01)  # else nobody else would get the lock
sys.exit(wrong)
"""

UNLOCKED = "from natflow.kernel import ctldev; ctldev.lock = lambda fd, kind: None"


def knob(name: str, value: object) -> None:
    (KNOBS / name).write_text(f"{value}\n")


def count(name: str) -> int:
    return int((KNOBS / name).read_text())


def load() -> None:
    run("insmod", str(kmodule.path().with_name("natflow_ctlsim.ko")))


def unload() -> None:
    run("rmmod", "natflow_ctlsim")


def listed() -> dict[str, str]:
    pairs = (line.partition("=") for line in DEVICE.read_text().splitlines())
    return {name: value for name, equals, value in pairs if equals}


@pytest.fixture(scope="module")
def without_natflow_ko() -> Iterator[None]:
    kmodule.unload()
    yield
    kmodule.load()


@pytest.fixture(scope="module")
def site(without_natflow_ko: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    made = Router(tmp_path_factory.mktemp("x-wrt"), ON)
    load()
    made.start()
    yield made
    made.close()
    unload()


@pytest.fixture
def router(site: Router) -> Iterator[Router]:
    """With all knobs as they were, and the configuration in force."""
    yield site
    for name, value in (
        ("refuse", "none"), ("delay_max", 0), ("chunk", 0), ("pause_ms", 0), ("hang", 0),
        ("write_errno", 0), ("read_errno", 0), ("reading", 0), ("hwnat_built", 1),
    ):  # fmt: skip
        knob(name, value)
    site.write(ON)
    until(site, "all is well", lambda status: status["state"] == "on", reload=True)


def reload_done(site: Router) -> None:
    def reloads() -> int:
        return site.log.read_text().count("reading the configuration again")

    before = reloads()
    site.signal(signal.SIGHUP)
    wait_for("the reload", lambda: reloads() > before)


def until(
    site: Router, what: str, right: Callable[[dict[str, Any]], bool], reload: bool = False
) -> dict[str, Any]:
    """status, as soon as it is right; ``reload`` first, and wait until that was done."""
    if reload:
        reload_done(site)

    def looked() -> dict[str, Any] | None:
        status = site.call("status")
        return status if right(status) else None

    reply: dict[str, Any] = wait_for(what, looked)
    return reply


def test_it_drives_the_device_and_says_so(router: Router) -> None:
    reply = until(router, "on", lambda status: status["state"] == "on")
    assert (reply["module"]["name"], reply["module"]["tells"]) == (NAME, False)
    assert (reply["enabled"], reply["conflicts"], reply["flows"]["total"]) == (True, [], None)
    assert router.call("info")["backends"]["kernel"] == "control-device"
    settings = listed()
    assert (settings["disabled"], settings["delay_pkts"]) == ("0", "7")
    assert (settings["hwnat"], settings["hwnat_wed_disabled"]) == ("1", "1")
    assert count("nonsense") == 0


def test_set_and_reload(router: Router) -> None:
    reply = router.call("set", options={"enabled": False, "hwnat": 0, "delay_pkts": 20})
    assert reply["changed"] == {"enabled": False, "hwnat": False, "delay_pkts": 20}
    assert (listed()["disabled"], listed()["hwnat"], listed()["delay_pkts"]) == ("1", "0", "20")
    assert router.call("status")["state"] == "off"
    router.write(ON + "\toption hwnat_wed '1'\n")
    until(router, "WED", lambda status: bool(status["wed"]["active"]), reload=True)
    assert (listed()["disabled"], listed()["hwnat_wed_disabled"]) == ("0", "0")


def test_the_command(router: Router) -> None:
    status = router.run("status")
    assert (status.returncode, status.stderr) == (0, "")
    assert NAME in status.stdout
    assert "The module that is loaded tells no flows" in status.stdout
    assert "FLOWS" not in status.stdout
    flows = router.run("flows")
    assert (flows.returncode, flows.stdout) == (1, "")
    assert "tells no flows" in flows.stderr
    changed = router.run("set", "delay_pkts=30")
    assert (changed.returncode, listed()["delay_pkts"]) == (0, "30")
    before = count("magic")
    assert "how many, this module does not tell" in router.run("flush").stdout
    assert count("magic") == before + 1
    assert json.loads(router.run("--json", "info").stdout)["settings"]["max_flows"] is None
    assert count("nonsense") == 0


def test_a_value_that_is_not_taken_is_reported(router: Router) -> None:
    knob("refuse", "delay_pkts")
    with pytest.raises(BusError, match="delay_pkts: 8 is wanted, but the module has 7"):
        router.call("set", options={"enabled": False, "delay_pkts": 8})
    assert listed()["disabled"] == "0"
    assert router.run("set", "delay_pkts=8").returncode == 1
    router.write(ON.replace("7", "9"))
    reply = until(router, "the error", lambda status: status["state"] == "error", reload=True)
    assert "delay_pkts: 9 is wanted, but the module has 7" in reply["message"]
    assert router.said("delay_pkts: 9 is wanted, but the module has 7")
    knob("refuse", "none")
    knob("delay_max", 8)
    with pytest.raises(BusError, match="delay_pkts: 500 is wanted"):
        router.call("set", options={"delay_pkts": 500})


def test_a_module_without_hardware(router: Router) -> None:
    knob("hwnat_built", 0)
    reply = until(router, "on", lambda status: not status["hwnat"]["supported"], reload=True)
    assert (reply["state"], reply["wed"]["supported"]) == ("on", False)
    with pytest.raises(BusError, match=r"hwnat: .* has no such setting"):
        router.call("set", options={"hwnat": False})


def test_a_foreign_writer_is_noticed(router: Router) -> None:
    DEVICE.write_text("disabled=1\n")
    reply = router.call("status")
    assert (reply["state"], reply["enabled"]) == ("error", False)
    assert "enabled: 1 is wanted, but the module has 0" in reply["message"]
    assert listed()["disabled"] == "1", "it is reported, not fought"
    # Half a line of somebody stands in the buffer.
    DEVICE.write_text("delay_pkts=3")
    router.call("set", options={"delay_pkts": 40})
    assert (listed()["disabled"], listed()["delay_pkts"]) == ("0", "40")
    assert router.call("status")["state"] == "on"
    assert count("nonsense") == 0


def writers(rounds: int, *firsts: int, locked: bool = True) -> list[subprocess.Popen[str]]:
    program = WRITER if locked else f"{UNLOCKED}\n{WRITER}"
    return [
        subprocess.Popen(
            [sys.executable, "-c", program, str(first), str(rounds)],
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for first in firsts
    ]


def test_two_writers_and_natflowd_do_not_spoil_each_other(router: Router) -> None:
    """Each write takes a few bytes only and lets others run: nothing but the lock keeps a line
    whole, and what is read back that of the reader.
    """
    knob("chunk", 7)
    knob("pause_ms", 1)
    started = writers(10, 100, 200)
    sets = 0
    while any(process.poll() is None for process in started):
        router.call("set", options={"delay_pkts": 300 + sets % 5})
        sets += 1
    for process in started:
        output, _ = process.communicate()
        assert (process.returncode, output) == (0, "")
    assert sets > 0
    assert count("nonsense") == 0
    print(f"\n{count('commands')} commands of three writers, {sets} of them calls of set")


def test_without_the_lock_they_would(router: Router) -> None:
    """The same writers without it: the test above can fail."""
    knob("chunk", 7)
    knob("pause_ms", 1)
    before = count("nonsense")
    wrong = [process.communicate()[0] for process in writers(10, 100, 200, locked=False)]
    assert count("nonsense") > before
    assert "is wanted, but the module has" in "".join(wrong), "and it is noticed"


def test_shells_that_echo_do_not_stop_natflowd(router: Router) -> None:
    """They write what they like at any time; natflowd's value is in force, or it says it is not."""
    loop = "while :; do printf delay_; printf 'pkts=1\\n'; done > /dev/natflow_ctl"
    shell = subprocess.Popen(["bash", "-c", loop])
    try:
        outcomes = set()
        for number in range(20):
            try:
                router.call("set", options={"hwnat": number % 2, "delay_pkts": 50 + number})
                outcomes.add("taken")
            except BusError as error:
                assert "is wanted, but the module has" in error.message
                outcomes.add("told")
            assert listed()["hwnat"] == str(number % 2) or "told" in outcomes
    finally:
        shell.kill()
        shell.wait()
    print(f"\n{outcomes}")
    router.call("set", options={"delay_pkts": 61})
    assert listed()["delay_pkts"] == "61"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("read_errno", errno.EIO, "Input/output error"),
        ("reading", 1, "is no text"),
        ("reading", 2, "a line of 512 bytes"),
        ("reading", 3, "does not list disabled="),
    ],
)
def test_a_device_that_answers_nonsense(name: str, value: int, says: str, router: Router) -> None:
    knob(name, value)
    reply = router.call("status")
    assert (reply["state"], reply["module"]["loaded"]) == ("error", False)
    assert says in reply["message"]
    knob(name, 0)
    until(router, "an answer", lambda status: status["state"] == "on")


def test_a_device_that_refuses_to_be_written(router: Router) -> None:
    knob("write_errno", errno.EPERM)
    with pytest.raises(BusError, match=r"/dev/natflow_ctl: .*: not permitted"):
        router.call("set", options={"delay_pkts": 9})
    knob("write_errno", errno.ENOMEM)
    with pytest.raises(BusError, match="Cannot allocate memory"):
        router.call("set", options={"delay_pkts": 9})
    assert listed()["delay_pkts"] == "7"


def test_a_slow_device(router: Router) -> None:
    knob("pause_ms", 200)
    assert router.call("set", options={"delay_pkts": 9})["changed"] == {"delay_pkts": 9}


def test_a_device_that_hangs_does_not_hold_natflowd(router: Router) -> None:
    knob("hang", 1)
    reply = router.call("status")
    assert reply["state"] == "error"
    assert "does not answer within 5 s" in reply["message"]
    router.write(ON.replace("7", "12"))
    router.signal(signal.SIGHUP)
    start = time.monotonic()
    assert router.call("status")["state"] == "error"
    assert time.monotonic() - start < 3, "it does not wait once more"
    knob("hang", 0)
    wait_for("what was wanted meanwhile", lambda: listed()["delay_pkts"] == "12")
    until(router, "on", lambda status: status["state"] == "on")


def test_the_module_is_removed_and_loaded_anew(router: Router) -> None:
    """natflowd keeps no file of it open."""
    unload()
    until(router, "the loss", lambda status: not status["module"]["loaded"])
    load()
    until(router, "on", lambda status: status["state"] == "on")
    assert (listed()["disabled"], listed()["delay_pkts"]) == ("0", "7")


def test_both_modules(router: Router) -> None:
    """natflow.ko wins, and the other one is left alone and reported."""
    kmodule.load()
    reply = until(router, "natflow.ko", lambda status: bool(status["module"]["tells"]))
    assert (reply["module"]["name"], reply["flows"]["total"]) == ("natflow.ko", 0)
    assert (reply["state"], reply["enabled"]) == ("conflict", True)
    assert [conflict["code"] for conflict in reply["conflicts"]] == ["other-natflow"]
    router.call("set", options={"delay_pkts": 99})
    assert listed()["delay_pkts"] == "7"
    kmodule.unload()
    reply = until(router, "the other one", lambda status: status["state"] == "on")
    assert reply["module"]["name"] == NAME
    errors = [line for line in router.log.read_text().splitlines() if "Traceback" in line]
    assert errors == []


def test_the_lock_of_a_script(router: Router) -> None:
    """flock(1) takes the same lock, and whoever holds it for too long is named."""
    kernel = ControlDevice(str(DEVICE), Device(str(DEVICE)))
    with DEVICE.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(KernelError, match="another program has held its lock"):
            kernel.configure({"delay_pkts": 3})
    run("flock", str(DEVICE), "sh", "-c", f"echo delay_pkts=3 > {DEVICE}")
    assert listed()["delay_pkts"] == "3"
