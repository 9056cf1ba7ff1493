// SPDX-License-Identifier: GPL-2.0-only
/*
 * Admission: which flows go to the hardware, and which have to leave it.
 *
 * Once a second the core shows every flow. The fastest of those that may enter are kept and then
 * handed over, fastest first, as many as the budget of a second allows: a burst of short flows
 * neither reaches the hardware nor keeps the fast ones out of it.
 */
#include <linux/kernel_stat.h>
#include <linux/module.h>
#include <linux/netfilter_netdev.h>
#include <linux/sort.h>
#include <net/netns/nftables.h>
#include <net/sch_generic.h>
#include <net/tcx.h>

#include "hwnat.h"

/* Flows that can wait for the end of a second at the most; more than its budget is of no use. */
#define CANDIDATES	500
/* A flow leaves when it has been slower than this part of hw_min_rate for so long. */
#define SLOW_PART	4
#define SLOW_TIME	(10 * HZ)
/* Without a sign of life the hardware does not have it: its place in the table is taken. */
#define UNBOUND_TIME	(15 * HZ)
#define UNBOUND_RETRY	(30 * HZ)
/* The slow path sees a packet again after so long: what it drops now is not forwarded for ever. */
#define REPROOF_TIME	(60 * HZ)
/* This part of a second's budget may go into that, one flow at the least... */
#define REPROOF_PART	4
/* ... and more when there are so many that it would take longer than this. */
#define REPROOF_LATEST	(2 * REPROOF_TIME)
/* A driver that says no is asked about the same again after so long. */
#define REFUSED_RETRY	(30 * HZ)
#define REFUSALS	64
/* Hardware that is in trouble is left alone for so long. */
#define BACKOFF		(8 * HZ)
#define TROUBLES	3
/* A flow takes the place of another only when it is so many times as fast. */
#define FASTER		2

static unsigned int busy_permille = 700;
module_param_named(busy, busy_permille, uint, 0644);
MODULE_PARM_DESC(busy, "per mille of a CPU's time in the kernel from which auto mode acts (default 700)");

struct candidate {
	struct natflow_flow	*flow;
	u64			rate;
};

/* The driver has refused what looks like this. */
struct refusal {
	const struct natflow_net	*nn;
	int				iif;
	int				oif;
	u32				kind;
	unsigned long			until;
	u16				error;
};

/* All of it under hwnat_lock; the smallest rate stands first, as in a heap. */
static struct candidate heap[CANDIDATES];
static unsigned int heap_size;
static struct refusal refusals[REFUSALS];
static unsigned int next_refusal;

/* Under hwnat_mutex. */
static struct candidate chosen[CANDIDATES];
static unsigned long window;		/* jiffies when the running second began */
static unsigned int reproofs;		/* flows taken back for a new proof in it */
static unsigned int troubles;		/* failures in a row */
static unsigned long backoff_until;
static bool backing_off;
static bool closing;			/* the module goes: nobody is let in any more */
static struct work_struct admit_work;

/* Under hwnat_lock. */
static unsigned long measured;
static unsigned int busy_now;
static DEFINE_PER_CPU(u64, busy_before);

/* The busiest CPU's share of the last second that went into the kernel's own work. */
static void measure(void)
{
	unsigned long elapsed = jiffies - measured;
	unsigned int most = 0;
	int cpu;

	if (elapsed < HZ / 2)
		return;
	for_each_online_cpu(cpu) {
		const u64 *stat = kcpustat_cpu(cpu).cpustat;
		u64 now = stat[CPUTIME_SYSTEM] + stat[CPUTIME_IRQ] + stat[CPUTIME_SOFTIRQ];
		u64 used = now - per_cpu(busy_before, cpu);

		per_cpu(busy_before, cpu) = now;
		used = div64_u64(used * 1000, (u64)elapsed * (NSEC_PER_SEC / HZ));
		most = max_t(unsigned int, most, min_t(u64, used, 1000));
	}
	/* Of the time before the first look nothing is known. */
	WRITE_ONCE(busy_now, measured ? most : 0);
	measured = jiffies;
}

u32 hwnat_busy(void)
{
	return READ_ONCE(busy_now);
}

u32 hwnat_backoff_ms(void)
{
	if (!READ_ONCE(backing_off) || time_after_eq(jiffies, READ_ONCE(backoff_until)))
		return 0;
	return jiffies_to_msecs(READ_ONCE(backoff_until) - jiffies);
}

/* Why nothing of the namespace goes to the hardware; under the RCU read lock. */
enum natflow_reason hwnat_why_not(struct natflow_net *nn)
{
	if (!READ_ONCE(nn->config.hwnat))
		return NATFLOW_REASON_HW_OFF;
	if (!hwnat_door_any(nn))
		return NATFLOW_REASON_HW_NO_DOOR;
	return hwnat_backoff_ms() ? NATFLOW_REASON_HW_BACKOFF : NATFLOW_REASON_NONE;
}

/* Does anything on the port see packets that the hardware would pass by? */
static bool watched(const struct natflow_net *nn, int ifindex, bool egress)
{
	struct net_device *dev = dev_get_by_index_rcu(nn->net, ifindex);
	const struct nf_hook_entries *hooks;

	if (!dev)
		return true;
	if (egress)
		return rcu_dereference(dev->qdisc)->handle || natflow_dev_filters_egress(dev);
	hooks = rcu_dereference(dev->nf_hooks_ingress);
	/* One of them is ours. */
	return natflow_dev_tc_ingress(dev) || (hooks && hooks->num_hook_entries > 1) ||
	       dev_xdp_prog_count(dev);
}

/* What the hardware can put on: two of 802.1Q and PPPoE; no more than one behind a switch tag. */
static bool tags_fit(const struct natflow_egress *egress, u8 pcp)
{
	unsigned int i, vlans = 0, sessions = 0;

	for (i = 0; i < egress->port_encap_count; i++) {
		if (natflow_encap_is_pppoe(&egress->port_encap[i]))
			sessions++;
		else if (egress->port_encap[i].proto == htons(ETH_P_8021Q))
			vlans++;
		else
			return false;
	}
	/* The priority bits of a tag cannot be set. */
	if (vlans && pcp)
		return false;
	if (sessions > 1 || vlans + sessions > 2)
		return false;
	return egress->kind != NATFLOW_EGRESS_KIND_DSA || vlans + sessions < 2;
}

static enum natflow_reason egress_fits(struct natflow_flow *flow, int dir,
				       const struct natflow_egress *egress, u8 *flags)
{
	const struct natflow_net *nn = flow->nn;
	const struct hwnat_port *port;

	if (egress->shaped)
		return NATFLOW_REASON_HW_QDISC;
	switch (egress->kind) {
	case NATFLOW_EGRESS_KIND_WDMA:
		if (!hwnat_profile->wed)
			return NATFLOW_REASON_HW_EGRESS;
		if (!READ_ONCE(nn->config.hwnat_wed))
			return NATFLOW_REASON_HW_WED_OFF;
		*flags |= NATFLOW_HW_FLAG_WED;
		break;
	case NATFLOW_EGRESS_KIND_ETHERNET:
	case NATFLOW_EGRESS_KIND_DSA:
		port = hwnat_port_find(nn, egress->port);
		if (!port || !READ_ONCE(port->door) || port->kind == HWNAT_PORT_WLAN)
			return NATFLOW_REASON_HW_EGRESS;
		break;
	default:
		return NATFLOW_REASON_HW_EGRESS;
	}
	if (!tags_fit(egress, flow->pcp[dir]))
		return NATFLOW_REASON_HW_TAGS;
	if (watched(nn, egress->port, true) ||
	    (egress->conduit && watched(nn, egress->conduit, true)))
		return NATFLOW_REASON_HW_QDISC;
	return NATFLOW_REASON_NONE;
}

/* @back: where the other direction leaves; by the same port that this one comes in */
static enum natflow_reason ingress_fits(const struct natflow_flow *flow, int iif,
					const struct natflow_egress *back,
					struct hwnat_door **door, u8 *flags)
{
	const struct hwnat_port *port = hwnat_port_find(flow->nn, iif);
	bool wed = back && back->kind == NATFLOW_EGRESS_KIND_WDMA && back->port == iif;

	if (!port)
		return NATFLOW_REASON_HW_INGRESS;
	if (port->kind == HWNAT_PORT_WLAN) {
		if (!wed || !hwnat_profile->wed)
			return NATFLOW_REASON_HW_INGRESS;
		if (hwnat_profile->wed == 1)
			return NATFLOW_REASON_HW_WED_RX;
		if (!READ_ONCE(flow->nn->config.hwnat_wed))
			return NATFLOW_REASON_HW_WED_OFF;
		*flags |= NATFLOW_HW_FLAG_WED_RX;
	}
	*door = READ_ONCE(port->door);
	if (!*door)
		return NATFLOW_REASON_HW_INGRESS;
	return watched(flow->nn, iif, false) ? NATFLOW_REASON_HW_QDISC : NATFLOW_REASON_NONE;
}

static struct natflow_egress *egress_of(struct natflow_flow *flow, int dir)
{
	struct natflow_egress *egress =
		rcu_dereference_protected(natflow_flow_half(flow, dir)->egress,
					  lockdep_is_held(&flow->lock));

	return egress && !READ_ONCE(egress->dead) ? egress : NULL;
}

/**
 * fits() - can the hardware forward a direction at all; under RCU and the flow's lock
 * @flow: the flow
 * @dir: the direction
 * @door: set to the door it would go through
 * @flags: set to enum natflow_hw_flag
 *
 * Return: NATFLOW_REASON_NONE when it can.
 */
static enum natflow_reason fits(struct natflow_flow *flow, int dir, struct hwnat_door **door,
				u8 *flags)
{
	const struct natflow_half *half = natflow_flow_half(flow, dir);
	const struct natflow_egress *egress = egress_of(flow, dir);
	enum natflow_reason reason;

	*door = NULL;
	*flags = hwnat_profile->counters ? 0 : NATFLOW_HW_FLAG_ESTIMATED;
	if (!egress || !half->iif)
		return NATFLOW_REASON_HW_UNPROVED;
	if (flow->family == AF_INET6 && half->flags & NATFLOW_HALF_NAT)
		return NATFLOW_REASON_HW_IPV6_NAT;
	reason = egress_fits(flow, dir, egress, flags);
	if (!reason)
		reason = ingress_fits(flow, half->iif, egress_of(flow, !dir), door, flags);
	return reason;
}

/* The slow path has let a packet through under the present rules, and since it was taken back. */
static bool proved(const struct natflow_flow *flow, int dir)
{
	const struct natflow_proof *proof = &flow->proof[dir];
	const struct natflow_net *nn = flow->nn;

	/* Pairs with prove(), which writes the generation last. */
	return smp_load_acquire(&proof->gen) == (u32)atomic_read(&nn->gen) &&
	       READ_ONCE(proof->ruleset) == natflow_ruleset(nn->net) &&
	       time_before32((u32)jiffies, READ_ONCE(proof->until)) &&
	       (!flow->hw_withdrawn || time_after32(READ_ONCE(proof->at), flow->hw_withdrawn));
}

static u32 kind_of(struct natflow_flow *flow, int dir)
{
	const struct natflow_egress *egress = egress_of(flow, dir);
	u32 kind = flow->family == AF_INET6;
	unsigned int i;

	if (!egress)
		return kind;
	kind |= egress->kind << 1;
	for (i = 0; i < egress->port_encap_count; i++)
		kind = kind << 4 | (natflow_encap_is_pppoe(&egress->port_encap[i]) ? 2 : 1);
	return kind;
}

/* Has the driver said lately that it does not do such a thing? Its error number, or 0. */
static u16 refused(struct natflow_flow *flow, int dir)
{
	const struct natflow_egress *egress = egress_of(flow, dir);
	int iif = natflow_flow_half(flow, dir)->iif;
	u32 kind = kind_of(flow, dir);
	unsigned int i;
	u16 error = 0;

	spin_lock(&hwnat_lock);
	for (i = 0; egress && i < REFUSALS && !error; i++) {
		const struct refusal *refusal = &refusals[i];

		if (refusal->error && refusal->nn == flow->nn && refusal->iif == iif &&
		    refusal->oif == egress->port && refusal->kind == kind &&
		    time_before(jiffies, refusal->until))
			error = refusal->error;
	}
	spin_unlock(&hwnat_lock);
	return error;
}

static void remember_refusal(struct natflow_flow *flow, int dir, int err)
{
	const struct natflow_egress *egress = egress_of(flow, dir);
	struct refusal *refusal;

	if (!egress)
		return;
	spin_lock(&hwnat_lock);
	refusal = &refusals[next_refusal++ % REFUSALS];
	refusal->nn = flow->nn;
	refusal->iif = natflow_flow_half(flow, dir)->iif;
	refusal->oif = egress->port;
	refusal->kind = kind_of(flow, dir);
	refusal->until = jiffies + REFUSED_RETRY;
	refusal->error = -err;
	spin_unlock(&hwnat_lock);
}

static void set_reason(struct natflow_flow *flow, int dir, enum natflow_reason reason, u16 error)
{
	struct natflow_hw_dir *hw = &flow->hw[dir];

	WRITE_ONCE(hw->reason, reason);
	if (reason == NATFLOW_REASON_HW_REFUSED)
		WRITE_ONCE(hw->error, error);
	else
		WRITE_ONCE(hw->error, 0);
	WRITE_ONCE(hw->state, reason == NATFLOW_REASON_HW_REFUSED ? NATFLOW_HW_STATE_REFUSED :
								    NATFLOW_HW_STATE_NONE);
}

/* Takes the root down to where it belongs. */
static void sift(unsigned int at)
{
	for (;;) {
		unsigned int child = 2 * at + 1;

		if (child >= heap_size)
			return;
		if (child + 1 < heap_size && heap[child + 1].rate < heap[child].rate)
			child++;
		if (heap[at].rate <= heap[child].rate)
			return;
		swap(heap[at], heap[child]);
		at = child;
	}
}

static void propose(struct natflow_flow *flow, u64 rate)
{
	struct natflow_flow *loser = NULL;
	unsigned int i;

	spin_lock(&hwnat_lock);
	if (heap_size < CANDIDATES) {
		heap[heap_size].flow = flow;
		heap[heap_size++].rate = rate;
		if (heap_size == CANDIDATES)
			for (i = CANDIDATES / 2; i--;)
				sift(i);
	} else if (heap[0].rate < rate) {
		loser = heap[0].flow;
		heap[0].flow = flow;
		heap[0].rate = rate;
		sift(0);
	} else {
		loser = flow;
	}
	if (loser != flow)
		refcount_inc(&flow->users);
	spin_unlock(&hwnat_lock);
	if (loser && loser != flow)
		natflow_flow_put(loser);
}

static u64 rate_of(const struct natflow_flow *flow)
{
	return (u64)flow->rate[IP_CT_DIR_ORIGINAL] + flow->rate[IP_CT_DIR_REPLY];
}

/* Why the flow, whatever its directions, does not enter now. */
static enum natflow_reason flow_waits(struct natflow_flow *flow)
{
	const struct natflow_config *config = &flow->nn->config;
	enum natflow_reason reason = hwnat_why_not(flow->nn);

	if (reason)
		return reason;
	if (rate_of(flow) < READ_ONCE(config->hw_min_rate))
		return NATFLOW_REASON_HW_RATE;
	if (READ_ONCE(config->hwnat_mode) == NATFLOW_HW_MODE_AUTO &&
	    hwnat_busy() < READ_ONCE(busy_permille))
		return NATFLOW_REASON_HW_CPU;
	return NATFLOW_REASON_NONE;
}

static bool installed(const struct natflow_flow *flow, int dir)
{
	const struct hwnat_entry *entry = flow->hw_entry;

	return entry && entry->dir[dir].state != HWNAT_NONE;
}

/* What comes out does not go in again before all of it is out. */
static bool leaving(const struct natflow_flow *flow)
{
	return flow->hw_entry && hwnat_entry_leaving(flow->hw_entry);
}

/* Why a direction does not enter now. */
static enum natflow_reason dir_waits(struct natflow_flow *flow, int dir, u16 *error)
{
	struct hwnat_door *door;
	u8 flags;
	enum natflow_reason reason = fits(flow, dir, &door, &flags);

	if (reason)
		return reason;
	*error = refused(flow, dir);
	if (*error)
		return NATFLOW_REASON_HW_REFUSED;
	return proved(flow, dir) ? NATFLOW_REASON_NONE : NATFLOW_REASON_HW_UNPROVED;
}

static bool may_reprove(const struct natflow_config *config)
{
	return READ_ONCE(reproofs) < max(READ_ONCE(config->hw_rate_limit) / REPROOF_PART, 1U);
}

/* A flow that has been slow for long, or that the hardware never took, or that must be proved. */
static void age_installed(struct natflow_flow *flow)
{
	const struct natflow_config *config = &flow->nn->config;
	struct hwnat_entry *entry = flow->hw_entry;
	unsigned long age = jiffies - entry->born;
	struct hwnat_door *door;
	int dir, bound = 0;
	u8 flags;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		enum natflow_reason reason;

		if (!installed(flow, dir))
			continue;
		bound += entry->dir[dir].state == HWNAT_BOUND;
		reason = fits(flow, dir, &door, &flags);
		if (reason) {
			hwnat_withdraw(entry, reason);
			return;
		}
	}
	if (rate_of(flow) >= READ_ONCE(config->hw_min_rate) / SLOW_PART) {
		entry->slow_since = 0;
	} else if (!entry->slow_since) {
		entry->slow_since = jiffies ?: 1;
	} else if (time_after(jiffies, entry->slow_since + SLOW_TIME)) {
		hwnat_withdraw(entry, NATFLOW_REASON_HW_RATE);
		return;
	}
	if (!bound && age > UNBOUND_TIME) {
		flow->hw_retry = (u32)jiffies + UNBOUND_RETRY;
		hwnat_withdraw(entry, NATFLOW_REASON_HW_FULL);
	} else if (age > REPROOF_LATEST || (age > REPROOF_TIME && may_reprove(config))) {
		WRITE_ONCE(reproofs, reproofs + 1);
		hwnat_withdraw(entry, NATFLOW_REASON_HW_UNPROVED);
	}
}

/* Reasons that a flow has of its own, and that seldom change. */
static bool lasts(enum natflow_reason reason)
{
	switch (reason) {
	case NATFLOW_REASON_HW_QDISC:
	case NATFLOW_REASON_HW_IPV6_NAT:
	case NATFLOW_REASON_HW_TAGS:
	case NATFLOW_REASON_HW_EGRESS:
	case NATFLOW_REASON_HW_INGRESS:
	case NATFLOW_REASON_HW_WED_OFF:
	case NATFLOW_REASON_HW_WED_RX:
		return true;
	default:
		return false;
	}
}

/* Slow flows are many: what seldom changes is asked once in a while only. */
static bool known(const struct natflow_flow *flow, int dir, enum natflow_reason waits)
{
	return waits == NATFLOW_REASON_HW_RATE && flow->hw[dir].reason &&
	       (jiffies / HZ + flow->id) % 8;
}

/* What is told of a direction, of its own reason and the flow's. */
static enum natflow_reason tell(enum natflow_reason reason, enum natflow_reason waits)
{
	switch (waits) {
	case NATFLOW_REASON_HW_OFF:
	case NATFLOW_REASON_HW_NO_DOOR:
		return waits;
	case NATFLOW_REASON_NONE:
		return reason;
	default:
		return lasts(reason) || reason == NATFLOW_REASON_HW_REFUSED ? reason : waits;
	}
}

/* Looks at what is not in the hardware; true when any of it may enter. */
static bool consider(struct natflow_flow *flow)
{
	enum natflow_reason reason[IP_CT_DIR_MAX], waits;
	u16 error[IP_CT_DIR_MAX] = {};
	bool wanted = false;
	int dir;

	waits = flow->hw_entry ? hwnat_why_not(flow->nn) : flow_waits(flow);
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		if (known(flow, dir, waits))
			reason[dir] = flow->hw[dir].reason;
		else
			reason[dir] = dir_waits(flow, dir, &error[dir]);
		reason[dir] = tell(reason[dir], waits);
	}
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		enum natflow_reason own = reason[dir];

		if (installed(flow, dir))
			continue;
		if (!own && IS_ENABLED(CONFIG_HWNAT_EXTDEV_DISABLED) && reason[!dir] &&
		    !installed(flow, !dir))
			own = NATFLOW_REASON_HW_HALF;
		wanted |= !own;
		set_reason(flow, dir, own ?: NATFLOW_REASON_HW_LIMIT, error[dir]);
	}
	return wanted;
}

/**
 * hwnat_age() - once a second for each flow; under RCU and its lock
 * @flow: the flow
 */
void hwnat_age(struct natflow_flow *flow)
{
	if (flow->reason)
		return;
	if (flow->hw_retry && !time_before32((u32)jiffies, flow->hw_retry))
		flow->hw_retry = 0;
	/* Any proof that still holds is younger: forgotten before jiffies come round. */
	if ((u32)jiffies - flow->hw_withdrawn > READ_ONCE(flow->nn->sample_jiffies))
		flow->hw_withdrawn = 0;
	if (!flow->hw_retry && !leaving(flow) && consider(flow))
		propose(flow, rate_of(flow));
	if (flow->hw_entry)
		age_installed(flow);
}

/**
 * hwnat_aged() - all flows of a namespace were looked at
 * @nn: namespace
 */
void hwnat_aged(struct natflow_net *nn)
{
	spin_lock_bh(&hwnat_lock);
	measure();
	spin_unlock_bh(&hwnat_lock);
	queue_work(hwnat_wq, &admit_work);
}

static u32 capacity_of(const struct natflow_net *nn)
{
	u32 most = READ_ONCE(nn->config.hw_max_flows), capacity = hwnat_profile_capacity();

	return most ? min(most, capacity) : capacity;
}

/* Takes back the slowest flow, if it is much slower than @rate; false when that gave no room. */
static bool make_room(u64 rate, u32 capacity)
{
	struct hwnat_entry *entry, *slowest = NULL;
	u64 least = div_u64(rate, FASTER);
	struct natflow_flow *flow;

	spin_lock_bh(&hwnat_lock);
	list_for_each_entry(entry, &hwnat_live, node) {
		if (rate_of(entry->flow) < least) {
			least = rate_of(entry->flow);
			slowest = entry;
		}
	}
	spin_unlock_bh(&hwnat_lock);
	if (!slowest)
		return false;
	/* Entries are freed under hwnat_mutex only. */
	flow = slowest->flow;
	spin_lock_bh(&flow->lock);
	hwnat_withdraw(slowest, NATFLOW_REASON_HW_FULL);
	spin_unlock_bh(&flow->lock);
	hwnat_take_back();
	return hwnat_stats.installed < capacity;
}

static void begin_window(void)
{
	if (time_before(jiffies, window + HZ))
		return;
	WRITE_ONCE(window, jiffies);
	WRITE_ONCE(reproofs, 0);
}

/* Errors that tell about the hardware's state rather than about the flow. */
static bool trouble(int err)
{
	return err == -ENODEV || err == -EIO || err == -ENOSPC || err == -ENOMEM ||
	       err == -ETIMEDOUT || err == -EAGAIN;
}

static void failed(struct natflow_flow *flow, int dir, int err)
{
	spin_lock_bh(&flow->lock);
	if (err == -EOPNOTSUPP)
		remember_refusal(flow, dir, err);
	else
		flow->hw_retry = (u32)jiffies + (trouble(err) ? BACKOFF : REFUSED_RETRY);
	if (err == -ESTALE || err == -EBUSY)
		set_reason(flow, dir, NATFLOW_REASON_HW_UNPROVED, 0);
	else
		set_reason(flow, dir, NATFLOW_REASON_HW_REFUSED, -err);
	spin_unlock_bh(&flow->lock);
	if (!trouble(err))
		return;
	if (++troubles < TROUBLES)
		return;
	WRITE_ONCE(backoff_until, jiffies + BACKOFF);
	WRITE_ONCE(backing_off, true);
}

/* Hands over one direction; false when nothing more can be handed over in this second. */
static bool admit_dir(struct natflow_flow *flow, int dir, u64 rate)
{
	struct hwnat_door *door = NULL;
	struct hwnat_entry *entry;
	u32 capacity;
	bool wanted;
	u8 flags;
	int err;

	if (hwnat_budget_empty(READ_ONCE(flow->nn->config.hw_rate_limit)))
		return false;
	rcu_read_lock();
	spin_lock_bh(&flow->lock);
	wanted = !test_bit(NATFLOW_FLOW_DEAD, &flow->flags) && !flow->reason &&
		 !installed(flow, dir) && !leaving(flow) &&
		 flow->hw[dir].reason == NATFLOW_REASON_HW_LIMIT &&
		 !fits(flow, dir, &door, &flags) && proved(flow, dir);
	spin_unlock_bh(&flow->lock);
	rcu_read_unlock();
	if (!wanted)
		return true;
	/* What is stuck there may be an earlier flow of the same addresses and ports. */
	if (door->stuck) {
		spin_lock_bh(&flow->lock);
		set_reason(flow, dir, NATFLOW_REASON_HW_BACKOFF, 0);
		spin_unlock_bh(&flow->lock);
		return true;
	}
	capacity = capacity_of(flow->nn);
	if (hwnat_stats.installed >= capacity && !make_room(rate, capacity)) {
		spin_lock_bh(&flow->lock);
		set_reason(flow, dir, NATFLOW_REASON_HW_FULL, 0);
		spin_unlock_bh(&flow->lock);
		return true;
	}
	entry = hwnat_entry_get(flow);
	if (!entry)
		return true;
	err = hwnat_entry_install(entry, dir, door, flags);
	if (err) {
		failed(flow, dir, err);
		return !hwnat_backoff_ms();
	}
	troubles = 0;
	WRITE_ONCE(backing_off, false);
	return true;
}

/* After its directions were tried: what is left empty, or half where that is not wanted, goes. */
static void settle(struct natflow_flow *flow)
{
	struct hwnat_entry *entry;
	bool half;

	spin_lock_bh(&flow->lock);
	entry = flow->hw_entry;
	if (entry) {
		half = !installed(flow, IP_CT_DIR_ORIGINAL) || !installed(flow, IP_CT_DIR_REPLY);
		if (hwnat_entry_empty(entry))
			hwnat_withdraw(entry, NATFLOW_REASON_NONE);
		else if (half && IS_ENABLED(CONFIG_HWNAT_EXTDEV_DISABLED))
			hwnat_withdraw(entry, NATFLOW_REASON_HW_HALF);
	}
	spin_unlock_bh(&flow->lock);
}

static int faster_first(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	if (a->rate == b->rate)
		return 0;
	return a->rate > b->rate ? -1 : 1;
}

static void adapt_port(struct hwnat_port *port, const void *data)
{
	hwnat_port_adapt(port);
}

static void admit(struct work_struct *work)
{
	unsigned int count, i;
	bool more = true;

	mutex_lock(&hwnat_mutex);
	begin_window();
	/* Doors that did not open the last time. */
	hwnat_port_for_each(adapt_port, NULL);
	spin_lock_bh(&hwnat_lock);
	count = heap_size;
	memcpy(chosen, heap, count * sizeof(*chosen));
	heap_size = 0;
	spin_unlock_bh(&hwnat_lock);
	sort(chosen, count, sizeof(*chosen), faster_first, NULL);
	for (i = 0; i < count; i++) {
		struct natflow_flow *flow = chosen[i].flow;

		more = more && !READ_ONCE(closing) &&
		       admit_dir(flow, IP_CT_DIR_ORIGINAL, chosen[i].rate) &&
		       admit_dir(flow, IP_CT_DIR_REPLY, chosen[i].rate);
		settle(flow);
		natflow_flow_put(flow);
		/* Neither does what became invalid meanwhile wait for all the others, */
		hwnat_take_back();
		/* nor who takes something back, perhaps with RTNL held. */
		mutex_unlock(&hwnat_mutex);
		cond_resched();
		mutex_lock(&hwnat_mutex);
	}
	mutex_unlock(&hwnat_mutex);
	hwnat_poll_start();
	hwnat_watch();
}

void hwnat_admit_init(void)
{
	INIT_WORK(&admit_work, admit);
	/* Not zero: 32-bit jiffies are "before" that in the first minutes after boot. */
	window = jiffies - HZ;
}

/* Lets go of all flows that wait. */
void hwnat_admit_flush(void)
{
	queue_work(hwnat_wq, &admit_work);
	flush_work(&admit_work);
}

/* Nobody is let in any more. */
void hwnat_admit_exit(void)
{
	WRITE_ONCE(closing, true);
	hwnat_admit_flush();
}
