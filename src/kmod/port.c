// SPDX-License-Identifier: GPL-2.0-only
/* Ports: the devices whose ingress is hooked. All of it under RTNL. */
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/netfilter.h>
#include <linux/netfilter_netdev.h>
#include <linux/slab.h>
#include <net/dsa.h>
#include <net/rtnetlink.h>

#include "forward.h"
#include "offload.h"
#include "port.h"

struct natflow_port {
	struct list_head	node;
	struct nf_hook_ops	ops;
};

/* After nftables' netdev chains and the firewall's own flowtable (0), so that they come first. */
static int ingress_priority = 10;
module_param(ingress_priority, int, 0444);
MODULE_PARM_DESC(ingress_priority, "priority of the ingress hook (default 10)");

/*
 * Virtual devices where a packet leaves what natflow follows: what lies below, if anything, is the
 * device's own business, and what it receives comes in there once more as a packet of its own.
 */
static const char * const port_kinds[] = {
	"veth", "tun", "dsa", "wlan", "bond", "team", "macvlan", "wireguard", "ppp", "wwan",
	"rmnet", "natflow_bench", "ppesim",
};

/* Of a PPPoE session the frames are seen on the port below. */
static bool is_pppoe(const struct net_device *dev)
{
	static const u8 nobody[ETH_ALEN];
	struct net_device_path_stack stack;
	bool found;

	rcu_read_lock();
	found = !dev_fill_forward_path(dev, nobody, &stack) &&
		stack.path[0].type == DEV_PATH_PPPOE;
	rcu_read_unlock();
	return found;
}

static bool type_wanted(const struct net_device *dev)
{
	switch (dev->type) {
	case ARPHRD_ETHER:
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
		return true;
	case ARPHRD_PPP:
		return !is_pppoe(dev);
	default:
		return false;
	}
}

/**
 * natflow_port_wanted() - is this a device that flows can come in and go out by
 * @dev: the device
 *
 * Hardware ports and the virtual kinds listed above. Not: devices built on others (VLAN, bridge,
 * PPPoE), whose packets are seen on their port, nor what carries a bond's or a switch's frames,
 * nor tunnels.
 */
bool natflow_port_wanted(const struct net_device *dev)
{
	const struct rtnl_link_ops *link = dev->rtnl_link_ops;
	unsigned int i;

	if (dev->flags & IFF_LOOPBACK || is_vlan_dev(dev) || netif_is_bridge_master(dev) ||
	    netif_is_ovs_master(dev) || netif_is_l3_master(dev) || netif_is_l3_slave(dev) ||
	    netif_is_lag_port(dev) || netdev_uses_dsa((struct net_device *)dev))
		return false;
	if (!link)
		return type_wanted(dev);
	for (i = 0; i < ARRAY_SIZE(port_kinds); i++)
		if (!strcmp(link->kind, port_kinds[i]))
			return type_wanted(dev);
	return false;
}

static struct natflow_port *find(struct natflow_net *nn, const struct net_device *dev)
{
	struct natflow_port *port;

	list_for_each_entry(port, &nn->devs, node)
		if (port->ops.dev == dev)
			return port;
	return NULL;
}

static void forget(struct natflow_net *nn, struct natflow_port *port)
{
	nf_unregister_net_hook(nn->net, &port->ops);
	list_del(&port->node);
	kfree(port);
}

/**
 * natflow_port_add() - hook a device's ingress, if it is a port and not hooked yet
 * @nn: its namespace
 * @dev: the device
 *
 * Without the hook its packets take the normal stack, so a failure is only told.
 */
void natflow_port_add(struct natflow_net *nn, struct net_device *dev)
{
	struct natflow_port *port;
	int err;

	ASSERT_RTNL();
	port = find(nn, dev);
	if (!natflow_port_wanted(dev)) {
		/* A PPP device may have got another kind of channel since. */
		if (port)
			forget(nn, port);
		return;
	}
	if (port)
		return;
	/*
	 * After its end was told, other listeners still take it from its bridge or bond, which is
	 * an event too. It is not in the list any more then, nor when it moves to another
	 * namespace.
	 */
	if (__dev_get_by_index(nn->net, dev->ifindex) != dev)
		return;
	port = kzalloc(sizeof(*port), GFP_KERNEL);
	if (!port)
		return;
	port->ops.hook = natflow_forward;
	port->ops.priv = nn;
	port->ops.dev = dev;
	port->ops.pf = NFPROTO_NETDEV;
	port->ops.hooknum = NF_NETDEV_INGRESS;
	port->ops.priority = ingress_priority;
	err = nf_register_net_hook(nn->net, &port->ops);
	if (err) {
		netdev_warn(dev, "natflow: no ingress hook (%d), its packets are not accelerated\n",
			    err);
		kfree(port);
		return;
	}
	list_add(&port->node, &nn->devs);
	natflow_offload_port_add(nn, dev);
}

/* Tells a new hardware client about the ports that there are. */
void natflow_port_offer_all(struct natflow_net *nn)
{
	struct natflow_port *port;

	list_for_each_entry(port, &nn->devs, node)
		natflow_offload_port_add(nn, port->ops.dev);
}

void natflow_port_remove(struct natflow_net *nn, const struct net_device *dev)
{
	struct natflow_port *port = find(nn, dev);

	ASSERT_RTNL();
	if (port)
		forget(nn, port);
}

void natflow_port_add_all(struct natflow_net *nn)
{
	struct net_device *dev;

	for_each_netdev(nn->net, dev)
		natflow_port_add(nn, dev);
}

void natflow_port_remove_all(struct natflow_net *nn)
{
	struct natflow_port *port, *next;

	ASSERT_RTNL();
	list_for_each_entry_safe(port, next, &nn->devs, node)
		forget(nn, port);
}
