# SPDX-License-Identifier: GPL-2.0-only
"""The shell that lands on the router, run by BusyBox against stand-ins for procd and uci."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from natflow import __version__
from natflow.settings import OPTIONS, Settings, read
from natflow.uci.embedded import Embedded

TOP = Path(__file__).parents[2]
FILES = TOP / "files"
STUBS = Path(__file__).parent / "stubs"
SHELL = shutil.which("busybox")

needs_busybox = pytest.mark.skipif(SHELL is None, reason="busybox is not installed")


class Router:
    """The init script with its paths moved into a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        text = (FILES / "natflow.init").read_text(encoding="utf-8")
        for path in ("/sys/module/natflow", "/sbin/ujail", "/etc/capabilities/natflow.json"):
            assert path in text
            text = text.replace(path, f"{directory}{path}")
        self.script = directory / "natflow.init"
        self.script.write_text(text, encoding="utf-8")

    def touch(self, path: str, mode: int = 0o644) -> None:
        target = self.directory / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode)

    def run(self, action: str, **environment: str) -> list[str]:
        assert SHELL is not None
        done = subprocess.run(
            [SHELL, "sh", str(STUBS / "rc.common"), str(self.script), action],
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert done.stderr == ""
        return done.stdout.replace(str(self.directory), "").splitlines()


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(tmp_path)


START = [
    "open_instance",
    "set_param command /usr/bin/natflowd",
    "set_param respawn",
    "set_param stderr 1",
    "set_param no_new_privs 1",
    "close_instance",
    "add_reload_trigger natflow firewall",
]


@needs_busybox
def test_start(router: Router) -> None:
    assert router.run("start") == ["modprobe -q natflow", *START]


@needs_busybox
def test_start_with_the_module_loaded(router: Router) -> None:
    (router.directory / "sys/module/natflow").mkdir(parents=True)
    assert router.run("start") == START


@needs_busybox
def test_start_where_the_module_is_not_installed(router: Router) -> None:
    assert router.run("start", MODPROBE="1") == ["modprobe -q natflow", *START]


@needs_busybox
def test_start_with_ujail_drops_all_rights_but_one(router: Router) -> None:
    router.touch("/sbin/ujail", 0o755)
    router.touch("/etc/capabilities/natflow.json")
    jail = ["add_jail natflow", "set_param capabilities /etc/capabilities/natflow.json"]
    assert router.run("start") == ["modprobe -q natflow", *START[:5], *jail, *START[5:]]


@needs_busybox
def test_reload_is_a_hangup(router: Router) -> None:
    assert router.run("reload", RUNNING="1") == ["send_signal natflow * HUP"]


@needs_busybox
def test_reload_starts_what_does_not_run(router: Router) -> None:
    assert router.run("reload", RUNNING="0") == ["modprobe -q natflow", *START]


@needs_busybox
def test_stop_is_left_to_procd(router: Router) -> None:
    assert router.run("stop", RUNNING="1") == ["kill"]


@needs_busybox
def test_it_starts_behind_network_and_firewall(router: Router) -> None:
    start, stop = (int(word.split("=")[1]) for word in router.run("show")[0].split())
    assert 20 < start < 99
    assert stop < 90, "before the network (90) goes down"


def test_wed_is_decided_before_modules_are_loaded() -> None:
    """OpenWrt's script "boot", at 10, runs kmodloader; file systems are taken away at 99."""
    text = (FILES / "natflow-wed.init").read_text(encoding="utf-8")
    start, stop = (int(re.search(rf"^{name}=(\d+)$", text, re.M)[1]) for name in ("START", "STOP"))
    assert start < 10
    assert stop < 99
    assert text.startswith("#!/bin/sh /etc/rc.common\n")


def test_capabilities_are_the_one_that_netlink_wants() -> None:
    sets = json.loads((FILES / "natflow.capabilities").read_text(encoding="utf-8"))
    assert set(sets) == {"bounding", "effective", "ambient", "permitted", "inheritable"}
    assert all(value == ["CAP_NET_ADMIN"] for value in sets.values())


def test_the_shipped_configuration_is_good_and_switches_it_on(tmp_path: Path) -> None:
    shutil.copy(FILES / "natflow.config", tmp_path / "natflow")
    sections = Embedded(str(tmp_path)).load("natflow")
    settings, problems = read(sections, "natflow")
    assert [str(problem) for problem in problems] == []
    assert settings.enabled is True
    assert set(sections[0].options) <= set(OPTIONS)
    expected = Settings()
    expected.enabled = True
    assert settings == expected, "it ships the defaults, so that they are in one place"


def defaults(directory: Path) -> None:
    """Run the uci-defaults script for the root directory given."""
    assert SHELL is not None
    (directory / "etc/config").mkdir(parents=True, exist_ok=True)
    (directory / "bin").mkdir(exist_ok=True)
    uci = directory / "bin/uci"
    uci.write_text(f'#!/bin/sh\nexec {sys.executable} {STUBS}/uci "$@"\n')
    uci.chmod(0o755)
    done = subprocess.run(
        [SHELL, "sh", str(FILES / "natflow.defaults")],
        env={
            "PATH": f"{directory}/bin:/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "IPKG_INSTROOT": str(directory),
            "UCI_CONFIG_DIR": str(directory / "etc/config"),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("", "")


@needs_busybox
@pytest.mark.parametrize("before", [None, "", "config zone 'lan'\n\toption type 'lan_zone'\n"])
def test_defaults_add_a_missing_section(before: str | None, tmp_path: Path) -> None:
    config = tmp_path / "etc/config/natflow"
    if before is not None:
        config.parent.mkdir(parents=True)
        config.write_text(before)
    defaults(tmp_path)
    sections = Embedded(str(config.parent)).load("natflow")
    settings, problems = read([section for section in sections if section.name == "main"], "x")
    assert problems == []
    shipped = Embedded(str(tmp_path))
    shutil.copy(FILES / "natflow.config", tmp_path / "shipped")
    assert sections[-1] == shipped.load("shipped")[0], "the same as a new installation"
    assert settings.enabled is True
    assert len(sections) == (2 if before else 1)


@needs_busybox
def test_defaults_leave_a_section_alone(tmp_path: Path) -> None:
    config = tmp_path / "etc/config/natflow"
    config.parent.mkdir(parents=True)
    text = "# mine\nconfig natflow 'main'\n\toption enabled '0'\n"
    config.write_text(text)
    defaults(tmp_path)
    defaults(tmp_path)
    assert config.read_text() == text


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize(
    "script",
    [
        "files/natflow.init",
        "files/natflow-wed.init",
        "files/natflow.defaults",
        "package/natflow/test.sh",
    ],
)
def test_shellcheck(script: str) -> None:
    """BusyBox's shell is dash with "local", which shellcheck 0.9 cannot be told in one word."""
    done = subprocess.run(
        ["shellcheck", "-s", "dash", "-e", "SC3043", str(TOP / script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == ""


@pytest.mark.parametrize("program", ["natflow", "natflowd"])
def test_programs_start(program: str) -> None:
    done = subprocess.run(
        [sys.executable, str(FILES / program), "--version"],
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith(f"{program} ")
    assert os.access(FILES / program, os.X_OK)
    first = (FILES / program).read_text(encoding="utf-8").splitlines()[0]
    assert first == "#!/usr/bin/python3"


@needs_busybox
def test_the_test_for_targets(tmp_path: Path) -> None:
    """OpenWrt's own tests run test.sh on a target; here it runs on the tree."""
    for program in ("natflow", "natflowd"):
        wrapper = tmp_path / program
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {FILES}/{program} "$@"\n')
        wrapper.chmod(0o755)
    (tmp_path / "python3").symlink_to(sys.executable)
    assert SHELL is not None

    def run(version: str) -> int:
        return subprocess.run(
            [SHELL or "", "sh", str(TOP / "package/natflow/test.sh"), "natflow", version],
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            capture_output=True,
            check=False,
            timeout=60,
        ).returncode

    assert run(__version__) == 0
    assert run("0.0.0") == 1
