# SPDX-License-Identifier: GPL-2.0-only
"""A PPPoE line as a provider has it: rp-pppoe's server in one namespace, pppd in another, with the
kernel's PPPoE at this end. At the server's it is a program (Debian's takes no notice of -k), which
drops what it cannot keep up with. Only in the virtual test router: programs' hooks are switched off
in its throw-away /etc.

The server hands out its addresses in turn, so a new session has a new address and a new number.
"""

from __future__ import annotations

import fcntl
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from netns import Netns, run

SIOCGIFADDR, SIOCGIFDSTADDR = 0x8915, 0x8917
# Where pppoe-server looks for the plugin, and where Debian has it.
PLUGINS = Path("/etc/ppp/plugins")
SETTLE_SECONDS = 30.0


def _prepare() -> None:
    """Hooks in shell would be most of the time that a connection takes here."""
    if PLUGINS.exists():
        return
    assert Path("/run/natflow-vm").is_dir(), "this is not the virtual test router"
    PLUGINS.symlink_to(next(Path("/usr/lib/pppd").iterdir()))
    for hook in ("ip-pre-up", "ip-up", "ip-down", "ipv6-up", "ipv6-down"):
        Path("/etc/ppp", hook).unlink()
    Path("/etc/ppp/options").write_text("")
    # Makes /dev/ppp, too.
    run("modprobe", "pppoe")


def address_of(ns: Netns, device: str, *, peer: bool = False) -> str:
    """The IPv4 address of a device, or the one at its other end; "" when there is none, or no
    device."""
    request = SIOCGIFDSTADDR if peer else SIOCGIFADDR
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            reply = fcntl.ioctl(sock, request, struct.pack("16s24x", device.encode()))
        except OSError:
            return ""
    return socket.inet_ntoa(reply[20:24])


def wait_for(done: Callable[[], bool], what: str) -> None:
    """Waits until that is so."""
    end = time.monotonic() + SETTLE_SECONDS
    while not done():
        assert time.monotonic() < end, f"{what}: not within {SETTLE_SECONDS:.0f} s"
        time.sleep(0.02)


class Server:
    """A provider: waits for sessions on `device`; its end of a session is the device `name`.

    Sessions are numbered from `first` on. One that listens on a port hears the frames of the
    port's VLANs, too: those must have other numbers.
    """

    def __init__(
        self, ns: Netns, device: str, name: str, local: str, pool: list[str], first: int = 1
    ) -> None:
        _prepare()
        self._files = tempfile.TemporaryDirectory(prefix="pppoe-")
        options = Path(self._files.name, "options")
        options.write_text(f"noauth\nifname {name}\n+ipv6\n")
        addresses = Path(self._files.name, "pool")
        addresses.write_text("".join(f"{address}\n" for address in pool))
        self._process = ns.popen(
            *("pppoe-server", "-F", "-k", "-I", device, "-L", local, "-o", str(first - 1)),
            *("-p", str(addresses), "-O", str(options)),
        )

    def close(self) -> None:
        """Ends the server and, through it, its sessions."""
        _end(self._process)
        self._files.cleanup()


class Session:
    """The router's side: pppd on `device`, which makes the device `name` and dials again and
    again until it is closed."""

    def __init__(self, ns: Netns, device: str, name: str) -> None:
        _prepare()
        self.ns, self.name = ns, name
        self._process = ns.popen(
            *("pppd", "plugin", "rp-pppoe.so", f"nic-{device}", "ifname", name, "nodetach"),
            *("noauth", "noipdefault", "+ipv6", "persist", "maxfail", "0", "holdoff", "0"),
            *("mtu", "1492", "mru", "1492", "lcp-echo-interval", "0"),
        )
        self.address = ""
        self._connected()

    def _connected(self) -> str:
        """Waits for a session with a new address."""
        old = self.address

        def new_one() -> bool:
            self.address = address_of(self.ns, self.name)
            return self.address not in ("", old)

        wait_for(new_one, "a PPPoE session")
        return self.address

    def hang_up(self) -> None:
        """Ends the session. pppd dials again at once."""
        self._process.send_signal(signal.SIGHUP)

    def redial(self) -> str:
        """Ends the session; the address of the next one."""
        self.hang_up()
        return self._connected()

    def close(self) -> None:
        _end(self._process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
