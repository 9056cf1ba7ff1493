# SPDX-License-Identifier: GPL-2.0-only
"""Logins and what each may do, from the access lists that rpcd would read (acl.d)."""

from __future__ import annotations

import fnmatch
import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ANYBODY = "0" * 32
SESSION_SECONDS = 3600.0
# What LuCI itself brings: its own access list, without which its pages say "session expired".
LUCI_BASE = {
    "unauthenticated": {
        "read": {"ubus": {"luci": ["getFeatures"], "session": ["access", "login"]}},
    },
    "luci-base": {
        "read": {
            "ubus": {"file": ["list"], "uci": ["changes", "get"]},
            "uci": ["luci", "system"],
        },
        "write": {
            "ubus": {"uci": ["add", "apply", "confirm", "delete", "order", "revert", "set"]},
        },
    },
}


@dataclass(frozen=True)
class Login:
    """An account: the access groups it may read, and those it may also write."""

    password: str
    read: tuple[str, ...] = ("*",)
    write: tuple[str, ...] = ("*",)


@dataclass
class Session:
    """Somebody who has logged in. ``grants`` holds (scope, object, function), with wildcards."""

    sid: str
    user: str
    groups: Mapping[str, str]
    grants: frozenset[tuple[str, str, str]]
    used: float = field(default_factory=time.monotonic)

    def may(self, scope: str, what: str, function: str) -> bool:
        """Whether an access list allows it."""
        return any(
            granted == scope and fnmatch.fnmatch(what, object_) and fnmatch.fnmatch(function, name)
            for granted, object_, name in self.grants
        )


class Access:
    """All sessions. Access is worked out at login, as rpcd does it. Safe for threads."""

    def __init__(self, lists: Iterable[Path], logins: Mapping[str, Login]) -> None:
        self.logins = dict(logins)
        self.groups: dict[str, dict[str, dict[str, object]]] = {**LUCI_BASE}  # type: ignore[dict-item]
        for path in lists:
            self.groups.update(json.loads(path.read_text(encoding="utf-8")))
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._anybody = Session(
            ANYBODY, "", {}, frozenset(self._grants("unauthenticated", ("read",)))
        )

    def login(self, user: str, password: str) -> Session | None:
        """A new session, None when the name or the password is wrong."""
        known = self.logins.get(user)
        if known is None or not secrets.compare_digest(known.password, password):
            return None
        grants = set(self._anybody.grants)
        held: dict[str, str] = {}
        for group in self.groups:
            writes = any(fnmatch.fnmatch(group, pattern) for pattern in known.write)
            reads = writes or any(fnmatch.fnmatch(group, pattern) for pattern in known.read)
            if reads:
                held[group] = "write" if writes else "read"
                grants.update(self._grants(group, ("read", "write") if writes else ("read",)))
        session = Session(secrets.token_hex(16), user, held, frozenset(grants))
        with self._lock:
            self._sessions[session.sid] = session
        return session

    def session(self, sid: str) -> Session | None:
        """The session of this id, None when there is none (any more)."""
        if sid == ANYBODY:
            return self._anybody
        with self._lock:
            session = self._sessions.get(sid)
            if session is None or time.monotonic() - session.used > SESSION_SECONDS:
                self._sessions.pop(sid, None)
                return None
            session.used = time.monotonic()
            return session

    def expire(self) -> None:
        """End all sessions at once."""
        with self._lock:
            self._sessions.clear()

    def _grants(self, group: str, modes: Iterable[str]) -> Iterable[tuple[str, str, str]]:
        for mode in modes:
            for scope, content in self.groups.get(group, {}).get(mode, {}).items():
                if isinstance(content, list):  # "uci": ["natflow"]: the mode is the function
                    yield from ((scope, name, mode) for name in content)
                elif isinstance(content, dict):
                    for name, functions in content.items():
                        yield from ((scope, name, function) for function in functions)
