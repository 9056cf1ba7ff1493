// SPDX-License-Identifier: GPL-2.0-only
/* The flow object: creation from a conntrack entry, accounting, removal. */
#include <linux/slab.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_acct.h>

#include "age.h"
#include "client.h"
#include "flow.h"
#include "netlink.h"
#include "offload.h"
#include "path.h"
#include "table.h"

static struct kmem_cache *cache4 __read_mostly;
static struct kmem_cache *cache6 __read_mostly;
static atomic64_t next_id = ATOMIC64_INIT(0);

int natflow_flow_init(void)
{
	/* What every packet reads of its flow is meant to lie in this much. */
	BUILD_BUG_ON(sizeof(struct natflow_half4) > ALIGN(64, SMP_CACHE_BYTES));
	BUILD_BUG_ON(sizeof(struct natflow_half6) > ALIGN(128, SMP_CACHE_BYTES));
	BUILD_BUG_ON(offsetof(struct natflow_flow, count) > ALIGN(64, SMP_CACHE_BYTES));

	cache4 = kmem_cache_create("natflow_flow4", sizeof(struct natflow_flow4), 0,
				   SLAB_HWCACHE_ALIGN, NULL);
	if (!cache4)
		return -ENOMEM;
	cache6 = kmem_cache_create("natflow_flow6", sizeof(struct natflow_flow6), 0,
				   SLAB_HWCACHE_ALIGN, NULL);
	if (!cache6) {
		kmem_cache_destroy(cache4);
		return -ENOMEM;
	}
	return 0;
}

/* After rcu_barrier(): freed flows come back through RCU callbacks. */
void natflow_flow_exit(void)
{
	kmem_cache_destroy(cache6);
	kmem_cache_destroy(cache4);
}

size_t natflow_flow_size(u8 family)
{
	return family == AF_INET ? sizeof(struct natflow_flow4) : sizeof(struct natflow_flow6);
}

struct natflow_half *natflow_flow_half(struct natflow_flow *flow, int dir)
{
	if (flow->family == AF_INET)
		return &container_of(flow, struct natflow_flow4, flow)->half[dir].half;
	return &container_of(flow, struct natflow_flow6, flow)->half[dir].half;
}
EXPORT_SYMBOL_GPL(natflow_flow_half);

struct natflow_flow *natflow_half_flow(struct natflow_half *half, u8 family)
{
	struct natflow_half4 *half4 = container_of(half, struct natflow_half4, half);
	struct natflow_half6 *half6 = container_of(half, struct natflow_half6, half);

	if (family == AF_INET)
		return &container_of(half4 - half->dir, struct natflow_flow4, half[0])->flow;
	return &container_of(half6 - half->dir, struct natflow_flow6, half[0])->flow;
}

/* Fills a half; @tuple is the one its packets arrive with, @other that of the other direction. */
static void set_half4(struct natflow_half4 *half4, const struct nf_conntrack_tuple *tuple,
		      const struct nf_conntrack_tuple *other)
{
	struct natflow_key4 *key = &half4->key;
	struct natflow_to4 *to = &half4->to;

	natflow_key4_set(key, tuple);
	to->saddr = other->dst.u3.ip;
	to->daddr = other->src.u3.ip;
	to->sport = other->dst.u.all;
	to->dport = other->src.u.all;
	natflow_delta_set(&half4->delta, key, to, 4);
}

static void set_half6(struct natflow_half6 *half6, const struct nf_conntrack_tuple *tuple,
		      const struct nf_conntrack_tuple *other)
{
	struct natflow_key6 *key = &half6->key;
	struct natflow_to6 *to = &half6->to;

	natflow_key6_set(key, tuple);
	to->saddr = other->dst.u3.in6;
	to->daddr = other->src.u3.in6;
	to->sport = other->dst.u.all;
	to->dport = other->src.u.all;
	natflow_delta_set(&half6->delta, key, to, 16);
}

static void set_half(struct natflow_flow *flow, int dir)
{
	const struct nf_conntrack_tuple *tuple = &flow->ct->tuplehash[dir].tuple;
	const struct nf_conntrack_tuple *other = &flow->ct->tuplehash[!dir].tuple;
	struct natflow_half *half = natflow_flow_half(flow, dir);

	half->dir = dir;
	if (flow->family == AF_INET)
		set_half4(container_of(half, struct natflow_half4, half), tuple, other);
	else
		set_half6(container_of(half, struct natflow_half6, half), tuple, other);
	if (nf_inet_addr_cmp(&tuple->src.u3, &other->dst.u3) &&
	    nf_inet_addr_cmp(&tuple->dst.u3, &other->src.u3) &&
	    tuple->src.u.all == other->dst.u.all && tuple->dst.u.all == other->src.u.all)
		half->flags = NATFLOW_HALF_SYMMETRIC;
	else
		half->flags = NATFLOW_HALF_NAT;
}

static struct natflow_flow *alloc(u8 family)
{
	struct natflow_flow4 *flow4;
	struct natflow_flow6 *flow6;

	if (family == AF_INET) {
		flow4 = kmem_cache_zalloc(cache4, GFP_ATOMIC);
		return flow4 ? &flow4->flow : NULL;
	}
	flow6 = kmem_cache_zalloc(cache6, GFP_ATOMIC);
	return flow6 ? &flow6->flow : NULL;
}

static void dealloc(struct natflow_flow *flow)
{
	if (flow->family == AF_INET)
		kmem_cache_free(cache4, container_of(flow, struct natflow_flow4, flow));
	else
		kmem_cache_free(cache6, container_of(flow, struct natflow_flow6, flow));
}

static void free_rcu(struct rcu_head *head)
{
	struct natflow_flow *flow = container_of(head, struct natflow_flow, rcu);

	nf_ct_put(flow->ct);
	dealloc(flow);
}

/* Takes one of this second's flows, and one of the table's. */
static enum natflow_reason admit(struct natflow_net *nn)
{
	enum natflow_reason reason = NATFLOW_REASON_NONE;

	if (atomic_inc_return(&nn->flow_count) > READ_ONCE(nn->config.max_flows)) {
		atomic_dec(&nn->flow_count);
		return NATFLOW_REASON_TABLE_FULL;
	}
	spin_lock_bh(&nn->learn_lock);
	if (time_after_eq(jiffies, nn->token_time + HZ)) {
		nn->token_time = jiffies;
		nn->tokens = READ_ONCE(nn->config.learn_rate);
	}
	if (nn->tokens)
		nn->tokens--;
	else
		reason = NATFLOW_REASON_LEARN_RATE;
	spin_unlock_bh(&nn->learn_lock);
	if (reason)
		atomic_dec(&nn->flow_count);
	return reason;
}

static int take_index(struct natflow_net *nn, struct natflow_flow *flow)
{
	int err;

	spin_lock_bh(&nn->learn_lock);
	err = xa_alloc_cyclic_bh(&nn->flows, &flow->index, flow, xa_limit_32b, &nn->next_index,
				 GFP_ATOMIC);
	spin_unlock_bh(&nn->learn_lock);
	return err < 0 ? err : 0;
}

/* The inner host: who opened the connection, or whom a translated destination leads to. */
static struct natflow_client *take_client(struct natflow_flow *flow)
{
	const struct nf_conntrack_tuple_hash *hash = flow->ct->tuplehash;
	const union nf_inet_addr *inner = &hash[IP_CT_DIR_ORIGINAL].tuple.src.u3;

	flow->client_from = IP_CT_DIR_ORIGINAL;
	if (!nf_inet_addr_cmp(&hash[IP_CT_DIR_ORIGINAL].tuple.dst.u3,
			      &hash[IP_CT_DIR_REPLY].tuple.src.u3)) {
		inner = &hash[IP_CT_DIR_REPLY].tuple.src.u3;
		flow->client_from = IP_CT_DIR_REPLY;
	}
	return natflow_client_get(flow->nn, inner, flow->family);
}

/* What the connection carried before it was learned, perhaps not for the first time. */
static void take_counters(struct natflow_flow *flow)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(flow->ct);
	int dir;

	for (dir = 0; acct && dir < IP_CT_DIR_MAX; dir++) {
		flow->last[dir].ct_packets = atomic64_read(&acct->counter[dir].packets);
		flow->last[dir].ct_bytes = atomic64_read(&acct->counter[dir].bytes);
	}
}

/**
 * natflow_flow_create() - a flow for a connection that has none; under the RCU read lock
 * @nn: namespace
 * @ct: confirmed conntrack entry in the default zone
 * @reason: set when there is none
 *
 * Return: the flow, in the table, still without a way out; or NULL.
 */
struct natflow_flow *natflow_flow_create(struct natflow_net *nn, struct nf_conn *ct,
					 enum natflow_reason *reason)
{
	struct natflow_client *client;
	struct natflow_flow *flow;
	u8 family = nf_ct_l3num(ct);

	*reason = admit(nn);
	if (*reason)
		return NULL;
	*reason = NATFLOW_REASON_NO_MEMORY;
	flow = alloc(family);
	if (!flow)
		goto not_admitted;
	flow->family = family;
	flow->l4proto = nf_ct_protonum(ct);
	flow->reason = NATFLOW_REASON_ONE_DIRECTION;
	flow->nn = nn;
	flow->ct = ct;
	flow->id = atomic64_inc_return(&next_id);
	flow->created = (u32)jiffies;
	flow->slow_seen = flow->created;
	refcount_set(&flow->users, 1);
	spin_lock_init(&flow->lock);
	set_half(flow, IP_CT_DIR_ORIGINAL);
	set_half(flow, IP_CT_DIR_REPLY);
	take_counters(flow);

	client = take_client(flow);
	if (IS_ERR(client)) {
		*reason = NATFLOW_REASON_HOST_LIMIT;
		goto no_client;
	}
	flow->client = client;
	nf_conntrack_get(&ct->ct_general);

	/* Whoever finds it through one index may not remove it before it stands in both. */
	spin_lock_bh(&flow->lock);
	if (take_index(nn, flow))
		goto no_index;
	if (natflow_table_insert(nn, flow)) {
		*reason = NATFLOW_REASON_STALE;
		goto no_node;
	}
	spin_unlock_bh(&flow->lock);
	natflow_age_start(nn);
	*reason = NATFLOW_REASON_NONE;
	return flow;

no_node:
	xa_erase_bh(&nn->flows, flow->index);
no_index:
	set_bit(NATFLOW_FLOW_DEAD, &flow->flags);
	spin_unlock_bh(&flow->lock);
	if (flow->client)
		natflow_client_put(nn, flow->client);
	atomic_dec(&nn->flow_count);
	/* A walk may have seen it. */
	call_rcu(&flow->rcu, free_rcu);
	return NULL;
no_client:
	dealloc(flow);
not_admitted:
	atomic_dec(&nn->flow_count);
	return NULL;
}

static void account_dir(struct natflow_flow *flow, int dir, const struct nf_conn_acct *acct)
{
	u64 packets = atomic64_read(&flow->count[dir].packets);
	u64 bytes = atomic64_read(&flow->count[dir].bytes);
	u64 fast_packets = packets - flow->last[dir].packets;
	u64 fast_bytes = bytes - flow->last[dir].bytes;
	u64 slow_packets = 0, slow_bytes = 0;
	struct natflow_client *client = flow->client;
	int side = dir != flow->client_from;

	flow->last[dir].packets = packets;
	flow->last[dir].bytes = bytes;
	if (acct) {
		u64 ct_packets = atomic64_read(&acct->counter[dir].packets);
		u64 ct_bytes = atomic64_read(&acct->counter[dir].bytes);

		/* Ours are in conntrack's too; a packet under way may be in one of them only. */
		slow_packets = ct_packets - flow->last[dir].ct_packets;
		slow_bytes = ct_bytes - flow->last[dir].ct_bytes;
		slow_packets -= min(slow_packets, fast_packets);
		slow_bytes -= min(slow_bytes, fast_bytes);
		flow->last[dir].ct_packets = ct_packets;
		flow->last[dir].ct_bytes = ct_bytes;
	}
	if (!client)
		return;
	client->packets[NATFLOW_ENGINE_SOFTWARE][side] += fast_packets;
	client->bytes[NATFLOW_ENGINE_SOFTWARE][side] += fast_bytes;
	client->packets[NATFLOW_ENGINE_SLOW][side] += slow_packets;
	client->bytes[NATFLOW_ENGINE_SLOW][side] += slow_bytes;
	client->gathered[side] += fast_bytes + slow_bytes;
	if (fast_packets || slow_packets)
		client->seen = (u32)jiffies;
}

/**
 * natflow_flow_account() - add what the flow carried since the last time to its inner host
 * @flow: the flow; under its lock
 */
void natflow_flow_account(struct natflow_flow *flow)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(flow->ct);
	struct natflow_net *nn = flow->nn;

	spin_lock(&nn->client_lock);
	account_dir(flow, IP_CT_DIR_ORIGINAL, acct);
	account_dir(flow, IP_CT_DIR_REPLY, acct);
	spin_unlock(&nn->client_lock);
}

static void drop_egress(struct natflow_flow *flow)
{
	int dir;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		struct natflow_half *half = natflow_flow_half(flow, dir);
		struct natflow_egress *egress =
			rcu_replace_pointer(half->egress, NULL, lockdep_is_held(&flow->lock));

		WRITE_ONCE(half->iif, 0);
		half->flags &= ~NATFLOW_HALF_SEEN;
		if (egress)
			natflow_egress_put(egress);
	}
}

/**
 * natflow_flow_forget_window() - let conntrack take the window from the next segments
 * @flow: the flow
 *
 * Conntrack did not see the segments we forwarded: what it remembers of the window is old, and
 * must not be held against the next ones (the RST check of nf_conntrack_proto_tcp.c).
 */
void natflow_flow_forget_window(const struct natflow_flow *flow)
{
	struct nf_conn *ct = flow->ct;
	int dir;

	if (nf_ct_protonum(ct) != IPPROTO_TCP)
		return;
	spin_lock_bh(&ct->lock);
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		ct->proto.tcp.seen[dir].flags &= ~IP_CT_TCP_FLAG_MAXACK_SET;
		ct->proto.tcp.seen[dir].td_maxwin = 0;
	}
	spin_unlock_bh(&ct->lock);
}
EXPORT_SYMBOL_GPL(natflow_flow_forget_window);

/**
 * natflow_flow_refuse() - hand a flow back to the slow path and remember why
 * @flow: the flow; under its lock
 * @reason: why
 */
void natflow_flow_refuse(struct natflow_flow *flow, enum natflow_reason reason)
{
	if (flow->reason == NATFLOW_REASON_NONE)
		natflow_flow_forget_window(flow);
	drop_egress(flow);
	flow->reason = reason;
	if (flow->hw_entry)
		natflow_offload_flow_gone(flow);
}

/**
 * natflow_flow_put() - drop a reference
 * @flow: the flow
 */
void natflow_flow_put(struct natflow_flow *flow)
{
	if (!refcount_dec_and_test(&flow->users))
		return;
	if (flow->client)
		natflow_client_put(flow->nn, flow->client);
	call_rcu(&flow->rcu, free_rcu);
}
EXPORT_SYMBOL_GPL(natflow_flow_put);

/**
 * natflow_flow_remove() - take a flow out of the table; any context
 * @flow: the flow; under the RCU read lock
 *
 * Its connection lives on and may be learned again.
 *
 * Return: false when somebody else has removed it.
 */
bool natflow_flow_remove(struct natflow_flow *flow)
{
	struct natflow_net *nn = flow->nn;

	spin_lock_bh(&flow->lock);
	if (test_and_set_bit(NATFLOW_FLOW_DEAD, &flow->flags)) {
		spin_unlock_bh(&flow->lock);
		return false;
	}
	natflow_table_remove(nn, flow);
	xa_erase_bh(&nn->flows, flow->index);
	natflow_flow_account(flow);
	if (test_bit(NATFLOW_FLOW_STARTED, &flow->flags))
		natflow_netlink_flow(flow, NATFLOW_EVENT_FLOW_END);
	natflow_flow_refuse(flow, NATFLOW_REASON_CLOSING);
	atomic_dec(&nn->flow_count);
	spin_unlock_bh(&flow->lock);
	natflow_flow_put(flow);
	return true;
}

/**
 * natflow_flow_remove_all() - empty the table
 * @nn: namespace
 *
 * Return: how many flows were removed.
 */
unsigned int natflow_flow_remove_all(struct natflow_net *nn)
{
	struct natflow_flow *flow;
	unsigned int removed = 0;
	unsigned long index;

	rcu_read_lock();
	xa_for_each(&nn->flows, index, flow) {
		removed += natflow_flow_remove(flow);
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	return removed;
}

/* The most that any of its directions has reached. */
static enum natflow_state engine_state(const struct natflow_flow *flow)
{
	enum natflow_state state = NATFLOW_STATE_SOFTWARE;
	int dir;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		const struct natflow_hw_dir *hw = &flow->hw[dir];
		u8 wed = NATFLOW_HW_FLAG_WED | NATFLOW_HW_FLAG_WED_RX;

		switch (READ_ONCE(hw->state)) {
		case NATFLOW_HW_STATE_PENDING:
			state = max(state, NATFLOW_STATE_HW_PENDING);
			break;
		case NATFLOW_HW_STATE_BOUND:
			state = max(state, READ_ONCE(hw->flags) & wed ? NATFLOW_STATE_WED :
									NATFLOW_STATE_HARDWARE);
			break;
		}
	}
	return state;
}

enum natflow_state natflow_flow_state(const struct natflow_flow *flow)
{
	switch (READ_ONCE(flow->reason)) {
	case NATFLOW_REASON_NONE:
		return engine_state(flow);
	case NATFLOW_REASON_ONE_DIRECTION:
	case NATFLOW_REASON_DELAY:
		return NATFLOW_STATE_LEARNING;
	default:
		return NATFLOW_STATE_SLOW;
	}
}

/* Jiffies since the last packet on any engine. */
u32 natflow_flow_idle(const struct natflow_flow *flow)
{
	u32 now = (u32)jiffies;
	u32 idle = now - READ_ONCE(flow->slow_seen);
	int dir;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++)
		if (atomic64_read(&flow->count[dir].packets))
			idle = min(idle, now - READ_ONCE(flow->count[dir].seen));
	if (READ_ONCE(flow->hw_seen))
		idle = min(idle, now - READ_ONCE(flow->hw_seen));
	return idle;
}
EXPORT_SYMBOL_GPL(natflow_flow_idle);
