# SPDX-License-Identifier: GPL-2.0-only
"""Whether KVM can be trusted on this machine.

An open /dev/kvm proves nothing: in some nested set-ups the guest hangs at its first instructions.
Only a probe boot tells. Its verdict is kept for as long as the machine stays up.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from testvm import paths

VERDICT = paths.CACHE / "vm" / "kvm.json"


def choose(wanted: str, probe: Callable[[], bool]) -> str:
    """Return "tcg", "icount", "leap" or "kvm" for --accel `wanted`.

    These four are taken as they are. "auto" probes once per boot of this machine. "known" uses
    an earlier verdict, and tcg where there is none.
    """
    if wanted in ("tcg", "icount", "leap", "kvm"):
        return wanted
    verdict = known()
    if verdict is None and wanted == "auto":
        verdict = os.access("/dev/kvm", os.R_OK | os.W_OK) and probe()
        remember(verdict)
        paths.say(f"probe boot: KVM {'works' if verdict else 'does not work'} here")
    return "kvm" if verdict else "tcg"


def known() -> bool | None:
    """The verdict of this boot of the machine; None if there is none."""
    try:
        facts = json.loads(VERDICT.read_text())
        return bool(facts["works"]) if facts["boot"] == _boot() else None
    except (OSError, ValueError, KeyError):
        return None


def remember(works: bool) -> None:
    """Keep a verdict for this boot of the machine."""
    VERDICT.parent.mkdir(parents=True, exist_ok=True)
    VERDICT.write_text(json.dumps({"boot": _boot(), "works": works}) + "\n")


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
