# SPDX-License-Identifier: GPL-2.0-only
"""Loading natflow.ko in the guest, from where scripts/kmod built it."""

from __future__ import annotations

import os
from pathlib import Path

from netns import run


def path() -> Path:
    return Path(os.environ["NATFLOW_KMOD"], "natflow.ko")


def loaded() -> bool:
    return Path("/sys/module/natflow").exists()


def load(**parameters: int) -> None:
    """insmod with parameters; what it needs is loaded first."""
    run("modprobe", "-a", "nf_conntrack", "nf_nat")
    run("insmod", str(path()), *(f"{name}={value}" for name, value in parameters.items()))


def unload() -> None:
    run("rmmod", "natflow")


def load_hwnat(soc: str = "", *, built: Path | None = None, **parameters: int) -> None:
    """insmod natflow_hwnat.ko, which takes the machine for `soc`; natflow.ko is there already.
    `built`: the folder of another build."""
    words = [f"{name}={value}" for name, value in parameters.items()]
    if soc:
        words.append(f"soc={soc}")
    run("insmod", str((built or path().parent) / "natflow_hwnat.ko"), *words)


def unload_hwnat() -> None:
    run("rmmod", "natflow_hwnat")
