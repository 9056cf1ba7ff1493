# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages without installing them, from the machine's own mirrors.

Kernels come from two suites. bookworm is in the machine's apt configuration already; backports
often is not, so a private sources list is derived from the entry that serves the base suite: same
mirror, same key, another suite. The machine's configuration is read, never changed.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


class AptError(Exception):
    """apt-get or dpkg-deb failed, or the machine has no usable source; the text says which."""


@dataclass(frozen=True)
class Source:
    """One place that serves packages: a line of sources.list, or a stanza of a .sources file."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def stanza(self, suite: str) -> str:
        """The same mirror and key for another suite, as a deb822 stanza."""
        fields = {
            "Types": "deb",
            "URIs": " ".join(self.uris),
            "Suites": suite,
            "Components": " ".join(self.components),
        }
        if self.signed_by:
            fields["Signed-By"] = self.signed_by
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


def parse_one_line(text: str) -> list[Source]:
    """Parse the one-line format of sources.list(5). Comments and deb-src are left out."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if not match:
            continue
        options, uri, suite, components = match.groups()
        signed = re.search(r"signed-by=(\S+)", options or "", re.IGNORECASE)
        found.append(
            Source((uri,), (suite,), tuple(components.split()), signed.group(1) if signed else "")
        )
    return found


def parse_deb822(text: str) -> list[Source]:
    """Parse the stanza format of sources.list(5). Disabled stanzas and deb-src are left out.

    An embedded key in Signed-By keeps its lines, as it must when written again.
    """
    found = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                if name:
                    fields[name] += "\n" + line
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        found.append(
            Source(
                tuple(fields.get("uris", "").split()),
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )
        )
    return found


def machine_sources() -> list[Source]:
    """Every source in this machine's apt configuration."""
    shell = _run(
        [
            "apt-config",
            "shell",
            "LIST",
            "Dir::Etc::sourcelist/f",
            "PARTS",
            "Dir::Etc::sourceparts/d",
        ]
    )
    where = dict(item.split("=", 1) for item in shlex.split(shell))
    found: list[Source] = []
    if (main := Path(where.get("LIST", "/etc/apt/sources.list"))).is_file():
        found += parse_one_line(main.read_text())
    parts = Path(where.get("PARTS", "/etc/apt/sources.list.d"))
    for path in sorted(parts.glob("*")) if parts.is_dir() else ():
        if path.suffix == ".list":
            found += parse_one_line(path.read_text())
        elif path.suffix == ".sources":
            found += parse_deb822(path.read_text())
    return found


def other_suite(sources: Iterable[Source], suite: str, other: str) -> str:
    """A sources file for the suite `other` on the mirror that serves `suite`."""
    for source in sources:
        if suite in source.suites and "main" in source.components:
            return source.stanza(other)
    raise AptError(
        f"no apt source of this machine serves {suite} main, so the mirror for {other} "
        "is unknown: add one to /etc/apt/sources.list"
    )


def only_suites(sources: Iterable[Source], suites: Sequence[str]) -> str:
    """A sources file with just these suites, so that no third party's mirror can be in the way."""
    stanzas = [
        source.stanza(suite) for source in sources for suite in source.suites if suite in suites
    ]
    if not stanzas:
        raise AptError(f"no apt source of this machine serves any of {', '.join(suites)}")
    return "\n".join(stanzas)


class Apt:
    """apt with its own sources (a .sources file's text) and its own package lists.

    `home` is a folder for lists and caches. The machine's lists are neither needed nor touched, so
    nothing here needs root. `architecture`: the processor that packages are for, if not this
    machine's.
    """

    def __init__(self, home: Path, sources: str, architecture: str = "") -> None:
        self.home = home.resolve()
        self.options: list[str] = []
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "private.sources").write_text(sources)
        settings = {
            "Dir::Etc::SourceList": self.home / "private.sources",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": self.home / "state/lists",
            "Dir::Cache": self.home / "cache",
            "APT::Sandbox::User": "root" if os.getuid() == 0 else "",
            "Acquire::Retries": "3",
            "Acquire::Languages": "none",
        }
        if architecture:
            # What is installed here says nothing about the packages of another processor.
            settings |= {
                "APT::Architecture": architecture,
                "APT::Architectures": architecture,
                "Dir::State::Status": "/dev/null",
            }
        for name, value in settings.items():
            self.options += ["-o", f"{name}={value}"]

    def update(self) -> None:
        """Fetch the package lists."""
        _run(["apt-get", "-q", *self.options, "update"])

    def depends(self, package: str) -> list[str]:
        """Names of the packages that `package` depends on, alternatives included."""
        out = _run(["apt-cache", *self.options, "depends", package])
        return re.findall(r"^\s+\|?Depends: ([^<\s]\S*)$", out, re.MULTILINE)

    def version(self, package: str) -> str:
        """The version that apt would take."""
        out = _run(["apt-cache", *self.options, "policy", package])
        match = re.search(r"^\s+Candidate: (\S+)$", out, re.MULTILINE)
        if not match or match.group(1) == "(none)":
            raise AptError(f"apt knows no package {package}")
        return match.group(1)

    def download(self, packages: Sequence[str], folder: Path) -> list[Path]:
        """Fetch packages into `folder` and return their files."""
        folder.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "-q", *self.options, "download", *packages], cwd=folder)
        return sorted(folder.glob("*.deb"))


def unpack(packages: Iterable[Path], root: Path) -> None:
    """Unpack package files into `root`; no script of theirs is run."""
    for package in packages:
        _run(["dpkg-deb", "-x", str(package), str(root)])


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise AptError(f"{shlex.join(command)} failed:\n{tail}")
    return done.stdout
