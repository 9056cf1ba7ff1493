# SPDX-License-Identifier: GPL-2.0-only
"""Headers of Debian's kernel for 32-bit MIPS, the processor of MT7621: built for, never booted.

What links on a 64-bit processor need not link there: no kernel has the library functions that a
64-bit division is compiled to, and not every kernel has an xchg() of one byte. Only modpost sees
that, and it needs the symbols of a whole kernel for such a processor.
"""

import shutil
from pathlib import Path

from testvm import apt, kernels, paths

NAME = "6.1-mipsel"
# The kernel of this machine that it is the sibling of.
BASE = "6.1"
ARCHITECTURE = "mipsel"
# Debian's kernel for the cores that have what MT7621's have (MIPS32 release 2).
FLAVOUR = "4kc-malta"


def get() -> kernels.Kernel:
    """Return the kernel, of which only the headers are there, fetching them first if need be.

    Raises apt.AptError when they cannot be fetched.
    """
    root = paths.CACHE / "kernels" / NAME
    if found := kernels.cached(NAME, root):
        return found
    with paths.turn(f"kernel-{NAME}"):
        return kernels.cached(NAME, root) or _fetch(root)


def _fetch(root: Path) -> kernels.Kernel:
    paths.say(f"fetching the headers of Debian's kernel {NAME}")
    theirs = kernels.sources_of(BASE, ARCHITECTURE)
    theirs.update()
    headers = next(
        p for p in theirs.depends(f"linux-headers-{FLAVOUR}") if p.startswith("linux-headers-")
    )
    depends = theirs.depends(headers)
    release = headers.removeprefix("linux-headers-")
    common = [p for p in depends if p.startswith("linux-headers-")]
    # The programs that a build runs (fixdep, modpost) must be for this machine's processor.
    kbuild = [p for p in depends if p.startswith("linux-kbuild-")]

    fresh = kernels.beside(root)
    packages = theirs.download([headers, *common], fresh / "packages")
    # Whoever fetches that kernel uses the same lists.
    with paths.turn(f"kernel-{BASE}"):
        ours = kernels.sources_of(BASE)
        ours.update()
        packages += ours.download(kbuild, fresh / "packages/programs")
    apt.unpack(packages, fresh)
    shutil.rmtree(fresh / "packages")
    kernels.make_relative(fresh, release)
    return kernels.keep(fresh, kernels.Kernel(NAME, release, theirs.version(headers), root))
