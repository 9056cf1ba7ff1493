# SPDX-License-Identifier: GPL-2.0-only
"""The initramfs of one run: drivers, a static shell, and the command to run."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from testvm.cpio import Archive
from testvm.kernels import Kernel, module_closure

GUEST = Path(__file__).with_name("guest")
BUSYBOX = Path("/bin/busybox")
# What the guest needs before it can see the module tree on the host's file system.
DRIVERS = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console")


def build(
    kernel: Kernel,
    command: Sequence[str],
    workdir: Path,
    env: Mapping[str, str],
    facts: Mapping[str, str],
) -> bytes:
    """Return the archive for running `command` in `workdir` with exactly the variables `env`.

    facts: what else guest/session wants to know.
    """
    archive = Archive()
    for folder in ("bin", "dev", "proc", "sys", "modules", "lower", "upper", "new", "session"):
        archive.folder(folder)
    archive.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    archive.file("init", (GUEST / "init").read_bytes(), 0o755)
    # insmod loads them in the order of their names.
    for number, module in enumerate(module_closure(kernel, DRIVERS)):
        archive.file(f"modules/{number:02}-{module.name}", module.read_bytes())
    archive.file("session/session", (GUEST / "session").read_bytes(), 0o755)
    all_facts = {"MODULES": str(kernel.modules), "WORKDIR": str(workdir), **facts}
    archive.file("session/facts.sh", _assignments("", all_facts).encode())
    archive.file("session/command.sh", command_script(command, env).encode())
    return bytes(archive)


def command_script(command: Sequence[str], env: Mapping[str, str]) -> str:
    """The shell script that becomes `command`, word for word, with `env` set."""
    return _assignments("export ", env) + f"exec {shlex.join(command)}\n"


def _assignments(prefix: str, values: Mapping[str, str]) -> str:
    return "".join(f"{prefix}{name}={shlex.quote(text)}\n" for name, text in values.items())
