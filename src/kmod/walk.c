// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk from a route's device down to the port: which tags and link-layer header a packet
 * leaves with.
 *
 * The steps are the kernel's own (dev_fill_forward_path); what may be passed without loss is
 * decided here. An upper device with a queueing discipline or an egress filter of its own must see
 * the packets: they are handed to it, and it does the rest. What filters received packets there
 * would be passed by, and is a reason to refuse.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/ppp_defs.h>
#include <net/l3mdev.h>
#include <net/sch_generic.h>
#include <net/tcx.h>

#include "port.h"
#include "walk.h"

/**
 * struct walk - how far it has come
 * @egress: what is being found out
 * @encap: tags and PPPoE header put on so far, outermost first
 * @tagger: VLAN device that put the tag of the same index on
 * @count: how many of them
 * @devices: how many devices are in egress->path
 */
struct walk {
	struct natflow_egress	*egress;
	struct natflow_encap	encap[NATFLOW_ENCAP_MAX];
	int			tagger[NATFLOW_ENCAP_MAX];
	unsigned int		count;
	unsigned int		devices;
};

static enum natflow_reason upper_eligible(const struct net_device *dev)
{
	if (netif_is_l3_master(dev) || netif_is_l3_slave(dev))
		return NATFLOW_REASON_VRF;
	switch (dev->type) {
	case ARPHRD_ETHER:
	case ARPHRD_PPP:
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
		return NATFLOW_REASON_NONE;
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return NATFLOW_REASON_TUNNEL;
	default:
		return NATFLOW_REASON_DEVICE;
	}
}

/**
 * natflow_dev_shapes() - do packets sent to a device meet somebody's queueing discipline or filter
 * @dev: the device; under the RCU read lock
 *
 * Only a queueing discipline that somebody set has a handle; the default ones have none.
 */
bool natflow_dev_shapes(const struct net_device *dev)
{
	return rcu_dereference(dev->qdisc)->handle || natflow_dev_filters_egress(dev);
}

static void add_device(struct walk *walk, const struct net_device *dev)
{
	int *path = walk->egress->path;

	if (!walk->devices || path[walk->devices - 1] != dev->ifindex)
		path[walk->devices++] = dev->ifindex;
}

/* A lower device's tag is put on around those of the upper ones. */
static enum natflow_reason add_encap(struct walk *walk, u16 id, __be16 proto, int tagger)
{
	unsigned int i;

	if (walk->count == NATFLOW_ENCAP_MAX)
		return NATFLOW_REASON_QINQ;
	for (i = walk->count; i > 0; i--) {
		walk->encap[i] = walk->encap[i - 1];
		walk->tagger[i] = walk->tagger[i - 1];
	}
	walk->encap[0].id = id;
	walk->encap[0].proto = proto;
	walk->tagger[0] = tagger;
	walk->count++;
	return NATFLOW_REASON_NONE;
}

/* A bridge takes off the tag that an upper device has put on. */
static enum natflow_reason drop_encap(struct walk *walk)
{
	unsigned int i;

	if (!walk->count || !natflow_encap_is_vlan(&walk->encap[0]))
		return NATFLOW_REASON_PATH;
	walk->count--;
	for (i = 0; i < walk->count; i++) {
		walk->encap[i] = walk->encap[i + 1];
		walk->tagger[i] = walk->tagger[i + 1];
	}
	walk->encap[walk->count] = (struct natflow_encap){};
	walk->tagger[walk->count] = 0;
	return NATFLOW_REASON_NONE;
}

static enum natflow_reason pass_bridge(struct walk *walk, const struct net_device_path *step)
{
	switch (step->bridge.vlan_mode) {
	case DEV_PATH_BR_VLAN_TAG:
		return add_encap(walk, step->bridge.vlan_id, step->bridge.vlan_proto, 0);
	case DEV_PATH_BR_VLAN_UNTAG:
	/* The bridge takes the tag off in software, too, when its switch was told to. */
	case DEV_PATH_BR_VLAN_UNTAG_HW:
		return drop_encap(walk);
	case DEV_PATH_BR_VLAN_KEEP:
		return NATFLOW_REASON_NONE;
	}
	return NATFLOW_REASON_PATH;
}

/* The session's frames go to the other end of it, from the device below. */
static enum natflow_reason pass_pppoe(struct walk *walk, const struct net_device_path *step,
				      const struct net_device *below)
{
	struct ethhdr *header = (struct ethhdr *)walk->egress->header;

	/* Its header stands right before the IP header. */
	if (walk->count || !below || below->type != ARPHRD_ETHER)
		return NATFLOW_REASON_PPPOE;
	ether_addr_copy(header->h_dest, step->encap.h_dest);
	ether_addr_copy(header->h_source, below->dev_addr);
	return add_encap(walk, step->encap.id, step->encap.proto, 0);
}

/* What a device between the route and the port does to the packets. */
static enum natflow_reason pass(struct walk *walk, const struct net_device_path *step,
				const struct net_device *below)
{
	switch (step->type) {
	case DEV_PATH_VLAN:
		return add_encap(walk, step->encap.id, step->encap.proto, step->dev->ifindex);
	case DEV_PATH_BRIDGE:
		return pass_bridge(walk, step);
	case DEV_PATH_PPPOE:
		return pass_pppoe(walk, step, below);
	default:
		return NATFLOW_REASON_DEVICE;
	}
}

/* From here on the packets are in the hands of @dev. */
static void leave_by(struct walk *walk, struct net_device *dev)
{
	struct natflow_egress *egress = walk->egress;

	egress->dev = dev;
	memcpy(egress->encap, walk->encap, sizeof(egress->encap));
	memcpy(egress->tagger, walk->tagger, sizeof(egress->tagger));
	egress->encap_count = walk->count;
}

/* Is it the port, where the walk ends? */
static bool ends(const struct net_device_path *step)
{
	switch (step->type) {
	case DEV_PATH_ETHERNET:
	case DEV_PATH_DSA:
#ifdef NATFLOW_HAVE_MTK_WDMA
	case DEV_PATH_MTK_WDMA:
#endif
		return true;
	default:
		return false;
	}
}

static u8 kind_of(const struct net_device_path *step)
{
	if (step->type == DEV_PATH_DSA)
		return NATFLOW_EGRESS_KIND_DSA;
#ifdef NATFLOW_HAVE_MTK_WDMA
	if (step->type == DEV_PATH_MTK_WDMA)
		return NATFLOW_EGRESS_KIND_WDMA;
#endif
	return step->dev->type == ARPHRD_ETHER ? NATFLOW_EGRESS_KIND_ETHERNET :
						 NATFLOW_EGRESS_KIND_L3;
}

static enum natflow_reason arrive(struct walk *walk, const struct net_device_path *step,
				  struct net_device *port, const struct net_device *below)
{
	struct natflow_egress *egress = walk->egress;

	/* Replies are expected on the same port, so it must be one that we see packets on. */
	if (!natflow_port_wanted(port))
		return port->type == ARPHRD_NONE ? NATFLOW_REASON_TUNNEL : NATFLOW_REASON_DEVICE;
	if (!(port->flags & IFF_UP))
		return NATFLOW_REASON_DEVICE;
	egress->port = port->ifindex;
	egress->kind = kind_of(step);
	if (egress->kind == NATFLOW_EGRESS_KIND_DSA && below)
		egress->conduit = below->ifindex;
	if (egress->kind == NATFLOW_EGRESS_KIND_L3 && walk->count)
		return NATFLOW_REASON_DEVICE;
	memcpy(egress->port_encap, walk->encap, sizeof(egress->port_encap));
	egress->port_encap_count = walk->count;
	if (egress->dev)
		egress->shaped = true;
	else
		leave_by(walk, port);
	return NATFLOW_REASON_NONE;
}

/* May the way end here although the device could tell more? It takes any packet of ours then. */
static bool may_end(const struct net_device *dev)
{
	/* Of PPP only sessions over Ethernet can be passed; a WiFi driver may know of WED only. */
	return dev->type == ARPHRD_PPP || natflow_port_wanted(dev);
}

/*
 * Each device on the way is asked for its step, as dev_fill_forward_path() does. Not by it: it
 * fails as a whole for the bridge port of a WiFi driver that has no step to tell.
 */
static int fill(const struct net_device *dev, const u8 *daddr, struct net_device_path_stack *stack)
{
	struct net_device_path_ctx ctx = { .dev = dev };
	int err = 0;

	memcpy(ctx.daddr, daddr, sizeof(ctx.daddr));
	stack->num_paths = 0;
	while (!err && ctx.dev && stack->num_paths < NET_DEVICE_PATH_STACK_MAX) {
		const struct net_device *at = ctx.dev;
		const struct net_device_ops *ops = at->netdev_ops;
		struct net_device_path *step = &stack->path[stack->num_paths++];

		memset(step, 0, sizeof(*step));
		if (ops->ndo_fill_forward_path && !ops->ndo_fill_forward_path(&ctx, step)) {
			err = ctx.dev == at ? -ELOOP : 0;
			continue;
		}
		if (ops->ndo_fill_forward_path && !may_end(at))
			err = -ENODEV;
		memset(step, 0, sizeof(*step));
		step->type = DEV_PATH_ETHERNET;
		step->dev = at;
		ctx.dev = NULL;
	}
	/* A tunnel's step holds its outer route, which natflow has no use for. */
	natflow_forward_path_release(stack);
	return ctx.dev ? -ELOOP : err;
}

static enum natflow_reason take_steps(struct walk *walk,
				      const struct net_device_path_stack *stack)
{
	struct net *net = walk->egress->nn->net;
	int i;

	for (i = 0; i < stack->num_paths; i++) {
		const struct net_device_path *step = &stack->path[i];
		const struct net_device *below = NULL;
		enum natflow_reason reason;
		struct net_device *dev;

		if (i + 1 < stack->num_paths)
			below = stack->path[i + 1].dev;
		if (!step->dev)
			return NATFLOW_REASON_DEVICE;
		/* A device below may be in another namespace. */
		dev = dev_get_by_index_rcu(net, step->dev->ifindex);
		if (dev != step->dev)
			return NATFLOW_REASON_DEVICE;
		add_device(walk, dev);
		if (ends(step))
			return arrive(walk, step, dev, below);
		if (natflow_dev_filters_ingress(dev)) {
			WRITE_ONCE(walk->egress->nn->filter_dev, dev->ifindex);
			return NATFLOW_REASON_QDISC;
		}
		if (!walk->egress->dev && natflow_dev_shapes(dev))
			leave_by(walk, dev);
		reason = pass(walk, step, below);
		if (reason)
			return reason;
	}
	return NATFLOW_REASON_PATH;
}

/* Everything behind the addresses: tags in band, the session's header, the protocol. */
static void build_header(struct natflow_egress *egress)
{
	bool ipv4 = egress->family == AF_INET;
	__be16 *at = (__be16 *)(egress->header + 2 * ETH_ALEN);
	unsigned int i = 0;

	if (egress->dev->type != ARPHRD_ETHER)
		return;
	/* The outermost tag goes into the buffer; who cannot send it from there puts it in. */
	if (egress->encap_count && natflow_encap_is_vlan(&egress->encap[0]))
		i = 1;
	for (; i < egress->encap_count; i++) {
		*at++ = egress->encap[i].proto;
		if (natflow_encap_is_vlan(&egress->encap[i])) {
			*at++ = htons(egress->encap[i].id);
			continue;
		}
		*at++ = htons(NATFLOW_PPPOE_TYPE << 8);
		*at++ = htons(egress->encap[i].id);
		*at++ = 0;		/* the length, which each packet sets */
	}
	if (natflow_encap_has_pppoe(egress->encap, egress->encap_count))
		*at++ = htons(ipv4 ? PPP_IP : PPP_IPV6);
	else
		*at++ = htons(ipv4 ? ETH_P_IP : ETH_P_IPV6);
	egress->header_len = (u8 *)at - egress->header;
}

/**
 * natflow_walk() - find out how packets get from a route's device to the port
 * @egress: namespace, family and, of an Ethernet device, both link-layer addresses are set; the
 *	rest of the way is filled in
 * @dev: the route's device
 *
 * Under the RCU read lock.
 *
 * Return: NATFLOW_REASON_NONE, or why the packets must be left to the device.
 */
enum natflow_reason natflow_walk(struct natflow_egress *egress, struct net_device *dev)
{
	struct walk walk = { .egress = egress };
	struct net_device_path_stack stack;
	enum natflow_reason reason;

	reason = upper_eligible(dev);
	if (reason)
		return reason;
	if (fill(dev, egress->header, &stack))
		return NATFLOW_REASON_PATH;
	reason = take_steps(&walk, &stack);
	if (reason)
		return reason;
	build_header(egress);
	egress->queued = natflow_dev_shapes(egress->dev);
	egress->headroom = LL_RESERVED_SPACE(egress->dev);
	if (egress->header_len > ETH_HLEN)
		egress->headroom += NATFLOW_HEADER_MAX - ETH_HLEN;
	return NATFLOW_REASON_NONE;
}

/**
 * natflow_egress_pcp() - VLAN priorities for a packet priority
 * @egress: way out
 * @priority: packet priority
 *
 * Under the RCU read lock.
 *
 * Return: priority code points, that of egress->encap[0] in the lower four bits and that of
 * egress->encap[1] in the upper ones.
 */
u8 natflow_egress_pcp(const struct natflow_egress *egress, u32 priority)
{
	unsigned int i;
	u8 pcp = 0;

	for (i = 0; i < egress->encap_count; i++) {
		struct net_device *vlan;

		if (!egress->tagger[i])
			continue;
		vlan = dev_get_by_index_rcu(egress->nn->net, egress->tagger[i]);
		if (vlan && is_vlan_dev(vlan))
			pcp |= vlan_dev_get_egress_qos_mask(vlan, priority) >> VLAN_PRIO_SHIFT <<
			       4 * i;
	}
	return pcp;
}
