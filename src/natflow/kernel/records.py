# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel tells, as light objects: flows, hosts, counters, events.

Everything is immutable. Times are milliseconds, sizes are bytes, rates are bytes per second, unless
a name says otherwise. A pair is (original direction, reply direction); for a host it is (traffic
from the host, traffic to the host). Field by field: docs/netlink.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from socket import AF_INET, AF_INET6, inet_ntop, ntohs
from typing import NamedTuple

from natflow.kernel import uapi
from natflow.kernel.uapi import ClientRecord, FlowRecord

Pair = tuple[int, int]

L4_NAMES = {6: "tcp", 17: "udp"}


def name_of(table: tuple[str, ...], code: int) -> str:
    """Return the name of a code; a newer kernel's code becomes its number."""
    return table[code] if code < len(table) else str(code)


def names_of(table: tuple[str, ...], flags: int) -> tuple[str, ...]:
    """Return the names of the flags that are set."""
    return tuple(name for bit, name in enumerate(table) if flags & (1 << bit))


def address_text(family: int, raw: bytes) -> str:
    """Return an address of a record as text; "" for a family that is neither IPv4 nor IPv6."""
    if family == AF_INET:
        return inet_ntop(AF_INET, raw[:4])
    return inet_ntop(AF_INET6, raw) if family == AF_INET6 else ""


def mac_text(raw: bytes) -> str:
    """Return a MAC address as text; "" when it is all zero, which means not known."""
    return raw.hex(":") if any(raw) else ""


def iter_records(layout: str, data: bytes, size: int) -> Iterator[tuple[int | bytes, ...]]:
    """Yield the members of each record of ``size`` bytes in ``data``.

    A newer kernel may send longer records, an older one shorter: members that are not there are
    zero. Raises struct.error where ``data`` is no whole number of records, or size is 0.
    """
    known = struct.calcsize(layout)
    if size >= known:
        yield from struct.iter_unpack(f"{layout}{size - known}x", data)
        return
    if size <= 0 or len(data) % size:
        raise struct.error(f"{len(data)} bytes are no whole number of records of {size}")
    fill = bytes(known - size)
    for start in range(0, len(data), size):
        yield struct.unpack(layout, data[start : start + size] + fill)


class Flow:
    """One flow. ``raw`` holds the record as the kernel sent it."""

    __slots__ = ("raw",)

    def __init__(self, raw: FlowRecord) -> None:
        self.raw = raw

    def __eq__(self, other: object) -> bool:
        """Flows are equal when their records are."""
        return isinstance(other, Flow) and self.raw == other.raw

    def __hash__(self) -> int:
        """The id is never used twice."""
        return self.raw.id

    def __repr__(self) -> str:
        """Return what identifies the flow."""
        return (
            f"<Flow {self.id} {self.protocol} {self.src}:{self.sport} > {self.dst}:{self.dport} "
            f"{self.state} {self.reason}>"
        )

    @property
    def id(self) -> int:
        """Number of the flow; grows, and is never used twice while the module is loaded."""
        return self.raw.id

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if self.raw.family == AF_INET6 else 4

    @property
    def l4proto(self) -> int:
        """IANA protocol number."""
        return self.raw.l4proto

    @property
    def protocol(self) -> str:
        """The protocol's name, "tcp" or "udp"."""
        return L4_NAMES.get(self.raw.l4proto, str(self.raw.l4proto))

    @property
    def src(self) -> str:
        """Source address of the original tuple."""
        return address_text(self.raw.family, self.raw.original_src)

    @property
    def dst(self) -> str:
        """Destination address of the original tuple."""
        return address_text(self.raw.family, self.raw.original_dst)

    @property
    def sport(self) -> int:
        """Source port of the original tuple."""
        return ntohs(self.raw.original_sport)

    @property
    def dport(self) -> int:
        """Destination port of the original tuple."""
        return ntohs(self.raw.original_dport)

    @property
    def reply_src(self) -> str:
        """Source address of the reply tuple."""
        return address_text(self.raw.family, self.raw.reply_src)

    @property
    def reply_dst(self) -> str:
        """Destination address of the reply tuple."""
        return address_text(self.raw.family, self.raw.reply_dst)

    @property
    def reply_sport(self) -> int:
        """Source port of the reply tuple."""
        return ntohs(self.raw.reply_sport)

    @property
    def reply_dport(self) -> int:
        """Destination port of the reply tuple."""
        return ntohs(self.raw.reply_dport)

    @property
    def state(self) -> str:
        """One of uapi.STATES."""
        return name_of(uapi.STATES, self.raw.state)

    @property
    def reason(self) -> str:
        """One of uapi.REASONS; "none" when the flow is accelerated."""
        return name_of(uapi.REASONS, self.raw.reason)

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of uapi.FLOW_FLAGS that are set."""
        return names_of(uapi.FLOW_FLAGS, self.raw.flags)

    @property
    def bytes(self) -> Pair:
        """Bytes the fast path forwarded."""
        return self.raw.bytes_0, self.raw.bytes_1

    @property
    def packets(self) -> Pair:
        """Packets the fast path forwarded."""
        return self.raw.packets_0, self.raw.packets_1

    @property
    def ct_bytes(self) -> Pair:
        """Bytes conntrack counted, on all engines."""
        return self.raw.ct_bytes_0, self.raw.ct_bytes_1

    @property
    def ct_packets(self) -> Pair:
        """Packets conntrack counted, on all engines."""
        return self.raw.ct_packets_0, self.raw.ct_packets_1

    @property
    def rate(self) -> Pair:
        """Bytes per second on all engines."""
        return self.raw.rate_0, self.raw.rate_1

    @property
    def in_ifindex(self) -> Pair:
        """Port each direction is expected on; 0 when not known."""
        return self.raw.in_ifindex_0, self.raw.in_ifindex_1

    @property
    def out_ifindex(self) -> Pair:
        """Port each direction is sent to; 0 when not known."""
        return self.raw.out_ifindex_0, self.raw.out_ifindex_1

    @property
    def vlan(self) -> tuple[int | None, int | None]:
        """VLAN id each direction's egress puts on; None when none."""
        first, second = self.raw.vlan_0, self.raw.vlan_1
        return (
            None if first == uapi.VLAN_NONE else first,
            None if second == uapi.VLAN_NONE else second,
        )

    @property
    def mac(self) -> tuple[str, str]:
        """Destination MAC address of each direction's egress; "" when not known."""
        return mac_text(self.raw.mac[:6]), mac_text(self.raw.mac[6:])

    @property
    def mark(self) -> int:
        """Connection mark."""
        return self.raw.mark

    @property
    def age_ms(self) -> int:
        """Milliseconds since the flow was learned."""
        return self.raw.age

    @property
    def idle_ms(self) -> int:
        """Milliseconds since its last packet."""
        return self.raw.idle

    @property
    def timeout_s(self) -> int:
        """Seconds until conntrack drops the connection."""
        return self.raw.timeout

    @property
    def tcp_state(self) -> int:
        """Conntrack's TCP state (enum tcp_conntrack); 0 for UDP."""
        return self.raw.tcp_state

    @property
    def hw_state(self) -> tuple[str, str]:
        """How far each direction is in the hardware: two of uapi.HW_STATES."""
        return (
            name_of(uapi.HW_STATES, self.raw.hw_state_0),
            name_of(uapi.HW_STATES, self.raw.hw_state_1),
        )

    @property
    def hw_flags(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of uapi.HW_FLAGS that are set for each direction."""
        return (
            names_of(uapi.HW_FLAGS, self.raw.hw_flags_0),
            names_of(uapi.HW_FLAGS, self.raw.hw_flags_1),
        )

    @property
    def hw_reason(self) -> tuple[str, str]:
        """Why each direction is not in the hardware; two of uapi.REASONS, "none" when it is."""
        return (
            name_of(uapi.REASONS, self.raw.hw_reason_0),
            name_of(uapi.REASONS, self.raw.hw_reason_1),
        )

    @property
    def hw_errno(self) -> Pair:
        """Error number of the driver's last refusal; 0 when there was none."""
        return self.raw.hw_errno_0, self.raw.hw_errno_1

    @property
    def hw_bytes(self) -> Pair:
        """Bytes the hardware forwarded; not part of ``bytes``."""
        return self.raw.hw_bytes_0, self.raw.hw_bytes_1

    @property
    def hw_packets(self) -> Pair:
        """Packets the hardware forwarded; not part of ``packets``."""
        return self.raw.hw_packets_0, self.raw.hw_packets_1


class Client:
    """One host on the inner side. Pairs are (from the host, to the host)."""

    __slots__ = ("raw",)

    def __init__(self, raw: ClientRecord) -> None:
        self.raw = raw

    def __eq__(self, other: object) -> bool:
        """Hosts are equal when their records are."""
        return isinstance(other, Client) and self.raw == other.raw

    def __hash__(self) -> int:
        """The address identifies a host."""
        return hash(self.raw.addr)

    def __repr__(self) -> str:
        """Return what identifies the host."""
        return f"<Client {self.address} {self.mac} {self.flows} flows>"

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if self.raw.family == AF_INET6 else 4

    @property
    def address(self) -> str:
        """The host's address."""
        return address_text(self.raw.family, self.raw.addr)

    @property
    def mac(self) -> str:
        """Link-layer address its traffic is sent to; "" when not known."""
        return mac_text(self.raw.mac)

    @property
    def flows(self) -> int:
        """Flows in the table now."""
        return self.raw.flows

    @property
    def idle_ms(self) -> int:
        """Milliseconds since its last packet."""
        return self.raw.idle

    @property
    def rate(self) -> Pair:
        """Bytes per second."""
        return self.raw.rate_0, self.raw.rate_1

    @property
    def slow_bytes(self) -> Pair:
        """Bytes the normal stack forwarded."""
        return self.raw.slow_bytes_0, self.raw.slow_bytes_1

    @property
    def slow_packets(self) -> Pair:
        """Packets the normal stack forwarded."""
        return self.raw.slow_packets_0, self.raw.slow_packets_1

    @property
    def software_bytes(self) -> Pair:
        """Bytes the software fast path forwarded."""
        return self.raw.software_bytes_0, self.raw.software_bytes_1

    @property
    def software_packets(self) -> Pair:
        """Packets the software fast path forwarded."""
        return self.raw.software_packets_0, self.raw.software_packets_1

    @property
    def hardware_bytes(self) -> Pair:
        """Bytes the hardware forwarded."""
        return self.raw.hardware_bytes_0, self.raw.hardware_bytes_1

    @property
    def hardware_packets(self) -> Pair:
        """Packets the hardware forwarded."""
        return self.raw.hardware_packets_0, self.raw.hardware_packets_1


class Config(NamedTuple):
    """What the module is, and its settings in this network namespace."""

    version: str
    features: tuple[str, ...]
    flow_size: int
    flow6_size: int
    uptime_ms: int
    settings: dict[str, int]


class Counter(NamedTuple):
    """Packets and bytes one engine forwarded."""

    packets: int
    bytes: int


class Stats(NamedTuple):
    """Counters of the network namespace; every known name is a key, also where it is 0.

    ``filter_ifindex`` is the device whose filter kept a flow slow last, ``shaper_ifindex`` one
    whose queueing discipline gets accelerated packets, each 0 for none.
    """

    uptime_ms: int
    engines: dict[str, Counter]
    states: dict[str, int]
    reason_packets: dict[str, int]
    reason_flows: dict[str, int]
    filter_ifindex: int = 0
    shaper_ifindex: int = 0


class Hardware(NamedTuple):
    """The hardware of the machine and what it was given; directions of flows are counted.

    ``reason`` is why nothing of this namespace goes there, "none" when something can. Without
    ``client`` (natflow_hwnat.ko) the rest is empty. ``busy`` is in per mille of one CPU's time,
    ``errors`` counts the driver's refusals by error number.
    """

    client: bool
    reason: str
    profile: str
    features: tuple[str, ...]
    door: bool
    counters: bool
    wed_version: int
    capacity: int
    installed: int
    bound: int
    installs: int
    destroys: int
    failures: int
    errors: dict[int, int]
    tokens: int
    backoff_ms: int
    busy: int


class HardwareDevice(NamedTuple):
    """A device that may lead to the hardware; ``door`` is the ifindex that takes its rules, or 0.

    ``errno`` tells why the door did not open, ``installed`` counts directions of flows.
    """

    ifindex: int
    door: int
    errno: int
    installed: int


class Flushed(NamedTuple):
    """Flows a flush removed; ``accelerated`` of them were."""

    removed: int
    accelerated: int


class Path(NamedTuple):
    """The way out of one direction ("original" or "reply"), as learned; 0 or "" when not known."""

    direction: str
    in_ifindex: int
    dst_ifindex: int
    out_ifindex: int
    vlan: int | None
    mac: str
    mtu: int
    proved_ms: int
    inner_vlan: int | None = None
    pppoe: int | None = None
    kind: str = "ethernet"
    conduit_ifindex: int = 0
    shaper_ifindex: int = 0


class Explanation(NamedTuple):
    """How the flow of a tuple is forwarded, and why; ``flow`` is None when it is not learned.

    ``exception`` is the number of the exception that keeps it slow, from 0.
    """

    state: str
    reason: str
    tracked: bool
    flow: Flow | None
    paths: tuple[Path, ...]
    exception: int | None = None


class Event(NamedTuple):
    """One message of the multicast groups.

    ``kind`` is one of uapi.EVENTS, or "lost": the socket overran, so read everything anew.
    ``settings`` is not empty for "config", ``flushed`` is set for "flush", ``flows`` holds the
    records of "flow-start" and "flow-end".
    """

    kind: str
    settings: dict[str, int]
    flushed: Flushed | None
    flows: tuple[Flow, ...]
