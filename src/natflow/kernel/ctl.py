# SPDX-License-Identifier: GPL-2.0-only
"""The second kernel backend: the older module named natflow, through /dev/natflow_ctl.

It is the one that reaches the packet engine on x-wrt's own kernels. It has four settings that
natflow has, too, and tells nothing but them: what it cannot tell raises NotAvailable. It accepts
every line silently, so what is in force is what it lists afterwards.
"""

from __future__ import annotations

import errno

from natflow.kernel.ctldev import Device
from natflow.kernel.errors import KernelError, NotAvailable, NotTaken
from natflow.kernel.records import Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from natflow.kernel.commits import CommitSocket
    from natflow.kernel.ctldev import Session
    from natflow.kernel.events import EventSocket
    from natflow.kernel.exceptions import Exemption
    from natflow.kernel.filters import Filter, FlowTuple
    from natflow.kernel.records import Client, Explanation, Flow, Hardware, Stats

#: Settings that both have: the device's name for each, and whether its sense is the opposite.
COMMANDS = {
    "enabled": ("disabled", True),
    "hwnat": ("hwnat", False),
    "hwnat_wed": ("hwnat_wed_disabled", True),
    "delay_pkts": ("delay_pkts", False),
}
NUMBERS = ("delay_pkts",)  # the others are switches
REQUIRED = "disabled"  # every build of that module lists it
FORGET = "update_magic"

#: How often a line is written when another writer spoils it.
PASSES = 3

NOTE = "The module that is loaded tells no flows, hosts, reasons or counters."

#: One for each path, whoever asks: it remembers a call that hangs.
_devices: dict[str, Device] = {}

HINT = "Another program may write there, or this build of the module has a limit of its own."


class ControlDevice:
    """The module behind a control device."""

    backend = "control-device"
    tells = False
    note = NOTE

    def __init__(self, path: str, device: Device | None = None) -> None:
        self.path = path
        self.name = f"x-wrt's natflow ({path})"
        self._device = device or _devices.setdefault(path, Device(path))

    def close(self) -> None:
        """There is nothing to close between two calls."""

    def config(self) -> Config:
        """Return its settings; it has no version and no sizes to tell."""
        have = self._device.call(self._settings, shared=True)
        features = tuple(name for name in ("hwnat", "hwnat_wed") if name in have)
        return Config("", features, 0, 0, 0, have)

    def configure(self, settings: Mapping[str, int]) -> None:
        """Change settings and read them back. NotTaken names what is not in force then.

        Those that the module took stay in force.
        """
        unknown = settings.keys() - COMMANDS.keys()
        if unknown:
            raise NotAvailable(f"{self.path} has no setting {', '.join(sorted(unknown))}")

        def write(session: Session) -> dict[str, int]:
            have: dict[str, int] = {}
            for _ in range(PASSES):
                session.end_line()
                for name, value in settings.items():
                    if have.get(name) != value:
                        session.line(command(name, value))
                have = self._settings(session)
                if not different(have, settings):
                    break
            return have

        refused = not_taken(self.path, self._device.call(write), settings)
        if refused is not None:
            raise refused

    def flush(self, match: Filter | None = None) -> None:
        """Forget all flows; which ones is not for this module to choose."""
        if match is not None and match.attributes():
            raise NotAvailable(f"{self.note} It can forget all flows at once only.")

        def write(session: Session) -> None:
            session.end_line()
            session.line(FORGET)

        self._device.call(write)

    def stats(self) -> Stats:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def flows(self, match: Filter | None = None) -> Iterator[Flow]:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def clients(self) -> Iterator[Client]:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def explain(self, flow: FlowTuple) -> Explanation:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def hardware(self) -> Hardware:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def exceptions(self) -> tuple[Exemption, ...]:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def set_exceptions(self, exceptions: Iterable[Exemption]) -> None:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def reprove(self) -> None:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def commits(self) -> CommitSocket | None:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def events(self, flows: bool = False) -> EventSocket:
        """Raise NotAvailable."""
        raise NotAvailable(self.note)

    def _settings(self, session: Session) -> dict[str, int]:
        """What it lists of the common settings, in natflow's sense."""
        listed: dict[str, str] = {}
        for line in session.read():
            name, equals, value = line.partition("=")
            if equals:
                listed[name] = value
        if REQUIRED not in listed:
            raise KernelError(
                errno.EBADMSG,
                f"{self.path} does not list {REQUIRED}=: it is no control device of natflow",
            )
        have = {}
        for name, (key, inverse) in COMMANDS.items():
            if key in listed:
                text = listed[key]
                if not (text.isascii() and text.isdigit() and len(text) <= 10):
                    raise KernelError(errno.EBADMSG, f"{self.path} lists {key}={text!r}")
                number = int(text) if name in NUMBERS else int(text.strip("0") != "")
                have[name] = int(not number) if inverse else number
        return have


def command(name: str, value: int) -> str:
    """The line that sets one of the common settings."""
    key, inverse = COMMANDS[name]
    return f"{key}={int(not value) if inverse else value}"


def different(have: Mapping[str, int], wanted: Mapping[str, int]) -> list[str]:
    """Names of the wanted settings that are not in force, those that are not there included."""
    return [name for name, value in wanted.items() if have.get(name) != value]


def not_taken(path: str, have: Mapping[str, int], wanted: Mapping[str, int]) -> NotTaken | None:
    """What is not in force, in words: option, wanted value, and the value read back."""
    parts = []
    for name in different(have, wanted):
        text = f"{name}: {wanted[name]} is wanted, "
        if name in have:
            read = command(name, have[name])
            parts.append(f"{text}but the module has {have[name]} ({path} lists {read})")
        else:
            parts.append(f"{text}but {path} lists no {COMMANDS[name][0]}=")
    return NotTaken("; ".join(parts), HINT) if parts else None
