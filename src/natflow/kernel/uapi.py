# SPDX-License-Identifier: GPL-2.0-only
"""Numbers and names of the netlink interface; scripts/genspec: from src/natflow.yaml."""

from __future__ import annotations

from typing import NamedTuple

GENL_NAME = "natflow"
GENL_VERSION = 1
GROUPS = ("events", "flows")

# Prefixes in one filter at the most.
PREFIXES_MAX = 256
# Exceptions of a namespace at the most.
EXCEPTIONS_MAX = 256
# Stands in a record for "no VLAN tag".
VLAN_NONE = 65535

CMD_CONFIG_GET = 1
CMD_CONFIG_SET = 2
CMD_STATS_GET = 3
CMD_FLOW_GET = 4
CMD_FLOW_FLUSH = 5
CMD_FLOW_EXPLAIN = 6
CMD_CLIENT_GET = 7
CMD_EVENT = 8
CMD_HW_GET = 9
CMD_HW_DEVICE_GET = 10
CMD_REPROVE = 11
CMD_EXCEPTION_SET = 12
CMD_EXCEPTION_GET = 13

# How the packets of a flow are forwarded now. (names by number)
STATES = (
    "slow",
    "learning",
    "software",
    "hw-pending",
    "hardware",
    "wed",
)

# What forwarded a packet. (names by number)
ENGINES = (
    "slow",
    "software",
    "hardware",
)

# What a way out ends in. (names by number)
EGRESS_KINDS = (
    "ethernet",
    "dsa",
    "wdma",
    "l3",
)

# What an event message tells. (names by number)
EVENTS = (
    "config",
    "flush",
    "flow-start",
    "flow-end",
)

# Properties of a flow. (names by bit)
FLOW_FLAGS = (
    "snat",
    "dnat",
    "assured",
    "symmetric",
    "proved-original",
    "proved-reply",
)

# Which flows are handed to the hardware. (names by number)
HW_MODES = (
    "auto",
    "always",
)

# How far one direction of a flow is in the hardware. (names by number)
HW_STATES = (
    "none",
    "pending",
    "bound",
    "refused",
)

# Properties of one direction of a flow in the hardware. (names by bit)
HW_FLAGS = (
    "wed",
    "wed-rx",
    "estimated",
)

# Why a packet or a flow is not accelerated. The codes never change their meaning. (names by number)
REASONS = (
    "none",
    "disabled",
    "untracked",
    "unconfirmed",
    "dying",
    "protocol",
    "not-established",
    "no-reply",
    "delay",
    "one-direction",
    "unproved",
    "helper",
    "seqadj",
    "synproxy",
    "nat-clash",
    "zone",
    "foreign-offload",
    "excluded",
    "xfrm",
    "tunnel",
    "route",
    "vrf",
    "neighbour",
    "path",
    "device",
    "pppoe",
    "qinq",
    "qdisc",
    "local",
    "fragment",
    "ip-options",
    "ttl",
    "mtu",
    "malformed",
    "not-unicast",
    "tcp-flags",
    "no-flow",
    "ingress",
    "stale",
    "closing",
    "table-full",
    "host-limit",
    "learn-rate",
    "no-memory",
    "lro",
    "checksum",
    "hw-off",
    "hw-no-client",
    "hw-no-door",
    "hw-cpu",
    "hw-rate",
    "hw-full",
    "hw-limit",
    "hw-refused",
    "hw-qdisc",
    "hw-ipv6-nat",
    "hw-tags",
    "hw-egress",
    "hw-ingress",
    "hw-wed-off",
    "hw-wed-rx",
    "hw-backoff",
    "hw-half",
    "hw-unproved",
)

# Settings: name, least value, greatest value; the order is that of the attributes.
SETTINGS = {
    "enabled": (0, 1),
    "delay_pkts": (0, 65535),
    "sample_interval": (100, 10000),
    "idle_timeout": (1000, 600000),
    "max_flows": (16, 1048576),
    "host_flows": (1, 1048576),
    "learn_rate": (1, 1000000),
    "exclude_mark": (0, 4294967295),
    "exclude_mask": (0, 4294967295),
    "hwnat": (0, 1),
    "hwnat_mode": (0, 1),
    "hwnat_wed": (0, 1),
    "hw_min_rate": (0, 4294967295),
    "hw_rate_limit": (1, 1000),
    "hw_max_flows": (0, 65536),
}

# Attribute sets: (name, type, set nested in it) of the attributes from number 1.
ATTRS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "config": (
        ("enabled", "u8", ""),
        ("delay-pkts", "u32", ""),
        ("sample-interval", "u32", ""),
        ("idle-timeout", "u32", ""),
        ("max-flows", "u32", ""),
        ("host-flows", "u32", ""),
        ("learn-rate", "u32", ""),
        ("exclude-mark", "u32", ""),
        ("exclude-mask", "u32", ""),
        ("hwnat", "u8", ""),
        ("hwnat-mode", "u8", ""),
        ("hwnat-wed", "u8", ""),
        ("hw-min-rate", "u32", ""),
        ("hw-rate-limit", "u32", ""),
        ("hw-max-flows", "u32", ""),
    ),
    "engine-stats": (
        ("engine", "u32", ""),
        ("packets", "u64", ""),
        ("bytes", "u64", ""),
        ("pad", "pad", ""),
    ),
    "prefix": (
        ("addr", "binary", ""),
        ("len", "u8", ""),
    ),
    "filter": (
        ("family", "u8", ""),
        ("l4proto", "u8", ""),
        ("prefix", "nest", "prefix"),
        ("port", "be16", ""),
        ("ifindex", "u32", ""),
        ("mark", "u32", ""),
        ("mark-mask", "u32", ""),
        ("mac", "binary", ""),
        ("state", "u8", ""),
        ("reason", "u16", ""),
        ("min-age", "u32", ""),
        ("min-idle", "u32", ""),
        ("min-rate", "u32", ""),
    ),
    "tuple": (
        ("family", "u8", ""),
        ("l4proto", "u8", ""),
        ("src", "binary", ""),
        ("dst", "binary", ""),
        ("sport", "be16", ""),
        ("dport", "be16", ""),
    ),
    "path": (
        ("direction", "u8", ""),
        ("in-ifindex", "u32", ""),
        ("dst-ifindex", "u32", ""),
        ("out-ifindex", "u32", ""),
        ("vlan", "u16", ""),
        ("mac", "binary", ""),
        ("mtu", "u32", ""),
        ("proved", "u32", ""),
        ("inner-vlan", "u16", ""),
        ("pppoe", "u16", ""),
        ("kind", "u8", ""),
        ("conduit", "u32", ""),
        ("shaper", "u32", ""),
    ),
    "hw-error": (
        ("errno", "u32", ""),
        ("count", "u32", ""),
    ),
    "hw": (
        ("client", "u8", ""),
        ("reason", "u16", ""),
        ("profile", "string", ""),
        ("features", "string", ""),
        ("door", "u8", ""),
        ("counters", "u8", ""),
        ("wed-version", "u8", ""),
        ("capacity", "u32", ""),
        ("installed", "u32", ""),
        ("bound", "u32", ""),
        ("installs", "u64", ""),
        ("destroys", "u64", ""),
        ("failures", "u64", ""),
        ("errors", "nest", "hw-error"),
        ("tokens", "u32", ""),
        ("backoff", "u32", ""),
        ("busy", "u32", ""),
        ("pad", "pad", ""),
    ),
    "hw-device": (
        ("ifindex", "u32", ""),
        ("door", "u32", ""),
        ("errno", "u32", ""),
        ("installed", "u32", ""),
    ),
    "exception": (
        ("src", "nest", "prefix"),
        ("dst", "nest", "prefix"),
        ("l4proto", "u8", ""),
        ("port-min", "be16", ""),
        ("port-max", "be16", ""),
        ("device", "string", ""),
        ("mac", "binary", ""),
        ("mark", "u32", ""),
        ("mark-mask", "u32", ""),
    ),
    "exceptions": (("exception", "nest", "exception"),),
    "main": (
        ("config", "nest", "config"),
        ("version", "string", ""),
        ("features", "string", ""),
        ("flow-size", "u32", ""),
        ("flow6-size", "u32", ""),
        ("uptime", "u64", ""),
        ("engine-stats", "nest", "engine-stats"),
        ("state-flows", "binary", ""),
        ("reason-packets", "binary", ""),
        ("reason-flows", "binary", ""),
        ("filter", "nest", "filter"),
        ("record-size", "u32", ""),
        ("flow-records", "binary", ""),
        ("client-records", "binary", ""),
        ("removed", "u32", ""),
        ("removed-accelerated", "u32", ""),
        ("tuple", "nest", "tuple"),
        ("state", "u8", ""),
        ("reason", "u16", ""),
        ("path", "nest", "path"),
        ("event", "u32", ""),
        ("tracked", "u8", ""),
        ("pad", "pad", ""),
        ("hw", "nest", "hw"),
        ("hw-device", "nest", "hw-device"),
        ("exceptions", "nest", "exceptions"),
        ("exception-index", "u32", ""),
        ("filter-ifindex", "u32", ""),
        ("shaper-ifindex", "u32", ""),
    ),
}

# struct format of a record, without alignment; its size in bytes
FLOW_RECORD_FORMAT = "=QQQQQQQQQ16s16s16s16sHHHHIIIIIIIIIIIHHH12sBBBBBBBB2xHHHHQQQQ"
FLOW_RECORD_SIZE = 256


class FlowRecord(NamedTuple):
    """The members of a flow-record as they stand in the message."""

    id: int
    bytes_0: int
    bytes_1: int
    packets_0: int
    packets_1: int
    ct_bytes_0: int
    ct_bytes_1: int
    ct_packets_0: int
    ct_packets_1: int
    original_src: bytes
    original_dst: bytes
    reply_src: bytes
    reply_dst: bytes
    original_sport: int
    original_dport: int
    reply_sport: int
    reply_dport: int
    rate_0: int
    rate_1: int
    in_ifindex_0: int
    in_ifindex_1: int
    out_ifindex_0: int
    out_ifindex_1: int
    mark: int
    age: int
    idle: int
    timeout: int
    flags: int
    vlan_0: int
    vlan_1: int
    reason: int
    mac: bytes
    family: int
    l4proto: int
    state: int
    tcp_state: int
    hw_state_0: int
    hw_state_1: int
    hw_flags_0: int
    hw_flags_1: int
    hw_reason_0: int
    hw_reason_1: int
    hw_errno_0: int
    hw_errno_1: int
    hw_bytes_0: int
    hw_bytes_1: int
    hw_packets_0: int
    hw_packets_1: int


# struct format of a record, without alignment; its size in bytes
CLIENT_RECORD_FORMAT = "=16sQQQQQQQQQQQQIIII6sB1x"
CLIENT_RECORD_SIZE = 136


class ClientRecord(NamedTuple):
    """The members of a client-record as they stand in the message."""

    addr: bytes
    slow_bytes_0: int
    slow_bytes_1: int
    slow_packets_0: int
    slow_packets_1: int
    software_bytes_0: int
    software_bytes_1: int
    software_packets_0: int
    software_packets_1: int
    hardware_bytes_0: int
    hardware_bytes_1: int
    hardware_packets_0: int
    hardware_packets_1: int
    rate_0: int
    rate_1: int
    flows: int
    idle: int
    mac: bytes
    family: int
