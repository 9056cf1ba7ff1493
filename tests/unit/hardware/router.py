# SPDX-License-Identifier: GPL-2.0-only
"""A router's file system in a folder: SoC, WiFi driver, firmware, and boots that go well or not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from natflow.wed import Wed

TOP = Path(__file__).parents[3]
SCRIPT = TOP / "files" / "natflow-wed.init"

COMPATIBLE = {
    "mt7621": b"some,router\0mediatek,mt7621-soc\0",
    "mt7622": b"some,router\0mediatek,mt7622\0",
    "mt7981": b"some,router\0mediatek,mt7981b\0",
    "mt7986": b"some,router\0mediatek,mt7986a\0mediatek,mt7986\0",
}
FIRMWARE = ("mt7981_wo.bin", "mt7986_wo_0.bin", "mt7986_wo_1.bin")


class Router:
    """``soc`` with the package for it, a WiFi driver with two radios, and memory enough."""

    def __init__(self, root: Path, soc: str = "mt7986", driver: str = "mt7915e") -> None:
        self.root = root
        self.driver = driver
        self.write("proc/device-tree/compatible", COMPATIBLE[soc])
        self.write(f"etc/modules.d/natflow-{soc}", b"natflow_hwnat\n")
        self.write(f"etc/modules.d/{driver}", f"{driver}\n".encode())
        self.write("proc/meminfo", b"MemTotal: 250000 kB\nMemAvailable:  120000 kB\n")
        for name in FIRMWARE:
            self.write(f"lib/firmware/mediatek/{name}", b"\0")
        (root / "sys/bus/platform/devices/15010000.wed").mkdir(parents=True)
        script = SCRIPT.read_text(encoding="utf-8")
        for path in ("/etc/modules.d/natflow-wed", "/etc/natflow/wed", "/dev/kmsg"):
            assert path in script
            script = script.replace(path, f"{root}{path}")
        self.write("natflow-wed.init", script.encode())
        (root / "dev").mkdir()
        self.load(running=False)
        self.uptime(30)
        self.daemon = Wed(str(root))

    def write(self, path: str, data: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def text(self, path: str) -> str:
        target = self.root / path
        return target.read_text() if target.exists() else ""

    def uptime(self, seconds: float) -> None:
        self.write("proc/uptime", f"{seconds} 1.0\n".encode())

    def load(self, running: bool, radios: int = 2) -> None:
        """The driver as a boot has left it."""
        parameters = f"sys/module/{self.driver}/parameters"
        self.write(f"{parameters}/wed_enable", b"Y\n" if running else b"N\n")
        phys = self.root / "sys/class/ieee80211"
        for number in range(2):
            link = phys / f"phy{number}/device/driver/module"
            if number >= radios and link.is_symlink():
                link.unlink()
            elif number < radios and not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(self.root / "sys/module" / self.driver)

    def script(self, action: str) -> None:
        """The init script does ACTION."""
        done = subprocess.run(
            ["sh", "-c", f'. "{self.root}/natflow-wed.init"; {action}'],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        self.errors = done.stderr

    def boot(self, radios: int = 2, ignored: bool = False) -> bool:
        """A boot up to natflowd; whether the driver was loaded with WED."""
        self.script("boot")
        words = [
            word
            for path in sorted((self.root / "etc/modules.d").iterdir())
            for line in path.read_text().splitlines()
            if line.split()[:1] == [self.driver]
            for word in line.split()[1:]
        ]
        running = "wed_enable=Y" in words and not ignored
        self.load(running, radios if running else 2)
        self.uptime(30)
        self.daemon = Wed(str(self.root))
        return running

    def shutdown(self) -> None:
        self.script("shutdown")

    @property
    def option(self) -> str:
        return self.text("etc/modules.d/natflow-wed")

    @property
    def state(self) -> dict[str, str]:
        lines = self.text("etc/natflow/wed").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def files(self) -> list[str]:
        """What lies in the directories that are written to."""
        found = []
        for name in ("etc/modules.d", "etc/natflow"):
            directory = self.root / name
            if directory.is_dir():
                found += [f"{name}/{path.name}" for path in sorted(directory.iterdir())]
        return found
