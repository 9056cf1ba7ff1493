// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flow tables: one for each address family, resizable, read under RCU.
 *
 * The hash is symmetric (both directions of a connection hash alike) and keyed with a secret
 * drawn at load time, so that nobody outside can pick ports that collide. A flow without
 * translation therefore needs one node for both directions; a translated one has a node for
 * each tuple.
 */
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/siphash.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack_tuple.h>

#include "table.h"

static hsiphash_key_t hash_key __read_mostly;

static u32 hash4(const void *data, u32 len, u32 seed)
{
	const struct natflow_key4 *key = data;
	u32 saddr = (__force u32)key->saddr, daddr = (__force u32)key->daddr;
	u32 sport = (__force u16)key->sport, dport = (__force u16)key->dport;

	if (saddr > daddr || (saddr == daddr && sport > dport)) {
		swap(saddr, daddr);
		swap(sport, dport);
	}
	return hsiphash_4u32(saddr, daddr, sport << 16 | dport, key->l4proto ^ seed, &hash_key);
}

static u32 hash6(const void *data, u32 len, u32 seed)
{
	const struct natflow_key6 *key = data;
	struct natflow_key6 mirror;
	int order = memcmp(&key->saddr, &key->daddr, sizeof(key->saddr));

	if (order < 0 ||
	    (!order && (__force u16)key->sport <= (__force u16)key->dport)) {
		mirror = *key;
	} else {
		mirror.saddr = key->daddr;
		mirror.daddr = key->saddr;
		mirror.sport = key->dport;
		mirror.dport = key->sport;
		mirror.l4proto = key->l4proto;
	}
	mirror.l4proto ^= seed;
	return hsiphash(&mirror, sizeof(mirror), &hash_key);
}

bool natflow_key4_same(const struct natflow_key4 *a, const struct natflow_key4 *b)
{
	return a->saddr == b->saddr && a->daddr == b->daddr && a->sport == b->sport &&
	       a->dport == b->dport && a->l4proto == b->l4proto;
}

static bool mirrored4(const struct natflow_key4 *a, const struct natflow_key4 *b)
{
	return a->saddr == b->daddr && a->daddr == b->saddr && a->sport == b->dport &&
	       a->dport == b->sport && a->l4proto == b->l4proto;
}

bool natflow_key6_same(const struct natflow_key6 *a, const struct natflow_key6 *b)
{
	return a->sport == b->sport && a->dport == b->dport && a->l4proto == b->l4proto &&
	       ipv6_addr_equal(&a->saddr, &b->saddr) && ipv6_addr_equal(&a->daddr, &b->daddr);
}

static bool mirrored6(const struct natflow_key6 *a, const struct natflow_key6 *b)
{
	return a->sport == b->dport && a->dport == b->sport && a->l4proto == b->l4proto &&
	       ipv6_addr_equal(&a->saddr, &b->daddr) && ipv6_addr_equal(&a->daddr, &b->saddr);
}

static int differs4(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct natflow_half4 *half4 = obj;

	if (natflow_key4_same(arg->key, &half4->key))
		return 0;
	return !((half4->half.flags & NATFLOW_HALF_SYMMETRIC) && mirrored4(arg->key, &half4->key));
}

static int differs6(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct natflow_half6 *half6 = obj;

	if (natflow_key6_same(arg->key, &half6->key))
		return 0;
	return !((half6->half.flags & NATFLOW_HALF_SYMMETRIC) && mirrored6(arg->key, &half6->key));
}

static const struct rhashtable_params table4_params = {
	.head_offset = offsetof(struct natflow_half4, half.node),
	.key_offset = offsetof(struct natflow_half4, key),
	.key_len = sizeof(struct natflow_key4),
	.hashfn = hash4,
	.obj_cmpfn = differs4,
	.automatic_shrinking = true,
};

static const struct rhashtable_params table6_params = {
	.head_offset = offsetof(struct natflow_half6, half.node),
	.key_offset = offsetof(struct natflow_half6, key),
	.key_len = sizeof(struct natflow_key6),
	.hashfn = hash6,
	.obj_cmpfn = differs6,
	.automatic_shrinking = true,
};

void natflow_key4_set(struct natflow_key4 *key, const struct nf_conntrack_tuple *tuple)
{
	key->saddr = tuple->src.u3.ip;
	key->daddr = tuple->dst.u3.ip;
	key->sport = tuple->src.u.all;
	key->dport = tuple->dst.u.all;
	key->l4proto = tuple->dst.protonum;
}

void natflow_key6_set(struct natflow_key6 *key, const struct nf_conntrack_tuple *tuple)
{
	key->saddr = tuple->src.u3.in6;
	key->daddr = tuple->dst.u3.in6;
	key->sport = tuple->src.u.all;
	key->dport = tuple->dst.u.all;
	key->l4proto = tuple->dst.protonum;
}

/**
 * natflow_table_find4() - look an IPv4 packet's tuple up; under the RCU read lock
 * @nn: namespace
 * @key: the tuple
 *
 * Return: the half of the direction the tuple belongs to, or NULL.
 */
struct natflow_half *natflow_table_find4(struct natflow_net *nn, const struct natflow_key4 *key)
{
	struct natflow_half4 *half4 = rhashtable_lookup(&nn->table4, key, table4_params);

	if (!half4)
		return NULL;
	if (half4->half.flags & NATFLOW_HALF_SYMMETRIC && !natflow_key4_same(key, &half4->key))
		half4++;
	return &half4->half;
}

/**
 * natflow_table_find6() - look an IPv6 packet's tuple up; under the RCU read lock
 * @nn: namespace
 * @key: the tuple
 *
 * Return: the half of the direction the tuple belongs to, or NULL.
 */
struct natflow_half *natflow_table_find6(struct natflow_net *nn, const struct natflow_key6 *key)
{
	struct natflow_half6 *half6 = rhashtable_lookup(&nn->table6, key, table6_params);

	if (!half6)
		return NULL;
	if (half6->half.flags & NATFLOW_HALF_SYMMETRIC && !natflow_key6_same(key, &half6->key))
		half6++;
	return &half6->half;
}

/**
 * natflow_table_find() - look a conntrack tuple up; under the RCU read lock
 * @nn: namespace
 * @tuple: tuple of either direction
 *
 * Return: the half of the direction the tuple belongs to, or NULL.
 */
struct natflow_half *natflow_table_find(struct natflow_net *nn,
					const struct nf_conntrack_tuple *tuple)
{
	union {
		struct natflow_key4 key4;
		struct natflow_key6 key6;
	} u;

	if (tuple->src.l3num == AF_INET) {
		natflow_key4_set(&u.key4, tuple);
		return natflow_table_find4(nn, &u.key4);
	}
	natflow_key6_set(&u.key6, tuple);
	return natflow_table_find6(nn, &u.key6);
}

static int insert_node(struct natflow_net *nn, struct natflow_half *half, u8 family)
{
	if (family == AF_INET)
		return rhashtable_lookup_insert_fast(&nn->table4, &half->node, table4_params);
	return rhashtable_lookup_insert_fast(&nn->table6, &half->node, table6_params);
}

static void remove_node(struct natflow_net *nn, struct natflow_half *half, u8 family)
{
	if (family == AF_INET)
		rhashtable_remove_fast(&nn->table4, &half->node, table4_params);
	else
		rhashtable_remove_fast(&nn->table6, &half->node, table6_params);
}

/**
 * natflow_table_insert() - make a flow visible to lookups
 * @nn: namespace
 * @flow: the flow, complete
 *
 * The reply node goes in first, so that whoever finds the original node finds a whole flow.
 *
 * Return: 0, -EEXIST when another flow has the tuple, or the table's own error.
 */
int natflow_table_insert(struct natflow_net *nn, struct natflow_flow *flow)
{
	struct natflow_half *original = natflow_flow_half(flow, IP_CT_DIR_ORIGINAL);
	struct natflow_half *reply = natflow_flow_half(flow, IP_CT_DIR_REPLY);
	bool symmetric = original->flags & NATFLOW_HALF_SYMMETRIC;
	int err;

	if (!symmetric) {
		err = insert_node(nn, reply, flow->family);
		if (err)
			return err;
	}
	err = insert_node(nn, original, flow->family);
	if (err && !symmetric)
		remove_node(nn, reply, flow->family);
	return err;
}

/**
 * natflow_table_remove() - hide a flow from lookups
 * @nn: namespace
 * @flow: a flow that was inserted
 */
void natflow_table_remove(struct natflow_net *nn, struct natflow_flow *flow)
{
	struct natflow_half *original = natflow_flow_half(flow, IP_CT_DIR_ORIGINAL);

	remove_node(nn, original, flow->family);
	if (!(original->flags & NATFLOW_HALF_SYMMETRIC))
		remove_node(nn, natflow_flow_half(flow, IP_CT_DIR_REPLY), flow->family);
}

void natflow_table_seed(void)
{
	get_random_bytes(&hash_key, sizeof(hash_key));
}

int natflow_table_init(struct natflow_net *nn)
{
	int err = rhashtable_init(&nn->table4, &table4_params);

	if (err)
		return err;
	err = rhashtable_init(&nn->table6, &table6_params);
	if (err)
		rhashtable_destroy(&nn->table4);
	return err;
}

void natflow_table_destroy(struct natflow_net *nn)
{
	rhashtable_destroy(&nn->table6);
	rhashtable_destroy(&nn->table4);
}
