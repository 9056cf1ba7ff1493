# SPDX-License-Identifier: GPL-2.0-only
"""Serves the LuCI pages for a natflowd that runs: python -m luci_host --help."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from luci_host.server import LOGINS, Host


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="luci_host", description=__doc__)
    parser.add_argument("--socket", required=True, help="the bus that natflowd is on")
    parser.add_argument("--config-dir", type=Path, required=True, help="its UCI packages")
    parser.add_argument("--pidfile", type=Path, help="of natflowd, which is sent SIGHUP on apply")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--luci-tree", type=Path, help="take the browser part and the theme from a LuCI checkout"
    )
    options = parser.parse_args()

    def applied(packages: list[str]) -> None:
        print(f"applied: {', '.join(packages)}", flush=True)
        if options.pidfile:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(options.pidfile.read_text()), signal.SIGHUP)

    host = Host(
        options.socket,
        options.config_dir,
        applied=applied,
        luci_tree=options.luci_tree,
        port=options.port,
    )
    host.start()
    print(f"{host.url}/  login: {', '.join(f'{user} {LOGINS[user].password}' for user in LOGINS)}")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
