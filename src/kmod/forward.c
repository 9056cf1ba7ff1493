// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fast path: the ingress hook of every port.
 *
 * Any doubt about a packet sends it on through the normal stack unchanged; only after the last
 * check is it rewritten. A flow is fast only while the slow path has lately forwarded one of
 * its packets in the same direction under the present rules (struct natflow_proof); when the
 * interval is over the packets go up until one of them comes out at POST_ROUTING again.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/gso.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netns/nftables.h>

#include "flow.h"
#include "forward.h"
#include "ingress.h"
#include "parse.h"
#include "path.h"
#include "table.h"
#include "xmit.h"

/* A PPPoE session is that of two stations: the other one is whom we send to. */
static bool from_peer(const struct sk_buff *skb, const struct natflow_half *half,
		      struct natflow_flow *flow)
{
	const struct natflow_egress *egress =
		rcu_dereference(natflow_flow_half(flow, !half->dir)->egress);

	return egress && ether_addr_equal(egress->header, eth_hdr(skb)->h_source);
}

/* Did the packet come in where its direction is expected, addressed to us? */
static bool expected_ingress(const struct sk_buff *skb, const struct natflow_packet *packet,
			     const struct natflow_half *half, struct natflow_flow *flow)
{
	if (READ_ONCE(half->iif) != skb->dev->ifindex ||
	    READ_ONCE(half->encaps) != packet->encaps)
		return false;
	if (natflow_encap_has_pppoe(packet->encap, packet->encap_count) &&
	    !from_peer(skb, half, flow))
		return false;
	/* The port of a bridge or VLAN device need not have the address that hosts send to. */
	return skb->pkt_type == PACKET_HOST ||
	       ether_addr_equal(eth_hdr(skb)->h_dest, flow->in_mac[half->dir]);
}

static bool fresh(const struct natflow_net *nn, const struct natflow_proof *proof)
{
	/* Pairs with prove(): the rest of the proof is not older than its generation. */
	return smp_load_acquire(&proof->gen) == (u32)atomic_read(&nn->gen) &&
	       READ_ONCE(proof->ruleset) == natflow_ruleset(nn->net);
}

static bool proved(const struct natflow_proof *proof)
{
	return time_before32((u32)jiffies, READ_ONCE(proof->until));
}

/*
 * All checks that need the flow. Every one of them leaves the packet as it is; the packets that
 * go up on "unproved" and "stale" are what keeps conntrack's timeouts and states true.
 */
static enum natflow_reason check(const struct natflow_net *nn, struct sk_buff *skb,
				 const struct natflow_packet *packet,
				 const struct natflow_half *half, struct natflow_flow *flow,
				 const struct natflow_egress *egress)
{
	const struct natflow_proof *proof = &flow->proof[half->dir];
	struct dst_entry *dst;

	if (!fresh(nn, proof) || READ_ONCE(egress->dead))
		return NATFLOW_REASON_STALE;
	if (!half->iif)
		return NATFLOW_REASON_ONE_DIRECTION;
	if (!expected_ingress(skb, packet, half, flow))
		return NATFLOW_REASON_INGRESS;
	if (nf_ct_is_dying(flow->ct))
		return NATFLOW_REASON_DYING;
	if (packet->closing)
		return NATFLOW_REASON_TCP_FLAGS;
	if (!proved(proof))
		return NATFLOW_REASON_UNPROVED;
	dst = rcu_dereference(egress->dst);
	if (!dst || !dst_check(dst, egress->cookie))
		return NATFLOW_REASON_STALE;
	/* Of a tunnel's packet the device completes the inner sum; the outer one may be whole. */
	if (skb->ip_summed == CHECKSUM_PARTIAL &&
	    skb_checksum_start_offset(skb) != (int)packet->l4_offset)
		return NATFLOW_REASON_CHECKSUM;
	if (skb_is_gso(skb)) {
		if (!skb_shinfo(skb)->gso_type)
			return NATFLOW_REASON_LRO;
		if (!skb_gso_validate_network_len(skb, egress->mtu))
			return NATFLOW_REASON_MTU;
	} else if (packet->len > egress->mtu) {
		return NATFLOW_REASON_MTU;
	}
	return NATFLOW_REASON_NONE;
}

/* Room to write the headers and to put a new link-layer header on. */
static bool make_writable(struct sk_buff *skb, const struct natflow_packet *packet,
			  const struct natflow_egress *egress)
{
	return !skb_ensure_writable(skb, packet->l4_offset + packet->l4_len) &&
	       !skb_cow_head(skb, egress->headroom) &&
	       !pskb_trim_rcsum(skb, packet->len);
}

/* The ports and the checksum of the transport header; @to are the new ports. */
static void rewrite_l4(struct sk_buff *skb, const struct natflow_packet *packet, u8 proto,
		       const struct natflow_delta *delta, __be16 sport, __be16 dport)
{
	bool partial = skb->ip_summed == CHECKSUM_PARTIAL;
	bool udp = proto == IPPROTO_UDP;
	void *header = skb->data + packet->l4_offset;
	__be16 *ports = header;
	__sum16 *check = udp ? &((struct udphdr *)header)->check :
			       &((struct tcphdr *)header)->check;

	ports[0] = sport;
	ports[1] = dport;
	*check = (__force __sum16)natflow_l4_check((__force u16)*check, delta, partial, udp);
}

static void rewrite4(struct sk_buff *skb, const struct natflow_packet *packet,
		     const struct natflow_half4 *half4)
{
	struct iphdr *iph = (struct iphdr *)skb->data;

	if (half4->half.flags & NATFLOW_HALF_NAT) {
		iph->saddr = half4->to.saddr;
		iph->daddr = half4->to.daddr;
		rewrite_l4(skb, packet, iph->protocol, &half4->delta,
			   half4->to.sport, half4->to.dport);
	}
	iph->ttl--;
	iph->check = (__force __sum16)natflow_ip_check((__force u16)iph->check, &half4->delta);
}

static void rewrite6(struct sk_buff *skb, const struct natflow_packet *packet,
		     const struct natflow_half6 *half6)
{
	struct ipv6hdr *iph = (struct ipv6hdr *)skb->data;

	if (half6->half.flags & NATFLOW_HALF_NAT) {
		iph->saddr = half6->to.saddr;
		iph->daddr = half6->to.daddr;
		rewrite_l4(skb, packet, iph->nexthdr, &half6->delta,
			   half6->to.sport, half6->to.dport);
	}
	iph->hop_limit--;
}

static void count(struct natflow_net *nn, struct natflow_flow *flow, int dir,
		  const struct natflow_packet *packet)
{
	struct natflow_counter *counter = &flow->count[dir];
	u32 now = (u32)jiffies;

	atomic64_inc(&counter->packets);
	atomic64_add(packet->len, &counter->bytes);
	if (READ_ONCE(counter->seen) != now)
		WRITE_ONCE(counter->seen, now);
	WRITE_ONCE(counter->end, packet->end);
	WRITE_ONCE(counter->ack, packet->ack);
	/* One for a super-packet, as conntrack itself counts it. */
	nf_ct_acct_update(flow->ct, dir, packet->len);
	natflow_count_engine(nn, NATFLOW_ENGINE_SOFTWARE, 1, packet->len);
}

/* The slow path's turn: the learning hook will want to know where the packet came in. */
static unsigned int slow4(const struct sk_buff *skb, const struct natflow_packet *packet,
			  const struct natflow_key4 *key)
{
	natflow_ingress_note4(skb, packet, key);
	return NF_ACCEPT;
}

static unsigned int slow6(const struct sk_buff *skb, const struct natflow_packet *packet,
			  const struct natflow_key6 *key)
{
	natflow_ingress_note6(skb, packet, key);
	return NF_ACCEPT;
}

/*
 * Conntrack takes a reset that does not fit what it remembers for a forged one (RFC 5961), and
 * would keep the connection ESTABLISHED. It has not seen our segments, so those that do fit are
 * recognised here as it would: acknowledged last by the other side, or right behind the last
 * segment of the same side. A direction that was never fast has nothing to compare with.
 */
static bool reset_fits(const struct natflow_flow *flow, int dir,
		       const struct natflow_packet *packet)
{
	const struct natflow_counter *own = &flow->count[dir], *other = &flow->count[!dir];

	return (atomic64_read(&other->packets) && packet->seq == READ_ONCE(other->ack)) ||
	       (atomic64_read(&own->packets) && packet->seq == READ_ONCE(own->end));
}

/* Everything between a known tuple and the way out; NULL leaves the packet as it was. */
static const struct natflow_egress *prepare(struct natflow_net *nn, struct sk_buff *skb,
					    const struct natflow_packet *packet,
					    const struct natflow_half *half,
					    struct natflow_flow *flow)
{
	const struct natflow_egress *egress = rcu_dereference(half->egress);
	enum natflow_reason reason;

	/* Learning, or refused: the learning hook tells why. */
	if (!egress)
		return NULL;
	/* To another station, such as a macvlan device above, where it comes in once more. */
	if (skb->pkt_type == PACKET_OTHERHOST && READ_ONCE(half->iif) != skb->dev->ifindex)
		return NULL;
	if (packet->reset &&
	    (natflow_flow_offloaded(flow) || reset_fits(flow, half->dir, packet)))
		natflow_flow_forget_window(flow);
	reason = check(nn, skb, packet, half, flow, egress);
	if (!reason && !make_writable(skb, packet, egress))
		reason = NATFLOW_REASON_NO_MEMORY;
	if (!reason)
		return egress;
	natflow_count_reason(nn, reason);
	return NULL;
}

/* What never gets to the learning hook is counted here, the rest there: once for a packet. */
static unsigned int refuse(struct natflow_net *nn, enum natflow_reason reason)
{
	if (reason == NATFLOW_REASON_MALFORMED || reason == NATFLOW_REASON_TTL)
		natflow_count_reason(nn, reason);
	return NF_ACCEPT;
}

static unsigned int send(struct natflow_net *nn, struct sk_buff *skb,
			 const struct natflow_packet *packet, struct natflow_flow *flow, int dir,
			 const struct natflow_egress *egress)
{
	count(nn, flow, dir, packet);
	/* As IP receive leaves it: who edits or measures packets further down relies on it. */
	skb_set_transport_header(skb, packet->l4_offset);
	natflow_xmit(skb, egress, flow, dir);
	return NF_STOLEN;
}

static unsigned int forward4(struct natflow_net *nn, struct sk_buff *skb,
			     struct natflow_packet *packet)
{
	const struct natflow_egress *egress;
	enum natflow_reason reason;
	struct natflow_flow *flow;
	struct natflow_half *half;
	struct natflow_key4 key;

	reason = natflow_parse4(skb, packet, &key);
	if (reason)
		return refuse(nn, reason);
	half = natflow_table_find4(nn, &key);
	if (!half)
		return slow4(skb, packet, &key);
	flow = natflow_half_flow(half, AF_INET);
	egress = prepare(nn, skb, packet, half, flow);
	if (!egress)
		return slow4(skb, packet, &key);
	rewrite4(skb, packet, container_of(half, struct natflow_half4, half));
	return send(nn, skb, packet, flow, half->dir, egress);
}

/* IPv4's routes end with forwarding, IPv6's do not. */
static bool forwards6(const struct natflow_net *nn)
{
#if IS_ENABLED(CONFIG_IPV6)
	return READ_ONCE(nn->net->ipv6.devconf_all->forwarding);
#else
	return false;
#endif
}

static unsigned int forward6(struct natflow_net *nn, struct sk_buff *skb,
			     struct natflow_packet *packet)
{
	const struct natflow_egress *egress;
	enum natflow_reason reason;
	struct natflow_flow *flow;
	struct natflow_half *half;
	struct natflow_key6 key;

	reason = natflow_parse6(skb, packet, &key);
	if (reason)
		return refuse(nn, reason);
	half = natflow_table_find6(nn, &key);
	if (!half || !forwards6(nn))
		return slow6(skb, packet, &key);
	flow = natflow_half_flow(half, AF_INET6);
	egress = prepare(nn, skb, packet, half, flow);
	if (!egress)
		return slow6(skb, packet, &key);
	rewrite6(skb, packet, container_of(half, struct natflow_half6, half));
	return send(nn, skb, packet, flow, half->dir, egress);
}

/* The same for a packet behind tags or a PPPoE header; one left to the stack keeps them. */
static unsigned int forward_inner(struct natflow_net *nn, struct sk_buff *skb,
				  struct natflow_packet *packet)
{
	__be16 outer = skb->protocol, inner;
	unsigned int len = natflow_parse_encap(skb, packet, &inner);
	unsigned int verdict;

	if (!len)
		return NF_ACCEPT;
	__skb_pull(skb, len);
	skb_reset_network_header(skb);
	skb->protocol = inner;
	if (inner == htons(ETH_P_IP))
		verdict = forward4(nn, skb, packet);
	else
		verdict = forward6(nn, skb, packet);
	if (verdict == NF_STOLEN)
		return verdict;
	__skb_push(skb, len);
	skb_reset_network_header(skb);
	skb->protocol = outer;
	return verdict;
}

/**
 * natflow_forward() - netdev ingress hook
 * @priv: the namespace, struct natflow_net
 * @skb: received packet, data at the network header
 * @state: unused
 *
 * Return: NF_STOLEN for a packet that was sent, NF_ACCEPT for one left to the normal stack.
 */
unsigned int natflow_forward(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct natflow_net *nn = priv;
	struct natflow_packet packet;

	if (skb->pkt_type != PACKET_HOST && skb->pkt_type != PACKET_OTHERHOST)
		return NF_ACCEPT;
	packet.encaps = 0;
	packet.encap_count = 0;
	packet.room = skb->len;
	if (skb_vlan_tag_present(skb)) {
		packet.encap[0].id = skb_vlan_tag_get_id(skb);
		packet.encap[0].proto = skb->vlan_proto;
		packet.encap_count = 1;
	}
	switch (skb->protocol) {
	case htons(ETH_P_IP):
		return forward4(nn, skb, &packet);
	case htons(ETH_P_IPV6):
		return forward6(nn, skb, &packet);
	case htons(ETH_P_8021Q):
	case htons(ETH_P_8021AD):
	case htons(ETH_P_PPP_SES):
		return forward_inner(nn, skb, &packet);
	}
	return NF_ACCEPT;
}
