// SPDX-License-Identifier: GPL-2.0-only
/*
 * Egresses: the ways out that flows share, found by next hop, ended by events. What lies between a
 * route's device and the port is found by walk.c.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/jhash.h>
#include <linux/slab.h>
#include <net/arp.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/neighbour.h>
#include <net/netns/hash.h>
#include <net/route.h>

#include "flow.h"
#include "offload.h"
#include "path.h"
#include "walk.h"

static struct hlist_head *bucket_of(struct natflow_net *nn, const struct in6_addr *nexthop)
{
	u32 hash = jhash2((__force const u32 *)nexthop->s6_addr32, 4,
			  net_hash_mix(nn->net));

	return &nn->egress[hash % NATFLOW_EGRESS_BUCKETS];
}

static struct hlist_head *mac_bucket_of(struct natflow_net *nn, const u8 *mac)
{
	u32 hash = jhash(mac, ETH_ALEN, net_hash_mix(nn->net));

	return &nn->egress_macs[hash % NATFLOW_EGRESS_BUCKETS];
}

static void nexthop_set(struct in6_addr *nexthop, const void *addr, u8 family)
{
	memset(nexthop, 0, sizeof(*nexthop));
	memcpy(nexthop, addr, family == AF_INET ? sizeof(__be32) : sizeof(*nexthop));
}

/**
 * natflow_dst_eligible() - may packets of this route be forwarded without the IP stack
 * @dst: the route
 *
 * Return: NATFLOW_REASON_NONE when they may.
 */
enum natflow_reason natflow_dst_eligible(const struct dst_entry *dst)
{
	if (dst_xfrm(dst))
		return NATFLOW_REASON_XFRM;
	if (dst->lwtstate)
		return NATFLOW_REASON_TUNNEL;
	if (dst->error)
		return NATFLOW_REASON_ROUTE;
	if (dst->ops->family == AF_INET) {
		const struct rtable *rt = container_of(dst, struct rtable, dst);

		if (rt->rt_type != RTN_UNICAST)
			return NATFLOW_REASON_ROUTE;
	} else {
		const struct rt6_info *rt = container_of(dst, struct rt6_info, dst);

		if (rt->rt6i_flags & (RTF_REJECT | RTF_LOCAL | RTF_ANYCAST))
			return NATFLOW_REASON_ROUTE;
	}
	return NATFLOW_REASON_NONE;
}

/**
 * natflow_dst_cookie() - what dst_check() wants to see for a route that is valid now
 * @dst: the route
 *
 * An IPv6 route keeps its object when its cookie changes: any route that is added close to it
 * in the tree does that.
 */
u32 natflow_dst_cookie(const struct dst_entry *dst)
{
	if (dst->ops->family == AF_INET)
		return 0;
	return rt6_get_cookie(container_of(dst, struct rt6_info, dst));
}

static u32 mtu_of(const struct dst_entry *dst, u8 family)
{
	if (family == AF_INET)
		return ip_dst_mtu_maybe_forward(dst, true);
	return max_t(u32, ip6_dst_mtu_maybe_forward(dst, true), IPV6_MIN_MTU);
}

static enum natflow_reason resolve(struct natflow_egress *egress, struct dst_entry *dst,
				   struct neighbour *neigh)
{
	struct ethhdr *header = (struct ethhdr *)egress->header;
	struct net_device *dev = dst->dev;
	bool valid;

	if (dev->type == ARPHRD_ETHER) {
		read_lock_bh(&neigh->lock);
		valid = neigh->nud_state & NUD_VALID;
		ether_addr_copy(header->h_dest, neigh->ha);
		read_unlock_bh(&neigh->lock);
		if (!valid || !is_valid_ether_addr(header->h_dest))
			return NATFLOW_REASON_NEIGHBOUR;
		ether_addr_copy(header->h_source, dev->dev_addr);
	}
	egress->mtu = mtu_of(dst, egress->family);
	egress->cookie = natflow_dst_cookie(dst);
	return natflow_walk(egress, dev);
}

static bool usable(struct natflow_egress *egress, const struct dst_entry *dst,
		   const struct in6_addr *nexthop, u8 family)
{
	return rcu_access_pointer(egress->dst) == dst && egress->family == family &&
	       egress->cookie == natflow_dst_cookie(dst) &&
	       ipv6_addr_equal(&egress->nexthop, nexthop) &&
	       refcount_inc_not_zero(&egress->users);
}

static struct natflow_egress *find(struct hlist_head *bucket, const struct dst_entry *dst,
				   const struct in6_addr *nexthop, u8 family)
{
	struct natflow_egress *egress;

	hlist_for_each_entry(egress, bucket, node)
		if (usable(egress, dst, nexthop, family))
			return egress;
	return NULL;
}

/**
 * natflow_egress_get() - the way out a packet is about to take; under the RCU read lock
 * @nn: namespace
 * @skb: packet in POST_ROUTING
 * @reason: set when there is none
 *
 * Return: an egress with one more user, or NULL.
 */
struct natflow_egress *natflow_egress_get(struct natflow_net *nn, struct sk_buff *skb,
					  enum natflow_reason *reason)
{
	struct dst_entry *dst = skb_dst(skb);
	struct natflow_egress *egress, *other;
	u8 family = dst->ops->family;
	struct neighbour *neigh;
	struct hlist_head *bucket;
	struct in6_addr nexthop;
	u32 seq;

	*reason = natflow_dst_eligible(dst);
	if (*reason)
		return NULL;
	neigh = dst_neigh_lookup_skb(dst, skb);
	if (!neigh) {
		*reason = NATFLOW_REASON_NEIGHBOUR;
		return NULL;
	}
	/* An IPv4 route may have an IPv6 gateway (RFC 5549). */
	nexthop_set(&nexthop, neigh->primary_key, neigh->tbl->family);
	bucket = bucket_of(nn, &nexthop);

	spin_lock_bh(&nn->egress_lock);
	seq = nn->egress_seq;
	egress = find(bucket, dst, &nexthop, family);
	spin_unlock_bh(&nn->egress_lock);
	if (egress)
		goto out;

	*reason = NATFLOW_REASON_NO_MEMORY;
	egress = kzalloc(sizeof(*egress), GFP_ATOMIC);
	if (!egress)
		goto out;
	egress->nn = nn;
	egress->family = family;
	egress->nexthop = nexthop;
	egress->neigh_ifindex = neigh->dev->ifindex;
	refcount_set(&egress->users, 1);
	*reason = resolve(egress, dst, neigh);
	if (!*reason && !dst_hold_safe(dst))
		*reason = NATFLOW_REASON_STALE;
	if (*reason) {
		kfree(egress);
		egress = NULL;
		goto out;
	}
	rcu_assign_pointer(egress->dst, dst);

	spin_lock_bh(&nn->egress_lock);
	other = find(bucket, dst, &nexthop, family);
	/* An event since the look-up may be about what was resolved. */
	if (!other && nn->egress_seq == seq) {
		hlist_add_head(&egress->node, bucket);
		hlist_add_head(&egress->mac_node, mac_bucket_of(nn, egress->header));
	} else {
		egress->dead = true;
	}
	spin_unlock_bh(&nn->egress_lock);
	if (egress->dead) {
		natflow_egress_put(egress);
		egress = other;
		*reason = other ? NATFLOW_REASON_NONE : NATFLOW_REASON_STALE;
	}
out:
	neigh_release(neigh);
	return egress;
}

/* Under egress_lock. The route is given back at once: it may hold a device that goes away. */
static void kill(struct natflow_egress *egress)
{
	struct dst_entry *dst = rcu_dereference_protected(egress->dst, true);

	WRITE_ONCE(egress->dead, true);
	/* Pairs with the hardware client, which counts first and looks then. */
	smp_mb();
	hlist_del_init(&egress->node);
	hlist_del_init(&egress->mac_node);
	RCU_INIT_POINTER(egress->dst, NULL);
	dst_release(dst);
	if (atomic_read(&egress->offloaded))
		natflow_offload_kick();
}

/**
 * natflow_egress_put() - drop one user
 * @egress: the egress; readers under RCU may still look at it
 */
void natflow_egress_put(struct natflow_egress *egress)
{
	struct natflow_net *nn = egress->nn;

	if (!refcount_dec_and_test(&egress->users))
		return;
	spin_lock_bh(&nn->egress_lock);
	if (rcu_access_pointer(egress->dst))
		kill(egress);
	spin_unlock_bh(&nn->egress_lock);
	kfree_rcu(egress, rcu);
}
EXPORT_SYMBOL_GPL(natflow_egress_put);

static bool on_path(const struct natflow_egress *egress, int ifindex)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(egress->path); i++)
		if (egress->path[i] == ifindex)
			return true;
	return false;
}

static bool matches(const struct natflow_egress *egress, const struct natflow_egress_match *match,
		    const struct in6_addr *nexthop)
{
	const struct ethhdr *header = (const struct ethhdr *)egress->header;

	if (match->ifindex && !on_path(egress, match->ifindex))
		return false;
	if (match->neigh_ifindex && egress->neigh_ifindex != match->neigh_ifindex)
		return false;
	if (match->nexthop && !ipv6_addr_equal(&egress->nexthop, nexthop))
		return false;
	if (match->not_mac && ether_addr_equal(header->h_dest, match->not_mac))
		return false;
	if (match->mac && !ether_addr_equal(header->h_dest, match->mac))
		return false;
	return !match->not_port || egress->port != match->not_port;
}

static void kill_bucket(struct hlist_head *bucket, const struct natflow_egress_match *match,
			const struct in6_addr *nexthop)
{
	struct natflow_egress *egress;
	struct hlist_node *next;

	hlist_for_each_entry_safe(egress, next, bucket, node)
		if (matches(egress, match, nexthop))
			kill(egress);
}

static void kill_mac_bucket(struct hlist_head *bucket, const struct natflow_egress_match *match,
			    const struct in6_addr *nexthop)
{
	struct natflow_egress *egress;
	struct hlist_node *next;

	hlist_for_each_entry_safe(egress, next, bucket, mac_node)
		if (matches(egress, match, nexthop))
			kill(egress);
}

/**
 * natflow_egress_kill() - end what an event makes wrong; any context
 * @nn: namespace
 * @match: which; an empty match is all
 *
 * Hosts can cause events about neighbours and link-layer addresses as fast as they can send:
 * for those only one bucket is looked at.
 */
void natflow_egress_kill(struct natflow_net *nn, const struct natflow_egress_match *match)
{
	struct in6_addr nexthop = {};
	unsigned int i;

	if (match->nexthop)
		nexthop_set(&nexthop, match->nexthop, match->family);

	spin_lock_bh(&nn->egress_lock);
	nn->egress_seq++;
	if (match->nexthop)
		kill_bucket(bucket_of(nn, &nexthop), match, &nexthop);
	else if (match->mac)
		kill_mac_bucket(mac_bucket_of(nn, match->mac), match, &nexthop);
	else
		for (i = 0; i < NATFLOW_EGRESS_BUCKETS; i++)
			kill_bucket(&nn->egress[i], match, &nexthop);
	spin_unlock_bh(&nn->egress_lock);
}

/* Does the way down from the route's device, or its MTU, differ from what was learned? */
static bool moved(const struct natflow_egress *egress)
{
	const struct dst_entry *dst =
		rcu_dereference_protected(egress->dst, lockdep_is_held(&egress->nn->egress_lock));
	struct natflow_egress now = { .nn = egress->nn, .family = egress->family };

	memcpy(now.header, egress->header, 2 * ETH_ALEN);
	return mtu_of(dst, egress->family) != egress->mtu ||
	       natflow_walk(&now, dst->dev) || now.dev != egress->dev ||
	       now.port != egress->port || now.kind != egress->kind ||
	       now.conduit != egress->conduit || now.encaps != egress->encaps ||
	       now.port_encaps != egress->port_encaps || now.header_len != egress->header_len ||
	       memcmp(now.header, egress->header, sizeof(now.header)) ||
	       memcmp(now.tagger, egress->tagger, sizeof(now.tagger)) ||
	       memcmp(now.path, egress->path, sizeof(now.path));
}

/**
 * natflow_egress_recheck() - notice what no event tells
 * @nn: namespace
 *
 * That is filters and queueing disciplines above the port, the tags a bridge puts on, PPPoE
 * sessions, and the MTU of IPv6, which is not the device's. A device that shapes what leaves is
 * remembered for its owner.
 */
void natflow_egress_recheck(struct natflow_net *nn)
{
	struct natflow_egress *egress;
	struct hlist_node *next;
	int shaper_dev = 0;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < NATFLOW_EGRESS_BUCKETS; i++) {
		spin_lock_bh(&nn->egress_lock);
		hlist_for_each_entry_safe(egress, next, &nn->egress[i], node) {
			if (moved(egress)) {
				nn->egress_seq++;
				kill(egress);
				continue;
			}
			WRITE_ONCE(egress->queued, natflow_dev_shapes(egress->dev));
			if (egress->queued)
				shaper_dev = egress->dev->ifindex;
		}
		spin_unlock_bh(&nn->egress_lock);
	}
	rcu_read_unlock();
	WRITE_ONCE(nn->shaper_dev, shaper_dev);
}

/**
 * natflow_egress_check_routes() - notice routes that have changed, where no packet does
 * @nn: namespace
 *
 * Software asks dst_check() for every packet. For what is in the hardware this does.
 */
void natflow_egress_check_routes(struct natflow_net *nn)
{
	struct natflow_egress *egress;
	struct hlist_node *next;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < NATFLOW_EGRESS_BUCKETS; i++) {
		if (hlist_empty(&nn->egress[i]))
			continue;
		spin_lock_bh(&nn->egress_lock);
		hlist_for_each_entry_safe(egress, next, &nn->egress[i], node) {
			struct dst_entry *dst =
				rcu_dereference_protected(egress->dst,
							  lockdep_is_held(&nn->egress_lock));

			if (!atomic_read(&egress->offloaded) || dst_check(dst, egress->cookie))
				continue;
			nn->egress_seq++;
			kill(egress);
		}
		spin_unlock_bh(&nn->egress_lock);
	}
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(natflow_egress_check_routes);
