# SPDX-License-Identifier: GPL-2.0-only
"""The ground that every other test here stands on: this guest, this kernel, this module."""

import os
import platform
import subprocess
from pathlib import Path

import kmodule
import pytest

REPO = Path(__file__).resolve().parents[2]


def test_kernel_is_the_one_asked_for() -> None:
    wanted = os.environ["NATFLOW_VM"]
    release = platform.release()
    if wanted == "sid":  # whatever Debian has: it is newer than the others
        assert int(release.split(".")[0]) >= 7
    else:
        assert release.startswith(f"{wanted}.")
    assert Path("/lib/modules", platform.release(), "modules.dep").is_file()


def test_root_is_a_throw_away_overlay() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    # The last one mounted on / is the one that counts.
    kind, options = [(fields[2], fields[3]) for fields in mounts if fields[1] == "/"][-1]
    assert kind == "overlay"
    upper = dict(item.partition("=")[::2] for item in options.split(","))["upperdir"]
    assert upper.startswith("/upper/")


def test_every_place_a_test_writes_to_is_writable(tmp_path: Path) -> None:
    for folder in (tmp_path, Path("/tmp"), Path("/run"), Path("/var/run"), REPO):
        probe = folder / "natflow-write-probe"
        probe.write_text("guest")
        assert probe.read_text() == "guest"
        probe.unlink()


def test_no_way_out_but_loopback() -> None:
    assert int(Path("/sys/class/net/lo/flags").read_text(), 16) & 1
    assert [
        path.name for path in Path("/sys/class/net").iterdir() if (path / "device").exists()
    ] == []


@pytest.mark.parametrize(
    "module",
    ["nf_conntrack", "nf_tables", "nft_masq", "nf_conntrack_ftp", "veth", "8021q", "bridge"],
)
def test_stock_modules_load(module: str) -> None:
    subprocess.run(["modprobe", module], check=True)
    assert Path("/sys/module", module).is_dir()


def test_natflow_fits_this_kernel() -> None:
    module = Path(os.environ["NATFLOW_KMOD"]) / "natflow.ko"
    facts = subprocess.run(["modinfo", module], capture_output=True, text=True, check=True).stdout
    fields = dict(line.partition(":")[::2] for line in facts.splitlines())
    assert fields["vermagic"].split()[0] == platform.release()
    # Only GPL modules may use what it uses; the SPDX line says which GPL.
    assert fields["license"].strip().startswith("GPL")


def test_natflow_loads_and_unloads() -> None:
    found_loaded = kmodule.loaded()
    if found_loaded:
        kmodule.unload()
    assert not Path("/sys/module/natflow").exists()
    kmodule.load()
    try:
        assert Path("/sys/module/natflow/initstate").read_text().strip() == "live"
    finally:
        kmodule.unload()
    assert not Path("/sys/module/natflow").exists()
    if found_loaded:
        kmodule.load()
