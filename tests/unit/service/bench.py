# SPDX-License-Identifier: GPL-2.0-only
"""A service on a configuration in a directory, with a module and a bus in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unit.kernel.fake import FakeKernel

from natflow.bus import Bus, BusError, Method, Status
from natflow.control import Control
from natflow.kernel.errors import ModuleMissing
from natflow.service import Service
from natflow.uci import open_uci

ON = "config natflow 'main'\n\toption enabled '1'\n"
OFF = "config natflow 'main'\n\toption enabled '0'\n"
FRESH = {
    "enabled": 0,
    "delay_pkts": 4,
    "sample_interval": 2000,
    "idle_timeout": 30000,
    "max_flows": 65536,
    "host_flows": 16384,
    "learn_rate": 20000,
}


class MemoryBus(Bus):
    """Keeps what is served and sent; ``request`` calls a method as the bus would."""

    connected = True

    def __init__(self) -> None:
        self.served: dict[str, dict[str, Method]] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def serve(self, name: str, methods: Mapping[str, Method]) -> None:
        self.served[name] = dict(methods)

    def send(self, event: str, data: Mapping[str, Any]) -> bool:
        self.sent.append((event, dict(data)))
        return True

    def request(self, name: str, method: str, **args: Any) -> dict[str, Any]:
        found = self.served[name][method]
        declared = {key for key in found.args if key != "ubus_rpc_session"}
        if set(args) != declared:
            raise BusError(Status.INVALID_ARGUMENT, f"{method} takes {declared}")
        return found.handler(args)


class Bench:
    """One service; ``kernel`` is a fresh module unless another is given."""

    def __init__(
        self, directory: Path, config: str | None = ON, kernel: FakeKernel | None = None
    ) -> None:
        self.directory = directory
        if config is not None:
            self.write(config)
        self.kernel = kernel or FakeKernel(settings=FRESH)
        self.bus = MemoryBus()
        self.control = Control(open_uci("embedded", str(directory)), self._open)
        self.service = Service(self.control, self.bus, "memory", str(directory / "root"))
        self.service.serve()
        self.service.reload()

    def _open(self) -> Any:
        if self.kernel.missing:
            raise ModuleMissing
        return self.kernel

    def write(self, config: str, package: str = "natflow") -> None:
        (self.directory / package).write_text(config, encoding="utf-8")

    def call(self, method: str, **args: Any) -> dict[str, Any]:
        return self.bus.request("natflow", method, **args)

    def refusal(self, method: str, **args: Any) -> tuple[int, str]:
        """Status and text of a call that must fail."""
        try:
            reply = self.call(method, **args)
        except BusError as error:
            return error.status, error.message
        raise AssertionError(f"{method} was answered: {reply}")

    def configured(self) -> list[object]:
        """What was written into the module so far."""
        return [argument for name, argument in self.kernel.calls if name == "configure"]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [data for event, data in self.bus.sent if event == name]
