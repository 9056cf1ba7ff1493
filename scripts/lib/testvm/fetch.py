# SPDX-License-Identifier: GPL-2.0-only
"""python -m testvm.fetch NAME: fetch a kernel if need be; prints the folder of its headers."""

import sys
from pathlib import Path

from testvm import apt, cross, kernels, paths

NAMES = (*kernels.NAMES, cross.NAME)


def headers(name: str) -> Path:
    """The build folder of any kernel that modules are built for, booted here or not."""
    if name not in NAMES:
        raise ValueError(f"no kernel {name!r}: known are {', '.join(NAMES)}")
    return (cross.get() if name == cross.NAME else kernels.get(name)).headers


def main() -> int:
    """Print the build folder of the kernel named by the first argument; 2 when it cannot be had."""
    try:
        print(headers(sys.argv[1]))
    except (apt.AptError, ValueError, OSError) as error:
        paths.say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
