# SPDX-License-Identifier: GPL-2.0-only
"""The state of it all in one reply, also when the module is missing: then it says what to do."""

from __future__ import annotations

import os
import sys

from natflow import __version__, host
from natflow.kernel import uapi
from natflow.kernel.errors import KernelError
from natflow.reasons import reason
from natflow.settings import ERROR, NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from natflow.control import Control
    from natflow.kernel.records import Config, Stats

NO_ENGINE = "No hardware that natflow knows was found, and this version drives none yet."

OFF, SOFTWARE, HARDWARE, CONFLICT, FAULT = "off", "software", "hardware", "conflict", "error"


class Look:
    """What the module tells at one moment; ``error`` when it cannot be asked."""

    __slots__ = ("config", "error", "stats")

    def __init__(
        self, config: Config | None, stats: Stats | None, error: KernelError | None
    ) -> None:
        self.config = config
        self.stats = stats
        self.error = error


def look(control: Control) -> Look:
    """Ask the module."""
    try:
        kernel = control.kernel()
        return Look(kernel.config(), kernel.stats(), None)
    except KernelError as error:
        return Look(None, None, error)


def state(control: Control, seen: Look, conflicts: list[host.Conflict]) -> tuple[str, str]:
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
    return SOFTWARE, sentence


def status(
    control: Control, conflicts: list[host.Conflict], running_seconds: int
) -> dict[str, Any]:
    """The reply of the method status; packets, bytes and reasons count since the module started."""
    seen = look(control)
    config, stats = seen.config, seen.stats
    word, sentence = state(control, seen, conflicts)
    states = stats.states if stats else {}
    engines = {engine: stats.engines.get(engine) if stats else None for engine in uapi.ENGINES}
    problems = control.problems
    soc = host.engine()
    return {
        "enabled": bool(config and config.settings.get("enabled")),
        "state": word,
        "message": sentence,
        "version": __version__,
        "module": {"loaded": config is not None, "version": config.version if config else ""},
        "flows": {
            "total": sum(states.values()),
            "software": states.get("software", 0),
            "hardware": states.get("hardware", 0),
            "wed": states.get("wed", 0),
            "learning": states.get("learning", 0),
            "slow": states.get("slow", 0),
            "hw_pending": states.get("hw-pending", 0),
        },
        "packets": {name: counter.packets if counter else 0 for name, counter in engines.items()},
        "bytes": {name: counter.bytes if counter else 0 for name, counter in engines.items()},
        "hwnat": _engine(control.settings.hwnat, soc),
        "wed": _engine(control.settings.hwnat_wed, soc),
        "conflicts": conflicts,
        "reasons": _counts(stats.reason_packets if stats else {}),
        "reason_flows": _counts(stats.reason_flows if stats else {}),
        "config_errors": [problem.reply() for problem in problems if problem.severity == ERROR],
        "config_warnings": [problem.reply() for problem in problems if problem.severity != ERROR],
        "uptime": stats.uptime_ms // 1000 if stats else 0,
        "daemon_uptime": running_seconds,
    }


def info(control: Control, bus: str) -> dict[str, Any]:
    """The reply of the method info: what does not change while it runs."""
    config = look(control).config
    release = os.uname()
    return {
        "version": __version__,
        "module_version": config.version if config else "",
        "kernel": release.release,
        "machine": release.machine,
        "soc": host.engine(),
        "build_options": list(config.features) if config else [],
        "capabilities": {
            "software": config is not None,
            "hardware": False,
            "wed": False,
            "ipv4": config is not None,
            "ipv6": config is not None,
        },
        "limits": {
            name: {"min": uapi.SETTINGS[name][0], "max": uapi.SETTINGS[name][1], "default": default}
            for name, default in NUMBERS.items()
        },
        "memory_per_flow": {
            "ipv4": config.flow_size if config else 0,
            "ipv6": config.flow6_size if config else 0,
        },
        "settings": control.settings.reply(),
        "config_file": os.path.join(control.uci.config_dir, "natflow"),
        "backends": {"bus": bus, "uci": control.uci.name},
        "python": sys.version.split()[0],
        "pid": os.getpid(),
        "reasons": {
            name: {"code": code, "sentence": reason(code).sentence, "hint": reason(code).hint}
            for code, name in enumerate(uapi.REASONS)
        },
    }


def _engine(configured: bool, soc: str) -> dict[str, Any]:
    """A hardware engine, of which this version drives none: it says so instead of guessing."""
    if soc:
        reason_text = f"This version of natflow does not drive the {soc}'s hardware yet."
    else:
        reason_text = NO_ENGINE
    return {
        "configured": configured,
        "active": False,
        "supported": False,
        "reason": reason_text,
        "reboot_required": False,
    }


def _counts(table: dict[str, int]) -> dict[str, int]:
    """Only what happened: fifty zeros help nobody. "none" is no reason."""
    return {name: count for name, count in table.items() if count and name != "none"}
