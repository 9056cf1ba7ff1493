# SPDX-License-Identifier: GPL-2.0-only
"""Two tun devices with a thread between them: a point-to-point link without link-layer headers,
as a VPN program makes one. Super-packets go through whole (tun's TUNSETOFFLOAD)."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading

from netns import Netns, run

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4


def _open(ns: Netns, name: str) -> int:
    """The program's end of a new tun device in a namespace."""
    with ns.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    return fd


class TunPipe:
    """What one device sends the other one receives. The devices go when it is closed."""

    def __init__(self, one: Netns, other: Netns, name: str) -> None:
        run("modprobe", "tun")
        self._ends = _open(one, name), _open(other, name)
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        one, other = self._ends
        towards = {one: other, other: one}
        while True:
            ready, _, _ = select.select([one, other, self._wake[0]], [], [])
            if self._wake[0] in ready:
                return
            for fd in ready:
                try:
                    os.write(towards[fd], os.read(fd, 1 << 17))
                except OSError:
                    # A device that is down takes nothing, and is no reason to end.
                    continue

    def close(self) -> None:
        os.close(self._wake[1])
        self._thread.join()
        for fd in (*self._ends, self._wake[0]):
            os.close(fd)
