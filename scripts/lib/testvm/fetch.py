# SPDX-License-Identifier: GPL-2.0-only
"""python -m testvm.fetch NAME: fetch a kernel if need be; prints the folder of its headers."""

import sys

from testvm import apt, kernels, paths


def main() -> int:
    """Print the build folder of the kernel named by the first argument; 2 when it cannot be had."""
    try:
        print(kernels.get(sys.argv[1]).headers)
    except (apt.AptError, ValueError, OSError) as error:
        paths.say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
