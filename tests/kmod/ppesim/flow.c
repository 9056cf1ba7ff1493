// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver's flows: what REPLACE, DESTROY and STATS do, and how a flow comes into the hardware.
 *
 * REPLACE writes nothing into the hardware. It notes the flow under the hash of its tuple, and
 * when the hardware tells of a packet with that hash that comes often enough to the CPU, the
 * entry of that packet is bound. So a flow can be installed for ever and never be bound.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "ppesim.h"

static struct ppesim_flow *find(struct ppesim_soc *soc, unsigned long cookie)
{
	struct ppesim_flow *flow;

	hash_for_each_possible(soc->cookies, flow, cookie_node, cookie)
		if (flow->cookie == cookie)
			return flow;
	return NULL;
}

static struct hlist_head *bucket_of(struct ppesim_ppe *ppe, const struct ppesim_key *key)
{
	return &ppe->flows[ppesim_hash(ppe->soc, key) / ppe->soc->profile->ways];
}

static bool same_key(const struct ppesim_key *a, const struct ppesim_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* WED counts the flows that go to it, to be switched on with the first and off with the last. */
static int wed_get(struct ppesim_soc *soc, s8 wed)
{
	if (wed < 0)
		return 0;
	if (!ppesim_knob(soc, WED_ATTACHED))
		return -ENODEV;
	soc->wed_flows[wed]++;
	return 0;
}

static void wed_put(struct ppesim_soc *soc, s8 wed)
{
	if (wed >= 0)
		soc->wed_flows[wed]--;
}

static void commit(struct ppesim_flow *flow)
{
	struct hlist_head *bucket = bucket_of(flow->ppe, &flow->key);
	struct ppesim_flow *other;

	spin_lock_bh(&flow->ppe->lock);
	hlist_for_each_entry(other, bucket, bucket_node)
		if (same_key(&other->key, &flow->key)) {
			ppesim_detect(flow->ppe->soc, SAME_TUPLE);
			break;
		}
	hlist_add_head(&flow->bucket_node, bucket);
	spin_unlock_bh(&flow->ppe->lock);
	hash_add(flow->ppe->soc->cookies, &flow->cookie_node, flow->cookie);
}

/* Its counter stays in the hardware, and is the next flow's if nobody reads it. */
static void withdraw(struct ppesim_flow *flow)
{
	spin_lock_bh(&flow->ppe->lock);
	hlist_del(&flow->bucket_node);
	if (flow->slot != PPESIM_NO_SLOT)
		flow->ppe->slots[flow->slot].state = PPESIM_FOE_INVALID;
	spin_unlock_bh(&flow->ppe->lock);
	hash_del(&flow->cookie_node);
}

/**
 * ppesim_flow_replace() - FLOW_CLS_REPLACE; under the driver's mutex
 * @binding: the callback
 * @cls: the command
 */
int ppesim_flow_replace(struct ppesim_binding *binding, struct flow_cls_offload *cls)
{
	struct ppesim_soc *soc = binding->soc;
	struct ppesim_flow *flow;
	int err;

	if (find(soc, cls->cookie)) {
		ppesim_detect(soc, COOKIE_IN_USE);
		return -EEXIST;
	}
	flow = kzalloc(sizeof(*flow), GFP_KERNEL);
	if (!flow)
		return -ENOMEM;
	flow->cookie = cls->cookie;
	flow->binding = binding;
	flow->ppe = &soc->ppe[binding->ppe];
	flow->slot = PPESIM_NO_SLOT;
	flow->wed = -1;
	err = ppesim_rule_read(soc, flow_cls_offload_flow_rule(cls), flow);
	if (!err)
		err = wed_get(soc, flow->wed);
	if (err) {
		kfree(flow);
		return err;
	}
	commit(flow);
	return 0;
}

/**
 * ppesim_flow_destroy() - FLOW_CLS_DESTROY; under the driver's mutex
 * @soc: the SoC
 * @cls: the command
 */
int ppesim_flow_destroy(struct ppesim_soc *soc, struct flow_cls_offload *cls)
{
	struct ppesim_flow *flow = find(soc, cls->cookie);

	if (!flow) {
		ppesim_detect(soc, COOKIE_UNKNOWN);
		return -ENOENT;
	}
	withdraw(flow);
	wed_put(soc, flow->wed);
	kfree(flow);
	return 0;
}

/**
 * ppesim_flow_stats() - FLOW_CLS_STATS; under the driver's mutex
 * @soc: the SoC
 * @cls: the command
 *
 * The last use is known to the second, as a distance that wraps with the width of the entry's
 * time stamp. Before a flow is bound for the first time it means nothing.
 */
int ppesim_flow_stats(struct ppesim_soc *soc, struct flow_cls_offload *cls)
{
	struct ppesim_flow *flow = find(soc, cls->cookie);
	struct ppesim_slot *slot;
	u32 idle;

	if (!flow) {
		ppesim_detect(soc, COOKIE_UNKNOWN);
		return -ENOENT;
	}
	spin_lock_bh(&flow->ppe->lock);
	if (flow->slot != PPESIM_NO_SLOT) {
		slot = &flow->ppe->slots[flow->slot];
		if (same_key(&slot->key, &flow->key)) {
			flow->stamp = slot->stamp;
			cls->stats.pkts += slot->mib_packets;
			cls->stats.bytes += slot->mib_bytes;
			slot->mib_packets = 0;
			slot->mib_bytes = 0;
		} else {
			flow->slot = PPESIM_NO_SLOT;
		}
	}
	idle = (ppesim_stamp(soc) - flow->stamp) & ppesim_stamp_mask(soc);
	spin_unlock_bh(&flow->ppe->lock);
	cls->stats.lastused = jiffies - (unsigned long)idle * HZ;
	return 0;
}

/**
 * ppesim_flow_check() - the driver sees a packet that comes often enough; under the PPE's lock
 * @ppe: the engine it came by
 * @slot: its entry
 *
 * Of several flows for its tuple the one that was installed last is bound.
 */
void ppesim_flow_check(struct ppesim_ppe *ppe, struct ppesim_slot *slot)
{
	u32 index = slot - ppe->slots;
	struct ppesim_flow *flow;
	bool found = false;

	hlist_for_each_entry(flow, bucket_of(ppe, &slot->key), bucket_node) {
		if (found || !same_key(&flow->key, &slot->key)) {
			flow->slot = flow->slot == index ? PPESIM_NO_SLOT : flow->slot;
			continue;
		}
		found = true;
		slot->state = PPESIM_FOE_BIND;
		slot->rewrite = flow->rewrite;
		flow->slot = index;
		flow->binds++;
	}
}

/**
 * ppesim_flows_of() - how many flows came by a callback and are still installed
 * @soc: the SoC
 * @binding: the callback
 */
u32 ppesim_flows_of(struct ppesim_soc *soc, const struct ppesim_binding *binding)
{
	struct ppesim_flow *flow;
	u32 flows = 0;
	int bucket;

	hash_for_each(soc->cookies, bucket, flow, cookie_node)
		flows += flow->binding == binding;
	return flows;
}

/**
 * ppesim_flows_free() - the end of the SoC
 * @soc: the SoC
 */
void ppesim_flows_free(struct ppesim_soc *soc)
{
	struct ppesim_flow *flow;
	struct hlist_node *next;
	int bucket;

	hash_for_each_safe(soc->cookies, bucket, next, flow, cookie_node)
		kfree(flow);
}
