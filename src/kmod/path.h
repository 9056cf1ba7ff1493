/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_PATH_H
#define NATFLOW_PATH_H

#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <net/dst.h>

#include "net.h"

struct nf_conn;

/* The route's device, then what lies between it and the port, then the port. */
#define NATFLOW_PATH_DEVICES	(NET_DEVICE_PATH_STACK_MAX + 1)

/**
 * struct natflow_egress - a way out: from a route and its next hop down to a port
 * @dev: the port; only the ingress hook looks into it, which is gone before the device
 * @port: ifindex of the port
 * @dst: the route, one reference held; NULL once dead
 * @cookie: what dst_check() wants to see
 * @mtu: path MTU in bytes
 * @header: Ethernet header: next hop's address, our address, protocol
 * @vlan: VLAN id to put on, or NATFLOW_NO_VLAN
 * @vlan_proto: its tag protocol
 * @dead: something on the way changed; never goes back
 * @family: AF_INET or AF_INET6, that of the next hop
 * @nexthop: network address of the neighbour
 * @neigh_ifindex: device the neighbour belongs to, the route's
 * @path: devices on the way by ifindex, port last, filled up with zeroes
 * @nn: namespace
 * @node: in natflow_net.egress while alive
 * @mac_node: in natflow_net.egress_macs while alive
 * @users: halves of flows that use it
 * @rcu: for freeing
 *
 * Flows share it, so an event on a neighbour, a device or a bridge ends all flows that depend
 * on it by marking one object, and its first line stays in the cache for all of them.
 */
struct natflow_egress {
	struct net_device	*dev;
	struct dst_entry __rcu	*dst;
	u32			cookie;
	u32			mtu;
	u8			header[ETH_HLEN];
	u16			vlan;
	__be16			vlan_proto;
	bool			dead;
	u8			family;
	int			port;

	struct in6_addr		nexthop;
	int			neigh_ifindex;
	int			path[NATFLOW_PATH_DEVICES];
	struct natflow_net	*nn;
	struct hlist_node	node;
	struct hlist_node	mac_node;
	refcount_t		users;
	struct rcu_head		rcu;
};

/* What an event says about ways out. What is given must match; see natflow_egress_kill(). */
struct natflow_egress_match {
	int			ifindex;	/* anywhere on the path, or 0 */
	int			neigh_ifindex;	/* neighbour's device, or 0 */
	u8			family;		/* of @nexthop, or 0 */
	const void		*nexthop;	/* neighbour's network address, or NULL */
	const u8		*not_mac;	/* spare those that use this address already */
	const u8		*mac;		/* those that use this address, or NULL */
	int			not_port;	/* spare those that leave by this port */
};

struct natflow_egress *natflow_egress_get(struct natflow_net *nn, struct sk_buff *skb,
					  enum natflow_reason *reason);
void natflow_egress_put(struct natflow_egress *egress);
void natflow_egress_kill(struct natflow_net *nn, const struct natflow_egress_match *match);
void natflow_egress_recheck(struct natflow_net *nn);
enum natflow_reason natflow_dst_eligible(const struct dst_entry *dst);
u32 natflow_dst_cookie(const struct dst_entry *dst);

#endif /* NATFLOW_PATH_H */
