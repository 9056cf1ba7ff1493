// SPDX-License-Identifier: GPL-2.0-only
/* Simulated time: real time, advanced by a test, or running faster. */
#include <linux/ktime.h>
#include <linux/math64.h>

#include "ppesim.h"

/**
 * ppesim_clock_init() - start the clock of a SoC
 * @soc: the SoC
 */
void ppesim_clock_init(struct ppesim_soc *soc)
{
	spin_lock_init(&soc->clock_lock);
	soc->clock_base = ktime_get_ns();
	soc->clock_start = 0;
	soc->clock_scale = 1;
}

static u64 now_ns(const struct ppesim_soc *soc)
{
	return soc->clock_start + (ktime_get_ns() - soc->clock_base) * soc->clock_scale;
}

/**
 * ppesim_now() - simulated time
 * @soc: the SoC
 *
 * Return: seconds since the SoC was made.
 */
s64 ppesim_now(struct ppesim_soc *soc)
{
	u64 ns;

	spin_lock_bh(&soc->clock_lock);
	ns = now_ns(soc);
	spin_unlock_bh(&soc->clock_lock);
	return div_u64(ns, NSEC_PER_SEC);
}

/**
 * ppesim_clock_advance() - let time pass at once
 * @soc: the SoC
 * @seconds: how much
 */
void ppesim_clock_advance(struct ppesim_soc *soc, u32 seconds)
{
	spin_lock_bh(&soc->clock_lock);
	soc->clock_start += (u64)seconds * NSEC_PER_SEC;
	spin_unlock_bh(&soc->clock_lock);
}

/**
 * ppesim_clock_set_scale() - let time pass faster from now on
 * @soc: the SoC
 * @scale: simulated seconds a second
 */
void ppesim_clock_set_scale(struct ppesim_soc *soc, u32 scale)
{
	spin_lock_bh(&soc->clock_lock);
	soc->clock_start = now_ns(soc);
	soc->clock_base = ktime_get_ns();
	soc->clock_scale = scale;
	spin_unlock_bh(&soc->clock_lock);
}

/**
 * ppesim_stamp_mask() - how much of the time an entry keeps
 * @soc: the SoC
 */
u16 ppesim_stamp_mask(const struct ppesim_soc *soc)
{
	return soc->profile->netsys >= 2 ? 0xff : 0x7fff;
}

/**
 * ppesim_stamp() - the time as an entry keeps it
 * @soc: the SoC
 */
u16 ppesim_stamp(struct ppesim_soc *soc)
{
	return ppesim_now(soc) & ppesim_stamp_mask(soc);
}
