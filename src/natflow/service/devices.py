# SPDX-License-Identifier: GPL-2.0-only
"""Names and sorts of devices by their index, for the length of one reply."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from socket import if_indextoname

from natflow.files import read

NET = "/sys/class/net"

SIOCGIFHWADDR = 0x8927
ETHERNET = 1  # ARPHRD_ETHER, which most WiFi and mobile devices also claim
#: By the word that a driver gives its devices in their uevent.
SORTS = {"wlan": "wifi", "wwan": "wwan", "ppp": "ppp"}


class Devices:
    """Looks each index up once. A device that has gone is shown by its number."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {0: ""}
        self._kinds: dict[int, str] = {0: "?"}

    def __call__(self, ifindex: int) -> str:
        """The name; "#7" when device 7 is not there any more, "" when the index is not known."""
        name = self._names.get(ifindex)
        if name is None:
            try:
                name = if_indextoname(ifindex)
            except (OSError, OverflowError):
                name = f"#{ifindex}"
            self._names[ifindex] = name
        return name

    def kind(self, ifindex: int) -> str:
        """ "port", "wifi", "wwan", "ppp", or "tunnel" for what else has no Ethernet header.

        "?" when the device is not known.
        """
        kind = self._kinds.get(ifindex)
        if kind is None:
            name = self(ifindex)
            kind = self._kinds[ifindex] = _kind(name, link_type(name))
        return kind


def link_type(name: str) -> int:
    """The ARPHRD number of a device; 0 when it is not there.

    Not from /sys, which shows another network namespace's devices to who has changed it.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            answer = fcntl.ioctl(asked, SIOCGIFHWADDR, struct.pack("40s", name.encode()))
    except OSError:
        return 0
    return int(struct.unpack_from("=16xH", answer)[0])


def _kind(device: str, link: int) -> str:
    if not link:
        return "?"
    for line in read(os.path.join(NET, device, "uevent")).splitlines():
        name, _, word = line.partition("=")
        if name == "DEVTYPE" and word in SORTS:
            return SORTS[word]
    return "port" if link == ETHERNET else "tunnel"
