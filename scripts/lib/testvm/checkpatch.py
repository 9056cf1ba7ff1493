# SPDX-License-Identifier: GPL-2.0-only
"""python -m testvm.checkpatch: fetch the kernel's style checker; prints the path of checkpatch.pl.

No small Debian package carries it, so three files are taken out of linux-source, once.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from testvm import apt, kernels, paths

FILES = ("scripts/checkpatch.pl", "scripts/spelling.txt", "scripts/const_structs.checkpatch")
PACKAGE = "linux-source-6.1"


def get() -> Path:
    """Return checkpatch.pl, fetching it first if the cache lacks it."""
    home = paths.CACHE / "checkpatch"
    if not (home / FILES[0]).exists():
        with paths.turn("checkpatch"):
            if not (home / FILES[0]).exists():
                _fetch(home)
    return home / FILES[0]


def _fetch(home: Path) -> None:
    paths.say("fetching checkpatch.pl (inside 140 MB of kernel source)")
    source = kernels.sources_of("6.1")
    source.update()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.CACHE) as scratch:
        (package,) = source.download([PACKAGE], Path(scratch))
        inner = f"./usr/src/{PACKAGE}.tar.xz"
        names = [f"{PACKAGE}/{name}" for name in FILES]
        # --occurrence: tar stops at the last of them instead of reading on to the end.
        pipeline = (
            'dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" | xz -dc -T0 | '
            'tar -x -C "$3" --strip-components=1 --occurrence=1 "${@:4}"'
        )
        done = subprocess.run(
            ["bash", "-c", pipeline, "-", str(package), inner, scratch, *names],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise apt.AptError(f"{PACKAGE} has no {' '.join(FILES)}:\n{done.stderr}")
        # checkpatch.pl last: it is what says that the cache is complete.
        for name in reversed(FILES):
            (home / name).parent.mkdir(exist_ok=True)
            os.replace(Path(scratch) / name, home / name)


def main() -> int:
    """Print where checkpatch.pl is; 2 when it cannot be had."""
    try:
        print(get())
    except (apt.AptError, OSError) as error:
        paths.say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
