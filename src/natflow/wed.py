# SPDX-License-Identifier: GPL-2.0-only
"""Keeps WED switched on or off over a boot, and goes back when a boot with it failed.

The WiFi driver reads its parameter wed_enable once, when it is loaded. So the wish is kept for the
next boot: OPTION is a file of our own beside those of the driver's package, and OpenWrt's
kmodloader appends its words to the driver's. No file of anybody else is written.

STATE goes with it, lines of NAME=VALUE that the init script natflow-wed reads before any module
is loaded. ``stage`` is "armed" (the next boot tries it), "trial" (this boot does), "confirmed" (a
boot with it was healthy for CONFIRM_SECONDS) or "failed" (it was taken back; ``why`` says why).
A boot that finds a trial which was neither confirmed nor ended by a clean shutdown takes WED back
before the driver is loaded: that is the way out of a boot loop. docs/wed.md has the whole picture.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from natflow import soc
from natflow.files import listed, read, remove, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OPTION = "etc/modules.d/natflow-wed"
STATE = "etc/natflow/wed"
MODULES_CONF = "etc/modules.conf"

#: Drivers with the parameter wed_enable.
DRIVERS = ("mt7915e", "mt7996e")
CONFIRM_SECONDS = 600.0
MINUTES = int(CONFIRM_SECONDS // 60)
RETRY_SECONDS = 60.0  # after a file could not be written
#: WED takes some 50 MB; with less than this available it would starve the router.
MEMORY_KB = 80 * 1024

ARMED, TRIAL, CONFIRMED, FAILED = "armed", "trial", "confirmed", "failed"

WHY = {
    "crash": f"the last boot with it ended before it was healthy for {MINUTES} minutes",
    "boots": f"three boots with it in a row ended before they were healthy for {MINUTES} minutes",
    "radios": "a radio was missing after the boot with it",
    "ignored": "the WiFi driver did not take wed_enable at boot",
    "storage": "the trial could not be written down at boot",
}
AGAIN = "To try again switch hwnat_wed off and on, then reboot."

OFF = "It is switched off: option hwnat_wed."
NEXT = "It comes with the next boot, on trial."
ON_TRIAL = f"It is on trial until the router has run for {MINUTES} minutes."
KEPT = "It is switched off; the WiFi driver keeps it until the next boot."
NOT_KEPT = "It was not kept for the next boot: reload the configuration."
NO_CHIP = "No system on a chip with WED was found."
NO_WED = "The {chip} has no WED."
NO_PACKAGE = "The package kmod-natflow-{chip} is not installed; WED needs it."
NO_DRIVER = f"No WiFi driver with WED ({' or '.join(DRIVERS)}) is loaded."
NO_UNIT = "The kernel found no WED unit in the device tree."
NO_FIRMWARE = "The firmware /lib/firmware/{name} is missing."
NO_MEMORY = f"WED takes some 50 MB of memory, and less than {MEMORY_KB // 1024} MB are available."


class Report(NamedTuple):
    """What there is to say: ``reason`` is a sentence, "" when WED runs as configured."""

    stage: str
    running: bool
    supported: bool
    reboot_required: bool
    reason: str


class Wed:
    """WED of the router whose file system hangs at ``root``."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        #: What went wrong with a file, "" when nothing did.
        self.fault = ""
        #: What the log should say of it, "" when there is nothing.
        self.notice = ""
        self._stage = ""
        self._due = CONFIRM_SECONDS
        self._note()

    def apply(self, wanted: bool) -> None:
        """Keep the wish for the next boot; ``fault`` tells what went wrong, nothing is lost then.

        It is not kept while ``refusal`` has something against it, nor after a boot that failed
        until it was switched off once.
        """
        self.fault = ""
        state = self._read()
        try:
            if not wanted:
                remove(self._path(OPTION))
                remove(self._path(STATE))
            elif state.get("stage") == FAILED or (state and self._option()):
                pass  # it is settled
            elif not self.elsewhere() and not self.refusal():
                self._arm()
        except OSError as error:
            self.fault = f"{error.filename} cannot be written: {error.strerror}"
        self._note()

    def tick(self) -> bool:
        """Confirm a trial that is healthy after its time, or take it back; whether it did."""
        if self._stage != TRIAL or self._uptime() < self._due:
            return False
        state = self._read()
        if state.get("stage") == TRIAL:
            sick = self._sick(state)
            try:
                if sick:
                    remove(self._path(OPTION))
                    state |= {"stage": FAILED, "why": sick}
                else:
                    state["stage"] = CONFIRMED
                self._write(state)
                self.fault = ""
            except OSError as error:
                fault = f"{error.filename} cannot be written: {error.strerror}"
                again = fault == self.fault
                self.fault = fault
                self._note()
                self._due = self._uptime() + RETRY_SECONDS
                return not again
        self._note()
        return True

    def refusal(self) -> str:
        """Why WED cannot be switched on here, a sentence; "" when it can."""
        chip = soc.find(self._root)
        if chip is None:
            return NO_CHIP
        if not chip.wed:
            return NO_WED.format(chip=chip.name)
        if chip.name not in soc.variants(self._root):
            return NO_PACKAGE.format(chip=chip.name)
        if not self._driver():
            return NO_DRIVER
        units = listed(self._path("sys/bus/platform/devices"))
        if not any(name.endswith(".wed") for name in units):
            return NO_UNIT
        for name in chip.firmware:
            if not os.path.isfile(self._path(os.path.join(soc.FIRMWARE, name))):
                return NO_FIRMWARE.format(name=name)
        return "" if self._running() or self._memory() >= MEMORY_KB else NO_MEMORY

    def elsewhere(self) -> str:
        """Which file of somebody else switches WED on, "" when none does."""
        for line in read(self._path(MODULES_CONF), 65536).splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["options"] and _switches_on(words[1:]):
                return "/" + MODULES_CONF
        for name in listed(self._path(soc.MODULES_D)):
            path = os.path.join(soc.MODULES_D, name)
            if path != OPTION and any(
                _switches_on(line.split()) for line in read(self._path(path)).splitlines()
            ):
                return f"/{path}"
        return ""

    def report(self, wanted: bool) -> Report:
        """The state for people; ``wanted`` is what the configuration says."""
        state = self._read()
        stage = state.get("stage", "")
        running, kept, other = self._running(), bool(self._option()), self.elsewhere()
        refusal = self.refusal()
        reboot = not running if kept else running and not other
        reason = ""
        if self.fault:
            reason = f"{self.fault}."
        elif stage == FAILED:
            reason = _failure(state.get("why", ""), again=wanted)
        elif kept and not running:
            reason = NEXT
        elif kept and stage == TRIAL:
            reason = ON_TRIAL
        elif wanted and not kept and not other:
            reason = refusal or NOT_KEPT
        elif not wanted and other:
            reason = f"{other} switches it on in the WiFi driver; natflow does not use it."
        elif not wanted and running:
            reason = KEPT
        elif not wanted:
            reason = refusal or OFF
        elif not running:
            reason = f"{other} switches it on, from the next boot on."
        return Report(stage, running, not refusal, reboot, reason)

    def _note(self) -> None:
        """Remember the stage, so that a tick need not read it, and what there is to say of it."""
        state = self._read()
        self._stage = state.get("stage", "")
        self.notice = f"WED: {self.fault}" if self.fault else ""
        if self._stage == FAILED and not self.fault:
            self.notice = _failure(state.get("why", ""), again=True)

    def _arm(self) -> None:
        # The marker first: an option that the boot script does not know would have no way back.
        driver = self._driver()
        os.makedirs(os.path.dirname(self._path(STATE)), exist_ok=True)
        self._write({"stage": ARMED, "boots": "0", "radios": str(self._radios())})
        # Not beside the file: kmodloader reads all of that directory.
        replace(
            self._path(OPTION), f"{driver} wed_enable=Y\n", temporary=self._path(STATE) + ".option"
        )

    def _sick(self, state: dict[str, str]) -> str:
        """What is wrong with this boot, a key of WHY; "" when it is healthy."""
        if not self._driver() or self._radios() < _number(state.get("radios", "")):
            return "radios"
        return "" if self._running() else "ignored"

    def _path(self, name: str) -> str:
        return os.path.join(self._root, name)

    def _read(self) -> dict[str, str]:
        pairs = (line.partition("=") for line in read(self._path(STATE)).splitlines())
        state = {name: value for name, equals, value in pairs if equals}
        if state.get("stage") == TRIAL and not self._option():
            # It was taken back, and there was no room to write that down.
            state |= {"stage": FAILED, "why": "crash"}
        return state

    def _write(self, state: dict[str, str]) -> None:
        replace(self._path(STATE), "".join(f"{name}={state[name]}\n" for name in state))

    def _option(self) -> str:
        return read(self._path(OPTION))

    def _driver(self) -> str:
        for name in DRIVERS:
            if os.path.exists(self._path(f"sys/module/{name}/parameters/wed_enable")):
                return name
        return ""

    def _running(self) -> bool:
        """Whether the driver was loaded with it; what it made of that, only the kernel knows."""
        return any(
            read(self._path(f"sys/module/{name}/parameters/wed_enable"))[:1] in ("Y", "y", "1")
            for name in DRIVERS
        )

    def _radios(self) -> int:
        """How many radios the drivers with WED have."""
        phys = self._path("sys/class/ieee80211")
        modules = (os.path.join(phys, name, "device/driver/module") for name in listed(phys))
        return sum(os.path.basename(os.path.realpath(path)) in DRIVERS for path in modules)

    def _memory(self) -> int:
        """Kilobytes that programs could still have; 0 where the kernel does not say."""
        for line in read(self._path("proc/meminfo")).splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                return _number(rest.split()[0] if rest.split() else "")
        return 0

    def _uptime(self) -> float:
        words = read(self._path("proc/uptime")).split()
        try:
            return float(words[0])
        except (IndexError, ValueError):
            return 0.0


def _failure(why: str, again: bool) -> str:
    """Why it was taken back and, where it is still wanted, what to do."""
    text = f"WED was taken back: {WHY.get(why, 'it failed')}."
    return f"{text} {AGAIN}" if again else text


def texts() -> Iterator[str]:
    """Every reason that can be known before, for the translators."""
    yield from (OFF, NEXT, ON_TRIAL, KEPT, NOT_KEPT, NO_CHIP, NO_DRIVER, NO_UNIT, NO_MEMORY)
    for chip in soc.SOCS.values():
        if not chip.wed:
            yield NO_WED.format(chip=chip.name)
            continue
        yield NO_PACKAGE.format(chip=chip.name)
        for name in chip.firmware:
            yield NO_FIRMWARE.format(name=name)
    for why in WHY:
        yield _failure(why, again=False)
        yield _failure(why, again=True)


def _switches_on(words: list[str]) -> bool:
    """Whether "DRIVER PARAMETER..." switches WED on; the last word on it counts."""
    if not words or words[0] not in DRIVERS:
        return False
    said = [word for word in words[1:] if word.partition("=")[0] == "wed_enable"]
    return bool(said) and said[-1].partition("=")[2] in ("Y", "y", "1", "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
