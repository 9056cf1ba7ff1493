# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from pathlib import Path

import pytest

from natflow import host
from natflow.service.devices import Devices


@pytest.fixture(autouse=True)
def quiet_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A router on which nothing else accelerates, whatever the machine of the test runs."""
    nowhere = str(tmp_path / "nowhere")
    monkeypatch.setattr(host, "NFT", (nowhere,))
    monkeypatch.setattr(host, "MODULES", nowhere)
    monkeypatch.setattr(host, "CONTROL", nowhere)
    monkeypatch.setattr(host, "LEASES", nowhere)
    monkeypatch.setattr(Devices, "kind", lambda self, ifindex: "port")
