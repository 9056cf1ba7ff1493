# SPDX-License-Identifier: GPL-2.0-only
"""The few rtnetlink requests that set up a link, without a program start, so that hundreds can come
and go in a test. Layouts: rtnetlink(7), linux/if_link.h, linux/veth.h."""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv4Interface
from pathlib import Path

from netns import Netns

NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x200, 0x400
RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 20, 24
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_GATEWAY = 1, 5
IFF_UP = 1
RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST = 254, 4, 1


def _attr(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


class Rtnl:
    """Requests about one namespace; the errors are OSErrors."""

    def __init__(self, ns: Netns) -> None:
        self.sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def close(self) -> None:
        self.sock.close()

    def _request(self, kind: int, flags: int, body: bytes) -> None:
        flags |= NLM_F_REQUEST | NLM_F_ACK
        self.sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        (error,) = struct.unpack_from("=i", self.sock.recv(1 << 16), 16)
        if error:
            raise OSError(-error, os.strerror(-error))

    def add_veth(self, index: int, name: str, peer_ns: Netns, peer_index: int) -> None:
        """A pair of the same name here and in `peer_ns`, with the given ifindexes."""
        label = _attr(IFLA_IFNAME, name.encode() + b"\0")
        with Path("/run/netns", peer_ns.name).open() as there:
            peer = struct.pack("=BxHiII", 0, 0, peer_index, 0, 0) + label
            peer += _attr(IFLA_NET_NS_FD, struct.pack("=I", there.fileno()))
            data = _attr(IFLA_INFO_DATA, _attr(VETH_INFO_PEER, peer))
            info = _attr(IFLA_LINKINFO, _attr(IFLA_INFO_KIND, b"veth\0") + data)
            body = struct.pack("=BxHiII", 0, 0, index, 0, 0) + label + info
            self._request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)

    def set_up(self, index: int) -> None:
        self._request(RTM_NEWLINK, 0, struct.pack("=BxHiII", 0, 0, index, IFF_UP, IFF_UP))

    def add_address(self, index: int, address: str) -> None:
        """An IPv4 address with its prefix, "192.0.2.1/24"."""
        interface = IPv4Interface(address)
        body = struct.pack("=BBBBI", socket.AF_INET, interface.network.prefixlen, 0, 0, index)
        body += _attr(IFA_LOCAL, interface.packed) + _attr(IFA_ADDRESS, interface.packed)
        self._request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body)

    def add_route(self, to: str, gateway: str) -> None:
        """An IPv4 route; "0.0.0.0/0" is the default one."""
        prefix = IPv4Interface(to)
        body = struct.pack(
            "=BBBBBBBBI",
            *(socket.AF_INET, prefix.network.prefixlen, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC),
            *(0, RTN_UNICAST, 0),
        )
        body += _attr(RTA_DST, prefix.packed) + _attr(RTA_GATEWAY, socket.inet_aton(gateway))
        self._request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body)
