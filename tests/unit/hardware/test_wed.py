# SPDX-License-Identifier: GPL-2.0-only
"""WED over many boots, played in a folder by natflowd's part and by the init script together."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from unit.hardware.router import FIRMWARE, Router

from natflow.wed import CONFIRM_SECONDS, MEMORY_KB, RETRY_SECONDS

OWN = ["etc/modules.d/mt7915e", "etc/modules.d/natflow-mt7986"]
WITH_WED = [*OWN, "etc/modules.d/natflow-wed", "etc/natflow/wed"]


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(tmp_path)


def healthy(router: Router) -> None:
    router.uptime(CONFIRM_SECONDS)
    assert router.daemon.tick() is True


def test_off_is_off(router: Router) -> None:
    router.daemon.apply(False)
    report = router.daemon.report(False)
    assert report.supported is True
    assert (report.stage, report.running, report.reboot_required) == ("", False, False)
    assert report.reason == "It is switched off: option hwnat_wed."
    assert router.files() == OWN


def test_it_is_kept_once_a_boot_with_it_was_healthy(router: Router) -> None:
    router.daemon.apply(True)
    assert router.option == "mt7915e wed_enable=Y\n"
    report = router.daemon.report(True)
    assert (report.stage, report.running, report.reboot_required) == ("armed", False, True)
    assert report.reason == "It comes with the next boot, on trial."
    assert router.boot() is True
    router.daemon.apply(True)
    report = router.daemon.report(True)
    assert (report.stage, report.running, report.reboot_required) == ("trial", True, False)
    assert report.reason == "It is on trial until the router has run for 10 minutes."
    router.uptime(CONFIRM_SECONDS - 1)
    assert router.daemon.tick() is False
    healthy(router)
    report = router.daemon.report(True)
    assert (report.stage, report.running, report.reason) == ("confirmed", True, "")
    assert router.daemon.tick() is False
    for _ in range(5):  # power cuts, long after the trial
        assert router.boot() is True
        router.daemon.apply(True)
    assert router.daemon.report(True).stage == "confirmed"
    assert router.files() == WITH_WED


def test_a_boot_that_crashes_is_followed_by_one_without(router: Router) -> None:
    router.daemon.apply(True)
    router.script("boot")  # and the driver takes the kernel down
    assert router.boot() is False
    assert router.option == ""
    assert router.text("dev/kmsg") == "natflow-wed: WED is taken back (crash)\n"
    router.daemon.apply(True)
    report = router.daemon.report(True)
    assert (report.stage, report.running, report.reboot_required) == ("failed", False, False)
    assert report.reason == (
        "WED was taken back: the last boot with it ended before it was healthy for 10 minutes. "
        "To try again switch hwnat_wed off and on, then reboot."
    )
    assert router.daemon.notice == report.reason
    assert router.boot() is False, "and so it stays"
    assert router.daemon.report(True).stage == "failed"
    router.daemon.apply(False)
    router.daemon.apply(True)
    assert router.boot() is True, "the owner has asked for another try"


def test_a_clean_shutdown_is_no_crash_but_three_are_enough(router: Router) -> None:
    router.daemon.apply(True)
    for _ in range(3):
        assert router.boot() is True
        router.shutdown()
    assert router.boot() is False
    assert router.daemon.report(True).reason.startswith(
        "WED was taken back: three boots with it in a row ended before"
    )


def test_a_crash_after_clean_shutdowns(router: Router) -> None:
    router.daemon.apply(True)
    assert router.boot() is True
    router.shutdown()
    assert router.boot() is True
    assert router.boot() is False


@pytest.mark.parametrize(
    ("radios", "ignored", "reason"),
    [
        (1, False, "a radio was missing after the boot with it"),
        (0, False, "a radio was missing after the boot with it"),
        (2, True, "the WiFi driver did not take wed_enable at boot"),
    ],
)
def test_a_boot_that_is_not_healthy(
    radios: int, ignored: bool, reason: str, router: Router
) -> None:
    router.daemon.apply(True)
    router.boot(radios, ignored)
    healthy(router)
    report = router.daemon.report(True)
    assert report.stage == "failed"
    assert report.reason.startswith(f"WED was taken back: {reason}. ")
    assert report.reboot_required is not ignored, "the driver keeps it until then"
    assert router.option == ""
    assert router.boot() is False


def test_a_driver_that_does_not_load_at_all(router: Router) -> None:
    router.daemon.apply(True)
    router.boot()
    shutil.rmtree(router.root / "sys/module/mt7915e")
    healthy(router)
    assert router.state["why"] == "radios"


def test_switching_it_off_takes_effect_with_the_next_boot(router: Router) -> None:
    router.daemon.apply(True)
    router.boot()
    healthy(router)
    router.daemon.apply(False)
    report = router.daemon.report(False)
    assert (report.running, report.reboot_required) == (True, True)
    assert report.reason == "It is switched off; the WiFi driver keeps it until the next boot."
    assert router.files() == [*OWN]
    assert router.boot() is False


def test_a_restart_of_natflowd_changes_nothing(router: Router) -> None:
    router.daemon.apply(True)
    before = router.state
    router.daemon.apply(True)
    assert router.state == before
    router.boot()
    before = router.state
    assert (before["stage"], before["boots"], before["radios"]) == ("trial", "1", "2")
    router.daemon.apply(True)
    assert router.state == before


def test_an_option_without_its_marker_is_tried_like_any_other(router: Router) -> None:
    """A backup may bring it back."""
    router.write("etc/modules.d/natflow-wed", b"mt7915e wed_enable=Y\n")
    assert router.boot() is True
    assert router.state["stage"] == "trial"
    assert router.boot() is False


def test_a_marker_without_its_option_is_armed_again(router: Router) -> None:
    """The power was cut between the two."""
    router.daemon.apply(True)
    (router.root / "etc/modules.d/natflow-wed").unlink()
    assert router.boot() is False
    router.daemon.apply(True)
    assert router.boot() is True


def break_soc(router: Router) -> None:
    router.write("proc/device-tree/compatible", b"pc,x86\0")


def break_old_soc(router: Router) -> None:
    router.write("proc/device-tree/compatible", b"mediatek,mt7621-soc\0")


def break_package(router: Router) -> None:
    (router.root / "etc/modules.d/natflow-mt7986").rename(
        router.root / "etc/modules.d/natflow-mt7981"
    )


def break_driver(router: Router) -> None:
    shutil.rmtree(router.root / "sys/module/mt7915e")


def break_unit(router: Router) -> None:
    (router.root / "sys/bus/platform/devices/15010000.wed").rmdir()


def break_firmware(router: Router) -> None:
    (router.root / "lib/firmware/mediatek" / FIRMWARE[2]).unlink()


def break_memory(router: Router) -> None:
    router.write("proc/meminfo", f"MemAvailable: {MEMORY_KB - 1} kB\n".encode())


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (break_soc, "No system on a chip with WED was found."),
        (break_old_soc, "The mt7621 has no WED."),
        (break_package, "The package kmod-natflow-mt7986 is not installed; WED needs it."),
        (break_driver, "No WiFi driver with WED (mt7915e or mt7996e) is loaded."),
        (break_unit, "The kernel found no WED unit in the device tree."),
        (break_firmware, "The firmware /lib/firmware/mediatek/mt7986_wo_1.bin is missing."),
        (
            break_memory,
            "WED takes some 50 MB of memory, and less than 80 MB are available.",
        ),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(
    fault: object, reason: str, router: Router
) -> None:
    assert callable(fault)
    fault(router)
    before = router.files()
    router.daemon.apply(True)
    report = router.daemon.report(True)
    assert (report.supported, report.reason, report.stage) == (False, reason, "")
    assert report.reboot_required is False
    assert router.files() == before


def test_the_first_version_needs_no_firmware(tmp_path: Path) -> None:
    router = Router(tmp_path, "mt7622")
    shutil.rmtree(tmp_path / "lib/firmware")
    router.daemon.apply(True)
    assert router.boot() is True


def test_memory_is_no_question_once_it_runs(router: Router) -> None:
    router.daemon.apply(True)
    router.boot()
    break_memory(router)
    assert router.daemon.report(True).supported is True


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("etc/modules.conf", "options mt7915e wed_enable=Y\n", True),
        ("etc/modules.conf", " options  mt7915e debug=1 wed_enable=1 # mine\n", True),
        ("etc/modules.conf", "options mt7915e wed_enable=Y wed_enable=N\n", False),
        ("etc/modules.conf", "# options mt7915e wed_enable=Y\n", False),
        ("etc/modules.conf", "options mt7615e wed_enable=Y\n", False),
        ("etc/modules.conf", "options\n", False),
        ("etc/modules.d/mt7915e", "mt7915e wed_enable=Y\n", True),
        ("etc/modules.d/mt7915e", "mt7915e wed_enable=N\n", False),
    ],
)
def test_what_others_have_written_is_reported_and_left(
    path: str, text: str, says: bool, router: Router
) -> None:
    router.write(path, text.encode())
    assert router.daemon.elsewhere() == (f"/{path}" if says else "")
    router.daemon.apply(True)
    assert bool(router.option) is not says
    router.daemon.apply(False)
    router.load(running=says)
    report = router.daemon.report(False)
    assert report.reboot_required is False
    if says:
        assert report.reason == (
            f"/{path} switches it on in the WiFi driver; natflow does not use it."
        )
    assert router.text(path) == text


def full(monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
    """The disk has room for so many more writes."""
    really = os.write
    left = [after]

    def write(handle: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really(handle, data)

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("room", [0, 1])
def test_a_full_disk_leaves_wed_off(
    room: int, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        full(patch, room)
        router.daemon.apply(True)
    assert router.option == ""
    report = router.daemon.report(True)
    assert report.reason.endswith("cannot be written: No space left on device.")
    assert report.reboot_required is False
    assert not [name for name in router.files() if name.endswith((".new", ".option"))]
    assert router.boot() is False
    router.daemon.apply(True)
    assert router.daemon.fault == ""
    assert router.boot() is True


def test_a_full_disk_does_not_confirm(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    router.daemon.apply(True)
    router.boot()
    before = router.state
    with monkeypatch.context() as patch:
        full(patch)
        healthy(router)
        assert "No space left on device" in router.daemon.report(True).reason
        assert router.daemon.tick() is False, "the flash gets a minute"
        router.uptime(CONFIRM_SECONDS + RETRY_SECONDS)
        assert router.daemon.tick() is False, "said once"
        assert router.daemon.notice.startswith(f"WED: {router.root}/etc/natflow/wed")
    assert router.state == before
    router.uptime(CONFIRM_SECONDS + 2 * RETRY_SECONDS)
    assert router.daemon.tick() is True
    assert router.state["stage"] == "confirmed"
    assert (router.daemon.report(True).reason, router.daemon.notice) == ("", "")


def test_a_full_disk_does_not_keep_a_sick_boot(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.daemon.apply(True)
    router.boot(radios=1)
    with monkeypatch.context() as patch:
        full(patch)
        healthy(router)
    assert router.option == ""
    assert router.boot() is False
    router.daemon.apply(True)
    assert router.daemon.report(True).stage == "failed", "it is not tried again by itself"


def test_a_boot_that_cannot_be_marked_goes_without(router: Router) -> None:
    router.daemon.apply(True)
    (router.root / "etc/natflow/wed.new").symlink_to("/dev/full")
    assert router.boot() is False
    assert router.text("dev/kmsg") == "natflow-wed: WED is taken back (storage)\n"
    router.daemon.apply(True)
    assert router.boot() is False, "still no room"
    (router.root / "etc/natflow/wed.new").unlink()
    router.daemon.apply(True)
    assert router.boot() is True


def test_a_crash_that_cannot_be_written_down(router: Router) -> None:
    router.daemon.apply(True)
    router.script("boot")
    (router.root / "etc/natflow/wed.new").symlink_to("/dev/full")
    assert router.boot() is False
    router.daemon.apply(True)
    assert router.daemon.report(True).stage == "failed"
    assert router.boot() is False


def test_a_directory_that_cannot_be_made(router: Router) -> None:
    router.write("etc/natflow", b"a file")
    router.daemon.apply(True)
    assert router.option == ""
    assert router.daemon.report(True).reason == (
        f"{router.root}/etc/natflow cannot be written: File exists."
    )


@pytest.mark.parametrize("boots", [b"many", b"08", b"1x", b"$(reboot)", b""])
def test_a_state_of_nonsense(boots: bytes, router: Router) -> None:
    router.write("etc/natflow/wed", b"\xff\0stage\n=x\nstage=what\nboots=" + boots + b"\n")
    router.daemon.apply(True)
    router.write("etc/natflow/wed", b"stage=what\nboots=" + boots + b"\n")
    assert router.boot() is True
    assert (router.state["stage"], router.state["boots"]) == ("trial", "1")
    assert router.boot() is False


def test_the_script_leaves_a_router_without_it_alone(router: Router) -> None:
    for action in ("boot", "shutdown", "start", "stop"):
        router.script(action)
    assert router.files() == OWN
    assert router.text("dev/kmsg") == ""
