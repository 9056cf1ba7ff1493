// SPDX-License-Identifier: GPL-2.0-only
/* The SoC: its profile, its life, and when its engines work. */
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "ppesim.h"

static const struct ppesim_profile profiles[] = {
	{ .name = "mt7621", .netsys = 1, .ppes = 1, .ways = 2, .skips = true },
	{ .name = "mt7622", .netsys = 1, .ppes = 1, .ways = 2, .wed = 1, .weds = 2,
	  .accounting = true },
	{ .name = "mt7981", .netsys = 2, .ppes = 2, .ways = 4, .wed = 2, .weds = 2,
	  .accounting = true },
	{ .name = "mt7986", .netsys = 2, .ppes = 2, .ways = 4, .wed = 2, .weds = 2,
	  .accounting = true },
};

static const u32 default_knobs[PPESIM_K_COUNT] = {
	[PPESIM_K_BIND_RATE] = 30,
	[PPESIM_K_AGE_UDP] = 12,
	[PPESIM_K_AGE_TCP] = 7,
	[PPESIM_K_AGE_FIN] = 1,
	[PPESIM_K_AGE_UNBOUND] = 3,
	[PPESIM_K_GMAC_HW_STATS] = 1,
	[PPESIM_K_WED_ATTACHED] = 1,
};

LIST_HEAD(ppesim_socs);
/* Guards the list of all SoCs. */
DEFINE_MUTEX(ppesim_socs_lock);

static const struct ppesim_profile *profile_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(profiles); i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

static void soc_free(struct ppesim_soc *soc)
{
	unsigned int i;

	ppesim_flows_free(soc);
	ppesim_probe_free(soc->probe);
	ppesim_bindings_free(soc);
	for (i = 0; i < soc->profile->ppes; i++)
		ppesim_ppe_free(&soc->ppe[i]);
	kfree(soc);
}

/**
 * ppesim_soc_put() - drop a reference
 * @soc: the SoC
 */
void ppesim_soc_put(struct ppesim_soc *soc)
{
	if (refcount_dec_and_test(&soc->refs))
		soc_free(soc);
}

/**
 * ppesim_soc_new() - make a SoC without ports; under ppesim_socs_lock
 * @name: its name
 * @profile: name of its profile
 * @entries: entries of each table, a power of 2
 *
 * The namespace of the caller is what init_net is to the real driver.
 *
 * Return: the SoC, or an error pointer.
 */
struct ppesim_soc *ppesim_soc_new(const char *name, const char *profile, u32 entries)
{
	struct ppesim_soc *soc;
	unsigned int i;
	int err = 0;

	list_for_each_entry(soc, &ppesim_socs, node)
		if (!strcmp(soc->name, name))
			return ERR_PTR(-EEXIST);
	soc = kzalloc(sizeof(*soc), GFP_KERNEL);
	if (!soc)
		return ERR_PTR(-ENOMEM);
	refcount_set(&soc->refs, 1);
	strscpy(soc->name, name, sizeof(soc->name));
	soc->profile = profile_find(profile);
	soc->entries = entries;
	if (!soc->profile || entries < 128 || entries & (entries - 1)) {
		kfree(soc);
		return ERR_PTR(-EINVAL);
	}
	soc->home = current->nsproxy->net_ns->net_cookie;
	mutex_init(&soc->mutex);
	soc->running = PPESIM_CMD_COUNT;
	prandom_seed_state(&soc->random, 1);
	hash_init(soc->cookies);
	INIT_LIST_HEAD(&soc->bindings);
	INIT_LIST_HEAD(&soc->blocks);
	INIT_LIST_HEAD(&soc->ports);
	memcpy(soc->knobs, default_knobs, sizeof(default_knobs));
	ppesim_clock_init(soc);
	soc->probe = ppesim_probe_new();
	if (!soc->probe)
		err = -ENOMEM;
	for (i = 0; i < soc->profile->ppes && !err; i++)
		err = ppesim_ppe_init(soc, i);
	if (err) {
		ppesim_soc_put(soc);
		return ERR_PTR(err);
	}
	list_add_tail(&soc->node, &ppesim_socs);
	return soc;
}

/**
 * ppesim_soc_del() - take a SoC and its ports away; under ppesim_socs_lock
 * @soc: the SoC
 */
void ppesim_soc_del(struct ppesim_soc *soc)
{
	struct ppesim_port *port;
	LIST_HEAD(doomed);

	rtnl_lock();
	list_for_each_entry(port, &soc->ports, node)
		ppesim_link_ops.dellink(port->dev, &doomed);
	unregister_netdevice_many(&doomed);
	rtnl_unlock();
	list_del(&soc->node);
	ppesim_soc_put(soc);
}

/**
 * ppesim_soc_update_power() - a GMAC went up or down; under RTNL
 * @soc: the SoC
 *
 * The driver starts the engines with the first GMAC that is up and stops them with the last.
 * Starting clears the hardware's tables; the driver's own flows stay, and are bound again.
 */
void ppesim_soc_update_power(struct ppesim_soc *soc)
{
	bool on = false;
	unsigned int i;

	for (i = 0; i < PPESIM_GMACS; i++) {
		struct ppesim_port *gmac = rtnl_dereference(soc->gmac[i]);

		on |= gmac && netif_running(gmac->dev);
	}
	if (on == soc->on)
		return;
	for (i = 0; i < soc->profile->ppes; i++)
		ppesim_ppe_reset(&soc->ppe[i]);
	WRITE_ONCE(soc->on, on);
}

/**
 * ppesim_gmac_ppe() - which engine a GMAC's packets come by
 * @soc: the SoC
 * @gmac: number of the GMAC
 */
u8 ppesim_gmac_ppe(const struct ppesim_soc *soc, u8 gmac)
{
	return min_t(u8, gmac, soc->profile->ppes - 1);
}
