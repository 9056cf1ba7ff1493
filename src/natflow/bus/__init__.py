# SPDX-License-Identifier: GPL-2.0-only
"""The bus room: serve objects, call others, send events, on OpenWrt's ubusd or on natflow's own
broker.

bus = open_bus()
bus.serve("natflow", {"status": Method(status)})
while running:
    bus.tick(1.0)
"""

from __future__ import annotations

import os

from natflow.bus.interface import (
    ARRAY,
    BOOL,
    DEFAULT_SOCKET,
    DOUBLE,
    INT16,
    INT32,
    INT64,
    SESSION_ARGUMENT,
    STRING,
    TABLE,
    UNSPEC,
    Bus,
    BusError,
    Method,
    Status,
    status_text,
)

__all__ = [
    "ARRAY",
    "BOOL",
    "DEFAULT_SOCKET",
    "DOUBLE",
    "INT16",
    "INT32",
    "INT64",
    "SESSION_ARGUMENT",
    "STRING",
    "TABLE",
    "UNSPEC",
    "Bus",
    "BusError",
    "Method",
    "Status",
    "open_bus",
    "status_text",
]

BACKENDS = ("auto", "libubus", "embedded")


def open_bus(path: str | None = None, backend: str | None = None) -> Bus:
    """Open the bus at the unix socket `path`; connects at once if it can, and later (in `tick`) if
    not.

    path: default $UBUS_SOCKET, else /var/run/ubus/ubus.sock. backend: default $NATFLOW_BUS, else
    "auto", which takes libubus where the python-ubus module can be imported and the embedded client
    elsewhere. Raises ValueError for an unknown backend and ImportError when libubus is asked for by
    name and is not installed.
    """
    path = path or os.environ.get("UBUS_SOCKET") or DEFAULT_SOCKET
    backend = backend or os.environ.get("NATFLOW_BUS") or "auto"
    if backend not in BACKENDS:
        raise ValueError(f"bus backend {backend!r}: must be one of {', '.join(BACKENDS)}")
    if backend != "embedded":
        try:
            from natflow.bus.libubus import LibubusBus

            return LibubusBus(path)
        except ImportError:
            if backend == "libubus":
                raise
    from natflow.bus.embedded import EmbeddedBus

    return EmbeddedBus(path)
