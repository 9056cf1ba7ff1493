# SPDX-License-Identifier: GPL-2.0-only
"""Headers of a kernel whose packaged ones need a newer machine than this.

The headers that Debian packages for its newest kernel carry programs for a newer C library than
Debian 12 has. So they are made here from the kernel's source: Debian's configuration, the programs
that building needs (modules_prepare), and the symbol versions of Debian's build. dwarves must be
installed: without pahole the configuration loses BTF, and struct module with it some members.
"""

import lzma
import re
import shutil
import subprocess
from pathlib import Path

from testvm import apt, paths

# 1.6 GB of source that no module's build looks at. Kconfig files stay: the configuration names
# everything.
LEFT_OUT = (
    "Documentation/*/*",
    "arch/[a-wyz]*.[chS]",
    "drivers/*.[ch]",
    "fs/*.c",
    "sound/*.[ch]",
    "tools/testing/*",
)


def packages(release: str) -> list[str]:
    """The packages that are wanted besides those of image and headers, which hold little."""
    version = _version(release)
    parts = [f"linux-{part}-{release}" for part in ("base", "binary", "modules")]
    return [*parts, f"linux-source-{version}", f"linux-config-{version}"]


def arrange(root: Path, release: str) -> None:
    """Replace the headers unpacked in `root` by ones that work here, and arrange it like others.

    `root` holds the unpacked packages of `release`, those of packages() included. Raises
    apt.AptError when something does not build.
    """
    (root / "lib").mkdir(exist_ok=True)
    # The image and the modules lie where merged-usr wants them, older kernels' at the top.
    (root / "usr/lib/modules").rename(root / "lib/modules")
    (root / "boot").mkdir(exist_ok=True)
    (root / "lib/modules" / release / "vmlinuz").rename(root / "boot" / f"vmlinuz-{release}")

    paths.say(f"preparing the source of {release} for building modules")
    folder = root / "usr/src"
    name = f"linux-source-{_version(release)}"
    headers = folder / f"linux-headers-{release}"
    left_out = [f"--exclude={name}/{part}" for part in LEFT_OUT]
    archive = folder / f"{name}.tar.xz"
    _run("tar", "-C", str(folder), "-xf", str(archive), "--anchored", "--wildcards", *left_out)
    archive.unlink()
    tree = folder / name
    config = folder / f"linux-config-{_version(release)}" / "config.amd64_none_amd64.xz"
    (tree / ".config").write_bytes(lzma.decompress(config.read_bytes()))
    # What uname -r says comes from the packaging, not from the source.
    (tree / "localversion").write_text(re.sub(r"^[\d.]+", "", release) + "\n")
    for target in ("olddefconfig", "modules_prepare"):
        _run("make", "-s", "-C", str(tree), "CC=gcc-12", "HOSTCC=gcc-12", target)
    shutil.copy(headers / "Module.symvers", tree / "Module.symvers")
    shutil.rmtree(headers)
    tree.rename(headers)


def _version(release: str) -> str:
    """7.2.13+deb14-amd64 is made from linux-source-7.2."""
    return ".".join(re.findall(r"\d+", release)[:2])


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise apt.AptError(f"{command[0]} failed while headers were prepared:\n{tail}")
