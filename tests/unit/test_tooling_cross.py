# SPDX-License-Identifier: GPL-2.0-only
"""Fetching the headers of a kernel for another processor, from a mirror in a folder."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from testvm import apt, cross, fetch, kernels, paths

RELEASE = "6.1.0-7-4kc-malta"
HEADERS = f"usr/src/linux-headers-{RELEASE}"
KBUILD = "usr/lib/linux-kbuild-6.1/scripts"
# Package, architecture, version, what it depends on, and its only file.
PACKAGES = (
    ("linux-headers-4kc-malta", "mipsel", "6.1.9-1", f"linux-headers-{RELEASE}", "usr/share/meta"),
    (
        f"linux-headers-{RELEASE}",
        "mipsel",
        "6.1.9-1",
        "linux-headers-6.1.0-7-common, linux-kbuild-6.1, gcc-12",
        f"{HEADERS}/Makefile",
    ),
    (
        "linux-headers-6.1.0-7-common",
        "all",
        "6.1.9-1",
        "",
        "usr/src/linux-headers-6.1.0-7-common/x",
    ),
    # Newer here than there, and the other way round: the version does not decide.
    ("linux-kbuild-6.1", "amd64", "6.1.9-2", "", f"{KBUILD}/modpost"),
    ("linux-kbuild-6.1", "mipsel", "6.1.9-3", "", f"{KBUILD}/modpost"),
)


def write_package(mirror: Path, name: str, architecture: str, version: str, file: str) -> Path:
    """Build a package with nothing in it but `file`, whose text says which package it is from."""
    tree = mirror / f"{name}.{architecture}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: a test\n"
    )
    (tree / file).parent.mkdir(parents=True)
    (tree / file).write_text(f"include /usr/src/{architecture}\n")
    package = mirror / f"{name}_{version}_{architecture}.deb"
    subprocess.run(["dpkg-deb", "-b", tree, package], stdout=subprocess.DEVNULL, check=True)
    return package


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with PACKAGES; an empty cache, and apt sources that name nothing else."""
    folder = tmp_path / "mirror"
    stanzas = []
    for name, architecture, version, depends, file in PACKAGES:
        package = write_package(folder, name, architecture, version, file)
        stanzas.append(
            f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
            + (f"Depends: {depends}\n" if depends else "")
            + f"Filename: ./{package.name}\nSize: {package.stat().st_size}\n"
            f"SHA256: {hashlib.sha256(package.read_bytes()).hexdigest()}\n"
        )
    (folder / "Packages").write_text("\n".join(stanzas))
    text = f"Types: deb\nURIs: copy:{folder}\nSuites: ./\nTrusted: yes\n"
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(apt, "machine_sources", list)
    monkeypatch.setattr(apt, "only_suites", lambda *_: text)
    return folder


def test_headers_are_theirs_and_programs_ours(mirror: Path) -> None:
    kernel = cross.get()
    assert kernel == kernels.Kernel(
        "6.1-mipsel", RELEASE, "6.1.9-1", paths.CACHE / "kernels/6.1-mipsel"
    )
    # It may lie, and be moved, anywhere.
    makefile = (kernel.headers / "Makefile").read_text()
    assert makefile == "include $(dir $(lastword $(MAKEFILE_LIST)))../mipsel\n"
    assert (kernel.root / "usr/src/linux-headers-6.1.0-7-common/x").exists()
    assert (kernel.root / KBUILD / "modpost").read_text().endswith("/amd64\n")
    assert not (kernel.root / "packages").exists()
    assert [folder.name for folder in kernel.root.parent.iterdir()] == ["6.1-mipsel"]


def test_fetched_once(mirror: Path) -> None:
    assert fetch.headers("6.1-mipsel") == paths.CACHE / "kernels/6.1-mipsel" / HEADERS
    (mirror / "Packages").unlink()
    assert fetch.headers("6.1-mipsel").is_dir()


def test_changed_package_is_refused(mirror: Path) -> None:
    """What does not have the sum that the mirror's list gives is not unpacked, and not kept."""
    package = mirror / f"linux-headers-{RELEASE}_6.1.9-1_mipsel.deb"
    content = bytearray(package.read_bytes())
    content[-1] ^= 1
    package.write_bytes(content)
    with pytest.raises(apt.AptError, match="Hash Sum mismatch"):
        cross.get()
    assert not (paths.CACHE / "kernels/6.1-mipsel").exists()


def test_mirror_without_the_processor_is_a_clear_error(mirror: Path) -> None:
    packages = (mirror / "Packages").read_text()
    (mirror / "Packages").write_text(packages.replace("mipsel", "mips64el"))
    with pytest.raises(apt.AptError, match="linux-headers-4kc-malta"):
        cross.get()


def test_no_guest_boots_it() -> None:
    with pytest.raises(ValueError, match=r"no kernel '6\.1-mipsel': known are 6\.1, 6\.12, sid$"):
        kernels.get("6.1-mipsel")
    with pytest.raises(ValueError, match=r"no kernel '5\.15': known are .*6\.1-mipsel$"):
        fetch.headers("5.15")
