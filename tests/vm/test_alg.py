# SPDX-License-Identifier: GPL-2.0-only
"""FTP through the kernel's helper (RFC 959, RFC 2428): the control connection stays on the normal
stack, where its addresses are rewritten; the data connections are accelerated."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address

import pytest
from lab import CLIENT6, SERVER4, SERVER6, WAN4, WAN6, Lab, Pair
from netns import Netns, run

from natflow.kernel.filters import FlowTuple

# Longer than the router's own address: the rewritten command has another length.
CLIENT = "192.168.77.102"
BLOB = os.urandom(3 << 20)
HELPER = """
table inet alg {
  ct helper ftp { type "ftp" protocol tcp; }
  chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp"; }
}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    run("modprobe", "-a", "nf_conntrack_ftp", "nf_nat_ftp")
    lab = Lab(masquerade=True, masquerade6=True, rules=HELPER)
    lab.c.ip(f"addr add {CLIENT}/24 dev lan")
    yield lab
    lab.remove()


class Ftp:
    """A client's and a server's end of one control connection."""

    def __init__(self, lab: Lab, version: int) -> None:
        self.lab = lab
        self.family = socket.AF_INET if version == 4 else socket.AF_INET6
        self.client_at = CLIENT if version == 4 else CLIENT6
        self.server_at = SERVER4 if version == 4 else SERVER6
        listener = self.listen(lab.s, self.server_at, 21)
        client = lab.c.socket(self.family, socket.SOCK_STREAM)
        client.bind((self.client_at, 0))
        client.connect((self.server_at, 21))
        server, _ = listener.accept()
        listener.close()
        for sock in (client, server):
            sock.settimeout(10)
        port = client.getsockname()[1]
        self.tuple_ = tcp_tuple(self.client_at, port, self.server_at, 21)
        self.pair = Pair(client, server, self.tuple_)
        assert self.reply("220 ready") == "220 ready"
        # Some talk, so that it would have been learned by now.
        for number in range(6):
            assert self.command(f"NOOP {number}") == f"NOOP {number}"
            assert self.reply("200 ok") == "200 ok"

    def listen(self, ns: Netns, address: str, port: int = 0) -> socket.socket:
        sock = ns.socket(self.family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen()
        sock.settimeout(10)
        return sock

    def command(self, line: str) -> str:
        """Sent by the client; as the server reads it."""
        return say(self.pair.client, self.pair.server, line)

    def reply(self, line: str) -> str:
        """Sent by the server; as the client reads it."""
        return say(self.pair.server, self.pair.client, line)

    def assert_slow(self) -> None:
        explained = self.lab.kernel.explain(self.tuple_)
        assert (explained.state, explained.reason) == ("slow", "helper")
        assert explained.flow is not None
        assert explained.flow.packets == (0, 0)
        assert explained.flow.ct_packets[0] > 6

    def close(self) -> None:
        self.pair.close()


def say(speaker: socket.socket, listener: socket.socket, line: str) -> str:
    speaker.sendall(line.encode() + b"\r\n")
    heard = b""
    while not heard.endswith(b"\r\n"):
        part = listener.recv(1000)
        assert part, "the control connection was closed"
        heard += part
    return heard.decode().removesuffix("\r\n")


def tcp_tuple(src: str, sport: int, dst: str, dport: int) -> FlowTuple:
    return FlowTuple.parse({"proto": "tcp", "src": src, "sport": sport, "dst": dst, "dport": dport})


def carry(sender: socket.socket, receiver: socket.socket) -> None:
    """A file over a data connection; both ends stay open."""
    receiver.settimeout(20)
    sender.settimeout(20)
    digest, left, sent = hashlib.sha256(), len(BLOB), 0
    while left:
        if sent < len(BLOB):
            sender.setblocking(False)
            with suppress(BlockingIOError):
                sent += sender.send(BLOB[sent : sent + (1 << 18)])
            sender.settimeout(20)
        part = receiver.recv(1 << 18)
        assert part, f"{left} bytes missing"
        digest.update(part)
        left -= len(part)
    assert digest.digest() == hashlib.sha256(BLOB).digest()


def assert_data_flow(lab: Lab, tuple_: FlowTuple, sender: int) -> None:
    """A data connection is accelerated like any other, unless the kernel gives it the helper of
    its control connection, as some 6.12 kernels do: then it stays slow for that reason."""
    ports = ("--sport", str(tuple_.sport), "--dport", str(tuple_.dport))
    version = "ipv4" if tuple_.family == socket.AF_INET else "ipv6"
    entry = lab.r.run("conntrack", "-L", "-f", version, "-p", "tcp", *ports)
    assert entry.count("src=") == 2, entry
    explained = lab.kernel.explain(tuple_)
    flow = explained.flow
    assert flow is not None
    assert flow.ct_bytes[sender] >= len(BLOB)
    if "helper=ftp" in entry:
        print("the data connection has the helper, too")
        assert (explained.state, explained.reason) == ("slow", "helper")
    else:
        assert (explained.state, explained.reason) == ("software", "none")
        assert flow.bytes[sender] > 0.8 * len(BLOB)


def test_active(lab: Lab) -> None:
    """PORT: the server connects to the address that the router has put into the command."""
    ftp = Ftp(lab, 4)
    data_listener = ftp.listen(lab.c, CLIENT)
    port = data_listener.getsockname()[1]
    told = ftp.command(f"PORT {CLIENT.replace('.', ',')},{port >> 8},{port & 255}")
    numbers = re.fullmatch(r"PORT (\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", told)
    assert numbers, told
    address = ".".join(numbers.groups()[:4])
    at = int(numbers[5]) << 8 | int(numbers[6])
    assert address == WAN4
    assert len(told) < len(f"PORT {CLIENT},{port >> 8},{port & 255}"), "the length has changed"
    assert ftp.reply("200 PORT command successful") == "200 PORT command successful"

    sender = lab.s.socket(socket.AF_INET, socket.SOCK_STREAM)
    sender.bind((SERVER4, 0))
    sender.settimeout(10)
    sender.connect((address, at))
    receiver, _ = data_listener.accept()
    carry(sender, receiver)
    assert_data_flow(lab, tcp_tuple(SERVER4, sender.getsockname()[1], address, at), 0)

    # The sequence numbers of the control connection are shifted from now on.
    for number in range(4):
        assert ftp.command(f"STAT {number}") == f"STAT {number}"
        assert ftp.reply(f"211 {number}") == f"211 {number}"
    ftp.assert_slow()
    for sock in (sender, receiver, data_listener):
        sock.close()
    ftp.close()


def test_active_ipv6(lab: Lab) -> None:
    """EPRT, with masqueraded IPv6."""
    ftp = Ftp(lab, 6)
    data_listener = ftp.listen(lab.c, CLIENT6)
    told = ftp.command(f"EPRT |2|{CLIENT6}|{data_listener.getsockname()[1]}|")
    found = re.fullmatch(r"EPRT \|2\|([0-9a-f:]+)\|(\d+)\|", told)
    assert found, told
    assert ip_address(found[1]) == ip_address(WAN6)
    sender = lab.s.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sender.bind((SERVER6, 0))
    sender.settimeout(10)
    sender.connect((WAN6, int(found[2])))
    receiver, _ = data_listener.accept()
    carry(sender, receiver)
    assert_data_flow(lab, tcp_tuple(SERVER6, sender.getsockname()[1], WAN6, int(found[2])), 0)
    assert ftp.reply("226 complete") == "226 complete"
    ftp.assert_slow()
    for sock in (sender, receiver, data_listener):
        sock.close()
    ftp.close()


def test_passive(lab: Lab) -> None:
    """PASV: the client connects to where the server says."""
    ftp = Ftp(lab, 4)
    data_listener = ftp.listen(lab.s, SERVER4)
    port = data_listener.getsockname()[1]
    where = f"{SERVER4.replace('.', ',')},{port >> 8},{port & 255}"
    assert ftp.command("PASV") == "PASV"
    assert where in ftp.reply(f"227 Entering Passive Mode ({where})")
    receiver = lab.c.socket(socket.AF_INET, socket.SOCK_STREAM)
    receiver.bind((CLIENT, 0))
    receiver.settimeout(10)
    receiver.connect((SERVER4, port))
    sender, peer = data_listener.accept()
    assert peer[0] == WAN4
    carry(sender, receiver)
    assert_data_flow(lab, tcp_tuple(CLIENT, receiver.getsockname()[1], SERVER4, port), 1)
    assert ftp.reply("226 complete") == "226 complete"
    ftp.assert_slow()
    for sock in (sender, receiver, data_listener):
        sock.close()
    ftp.close()
