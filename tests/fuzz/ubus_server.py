# SPDX-License-Identifier: GPL-2.0-only
"""Serves the object `natflow` on the bus at the path it is given, until it is terminated."""

from __future__ import annotations

import sys

from natflow.bus import TABLE, Method
from natflow.bus.embedded import EmbeddedBus

bus = EmbeddedBus(sys.argv[1])
bus.serve("natflow", {"echo": Method(lambda args: {"got": args}, {"filter": TABLE})})
print("serving", flush=True)
while True:
    bus.tick(60)
