# SPDX-License-Identifier: GPL-2.0-only
"""The simulated MediaTek SoC of tests/kmod/ppesim: a PPE between the wires of its ports and the
host's stack. Its commands and files are described in tests/kmod/ppesim/control.c.

    soc = Soc(router, "mt7986")
    soc.gmac("lan", wire=client)      # the other end of the cable is "lan" in the client
    soc.gmac("wan", wire=server)
    ...
    soc.remove()

Ports are made in the router's namespace, which is to the simulator what init_net is to the real
driver. Every method that gives a command raises OSError with the errno the kernel gave.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netns import Netns, run

ROOT = Path("/sys/kernel/debug/ppesim")
PROFILES = ("mt7621", "mt7622", "mt7981", "mt7986")

_numbers = itertools.count(1)


def load() -> None:
    """insmod natflow_ppesim.ko from where scripts/kmod built it, unless it is loaded."""
    if not Path("/sys/module/natflow_ppesim").exists():
        run("insmod", str(Path(os.environ["NATFLOW_KMOD"], "natflow_ppesim.ko")))


def unload() -> None:
    """rmmod; all SoCs and their ports go."""
    run("rmmod", "natflow_ppesim")


def _pairs(text: str) -> dict[str, str]:
    return dict(item.split("=", 1) for item in text.split())


def _number(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value


@dataclass(frozen=True)
class Port:
    """A port, its counters since it was made or since zero(): frames and bytes, bytes with their
    MAC header. hw_* bypassed the host, cpu_* are the host's; what a switch port counts, its
    conduit counts too."""

    name: str
    kind: str
    index: int
    ifindex: int
    ppe: int
    wed: int
    bound: int
    link: int
    wire_rx: int
    hw_rx: int
    hw_rx_bytes: int
    cpu_rx: int
    cpu_rx_bytes: int
    cpu_tx: int
    cpu_tx_bytes: int
    hw_tx: int
    hw_tx_bytes: int
    rx_dropped: int
    tx_lost: int


@dataclass(frozen=True)
class Flow:
    """A flow that a caller has installed. `bound`: it is in the hardware now; `binds`: how often
    it has come there. `fields`: tuple, translation, MACs, tags and egress, as text."""

    cookie: str
    via: str
    ppe: int
    bound: bool
    binds: int
    wed: int
    fields: Mapping[str, str]

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination port of the packets that it is for."""
        return int(self.fields["sport"]), int(self.fields["dport"])


@dataclass(frozen=True)
class Entry:
    """An entry of the hardware's table that is in use. `state`: unbind, bind or fin; `idle` in
    simulated seconds; `packets` and `bytes`: what nobody has read from the counter yet."""

    ppe: int
    index: int
    state: str
    idle: int
    packets: int
    bytes: int
    fields: Mapping[str, str]


class Soc:
    """One SoC. `entries`: size of each PPE's table, a power of 2 from 128."""

    def __init__(self, router: Netns, profile: str, *, entries: int = 16384) -> None:
        load()
        self.router = router
        self.name = f"soc{next(_numbers)}"
        self.profile = profile
        with router.entered():
            self._write(ROOT / "control", f"new {self.name} {profile} {entries}")

    @staticmethod
    def _write(path: Path, line: str) -> None:
        # One write, whatever the line: each is a command.
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, line.encode())
        except OSError as error:
            raise OSError(error.errno, f"{line}: {error.strerror}") from None
        finally:
            os.close(fd)

    def command(self, line: str) -> None:
        """A line for the SoC's control file."""
        with self.router.entered():
            self._write(ROOT / self.name / "control", line)

    def remove(self) -> None:
        """Its ports and wires go, wherever they are. Twice does no harm."""
        try:
            self._write(ROOT / "control", f"del {self.name}")
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    # Ports

    def _port(self, line: str, wire: Netns | None, wire_name: str) -> None:
        if wire is None:
            self.command(line)
            return
        self.command(f"{line} wire=ppesimwire")
        self.router.ip(f"link set ppesimwire netns {wire.name} name {wire_name}")

    def gmac(self, name: str, *, index: int = 0, wire: Netns | None, wire_name: str = "") -> None:
        """A MAC of the SoC; without a wire it is a conduit only. The wire's other end appears in
        the namespace `wire` under the same name, or `wire_name`."""
        self._port(f"port {name} gmac index={index}", wire, wire_name or name)

    def dsa(
        self,
        name: str,
        *,
        index: int,
        conduit: int = 0,
        mediatek_tag: bool = True,
        wire: Netns,
        wire_name: str = "",
    ) -> None:
        """User port `index` of a switch behind GMAC number `conduit`."""
        tag = "" if mediatek_tag else " tag=other"
        line = f"port {name} dsa index={index} conduit={conduit}{tag}"
        self._port(line, wire, wire_name or name)

    def wlan(
        self,
        name: str,
        *,
        index: int = 0,
        wed: int | None = None,
        path: str = "",
        wcid: int = 1,
        wire: Netns,
        wire_name: str = "",
    ) -> None:
        """A wireless interface whose only station is the wire's other end. `wed`: number of its
        WED. Without: `path` is "error" (its driver is asked for a path and has none, as mt76 has
        it) or "none" (it is not asked)."""
        way = f" wed={wed}" if wed is not None else f" path={path or 'error'}"
        line = f"port {name} wlan index={index} wcid={wcid}{way}"
        self._port(line, wire, wire_name or name)

    def link(self, port: str, up: bool) -> None:
        """Plug or unplug a port's cable."""
        self.command(f"link {port} {'up' if up else 'down'}")

    # Faults and time

    def set(self, **knobs: int) -> None:
        """Knobs by name: see enum ppesim_knob in tests/kmod/ppesim/ppesim.h."""
        for name, value in knobs.items():
            self.command(f"set {name} {value}")

    def fail(self, command: str, count: int, error: int, percent: int = 0) -> None:
        """The next `count` commands of this kind (bind, unbind, replace, destroy, stats), and
        `percent` of all others, fail with `error`."""
        self.command(f"fail {command} {count} {error} {percent}")

    def stall(self, command: str, ms: int) -> None:
        """Every command of this kind takes so long from now on, or until 0 is set; nothing else
        runs meanwhile."""
        # Its namespace may be on its way out.
        self._write(ROOT / self.name / "control", f"stall {command} {ms}")

    def running(self) -> str:
        """The command that is in progress, or "none". Does not wait for it, as counters() and
        flows() do."""
        return str(self.info()["running"])

    def seed(self, number: int) -> None:
        """Percentages of fail() are drawn anew, the same for the same number."""
        self.command(f"seed {number}")

    def advance(self, seconds: int) -> None:
        """Simulated time passes: what ages in the hardware ages."""
        self.command(f"advance {seconds}")

    def scale(self, factor: int) -> None:
        """From now on a second lasts `factor` simulated seconds. The rate that a flow needs to be
        bound stays one of real seconds."""
        self.command(f"scale {factor}")

    def reset(self) -> None:
        """The hardware forgets all entries, silently."""
        self.command("reset")

    def fill(self, percent: int) -> None:
        """So much of the table is taken by others; 0 empties it."""
        self.command(f"fill {percent}")

    def zero(self) -> None:
        """All counters and detectors start again."""
        self.command("zero")

    # What it says

    def _read(self, name: str) -> str:
        return (ROOT / self.name / name).read_text()

    def info(self) -> dict[str, int | str]:
        """Profile, size, simulated time in seconds ("now"), knobs."""
        return {name: _number(value) for name, value in _pairs(self._read("info")).items()}

    def counters(self) -> dict[str, int]:
        """Packets by what became of them ("bypass", "un_hit", ...), commands ("cmd_replace",
        "cmd_replace_failed", ...), the most installs in any one second ("cmd_replace_most"), flows
        by WED ("wed0_flows")."""
        return {name: int(value) for name, value in _pairs(self._read("counters")).items()}

    def detectors(self) -> dict[str, int]:
        """Mistakes of callers, those that occurred: see enum ppesim_detector. A good caller leaves
        this empty."""
        counts = {name: int(value) for name, value in _pairs(self._read("detectors")).items()}
        return {name: count for name, count in counts.items() if count}

    def ports(self) -> dict[str, Port]:
        """The ports by name."""
        found = {}
        for line in self._read("ports").splitlines():
            pairs = _pairs(line)
            name, kind = pairs.pop("name"), pairs.pop("kind")
            numbers = {key: int(value) for key, value in pairs.items()}
            found[name] = Port(name=name, kind=kind, **numbers)
        return found

    def port(self, name: str) -> Port:
        """One port; KeyError if there is none of this name."""
        return self.ports()[name]

    def flows(self) -> list[Flow]:
        """What is installed."""
        found = []
        for line in self._read("flows").splitlines():
            pairs = _pairs(line)
            found.append(
                Flow(
                    cookie=pairs.pop("cookie"),
                    via=pairs.pop("via"),
                    ppe=int(pairs.pop("ppe")),
                    bound=pairs.pop("bound") == "1",
                    binds=int(pairs.pop("binds")),
                    wed=int(pairs.pop("wed")),
                    fields=pairs,
                )
            )
        return found

    def entries(self, state: str = "bind") -> list[Entry]:
        """Entries of the hardware's tables in a state: bind, unbind or fin."""
        found = []
        for line in self._read("entries").splitlines():
            pairs = _pairs(line)
            if pairs.pop("state") != state:
                continue
            numbers = {
                name: int(pairs.pop(name)) for name in ("ppe", "index", "idle", "packets", "bytes")
            }
            found.append(Entry(**numbers, state=state, fields=pairs))
        return found
