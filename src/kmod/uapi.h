/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The netlink interface of natflow. Written by scripts/genspec from
 * src/natflow.yaml: do not edit.
 */

#ifndef NATFLOW_UAPI_H
#define NATFLOW_UAPI_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/build_bug.h>
#else
#include <assert.h>
#endif

#define NATFLOW_GENL_NAME "natflow"
#define NATFLOW_GENL_VERSION 1
#define NATFLOW_MCGRP_EVENTS "events"
#define NATFLOW_MCGRP_FLOWS "flows"

/* Prefixes in one filter at the most. */
#define NATFLOW_PREFIXES_MAX 256

/* Exceptions of a namespace at the most. */
#define NATFLOW_EXCEPTIONS_MAX 256

/* Stands in a record for "no VLAN tag". */
#define NATFLOW_VLAN_NONE 65535

/**
 * enum natflow_state - How the packets of a flow are forwarded now
 * @NATFLOW_STATE_SLOW: The normal stack forwards the flow; its reason tells why.
 * @NATFLOW_STATE_LEARNING: Eligible, but not yet seen often enough, or in one direction only.
 * @NATFLOW_STATE_SOFTWARE: The ingress hook forwards the flow straight to its egress device.
 * @NATFLOW_STATE_HW_PENDING: Handed to the hardware, with no evidence yet that it forwards.
 * @NATFLOW_STATE_HARDWARE: The packet processing engine (PPE) forwards the flow.
 * @NATFLOW_STATE_WED: The PPE forwards the flow to or from WiFi through WED.
 */
enum natflow_state {
	NATFLOW_STATE_SLOW,
	NATFLOW_STATE_LEARNING,
	NATFLOW_STATE_SOFTWARE,
	NATFLOW_STATE_HW_PENDING,
	NATFLOW_STATE_HARDWARE,
	NATFLOW_STATE_WED,
	/* private: */
	__NATFLOW_STATE_MAX,
	NATFLOW_STATE_MAX = (__NATFLOW_STATE_MAX - 1)
};

/**
 * enum natflow_engine - What forwarded a packet
 * @NATFLOW_ENGINE_SLOW: The normal stack.
 * @NATFLOW_ENGINE_SOFTWARE: The ingress hook of natflow.
 * @NATFLOW_ENGINE_HARDWARE: The PPE, with or without WED.
 */
enum natflow_engine {
	NATFLOW_ENGINE_SLOW,
	NATFLOW_ENGINE_SOFTWARE,
	NATFLOW_ENGINE_HARDWARE,
	/* private: */
	__NATFLOW_ENGINE_MAX,
	NATFLOW_ENGINE_MAX = (__NATFLOW_ENGINE_MAX - 1)
};

/**
 * enum natflow_egress_kind - What a way out ends in
 * @NATFLOW_EGRESS_KIND_ETHERNET: A plain Ethernet port.
 * @NATFLOW_EGRESS_KIND_DSA: A port of a switch.
 * @NATFLOW_EGRESS_KIND_WDMA: A wireless device that the hardware can reach by itself.
 * @NATFLOW_EGRESS_KIND_L3: A device without a link-layer header.
 */
enum natflow_egress_kind {
	NATFLOW_EGRESS_KIND_ETHERNET,
	NATFLOW_EGRESS_KIND_DSA,
	NATFLOW_EGRESS_KIND_WDMA,
	NATFLOW_EGRESS_KIND_L3,
	/* private: */
	__NATFLOW_EGRESS_KIND_MAX,
	NATFLOW_EGRESS_KIND_MAX = (__NATFLOW_EGRESS_KIND_MAX - 1)
};

/**
 * enum natflow_event - What an event message tells
 * @NATFLOW_EVENT_CONFIG: The configuration changed; all settings follow.
 * @NATFLOW_EVENT_FLUSH: A flush removed flows; "removed" holds how many.
 * @NATFLOW_EVENT_FLOW_START: A flow became accelerated; its record follows.
 * @NATFLOW_EVENT_FLOW_END: A flow left the table; its record holds the final counters.
 */
enum natflow_event {
	NATFLOW_EVENT_CONFIG,
	NATFLOW_EVENT_FLUSH,
	NATFLOW_EVENT_FLOW_START,
	NATFLOW_EVENT_FLOW_END,
	/* private: */
	__NATFLOW_EVENT_MAX,
	NATFLOW_EVENT_MAX = (__NATFLOW_EVENT_MAX - 1)
};

/**
 * enum natflow_flow_flag - Properties of a flow
 * @NATFLOW_FLOW_FLAG_SNAT: The source of the original direction is translated.
 * @NATFLOW_FLOW_FLAG_DNAT: The destination of the original direction is translated.
 * @NATFLOW_FLOW_FLAG_ASSURED: Conntrack saw traffic in both directions for long enough
 *   (IPS_ASSURED).
 * @NATFLOW_FLOW_FLAG_SYMMETRIC: No translation: one table node serves both directions.
 * @NATFLOW_FLOW_FLAG_PROVED_ORIGINAL: The slow path has re-proved the original direction
 *   lately.
 * @NATFLOW_FLOW_FLAG_PROVED_REPLY: The slow path has re-proved the reply direction lately.
 */
enum natflow_flow_flag {
	NATFLOW_FLOW_FLAG_SNAT = 1u << 0,
	NATFLOW_FLOW_FLAG_DNAT = 1u << 1,
	NATFLOW_FLOW_FLAG_ASSURED = 1u << 2,
	NATFLOW_FLOW_FLAG_SYMMETRIC = 1u << 3,
	NATFLOW_FLOW_FLAG_PROVED_ORIGINAL = 1u << 4,
	NATFLOW_FLOW_FLAG_PROVED_REPLY = 1u << 5,
};

#define NATFLOW_FLOW_FLAG_MASK 0x3fu

/**
 * enum natflow_hw_mode - Which flows are handed to the hardware
 * @NATFLOW_HW_MODE_AUTO: The fastest ones, and only while a CPU is busy with forwarding.
 * @NATFLOW_HW_MODE_ALWAYS: All that are fast enough and that the hardware can take, the fastest
 *   first.
 */
enum natflow_hw_mode {
	NATFLOW_HW_MODE_AUTO,
	NATFLOW_HW_MODE_ALWAYS,
	/* private: */
	__NATFLOW_HW_MODE_MAX,
	NATFLOW_HW_MODE_MAX = (__NATFLOW_HW_MODE_MAX - 1)
};

/**
 * enum natflow_hw_state - How far one direction of a flow is in the hardware
 * @NATFLOW_HW_STATE_NONE: Not handed to the hardware.
 * @NATFLOW_HW_STATE_PENDING: Handed over, with no evidence yet that the hardware forwards.
 * @NATFLOW_HW_STATE_BOUND: The hardware forwards; there was evidence for it.
 * @NATFLOW_HW_STATE_REFUSED: The hardware, its driver or the rules of admission do not take it;
 *   its hw-reason tells why.
 */
enum natflow_hw_state {
	NATFLOW_HW_STATE_NONE,
	NATFLOW_HW_STATE_PENDING,
	NATFLOW_HW_STATE_BOUND,
	NATFLOW_HW_STATE_REFUSED,
	/* private: */
	__NATFLOW_HW_STATE_MAX,
	NATFLOW_HW_STATE_MAX = (__NATFLOW_HW_STATE_MAX - 1)
};

/**
 * enum natflow_hw_flag - Properties of one direction of a flow in the hardware
 * @NATFLOW_HW_FLAG_WED: The direction leaves to WiFi through WED.
 * @NATFLOW_HW_FLAG_WED_RX: The direction comes from WiFi through WED.
 * @NATFLOW_HW_FLAG_ESTIMATED: The hardware does not count: its bytes and packets are estimated.
 */
enum natflow_hw_flag {
	NATFLOW_HW_FLAG_WED = 1u << 0,
	NATFLOW_HW_FLAG_WED_RX = 1u << 1,
	NATFLOW_HW_FLAG_ESTIMATED = 1u << 2,
};

#define NATFLOW_HW_FLAG_MASK 0x7u

/**
 * enum natflow_reason - Why a packet or a flow is not accelerated
 * @NATFLOW_REASON_NONE: The flow is accelerated.
 * @NATFLOW_REASON_DISABLED: Acceleration is switched off in this network namespace.
 * @NATFLOW_REASON_UNTRACKED: Connection tracking does not track the packet.
 * @NATFLOW_REASON_UNCONFIRMED: It is the first packet of its connection.
 * @NATFLOW_REASON_DYING: The connection was deleted from conntrack and is about to go.
 * @NATFLOW_REASON_PROTOCOL: It is neither TCP nor UDP.
 * @NATFLOW_REASON_NOT_ESTABLISHED: The TCP connection is not in state ESTABLISHED.
 * @NATFLOW_REASON_NO_REPLY: Traffic was seen in one direction only.
 * @NATFLOW_REASON_DELAY: The connection has not yet had as many packets as delay_pkts asks for.
 * @NATFLOW_REASON_ONE_DIRECTION: It is not known yet where the packets of the direction come
 *   in.
 * @NATFLOW_REASON_UNPROVED: The re-proof interval is over; this packet goes through the
 *   firewall and the routes again.
 * @NATFLOW_REASON_HELPER: A connection tracking helper (ALG, as for FTP or SIP) reads and may
 *   rewrite the packets.
 * @NATFLOW_REASON_SEQADJ: Conntrack shifts TCP sequence numbers of this connection.
 * @NATFLOW_REASON_SYNPROXY: The connection was opened through SYNPROXY.
 * @NATFLOW_REASON_NAT_CLASH: Conntrack resolved a NAT clash for this connection.
 * @NATFLOW_REASON_ZONE: The connection belongs to a conntrack zone of its own.
 * @NATFLOW_REASON_FOREIGN_OFFLOAD: Another offloader (nftables flowtable or act_ct) owns the
 *   connection.
 * @NATFLOW_REASON_EXCLUDED: The configuration excludes it (connection or packet mark).
 * @NATFLOW_REASON_XFRM: An IPsec policy or state applies to the packets.
 * @NATFLOW_REASON_TUNNEL: The route leads through a tunnel, or attaches tunnel data to the
 *   packet.
 * @NATFLOW_REASON_ROUTE: The route is not an ordinary unicast one, or asks for a redirect.
 * @NATFLOW_REASON_VRF: A device on the path belongs to a VRF.
 * @NATFLOW_REASON_NEIGHBOUR: The link-layer address of the next hop is not known or not valid
 *   now.
 * @NATFLOW_REASON_PATH: The way from the egress device down to a port could not be resolved.
 * @NATFLOW_REASON_DEVICE: The kind of device is not handled by the fast path.
 * @NATFLOW_REASON_PPPOE: The egress is a PPPoE session on a kind of device that is not handled.
 * @NATFLOW_REASON_QINQ: The path has more VLAN tags and PPPoE headers than are handled.
 * @NATFLOW_REASON_QDISC: A filter on a device above the port must see the packets that the
 *   device receives.
 * @NATFLOW_REASON_LOCAL: The router itself sends or receives the packet.
 * @NATFLOW_REASON_FRAGMENT: The packet is an IP fragment, or was put together from fragments.
 * @NATFLOW_REASON_IP_OPTIONS: The packet carries IPv4 options or IPv6 extension headers.
 * @NATFLOW_REASON_TTL: The TTL or hop limit is about to run out.
 * @NATFLOW_REASON_MTU: The packet is larger than the MTU of its way out.
 * @NATFLOW_REASON_MALFORMED: The headers are truncated or contradict each other.
 * @NATFLOW_REASON_NOT_UNICAST: The packet is broadcast or multicast, or its frame is addressed
 *   to another host.
 * @NATFLOW_REASON_TCP_FLAGS: The segment carries SYN, FIN or RST, or no ACK.
 * @NATFLOW_REASON_NO_FLOW: The connection could be accelerated, but none of its packets was
 *   forwarded lately.
 * @NATFLOW_REASON_INGRESS: The packet came in through another device or VLAN than its flow
 *   expects.
 * @NATFLOW_REASON_STALE: Route, neighbour, device, address or ruleset changed since the flow
 *   was proved.
 * @NATFLOW_REASON_CLOSING: The connection is being closed.
 * @NATFLOW_REASON_TABLE_FULL: The flow table holds as many flows as max_flows allows.
 * @NATFLOW_REASON_HOST_LIMIT: One host holds as many flows as host_flows allows.
 * @NATFLOW_REASON_LEARN_RATE: More new flows than learn_rate allows were seen this second.
 * @NATFLOW_REASON_NO_MEMORY: The kernel had no memory for the flow.
 * @NATFLOW_REASON_LRO: The packet was merged by LRO, which must not be forwarded.
 * @NATFLOW_REASON_CHECKSUM: The checksum of the packet could not be handled.
 * @NATFLOW_REASON_HW_OFF: Hardware offload is switched off in this network namespace.
 * @NATFLOW_REASON_HW_NO_CLIENT: The module that talks to the hardware (natflow_hwnat) is not
 *   loaded.
 * @NATFLOW_REASON_HW_NO_DOOR: No device offers the kernel's door to the hardware (TC_SETUP_FT).
 * @NATFLOW_REASON_HW_CPU: The CPU has room for the flow, and software keeps latency lower.
 * @NATFLOW_REASON_HW_RATE: The flow is too slow to be worth a place in the hardware.
 * @NATFLOW_REASON_HW_FULL: The hardware's table holds as many flows as it may.
 * @NATFLOW_REASON_HW_LIMIT: More flows than hw_rate_limit allows wait for the hardware; the
 *   fastest come first.
 * @NATFLOW_REASON_HW_REFUSED: The driver of the hardware has refused the flow.
 * @NATFLOW_REASON_HW_QDISC: A queueing discipline, filter or program on the ports must see the
 *   packets, and the hardware would pass it by.
 * @NATFLOW_REASON_HW_IPV6_NAT: The hardware does not translate IPv6 addresses.
 * @NATFLOW_REASON_HW_TAGS: The direction needs more tags, or other ones, than the hardware can
 *   put on.
 * @NATFLOW_REASON_HW_EGRESS: The direction leaves by a device that the hardware does not reach.
 * @NATFLOW_REASON_HW_INGRESS: The direction comes in by a device that is not connected to the
 *   hardware.
 * @NATFLOW_REASON_HW_WED_OFF: The direction uses WED, which is switched off.
 * @NATFLOW_REASON_HW_WED_RX: This chip's WED carries traffic to WiFi only; what comes from WiFi
 *   stays on the CPU.
 * @NATFLOW_REASON_HW_BACKOFF: The hardware has failed lately and is left alone for some
 *   seconds.
 * @NATFLOW_REASON_HW_HALF: The other direction cannot go to the hardware, and this module never
 *   hands over one alone.
 * @NATFLOW_REASON_HW_UNPROVED: The direction waits for a packet that the slow path lets
 *   through.
 *
 * The codes never change their meaning.
 */
enum natflow_reason {
	NATFLOW_REASON_NONE,
	NATFLOW_REASON_DISABLED,
	NATFLOW_REASON_UNTRACKED,
	NATFLOW_REASON_UNCONFIRMED,
	NATFLOW_REASON_DYING,
	NATFLOW_REASON_PROTOCOL,
	NATFLOW_REASON_NOT_ESTABLISHED,
	NATFLOW_REASON_NO_REPLY,
	NATFLOW_REASON_DELAY,
	NATFLOW_REASON_ONE_DIRECTION,
	NATFLOW_REASON_UNPROVED,
	NATFLOW_REASON_HELPER,
	NATFLOW_REASON_SEQADJ,
	NATFLOW_REASON_SYNPROXY,
	NATFLOW_REASON_NAT_CLASH,
	NATFLOW_REASON_ZONE,
	NATFLOW_REASON_FOREIGN_OFFLOAD,
	NATFLOW_REASON_EXCLUDED,
	NATFLOW_REASON_XFRM,
	NATFLOW_REASON_TUNNEL,
	NATFLOW_REASON_ROUTE,
	NATFLOW_REASON_VRF,
	NATFLOW_REASON_NEIGHBOUR,
	NATFLOW_REASON_PATH,
	NATFLOW_REASON_DEVICE,
	NATFLOW_REASON_PPPOE,
	NATFLOW_REASON_QINQ,
	NATFLOW_REASON_QDISC,
	NATFLOW_REASON_LOCAL,
	NATFLOW_REASON_FRAGMENT,
	NATFLOW_REASON_IP_OPTIONS,
	NATFLOW_REASON_TTL,
	NATFLOW_REASON_MTU,
	NATFLOW_REASON_MALFORMED,
	NATFLOW_REASON_NOT_UNICAST,
	NATFLOW_REASON_TCP_FLAGS,
	NATFLOW_REASON_NO_FLOW,
	NATFLOW_REASON_INGRESS,
	NATFLOW_REASON_STALE,
	NATFLOW_REASON_CLOSING,
	NATFLOW_REASON_TABLE_FULL,
	NATFLOW_REASON_HOST_LIMIT,
	NATFLOW_REASON_LEARN_RATE,
	NATFLOW_REASON_NO_MEMORY,
	NATFLOW_REASON_LRO,
	NATFLOW_REASON_CHECKSUM,
	NATFLOW_REASON_HW_OFF,
	NATFLOW_REASON_HW_NO_CLIENT,
	NATFLOW_REASON_HW_NO_DOOR,
	NATFLOW_REASON_HW_CPU,
	NATFLOW_REASON_HW_RATE,
	NATFLOW_REASON_HW_FULL,
	NATFLOW_REASON_HW_LIMIT,
	NATFLOW_REASON_HW_REFUSED,
	NATFLOW_REASON_HW_QDISC,
	NATFLOW_REASON_HW_IPV6_NAT,
	NATFLOW_REASON_HW_TAGS,
	NATFLOW_REASON_HW_EGRESS,
	NATFLOW_REASON_HW_INGRESS,
	NATFLOW_REASON_HW_WED_OFF,
	NATFLOW_REASON_HW_WED_RX,
	NATFLOW_REASON_HW_BACKOFF,
	NATFLOW_REASON_HW_HALF,
	NATFLOW_REASON_HW_UNPROVED,
	/* private: */
	__NATFLOW_REASON_MAX,
	NATFLOW_REASON_MAX = (__NATFLOW_REASON_MAX - 1)
};

/**
 * struct natflow_flow_record - One flow as a packed, fixed-size structure in host byte order,
 *   addresses and ports in network byte order
 * @id: Number of the flow, never used twice while the module is loaded.
 * @bytes: Bytes forwarded by the fast path, counted as conntrack does (IP header and above).
 * @packets: Packets forwarded by the fast path; a GSO super-packet counts once, as in
 *   conntrack.
 * @ct_bytes: Bytes counted by conntrack for all engines; 0 without nf_conntrack_acct.
 * @ct_packets: Packets counted by conntrack for all engines; 0 without nf_conntrack_acct.
 * @original_src: Source address of the original conntrack tuple.
 * @original_dst: Destination address of the original conntrack tuple.
 * @reply_src: Source address of the reply conntrack tuple.
 * @reply_dst: Destination address of the reply conntrack tuple.
 * @original_sport: Source port of the original tuple.
 * @original_dport: Destination port of the original tuple.
 * @reply_sport: Source port of the reply tuple.
 * @reply_dport: Destination port of the reply tuple.
 * @rate: Bytes per second over the last ageing interval, all engines, at most 2^32-1.
 * @in_ifindex: Port the direction is expected on, 0 when not known.
 * @out_ifindex: Port the direction is sent to, 0 when not known.
 * @mark: Connection mark.
 * @age: Milliseconds since the flow was learned.
 * @idle: Milliseconds since its last packet, on any engine.
 * @timeout: Seconds until conntrack drops the connection.
 * @flags: Properties of the flow (enum natflow_flow_flag).
 * @vlan: VLAN id put on by the direction's egress, 0xffff when none.
 * @reason: Why the flow is not accelerated; none when it is (enum natflow_reason).
 * @mac: Destination MAC address of each direction's egress, zero when not known.
 * @family: Address family: 2 (AF_INET) or 10 (AF_INET6).
 * @l4proto: IANA protocol number: 6 or 17.
 * @state: How the flow is forwarded (enum natflow_state).
 * @tcp_state: Conntrack's TCP state (enum tcp_conntrack), 0 for UDP.
 * @hw_state: How far the direction is in the hardware (enum natflow_hw_state).
 * @hw_flags: Properties of the direction in the hardware (enum natflow_hw_flag).
 * @reserved: Zero.
 * @hw_reason: Why the direction of an accelerated flow is not in the hardware; none when it is,
 *   and of a flow that is not accelerated (enum natflow_reason).
 * @hw_errno: Error number of the driver's last refusal, positive; 0 when there was none.
 * @hw_bytes: Bytes forwarded by the hardware, as far as it was asked; they are in ct-bytes,
 *   too, but not in bytes.
 * @hw_packets: Packets forwarded by the hardware.
 *
 * An IPv4 address stands in the first four bytes, the rest is zero. Index 0 of an array is the
 * original direction, index 1 the reply direction.
 */
struct natflow_flow_record {
	__u64 id;
	__u64 bytes[2];
	__u64 packets[2];
	__u64 ct_bytes[2];
	__u64 ct_packets[2];
	__u8 original_src[16];
	__u8 original_dst[16];
	__u8 reply_src[16];
	__u8 reply_dst[16];
	__be16 original_sport;
	__be16 original_dport;
	__be16 reply_sport;
	__be16 reply_dport;
	__u32 rate[2];
	__u32 in_ifindex[2];
	__u32 out_ifindex[2];
	__u32 mark;
	__u32 age;
	__u32 idle;
	__u32 timeout;
	__u32 flags;
	__u16 vlan[2];
	__u16 reason;
	__u8 mac[12];
	__u8 family;
	__u8 l4proto;
	__u8 state;
	__u8 tcp_state;
	__u8 hw_state[2];
	__u8 hw_flags[2];
	__u8 reserved[2];
	__u16 hw_reason[2];
	__u16 hw_errno[2];
	__u64 hw_bytes[2];
	__u64 hw_packets[2];
};

#define NATFLOW_FLOW_RECORD_SIZE 256
static_assert(sizeof(struct natflow_flow_record) == NATFLOW_FLOW_RECORD_SIZE, "has holes");

/**
 * struct natflow_client_record - One host on the inner side as a packed, fixed-size structure
 *   in host byte order
 * @addr: Address of the host; IPv4 in the first four bytes.
 * @slow_bytes: Bytes forwarded by the normal stack; 0 without nf_conntrack_acct.
 * @slow_packets: Packets forwarded by the normal stack; 0 without nf_conntrack_acct.
 * @software_bytes: Bytes forwarded by the software fast path.
 * @software_packets: Packets forwarded by the software fast path.
 * @hardware_bytes: Bytes forwarded by hardware.
 * @hardware_packets: Packets forwarded by hardware.
 * @rate: Bytes per second over the last ageing interval.
 * @flows: Flows in the table now.
 * @idle: Milliseconds since the last packet.
 * @mac: Link-layer address its traffic is sent to (that of a router in between, if there is
 *   one), zero when not known.
 * @family: Address family: 2 or 10.
 * @reserved: Zero.
 *
 * The inner side is the original source, or the reply source of a flow whose destination is
 * translated. Totals cover all flows natflow has learned, ended ones included, and are brought
 * up to date once a second. Index 0 of an array is the traffic from the host, index 1 the
 * traffic to it.
 */
struct natflow_client_record {
	__u8 addr[16];
	__u64 slow_bytes[2];
	__u64 slow_packets[2];
	__u64 software_bytes[2];
	__u64 software_packets[2];
	__u64 hardware_bytes[2];
	__u64 hardware_packets[2];
	__u32 rate[2];
	__u32 flows;
	__u32 idle;
	__u8 mac[6];
	__u8 family;
	__u8 reserved;
};

#define NATFLOW_CLIENT_RECORD_SIZE 136
static_assert(sizeof(struct natflow_client_record) == NATFLOW_CLIENT_RECORD_SIZE, "has holes");

/**
 * enum natflow_a_config - Settings of one network namespace
 * @NATFLOW_A_CONFIG_ENABLED: Accelerate (u8).
 * @NATFLOW_A_CONFIG_DELAY_PKTS: Packets a connection must have had before it is learned (u32).
 * @NATFLOW_A_CONFIG_SAMPLE_INTERVAL: Re-proof interval in milliseconds: a direction is fast for
 *   at most so long after the slow path has forwarded one of its packets (u32).
 * @NATFLOW_A_CONFIG_IDLE_TIMEOUT: Milliseconds without a packet after which a flow leaves the
 *   table (its connection lives on) (u32).
 * @NATFLOW_A_CONFIG_MAX_FLOWS: Flows in the table at the most (u32).
 * @NATFLOW_A_CONFIG_HOST_FLOWS: Flows of one inner host at the most (u32).
 * @NATFLOW_A_CONFIG_LEARN_RATE: New flows a second at the most (u32).
 * @NATFLOW_A_CONFIG_EXCLUDE_MARK: Connections whose mark, under exclude-mask, has this value
 *   stay slow; has no bits outside of it (u32).
 * @NATFLOW_A_CONFIG_EXCLUDE_MASK: Bits of the mark that exclude-mark compares; 0 excludes
 *   nothing (u32).
 * @NATFLOW_A_CONFIG_HWNAT: Hand flows to the hardware where there is some; 0 takes all of them
 *   back (u8).
 * @NATFLOW_A_CONFIG_HWNAT_MODE: Which flows (u8, enum natflow_hw_mode).
 * @NATFLOW_A_CONFIG_HWNAT_WED: Hand over the directions to and from WiFi that WED can carry,
 *   too (u8).
 * @NATFLOW_A_CONFIG_HW_MIN_RATE: Bytes per second, both directions together, that make a flow
 *   worth the hardware (u32).
 * @NATFLOW_A_CONFIG_HW_RATE_LIMIT: Directions handed over in a second at the most (u32).
 * @NATFLOW_A_CONFIG_HW_MAX_FLOWS: Directions in the hardware at the most; 0 for what its table
 *   bears (u32).
 */
enum natflow_a_config {
	NATFLOW_A_CONFIG_ENABLED = 1,
	NATFLOW_A_CONFIG_DELAY_PKTS,
	NATFLOW_A_CONFIG_SAMPLE_INTERVAL,
	NATFLOW_A_CONFIG_IDLE_TIMEOUT,
	NATFLOW_A_CONFIG_MAX_FLOWS,
	NATFLOW_A_CONFIG_HOST_FLOWS,
	NATFLOW_A_CONFIG_LEARN_RATE,
	NATFLOW_A_CONFIG_EXCLUDE_MARK,
	NATFLOW_A_CONFIG_EXCLUDE_MASK,
	NATFLOW_A_CONFIG_HWNAT,
	NATFLOW_A_CONFIG_HWNAT_MODE,
	NATFLOW_A_CONFIG_HWNAT_WED,
	NATFLOW_A_CONFIG_HW_MIN_RATE,
	NATFLOW_A_CONFIG_HW_RATE_LIMIT,
	NATFLOW_A_CONFIG_HW_MAX_FLOWS,
	/* private: */
	__NATFLOW_A_CONFIG_MAX,
	NATFLOW_A_CONFIG_MAX = (__NATFLOW_A_CONFIG_MAX - 1)
};

#define NATFLOW_CONFIG_ENABLED_MAX 1
#define NATFLOW_CONFIG_DELAY_PKTS_MAX 65535
#define NATFLOW_CONFIG_SAMPLE_INTERVAL_MIN 100
#define NATFLOW_CONFIG_SAMPLE_INTERVAL_MAX 10000
#define NATFLOW_CONFIG_IDLE_TIMEOUT_MIN 1000
#define NATFLOW_CONFIG_IDLE_TIMEOUT_MAX 600000
#define NATFLOW_CONFIG_MAX_FLOWS_MIN 16
#define NATFLOW_CONFIG_MAX_FLOWS_MAX 1048576
#define NATFLOW_CONFIG_HOST_FLOWS_MIN 1
#define NATFLOW_CONFIG_HOST_FLOWS_MAX 1048576
#define NATFLOW_CONFIG_LEARN_RATE_MIN 1
#define NATFLOW_CONFIG_LEARN_RATE_MAX 1000000
#define NATFLOW_CONFIG_HWNAT_MAX 1
#define NATFLOW_CONFIG_HWNAT_MODE_MAX 1
#define NATFLOW_CONFIG_HWNAT_WED_MAX 1
#define NATFLOW_CONFIG_HW_RATE_LIMIT_MIN 1
#define NATFLOW_CONFIG_HW_RATE_LIMIT_MAX 1000
#define NATFLOW_CONFIG_HW_MAX_FLOWS_MAX 65536

/**
 * enum natflow_a_engine_stats - Counters of one engine since the namespace appeared
 * @NATFLOW_A_ENGINE_STATS_ENGINE: The engine (u32, enum natflow_engine).
 * @NATFLOW_A_ENGINE_STATS_PACKETS: Packets forwarded (u64).
 * @NATFLOW_A_ENGINE_STATS_BYTES: Bytes forwarded, IP header and above (u64).
 * @NATFLOW_A_ENGINE_STATS_PAD: Aligns 64 bit attributes.
 */
enum natflow_a_engine_stats {
	NATFLOW_A_ENGINE_STATS_ENGINE = 1,
	NATFLOW_A_ENGINE_STATS_PACKETS,
	NATFLOW_A_ENGINE_STATS_BYTES,
	NATFLOW_A_ENGINE_STATS_PAD,
	/* private: */
	__NATFLOW_A_ENGINE_STATS_MAX,
	NATFLOW_A_ENGINE_STATS_MAX = (__NATFLOW_A_ENGINE_STATS_MAX - 1)
};

/**
 * enum natflow_a_prefix - An address prefix
 * @NATFLOW_A_PREFIX_ADDR: 4 or 16 bytes, network byte order (binary).
 * @NATFLOW_A_PREFIX_LEN: Prefix length in bits; the whole address when absent (u8).
 */
enum natflow_a_prefix {
	NATFLOW_A_PREFIX_ADDR = 1,
	NATFLOW_A_PREFIX_LEN,
	/* private: */
	__NATFLOW_A_PREFIX_MAX,
	NATFLOW_A_PREFIX_MAX = (__NATFLOW_A_PREFIX_MAX - 1)
};

#define NATFLOW_PREFIX_ADDR_LEN_MAX 16
#define NATFLOW_PREFIX_LEN_MAX 128

/**
 * enum natflow_a_filter - Selects flows; what is given must all match
 * @NATFLOW_A_FILTER_FAMILY: 2 (AF_INET) or 10 (AF_INET6) (u8).
 * @NATFLOW_A_FILTER_L4PROTO: IANA protocol number (u8).
 * @NATFLOW_A_FILTER_PREFIX: Any of the four addresses of the flow lies in one of these
 *   prefixes; at most 256 (nest of NATFLOW_A_PREFIX_*, may repeat).
 * @NATFLOW_A_FILTER_PORT: One of the flow's ports (be16).
 * @NATFLOW_A_FILTER_IFINDEX: A device the flow comes in or goes out by, port or upper device
 *   (u32).
 * @NATFLOW_A_FILTER_MARK: Connection mark, compared under mark-mask; has no bits outside of it
 *   (u32).
 * @NATFLOW_A_FILTER_MARK_MASK: Goes with mark; all bits when absent (u32).
 * @NATFLOW_A_FILTER_MAC: Destination MAC address of one of the directions (binary).
 * @NATFLOW_A_FILTER_STATE: State of the flow (u8, enum natflow_state).
 * @NATFLOW_A_FILTER_REASON: Reason of the flow (u16, enum natflow_reason).
 * @NATFLOW_A_FILTER_MIN_AGE: At least this old; milliseconds (u32).
 * @NATFLOW_A_FILTER_MIN_IDLE: At least so long without a packet; milliseconds (u32).
 * @NATFLOW_A_FILTER_MIN_RATE: At least so many bytes per second, both directions together
 *   (u32).
 *
 * An empty filter matches every flow.
 */
enum natflow_a_filter {
	NATFLOW_A_FILTER_FAMILY = 1,
	NATFLOW_A_FILTER_L4PROTO,
	NATFLOW_A_FILTER_PREFIX,
	NATFLOW_A_FILTER_PORT,
	NATFLOW_A_FILTER_IFINDEX,
	NATFLOW_A_FILTER_MARK,
	NATFLOW_A_FILTER_MARK_MASK,
	NATFLOW_A_FILTER_MAC,
	NATFLOW_A_FILTER_STATE,
	NATFLOW_A_FILTER_REASON,
	NATFLOW_A_FILTER_MIN_AGE,
	NATFLOW_A_FILTER_MIN_IDLE,
	NATFLOW_A_FILTER_MIN_RATE,
	/* private: */
	__NATFLOW_A_FILTER_MAX,
	NATFLOW_A_FILTER_MAX = (__NATFLOW_A_FILTER_MAX - 1)
};

#define NATFLOW_FILTER_IFINDEX_MIN 1
#define NATFLOW_FILTER_MAC_LEN 6

/**
 * enum natflow_a_tuple - A conntrack tuple of either direction
 * @NATFLOW_A_TUPLE_FAMILY: 2 (AF_INET) or 10 (AF_INET6) (u8).
 * @NATFLOW_A_TUPLE_L4PROTO: IANA protocol number (u8).
 * @NATFLOW_A_TUPLE_SRC: Source address, 4 or 16 bytes (binary).
 * @NATFLOW_A_TUPLE_DST: Destination address, 4 or 16 bytes (binary).
 * @NATFLOW_A_TUPLE_SPORT: Source port (be16).
 * @NATFLOW_A_TUPLE_DPORT: Destination port (be16).
 */
enum natflow_a_tuple {
	NATFLOW_A_TUPLE_FAMILY = 1,
	NATFLOW_A_TUPLE_L4PROTO,
	NATFLOW_A_TUPLE_SRC,
	NATFLOW_A_TUPLE_DST,
	NATFLOW_A_TUPLE_SPORT,
	NATFLOW_A_TUPLE_DPORT,
	/* private: */
	__NATFLOW_A_TUPLE_MAX,
	NATFLOW_A_TUPLE_MAX = (__NATFLOW_A_TUPLE_MAX - 1)
};

#define NATFLOW_TUPLE_SRC_LEN_MAX 16
#define NATFLOW_TUPLE_DST_LEN_MAX 16

/**
 * enum natflow_a_path - The way out of one direction, as learned
 * @NATFLOW_A_PATH_DIRECTION: 0 original, 1 reply (u8).
 * @NATFLOW_A_PATH_IN_IFINDEX: Port the packets are expected on (u32).
 * @NATFLOW_A_PATH_DST_IFINDEX: Device the route names (u32).
 * @NATFLOW_A_PATH_OUT_IFINDEX: Port the packets are sent to (u32).
 * @NATFLOW_A_PATH_VLAN: VLAN id put on; absent when none (u16).
 * @NATFLOW_A_PATH_MAC: Destination MAC address (binary).
 * @NATFLOW_A_PATH_MTU: Path MTU in bytes (u32).
 * @NATFLOW_A_PATH_PROVED: Milliseconds since the slow path last forwarded a packet of this
 *   direction (u32).
 * @NATFLOW_A_PATH_INNER_VLAN: VLAN id of the inner of two tags; absent when none (u16).
 * @NATFLOW_A_PATH_PPPOE: PPPoE session id; absent when none (u16).
 * @NATFLOW_A_PATH_KIND: What the way out ends in (u8, enum natflow_egress_kind).
 * @NATFLOW_A_PATH_CONDUIT: Device that carries the frames of a switch port; absent when none
 *   (u32).
 * @NATFLOW_A_PATH_SHAPER: Device above the port whose queueing discipline or filter gets the
 *   packets; absent when none (u32).
 */
enum natflow_a_path {
	NATFLOW_A_PATH_DIRECTION = 1,
	NATFLOW_A_PATH_IN_IFINDEX,
	NATFLOW_A_PATH_DST_IFINDEX,
	NATFLOW_A_PATH_OUT_IFINDEX,
	NATFLOW_A_PATH_VLAN,
	NATFLOW_A_PATH_MAC,
	NATFLOW_A_PATH_MTU,
	NATFLOW_A_PATH_PROVED,
	NATFLOW_A_PATH_INNER_VLAN,
	NATFLOW_A_PATH_PPPOE,
	NATFLOW_A_PATH_KIND,
	NATFLOW_A_PATH_CONDUIT,
	NATFLOW_A_PATH_SHAPER,
	/* private: */
	__NATFLOW_A_PATH_MAX,
	NATFLOW_A_PATH_MAX = (__NATFLOW_A_PATH_MAX - 1)
};

#define NATFLOW_PATH_MAC_LEN 6

/**
 * enum natflow_a_hw_error - How often the hardware's driver answered with one error number
 * @NATFLOW_A_HW_ERROR_ERRNO: The error number, positive (u32).
 * @NATFLOW_A_HW_ERROR_COUNT: Times (u32).
 */
enum natflow_a_hw_error {
	NATFLOW_A_HW_ERROR_ERRNO = 1,
	NATFLOW_A_HW_ERROR_COUNT,
	/* private: */
	__NATFLOW_A_HW_ERROR_MAX,
	NATFLOW_A_HW_ERROR_MAX = (__NATFLOW_A_HW_ERROR_MAX - 1)
};

/**
 * enum natflow_a_hw - The hardware and what it was given
 * @NATFLOW_A_HW_CLIENT: 1 when natflow_hwnat.ko is loaded; without it only reason follows (u8).
 * @NATFLOW_A_HW_REASON: Why nothing of this namespace goes to the hardware: hw-off,
 *   hw-no-client, hw-no-door or hw-backoff; none when something can (u16, enum natflow_reason).
 * @NATFLOW_A_HW_PROFILE: The chip: mt7621, mt7622, mt7981, mt7986, or none when it is not known
 *   (string).
 * @NATFLOW_A_HW_FEATURES: Words that name build options of natflow_hwnat.ko (string).
 * @NATFLOW_A_HW_DOOR: 1 when a device takes flow rules (u8).
 * @NATFLOW_A_HW_COUNTERS: 1 when the hardware counts bytes and packets; 0: they are estimated
 *   (u8).
 * @NATFLOW_A_HW_WED_VERSION: Version of WED, 0 for none. Version 1 carries traffic to WiFi only
 *   (u8).
 * @NATFLOW_A_HW_CAPACITY: Directions that the hardware's table bears (u32).
 * @NATFLOW_A_HW_INSTALLED: Directions handed over now (u32).
 * @NATFLOW_A_HW_BOUND: How many of them the hardware is known to forward (u32).
 * @NATFLOW_A_HW_INSTALLS: Directions handed over since the module was loaded (u64).
 * @NATFLOW_A_HW_DESTROYS: Directions taken back since then (u64).
 * @NATFLOW_A_HW_FAILURES: Directions that the driver refused since then (u64).
 * @NATFLOW_A_HW_ERRORS: The same by error number (nest of NATFLOW_A_HW_ERROR_*, may repeat).
 * @NATFLOW_A_HW_TOKENS: Directions that may be handed over at once: the limit, less those of
 *   the last second (u32).
 * @NATFLOW_A_HW_BACKOFF: Milliseconds until the hardware is tried again after a failure; 0 when
 *   it is not waited for (u32).
 * @NATFLOW_A_HW_BUSY: Per mille of the busiest CPU's last second that went into forwarding and
 *   other kernel work (u32).
 * @NATFLOW_A_HW_PAD: Aligns 64 bit attributes.
 *
 * Of the machine, not of one namespace, where nothing else is said.
 */
enum natflow_a_hw {
	NATFLOW_A_HW_CLIENT = 1,
	NATFLOW_A_HW_REASON,
	NATFLOW_A_HW_PROFILE,
	NATFLOW_A_HW_FEATURES,
	NATFLOW_A_HW_DOOR,
	NATFLOW_A_HW_COUNTERS,
	NATFLOW_A_HW_WED_VERSION,
	NATFLOW_A_HW_CAPACITY,
	NATFLOW_A_HW_INSTALLED,
	NATFLOW_A_HW_BOUND,
	NATFLOW_A_HW_INSTALLS,
	NATFLOW_A_HW_DESTROYS,
	NATFLOW_A_HW_FAILURES,
	NATFLOW_A_HW_ERRORS,
	NATFLOW_A_HW_TOKENS,
	NATFLOW_A_HW_BACKOFF,
	NATFLOW_A_HW_BUSY,
	NATFLOW_A_HW_PAD,
	/* private: */
	__NATFLOW_A_HW_MAX,
	NATFLOW_A_HW_MAX = (__NATFLOW_A_HW_MAX - 1)
};

/**
 * enum natflow_a_hw_device - A device of the namespace that may lead to the hardware
 * @NATFLOW_A_HW_DEVICE_IFINDEX: The device (u32).
 * @NATFLOW_A_HW_DEVICE_DOOR: The device whose driver takes its rules: itself, or a switch
 *   port's conduit; 0 when there is none (u32).
 * @NATFLOW_A_HW_DEVICE_ERRNO: Why the door did not open, positive; 0 when it did (u32).
 * @NATFLOW_A_HW_DEVICE_INSTALLED: Directions that were handed over through it now (u32).
 */
enum natflow_a_hw_device {
	NATFLOW_A_HW_DEVICE_IFINDEX = 1,
	NATFLOW_A_HW_DEVICE_DOOR,
	NATFLOW_A_HW_DEVICE_ERRNO,
	NATFLOW_A_HW_DEVICE_INSTALLED,
	/* private: */
	__NATFLOW_A_HW_DEVICE_MAX,
	NATFLOW_A_HW_DEVICE_MAX = (__NATFLOW_A_HW_DEVICE_MAX - 1)
};

/**
 * enum natflow_a_exception - Flows that are never accelerated
 * @NATFLOW_A_EXCEPTION_SRC: Who opened the connection (nest of NATFLOW_A_PREFIX_*).
 * @NATFLOW_A_EXCEPTION_DST: Whom it was opened to, before or after translation (nest of
 *   NATFLOW_A_PREFIX_*).
 * @NATFLOW_A_EXCEPTION_L4PROTO: IANA protocol number: 6 or 17 (u8).
 * @NATFLOW_A_EXCEPTION_PORT_MIN: First of the ports it was opened to, before or after
 *   translation (be16).
 * @NATFLOW_A_EXCEPTION_PORT_MAX: Last of them; port-min when absent (be16).
 * @NATFLOW_A_EXCEPTION_DEVICE: Name of a device the packets come in or go out by, port or upper
 *   device (string).
 * @NATFLOW_A_EXCEPTION_MAC: MAC address that frames come from or go to (binary).
 * @NATFLOW_A_EXCEPTION_MARK: Connection mark, compared under mark-mask; has no bits outside of
 *   it (u32).
 * @NATFLOW_A_EXCEPTION_MARK_MASK: Goes with mark; all bits when absent (u32).
 *
 * What is given must all match; at least one condition is needed. Source, destination and port
 * are those of the original direction.
 */
enum natflow_a_exception {
	NATFLOW_A_EXCEPTION_SRC = 1,
	NATFLOW_A_EXCEPTION_DST,
	NATFLOW_A_EXCEPTION_L4PROTO,
	NATFLOW_A_EXCEPTION_PORT_MIN,
	NATFLOW_A_EXCEPTION_PORT_MAX,
	NATFLOW_A_EXCEPTION_DEVICE,
	NATFLOW_A_EXCEPTION_MAC,
	NATFLOW_A_EXCEPTION_MARK,
	NATFLOW_A_EXCEPTION_MARK_MASK,
	/* private: */
	__NATFLOW_A_EXCEPTION_MAX,
	NATFLOW_A_EXCEPTION_MAX = (__NATFLOW_A_EXCEPTION_MAX - 1)
};

#define NATFLOW_EXCEPTION_DEVICE_LEN_MAX 15
#define NATFLOW_EXCEPTION_MAC_LEN 6

/**
 * enum natflow_a_exceptions - All exceptions of a namespace, in their order
 * @NATFLOW_A_EXCEPTIONS_EXCEPTION: One of them; at most 256 (nest of NATFLOW_A_EXCEPTION_*, may
 *   repeat).
 */
enum natflow_a_exceptions {
	NATFLOW_A_EXCEPTIONS_EXCEPTION = 1,
	/* private: */
	__NATFLOW_A_EXCEPTIONS_MAX,
	NATFLOW_A_EXCEPTIONS_MAX = (__NATFLOW_A_EXCEPTIONS_MAX - 1)
};

/**
 * enum natflow_a_main - Top-level attributes of all messages
 * @NATFLOW_A_MAIN_CONFIG: Settings (nest of NATFLOW_A_CONFIG_*).
 * @NATFLOW_A_MAIN_VERSION: Version of the module (string).
 * @NATFLOW_A_MAIN_FEATURES: Words that name build options and what was found in the kernel
 *   (string).
 * @NATFLOW_A_MAIN_FLOW_SIZE: Bytes of kernel memory for one IPv4 flow (u32).
 * @NATFLOW_A_MAIN_FLOW6_SIZE: Bytes of kernel memory for one IPv6 flow (u32).
 * @NATFLOW_A_MAIN_UPTIME: Milliseconds since the namespace was set up (u64).
 * @NATFLOW_A_MAIN_ENGINE_STATS: Counters by engine (nest of NATFLOW_A_ENGINE_STATS_*, may
 *   repeat).
 * @NATFLOW_A_MAIN_STATE_FLOWS: Number of flows in each state: u32 in host byte order, indexed
 *   by state (binary).
 * @NATFLOW_A_MAIN_REASON_PACKETS: Packets that were not accelerated, by reason: u64 in host
 *   byte order, indexed by reason (binary).
 * @NATFLOW_A_MAIN_REASON_FLOWS: Flows that are not accelerated now, by reason: u32 in host byte
 *   order, indexed by reason (binary).
 * @NATFLOW_A_MAIN_FILTER: Selects flows (nest of NATFLOW_A_FILTER_*).
 * @NATFLOW_A_MAIN_RECORD_SIZE: Bytes of one record in this message; a reader takes the part it
 *   knows (u32).
 * @NATFLOW_A_MAIN_FLOW_RECORDS: Flow records one behind the other (binary).
 * @NATFLOW_A_MAIN_CLIENT_RECORDS: Client records one behind the other (binary).
 * @NATFLOW_A_MAIN_REMOVED: Flows that were removed, all engines (u32).
 * @NATFLOW_A_MAIN_REMOVED_ACCELERATED: How many of them were accelerated (u32).
 * @NATFLOW_A_MAIN_TUPLE: The flow that is asked about (nest of NATFLOW_A_TUPLE_*).
 * @NATFLOW_A_MAIN_STATE: State of the flow (u8, enum natflow_state).
 * @NATFLOW_A_MAIN_REASON: Reason of the flow (u16, enum natflow_reason).
 * @NATFLOW_A_MAIN_PATH: Learned ways out (nest of NATFLOW_A_PATH_*, may repeat).
 * @NATFLOW_A_MAIN_EVENT: What happened (u32, enum natflow_event).
 * @NATFLOW_A_MAIN_TRACKED: 1 when conntrack knows the tuple (u8).
 * @NATFLOW_A_MAIN_PAD: Aligns 64 bit attributes.
 * @NATFLOW_A_MAIN_HW: The hardware (nest of NATFLOW_A_HW_*).
 * @NATFLOW_A_MAIN_HW_DEVICE: A device that may lead to the hardware (nest of
 *   NATFLOW_A_HW_DEVICE_*).
 * @NATFLOW_A_MAIN_EXCEPTIONS: All exceptions (nest of NATFLOW_A_EXCEPTIONS_*).
 * @NATFLOW_A_MAIN_EXCEPTION_INDEX: Number of an exception, from 0: the one that keeps the flow
 *   slow, absent when none does; or the first in a message (u32).
 * @NATFLOW_A_MAIN_FILTER_IFINDEX: Device above the port whose filter must see what comes in,
 *   and last kept a flow slow with the reason qdisc; 0 when none did (u32).
 * @NATFLOW_A_MAIN_SHAPER_IFINDEX: A device whose queueing discipline or egress filter gets
 *   packets of accelerated flows; 0 when there is none (u32).
 */
enum natflow_a_main {
	NATFLOW_A_MAIN_CONFIG = 1,
	NATFLOW_A_MAIN_VERSION,
	NATFLOW_A_MAIN_FEATURES,
	NATFLOW_A_MAIN_FLOW_SIZE,
	NATFLOW_A_MAIN_FLOW6_SIZE,
	NATFLOW_A_MAIN_UPTIME,
	NATFLOW_A_MAIN_ENGINE_STATS,
	NATFLOW_A_MAIN_STATE_FLOWS,
	NATFLOW_A_MAIN_REASON_PACKETS,
	NATFLOW_A_MAIN_REASON_FLOWS,
	NATFLOW_A_MAIN_FILTER,
	NATFLOW_A_MAIN_RECORD_SIZE,
	NATFLOW_A_MAIN_FLOW_RECORDS,
	NATFLOW_A_MAIN_CLIENT_RECORDS,
	NATFLOW_A_MAIN_REMOVED,
	NATFLOW_A_MAIN_REMOVED_ACCELERATED,
	NATFLOW_A_MAIN_TUPLE,
	NATFLOW_A_MAIN_STATE,
	NATFLOW_A_MAIN_REASON,
	NATFLOW_A_MAIN_PATH,
	NATFLOW_A_MAIN_EVENT,
	NATFLOW_A_MAIN_TRACKED,
	NATFLOW_A_MAIN_PAD,
	NATFLOW_A_MAIN_HW,
	NATFLOW_A_MAIN_HW_DEVICE,
	NATFLOW_A_MAIN_EXCEPTIONS,
	NATFLOW_A_MAIN_EXCEPTION_INDEX,
	NATFLOW_A_MAIN_FILTER_IFINDEX,
	NATFLOW_A_MAIN_SHAPER_IFINDEX,
	/* private: */
	__NATFLOW_A_MAIN_MAX,
	NATFLOW_A_MAIN_MAX = (__NATFLOW_A_MAIN_MAX - 1)
};

/**
 * enum natflow_cmd - Commands of the family natflow
 * @NATFLOW_CMD_CONFIG_GET: Version, features, sizes and all settings (do).
 * @NATFLOW_CMD_CONFIG_SET: Change the settings that are given; all are checked before any is
 *   changed (do).
 * @NATFLOW_CMD_STATS_GET: Counters of the namespace (do).
 * @NATFLOW_CMD_FLOW_GET: Dump flows as packed records, many in one message. A flow may come
 *   twice while the table is resized; readers drop repeated ids (dump).
 * @NATFLOW_CMD_FLOW_FLUSH: Remove the flows that match; their connections live on and may be
 *   learned again (do).
 * @NATFLOW_CMD_FLOW_EXPLAIN: Tell how the flow of a tuple is forwarded, and why. A tuple that
 *   nobody knows answers with "tracked" 0 (do).
 * @NATFLOW_CMD_CLIENT_GET: Dump the inner hosts as packed records (dump).
 * @NATFLOW_CMD_EVENT: Sent to the multicast groups only (event).
 * @NATFLOW_CMD_HW_GET: Tell whether there is hardware, and what it was given (do).
 * @NATFLOW_CMD_HW_DEVICE_GET: Dump the devices of the namespace that may lead to the hardware,
 *   one in a message (dump).
 * @NATFLOW_CMD_REPROVE: Let no earlier proof count: the next packet of every direction takes
 *   the normal stack. For whoever notices a change that the module cannot see (do).
 * @NATFLOW_CMD_EXCEPTION_SET: Replace all exceptions; without any there are none. They hold for
 *   running flows at once (do).
 * @NATFLOW_CMD_EXCEPTION_GET: Dump the exceptions in their order, several in one message;
 *   exception-index is the number of the first of them. It is 0 again when the exceptions were
 *   replaced meanwhile (dump).
 */
enum natflow_cmd {
	NATFLOW_CMD_CONFIG_GET = 1,
	NATFLOW_CMD_CONFIG_SET,
	NATFLOW_CMD_STATS_GET,
	NATFLOW_CMD_FLOW_GET,
	NATFLOW_CMD_FLOW_FLUSH,
	NATFLOW_CMD_FLOW_EXPLAIN,
	NATFLOW_CMD_CLIENT_GET,
	NATFLOW_CMD_EVENT,
	NATFLOW_CMD_HW_GET,
	NATFLOW_CMD_HW_DEVICE_GET,
	NATFLOW_CMD_REPROVE,
	NATFLOW_CMD_EXCEPTION_SET,
	NATFLOW_CMD_EXCEPTION_GET,
	/* private: */
	__NATFLOW_CMD_MAX,
	NATFLOW_CMD_MAX = (__NATFLOW_CMD_MAX - 1)
};

#endif /* NATFLOW_UAPI_H */
