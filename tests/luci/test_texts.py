# SPDX-License-Identifier: GPL-2.0-only
"""Template and translations; what LuCI's build does to the scripts."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import jsmin
import pytest
from luci_host.pages import catalogue
from luci_host.server import PACKAGE
from unit.daemon.processes import SECONDS

from natflow import host
from natflow.service import obstacles

REPO = PACKAGE.parents[1]
SCRIPTS = sorted(PACKAGE.glob("htdocs/**/*.js"))
TEMPLATE = PACKAGE / "po/templates/natflow.pot"
DIRECTIVE = re.compile(r"%(?:\d*\.?\d*)?[a-zA-Z%]")
NAME = re.compile(r"\{\w+\}")
# LuCI's minifier takes a slash for the beginning of a regular expression after these, else for a
# division: it would break what stands after a bracket or after "return".
BEFORE_REGEX = "(,=:[!&|?{};"
STRING_OR_COMMENT = re.compile(r"'(?:[^'\\\n]|\\.)*'|/\*.*?\*/|//[^\n]*", re.DOTALL)
REGEX = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")


def misleading_slashes(source: str) -> list[str]:
    """What follows each slash that is neither a regular expression as above nor "a / b"."""
    wrong, at, before = [], 0, ";"
    while at < len(source):
        if source[at] in "'/" and (found := STRING_OR_COMMENT.match(source, at)):
            before = before if found.group()[0] == "/" else "'"
            at = found.end()
        elif source[at] == "/":
            found = REGEX.match(source, at) if before in BEFORE_REGEX else None
            if found is None and source[at + 1] != " ":
                wrong.append(source[at : at + 40])
            at = found.end() if found else at + 1
            before = "/"
        else:
            before = before if source[at].isspace() else source[at]
            at += 1
    return wrong


def test_the_template_is_fresh() -> None:
    run = subprocess.run(
        [sys.executable, str(REPO / "scripts/genpot"), "--check"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("language", ["zh_Hans"])
def test_a_translation_is_complete(language: str) -> None:
    wanted = {
        ast.literal_eval(text)
        for text in re.findall(r'^msgid (".+")$', TEMPLATE.read_text(encoding="utf-8"), re.M)
    } - {""}
    texts = catalogue(PACKAGE / "po" / language / "natflow.po")
    assert wanted - texts.keys() == set()
    assert texts.keys() - wanted == set()
    for text, translation in texts.items():
        assert DIRECTIVE.findall(text) == DIRECTIVE.findall(translation), text
        assert set(NAME.findall(text)) == set(NAME.findall(translation)), text


def test_the_conflicts_are_those_of_the_daemon() -> None:
    """The page has its sentences anew, to fill in names after the translation."""
    (script,) = (file for file in SCRIPTS if file.name == "conflict.js")
    source = script.read_text(encoding="utf-8")
    texts = [ast.literal_eval(text) for text in re.findall(r"\b_\(('(?:[^'\\]|\\.)*')\)", source)]
    told = {*host.TEXTS, *obstacles.TEXTS} - set(host.ACCELERATORS.values())
    assert set(texts) == told


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_regular_expressions_survive_the_minifier(file: Path) -> None:
    assert misleading_slashes(file.read_text(encoding="utf-8")) == []


def test_the_check_of_slashes_finds_what_it_is_for() -> None:
    assert misleading_slashes("x = a / b; y = /a'b/.test(c); // d/e\nz('/f')") == []
    assert misleading_slashes("if (a) /re/.exec(b);") == ["/re/.exec(b);", "/.exec(b);"]
    assert misleading_slashes("return /a  b/;")[0] == "/a  b/;"


def minified_wrong(sources: list[str]) -> list[str]:
    """What the minifier does to each source: "" where the program stays the same."""
    eslint = REPO / ".cache/eslint"
    run = subprocess.run(
        [eslint / "node", Path(__file__).with_name("same_program.mjs"), eslint / "package.json"],
        input=json.dumps([(source, jsmin.jsmin(source)) for source in sources]),
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    verdicts: list[str] = json.loads(run.stdout)
    return verdicts


def test_a_minified_script_is_the_same_program() -> None:
    wrong = minified_wrong([file.read_text(encoding="utf-8") for file in SCRIPTS])
    assert dict(zip([file.name for file in SCRIPTS], wrong, strict=True)) == {
        file.name: "" for file in SCRIPTS
    }


def test_the_check_of_the_minifier_finds_what_it_is_for() -> None:
    harmless, lost = "let a = 1 /* one */ + +2;", "let a = b\n++c"
    broken = "function f(a) { if (a) /x  \\/\\/ y/.exec(a); }"
    assert minified_wrong([harmless])[0] == ""
    assert all(minified_wrong([broken])), jsmin.jsmin(broken)
    assert minified_wrong([lost]) == [""], "a line end that ends a statement stays"


def test_menu_and_access_lists_are_json_of_the_expected_form() -> None:
    for file in PACKAGE.glob("root/usr/share/**/*.json"):
        data = json.loads(file.read_text(encoding="utf-8"))
        assert all(isinstance(node, dict) for node in data.values())
    (acl,) = PACKAGE.glob("root/usr/share/rpcd/acl.d/*.json")
    group = json.loads(acl.read_text(encoding="utf-8"))["luci-app-natflow"]
    changing = {"flush", "set"}
    assert changing & set(group["read"]["ubus"]["luci.natflow"]) == set()
    assert changing <= set(group["write"]["ubus"]["luci.natflow"])


def test_no_markup_from_data() -> None:
    """LuCI's E() takes a lone string for HTML; only show.el() may call it."""
    for file in SCRIPTS:
        text = file.read_text(encoding="utf-8")
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text
        assert len(re.findall(r"\bE\(", text)) == (2 if file.name == "show.js" else 0), file
