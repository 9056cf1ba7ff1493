// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalidation: what ends acceleration at once when the network changes.
 *
 * Routes need no notifier, dst_check() sees them with every packet; nor does the deletion of a
 * connection (nf_ct_is_dying()), nor a ruleset commit where the kernel numbers them. Here are
 * the rest: neighbours, devices, addresses and the bridges' forwarding databases.
 */
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/if_inet6.h>
#include <net/neighbour.h>
#include <net/netevent.h>
#include <net/switchdev.h>

#include "offload.h"
#include "path.h"
#include "port.h"
#include "watch.h"

static void neighbour_update(struct neighbour *neigh)
{
	struct natflow_egress_match match = {
		.neigh_ifindex = neigh->dev->ifindex,
		.family = neigh->tbl->family,
		.nexthop = neigh->primary_key,
	};
	u8 mac[ETH_ALEN];
	bool valid;

	if (neigh->dev->addr_len != ETH_ALEN)
		return;
	read_lock_bh(&neigh->lock);
	valid = neigh->nud_state & NUD_VALID;
	memcpy(mac, neigh->ha, sizeof(mac));
	read_unlock_bh(&neigh->lock);
	/* Still valid and unchanged is what nearly all of these events are about. */
	if (valid)
		match.not_mac = mac;
	natflow_egress_kill(natflow_net(dev_net(neigh->dev)), &match);
}

static int netevent(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == NETEVENT_NEIGH_UPDATE)
		neighbour_update(data);
	return NOTIFY_DONE;
}

static void device_changed(struct natflow_net *nn, const struct net_device *dev)
{
	const struct natflow_egress_match match = { .ifindex = dev->ifindex };

	/* First the ways out, so that no proof of the new generation is about an old one. */
	natflow_egress_kill(nn, &match);
	natflow_net_stale(nn);
	/* The hardware would go on sending to the device, or for it. */
	natflow_offload_sync();
}

/*
 * A namespace that is to be accelerated from the beginning. Every namespace has a device, and a
 * new notifier is told about all that there are: so nothing is hooked or learned that could miss
 * the end of its device.
 */
static void start(struct natflow_net *nn)
{
	int err;

	if (!nn->config.enabled || nn->hooked)
		return;
	err = natflow_net_enable(nn);
	if (!err)
		return;
	nn->config.enabled = 0;
	pr_warn("acceleration could not be started (%d)\n", err);
}

static int netdevice(struct notifier_block *nb, unsigned long event, void *data)
{
	struct net_device *dev = netdev_notifier_info_to_dev(data);
	struct natflow_net *nn = natflow_net(dev_net(dev));

	switch (event) {
	case NETDEV_REGISTER:
		start(nn);
		break;
	case NETDEV_UP:
		if (nn->config.enabled)
			natflow_port_add(nn, dev);
		break;
	case NETDEV_CHANGEUPPER:
		device_changed(nn, dev);
		/* A port may have become part of a bond or a VRF, or left it. */
		natflow_port_remove(nn, dev);
		if (nn->config.enabled)
			natflow_port_add(nn, dev);
		break;
	case NETDEV_UNREGISTER:
		natflow_port_remove(nn, dev);
		device_changed(nn, dev);
		natflow_offload_device_gone(dev);
		break;
	case NETDEV_GOING_DOWN:
	case NETDEV_DOWN:
	case NETDEV_CHANGEADDR:
	case NETDEV_CHANGEMTU:
	case NETDEV_FEAT_CHANGE:
		device_changed(nn, dev);
		break;
	case NETDEV_CHANGE:
		if (!netif_oper_up(dev))
			device_changed(nn, dev);
		break;
	}
	return NOTIFY_DONE;
}

static int inetaddr(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct in_ifaddr *ifa = data;

	natflow_net_stale(natflow_net(dev_net(ifa->ifa_dev->dev)));
	return NOTIFY_DONE;
}

static int inet6addr(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct inet6_ifaddr *ifa = data;

	natflow_net_stale(natflow_net(dev_net(ifa->idev->dev)));
	return NOTIFY_DONE;
}

/* A host has moved to another port of its bridge, or the bridge has forgotten it. */
static int switchdev(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct switchdev_notifier_fdb_info *info = data;
	struct net_device *dev = switchdev_notifier_info_to_dev(data);
	struct natflow_egress_match match = {};

	switch (event) {
	case SWITCHDEV_FDB_ADD_TO_DEVICE:
		match.not_port = dev->ifindex;
		fallthrough;
	case SWITCHDEV_FDB_DEL_TO_DEVICE:
		match.mac = info->addr;
		natflow_egress_kill(natflow_net(dev_net(dev)), &match);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block netevent_nb = { .notifier_call = netevent };
static struct notifier_block netdevice_nb = { .notifier_call = netdevice };
static struct notifier_block inetaddr_nb = { .notifier_call = inetaddr };
static struct notifier_block inet6addr_nb = { .notifier_call = inet6addr };
static struct notifier_block switchdev_nb = { .notifier_call = switchdev };

int natflow_watch_init(void)
{
	int err;

	err = register_netevent_notifier(&netevent_nb);
	if (err)
		return err;
	err = register_inetaddr_notifier(&inetaddr_nb);
	if (err)
		goto no_inetaddr;
	err = register_inet6addr_notifier(&inet6addr_nb);
	if (err)
		goto no_inet6addr;
	err = register_switchdev_notifier(&switchdev_nb);
	if (err && err != -EOPNOTSUPP)
		goto no_switchdev;
	/* Tells about the devices that are there already, so it comes last. */
	err = register_netdevice_notifier(&netdevice_nb);
	if (err)
		goto no_netdevice;
	return 0;

no_netdevice:
	unregister_switchdev_notifier(&switchdev_nb);
no_switchdev:
	unregister_inet6addr_notifier(&inet6addr_nb);
no_inet6addr:
	unregister_inetaddr_notifier(&inetaddr_nb);
no_inetaddr:
	unregister_netevent_notifier(&netevent_nb);
	return err;
}

void natflow_watch_exit(void)
{
	/* Tells every device's end, which unhooks the ports. */
	unregister_netdevice_notifier(&netdevice_nb);
	unregister_switchdev_notifier(&switchdev_nb);
	unregister_inet6addr_notifier(&inet6addr_nb);
	unregister_inetaddr_notifier(&inetaddr_nb);
	unregister_netevent_notifier(&netevent_nb);
}
