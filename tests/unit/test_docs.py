# SPDX-License-Identifier: GPL-2.0-only
"""The pages in docs/ know every reason code and netlink command, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / "docs"
PAGES = [REPO / "README.md", *sorted(DOCS.rglob("*.md"))]
SPEC = yaml.safe_load((REPO / "src/natflow.yaml").read_text())
REASONS = next(d for d in SPEC["definitions"] if d["name"] == "reason")["entries"]


@pytest.mark.parametrize("number,reason", [*enumerate(REASONS)], ids=[r["name"] for r in REASONS])
def test_reason_stands_in_docs(number: int, reason: dict[str, str]) -> None:
    """With its number, its sentence and its hint, in one row."""
    rows = [
        line.split(" | ")
        for line in (DOCS / "reasons.md").read_text().splitlines()
        if line.startswith(f"| {number} |")
    ]
    assert len(rows) == 1
    row = [cell.strip("| ") for cell in rows[0]]
    assert row == [str(number), f"`{reason['name']}`", reason["doc"], reason["x-hint"]]


def test_netlink_commands_stand_in_docs() -> None:
    text = (DOCS / "netlink.md").read_text()
    names = [operation["name"] for operation in SPEC["operations"]["list"]]
    assert names
    assert [name for name in names if f"### {name} (" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPO)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the repository; one to a heading names a heading of that page."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{page.name} links to {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", other.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles]
            assert heading in slugs, f"{page.name} links to {target}"


def test_every_page_is_linked() -> None:
    """From README.md or another page: a page that nothing leads to is not found."""
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if not re.match(r"[a-z]+:", target)
    }
    pages = [page for page in PAGES[1:] if page not in linked]
    assert pages == [], f"no page links to {pages}"
