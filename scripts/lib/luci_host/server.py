# SPDX-License-Identifier: GPL-2.0-only
"""The web server of the LuCI host."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from luci_host import pages
from luci_host.access import Access, Login, Session
from luci_host.rpc import Rpc
from luci_host.staged import Refused, Staged

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[2] / "package/luci-app-natflow"
BODY_MAX = 64 * 1024  # bytes, as uhttpd
COOKIE = "sysauth_http"
TYPES = {".js": "application/javascript", ".css": "text/css", ".json": "application/json"}
TYPES |= {".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif"}

#: Logins of a host that is for looking at things. They are no secret.
LOGINS = {
    "root": Login("natflow"),
    "guest": Login("natflow", ("luci-base", "luci-app-natflow"), ()),
    "nobody": Login("natflow", ("luci-base",), ()),
}


class Host:
    """A LuCI host on loopback.

    socket: the bus that natflowd is on; config_dir: its UCI packages; applied: told the packages
    that were applied; start: told service and action of ``rc init``; luci_tree: a checkout of LuCI
    whose browser part and theme take the place of ours.
    """

    def __init__(
        self,
        socket: str,
        config_dir: Path,
        applied: Callable[[list[str]], None] = lambda packages: None,
        start: Callable[[str, str], None] = lambda service, action: None,
        logins: Mapping[str, Login] = LOGINS,
        luci_tree: Path | None = None,
        port: int = 0,
        package: Path = PACKAGE,
    ) -> None:
        self.access = Access(sorted(package.glob("root/usr/share/rpcd/acl.d/*.json")), logins)
        self.staged = Staged(config_dir, applied)
        self.rpc = Rpc(self.access, self.staged, socket, start)
        self.nodes = pages.menu_nodes(sorted(package.glob("root/usr/share/luci/menu.d/*.json")))
        self.translations = package / "po"
        self.rollback_token = ""
        self.roots = [package / "htdocs"]
        if luci_tree is not None:
            self.roots += [
                luci_tree / "modules/luci-base/htdocs",
                luci_tree / "themes/luci-theme-bootstrap/htdocs",
            ]
        else:
            self.roots.append(HERE / "runtime")
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.host = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    host: Host

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def host(self) -> Host:
        return cast(_Server, self.server).host

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the browser's developer tools show every request."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            self._redirect(f"{pages.ROOT}/admin/network/natflow/status")
        elif url.path.startswith("/luci-static/"):
            self._static(url.path)
        elif url.path.startswith(pages.ROOT):
            self._luci(url.path.removeprefix(pages.ROOT).strip("/"), parse_qs(url.query))
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            self.close_connection = True
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain", b"too large")
            return
        body = self.rfile.read(length)
        url = urlsplit(self.path)
        if url.path.startswith("/ubus"):
            try:
                message = json.loads(body)
            except ValueError:
                message = None
            self._json(self.host.rpc.answer(message))
        elif url.path.startswith(f"{pages.ROOT}/admin/uci/"):
            self._uci(url.path.rpartition("/")[2], parse_qs(url.query or body.decode()))
        else:
            self._login(url.path, parse_qs(body.decode()))

    def _luci(self, path: str, query: dict[str, list[str]]) -> None:
        language, dark = self._language(), self._dark()
        if path.startswith("admin/translations/"):
            self._translations(path.rpartition("/")[2])
            return
        session = self._session()
        if session is None:
            text = pages.login_page(False, language, dark)
            self._send(HTTPStatus.FORBIDDEN, "text/html", text.encode())
            return
        if path == "admin/menu":
            self._json(pages.menu(self.host.nodes, session))
            return
        node = self.host.nodes.get(path)
        may = node and pages.permitted(node, session)
        if node is None or may is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"no such page, or no access to it")
        elif node["action"]["type"] != "view":
            below = [name for name in self.host.nodes if name.startswith(f"{path}/")]
            first = min(below, key=lambda name: self.host.nodes[name].get("order", 0))
            self._redirect(f"{pages.ROOT}/{first}")
        else:
            text = pages.view_page(path, node, may, session, language, dark)
            self._send(HTTPStatus.OK, "text/html", text.encode())

    def _translations(self, language: str) -> None:
        file = self.host.translations / language.replace("zh-cn", "zh_Hans") / "natflow.po"
        texts = pages.catalogue(file) if language.isprintable() and file.is_file() else {}
        script = f"window.TR = {json.dumps(texts)};"
        self._send(HTTPStatus.OK, "application/javascript", script.encode())

    def _login(self, path: str, fields: dict[str, list[str]]) -> None:
        user, password = (fields.get(name, [""])[0] for name in ("luci_username", "luci_password"))
        session = self.host.access.login(user, password)
        if session is None:
            text = pages.login_page(True, self._language(), self._dark())
            self._send(HTTPStatus.FORBIDDEN, "text/html", text.encode())
            return
        cookie = f"{COOKIE}={session.sid}; path=/; HttpOnly; SameSite=Strict"
        self._redirect(path, {"Set-Cookie": cookie})

    def _uci(self, action: str, fields: dict[str, list[str]]) -> None:
        """LuCI's own dialog of changes applies over these instead of over ubus."""
        host = self.host
        session = self._session()
        try:
            if action == "confirm":
                if fields.get("token", [""])[0] != host.rollback_token:
                    raise Refused(6)
                host.staged.confirm()
                self._send(HTTPStatus.OK, "text/plain", b"OK")
                return
            if session is None or fields.get("token", [""])[0] != session.sid:
                self._send(
                    HTTPStatus.FORBIDDEN, "text/plain", b"login", {"X-LuCI-Login-Required": "yes"}
                )
                return
            if action == "revert":
                host.staged.revert(session.sid)
                self._send(HTTPStatus.OK, "text/plain", b"OK")
                return
            checked = action == "apply_rollback"
            if not session.may("ubus", "uci", "apply"):
                raise Refused(6)
            host.staged.apply(session.sid, 90.0 if checked else None)
            host.rollback_token = secrets.token_hex(16)
            if checked:
                self._json({"token": host.rollback_token})
            else:
                self._send(HTTPStatus.NO_CONTENT, "text/plain", b"")
        except Refused as refused:
            status = HTTPStatus.NO_CONTENT if refused.status == 5 else HTTPStatus.FORBIDDEN
            self._send(status, "text/plain", b"")

    def _static(self, path: str) -> None:
        relative = path.lstrip("/")
        for root in self.host.roots:
            file = (root / relative).resolve()
            if file.is_relative_to(root.resolve()) and file.is_file():
                kind = TYPES.get(file.suffix, "application/octet-stream")
                self._send(HTTPStatus.OK, kind, file.read_bytes())
                return
        self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found")

    def _session(self) -> Session | None:
        sid = self._cookie(COOKIE)
        return self.host.access.session(sid) if sid and set(sid) != {"0"} else None

    def _cookie(self, name: str) -> str:
        cookie = SimpleCookie(self.headers.get("Cookie", ""))
        return cookie[name].value if name in cookie else ""

    def _language(self) -> str:
        """zh-cn where the browser prefers Chinese, else English."""
        return "zh-cn" if self.headers.get("Accept-Language", "").startswith("zh") else "en"

    def _dark(self) -> bool | None:
        return {"dark": True, "light": False}.get(self._cookie("theme"))

    def _redirect(self, to: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(HTTPStatus.FOUND, "text/plain", b"", {"Location": to, **(headers or {})})

    def _json(self, value: object) -> None:
        self._send(HTTPStatus.OK, "application/json", json.dumps(value).encode())

    def _send(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=UTF-8")
        self.send_header("Cache-Control", "no-store")
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if status != HTTPStatus.NO_CONTENT:
            self.wfile.write(body)
