// SPDX-License-Identifier: GPL-2.0-only
/* natflow_hwnat: init, exit, and what the core calls. */
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "hwnat.h"

#ifdef CONFIG_HWNAT_EXTDEV_DISABLED
#define FEATURE_EXTDEV		"extdev-disabled "
#else
#define FEATURE_EXTDEV		""
#endif
/* Of no effect on a driver that is not patched for it, see docs/hardware.md. */
#ifdef CONFIG_HWNAT_EXTDEV_USE_VLAN_HASH
#define FEATURE_VLAN_HASH	"extdev-use-vlan-hash "
#else
#define FEATURE_VLAN_HASH	""
#endif
#define FEATURES	FEATURE_EXTDEV FEATURE_VLAN_HASH "hwnat"

static void port_add(struct natflow_net *nn, struct net_device *dev)
{
	mutex_lock(&hwnat_mutex);
	hwnat_port_add(nn, dev);
	mutex_unlock(&hwnat_mutex);
}

static void forget_device(struct hwnat_port *port, const void *dev)
{
	if (port->dev == dev || port->conduit == dev)
		hwnat_port_forget(port);
}

static void device_gone(struct net_device *dev)
{
	mutex_lock(&hwnat_mutex);
	hwnat_port_for_each(forget_device, dev);
	mutex_unlock(&hwnat_mutex);
}

static void forget_net(struct hwnat_port *port, const void *nn)
{
	if (port->nn == nn)
		hwnat_port_forget(port);
}

static void net_gone(struct natflow_net *nn)
{
	hwnat_admit_flush();
	hwnat_sync();
	mutex_lock(&hwnat_mutex);
	hwnat_port_for_each(forget_net, nn);
	mutex_unlock(&hwnat_mutex);
}

static void adapt_net(struct hwnat_port *port, const void *nn)
{
	if (port->nn == nn)
		hwnat_port_adapt(port);
}

static void config(struct natflow_net *nn)
{
	hwnat_sync();
	mutex_lock(&hwnat_mutex);
	hwnat_port_for_each(adapt_net, nn);
	mutex_unlock(&hwnat_mutex);
}

static int put_errors(struct sk_buff *skb)
{
	unsigned int i;

	for (i = 0; i < HWNAT_ERRNOS && hwnat_stats.errors[i].count; i++) {
		struct nlattr *nest = nla_nest_start(skb, NATFLOW_A_HW_ERRORS);

		if (!nest ||
		    nla_put_u32(skb, NATFLOW_A_HW_ERROR_ERRNO, hwnat_stats.errors[i].error) ||
		    nla_put_u32(skb, NATFLOW_A_HW_ERROR_COUNT, hwnat_stats.errors[i].count))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

static int put_facts(struct sk_buff *skb, struct natflow_net *nn)
{
	u32 limit = READ_ONCE(nn->config.hw_rate_limit);
	enum natflow_reason reason;
	bool door;

	rcu_read_lock();
	reason = hwnat_why_not(nn);
	door = hwnat_door_any(nn);
	rcu_read_unlock();
	if (nla_put_u8(skb, NATFLOW_A_HW_CLIENT, 1) ||
	    nla_put_u16(skb, NATFLOW_A_HW_REASON, reason) ||
	    nla_put_string(skb, NATFLOW_A_HW_PROFILE, hwnat_profile->name) ||
	    nla_put_string(skb, NATFLOW_A_HW_FEATURES, FEATURES) ||
	    nla_put_u8(skb, NATFLOW_A_HW_DOOR, door) ||
	    nla_put_u8(skb, NATFLOW_A_HW_COUNTERS, hwnat_profile->counters) ||
	    nla_put_u8(skb, NATFLOW_A_HW_WED_VERSION, hwnat_profile->wed) ||
	    nla_put_u32(skb, NATFLOW_A_HW_CAPACITY, hwnat_profile_capacity()) ||
	    nla_put_u32(skb, NATFLOW_A_HW_TOKENS, hwnat_budget_left(limit)) ||
	    nla_put_u32(skb, NATFLOW_A_HW_BACKOFF, hwnat_backoff_ms()) ||
	    nla_put_u32(skb, NATFLOW_A_HW_BUSY, hwnat_busy()))
		return -EMSGSIZE;
	return 0;
}

static int put_counters(struct sk_buff *skb)
{
	const struct hwnat_stats *stats = &hwnat_stats;

	if (nla_put_u32(skb, NATFLOW_A_HW_INSTALLED, stats->installed) ||
	    nla_put_u32(skb, NATFLOW_A_HW_BOUND, stats->bound) ||
	    nla_put_u64_64bit(skb, NATFLOW_A_HW_INSTALLS, stats->installs, NATFLOW_A_HW_PAD) ||
	    nla_put_u64_64bit(skb, NATFLOW_A_HW_DESTROYS, stats->destroys, NATFLOW_A_HW_PAD) ||
	    nla_put_u64_64bit(skb, NATFLOW_A_HW_FAILURES, stats->failures, NATFLOW_A_HW_PAD))
		return -EMSGSIZE;
	return put_errors(skb);
}

static int put(struct sk_buff *skb, struct natflow_net *nn)
{
	int err;

	mutex_lock(&hwnat_mutex);
	err = put_facts(skb, nn);
	if (!err)
		err = put_counters(skb);
	mutex_unlock(&hwnat_mutex);
	return err;
}

static int put_port(struct sk_buff *skb, const struct hwnat_port *port)
{
	const struct hwnat_door *door = port->door;

	if (nla_put_u32(skb, NATFLOW_A_HW_DEVICE_IFINDEX, port->ifindex) ||
	    nla_put_u32(skb, NATFLOW_A_HW_DEVICE_DOOR, door ? door->dev->ifindex : 0) ||
	    nla_put_u32(skb, NATFLOW_A_HW_DEVICE_ERRNO, -port->error) ||
	    nla_put_u32(skb, NATFLOW_A_HW_DEVICE_INSTALLED, door ? door->installed : 0))
		return -EMSGSIZE;
	return 0;
}

static int put_device_attrs(struct sk_buff *skb, struct natflow_net *nn, unsigned int index)
{
	const struct hwnat_port *port;
	int err = -ENOENT;

	mutex_lock(&hwnat_mutex);
	port = hwnat_port_nth(nn, index);
	if (port)
		err = put_port(skb, port);
	mutex_unlock(&hwnat_mutex);
	return err;
}

static const struct natflow_offload_ops ops = {
	.port_add = port_add,
	.device_gone = device_gone,
	.net_gone = net_gone,
	.config = config,
	.kick = hwnat_kick,
	.flow_gone = hwnat_flow_gone,
	.sync = hwnat_sync,
	.age = hwnat_age,
	.aged = hwnat_aged,
	.put = put,
	.put_device = put_device_attrs,
};

static void forget(struct hwnat_port *port, const void *data)
{
	hwnat_port_forget(port);
}

static int __init hwnat_init(void)
{
	int err = hwnat_profile_init();

	if (err)
		return err;
	hwnat_wq = alloc_workqueue("natflow_hwnat", WQ_UNBOUND, 0);
	if (!hwnat_wq)
		return -ENOMEM;
	hwnat_client_init();
	hwnat_age_init();
	hwnat_admit_init();
	hwnat_poll_init();
	err = natflow_offload_register(&ops);
	if (err)
		destroy_workqueue(hwnat_wq);
	return err;
}

static void __exit hwnat_exit(void)
{
	/* Until the last door is closed no device may go: nobody would tell us any more. */
	rtnl_lock();
	natflow_offload_unregister(&ops);
	hwnat_admit_exit();
	hwnat_poll_exit();
	hwnat_client_exit();
	mutex_lock(&hwnat_mutex);
	hwnat_port_for_each(forget, NULL);
	mutex_unlock(&hwnat_mutex);
	rtnl_unlock();
	hwnat_client_exit();
	destroy_workqueue(hwnat_wq);
	rcu_barrier();
}

module_init(hwnat_init);
module_exit(hwnat_exit);

MODULE_LICENSE("GPL");
MODULE_VERSION(NATFLOW_VERSION);
MODULE_DESCRIPTION("Hands flows of natflow to MediaTek's packet processing engine");
