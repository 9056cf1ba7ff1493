// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters, evidence and timeouts of what is in the hardware.
 *
 * A driver that took a rule has promised nothing: the hardware binds a flow when its packets come
 * fast enough and its table has room, and forgets it after some idle seconds (7 for TCP). What
 * counts is evidence: its counters grow or, where it has none, the time of the last packet moves.
 */
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/netfilter/nf_conntrack_timeout.h>

#include "hwnat.h"

#define INTERVAL	HZ
/* Looks at counters in a second at the least; all are looked at within four seconds. */
#define BATCH		512
#define ROUND		4
/* The hardware forgets an idle flow after 7 (TCP) or 12 (UDP) seconds. */
#define FORGOTTEN	(10 * HZ)

static struct delayed_work poll_work;

static u32 timeout_in_rcu(const struct nf_conn *ct)
{
	const unsigned int *timeouts = nf_ct_timeout_lookup(ct);
	struct net *net = nf_ct_net(ct);

	if (nf_ct_protonum(ct) == IPPROTO_TCP) {
		if (!timeouts)
			timeouts = nf_tcp_pernet(net)->timeouts;
		return timeouts[TCP_CONNTRACK_ESTABLISHED];
	}
	if (!timeouts)
		timeouts = nf_udp_pernet(net)->timeouts;
	if (time_after(jiffies, ct->proto.udp.stream_ts))
		return timeouts[UDP_CT_REPLIED];
	return timeouts[UDP_CT_UNREPLIED];
}

/* What the packet path would have set conntrack's timeout to; a rule's timeouts may go any time. */
static u32 timeout_of(const struct nf_conn *ct)
{
	u32 timeout;

	rcu_read_lock();
	timeout = timeout_in_rcu(ct);
	rcu_read_unlock();
	return timeout;
}

/* Takes over conntrack's timeout as it is before the hardware has the flow. */
void hwnat_timeout_begin(struct hwnat_entry *entry)
{
	entry->expires = READ_ONCE(entry->flow->ct->timeout);
	entry->written = entry->expires;
}

/* The hardware has forwarded a packet at @seen. Timeouts only grow. */
void hwnat_timeout_extend(struct hwnat_entry *entry, unsigned long seen)
{
	u32 expires = (u32)seen + timeout_of(entry->flow->ct);

	if ((s32)(expires - entry->expires) > 0)
		entry->expires = expires;
}

/**
 * hwnat_timeout_set() - make conntrack's timeout what it ought to be
 * @entry: the entry
 *
 * Kernels before 7.2 push the timeout of an offloaded connection to a day, whether or not it is
 * alive. Whatever conntrack itself has written because of a packet stays: that is never more than
 * its protocol's timeout.
 */
void hwnat_timeout_set(struct hwnat_entry *entry)
{
	struct nf_conn *ct = entry->flow->ct;
	u32 now = READ_ONCE(ct->timeout);

	if (test_bit(IPS_FIXED_TIMEOUT_BIT, &ct->status))
		return;
	if (now != entry->written && (s32)(now - nfct_time_stamp) <= (s32)(timeout_of(ct) + HZ))
		entry->expires = now;
	if (now != entry->expires)
		WRITE_ONCE(ct->timeout, entry->expires);
	entry->written = entry->expires;
}

static unsigned long clamp_time(unsigned long time, unsigned long least, unsigned long most)
{
	if (time_before(time, least))
		return least;
	return time_after(time, most) ? most : time;
}

/**
 * struct look - what one look at the counters has shown
 * @packets: since the last one
 * @bytes: since the last one
 * @seen: jiffies of the last packet
 * @evidence: the hardware has forwarded
 */
struct look {
	u64		packets;
	u64		bytes;
	unsigned long	seen;
	bool		evidence;
};

/*
 * Without counters there is only the time of the last packet, in whole seconds, and one that
 * means nothing as long as the hardware has not bound the flow: then it stands still, give or
 * take a second. While it moves the flow is taken to go on as fast as it did before.
 */
static void estimate(struct hwnat_dir *hw, unsigned long used, struct look *look)
{
	unsigned long active = used - hw->base;

	if (!time_after(used, hw->base + HZ))
		return;
	look->bytes = div_u64((u64)hw->rate * active, HZ);
	look->packets = div_u64(look->bytes + hw->packet - 1, hw->packet);
	look->seen = used;
	look->evidence = true;
	hw->base = used;
}

static void read_counters(struct hwnat_dir *hw, const struct flow_stats *stats, struct look *look)
{
	unsigned long now = jiffies;

	if (!hwnat_profile->counters) {
		estimate(hw, clamp_time(stats->lastused, hw->installed, now), look);
		return;
	}
	look->packets = stats->pkts;
	look->bytes = stats->bytes;
	look->seen = clamp_time(stats->lastused, hw->polled, now);
	look->evidence = look->packets;
}

static void set_bound(struct hwnat_entry *entry, int dir, bool bound)
{
	struct hwnat_dir *hw = &entry->dir[dir];

	hw->state = bound ? HWNAT_BOUND : HWNAT_INSTALLED;
	hwnat_stats.bound += bound ? 1 : -1;
	WRITE_ONCE(entry->flow->hw[dir].state,
		   bound ? NATFLOW_HW_STATE_BOUND : NATFLOW_HW_STATE_PENDING);
	if (bound)
		set_bit(IPS_HW_OFFLOAD_BIT, &entry->flow->ct->status);
}

static void take(struct hwnat_entry *entry, int dir, const struct look *look)
{
	struct natflow_flow *flow = entry->flow;
	struct hwnat_dir *hw = &entry->dir[dir];
	unsigned long elapsed = jiffies - hw->polled ?: 1;
	u32 now = (u32)jiffies;

	spin_lock_bh(&flow->lock);
	if (look->packets)
		natflow_offload_count(flow, dir, look->packets, look->bytes,
				      hwnat_profile->counters);
	WRITE_ONCE(flow->hw[dir].rate, min_t(u64, div_u64(look->bytes * HZ, elapsed), U32_MAX));
	if (look->evidence) {
		if (!flow->hw_seen || now - (u32)look->seen < now - flow->hw_seen)
			WRITE_ONCE(flow->hw_seen, (u32)look->seen ?: 1);
		hw->seen = look->seen;
		if (hw->state != HWNAT_BOUND)
			set_bound(entry, dir, true);
	} else if (hw->state == HWNAT_BOUND && time_after(jiffies, hw->seen + FORGOTTEN)) {
		set_bound(entry, dir, false);
	}
	spin_unlock_bh(&flow->lock);
	hw->polled = jiffies;
	if (look->evidence)
		hwnat_timeout_extend(entry, look->seen);
}

/* A driver that does not answer gives no evidence, either. */
static void doubt(struct hwnat_entry *entry, int dir, int err)
{
	struct natflow_flow *flow = entry->flow;
	struct hwnat_dir *hw = &entry->dir[dir];

	hwnat_note_error(err);
	hw->error = -err;
	if (hw->state != HWNAT_BOUND || !time_after(jiffies, hw->seen + FORGOTTEN))
		return;
	spin_lock_bh(&flow->lock);
	set_bound(entry, dir, false);
	spin_unlock_bh(&flow->lock);
}

/**
 * hwnat_poll_dir() - look at the counters of a direction; may sleep
 * @entry: the entry
 * @dir: a direction that is installed
 *
 * Return: 0, or what the driver says.
 */
int hwnat_poll_dir(struct hwnat_entry *entry, int dir)
{
	struct hwnat_dir *hw = &entry->dir[dir];
	struct flow_cls_offload cls = {
		.command = FLOW_CLS_STATS,
		.cookie = hw->cookie,
	};
	struct look look = {};
	int err;

	lockdep_assert_held(&hwnat_mutex);
	err = hwnat_door_call(hw->door, &cls);
	if (err) {
		doubt(entry, dir, err);
		return err;
	}
	hw->error = 0;
	read_counters(hw, &cls.stats, &look);
	take(entry, dir, &look);
	return 0;
}

static void poll_entry(struct hwnat_entry *entry)
{
	struct natflow_flow *flow = entry->flow;
	int dir;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		u8 state = entry->dir[dir].state;

		if (state != HWNAT_INSTALLED && state != HWNAT_BOUND)
			continue;
		if (hwnat_poll_dir(entry, dir) != -ENOENT)
			continue;
		/* The driver has lost it. */
		spin_lock_bh(&flow->lock);
		hwnat_withdraw(entry, NATFLOW_REASON_HW_UNPROVED);
		spin_unlock_bh(&flow->lock);
	}
	hwnat_timeout_set(entry);
}

/* The one that was looked at longest ago goes to the end of the line. */
static struct hwnat_entry *next_entry(void)
{
	struct hwnat_entry *entry;

	spin_lock_bh(&hwnat_lock);
	entry = list_first_entry_or_null(&hwnat_live, struct hwnat_entry, node);
	if (entry)
		list_move_tail(&entry->node, &hwnat_live);
	spin_unlock_bh(&hwnat_lock);
	return entry;
}

static void poll(struct work_struct *work)
{
	struct hwnat_entry *entry, *first = NULL;
	unsigned int left;

	/* Every entry has one direction at the least. */
	left = max_t(unsigned int, READ_ONCE(hwnat_stats.installed) / ROUND + 1, BATCH);
	while (left--) {
		mutex_lock(&hwnat_mutex);
		entry = next_entry();
		if (entry && entry != first)
			poll_entry(entry);
		mutex_unlock(&hwnat_mutex);
		if (!entry || entry == first)
			break;
		if (!first)
			first = entry;
		cond_resched();
	}
	hwnat_poll_start();
}

/* As long as there is something to look at it goes on by itself. */
void hwnat_poll_start(void)
{
	if (READ_ONCE(hwnat_stats.installed))
		queue_delayed_work(hwnat_wq, &poll_work, INTERVAL);
}

void hwnat_poll_init(void)
{
	INIT_DELAYED_WORK(&poll_work, poll);
}

void hwnat_poll_exit(void)
{
	cancel_delayed_work_sync(&poll_work);
}
