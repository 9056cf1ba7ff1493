# SPDX-License-Identifier: GPL-2.0-only
"""UCI as rpcd offers it: changes are staged for each session, and applied with a rollback."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from natflow.uci import Section, UciError
from natflow.uci.parse import parse
from natflow.uci.write import render, store

ANONYMOUS = re.compile("cfg[0-9a-f]{6}")  # what rpcd calls sections without a name
INVALID, NOT_FOUND, NO_DATA, DENIED = 2, 4, 5, 6


class Refused(Exception):
    """A call is answered with this ubus status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class _Pending:
    """Files as they were before an apply that has not been confirmed."""

    sid: str
    files: dict[str, bytes]
    timer: threading.Timer


@dataclass
class Staged:
    """The configuration directory, and what each session has changed but not applied.

    ``applied`` is told the packages whose files have changed, as procd's triggers are.
    """

    directory: Path
    applied: Callable[[list[str]], None]
    _changes: dict[str, dict[str, list[list[str]]]] = field(default_factory=dict)
    _pending: _Pending | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def get(self, sid: str, package: str) -> dict[str, dict[str, object]]:
        """All sections of a package by name, staged changes included."""
        with self._lock:
            return {
                name: {
                    ".anonymous": section.anonymous,
                    ".type": section.type,
                    ".name": name,
                    ".index": index,
                    **section.options,
                }
                for index, (name, section) in enumerate(self._view(sid, package).items())
            }

    def set(self, sid: str, package: str, name: str, values: dict[str, object]) -> None:
        """Stage values of one section; a value that is already there is no change."""
        with self._lock:
            section, known = self._find(sid, package, name)
            for option, value in values.items():
                text = [str(item) for item in value] if isinstance(value, list) else str(value)
                if section.options.get(option) != text:
                    shown = ", ".join(text) if isinstance(text, list) else text
                    self._stage(sid, package, ["set", known, option, shown])

    def add(self, sid: str, package: str, kind: str, name: str, values: dict[str, object]) -> str:
        """Stage a new section; without a name it is anonymous. The name to call it by."""
        with self._lock:
            there = self._view(sid, package)
            while not name or name in there:
                name = f"cfg{secrets.token_hex(3)}"
            self._stage(sid, package, ["add", name, kind])
            self.set(sid, package, name, values)
            return name

    def delete(self, sid: str, package: str, name: str, options: list[str] | None) -> None:
        """Stage that options of a section go, or all of it."""
        with self._lock:
            section, known = self._find(sid, package, name)
            if options is None:
                self._stage(sid, package, ["remove", known])
                return
            for option in options:
                if option in section.options:
                    self._stage(sid, package, ["remove", known, option])

    def changes(self, sid: str) -> dict[str, list[list[str]]]:
        """What is staged, by package."""
        with self._lock:
            return {name: list(ops) for name, ops in self._changes.get(sid, {}).items() if ops}

    def revert(self, sid: str) -> None:
        """Forget what is staged."""
        with self._lock:
            self._changes.pop(sid, None)

    def apply(self, sid: str, rollback_seconds: float | None) -> None:
        """Write what is staged; it goes back by itself when not confirmed in time."""
        with self._lock:
            if self._pending is not None:
                raise Refused(DENIED)
            packages = sorted(self.changes(sid))
            if not packages:
                raise Refused(NO_DATA)
            before = {name: self._path(name).read_bytes() for name in packages}
            texts = {name: render(list(self._view(sid, name).values()), name) for name in packages}
            for name, text in texts.items():
                store(str(self._path(name)), text)
            self._changes.pop(sid, None)
            if rollback_seconds is not None:
                timer = threading.Timer(rollback_seconds, self._roll_back)
                timer.daemon = True
                self._pending = _Pending(sid, before, timer)
                timer.start()
        self.applied(packages)

    def confirm(self, sid: str | None = None) -> None:
        """Keep what was applied. Without a session id, whoever applied it."""
        with self._lock:
            if self._pending is None:
                raise Refused(NO_DATA)
            if sid is not None and self._pending.sid != sid:
                raise Refused(DENIED)
            self._pending.timer.cancel()
            self._pending = None

    def _roll_back(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, None
            if pending is None:
                return
            for name, data in pending.files.items():
                store(str(self._path(name)), data.decode())
        self.applied(sorted(pending.files))

    def _path(self, package: str) -> Path:
        if not package.replace("_", "").replace("-", "").isalnum():
            raise Refused(INVALID)
        return self.directory / package

    def _stage(self, sid: str, package: str, operation: list[str]) -> None:
        staged = self._changes.setdefault(sid, {}).setdefault(package, [])
        # Of several changes of one option the last one counts.
        staged[:] = [old for old in staged if old[0] == "add" or old[:3] != operation[:3]]
        staged.append(operation)

    def _find(self, sid: str, package: str, name: str) -> tuple[Section, str]:
        """A section by name, by rpcd's generated name, or as @type[index]."""
        for known, section in self._view(sid, package).items():
            if name in (section.name, known):
                return section, known
        raise Refused(NOT_FOUND)

    def _view(self, sid: str, package: str) -> dict[str, Section]:
        """The sections by the names that rpcd has for them, with what is staged."""
        path = self._path(package)
        try:
            sections = parse(path.read_bytes(), str(path))
        except (OSError, UciError):
            raise Refused(NOT_FOUND) from None
        names = {_name(section, index): section for index, section in enumerate(sections)}
        for operation in self._changes.get(sid, {}).get(package, []):
            match operation:
                case ["add", name, kind]:
                    names[name] = Section(kind, name, ANONYMOUS.fullmatch(name) is not None)
                case ["set", name, option, value]:
                    names[name].options[option] = value
                case ["remove", name]:
                    names.pop(name, None)
                case ["remove", name, option]:
                    names[name].options.pop(option, None)
        return names


def _name(section: Section, index: int) -> str:
    """What rpcd calls a section: anonymous ones have a made-up name."""
    return f"cfg{index + 1:02x}{len(section.type):04x}" if section.anonymous else section.name
