# SPDX-License-Identifier: GPL-2.0-only
"""What natflow prints, line by line: golden/WORLD-NAME.txt holds a command and its whole output.

After a wanted change write them anew with NATFLOW_GOLDEN=write, and read the difference.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.cli.worlds import WORLDS

from natflow import cli, host
from natflow.kernel import reason_text
from natflow.kernel.uapi import REASONS
from natflow.service.devices import Devices

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.txt"))


class Wire:
    """The bus between the command and a service in this process."""

    connected = True
    path = "/var/run/ubus/ubus.sock"

    def __init__(self, bench: Any) -> None:
        self._bench = bench

    def call(self, name: str, method: str, args: dict[str, Any], timeout: float) -> dict[str, Any]:
        reply: dict[str, Any] = self._bench.bus.request(name, method, **args)
        return reply

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def quiet_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    nowhere = str(tmp_path / "nowhere")
    for name in ("MODULES", "CONTROL", "LEASES"):
        monkeypatch.setattr(host, name, nowhere)
    monkeypatch.setattr(host, "NFT", (nowhere,))
    monkeypatch.setattr(Devices, "kind", lambda self, ifindex: "port")
    # The sentences of the reasons may be improved without a look at these files.
    texts = tuple(
        (f"The sentence of {name}, which goes on for some time.", f"The hint of {name}.")
        for name in REASONS
    )
    monkeypatch.setattr(reason_text, "TEXT", texts)
    yield


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) >= 20


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_golden(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    command, _, expected = file.read_text(encoding="utf-8").partition("\n")
    monkeypatch.chdir(tmp_path)
    directory = Path("config")  # as short on every machine: the lines are wrapped
    directory.mkdir()
    world = WORLDS[file.stem.split("-")[0]](directory)
    monkeypatch.setattr(cli, "open_bus", lambda path, backend: Wire(world))
    program, *arguments = shlex.split(command.removeprefix("$ "))
    assert program == "natflow"
    code = cli.main(arguments)
    captured = capfd.readouterr()
    output = captured.out + captured.err + f"exit {code}\n"
    output = re.sub(r"(?m)^kernel {2,}.*", "kernel      RELEASE MACHINE", output)
    output = re.sub(r"pid \d+, Python [\w.+]+", "pid N, Python V", output)
    if os.environ.get("NATFLOW_GOLDEN") == "write":
        file.write_text(f"{command}\n{output}", encoding="utf-8")
        return
    assert output == expected
    for line in captured.out.splitlines():
        assert len(line) <= 80, line
