/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * natflow_hwnat: hands flows of natflow to MediaTek's packet processing engine (PPE).
 *
 *   main.c     init, exit, what the core calls   age.c        who may in, and who must out
 *   client.c   withdrawing, what netlink asks    fits.c       what the hardware can forward
 *   entry.c    one flow in the hardware          refusal.c    what a driver will not have
 *   door.c     ports and the drivers' callbacks  candidate.c  the fastest that may in
 *   rule.c     match and action keys             admit.c      handing them over
 *   poll.c     counters, evidence, timeouts      budget.c     how many in a second
 *   profile.c  facts of each SoC                 busy.c       the processors' time
 *
 * Drivers sleep, so they are called from work items only, under hwnat_mutex. Whatever makes an
 * entry invalid, in whatever context, only says so; the next work item takes it out.
 */
#ifndef NATFLOW_HWNAT_H
#define NATFLOW_HWNAT_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "door.h"
#include "flow.h"
#include "offload.h"
#include "path.h"
#include "profile.h"
#include "rule.h"

/* Error numbers that are counted each by itself, and one place for all others. */
#define HWNAT_ERRNOS	16
/* Flows that can wait for the end of a second at the most; more than its budget is of no use. */
#define HWNAT_CANDIDATES	500
/* A driver that says no is asked about the same again after so long. */
#define HWNAT_REFUSED_RETRY	(30 * HZ)

/**
 * enum hwnat_state - a direction in the hardware
 * @HWNAT_NONE: not there
 * @HWNAT_ADDING: the driver is being asked
 * @HWNAT_INSTALLED: the driver has it; the hardware may, or may not
 * @HWNAT_BOUND: the hardware has forwarded packets lately
 * @HWNAT_DEL: being taken back; the driver has not agreed yet
 *
 * Changed under hwnat_mutex only.
 */
enum hwnat_state {
	HWNAT_NONE,
	HWNAT_ADDING,
	HWNAT_INSTALLED,
	HWNAT_BOUND,
	HWNAT_DEL,
};

/**
 * struct hwnat_dir - one direction of an entry
 * @state: enum hwnat_state
 * @flags: enum natflow_hw_flag
 * @door: whose driver was asked
 * @egress: way out, one reference held
 * @cookie: what the driver knows it by, never used twice
 * @gen: generation of the namespace when it was proved
 * @ruleset: nftables' counter then
 * @installed: jiffies when it was installed
 * @polled: jiffies of the last look at its counters
 * @seen: jiffies of the last evidence
 * @base: jiffies that the driver named last, for hardware without counters
 * @rate: bytes a second before it was installed, for the same
 * @packet: bytes of a packet then
 * @error: error number of the last look at its counters, positive; 0 when it went well
 */
struct hwnat_dir {
	u8			state;
	u8			flags;
	struct hwnat_door	*door;
	struct natflow_egress	*egress;
	unsigned long		cookie;
	u32			gen;
	u32			ruleset;
	unsigned long		installed;
	unsigned long		polled;
	unsigned long		seen;
	unsigned long		base;
	u32			rate;
	u32			packet;
	u16			error;
};

/**
 * struct hwnat_entry - a flow in the hardware
 * @node: in hwnat_live or hwnat_gone, under hwnat_lock
 * @flow: the flow, one reference held; its hw_entry points back
 * @dir: by direction
 * @expires: when conntrack would drop the connection, in its own clock
 * @written: what its timeout was when we looked or wrote last
 * @born: jiffies when the first direction was installed
 * @slow_since: jiffies since when it has not been worth its place
 * @why: enum natflow_reason, why it is taken back
 */
struct hwnat_entry {
	struct list_head	node;
	struct natflow_flow	*flow;
	struct hwnat_dir	dir[IP_CT_DIR_MAX];
	u32			expires;
	u32			written;
	unsigned long		born;
	unsigned long		slow_since;
	u16			why;
};

/**
 * struct hwnat_candidate - a flow that may enter
 * @flow: the flow, one reference held
 * @rate: bytes a second, both directions
 */
struct hwnat_candidate {
	struct natflow_flow	*flow;
	u64			rate;
};

/**
 * struct hwnat_stats - under hwnat_mutex
 * @installed: directions that the driver has
 * @bound: of which the hardware is known to forward
 * @installs: since the module was loaded
 * @destroys: likewise
 * @failures: likewise
 * @errors: error numbers met, each with how often; the last place is for all others
 */
struct hwnat_stats {
	u32	installed;
	u32	bound;
	u64	installs;
	u64	destroys;
	u64	failures;
	struct {
		u32	error;
		u32	count;
	} errors[HWNAT_ERRNOS];
};

extern struct mutex hwnat_mutex;
extern spinlock_t hwnat_lock;
extern struct list_head hwnat_live, hwnat_gone;
extern struct hwnat_stats hwnat_stats;
extern struct workqueue_struct *hwnat_wq;

/* client.c */
void hwnat_client_init(void);
void hwnat_client_exit(void);
void hwnat_kick(void);
void hwnat_sync(void);
void hwnat_flow_gone(struct natflow_flow *flow);
void hwnat_withdraw(struct hwnat_entry *entry, enum natflow_reason why);
void hwnat_withdraw_door(const struct hwnat_door *door);
void hwnat_take_back(void);
void hwnat_watch(void);

/* entry.c */
struct hwnat_entry *hwnat_entry_get(struct natflow_flow *flow);
int hwnat_entry_install(struct hwnat_entry *entry, int dir, struct hwnat_door *door, u8 flags);
bool hwnat_entry_destroy(struct hwnat_entry *entry);
void hwnat_entry_abandon(struct hwnat_entry *entry, const struct hwnat_door *door);
bool hwnat_entry_empty(const struct hwnat_entry *entry);
bool hwnat_entry_leaving(const struct hwnat_entry *entry);
bool hwnat_entry_valid(const struct hwnat_entry *entry);
void hwnat_note_error(int err);

/* age.c */
void hwnat_age_init(void);
void hwnat_age_begin(void);
void hwnat_age(struct natflow_flow *flow);
void hwnat_set_reason(struct natflow_flow *flow, int dir, enum natflow_reason reason, u16 error);

/* fits.c */
struct natflow_egress *hwnat_egress(struct natflow_flow *flow, int dir);
enum natflow_reason hwnat_fits(struct natflow_flow *flow, int dir, struct hwnat_door **door,
			       u8 *flags);
bool hwnat_proved(const struct natflow_flow *flow, int dir);

/* refusal.c */
u16 hwnat_refused(struct natflow_flow *flow, int dir);
void hwnat_refusal_note(struct natflow_flow *flow, int dir, int err);

/* candidate.c */
void hwnat_propose(struct natflow_flow *flow, u64 rate);
unsigned int hwnat_candidates(struct hwnat_candidate chosen[HWNAT_CANDIDATES]);

/* admit.c */
void hwnat_admit_init(void);
void hwnat_admit_flush(void);
void hwnat_admit_exit(void);
void hwnat_aged(struct natflow_net *nn);
enum natflow_reason hwnat_why_not(struct natflow_net *nn);
u32 hwnat_backoff_ms(void);

/* busy.c */
void hwnat_busy_measure(void);
u32 hwnat_busy(void);
bool hwnat_busy_enough(void);

/* budget.c; all of it under hwnat_mutex */
bool hwnat_budget_empty(u32 limit);
u32 hwnat_budget_left(u32 limit);
void hwnat_budget_spend(void);

/* poll.c */
void hwnat_poll_init(void);
void hwnat_poll_start(void);
void hwnat_poll_exit(void);
int hwnat_poll_dir(struct hwnat_entry *entry, int dir);
void hwnat_timeout_begin(struct hwnat_entry *entry);
void hwnat_timeout_extend(struct hwnat_entry *entry, unsigned long seen);
void hwnat_timeout_set(struct hwnat_entry *entry);

/* Bytes a second, both directions. */
static inline u64 hwnat_rate(const struct natflow_flow *flow)
{
	return (u64)flow->rate[IP_CT_DIR_ORIGINAL] + flow->rate[IP_CT_DIR_REPLY];
}

static inline bool hwnat_installed(const struct natflow_flow *flow, int dir)
{
	const struct hwnat_entry *entry = flow->hw_entry;

	return entry && entry->dir[dir].state != HWNAT_NONE;
}

/* What comes out does not go in again before all of it is out. */
static inline bool hwnat_leaving(const struct natflow_flow *flow)
{
	return flow->hw_entry && hwnat_entry_leaving(flow->hw_entry);
}

#endif /* NATFLOW_HWNAT_H */
