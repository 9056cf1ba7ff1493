// SPDX-License-Identifier: GPL-2.0-only
/*
 * The budget: so many directions are handed over in a second at the most, whichever second one
 * looks at. A bucket that is filled once a second would let two of them pass back to back, and the
 * engine has been seen to lock up under bursts.
 *
 * The time of every call is kept; the one that is a whole budget ago must be over a second old.
 */
#include <linux/ktime.h>

#include "hwnat.h"
#include "uapi.h"

/* Under hwnat_mutex; the oldest is where the next one goes. */
static u64 spent[NATFLOW_CONFIG_HW_RATE_LIMIT_MAX];
static unsigned int next;

/*
 * Was a direction handed over in this last second that is so many calls ago? Jiffies cannot tell:
 * where a processor has stood still, as virtual ones do, they are behind the time.
 */
static bool spent_lately(unsigned int calls, u64 now)
{
	u64 at = spent[(next + ARRAY_SIZE(spent) - calls) % ARRAY_SIZE(spent)];

	return at && now - at <= NSEC_PER_SEC;
}

/**
 * hwnat_budget_empty() - must the next direction wait
 * @limit: directions a second, 1 to NATFLOW_CONFIG_HW_RATE_LIMIT_MAX
 */
bool hwnat_budget_empty(u32 limit)
{
	lockdep_assert_held(&hwnat_mutex);
	return spent_lately(limit, ktime_get_ns());
}

/**
 * hwnat_budget_left() - how many directions may be handed over at once
 * @limit: likewise
 */
u32 hwnat_budget_left(u32 limit)
{
	u64 now = ktime_get_ns();
	u32 used = 0;

	lockdep_assert_held(&hwnat_mutex);
	while (used < limit && spent_lately(used + 1, now))
		used++;
	return limit - used;
}

/**
 * hwnat_budget_spend() - a driver was asked to take a direction
 *
 * Called when it has answered: then the next call but a budget comes a second after this one.
 */
void hwnat_budget_spend(void)
{
	lockdep_assert_held(&hwnat_mutex);
	spent[next] = ktime_get_ns();
	next = (next + 1) % ARRAY_SIZE(spent);
}
