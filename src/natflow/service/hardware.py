# SPDX-License-Identifier: GPL-2.0-only
"""The hardware for people: which chip and package, what it does, and why it does not."""

from __future__ import annotations

import errno
import os

from natflow import soc
from natflow.kernel.errors import KernelError
from natflow.reasons import reason
from natflow.wed import Wed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from natflow.kernel.interface import KernelModule
    from natflow.kernel.records import Flow
    from natflow.kernel.records import Hardware as Told
    from natflow.settings import Settings

NO_MODULE = "The kernel module natflow is not loaded, or older than natflowd."
NO_ENGINE = "No hardware that natflow knows was found."
NO_PACKAGE = "The package kmod-natflow-{chip} is not installed, so its hardware is not used."
WRONG_PACKAGE = "The package installed is for the {other}, this is a {chip}: kmod-natflow-{chip}."
NO_CLIENT = "The kernel module natflow_hwnat is not loaded. Load it with: modprobe natflow_hwnat"
WRONG_PROFILE = "The module takes this {chip} for a {other}. Install kmod-natflow-{chip} alone."
NO_HARDWARE = "WED needs the hardware. {reason}"

#: What an answer of the driver to a rule means, by error number.
ERRORS = {
    errno.EOPNOTSUPP: "The driver cannot encode it, or does not reach the device it leaves by.",
    errno.EINVAL: "The driver found a value in the rule that it does not allow.",
    errno.EEXIST: "The driver has this flow already, from another user of the engine.",
    errno.ENOENT: "The driver does not know the flow.",
    errno.ENODEV: "The device was being reset.",
    errno.EIO: "The WiFi station has no number that the engine could use.",
    errno.ENOSPC: "The table of the engine is full.",
    errno.ENOMEM: "There was no memory for the rule.",
}


class Hardware:
    """The hardware of the router whose file system hangs at ``root``."""

    def __init__(self, root: str = "/") -> None:
        self.wed = Wed(root)
        #: It does not change.
        self.chip = soc.find(root)
        self._root = root

    @property
    def name(self) -> str:
        """The system on a chip, "" when it has no engine that natflow knows."""
        return self.chip.name if self.chip else ""

    def info(self, told: Told | None) -> dict[str, Any]:
        """Packages for hardware that are installed, whether one fits, and what the module found."""
        variants = soc.variants(self._root)
        loaded = told is not None and told.client
        return {
            "variants": variants,
            "fits": self.name in variants,
            "loaded": loaded,
            "profile": told.profile if told and loaded else "",
            "build_options": list(told.features) if told and loaded else [],
            "door": bool(told and told.door),
            "counters": told.counters
            if told and loaded
            else bool(self.chip and self.chip.counters),
            "wed_version": told.wed_version
            if told and loaded
            else self.chip.wed
            if self.chip
            else 0,
            "capacity": told.capacity if told and loaded else 0,
        }

    def hwnat(self, settings: Settings, told: Told | None) -> dict[str, Any]:
        """The packet engine; ``told`` is what the module says, None when it cannot be asked."""
        why = self._why_not(told)
        supported = not why and told is not None and told.client and told.door
        if not why and told is not None and told.reason != "none":
            why = reason(told.reason).sentence
        active = supported and not why and settings.enabled and settings.hwnat
        if supported and not settings.hwnat:
            why = reason("hw-off").sentence
        return {
            "configured": settings.hwnat,
            "active": active,
            "supported": supported,
            "reason": why,
            "reboot_required": False,
            "mode": settings.hwnat_mode,
            "installed": told.installed if told else 0,
            "bound": told.bound if told else 0,
            "capacity": told.capacity if told else 0,
            "estimated": bool(told and told.client and not told.counters),
            "failures": {error_name(code): count for code, count in told.errors.items()}
            if told
            else {},
        }

    def wifi(
        self, settings: Settings, told: Told | None, engine: dict[str, Any], flows: int
    ) -> dict[str, Any]:
        """WED, whose driver reads its switch at boot; ``flows`` use it, ``engine`` is hwnat's."""
        report = self.wed.report(settings.hwnat_wed)
        there = told is not None and told.wed_version > 0
        running = report.running or flows > 0
        active = bool(engine["active"] and settings.hwnat_wed and there and running)
        why = report.reason
        if settings.hwnat_wed and running and not active and not why:
            why = NO_HARDWARE.format(reason=engine["reason"]).strip()
        return {
            "configured": settings.hwnat_wed,
            "active": active,
            "supported": report.supported or active,
            "reason": "" if active and not report.stage else why,
            "reboot_required": report.reboot_required,
            "stage": report.stage,
        }

    def _why_not(self, told: Told | None) -> str:
        """Why there is no hardware to hand flows to, a sentence; "" when there is."""
        if told is None:
            return NO_MODULE
        variants = soc.variants(self._root)
        if not told.client:
            if not self.chip:
                return NO_ENGINE
            if self.name in variants:
                return NO_CLIENT
            if variants:
                return WRONG_PACKAGE.format(chip=self.name, other=variants[0])
            return NO_PACKAGE.format(chip=self.name)
        if self.chip and told.profile not in (self.name, "none", ""):
            return WRONG_PROFILE.format(chip=self.name, other=told.profile)
        if not told.door:
            door = reason("hw-no-door")
            return f"{door.sentence} {door.hint}"
        return ""


def ask(kernel: KernelModule) -> Told | None:
    """What the module says of the hardware; None when it cannot be asked or is too old to know."""
    try:
        return kernel.hardware()
    except KernelError:
        return None


def direction(flow: Flow, index: int) -> dict[str, Any]:
    """How far one direction of a flow is in the hardware, and why not."""
    why = reason(flow.hw_reason[index])
    code = flow.hw_errno[index]
    return {
        "state": flow.hw_state[index],
        "reason": why.name,
        "code": why.code,
        "sentence": why.sentence,
        "hint": why.hint,
        "errno": code,
        "error": error_name(code),
        "error_text": error_text(code),
        "bytes": flow.hw_bytes[index],
        "packets": flow.hw_packets[index],
        "estimated": "estimated" in flow.hw_flags[index],
    }


def error_name(code: int) -> str:
    """The name of an error number, "EINVAL"; "" for none, the number where it has no name."""
    if code == errno.EOPNOTSUPP:  # Python says ENOTSUP, which has the same number
        return "EOPNOTSUPP"
    return errno.errorcode.get(code, str(code)) if code else ""


def error_text(code: int) -> str:
    """What the driver means by it, a sentence; "" for none."""
    if not code:
        return ""
    return ERRORS.get(code) or f"{os.strerror(code)}."


def texts() -> Iterator[str]:
    """Every sentence that can be known before, for the translators."""
    yield from (NO_MODULE, NO_ENGINE, NO_CLIENT, *ERRORS.values())
    door = reason("hw-no-door")
    yield f"{door.sentence} {door.hint}"
    for chip in soc.SOCS:
        yield NO_PACKAGE.format(chip=chip)
        for other in soc.SOCS:
            if {chip, other} == {"mt7981", "mt7986"}:  # the two that share a target
                yield WRONG_PACKAGE.format(chip=chip, other=other)
                yield WRONG_PROFILE.format(chip=chip, other=other)
