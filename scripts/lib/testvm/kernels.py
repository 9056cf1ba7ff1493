# SPDX-License-Identifier: GPL-2.0-only
"""Stock Debian kernels with their headers, unpacked into the cache and never installed.

A cached kernel stays until its folder is removed: a test run must not depend on what the mirror
published this morning.
"""

import json
import lzma
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testvm import apt, paths, source

# Which kernel comes from which suite: Debian 12's own, and what its backports carry.
SUITES = {"6.1": "bookworm", "6.12": "bookworm-backports"}
# The newest that Debian has; its headers are made from its source (testvm.newest).
NEWEST = "sid"
NAMES = (*SUITES, NEWEST)

# The part of the module tree that a virtual router can use; the rest is 300 MB of drivers for
# hardware that QEMU does not have here.
KEPT = ("arch", "block", "crypto", "fs", "lib", "mm", "net", "virt")
KEPT_DRIVERS = ("block", "char", "crypto", "net", "pps", "ptp", "vhost", "virtio")
DROPPED = ("drivers/net/ethernet", "drivers/net/wireless", "drivers/net/wwan", "drivers/net/usb")

# Raised when what prepare() makes changes, so that caches of older checkouts are made again.
LAYOUT = 1


@dataclass(frozen=True)
class Kernel:
    """One unpacked kernel.

    `name` is ours ("6.1"), `release` is what uname -r says, `version` is Debian's package version.
    """

    name: str
    release: str
    version: str
    root: Path

    @property
    def vmlinux(self) -> Path:
        """The uncompressed image: a TCG guest would need seconds to decompress itself."""
        return self.root / "vmlinux"

    @property
    def modules(self) -> Path:
        """The folder that must appear as /lib/modules/RELEASE."""
        return self.root / "lib/modules" / self.release

    @property
    def headers(self) -> Path:
        """The build folder for out-of-tree modules (make -C)."""
        return self.root / "usr/src" / f"linux-headers-{self.release}"


def get(name: str) -> Kernel:
    """Return the kernel `name`, fetching it first if the cache lacks it.

    Raises ValueError for an unknown name, apt.AptError when it cannot be fetched.
    """
    if name not in NAMES:
        raise ValueError(f"no kernel {name!r}: known are {', '.join(NAMES)}")
    root = paths.CACHE / "kernels" / name
    if found := cached(name, root):
        return found
    with paths.turn(f"kernel-{name}"):
        return cached(name, root) or _fetch(name, root)


def cached(name: str, root: Path) -> Kernel | None:
    """The kernel `name` that keep() left in `root`; None if there is none, or of another LAYOUT."""
    try:
        facts = json.loads((root / "kernel.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if facts.get("layout") != LAYOUT:
        return None
    return Kernel(name, facts["release"], facts["version"], root)


def sources_of(name: str, architecture: str = "") -> apt.Apt:
    """The suites that kernel `name` comes from, on this machine's mirrors.

    With `architecture`: what they carry for that one, instead of for this machine.
    """
    suite = SUITES.get(name, name)
    sources = apt.machine_sources()
    if name == NEWEST or suite.endswith("-backports"):
        text = apt.other_suite(sources, "bookworm", suite)
    else:
        text = apt.only_suites(sources, (suite, f"{suite}-updates", f"{suite}-security"))
    home = f"{suite}-{architecture}" if architecture else suite
    return apt.Apt(paths.CACHE / "apt" / home, text, architecture)


def _fetch(name: str, root: Path) -> Kernel:
    lists = sources_of(name)
    paths.say(f"fetching Debian's kernel {name}")
    lists.update()
    image = next(p for p in lists.depends("linux-image-amd64") if p.startswith("linux-image-"))
    headers = next(p for p in lists.depends("linux-headers-amd64") if p.startswith("linux-head"))
    release = image.removeprefix("linux-image-")
    if name == NEWEST:
        rest = source.packages(release)
    else:
        depends = lists.depends(headers)
        rest = [p for p in depends if p.startswith(("linux-headers-", "linux-kbuild-"))]

    fresh = beside(root)
    packages = lists.download([image, headers, *rest], fresh / "packages")
    paths.say(f"unpacking {release}")
    apt.unpack(packages, fresh)
    shutil.rmtree(fresh / "packages")
    if name == NEWEST:
        source.arrange(fresh, release)
    else:
        make_relative(fresh, release)
    prepare(fresh, release)
    return keep(fresh, Kernel(name, release, lists.version(image), root))


def beside(root: Path) -> Path:
    """An empty folder in which to make what keep() moves to `root`."""
    fresh = root.with_name(f"{root.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh


def keep(fresh: Path, kernel: Kernel) -> Kernel:
    """Move `fresh`, which is complete, to where `kernel` says, in place of what was there."""
    facts = {"layout": LAYOUT, "release": kernel.release, "version": kernel.version}
    (fresh / "kernel.json").write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(kernel.root, ignore_errors=True)
    fresh.rename(kernel.root)
    return kernel


def prepare(root: Path, release: str) -> None:
    """Make unpacked packages usable where they lie.

    Prunes and decompresses the modules, indexes them, and extracts the uncompressed kernel.
    """
    modules = root / "lib/modules" / release
    _prune(modules / "kernel")
    for packed in modules.rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    subprocess.run(["/sbin/depmod", "-b", str(root), release], check=True)
    for link in ("build", "source"):
        (modules / link).unlink(missing_ok=True)
    (modules / "build").symlink_to(f"../../../usr/src/linux-headers-{release}")
    image = root / "boot" / f"vmlinuz-{release}"
    (root / "vmlinux").write_bytes(uncompressed(image.read_bytes()))


def make_relative(root: Path, release: str) -> None:
    """Headers with an absolute path in them become ones that may move with their repository."""
    makefile = root / "usr/src" / f"linux-headers-{release}" / "Makefile"
    makefile.write_text(
        makefile.read_text().replace(
            "include /usr/src/", "include $(dir $(lastword $(MAKEFILE_LIST)))../"
        )
    )


def _prune(tree: Path) -> None:
    for folder in tree.iterdir():
        if folder.name == "drivers":
            for driver in folder.iterdir():
                if driver.name not in KEPT_DRIVERS:
                    shutil.rmtree(driver)
        elif folder.name not in KEPT:
            shutil.rmtree(folder)
    for name in DROPPED:
        shutil.rmtree(tree / name, ignore_errors=True)


def uncompressed(image: bytes) -> bytes:
    """Return the ELF file inside a bzImage (Linux Documentation/arch/x86/boot.rst, protocol 2.08).

    Raises ValueError when `image` is no bzImage or its compression is neither xz nor zstd, the two
    that Debian uses.
    """
    if image[0x202:0x206] != b"HdrS":
        raise ValueError("not a bzImage: no HdrS at 0x202")
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if payload.startswith(b"\xfd7zXZ\0"):
        kernel = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        # The last four bytes are the size, which zstd would take for a second, broken frame.
        done = subprocess.run(
            ["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE, check=True
        )
        kernel = done.stdout
    else:
        raise ValueError(f"unknown compression, payload starts with {payload[:6].hex()}")
    if not kernel.startswith(b"\x7fELF"):
        raise ValueError("the decompressed kernel is no ELF file")
    return kernel


def module_closure(kernel: Kernel, names: tuple[str, ...]) -> list[Path]:
    """Files of the modules `names` and all they need, in an order in which insmod can load them."""
    needs: dict[str, list[str]] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        module, _, rest = line.partition(":")
        needs[module] = rest.split()
    by_name = {_module_name(path): path for path in needs}
    builtin = {_module_name(line) for line in (kernel.modules / "modules.builtin").open()}
    ordered: list[str] = []
    for name in names:
        if name in builtin:
            continue
        if name not in by_name:
            raise ValueError(f"kernel {kernel.release} has no module {name}")
        path = by_name[name]
        # modules.dep lists the whole closure, what must be loaded first at the end.
        for each in [*reversed(needs[path]), path]:
            if each not in ordered:
                ordered.append(each)
    return [kernel.modules / path for path in ordered]


def _module_name(path: str) -> str:
    return re.sub(r"\.ko$", "", Path(path.strip()).name).replace("-", "_")
