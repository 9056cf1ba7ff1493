# SPDX-License-Identifier: GPL-2.0-only
"""natflow's broker as a process, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3] / "src"


class RunningBroker:
    """natflow's broker as a process of its own, at the same path however often it is started."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.log_path = Path(f"{path}.log")
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "natflow.bus.broker", "--socket", self.path, *options]
        environment = {**os.environ, "PYTHONPATH": os.fspath(SOURCE)}
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"listening on {self.path}\n"

    def stop(self) -> None:
        """End it as procd would; it must leave no socket behind."""
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(10) == 0
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None
            assert not os.path.exists(self.path)
