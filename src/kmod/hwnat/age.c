// SPDX-License-Identifier: GPL-2.0-only
/* The look at each flow once a second: may it enter, has it to leave, and what is told of it. */
#include "hwnat.h"

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

/* Jiffies when the running second began; under hwnat_mutex. */
static unsigned long window;
/* Flows taken back for a new proof in it: counted without a lock, one more or less does no harm. */
static unsigned int reproofs;

/**
 * hwnat_age_begin() - another second may have begun; under hwnat_mutex
 */
void hwnat_age_begin(void)
{
	if (time_before(jiffies, window + HZ))
		return;
	WRITE_ONCE(window, jiffies);
	WRITE_ONCE(reproofs, 0);
}

/**
 * hwnat_set_reason() - tell why a direction is not in the hardware; under the flow's lock
 * @flow: the flow
 * @dir: the direction
 * @reason: why
 * @error: of NATFLOW_REASON_HW_REFUSED the driver's error number, positive
 */
void hwnat_set_reason(struct natflow_flow *flow, int dir, enum natflow_reason reason, u16 error)
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

/* Why the flow, whatever its directions, does not enter now. */
static enum natflow_reason flow_waits(struct natflow_flow *flow)
{
	const struct natflow_config *config = &flow->nn->config;
	enum natflow_reason reason = hwnat_why_not(flow->nn);

	if (reason)
		return reason;
	if (hwnat_rate(flow) < READ_ONCE(config->hw_min_rate))
		return NATFLOW_REASON_HW_RATE;
	if (READ_ONCE(config->hwnat_mode) == NATFLOW_HW_MODE_AUTO && !hwnat_busy_enough())
		return NATFLOW_REASON_HW_CPU;
	return NATFLOW_REASON_NONE;
}

/* Why a direction does not enter now. */
static enum natflow_reason dir_waits(struct natflow_flow *flow, int dir, u16 *error)
{
	struct hwnat_door *door;
	u8 flags;
	enum natflow_reason reason = hwnat_fits(flow, dir, &door, &flags);

	if (reason)
		return reason;
	*error = hwnat_refused(flow, dir);
	if (*error)
		return NATFLOW_REASON_HW_REFUSED;
	return hwnat_proved(flow, dir) ? NATFLOW_REASON_NONE : NATFLOW_REASON_HW_UNPROVED;
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

		if (!hwnat_installed(flow, dir))
			continue;
		bound += entry->dir[dir].state == HWNAT_BOUND;
		reason = hwnat_fits(flow, dir, &door, &flags);
		if (reason) {
			hwnat_withdraw(entry, reason);
			return;
		}
	}
	if (hwnat_rate(flow) >= READ_ONCE(config->hw_min_rate) / SLOW_PART) {
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

		if (hwnat_installed(flow, dir))
			continue;
		if (!own && IS_ENABLED(CONFIG_HWNAT_EXTDEV_DISABLED) && reason[!dir] &&
		    !hwnat_installed(flow, !dir))
			own = NATFLOW_REASON_HW_HALF;
		wanted |= !own;
		hwnat_set_reason(flow, dir, own ?: NATFLOW_REASON_HW_LIMIT, error[dir]);
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
	if (!flow->hw_retry && !hwnat_leaving(flow) && consider(flow))
		hwnat_propose(flow, hwnat_rate(flow));
	if (flow->hw_entry)
		age_installed(flow);
}

void hwnat_age_init(void)
{
	/* Not zero: 32-bit jiffies are "before" that in the first minutes after boot. */
	window = jiffies - HZ;
}
