// SPDX-License-Identifier: GPL-2.0-only
/* Admission: the fastest candidates are handed over, as many as the budget of a second allows. */
#include "hwnat.h"

/* Hardware that is in trouble is left alone for so long. */
#define BACKOFF		(8 * HZ)
#define TROUBLES	3
/* A flow takes the place of another only when it is so many times as fast. */
#define FASTER		2

/* Under hwnat_mutex. */
static struct hwnat_candidate chosen[HWNAT_CANDIDATES];
static unsigned int troubles;		/* failures in a row */
static unsigned long backoff_until;
static bool backing_off;
static bool closing;			/* the module goes: nobody is let in any more */
static struct work_struct admit_work;

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

/**
 * hwnat_aged() - all flows of a namespace were looked at
 * @nn: namespace
 */
void hwnat_aged(struct natflow_net *nn)
{
	spin_lock_bh(&hwnat_lock);
	hwnat_busy_measure();
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
		if (hwnat_rate(entry->flow) < least) {
			least = hwnat_rate(entry->flow);
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
		hwnat_refusal_note(flow, dir, err);
	else
		flow->hw_retry = (u32)jiffies + (trouble(err) ? BACKOFF : HWNAT_REFUSED_RETRY);
	if (err == -ESTALE || err == -EBUSY)
		hwnat_set_reason(flow, dir, NATFLOW_REASON_HW_UNPROVED, 0);
	else
		hwnat_set_reason(flow, dir, NATFLOW_REASON_HW_REFUSED, -err);
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
		 !hwnat_installed(flow, dir) && !hwnat_leaving(flow) &&
		 flow->hw[dir].reason == NATFLOW_REASON_HW_LIMIT &&
		 !hwnat_fits(flow, dir, &door, &flags) && hwnat_proved(flow, dir);
	spin_unlock_bh(&flow->lock);
	rcu_read_unlock();
	if (!wanted)
		return true;
	/* What is stuck there may be an earlier flow of the same addresses and ports. */
	if (door->stuck) {
		spin_lock_bh(&flow->lock);
		hwnat_set_reason(flow, dir, NATFLOW_REASON_HW_BACKOFF, 0);
		spin_unlock_bh(&flow->lock);
		return true;
	}
	capacity = capacity_of(flow->nn);
	if (hwnat_stats.installed >= capacity && !make_room(rate, capacity)) {
		spin_lock_bh(&flow->lock);
		hwnat_set_reason(flow, dir, NATFLOW_REASON_HW_FULL, 0);
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
		half = !hwnat_installed(flow, IP_CT_DIR_ORIGINAL) ||
		       !hwnat_installed(flow, IP_CT_DIR_REPLY);
		if (hwnat_entry_empty(entry))
			hwnat_withdraw(entry, NATFLOW_REASON_NONE);
		else if (half && IS_ENABLED(CONFIG_HWNAT_EXTDEV_DISABLED))
			hwnat_withdraw(entry, NATFLOW_REASON_HW_HALF);
	}
	spin_unlock_bh(&flow->lock);
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
	hwnat_age_begin();
	/* Doors that did not open the last time. */
	hwnat_port_for_each(adapt_port, NULL);
	count = hwnat_candidates(chosen);
	for (i = 0; i < count; i++) {
		struct natflow_flow *flow = chosen[i].flow;

		more = more && !READ_ONCE(closing) &&
		       admit_dir(flow, IP_CT_DIR_ORIGINAL, chosen[i].rate) &&
		       admit_dir(flow, IP_CT_DIR_REPLY, chosen[i].rate);
		settle(flow);
		natflow_flow_put(flow);
		/* Neither does what became invalid meanwhile wait for all the others... */
		hwnat_take_back();
		/* ... nor who takes something back, perhaps with RTNL held. */
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
