# SPDX-License-Identifier: GPL-2.0-only
"""The state of it all in one reply, also when the module is missing: then it says what to do."""

from __future__ import annotations

import os
import sys

from natflow import __version__
from natflow.kernel import uapi
from natflow.kernel.errors import KernelError
from natflow.problems import ERROR
from natflow.reasons import reason
from natflow.service.hardware import ask
from natflow.service.obstacles import obstacles
from natflow.settings import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from natflow.control import Control
    from natflow.host import Conflict
    from natflow.kernel.interface import KernelModule
    from natflow.kernel.records import Config, Stats
    from natflow.kernel.records import Hardware as Told
    from natflow.service.hardware import Hardware

OFF, SOFTWARE, HARDWARE, CONFLICT, FAULT = "off", "software", "hardware", "conflict", "error"
ON = "on"  # by which engine is not known


class Look:
    """What the module tells at one moment; ``error`` when it cannot be asked."""

    __slots__ = ("config", "error", "hardware", "module", "stats")

    def __init__(
        self,
        module: KernelModule | None,
        config: Config | None,
        stats: Stats | None,
        hardware: Told | None,
        error: KernelError | None,
    ) -> None:
        self.module = module
        self.config = config
        self.stats = stats
        self.hardware = hardware
        self.error = error

    @property
    def foreign(self) -> bool:
        """Whether it is the module behind the control device, which tells its settings only."""
        return self.module is not None and not self.module.tells


def look(control: Control) -> Look:
    """Ask the module."""
    try:
        module = control.kernel()
        config = control.config()
        if not module.tells:
            return Look(module, config, None, None, None)
        return Look(module, config, module.stats(), ask(module), None)
    except KernelError as error:
        return Look(None, None, None, None, error)


def state(control: Control, seen: Look, conflicts: list[Conflict]) -> tuple[str, str]:
    """One word for all of it, and a sentence for people ("" when there is nothing to say)."""
    fault = seen.error or control.fault
    if seen.config is None or fault is not None:
        return FAULT, f"{fault}. {fault.hint}".strip() if fault else "The module is not reached."
    errors = control.errors
    if not seen.config.settings.get("enabled"):
        if errors:
            return FAULT, "The configuration has errors, so acceleration stays off."
        return OFF, "Acceleration is switched off: option enabled in /etc/config/natflow."
    sentence = ""
    if errors:
        sentence = "The configuration has errors; what was in force before stays in force."
    if conflicts:
        return CONFLICT, sentence or conflicts[0]["text"]
    if seen.stats and (seen.stats.states.get("hardware") or seen.stats.states.get("wed")):
        return HARDWARE, sentence
    return ON if seen.foreign else SOFTWARE, sentence


def status(
    control: Control, hardware: Hardware, conflicts: list[Conflict], running_seconds: int
) -> dict[str, Any]:
    """The reply of the method status; packets, bytes and reasons count since the module started.

    ``conflicts`` are the other accelerators; only they make the state one of conflict.
    """
    seen = look(control)
    config, stats = seen.config, seen.stats
    word, sentence = state(control, seen, conflicts)
    states = stats.states if stats else {}
    counters = {engine: stats.engines.get(engine) if stats else None for engine in uapi.ENGINES}
    none = None if seen.foreign else 0
    problems = control.warned()
    hwnat, wed = engines(control, hardware, seen, states.get("wed", 0))
    return {
        "enabled": bool(config and config.settings.get("enabled")),
        "state": word,
        "message": sentence,
        "version": __version__,
        "module": {
            "loaded": config is not None,
            "version": config.version if config else "",
            "name": seen.module.name if seen.module else "",
            "backend": seen.module.backend if seen.module else "",
            "tells": bool(seen.module and seen.module.tells),
            "note": seen.module.note if seen.module else "",
        },
        "flows": {
            "total": none if seen.foreign else sum(states.values()),
            "software": states.get("software", none),
            "hardware": states.get("hardware", none),
            "wed": states.get("wed", none),
            "learning": states.get("learning", none),
            "slow": states.get("slow", none),
            "hw_pending": states.get("hw-pending", none),
        },
        "packets": {
            name: counter.packets if counter else none for name, counter in counters.items()
        },
        "bytes": {name: counter.bytes if counter else none for name, counter in counters.items()},
        "hwnat": hwnat,
        "wed": wed,
        "conflicts": conflicts + (obstacles(stats, hwnat["active"]) if stats else []),
        "reasons": None if seen.foreign else _counts(stats.reason_packets if stats else {}),
        "reason_flows": None if seen.foreign else _counts(stats.reason_flows if stats else {}),
        "config_errors": [problem.reply() for problem in problems if problem.severity == ERROR],
        "config_warnings": [problem.reply() for problem in problems if problem.severity != ERROR],
        "uptime": stats.uptime_ms // 1000 if stats else none,
        "daemon_uptime": running_seconds,
    }


def info(control: Control, hardware: Hardware, bus: str) -> dict[str, Any]:
    """The reply of the method info: what does not change while it runs."""
    seen = look(control)
    config = seen.config
    none = None if seen.foreign else 0
    hwnat, wed = engines(control, hardware, seen, 0)
    release = os.uname()
    return {
        "version": __version__,
        "module": seen.module.name if seen.module else "",
        "module_version": config.version if config else "",
        "kernel": release.release,
        "machine": release.machine,
        "soc": hardware.name,
        "hardware": hardware.info(seen.hardware),
        "build_options": list(config.features) if config else [],
        "capabilities": {
            "software": config is not None,
            "hardware": hwnat["supported"],
            "wed": wed["supported"],
            "ipv4": config is not None,
            "ipv6": config is not None,
        },
        "limits": {
            name: {"min": uapi.SETTINGS[name][0], "max": uapi.SETTINGS[name][1], "default": default}
            for name, default in NUMBERS.items()
        },
        "memory_per_flow": {
            "ipv4": none if none is None or not config else config.flow_size,
            "ipv6": none if none is None or not config else config.flow6_size,
        },
        "settings": settings(control, seen),
        "exceptions": [
            {"name": rule.name, "text": str(rule.exemption)} for rule in control.settings.exceptions
        ],
        "config_file": os.path.join(control.uci.config_dir, "natflow"),
        "backends": {
            "bus": bus,
            "uci": control.uci.name,
            "kernel": seen.module.backend if seen.module else "",
        },
        "python": sys.version.split()[0],
        "pid": os.getpid(),
        "reasons": {
            name: {"code": code, "sentence": reason(code).sentence, "hint": reason(code).hint}
            for code, name in enumerate(uapi.REASONS)
        },
    }


def settings(control: Control, seen: Look) -> dict[str, bool | int | str | None]:
    """All options in force; None for one that the module does not have."""
    values = control.settings.reply()
    if not seen.foreign or seen.config is None:
        return {**values}
    have = seen.config.settings
    return {name: value if name in have else None for name, value in values.items()}


def engines(
    control: Control, hardware: Hardware, seen: Look, wed_flows: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """PPE and WED, as the one tells who drives them."""
    wanted = control.settings
    if not seen.foreign or seen.config is None:
        hwnat = hardware.hwnat(wanted, seen.hardware)
        return hwnat, hardware.wifi(wanted, seen.hardware, hwnat, wed_flows or 0)
    from natflow.service import foreign

    return foreign.hwnat(wanted, seen.config), foreign.wifi(wanted, seen.config)


def _counts(table: dict[str, int]) -> dict[str, int]:
    """Only what happened: fifty zeros help nobody. "none" is no reason."""
    return {name: count for name, count in table.items() if count and name != "none"}
