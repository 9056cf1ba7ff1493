# SPDX-License-Identifier: GPL-2.0-only
"""What else runs on this router: other accelerators, and the names of its clients. Read only.

A flow can belong to one fast path alone. Whoever else accelerates is reported with a hint; the
firewall's configuration and modules of others are never changed from here.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import time

from natflow.uci import UciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from natflow.uci import Uci

    Conflict = dict[str, Any]

LEASES = "/tmp/dhcp.leases"
MODULES = "/sys/module"
CONTROL = "/dev/natflow_ctl"  # of the older module of the same name

NFT: tuple[str, ...] = ("nft", "-j", "list", "flowtables")
NFT_SECONDS = 2.0
OUTPUT_MAX = 1 << 20  # bytes
LEASES_MAX = 1 << 20  # bytes
NAME_MAX = 63  # characters

#: Modules of other accelerators, as /sys/module names them.
ACCELERATORS = {
    "shortcut_fe": "Shortcut Forwarding Engine",
    "fast_classifier": "Shortcut Forwarding Engine",
    "mtkhnat": "MediaTek's vendor HNAT",
    "ecm": "Qualcomm's NSS connection manager",
}

FIREWALL_TEXT = "The firewall's own flow offloading is switched on."
FIREWALL_HINT = (
    "Connections it takes stay out of natflow. Switch it off: uci set "
    "firewall.@defaults[0].flow_offloading=0; uci commit firewall; service firewall reload"
)
FLOWTABLE_TEXT = "The nftables flowtable {flowtable} takes flows of {devices}."
FLOWTABLE_HINT = "Connections it takes stay out of natflow. Remove the flowtable from the ruleset."
NO_DEVICE = "no device"
MODULE_TEXT = "{accelerator} is loaded (kernel module {module})."
MODULE_HINT = "Use one accelerator: remove the package that loads {module}."
OTHER_TEXT = "Another module named natflow is loaded, too ({path} is there)."
OTHER_HINT = "natflow drives its own. Remove the other one's package, then reboot."

#: For the translators.
TEXTS = (
    *(FIREWALL_TEXT, FIREWALL_HINT, FLOWTABLE_TEXT, FLOWTABLE_HINT, NO_DEVICE),
    *(MODULE_TEXT, MODULE_HINT, OTHER_TEXT, OTHER_HINT, *ACCELERATORS.values()),
)


def conflict(code: str, text: str, hint: str, **data: str | int | list[str]) -> Conflict:
    """One of them: its sentences with the data in their places, and the data by itself, for those
    who have the sentences in another language.
    """
    words = {
        name: (", ".join(value) or NO_DEVICE) if isinstance(value, list) else value
        for name, value in data.items()
    }
    return {
        "code": code,
        "text": text.format(**words),
        "hint": hint.format(**words),
        "data": data,
    }


def conflicts(uci: Uci, foreign: bool = False) -> list[Conflict]:
    """Who else accelerates, each as conflict() makes them; empty when nobody does.

    ``foreign``: the module behind the control device is the one that natflow drives.
    """
    found = []
    if _firewall_offloads(uci):
        found.append(conflict("firewall-flow-offloading", FIREWALL_TEXT, FIREWALL_HINT))
    else:
        found += [_flowtable(table) for table in flowtables()]
    for module, name in ACCELERATORS.items():
        if os.path.isdir(os.path.join(MODULES, module)):
            code = "module-" + module.replace("_", "-")
            found.append(conflict(code, MODULE_TEXT, MODULE_HINT, accelerator=name, module=module))
    if not foreign and control_device():
        found.append(conflict("other-natflow", OTHER_TEXT, OTHER_HINT, path=CONTROL))
    return found


def control_device() -> bool:
    """Whether the older module's device is there. ``echo`` leaves a plain file where it is not."""
    try:
        return stat.S_ISCHR(os.stat(CONTROL).st_mode)
    except OSError:
        return False


def _firewall_offloads(uci: Uci) -> bool:
    """Whether firewall.@defaults[0].flow_offloading is on. No firewall package is none."""
    try:
        sections = uci.load("firewall")
    except UciError:
        return False
    for section in sections:
        if section.type == "defaults":
            return section.options.get("flow_offloading") in ("1", "on", "true", "yes", "enabled")
    return False


def _flowtable(table: dict[str, object]) -> Conflict:
    name = printable(f"{table.get('family')} {table.get('table')} {table.get('name')}")
    devices = table.get("dev", [])
    listed = [
        printable(str(each)) for each in (devices if isinstance(devices, list) else [devices])
    ]
    return conflict("nft-flowtable", FLOWTABLE_TEXT, FLOWTABLE_HINT, flowtable=name, devices=listed)


def flowtables() -> list[dict[str, object]]:
    """All nftables flowtables of this network namespace, as ``nft -j`` describes them.

    Empty where nft is missing, refuses or takes too long: this is for information only.
    """
    import json  # a router without nft does not pay for it

    try:
        ruleset = json.loads(output(NFT, NFT_SECONDS))["nftables"]
        return [entry["flowtable"] for entry in ruleset if "flowtable" in entry]
    except (ValueError, KeyError, TypeError):
        return []


def output(command: tuple[str, ...], seconds: float) -> bytes:
    """What a program prints, b"" when it is missing, fails, or is not done in time.

    The module subprocess would cost the daemon more memory than all of its own code.
    """
    try:
        reader, writer = os.pipe()
    except OSError:
        return b""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        try:
            actions = [
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, writer, 1),
                (os.POSIX_SPAWN_DUP2, null, 2),
            ]
            child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
        except OSError:
            return b""
        finally:
            os.close(null)
            os.close(writer)
        data = _read(reader, time.monotonic() + seconds)
    finally:
        os.close(reader)
    if data is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return data if data is not None and status == 0 else b""


def _read(reader: int, until: float) -> bytes | None:
    """All there is up to the end of file; None when it does not come in time or is too much."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    data = bytearray()
    while len(data) <= OUTPUT_MAX:
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        part = os.read(reader, 65536)
        if not part:
            return bytes(data)
        data += part
    return None


def names() -> dict[str, str]:
    """Host names by MAC and by IP address, from dnsmasq's leases; empty where there are none.

    The names come from the clients and may be hostile: they are cut and made printable.
    """
    try:
        with open(LEASES, "rb") as stream:
            text = stream.read(LEASES_MAX).decode(errors="replace")
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[3] == "*":
            continue
        name = printable(fields[3])[:NAME_MAX]
        found[fields[1].lower()] = name
        found[fields[2].lower()] = name
    return found


def printable(text: str) -> str:
    """The text without control characters, which could drive the reader's terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
