// SPDX-License-Identifier: GPL-2.0-only
/* Withdrawing: whatever is valid no more leaves the hardware, before anything else happens. */
#include <net/netns/nftables.h>

#include "hwnat.h"

/* How often routes and rulesets are looked at that have no event. */
#define WATCH_INTERVAL	(HZ / 10)
/* When a driver did not let go. */
#define AGAIN		(HZ / 4)
#define DOOR_TRIES	16

/* One driver call at a time; and all that belongs to entries, ports and doors. */
DEFINE_MUTEX(hwnat_mutex);
/* The two lists, and what admission keeps between work items. */
DEFINE_SPINLOCK(hwnat_lock);
LIST_HEAD(hwnat_live);
LIST_HEAD(hwnat_gone);
struct hwnat_stats hwnat_stats;
struct workqueue_struct *hwnat_wq;

static struct work_struct withdraw_work;
static struct delayed_work again_work;
static struct delayed_work watch_work;
/* Something has become invalid that does not know its entries; a word: MIPS exchanges no less. */
static unsigned int rescan;

/* From any context: look at everything that is in the hardware. */
void hwnat_kick(void)
{
	WRITE_ONCE(rescan, 1);
	queue_work(hwnat_wq, &withdraw_work);
}

/* The same, and wait until it is out; may sleep. */
void hwnat_sync(void)
{
	hwnat_kick();
	flush_work(&withdraw_work);
}

/**
 * hwnat_withdraw() - take an entry back; any context
 * @entry: the entry; under its flow's lock
 * @why: enum natflow_reason
 */
void hwnat_withdraw(struct hwnat_entry *entry, enum natflow_reason why)
{
	entry->why = why;
	spin_lock(&hwnat_lock);
	list_move_tail(&entry->node, &hwnat_gone);
	spin_unlock(&hwnat_lock);
	queue_work(hwnat_wq, &withdraw_work);
}

/* The flow left the table, was refused, or goes another way now; under its lock. */
void hwnat_flow_gone(struct natflow_flow *flow)
{
	if (flow->hw_entry)
		hwnat_withdraw(flow->hw_entry, NATFLOW_REASON_HW_UNPROVED);
}

/* Puts what @leaves tells onto the list of what is to be taken back. */
static void sort_out(bool (*leaves)(const struct hwnat_entry *entry, const void *data),
		     const void *data)
{
	struct hwnat_entry *entry;
	unsigned int seen = 0;
	LIST_HEAD(todo);

	spin_lock_bh(&hwnat_lock);
	list_splice_init(&hwnat_live, &todo);
	while (!list_empty(&todo)) {
		entry = list_first_entry(&todo, struct hwnat_entry, node);
		list_move_tail(&entry->node, leaves(entry, data) ? &hwnat_gone : &hwnat_live);
		if (++seen % 64)
			continue;
		spin_unlock_bh(&hwnat_lock);
		cond_resched();
		spin_lock_bh(&hwnat_lock);
	}
	spin_unlock_bh(&hwnat_lock);
}

static bool invalid(const struct hwnat_entry *entry, const void *data)
{
	return !hwnat_entry_valid(entry);
}

static bool uses_door(const struct hwnat_entry *entry, const void *door)
{
	return entry->dir[IP_CT_DIR_ORIGINAL].door == door ||
	       entry->dir[IP_CT_DIR_REPLY].door == door;
}

static bool any(const struct hwnat_entry *entry, const void *data)
{
	return true;
}

static struct hwnat_entry *next_gone(void)
{
	struct hwnat_entry *entry;

	spin_lock_bh(&hwnat_lock);
	entry = list_first_entry_or_null(&hwnat_gone, struct hwnat_entry, node);
	if (entry)
		list_del_init(&entry->node);
	spin_unlock_bh(&hwnat_lock);
	return entry;
}

/**
 * hwnat_take_back() - take everything out that is not valid; may sleep
 *
 * What a driver does not let go is tried again soon.
 */
void hwnat_take_back(void)
{
	struct hwnat_entry *entry;
	LIST_HEAD(stuck);

	lockdep_assert_held(&hwnat_mutex);
	if (xchg(&rescan, 0))
		sort_out(invalid, NULL);
	while ((entry = next_gone())) {
		if (hwnat_entry_destroy(entry))
			continue;
		spin_lock_bh(&hwnat_lock);
		list_move_tail(&entry->node, &stuck);
		spin_unlock_bh(&hwnat_lock);
	}
	if (list_empty(&stuck))
		return;
	spin_lock_bh(&hwnat_lock);
	list_splice_tail(&stuck, &hwnat_gone);
	spin_unlock_bh(&hwnat_lock);
	queue_delayed_work(hwnat_wq, &again_work, AGAIN);
}

static void abandon(const struct hwnat_door *door)
{
	struct hwnat_entry *entry;

	spin_lock_bh(&hwnat_lock);
	list_for_each_entry(entry, &hwnat_gone, node)
		hwnat_entry_abandon(entry, door);
	spin_unlock_bh(&hwnat_lock);
	hwnat_take_back();
}

/**
 * hwnat_withdraw_door() - take everything back that was handed over through a door; may sleep
 * @door: the door
 */
void hwnat_withdraw_door(const struct hwnat_door *door)
{
	unsigned int tries = DOOR_TRIES;

	lockdep_assert_held(&hwnat_mutex);
	do {
		sort_out(uses_door, door);
		hwnat_take_back();
	} while (door->installed && --tries);
	if (!door->installed)
		return;
	netdev_err(door->dev, "natflow: the driver keeps %u flows\n", door->installed);
	abandon(door);
}

static void withdraw(struct work_struct *work)
{
	mutex_lock(&hwnat_mutex);
	hwnat_take_back();
	mutex_unlock(&hwnat_mutex);
}

static void look_at_namespace(struct hwnat_port *port, const void *data)
{
	struct natflow_net *nn = port->nn;
	u32 ruleset = natflow_ruleset(nn->net);

	if (port->ruleset != ruleset) {
		port->ruleset = ruleset;
		WRITE_ONCE(rescan, 1);
	}
	/* Once for each namespace. */
	if (port == hwnat_port_nth(nn, 0))
		natflow_egress_check_routes(nn);
}

/* Software asks for every packet what nobody tells the hardware: routes, and the ruleset. */
static void watch(struct work_struct *work)
{
	mutex_lock(&hwnat_mutex);
	hwnat_port_for_each(look_at_namespace, NULL);
	hwnat_take_back();
	mutex_unlock(&hwnat_mutex);
	hwnat_watch();
}

/* As long as there is something in the hardware it goes on by itself. */
void hwnat_watch(void)
{
	if (READ_ONCE(hwnat_stats.installed))
		queue_delayed_work(hwnat_wq, &watch_work, WATCH_INTERVAL);
}

void hwnat_client_init(void)
{
	INIT_WORK(&withdraw_work, withdraw);
	INIT_DELAYED_WORK(&again_work, withdraw);
	INIT_DELAYED_WORK(&watch_work, watch);
}

/* Nobody adds anything any more. */
void hwnat_client_exit(void)
{
	cancel_delayed_work_sync(&watch_work);
	cancel_work_sync(&withdraw_work);
	mutex_lock(&hwnat_mutex);
	sort_out(any, NULL);
	hwnat_take_back();
	mutex_unlock(&hwnat_mutex);
	cancel_delayed_work_sync(&again_work);
}
