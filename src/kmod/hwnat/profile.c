// SPDX-License-Identifier: GPL-2.0-only
/* Which SoC this is, and what its packet processing engine can do. */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/string.h>

#include "profile.h"

static char *soc = "";
module_param(soc, charp, 0444);
MODULE_PARM_DESC(soc, "mt7621, mt7622, mt7981 or mt7986, instead of what the machine says");

static char *variant = "";
module_param(variant, charp, 0444);
MODULE_PARM_DESC(variant, "the same, for a machine that does not say; its package sets it");

/* The tables have 16384 entries for each engine; where there are two, each serves one MAC. */
static const struct hwnat_profile profiles[] = {
	{ .name = "mt7621", .compatible = { "mediatek,mt7621-soc", "mediatek,mt7621" },
	  .entries = 16384, .skips = 7 },
	{ .name = "mt7622", .compatible = { "mediatek,mt7622" },
	  .entries = 16384, .counters = true, .wed = 1 },
	{ .name = "mt7981", .compatible = { "mediatek,mt7981", "mediatek,mt7981b" },
	  .entries = 16384, .counters = true, .wed = 2 },
	{ .name = "mt7986",
	  .compatible = { "mediatek,mt7986", "mediatek,mt7986a", "mediatek,mt7986b" },
	  .entries = 16384, .counters = true, .wed = 2 },
};

/* Hardware that is not known is left alone. */
static const struct hwnat_profile none = { .name = "none" };

const struct hwnat_profile *hwnat_profile = &none;

static bool machine_is(const struct hwnat_profile *profile)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(profile->compatible) && profile->compatible[i]; i++)
		if (of_machine_is_compatible(profile->compatible[i]))
			return true;
	return false;
}

static const struct hwnat_profile *named(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(profiles); i++)
		if (!strcmp(name, profiles[i].name))
			return &profiles[i];
	return NULL;
}

static const struct hwnat_profile *of_machine(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(profiles); i++)
		if (machine_is(&profiles[i]))
			return &profiles[i];
	return NULL;
}

/**
 * hwnat_profile_init() - find out which SoC this is
 *
 * The machine knows better than the package that was installed.
 *
 * Return: 0, or -EINVAL for a name in a parameter that is not known.
 */
int hwnat_profile_init(void)
{
	const struct hwnat_profile *profile = *soc ? named(soc) : of_machine();

	if ((*soc && !profile) || (*variant && !named(variant))) {
		pr_err("parameter %s: must be mt7621, mt7622, mt7981 or mt7986\n",
		       *soc && !profile ? soc : variant);
		return -EINVAL;
	}
	if (!profile && *variant)
		profile = named(variant);
	if (profile)
		hwnat_profile = profile;
	return 0;
}

/**
 * hwnat_profile_capacity() - directions of flows that the table bears
 *
 * Each may use a few places only, those that its hash gives: with more than three quarters of
 * the table in use too many find theirs taken.
 *
 * Return: the number; 0 where the hardware is not known.
 */
u32 hwnat_profile_capacity(void)
{
	return hwnat_profile->entries / 4 * 3 / 128 * (128 - hwnat_profile->skips);
}
