// SPDX-License-Identifier: GPL-2.0-only
/* natflow: init, exit, and what every network namespace gets. */
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <net/genetlink.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netns/generic.h>

#include "age.h"
#include "client.h"
#include "config.h"
#include "exception.h"
#include "flow.h"
#include "learn.h"
#include "net.h"
#include "netlink.h"
#include "offload.h"
#include "path.h"
#include "port.h"
#include "table.h"
#include "watch.h"

static unsigned int natflow_net_id __read_mostly;

struct natflow_net *natflow_net(const struct net *net)
{
	return net_generic(net, natflow_net_id);
}

/**
 * natflow_net_stale() - let no earlier proof count; any context
 * @nn: namespace
 *
 * The next packet of every flow takes the slow path; what is in the hardware leaves it.
 */
void natflow_net_stale(struct natflow_net *nn)
{
	atomic_inc(&nn->gen);
	natflow_offload_kick();
}

/**
 * natflow_net_stats() - sum the per-CPU counters
 * @nn: namespace
 * @sum: where to
 *
 * A counter of 32-bit machines may be caught between its halves: it is read until two readings
 * agree.
 */
void natflow_net_stats(struct natflow_net *nn, struct natflow_stats *sum)
{
	u64 *total = (u64 *)sum;
	unsigned int i;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const u64 *counter = (const u64 *)per_cpu_ptr(nn->stats, cpu);

		for (i = 0; i < sizeof(*sum) / sizeof(u64); i++) {
			u64 value, again = READ_ONCE(counter[i]);

			do {
				value = again;
				again = READ_ONCE(counter[i]);
			} while (value != again && sizeof(long) < sizeof(u64));
			total[i] += value;
		}
	}
}

/**
 * natflow_net_enable() - start to learn and to forward; under RTNL
 * @nn: namespace
 *
 * Return: 0 or a negative errno, then nothing is hooked.
 */
int natflow_net_enable(struct natflow_net *nn)
{
	int err;

	ASSERT_RTNL();
	if (nn->hooked)
		return 0;
	err = nf_ct_netns_get(nn->net, NFPROTO_INET);
	if (err)
		return err;
	err = natflow_learn_register(nn);
	if (err) {
		nf_ct_netns_put(nn->net, NFPROTO_INET);
		return err;
	}
	nn->hooked = true;
	natflow_port_add_all(nn);
	return 0;
}

static void unhook(struct natflow_net *nn)
{
	if (!nn->hooked)
		return;
	natflow_learn_unregister(nn);
	natflow_port_remove_all(nn);
	nf_ct_netns_put(nn->net, NFPROTO_INET);
	nn->hooked = false;
}

/* Once no hook can run any more. */
static void drain(struct natflow_net *nn)
{
	const struct natflow_egress_match all = {};

	natflow_age_stop(nn);
	natflow_flow_remove_all(nn);
	natflow_offload_net_gone(nn);
	natflow_egress_kill(nn, &all);
}

/**
 * natflow_net_disable() - hand every flow back to the normal stack; under RTNL
 * @nn: namespace
 */
void natflow_net_disable(struct natflow_net *nn)
{
	ASSERT_RTNL();
	if (!nn->hooked)
		return;
	unhook(nn);
	synchronize_net();
	drain(nn);
}

static int __net_init natflow_net_init(struct net *net)
{
	struct natflow_net *nn = natflow_net(net);
	int err;

	nn->net = net;
	nn->born = get_jiffies_64();
	natflow_config_default(nn);
	atomic_set(&nn->gen, 1);
	xa_init_flags(&nn->flows, XA_FLAGS_ALLOC1 | XA_FLAGS_LOCK_BH);
	spin_lock_init(&nn->learn_lock);
	/* Not zero: 32-bit jiffies are "before" that in the first minutes after boot. */
	nn->token_time = jiffies - HZ;
	spin_lock_init(&nn->egress_lock);
	spin_lock_init(&nn->client_lock);
	INIT_LIST_HEAD(&nn->idle_clients);
	INIT_LIST_HEAD(&nn->devs);
	natflow_age_init(nn);
	nn->stats = alloc_percpu(struct natflow_stats);
	if (!nn->stats)
		return -ENOMEM;
	/* Its first device starts it, see watch.c: not before device events are watched. */
	err = natflow_table_init(nn);
	if (err)
		free_percpu(nn->stats);
	return err;
}

/* Before the devices go, and with a grace period before natflow_net_exit(). */
static void __net_exit natflow_net_pre_exit(struct net *net)
{
	struct natflow_net *nn = natflow_net(net);

	rtnl_lock();
	nn->config.enabled = 0;
	unhook(nn);
	rtnl_unlock();
	natflow_offload_sync();
}

static void __net_exit natflow_net_exit(struct list_head *nets)
{
	struct net *net;

	list_for_each_entry(net, nets, exit_list)
		drain(natflow_net(net));
	/* The flows' conntrack references are given back here; conntrack waits for them. */
	rcu_barrier();
	list_for_each_entry(net, nets, exit_list) {
		struct natflow_net *nn = natflow_net(net);

		natflow_client_free_all(nn);
		natflow_table_destroy(nn);
		kvfree(rcu_dereference_raw(nn->exceptions));
		xa_destroy(&nn->flows);
		free_percpu(nn->stats);
	}
}

static struct pernet_operations natflow_net_ops = {
	.init = natflow_net_init,
	.pre_exit = natflow_net_pre_exit,
	.exit_batch = natflow_net_exit,
	.id = &natflow_net_id,
	.size = sizeof(struct natflow_net),
};

static int __init natflow_init(void)
{
	int err;

	err = natflow_config_check_parameters();
	if (err)
		return err;
	natflow_table_seed();
	err = natflow_flow_init();
	if (err)
		return err;
	err = register_pernet_subsys(&natflow_net_ops);
	if (err)
		goto no_net;
	err = natflow_watch_init();
	if (err)
		goto no_watch;
	err = natflow_netlink_init();
	if (err)
		goto no_netlink;
	return 0;

no_netlink:
	natflow_watch_exit();
no_watch:
	unregister_pernet_subsys(&natflow_net_ops);
no_net:
	rcu_barrier();
	natflow_flow_exit();
	return err;
}

static void __exit natflow_exit(void)
{
	natflow_netlink_exit();
	natflow_watch_exit();
	unregister_pernet_subsys(&natflow_net_ops);
	rcu_barrier();
	natflow_flow_exit();
}

module_init(natflow_init);
module_exit(natflow_exit);

MODULE_LICENSE("GPL");
MODULE_VERSION(NATFLOW_VERSION);
MODULE_DESCRIPTION("Fast path for routed and translated IPv4 and IPv6 flows");
MODULE_ALIAS_GENL_FAMILY(NATFLOW_GENL_NAME);
