# SPDX-License-Identifier: GPL-2.0-only
"""Where things are: the repository, and the git-ignored folder of what was fetched or built."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
CACHE = REPO / ".cache"
# Of the script a person called.
PROGRAM = os.environ.get("NATFLOW_SCRIPT") or Path(sys.argv[0]).name


def say(text: str) -> None:
    """Print a progress line on stderr: stdout carries results only."""
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Hold the lock `name` among all processes that use this cache."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
