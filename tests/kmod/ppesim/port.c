// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports of the SoC, as the router's kernel sees them, and the other ends of their cables, which a
 * test moves to another namespace. A frame from a wire meets the PPE first.
 *
 * Neither has offloads for sending, so that every frame on a wire is one as it would be on a real
 * one, with its checksums in it.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <net/rtnetlink.h>

#include "ppesim.h"

/**
 * struct wire - private part of a cable's other end
 * @port: the port, or NULL
 */
struct wire {
	struct ppesim_port __rcu *port;
};

/**
 * ppesim_port_count() - add to a counter; what a switch port counts, its conduit does too
 * @port: the port
 * @counter: which
 * @add: how much
 */
void ppesim_port_count(struct ppesim_port *port, enum ppesim_counter counter, u64 add)
{
	atomic64_add(add, &port->counters[counter]);
	if (port->master)
		atomic64_add(add, &port->master->counters[counter]);
}

/**
 * ppesim_port_ppe() - which engine the frames of a port's wire come by
 * @port: the port
 *
 * Return: its number, or -1: a wireless interface without WED, or with one that only sends.
 */
int ppesim_port_ppe(const struct ppesim_port *port)
{
	switch (port->kind) {
	case PPESIM_GMAC:
		return ppesim_gmac_ppe(port->soc, port->index);
	case PPESIM_DSA:
		return ppesim_gmac_ppe(port->soc, port->conduit);
	default:
		return port->soc->profile->wed >= 2 ? port->wed : -1;
	}
}

/* Does the port take and send frames? A switch port needs its conduit, too. */
static bool works(const struct ppesim_port *port)
{
	return port->link && netif_running(port->dev) &&
	       (!port->master || netif_running(port->master->dev));
}

/**
 * ppesim_port_emit() - send a frame out on a port's wire
 * @port: the port
 * @skb: the frame; it is gone afterwards
 *
 * A port or a link that is down takes it without a word.
 */
void ppesim_port_emit(struct ppesim_port *port, struct sk_buff *skb)
{
	struct net_device *peer = rcu_dereference(port->wire);

	skb->dev = port->dev;
	if (!peer || !works(port)) {
		ppesim_port_count(port, PPESIM_C_TX_LOST, 1);
		kfree_skb(skb);
	} else if (dev_forward_skb(peer, skb) != NET_RX_SUCCESS) {
		ppesim_port_count(port, PPESIM_C_TX_LOST, 1);
	}
}

/* A copy of the frame as the DMA engine would leave it: nothing else of the skb comes along. */
static struct sk_buff *dma_copy(struct net_device *dev, const struct sk_buff *frame)
{
	struct sk_buff *skb = netdev_alloc_skb_ip_align(dev, frame->len);

	if (skb && skb_copy_bits(frame, 0, skb_put(skb, frame->len), frame->len)) {
		kfree_skb(skb);
		skb = NULL;
	}
	return skb;
}

/* Under RCU, with softirqs off. */
static void receive(struct ppesim_port *port, const struct sk_buff *frame)
{
	struct sk_buff *skb;

	ppesim_port_count(port, PPESIM_C_WIRE_RX, 1);
	skb = works(port) ? dma_copy(port->dev, frame) : NULL;
	if (!skb) {
		ppesim_port_count(port, PPESIM_C_RX_DROPPED, 1);
		return;
	}
	if (ppesim_engine_receive(port, skb))
		return;
	ppesim_port_count(port, PPESIM_C_CPU_RX, 1);
	ppesim_port_count(port, PPESIM_C_CPU_RX_BYTES, skb->len);
	skb->protocol = eth_type_trans(skb, port->dev);
	gro_cells_receive(&port->cells, skb);
}

static netdev_tx_t wire_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct wire *wire = netdev_priv(dev);
	struct ppesim_port *port;

	rcu_read_lock();
	port = rcu_dereference(wire->port);
	if (port && skb->len >= ETH_HLEN) {
		dev->stats.tx_packets++;
		dev->stats.tx_bytes += skb->len;
		receive(port, skb);
		consume_skb(skb);
	} else {
		kfree_skb(skb);
	}
	rcu_read_unlock();
	return NETDEV_TX_OK;
}

static netdev_tx_t port_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct ppesim_port *port = netdev_priv(dev);

	rcu_read_lock();
	ppesim_port_count(port, PPESIM_C_CPU_TX, 1);
	ppesim_port_count(port, PPESIM_C_CPU_TX_BYTES, skb->len);
	ppesim_port_emit(port, skb);
	rcu_read_unlock();
	return NETDEV_TX_OK;
}

static u64 counter(const struct ppesim_port *port, enum ppesim_counter which)
{
	return atomic64_read(&port->counters[which]);
}

static void port_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct ppesim_port *port = netdev_priv(dev);

	stats->rx_packets = counter(port, PPESIM_C_CPU_RX);
	stats->rx_bytes = counter(port, PPESIM_C_CPU_RX_BYTES);
	stats->tx_packets = counter(port, PPESIM_C_CPU_TX);
	stats->tx_bytes = counter(port, PPESIM_C_CPU_TX_BYTES);
	/* A GMAC's own counters see all frames; a switch port's netdev only the host's. */
	if (port->kind == PPESIM_GMAC && ppesim_knob(port->soc, GMAC_HW_STATS)) {
		stats->rx_packets += counter(port, PPESIM_C_HW_RX);
		stats->rx_bytes += counter(port, PPESIM_C_HW_RX_BYTES);
		stats->tx_packets += counter(port, PPESIM_C_HW_TX);
		stats->tx_bytes += counter(port, PPESIM_C_HW_TX_BYTES);
	}
}

/* There is a carrier when both ends are up and the cable works. Under RTNL. */
static void update_carrier(struct ppesim_port *port)
{
	struct net_device *peer = rtnl_dereference(port->wire);
	bool up = port->link && netif_running(port->dev) && peer && netif_running(peer);

	if (up) {
		netif_carrier_on(port->dev);
		netif_carrier_on(peer);
	} else {
		/* A conduit has no cable of its own; the switch chip is always there. */
		if (peer || port->kind != PPESIM_GMAC)
			netif_carrier_off(port->dev);
		if (peer)
			netif_carrier_off(peer);
	}
}

/**
 * ppesim_port_set_link() - plug or unplug the cable; under RTNL
 * @port: the port
 * @link: plugged in
 */
void ppesim_port_set_link(struct ppesim_port *port, bool link)
{
	port->link = link;
	update_carrier(port);
}

static int port_open(struct net_device *dev)
{
	struct ppesim_port *port = netdev_priv(dev);

	update_carrier(port);
	if (port->kind == PPESIM_GMAC)
		ppesim_soc_update_power(port->soc);
	return 0;
}

static int port_stop(struct net_device *dev)
{
	struct ppesim_port *port = netdev_priv(dev);

	update_carrier(port);
	if (port->kind == PPESIM_GMAC)
		ppesim_soc_update_power(port->soc);
	return 0;
}

static int wire_open(struct net_device *dev)
{
	struct wire *wire = netdev_priv(dev);
	struct ppesim_port *port = rtnl_dereference(wire->port);

	if (port)
		update_carrier(port);
	return 0;
}

/* Where the SoC finds this port. */
static struct ppesim_port __rcu **place(struct ppesim_port *port)
{
	struct ppesim_soc *soc = port->soc;

	switch (port->kind) {
	case PPESIM_GMAC:
		return port->index < PPESIM_GMACS ? &soc->gmac[port->index] : NULL;
	case PPESIM_DSA:
		return port->conduit < PPESIM_GMACS && port->index < PPESIM_USER_PORTS ?
		       &soc->user[port->conduit][port->index] : NULL;
	default:
		return port->index < PPESIM_WLANS ? &soc->wlan[port->index] : NULL;
	}
}

static int port_init(struct net_device *dev)
{
	struct ppesim_port *port = netdev_priv(dev);
	int err = gro_cells_init(&port->cells, dev);

	if (err)
		return err;
	if (port->master)
		dev_hold(port->master->dev);
	refcount_inc(&port->soc->refs);
	list_add_tail(&port->node, &port->soc->ports);
	rcu_assign_pointer(*place(port), port);
	return 0;
}

static void port_uninit(struct net_device *dev)
{
	struct ppesim_port *port = netdev_priv(dev);

	RCU_INIT_POINTER(*place(port), NULL);
	list_del(&port->node);
	ppesim_bindings_forget(port);
	gro_cells_destroy(&port->cells);
	if (port->master)
		dev_put(port->master->dev);
}

static void port_free(struct net_device *dev)
{
	struct ppesim_port *port = netdev_priv(dev);

	/* After the last reader: port_uninit() comes before a grace period, this after it. */
	if (port->soc)
		ppesim_soc_put(port->soc);
}

#define PORT_OPS \
	.ndo_init = port_init, \
	.ndo_uninit = port_uninit, \
	.ndo_open = port_open, \
	.ndo_stop = port_stop, \
	.ndo_start_xmit = port_xmit, \
	.ndo_get_stats64 = port_get_stats64, \
	.ndo_set_mac_address = eth_mac_addr, \
	.ndo_validate_addr = eth_validate_addr

static const struct net_device_ops gmac_ops = {
	PORT_OPS,
	.ndo_setup_tc = ppesim_setup_tc,
};

static const struct net_device_ops dsa_ops = {
	PORT_OPS,
	.ndo_setup_tc = ppesim_setup_tc,
	.ndo_fill_forward_path = ppesim_path_dsa,
};

static const struct net_device_ops wlan_ops = {
	PORT_OPS,
	.ndo_setup_tc = ppesim_setup_tc,
	.ndo_fill_forward_path = ppesim_path_wlan,
};

static const struct net_device_ops plain_wlan_ops = {
	PORT_OPS,
};

static const struct net_device_ops wire_ops = {
	.ndo_open = wire_open,
	.ndo_stop = wire_open,
	.ndo_start_xmit = wire_xmit,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

/**
 * ppesim_port_of() - the port that a device is
 * @dev: any device
 *
 * Return: the port, or NULL.
 */
struct ppesim_port *ppesim_port_of(const struct net_device *dev)
{
	return dev->rtnl_link_ops == &ppesim_link_ops ? netdev_priv(dev) : NULL;
}

static void common_setup(struct net_device *dev)
{
	ether_setup(dev);
	eth_hw_addr_random(dev);
	dev->needs_free_netdev = true;
	dev->priv_flags |= IFF_NO_QUEUE | IFF_LIVE_ADDR_CHANGE;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = 9000;
}

/* Parts a port and its wire, and queues both for their end. */
static void queue_both(struct ppesim_port *port, struct net_device *peer, struct list_head *head)
{
	if (peer) {
		struct wire *wire = netdev_priv(peer);

		RCU_INIT_POINTER(wire->port, NULL);
		unregister_netdevice_queue(peer, head);
	}
	if (port) {
		RCU_INIT_POINTER(port->wire, NULL);
		unregister_netdevice_queue(port->dev, head);
	}
}

static void port_dellink(struct net_device *dev, struct list_head *head)
{
	struct ppesim_port *port = netdev_priv(dev);
	struct ppesim_port *user;

	/* A conduit takes its switch along. */
	list_for_each_entry(user, &port->soc->ports, node)
		if (user->master == port)
			queue_both(user, rtnl_dereference(user->wire), head);
	queue_both(port, rtnl_dereference(port->wire), head);
}

static void wire_dellink(struct net_device *dev, struct list_head *head)
{
	struct wire *wire = netdev_priv(dev);

	queue_both(rtnl_dereference(wire->port), dev, head);
}

/* Without a set-up function "ip link add" is refused: it could not say which SoC. */
struct rtnl_link_ops ppesim_link_ops __read_mostly = {
	.kind = "ppesim",
	.dellink = port_dellink,
};

struct rtnl_link_ops ppesim_wire_link_ops __read_mostly = {
	.kind = "ppesim_wire",
	.dellink = wire_dellink,
};

static void port_setup(struct net_device *dev)
{
	common_setup(dev);
	dev->rtnl_link_ops = &ppesim_link_ops;
	dev->priv_destructor = port_free;
	dev->netdev_ops = &gmac_ops;
}

static void wire_setup(struct net_device *dev)
{
	common_setup(dev);
	dev->rtnl_link_ops = &ppesim_wire_link_ops;
	dev->netdev_ops = &wire_ops;
}

static struct net_device *new_device(struct net *net, const char *name, size_t priv_size,
				     void (*setup)(struct net_device *dev))
{
	struct net_device *dev = alloc_netdev(priv_size, name, NET_NAME_USER, setup);

	if (dev)
		dev_net_set(dev, net);
	return dev;
}

static int new_wire(struct ppesim_port *port, const char *name)
{
	struct net_device *dev;
	struct wire *wire;
	int err;

	dev = new_device(dev_net(port->dev), name, sizeof(*wire), wire_setup);
	if (!dev)
		return -ENOMEM;
	err = register_netdevice(dev);
	if (err) {
		free_netdev(dev);
		return err;
	}
	wire = netdev_priv(dev);
	rcu_assign_pointer(wire->port, port);
	rcu_assign_pointer(port->wire, dev);
	return 0;
}

/* What the kinds can do. */
static int configure(struct ppesim_port *port)
{
	struct ppesim_soc *soc = port->soc;
	struct ppesim_port __rcu **at = place(port);
	struct net_device *dev = port->dev;

	if (!at)
		return -EINVAL;
	if (rtnl_dereference(*at))
		return -EBUSY;
	port->link = true;
	switch (port->kind) {
	case PPESIM_DSA:
		port->master = rtnl_dereference(soc->gmac[port->conduit]);
		if (!port->master)
			return -ENODEV;
		dev->netdev_ops = &dsa_ops;
		return 0;
	case PPESIM_WLAN:
		if (port->wed >= soc->profile->weds)
			return -EINVAL;
		if (port->wed >= 0 && soc->profile->wed >= 2)
			dev->hw_features |= NETIF_F_HW_TC;
		if (port->path_none)
			dev->netdev_ops = &plain_wlan_ops;
		else
			dev->netdev_ops = &wlan_ops;
		break;
	default:
		dev->hw_features |= NETIF_F_HW_TC;
	}
	dev->features |= dev->hw_features;
	return 0;
}

/**
 * ppesim_port_new() - make a port and its wire; under RTNL
 * @soc: the SoC
 * @net: namespace for both
 * @like: kind, numbers and flags of the port
 * @name: its name
 * @wire: name of the cable's other end, or NULL for a port without a cable
 */
int ppesim_port_new(struct ppesim_soc *soc, struct net *net, const struct ppesim_port *like,
		    const char *name, const char *wire)
{
	struct ppesim_port *port;
	struct net_device *dev;
	int err;

	dev = new_device(net, name, sizeof(*port), port_setup);
	if (!dev)
		return -ENOMEM;
	port = netdev_priv(dev);
	*port = *like;
	port->dev = dev;
	port->soc = soc;
	err = configure(port);
	if (!err)
		err = register_netdevice(dev);
	if (err) {
		free_netdev(dev);
		return err;
	}
	if (!wire)
		return 0;
	err = new_wire(port, wire);
	if (err)
		unregister_netdevice(dev);
	return err;
}
