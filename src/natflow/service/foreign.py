# SPDX-License-Identifier: GPL-2.0-only
"""What can be said of the hardware when the module behind the control device drives it.

That module tells whether its switches are on, and nothing of what it does with them.
"""

from __future__ import annotations

from natflow.kernel.ctl import NOTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from natflow.kernel.records import Config
    from natflow.settings import Settings

NOT_BUILT = "The module that is loaded has no such switch."
ACCELERATION_OFF = "Acceleration is switched off."
HWNAT_OFF = "The hardware is switched off."
SWITCHED_OFF = "It is switched off."
SWITCHED_ON = "Its switch in the module is on. What the hardware carries the module does not tell."

#: For the translators.
TEXTS = (NOTE, NOT_BUILT, ACCELERATION_OFF, HWNAT_OFF, SWITCHED_OFF, SWITCHED_ON)


def hwnat(settings: Settings, config: Config) -> dict[str, Any]:
    """The packet engine."""
    counted = dict.fromkeys(("mode", "installed", "bound", "capacity", "estimated", "failures"))
    return {**_engine("hwnat", settings.hwnat, config, ""), **counted}


def wifi(settings: Settings, config: Config) -> dict[str, Any]:
    """The packet engine to and from WiFi; that module's package keeps WED over a boot by itself."""
    off = "" if config.settings.get("hwnat") else HWNAT_OFF
    return {**_engine("hwnat_wed", settings.hwnat_wed, config, off), "stage": ""}


def _engine(name: str, configured: bool, config: Config, hindered: str) -> dict[str, Any]:
    have = config.settings
    if name not in have:
        reason = NOT_BUILT
    elif not have[name]:
        reason = SWITCHED_OFF
    elif not have["enabled"]:
        reason = ACCELERATION_OFF
    else:
        reason = hindered or SWITCHED_ON
    return {
        "configured": configured,
        "active": reason == SWITCHED_ON,
        "supported": name in have,
        "reason": reason,
        "reboot_required": None,  # it does not tell
    }
