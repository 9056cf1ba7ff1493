# SPDX-License-Identifier: GPL-2.0-only
"""A service on x-wrt's module in memory, where natflow.ko may come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unit.kernel.fake import FakeKernel
from unit.kernel.played import PATH, Played
from unit.service.bench import FRESH, ON, Bench

from natflow.kernel.ctl import ControlDevice
from natflow.kernel.errors import ModuleMissing


class XBench(Bench):
    """``kernel`` is natflow.ko, missing until a test loads it; ``device`` the other module."""

    def __init__(self, directory: Path, config: str | None = ON, **settings: int) -> None:
        self.device: Played | None = Played(**settings)
        kernel = FakeKernel(settings=FRESH)
        kernel.missing = True
        super().__init__(directory, config, kernel)

    def _open(self) -> Any:
        if not self.kernel.missing:
            return self.kernel
        if self.device is None:
            raise ModuleMissing
        return ControlDevice(PATH, self.device)  # type: ignore[arg-type]

    @property
    def module(self) -> dict[str, int]:
        """Its settings."""
        assert self.device is not None
        return self.device.settings
