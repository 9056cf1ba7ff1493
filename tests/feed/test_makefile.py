# SPDX-License-Identifier: GPL-2.0-only
"""package/natflow/Makefile: its text against the tree it packs, its metadata in an OpenWrt tree.

The second part needs OPENWRT_TREE, a build tree with the packages feed in feeds/packages.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from natflow import __version__, soc, wed

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "package" / "natflow"
MAKEFILE = (PACKAGE / "Makefile").read_text(encoding="utf-8")
TREE = os.environ.get("OPENWRT_TREE", "")

#: The packages for hardware, each with the target that alone has it. MT7981 and MT7986 share one.
VARIANTS = {
    "natflow-mt7621": "@TARGET_ramips_mt7621",
    "natflow-mt7622": "@TARGET_mediatek_mt7622",
    "natflow-mt7981": "@TARGET_mediatek_filogic",
    "natflow-mt7986": "@TARGET_mediatek_filogic",
}

#: Modules that OpenWrt splits from python3-light, by the package that has them.
SPLIT = {
    "python3-asyncio": {"asyncio"},
    "python3-codecs": {"unicodedata", "stringprep"},
    "python3-ctypes": {"ctypes"},
    "python3-dbm": {"dbm"},
    "python3-decimal": {"decimal", "_pydecimal", "fractions"},
    "python3-email": {"email"},
    "python3-logging": {"logging"},
    "python3-lzma": {"lzma"},
    "python3-multiprocessing": {"multiprocessing"},
    "python3-openssl": {"ssl"},
    "python3-pydoc": {"pydoc", "doctest"},
    "python3-sqlite3": {"sqlite3"},
    "python3-unittest": {"unittest"},
    "python3-urllib": {"urllib"},
    "python3-uuid": {"uuid"},
    "python3-xml": {"xml"},
}
#: Imported where it is there only: natflow.kernel.namespace enters a namespace for the tests.
BY_NEED = {"ctypes"}
#: What else may be imported, and the package that brings it.
LIBRARIES = {"pyroute2": "python3-pyroute2", "ubus": "python3-ubus", "uci": "python3-uci"}


def value(name: str) -> str:
    found = re.search(rf"^{name}:=(.*)$", MAKEFILE, re.MULTILINE)
    assert found is not None, f"{name} is not set"
    return found[1].strip()


def definition(name: str) -> list[str]:
    found = re.search(
        rf"^define {re.escape(name)}\n(.*?)^endef", MAKEFILE, re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"{name} is not defined"
    return found[1].splitlines()


def field(name: str, key: str) -> str:
    text = "\n".join(definition(name)).replace("\\\n", " ")
    found = re.search(rf"^  {key}:=(.*)$", text, re.MULTILINE)
    assert found is not None, f"{name} has no {key}"
    return " ".join(found[1].split())


def imported() -> set[str]:
    """Top-level names of everything that src/natflow imports, also inside of functions."""
    names = set()
    for path in (TOP / "src" / "natflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Constant) and node.value in LIBRARIES:
                names.add(str(node.value))  # for importlib
    return names


def test_formalities() -> None:
    assert MAKEFILE.startswith("# SPDX-License-Identifier: GPL-2.0-only\n")
    assert "\r" not in MAKEFILE
    assert PACKAGE.name == value("PKG_NAME")
    assert value("PKG_RELEASE").isdigit()
    assert value("PKG_LICENSE") == "GPL-2.0-only"
    assert (TOP / value("PKG_LICENSE_FILES")).is_file()
    assert re.fullmatch(r".+ <.+@.+>", value("PKG_MAINTAINER"))
    assert re.search(r"^\$\(eval \$\(call BuildPackage,natflow\)\)$", MAKEFILE, re.MULTILINE)
    assert re.search(r"^\$\(eval \$\(call KernelPackage,natflow\)\)$", MAKEFILE, re.MULTILINE)


def test_version() -> None:
    """One version, in a form that apk can compare: digits and dots, perhaps _rc1 and the like."""
    assert value("PKG_VERSION") == __version__
    assert re.fullmatch(r"\d+(\.\d+)*(_(alpha|beta|pre|rc|p)\d*)?", __version__)


@pytest.mark.parametrize(
    "name",
    ["KernelPackage/natflow", "Package/natflow", *(f"KernelPackage/{name}" for name in VARIANTS)],
)
def test_metadata_is_indented_by_two_blanks(name: str) -> None:
    for line in definition(name):
        assert re.match(r"  \S|    \+", line), line
    for line in definition(f"{name}/description"):
        assert line.startswith("  ")


def test_recipes_are_indented_by_tabs() -> None:
    for name in ("Build/Prepare", "Build/Install", "Py3Package/natflow/install"):
        assert all(line.startswith("\t") for line in definition(name))


def test_conffiles_are_installed() -> None:
    listed = definition("Package/natflow/conffiles")
    assert listed == ["/etc/config/natflow"]
    recipe = "\n".join(definition("Py3Package/natflow/install"))
    for path in listed:
        assert f"$(1){path}" in recipe


def test_all_of_files_is_installed_and_nothing_else() -> None:
    recipe = "\n".join(definition("Py3Package/natflow/install")).replace("\\\n", " ")
    used = set(re.findall(r"\$\(NATFLOW_TOP\)/files/(\S+)", recipe))
    assert used == {path.name for path in (TOP / "files").iterdir()}


def test_what_it_copies_exists() -> None:
    for path in re.findall(r"\$\(NATFLOW_TOP\)/(\S+)", MAKEFILE):
        assert (TOP / path.rstrip("\\")).exists(), path
    assert "abspath $(CURDIR)/../.." in MAKEFILE


def test_the_module_is_the_one_that_kbuild_makes() -> None:
    kbuild = (TOP / "src" / "kmod" / "Kbuild").read_text(encoding="utf-8")
    modules = re.search(r"^obj-m := (.+)$", kbuild, re.MULTILINE)
    assert modules is not None
    assert modules[1].split() == ["natflow.o", "natflow_hwnat.o"]
    for package, name in (("natflow", "natflow"), ("natflow-mt7986", "natflow_hwnat")):
        files = field(f"KernelPackage/{package}", "FILES")
        assert files.endswith(f"/kmod/{name}.$(LINUX_KMOD_SUFFIX)")
        assert field(f"KernelPackage/{package}", "AUTOLOAD") == f"$(call AutoProbe,{name})"
    assert "NATFLOW_VERSION" in kbuild, "the Makefile passes it"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_for_each_chip(name: str) -> None:
    """One module under four names, each loaded for its own chip and on its own target alone."""
    package, chip = f"KernelPackage/{name}", name.removeprefix("natflow-")
    assert field(package, "DEPENDS").split() == [VARIANTS[name], "+kmod-natflow"]
    assert field(package, "PROVIDES") == "kmod-natflow-hwnat"
    assert field(package, "FILES").endswith("/kmod/natflow_hwnat.$(LINUX_KMOD_SUFFIX)")
    assert field(package, "AUTOLOAD") == "$(call AutoProbe,natflow_hwnat)"
    assert field(package, "MODPARAMS") == f"variant={chip}"
    assert f"$(eval $(call KernelPackage,{name}))" in MAKEFILE.splitlines()
    assert set(VARIANTS) == {soc.PACKAGE + chip for chip in soc.SOCS}, "natflowd knows the same"


def test_variants_that_can_meet_conflict() -> None:
    """Once for each pair: both ways would be a circle for Kconfig."""
    pairs = set()
    for name in VARIANTS:
        for other in re.findall(
            r"^  CONFLICTS:=kmod-(\S+)$",
            "\n".join(definition(f"KernelPackage/{name}")),
            re.MULTILINE,
        ):
            assert (other, name) not in pairs
            pairs.add((name, other))
    assert {frozenset(pair) for pair in pairs} == {
        frozenset((first, second))
        for first in VARIANTS
        for second in VARIANTS
        if first != second and VARIANTS[first] == VARIANTS[second]
    }


def test_build_options() -> None:
    """Each is asked for in Config.in, makes a build anew, and is handed on to Kbuild."""
    text = (PACKAGE / "Config.in").read_text(encoding="utf-8")
    names = [f"CONFIG_{name}" for name in re.findall(r"^config (\w+)$", text, re.MULTILINE)]
    assert names == [
        "CONFIG_NATFLOW_PATH",
        "CONFIG_NATFLOW_URLLOGGER",
        "CONFIG_HWNAT_EXTDEV_DISABLED",
        "CONFIG_HWNAT_EXTDEV_USE_VLAN_HASH",
    ]
    listed = re.search(r"^PKG_CONFIG_DEPENDS:=((?: *\\\n\s*\S+)+)$", MAKEFILE, re.MULTILINE)
    assert listed is not None
    assert listed[1].replace("\\", "").split() == names
    assert '$(foreach option,$(PKG_CONFIG_DEPENDS),$(option)="$($(option))")' in MAKEFILE
    assert definition("KernelPackage/natflow/config") == ['  source "$(SOURCE)/Config.in"']
    for block in re.split(r"^config ", text, flags=re.MULTILINE)[1:]:
        assert re.search(r"^\tbool \".+\"$", block, re.MULTILINE)
        assert re.search(r"^\tdepends on PACKAGE_kmod-natflow", block, re.MULTILINE)
        assert re.search(r"^\thelp\n(\t  .+\n)+", block, re.MULTILINE)


#: Of OpenWrt's build system only what says how the modules are built.
BUILD = """\
include Makefile
KERNEL_MAKE := printf '%s\\n'
show:
\t$(Build/Compile)
"""
#: What Kbuild makes of it.
FLAGS = """\
src := {kmod}
include {kmod}/Kbuild
$(info $(ccflags-y))
all: ;
"""


@pytest.mark.parametrize(
    "chosen",
    [
        ["CONFIG_NATFLOW_PATH"],
        ["CONFIG_NATFLOW_PATH", "CONFIG_HWNAT_EXTDEV_DISABLED"],
        ["CONFIG_HWNAT_EXTDEV_USE_VLAN_HASH"],
    ],
)
def test_build_options_reach_the_compiler(tmp_path: Path, chosen: list[str]) -> None:
    make = [shutil.which("gmake") or "make", "--no-print-dir", "-r", "-s"]
    for name in ("rules.mk", "kernel.mk", "package.mk", "feeds/packages/lang/python/"):
        path = tmp_path / name / ("python3-package.mk" if name.endswith("/") else "")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "build.mk").write_text(BUILD)
    told = subprocess.run(
        [
            *make,
            f"-f{tmp_path}/build.mk",
            "-C",
            str(PACKAGE),
            f"TOPDIR={tmp_path}",
            f"INCLUDE_DIR={tmp_path}",
            "CONFIG_PACKAGE_kmod-natflow=m",
            *(f"{option}=y" for option in chosen),
            "show",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr == ""
    variables = [word for word in told.stdout.splitlines() if word.startswith("CONFIG_")]
    assert {word.removesuffix("=y") for word in variables if word.endswith("=y")} == set(chosen)
    (tmp_path / "flags.mk").write_text(FLAGS.format(kmod=TOP / "src" / "kmod"))
    flags = subprocess.run(
        [*make, f"-f{tmp_path}/flags.mk", *variables, "all"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert set(re.findall(r"-D(CONFIG_\w+)", flags)) == set(chosen)


def test_removing_the_package_takes_wed_back() -> None:
    recipe = "\n".join(definition("Package/natflow/prerm"))
    assert recipe.startswith("#!/bin/sh\n")
    for path in (wed.OPTION, os.path.dirname(wed.STATE)):
        assert f" /{path}" in recipe
    assert '[ -n "$${IPKG_INSTROOT}" ]' in recipe, "not while an image is built"
    assert '[ "$${PKG_UPGRADE}" = 1 ]' in recipe, "nor for a newer version"


def test_kernel_options_are_yes_only() -> None:
    """A bare or =m item makes kernel.mk pack an empty package where the option is not set."""
    options = field("KernelPackage/natflow", "KCONFIG").split()
    assert "CONFIG_NETFILTER_INGRESS=y" in options
    assert all(option.endswith("=y") for option in options)


def test_dependencies_are_what_the_python_side_imports() -> None:
    depends = field("Package/natflow", "DEPENDS").split()
    assert "+kmod-natflow" in depends
    assert "+python3-light" in depends
    names = imported() - BY_NEED
    for package, modules in SPLIT.items():
        if names & modules:
            assert f"+{package}" in depends, f"{names & modules} is imported"
    for name, package in LIBRARIES.items():
        assert (name in names) == (f"+{package}" in depends), name


def test_feeds_conf() -> None:
    lines = (TOP / "feeds.conf").read_text(encoding="utf-8").splitlines()
    feeds = [line.split() for line in lines if line and not line.startswith("#")]
    assert all(len(feed) == 3 and feed[0].startswith("src-") for feed in feeds)
    names = [feed[1] for feed in feeds]
    assert len(set(names)) == len(names)
    assert {"packages", "natflow"} <= set(names)
    own = next(feed for feed in feeds if feed[1] == "natflow")
    # openwrt/feeds/natflow -> ../../natflow is "natflow" beside "openwrt".
    assert own == ["src-link", "natflow", "../../natflow"]


@pytest.mark.skipif(not TREE, reason="OPENWRT_TREE is not set: no OpenWrt build tree to ask")
def test_metadata_in_an_openwrt_tree() -> None:
    make = shutil.which("gmake") or "make"
    dump = subprocess.run(
        [
            make,
            "--no-print-dir",
            "-r",
            "DUMP=1",
            "FEED=natflow",
            "-C",
            str(PACKAGE),
            f"TOPDIR={TREE}",
            f"INCLUDE_DIR={TREE}/include",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert dump.stderr == ""
    packages = {}
    for stanza in dump.stdout.split("@@\n"):
        fields = dict(re.findall(r"^([A-Z][\w-]*): *(.*)$", stanza, re.MULTILINE))
        if "Package" in fields:
            packages[fields["Package"]] = fields
    variants = {f"kmod-{name}": target for name, target in VARIANTS.items()}
    assert set(packages) == {"kmod-natflow", "natflow", "natflow-src", *variants}
    module, daemon = packages["kmod-natflow"], packages["natflow"]
    assert module["Kernel-Config"] == field("KernelPackage/natflow", "KCONFIG")
    assert module["Version"].endswith(f".{__version__}-r1")
    assert {"+kmod-nf-conntrack", "+kmod-nft-netdev"} <= set(module["Depends"].split())
    assert {"+kmod-natflow", "+python3-light"} <= set(daemon["Depends"].split())
    assert daemon["License"] == "GPL-2.0-only"
    for name, target in variants.items():
        assert packages[name]["Depends"].split() == [target, "+kmod-natflow"]
        assert "kmod-natflow-hwnat" in packages[name]["Provides"].split()
    assert packages["kmod-natflow-mt7986"]["Conflicts"] == "kmod-natflow-mt7981"
    assert f'source "{PACKAGE}/Config.in"' in dump.stdout


#: Prints the script that installs a kernel package, as kernel.mk makes it.
SHOW = """\
include Makefile
$(foreach name,{names},$(info @@ $(name) $(value Package/kmod-$(name)/install)))
"""


@pytest.mark.skipif(not TREE, reason="OPENWRT_TREE is not set: no OpenWrt build tree to ask")
def test_each_variant_loads_the_module_for_its_chip(tmp_path: Path) -> None:
    names = ["natflow", *VARIANTS]
    (tmp_path / "show.mk").write_text(SHOW.format(names=" ".join(names)))
    shown = subprocess.run(
        [
            shutil.which("gmake") or "make",
            "--no-print-dir",
            "-r",
            "DUMP=1",
            f"-f{tmp_path}/show.mk",
            "-C",
            str(PACKAGE),
            f"TOPDIR={TREE}",
            f"INCLUDE_DIR={TREE}/include",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    lines = re.findall(r'echo "([^"]+)"; \) > \S+/etc/modules.d/(\S+);', shown)
    assert lines == [("natflow", "natflow")] + [
        (f"natflow_hwnat variant={name.removeprefix('natflow-')}", name) for name in VARIANTS
    ]
