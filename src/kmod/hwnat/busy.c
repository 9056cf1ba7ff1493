// SPDX-License-Identifier: GPL-2.0-only
/*
 * How busy the router is: the busiest CPU's share of the last second that went into the kernel's
 * own work.
 */
#include <linux/kernel_stat.h>
#include <linux/module.h>

#include "hwnat.h"

static unsigned int busy_permille = 700;
module_param_named(busy, busy_permille, uint, 0644);
MODULE_PARM_DESC(busy, "per mille of a CPU's time in the kernel from which auto mode acts (default 700)");

/* Under hwnat_lock. */
static unsigned long measured;
static unsigned int busy_now;
static DEFINE_PER_CPU(u64, busy_before);

/**
 * hwnat_busy_measure() - look at the processors' time; under hwnat_lock
 */
void hwnat_busy_measure(void)
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

/**
 * hwnat_busy() - per mille of the last second, of the busiest CPU
 */
u32 hwnat_busy(void)
{
	return READ_ONCE(busy_now);
}

/**
 * hwnat_busy_enough() - is it worth while to take work off the CPUs
 */
bool hwnat_busy_enough(void)
{
	return hwnat_busy() >= READ_ONCE(busy_permille);
}
