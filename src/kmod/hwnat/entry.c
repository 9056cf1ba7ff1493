// SPDX-License-Identifier: GPL-2.0-only
/* A flow in the hardware: handing its directions over, and taking them back. */
#include <linux/etherdevice.h>
#include <linux/slab.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netns/nftables.h>

#include "hwnat.h"

/* A driver that refuses to let go is asked so often at once; then after a while again. */
#define DESTROY_TRIES	4

static unsigned long next_cookie;

/* Counts an error by its number. */
void hwnat_note_error(int err)
{
	unsigned int i;

	lockdep_assert_held(&hwnat_mutex);
	for (i = 0; i < HWNAT_ERRNOS - 1; i++) {
		if (!hwnat_stats.errors[i].count)
			hwnat_stats.errors[i].error = -err;
		if (hwnat_stats.errors[i].error == -err)
			break;
	}
	hwnat_stats.errors[i].count++;
}

/**
 * hwnat_entry_get() - the entry of a flow, made if need be
 * @flow: the flow
 *
 * Return: the entry; NULL without memory or when the flow is gone.
 */
struct hwnat_entry *hwnat_entry_get(struct natflow_flow *flow)
{
	struct hwnat_entry *entry, *fresh;

	lockdep_assert_held(&hwnat_mutex);
	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL);
	if (!fresh)
		return NULL;
	spin_lock_bh(&flow->lock);
	entry = flow->hw_entry;
	if (!entry && !test_bit(NATFLOW_FLOW_DEAD, &flow->flags)) {
		entry = fresh;
		fresh = NULL;
		entry->flow = flow;
		entry->born = jiffies;
		refcount_inc(&flow->users);
		flow->hw_entry = entry;
		spin_lock(&hwnat_lock);
		list_add_tail(&entry->node, &hwnat_live);
		spin_unlock(&hwnat_lock);
	}
	spin_unlock_bh(&flow->lock);
	kfree(fresh);
	return entry;
}

static void fill4(struct hwnat_rule *rule, const struct natflow_half *half)
{
	const struct natflow_half4 *half4 = container_of(half, struct natflow_half4, half);

	rule->src.ip = half4->key.saddr;
	rule->dst.ip = half4->key.daddr;
	rule->sport = half4->key.sport;
	rule->dport = half4->key.dport;
	rule->to_src.ip = half4->to.saddr;
	rule->to_dst.ip = half4->to.daddr;
	rule->to_sport = half4->to.sport;
	rule->to_dport = half4->to.dport;
	rule->nat = half->flags & NATFLOW_HALF_NAT;
}

static void fill6(struct hwnat_rule *rule, const struct natflow_half *half)
{
	const struct natflow_half6 *half6 = container_of(half, struct natflow_half6, half);

	rule->src.in6 = half6->key.saddr;
	rule->dst.in6 = half6->key.daddr;
	rule->sport = half6->key.sport;
	rule->dport = half6->key.dport;
}

/* Takes down what the flow is now; false when it is not fit any more. */
static bool take_rule(struct hwnat_entry *entry, int dir, struct hwnat_rule *rule)
{
	struct natflow_flow *flow = entry->flow;
	struct natflow_half *half = natflow_flow_half(flow, dir);
	const struct natflow_proof *proof = &flow->proof[dir];
	struct hwnat_dir *hw = &entry->dir[dir];
	struct natflow_egress *egress;

	egress = rcu_dereference_protected(half->egress, lockdep_is_held(&flow->lock));
	if (flow->reason || !egress || READ_ONCE(egress->dead) || egress->shaped)
		return false;
	memset(rule, 0, sizeof(*rule));
	rule->family = flow->family;
	rule->l4proto = flow->l4proto;
	if (flow->family == AF_INET)
		fill4(rule, half);
	else
		fill6(rule, half);
	ether_addr_copy(rule->dst_mac, egress->header);
	ether_addr_copy(rule->src_mac, egress->header + ETH_ALEN);
	memcpy(rule->encap, egress->port_encap, sizeof(rule->encap));
	rule->encap_count = egress->port_encap_count;
	rule->dev = egress->dev;

	refcount_inc(&egress->users);
	hw->egress = egress;
	/* Pairs with prove(): the rest of the proof is not older than its generation. */
	hw->gen = smp_load_acquire(&proof->gen);
	hw->ruleset = READ_ONCE(proof->ruleset);
	hw->rate = flow->rate[dir];
	hw->packet = div64_u64(atomic64_read(&flow->count[dir].bytes),
			       atomic64_read(&flow->count[dir].packets) ?: 1) ?: 1;
	return true;
}

static int replace(struct hwnat_dir *hw, const struct hwnat_rule *rule)
{
	struct flow_cls_offload cls = {
		.command = FLOW_CLS_REPLACE,
		.cookie = hw->cookie,
	};
	int err;

	cls.common.protocol = rule->family == AF_INET ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	cls.rule = hwnat_rule_build(rule);
	if (!cls.rule)
		return -ENOMEM;
	err = hwnat_door_call(hw->door, &cls);
	hwnat_rule_free(cls.rule);
	return err;
}

static void release(struct hwnat_dir *hw)
{
	atomic_dec(&hw->egress->offloaded);
	natflow_egress_put(hw->egress);
	hw->egress = NULL;
	hw->door = NULL;
	hw->state = HWNAT_NONE;
}

/* Conntrack's mark of an offloaded connection; false when another offloader has set it. */
static bool claim(struct natflow_flow *flow)
{
	if (test_and_set_bit(NATFLOW_FLOW_OFFLOADED, &flow->flags))
		return true;
	/* In this order, so that nobody takes our mark for another's. */
	if (!test_and_set_bit(IPS_OFFLOAD_BIT, &flow->ct->status))
		return true;
	clear_bit(NATFLOW_FLOW_OFFLOADED, &flow->flags);
	return false;
}

/**
 * hwnat_entry_install() - hand a direction to the hardware; may sleep
 * @entry: the flow's entry
 * @dir: the direction, not installed
 * @door: whose driver to ask
 * @flags: enum natflow_hw_flag
 *
 * Return: 0; -ESTALE when the flow has changed meanwhile, -EBUSY when another offloader has it; or
 * what the driver says.
 */
int hwnat_entry_install(struct hwnat_entry *entry, int dir, struct hwnat_door *door, u8 flags)
{
	struct natflow_flow *flow = entry->flow;
	struct hwnat_dir *hw = &entry->dir[dir];
	struct hwnat_rule rule;
	bool fit;
	int err;

	lockdep_assert_held(&hwnat_mutex);
	/* Before it is marked: conntrack pushes the timeouts of marked connections to a day. */
	if (!natflow_flow_offloaded(flow))
		hwnat_timeout_begin(entry);
	if (!claim(flow))
		return -EBUSY;
	spin_lock_bh(&flow->lock);
	fit = take_rule(entry, dir, &rule);
	/* The engine is that of the MAC: a switch port says nothing to its driver. */
	rule.iif = door->dev->ifindex;
	spin_unlock_bh(&flow->lock);
	if (!fit)
		return -ESTALE;
	atomic_inc(&hw->egress->offloaded);
	hw->state = HWNAT_ADDING;
	hw->door = door;
	hw->cookie = ++next_cookie;
	hw->flags = flags;
	hw->error = 0;
	err = replace(hw, &rule);
	hwnat_budget_spend();
	if (err) {
		release(hw);
		hwnat_stats.failures++;
		hwnat_note_error(err);
		return err;
	}
	hw->installed = jiffies;
	hw->polled = jiffies;
	hw->seen = jiffies;
	hw->base = jiffies;
	hw->state = HWNAT_INSTALLED;
	door->installed++;
	hwnat_stats.installed++;
	hwnat_stats.installs++;
	spin_lock_bh(&flow->lock);
	WRITE_ONCE(flow->hw[dir].state, NATFLOW_HW_STATE_PENDING);
	WRITE_ONCE(flow->hw[dir].flags, flags);
	WRITE_ONCE(flow->hw[dir].reason, NATFLOW_REASON_NONE);
	WRITE_ONCE(flow->hw[dir].error, 0);
	spin_unlock_bh(&flow->lock);
	/*
	 * What has ended the way out before it was counted as offloaded has not told us. Pairs with
	 * kill() in path.c: either it sees the count or we see the end.
	 */
	smp_mb();
	if (READ_ONCE(hw->egress->dead))
		hwnat_kick();
	return 0;
}

/* The direction is software's again; under the flow's lock. */
static void tell_why(struct hwnat_entry *entry, int dir)
{
	enum natflow_reason why = entry->why ?: NATFLOW_REASON_HW_UNPROVED;
	struct natflow_hw_dir *told = &entry->flow->hw[dir];
	u16 error = entry->dir[dir].error;

	WRITE_ONCE(told->rate, 0);
	if (told->state != NATFLOW_HW_STATE_PENDING && told->state != NATFLOW_HW_STATE_BOUND)
		return;
	/* A flow without evidence: nothing has come by, or the driver does not tell. */
	if (why == NATFLOW_REASON_HW_FULL && error)
		why = NATFLOW_REASON_HW_REFUSED;
	WRITE_ONCE(told->reason, why);
	if (why == NATFLOW_REASON_HW_REFUSED) {
		WRITE_ONCE(told->error, error);
		WRITE_ONCE(told->state, NATFLOW_HW_STATE_REFUSED);
	} else {
		WRITE_ONCE(told->state, NATFLOW_HW_STATE_NONE);
	}
}

/* The last look at its counters: what nobody reads would be counted for the next flow there. */
static void read_out(struct hwnat_entry *entry, int dir)
{
	unsigned int tries = DESTROY_TRIES;
	int err;

	do
		err = hwnat_poll_dir(entry, dir);
	while (err && err != -ENOENT && --tries);
}

static bool destroy_dir(struct hwnat_entry *entry, int dir)
{
	struct natflow_flow *flow = entry->flow;
	struct hwnat_dir *hw = &entry->dir[dir];
	struct flow_cls_offload cls = {
		.command = FLOW_CLS_DESTROY,
		.cookie = hw->cookie,
	};
	unsigned int tries = DESTROY_TRIES;
	bool stuck = hw->state == HWNAT_DEL;
	int err;

	if (hw->state == HWNAT_NONE)
		return true;
	if (!stuck) {
		read_out(entry, dir);
		if (hw->state == HWNAT_BOUND)
			hwnat_stats.bound--;
		hw->state = HWNAT_DEL;
	}
	do {
		err = hwnat_door_call(hw->door, &cls);
		if (err && err != -ENOENT)
			hwnat_note_error(err);
	} while (err && err != -ENOENT && --tries);
	if (err && err != -ENOENT) {
		hw->door->stuck += !stuck;
		return false;
	}
	hw->door->stuck -= stuck;
	hw->door->installed--;
	hwnat_stats.installed--;
	hwnat_stats.destroys++;
	release(hw);
	spin_lock_bh(&flow->lock);
	tell_why(entry, dir);
	spin_unlock_bh(&flow->lock);
	return true;
}

/* The flow is software's alone again. */
static void finish(struct hwnat_entry *entry)
{
	struct natflow_flow *flow = entry->flow;
	int dir;

	if (natflow_flow_offloaded(flow)) {
		clear_bit(IPS_HW_OFFLOAD_BIT, &flow->ct->status);
		clear_bit(IPS_OFFLOAD_BIT, &flow->ct->status);
		hwnat_timeout_set(entry);
		/* Last, and seen last. */
		clear_bit_unlock(NATFLOW_FLOW_OFFLOADED, &flow->flags);
	}
	spin_lock_bh(&flow->lock);
	flow->hw_entry = NULL;
	flow->hw_withdrawn = (u32)jiffies ?: 1;
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++)
		tell_why(entry, dir);
	/* Conntrack has seen none of the segments that the hardware forwarded. */
	natflow_flow_forget_window(flow);
	/* Nobody can find it any more to put it on a list again. */
	spin_lock(&hwnat_lock);
	list_del_init(&entry->node);
	spin_unlock(&hwnat_lock);
	spin_unlock_bh(&flow->lock);
	natflow_flow_put(flow);
	kfree(entry);
}

/**
 * hwnat_entry_destroy() - take a flow back from the hardware, and forget it; may sleep
 * @entry: its entry
 *
 * Return: false when the driver would not let go: try again.
 */
bool hwnat_entry_destroy(struct hwnat_entry *entry)
{
	bool done = true;
	int dir;

	lockdep_assert_held(&hwnat_mutex);
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++)
		done &= destroy_dir(entry, dir);
	if (done)
		finish(entry);
	return done;
}

/**
 * hwnat_entry_abandon() - give up on a driver that does not let go, because it goes itself
 * @entry: its entry
 * @door: the driver's
 */
void hwnat_entry_abandon(struct hwnat_entry *entry, const struct hwnat_door *door)
{
	int dir;

	lockdep_assert_held(&hwnat_mutex);
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		struct hwnat_dir *hw = &entry->dir[dir];

		if (hw->state != HWNAT_DEL || hw->door != door)
			continue;
		hw->door->stuck--;
		hw->door->installed--;
		hwnat_stats.installed--;
		release(hw);
	}
}

/* Nothing of it is in the hardware. */
bool hwnat_entry_empty(const struct hwnat_entry *entry)
{
	return entry->dir[IP_CT_DIR_ORIGINAL].state == HWNAT_NONE &&
	       entry->dir[IP_CT_DIR_REPLY].state == HWNAT_NONE;
}

/* Some of it is being taken back, and the driver has not agreed yet. */
bool hwnat_entry_leaving(const struct hwnat_entry *entry)
{
	return entry->dir[IP_CT_DIR_ORIGINAL].state == HWNAT_DEL ||
	       entry->dir[IP_CT_DIR_REPLY].state == HWNAT_DEL;
}

static bool dir_valid(const struct hwnat_entry *entry, int dir)
{
	const struct hwnat_dir *hw = &entry->dir[dir];
	const struct natflow_net *nn = entry->flow->nn;

	if (hw->state == HWNAT_NONE)
		return true;
	if (hw->flags & (NATFLOW_HW_FLAG_WED | NATFLOW_HW_FLAG_WED_RX) &&
	    !READ_ONCE(nn->config.hwnat_wed))
		return false;
	return hw->state != HWNAT_DEL && !READ_ONCE(hw->egress->dead) &&
	       hw->gen == (u32)atomic_read(&nn->gen) &&
	       hw->ruleset == natflow_ruleset(nn->net);
}

/**
 * hwnat_entry_valid() - is what the hardware was told still true
 * @entry: the entry; under hwnat_mutex
 *
 * Return: false when it must be taken back.
 */
bool hwnat_entry_valid(const struct hwnat_entry *entry)
{
	const struct natflow_flow *flow = entry->flow;
	const struct natflow_config *config = &flow->nn->config;

	return !test_bit(NATFLOW_FLOW_DEAD, &flow->flags) && !READ_ONCE(flow->reason) &&
	       READ_ONCE(config->enabled) && READ_ONCE(config->hwnat) &&
	       dir_valid(entry, IP_CT_DIR_ORIGINAL) && dir_valid(entry, IP_CT_DIR_REPLY);
}
