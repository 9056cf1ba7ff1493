# SPDX-License-Identifier: GPL-2.0-only
"""What LuCI's dispatcher answers: the menu, the page around a view, the texts of a language."""

from __future__ import annotations

import ast
import html
import json
import re
from pathlib import Path
from typing import Any

from luci_host.access import Session

ROOT = "/cgi-bin/luci"
RESOURCE = "/luci-static/resources"
MEDIA = "/luci-static/bootstrap"

Node = dict[str, Any]

# The theme follows the system's choice of light or dark, as LuCI's does.
FOLLOW_SYSTEM = """<script>
(function() {
  var query = window.matchMedia('(prefers-color-scheme: dark)');
  function follow() { document.documentElement.setAttribute('data-darkmode', query.matches); }
  query.addEventListener('change', follow);
  follow();
})();
</script>"""


def menu_nodes(files: list[Path]) -> dict[str, Node]:
    """All entries of menu.d, by path."""
    nodes: dict[str, Node] = {}
    for file in files:
        nodes.update(json.loads(file.read_text(encoding="utf-8")))
    return nodes


def permitted(node: Node, session: Session) -> dict[str, bool] | None:
    """``satisfied`` and ``readonly`` as LuCI's pages are told; None when it may not be seen."""
    groups = node.get("depends", {}).get("acl", [])
    if not all(group in session.groups for group in groups):
        return None
    readonly = any(session.groups[group] != "write" for group in groups)
    return {"satisfied": True, "readonly": readonly}


def menu(nodes: dict[str, Node], session: Session) -> Node:
    """The tree of what the session may see."""
    tree: Node = {"children": {}, "satisfied": True}
    for path in sorted(nodes):
        may = permitted(nodes[path], session)
        if may is None:
            continue
        at = tree
        for name in path.split("/"):
            empty: Node = {"satisfied": True, "children": {}}
            if name in ("admin", "network"):
                empty.update(title=name.capitalize(), action={"type": "firstchild"})
            at = at["children"].setdefault(name, empty)
        at.update({key: value for key, value in nodes[path].items() if key != "depends"}, **may)
    return tree


def view_page(
    path: str, node: Node, may: dict[str, bool], session: Session, language: str, dark: bool | None
) -> str:
    """The page that loads a view."""
    parts = path.split("/")
    environment = {
        "media": MEDIA,
        "resource": RESOURCE,
        "scriptname": ROOT,
        "pathinfo": f"/{path}",
        "documentroot": "/www",
        "requestpath": parts,
        "dispatchpath": parts,
        "pollinterval": 5,
        "ubuspath": "/ubus/",
        "sessionid": session.sid,
        "token": session.sid,
        "nodespec": {**{key: node[key] for key in node if key != "depends"}, **may},
        "apply_rollback": 30,
        "apply_holdoff": 1,
        "apply_timeout": 5,
        "apply_display": 1.0,
        "base_url": RESOURCE,
        "resource_version": "0",
    }
    written = json.dumps(environment).replace("/", "\\/")
    view = json.dumps(node["action"]["path"])
    body = f"""<header>
<a class="brand" href="/">natflow</a><ul class="nav" id="topmenu"></ul>
<div id="indicators" class="pull-right"></div></header>
<div id="maincontent" class="container"><div id="tabmenu"></div>
<script src="{RESOURCE}/luci.js"></script>
<script>L = new LuCI({written});</script>
<div id="view"><div class="spinning">…</div><script>
L.require('ui').then(function(ui) {{ ui.instantiateView({view}); }});</script></div></div>
<ul id="modemenu" style="display:none"></ul>
<script>L.require('menu-bootstrap');</script>"""
    scripts = (
        f'<script src="{ROOT}/admin/translations/{html.escape(language)}"></script>'
        f'<script src="{RESOURCE}/cbi.js"></script>'
    )
    return frame(str(node.get("title", "LuCI")), scripts + body, language, dark)


def login_page(wrong: bool, language: str, dark: bool | None) -> str:
    """The form that asks for a login."""
    note = '<p class="alert-message warning">Wrong name or password.</p>' if wrong else ""
    body = f"""<div class="container"><form method="post" class="cbi-section" id="login">
<h2>natflow</h2>{note}
<p><label>User <input class="cbi-input-text" name="luci_username" value="root"></label></p>
<p><label>Password <input class="cbi-input-text" name="luci_password" type="password"></label></p>
<p><button class="btn cbi-button-positive">Log in</button></p></form></div>"""
    return frame("Login", body, language, dark)


def frame(title: str, body: str, language: str, dark: bool | None) -> str:
    """The HTML around everything."""
    mode = "" if dark is None else f' data-darkmode="{str(dark).lower()}"'
    follow = FOLLOW_SYSTEM if dark is None else ""
    return f"""<!DOCTYPE html>
<html lang="{html.escape(language)}"{mode}><head><meta charset="utf-8">
<title>{html.escape(title)}</title>{follow}
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{MEDIA}/cascade.css">
<link rel="stylesheet" media="only screen and (max-device-width: 854px)" href="{MEDIA}/mobile.css">
</head><body>{body}</body></html>
"""


def catalogue(file: Path) -> dict[str, str]:
    """The translations of a .po file, by text, or by context, \\x01 and text."""
    texts: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
        entry: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if found := re.match(r'(msgctxt|msgid|msgstr)\s+(".*")$', line):
                key, text = found.groups()
                entry[key] = ast.literal_eval(text)
            elif line.startswith('"') and key:
                entry[key] += ast.literal_eval(line)
        if entry.get("msgid") and entry.get("msgstr"):
            context = f"{entry['msgctxt']}\x01" if "msgctxt" in entry else ""
            texts[context + entry["msgid"]] = entry["msgstr"]
    return texts
