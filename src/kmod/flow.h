/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_FLOW_H
#define NATFLOW_FLOW_H

#include <linux/cache.h>
#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <net/netfilter/nf_conntrack.h>

#include "encap.h"
#include "rewrite.h"
#include "uapi.h"

struct natflow_client;
struct natflow_egress;
struct natflow_net;

/* Keys of the two tables: the conntrack tuple as it stands in the packet. */
struct natflow_key4 {
	__be32		saddr;
	__be32		daddr;
	__be16		sport;
	__be16		dport;
	u32		l4proto;
};

struct natflow_key6 {
	struct in6_addr	saddr;
	struct in6_addr	daddr;
	__be16		sport;
	__be16		dport;
	u32		l4proto;
};

/* What a direction's headers become. */
struct natflow_to4 {
	__be32		saddr;
	__be32		daddr;
	__be16		sport;
	__be16		dport;
};

struct natflow_to6 {
	struct in6_addr	saddr;
	struct in6_addr	daddr;
	__be16		sport;
	__be16		dport;
};

#define NATFLOW_HALF_NAT	BIT(0)	/* addresses or ports change */
#define NATFLOW_HALF_SYMMETRIC	BIT(1)	/* the node serves both directions */
#define NATFLOW_HALF_SEEN	BIT(2)	/* its own packets told where they come in */

/**
 * struct natflow_half - one direction of a flow, the part that every packet reads
 * @node: in the table; of a symmetric flow only the original direction's node is used
 * @egress: way out; NULL until learned, or when the flow was refused
 * @encap: tags and PPPoE header that the packets are expected to carry
 * @encaps: the same as one word
 * @iif: port the packets are expected on, 0 when not known
 * @dir: enum ip_conntrack_dir
 * @flags: NATFLOW_HALF_*
 * @encap_count: how many of @encap
 *
 * With its IPv4 key, translation and checksum changes it fills one 64-byte line, an IPv6 half two.
 */
struct natflow_half {
	struct rhash_head		node;
	struct natflow_egress __rcu	*egress;
	union {
		struct natflow_encap	encap[NATFLOW_ENCAP_MAX];
		u64			encaps;
	};
	u32				iif;
	u8				dir;
	u8				flags;
	u8				encap_count;
};

struct natflow_half4 {
	struct natflow_half	half;
	struct natflow_key4	key;
	struct natflow_to4	to;
	struct natflow_delta	delta;
} ____cacheline_aligned;

struct natflow_half6 {
	struct natflow_half	half;
	struct natflow_key6	key;
	struct natflow_to6	to;
	struct natflow_delta	delta;
} ____cacheline_aligned;

/**
 * struct natflow_proof - the slow path forwarded a packet of this direction
 * @at: jiffies when it did
 * @until: jiffies when that is too long ago
 * @gen: generation of the namespace then
 * @ruleset: nftables' ruleset counter then; 0 where the kernel has none
 * @mark: packet mark it left with
 * @priority: packet priority it left with
 */
struct natflow_proof {
	u32	at;
	u32	until;
	u32	gen;
	u32	ruleset;
	u32	mark;
	u32	priority;
};

/* Written for every packet: on a line of its own for each direction. */
struct natflow_counter {
	atomic64_t	packets;
	atomic64_t	bytes;
	u32		seen;		/* jiffies */
	u32		end;		/* sequence number behind the last TCP segment */
	u32		ack;		/* its acknowledgment number */
} ____cacheline_aligned;

#define NATFLOW_FLOW_DEAD	0	/* removed from the table */
#define NATFLOW_FLOW_STARTED	1	/* was accelerated at least once; told to listeners */
#define NATFLOW_FLOW_OFFLOADED	2	/* conntrack's offload bits are ours */

/**
 * struct natflow_hw_dir - one direction in the hardware; written by the client, see offload.h
 * @packets: packets the hardware has forwarded
 * @bytes: bytes of them
 * @rate: bytes per second between the last two looks at its counters
 * @reason: enum natflow_reason, why it is not there
 * @error: error number of the last refusal, positive
 * @state: enum natflow_hw_state
 * @flags: enum natflow_hw_flag
 */
struct natflow_hw_dir {
	atomic64_t	packets;
	atomic64_t	bytes;
	u32		rate;
	u16		reason;
	u16		error;
	u8		state;
	u8		flags;
};

/**
 * struct natflow_flow - a connection that natflow knows
 * @proof: last proof by direction; read for every packet, written once per re-proof interval
 * @flags: NATFLOW_FLOW_*
 * @family: AF_INET or AF_INET6
 * @l4proto: IPPROTO_TCP or IPPROTO_UDP
 * @reason: enum natflow_reason, why it is not accelerated
 * @pcp: VLAN priorities by direction, natflow_egress_pcp()
 * @count: packets and bytes of the fast path by direction
 * @lock: guards egress of both halves, @reason, removal and the fields below
 * @ct: its conntrack entry, one reference held
 * @nn: namespace it belongs to
 * @client: inner host, one reference held; NULL when there were too many
 * @client_from: direction that leaves the inner host
 * @id: number of the flow
 * @index: its place in natflow_net.flows
 * @created: jiffies
 * @slow_seen: jiffies of the last packet on the slow path
 * @slow_packets: packets seen by the POST_ROUTING hook
 * @last: counters at the last ageing run by direction, fast path and conntrack
 * @rate: bytes per second of the last ageing interval by direction
 * @refused: why the last packet of a direction found no way out; under @lock
 * @exceptions_id: list of exceptions that @exception is about
 * @exception: by direction, number + 1 of the exception about its way that holds for it, or 0
 * @users: references: the table's, and the hardware client's
 * @hw: what the hardware does, by direction
 * @hw_entry: the hardware client's, NULL when there is nothing in the hardware
 * @hw_seen: jiffies of the last packet that the hardware is known to have forwarded, 0 for none
 * @hw_retry: jiffies before which the client does not try it again, 0 for at once
 * @hw_withdrawn: jiffies when it was taken back last, 0 for never
 * @in_mac: our MAC address, which the frames of a direction are sent to
 * @rcu: for freeing
 *
 * Readers hold the RCU read lock. State that conntrack owns stays in conntrack; what we add
 * stays here.
 */
struct natflow_flow {
	struct natflow_proof	proof[IP_CT_DIR_MAX];
	unsigned long		flags;
	u8			family;
	u8			l4proto;
	u16			reason;
	u8			pcp[IP_CT_DIR_MAX];

	struct natflow_counter	count[IP_CT_DIR_MAX];

	spinlock_t		lock;	/* see above */
	struct nf_conn		*ct;
	struct natflow_net	*nn;
	struct natflow_client	*client;
	u8			client_from;
	u64			id;
	u32			index;
	u32			created;
	u32			slow_seen;
	u32			slow_packets;
	struct {
		u64		packets;
		u64		bytes;
		u64		ct_packets;
		u64		ct_bytes;
	} last[IP_CT_DIR_MAX];
	u32			rate[IP_CT_DIR_MAX];
	u16			refused[IP_CT_DIR_MAX];
	u32			exceptions_id;
	u16			exception[IP_CT_DIR_MAX];
	refcount_t		users;
	struct natflow_hw_dir	hw[IP_CT_DIR_MAX];
	void			*hw_entry;
	u32			hw_seen;
	u32			hw_retry;
	u32			hw_withdrawn;
	u8			in_mac[IP_CT_DIR_MAX][ETH_ALEN];
	struct rcu_head		rcu;
};

struct natflow_flow4 {
	struct natflow_half4	half[IP_CT_DIR_MAX];
	struct natflow_flow	flow;
};

struct natflow_flow6 {
	struct natflow_half6	half[IP_CT_DIR_MAX];
	struct natflow_flow	flow;
};

int natflow_flow_init(void);
void natflow_flow_exit(void);

size_t natflow_flow_size(u8 family);
struct natflow_half *natflow_flow_half(struct natflow_flow *flow, int dir);
struct natflow_flow *natflow_half_flow(struct natflow_half *half, u8 family);
struct natflow_flow *natflow_flow_create(struct natflow_net *nn, struct nf_conn *ct,
					 enum natflow_reason *reason);
bool natflow_flow_remove(struct natflow_flow *flow);
void natflow_flow_put(struct natflow_flow *flow);

/* Are the offload bits of its connection ours? */
static inline bool natflow_flow_offloaded(const struct natflow_flow *flow)
{
	return test_bit(NATFLOW_FLOW_OFFLOADED, &flow->flags);
}

void natflow_flow_account(struct natflow_flow *flow);
void natflow_flow_forget_window(const struct natflow_flow *flow);
void natflow_flow_refuse(struct natflow_flow *flow, enum natflow_reason reason);
enum natflow_state natflow_flow_state(const struct natflow_flow *flow);
u32 natflow_flow_idle(const struct natflow_flow *flow);
unsigned int natflow_flow_remove_all(struct natflow_net *nn);

#endif /* NATFLOW_FLOW_H */
