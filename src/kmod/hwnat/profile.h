/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_HWNAT_PROFILE_H
#define NATFLOW_HWNAT_PROFILE_H

#include <linux/types.h>

/**
 * struct hwnat_profile - facts of one SoC
 * @name: as users know it
 * @compatible: what its device tree calls it, NULL behind the last
 * @entries: size of its table
 * @skips: of each 128 entries so many are never used
 * @counters: it counts bytes and packets
 * @wed: version of WED; 1 carries traffic to WiFi only, 0 none at all
 */
struct hwnat_profile {
	const char	*name;
	const char	*compatible[4];
	u32		entries;
	u8		skips;
	bool		counters;
	u8		wed;
};

extern const struct hwnat_profile *hwnat_profile;

int hwnat_profile_init(void);
u32 hwnat_profile_capacity(void);

#endif /* NATFLOW_HWNAT_PROFILE_H */
