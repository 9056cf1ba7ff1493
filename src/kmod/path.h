/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_PATH_H
#define NATFLOW_PATH_H

#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <net/dst.h>

#include "encap.h"
#include "net.h"

struct nf_conn;

/* The route's device, then what lies between it and the port, then the port. */
#define NATFLOW_PATH_DEVICES	(NET_DEVICE_PATH_STACK_MAX + 1)

/* Ethernet header, and in band either a VLAN tag or the PPPoE and PPP headers. */
#define NATFLOW_HEADER_MAX	(ETH_HLEN + sizeof(struct natflow_pppoe))

/**
 * struct natflow_egress - a way out: from a route and its next hop down to a port
 * @dev: device to transmit on: the port, or above it one whose queueing discipline or filter must
 *	see the packets; only the ingress hook looks into it, which is gone before the device
 * @dst: the route, one reference held; NULL once dead
 * @cookie: what dst_check() wants to see
 * @mtu: path MTU in bytes
 * @header: what precedes the IP header on @dev: link-layer addresses of next hop and ours, then
 *	what of @encap is not left to the buffer's own tag, then the protocol
 * @headroom: bytes to keep free for the headers of all devices below
 * @encap: tags and PPPoE header to put on for @dev
 * @encaps: the same as one word
 * @encap_count: how many of @encap
 * @header_len: bytes of @header; 0 on a device without a link-layer header
 * @queued: somebody's queueing discipline or filter is on @dev
 * @dead: something on the way changed; never goes back
 * @port: ifindex of the port
 * @conduit: ifindex of the device that carries the frames of a DSA user port, or 0
 * @kind: enum natflow_egress_kind, of @port
 * @shaped: @dev is not the port
 * @family: AF_INET or AF_INET6, that of the route
 * @port_encap: tags and PPPoE header that the frames have on the port; those of replies, too
 * @port_encaps: the same as one word
 * @port_encap_count: how many of @port_encap
 * @tagger: VLAN device that puts on the @encap of the same index, by ifindex, or 0
 * @nexthop: network address of the neighbour
 * @neigh_ifindex: device the neighbour belongs to, the route's
 * @path: devices on the way by ifindex, port last, filled up with zeroes
 * @nn: namespace
 * @node: in natflow_net.egress while alive
 * @mac_node: in natflow_net.egress_macs while alive
 * @users: halves of flows that use it, and what the hardware was given with it
 * @offloaded: directions in the hardware that use it
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
	u8			header[NATFLOW_HEADER_MAX];
	u16			headroom;
	union {
		struct natflow_encap	encap[NATFLOW_ENCAP_MAX];
		u64			encaps;
	};
	u8			encap_count;
	u8			header_len;
	bool			queued;
	bool			dead;
	int			port;

	int			conduit;
	u8			kind;
	bool			shaped;
	u8			family;
	u8			port_encap_count;
	union {
		struct natflow_encap	port_encap[NATFLOW_ENCAP_MAX];
		u64			port_encaps;
	};
	int			tagger[NATFLOW_ENCAP_MAX];
	struct in6_addr		nexthop;
	int			neigh_ifindex;
	int			path[NATFLOW_PATH_DEVICES];
	struct natflow_net	*nn;
	struct hlist_node	node;
	struct hlist_node	mac_node;
	refcount_t		users;
	atomic_t		offloaded;
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
void natflow_egress_check_routes(struct natflow_net *nn);
void natflow_egress_recheck(struct natflow_net *nn);
enum natflow_reason natflow_dst_eligible(const struct dst_entry *dst);
u32 natflow_dst_cookie(const struct dst_entry *dst);
u8 natflow_egress_pcp(const struct natflow_egress *egress, u32 priority);

#endif /* NATFLOW_PATH_H */
