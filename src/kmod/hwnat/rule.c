// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a direction of a flow to the match and action keys of the kernel's flow rules.
 *
 * The MediaTek driver takes exactly one shape of each: the keys META, CONTROL, BASIC, addresses
 * and PORTS, and the header rewrites at the offsets and with the masks below. What it ignores
 * (tags of received packets, TCP flags) is left out.
 */
#include <linux/ip.h>
#include <linux/slab.h>
#include <linux/tc_act/tc_csum.h>
#include <net/flow_dissector.h>

#include "rule.h"

/* Two and two words of MAC addresses, two addresses, two ports, checksum, two tags, redirect. */
#define MAX_ACTIONS	13

struct keys {
	struct flow_dissector_key_meta		meta;
	struct flow_dissector_key_control	control;
	struct flow_dissector_key_basic		basic;
	union {
		struct flow_dissector_key_ipv4_addrs	v4;
		struct flow_dissector_key_ipv6_addrs	v6;
	};
	struct flow_dissector_key_ports		ports;
} __aligned(BITS_PER_LONG / 8);

/* A rule and what it points to. */
struct holder {
	struct flow_dissector	dissector;
	struct keys		key;
	struct keys		mask;
	struct flow_rule	*rule;
};

static void use_key(struct flow_dissector *dissector, enum flow_dissector_key_id id, size_t offset)
{
	dissector->used_keys |= (typeof(dissector->used_keys))1 << id;
	dissector->offset[id] = offset;
}

static void match4(struct holder *holder, const struct hwnat_rule *rule)
{
	holder->key.control.addr_type = FLOW_DISSECTOR_KEY_IPV4_ADDRS;
	holder->key.basic.n_proto = htons(ETH_P_IP);
	holder->key.v4.src = rule->src.ip;
	holder->key.v4.dst = rule->dst.ip;
	memset(&holder->mask.v4, 0xff, sizeof(holder->mask.v4));
	use_key(&holder->dissector, FLOW_DISSECTOR_KEY_IPV4_ADDRS, offsetof(struct keys, v4));
}

static void match6(struct holder *holder, const struct hwnat_rule *rule)
{
	holder->key.control.addr_type = FLOW_DISSECTOR_KEY_IPV6_ADDRS;
	holder->key.basic.n_proto = htons(ETH_P_IPV6);
	holder->key.v6.src = rule->src.in6;
	holder->key.v6.dst = rule->dst.in6;
	memset(&holder->mask.v6, 0xff, sizeof(holder->mask.v6));
	use_key(&holder->dissector, FLOW_DISSECTOR_KEY_IPV6_ADDRS, offsetof(struct keys, v6));
}

static void match(struct holder *holder, const struct hwnat_rule *rule)
{
	use_key(&holder->dissector, FLOW_DISSECTOR_KEY_META, offsetof(struct keys, meta));
	use_key(&holder->dissector, FLOW_DISSECTOR_KEY_CONTROL, offsetof(struct keys, control));
	use_key(&holder->dissector, FLOW_DISSECTOR_KEY_BASIC, offsetof(struct keys, basic));
	use_key(&holder->dissector, FLOW_DISSECTOR_KEY_PORTS, offsetof(struct keys, ports));

	holder->key.meta.ingress_ifindex = rule->iif;
	memset(&holder->mask.meta.ingress_ifindex, 0xff,
	       sizeof(holder->mask.meta.ingress_ifindex));
	holder->mask.control.addr_type = 0xffff;
	holder->key.basic.ip_proto = rule->l4proto;
	memset(&holder->mask.basic, 0xff, sizeof(holder->mask.basic));
	holder->key.ports.src = rule->sport;
	holder->key.ports.dst = rule->dport;
	memset(&holder->mask.ports, 0xff, sizeof(holder->mask.ports));
	if (rule->family == AF_INET)
		match4(holder, rule);
	else
		match6(holder, rule);

	holder->rule->match.dissector = &holder->dissector;
	holder->rule->match.key = &holder->key;
	holder->rule->match.mask = &holder->mask;
}

static struct flow_action_entry *next(struct flow_rule *rule, enum flow_action_id id)
{
	struct flow_action_entry *entry = &rule->action.entries[rule->action.num_entries++];

	entry->id = id;
	entry->hw_stats = FLOW_ACTION_HW_STATS_ANY;
	return entry;
}

/* A word of a header becomes @value, but for the bits in @keep. */
static void mangle(struct flow_rule *rule, enum flow_action_mangle_base base, u32 offset,
		   u32 keep, const void *value)
{
	struct flow_action_entry *entry = next(rule, FLOW_ACTION_MANGLE);

	entry->mangle.htype = base;
	entry->mangle.offset = offset;
	entry->mangle.mask = keep;
	memcpy(&entry->mangle.val, value, sizeof(entry->mangle.val));
}

/* The two addresses meet in the middle of the second word, which is therefore written in two. */
static void mangle_macs(struct flow_rule *rule, const struct hwnat_rule *from)
{
	u8 half[sizeof(u32)] = {};

	mangle(rule, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 0, 0, from->dst_mac);
	memcpy(half, from->dst_mac + 4, 2);
	mangle(rule, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 4, 0xffff0000, half);
	memset(half, 0, sizeof(half));
	memcpy(half + 2, from->src_mac, 2);
	mangle(rule, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 4, 0x0000ffff, half);
	mangle(rule, FLOW_ACT_MANGLE_HDR_TYPE_ETH, 8, 0, from->src_mac + 2);
}

/* Both ports are one word; which half is meant is told by the mask alone. */
static void mangle_ports(struct flow_rule *rule, const struct hwnat_rule *from)
{
	enum flow_action_mangle_base base = from->l4proto == IPPROTO_TCP ?
					    FLOW_ACT_MANGLE_HDR_TYPE_TCP :
					    FLOW_ACT_MANGLE_HDR_TYPE_UDP;
	__be32 port = htonl((u32)ntohs(from->to_sport) << 16);

	mangle(rule, base, 0, ~(__force u32)htonl(0xffff0000), &port);
	port = htonl(ntohs(from->to_dport));
	mangle(rule, base, 0, ~(__force u32)htonl(0xffff), &port);
}

static void translate(struct flow_rule *rule, const struct hwnat_rule *from)
{
	struct flow_action_entry *entry;

	mangle(rule, FLOW_ACT_MANGLE_HDR_TYPE_IP4, offsetof(struct iphdr, saddr), 0,
	       &from->to_src.ip);
	mangle(rule, FLOW_ACT_MANGLE_HDR_TYPE_IP4, offsetof(struct iphdr, daddr), 0,
	       &from->to_dst.ip);
	mangle_ports(rule, from);
	entry = next(rule, FLOW_ACTION_CSUM);
	entry->csum_flags = TCA_CSUM_UPDATE_FLAG_IPV4HDR;
	entry->csum_flags |= from->l4proto == IPPROTO_TCP ? TCA_CSUM_UPDATE_FLAG_TCP :
							    TCA_CSUM_UPDATE_FLAG_UDP;
}

static void push(struct flow_rule *rule, const struct natflow_encap *encap)
{
	struct flow_action_entry *entry;

	if (natflow_encap_is_pppoe(encap)) {
		entry = next(rule, FLOW_ACTION_PPPOE_PUSH);
		entry->pppoe.sid = encap->id;
		return;
	}
	entry = next(rule, FLOW_ACTION_VLAN_PUSH);
	entry->vlan.vid = encap->id;
	entry->vlan.proto = encap->proto;
}

/**
 * hwnat_rule_build() - a rule for FLOW_CLS_REPLACE
 * @rule: what it shall do
 *
 * Return: the rule, for hwnat_rule_free(); NULL without memory.
 */
struct flow_rule *hwnat_rule_build(const struct hwnat_rule *rule)
{
	struct flow_action_entry *redirect;
	struct flow_rule *flow_rule;
	struct holder *holder;
	unsigned int i;

	holder = kzalloc(sizeof(*holder), GFP_KERNEL);
	if (!holder)
		return NULL;
	flow_rule = flow_rule_alloc(MAX_ACTIONS);
	if (!flow_rule) {
		kfree(holder);
		return NULL;
	}
	holder->rule = flow_rule;
	match(holder, rule);
	/* Allocated with as many actions as there may be; counted as they are added. */
	flow_rule->action.num_entries = 0;
	mangle_macs(flow_rule, rule);
	for (i = 0; i < rule->encap_count; i++)
		push(flow_rule, &rule->encap[i]);
	if (rule->nat)
		translate(flow_rule, rule);
	redirect = next(flow_rule, FLOW_ACTION_REDIRECT);
	redirect->dev = rule->dev;
	return flow_rule;
}

/**
 * hwnat_rule_free() - free a rule
 * @flow_rule: the rule; drivers keep nothing of it
 */
void hwnat_rule_free(struct flow_rule *flow_rule)
{
	kfree(container_of(flow_rule->match.dissector, struct holder, dissector));
	kfree(flow_rule);
}
