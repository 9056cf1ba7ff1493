// SPDX-License-Identifier: GPL-2.0-only
/* Which connections and packets may be accelerated, and the reason when they may not. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_extend.h>
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/netfilter/nf_conntrack_synproxy.h>
#include <net/netfilter/nf_conntrack_zones.h>
#include <net/xfrm.h>

#include "eligible.h"
#include "exception.h"
#include "flow.h"

/*
 * Does another offloader have it? Our own mark is set after the flow's bit and cleared before it,
 * so the bit is looked at before and after the mark.
 */
static bool foreign_offload(const struct nf_conn *ct, const struct natflow_flow *flow)
{
	if (flow && natflow_flow_offloaded(flow))
		return false;
	/* Pairs with finish() in hwnat/entry.c. */
	smp_rmb();
	if (!test_bit(IPS_OFFLOAD_BIT, &ct->status))
		return false;
	/* Pairs with claim() there. */
	smp_rmb();
	return !flow || !natflow_flow_offloaded(flow);
}

/**
 * natflow_ct_eligible() - may this connection be accelerated now
 * @nn: namespace
 * @ct: its conntrack entry; under the RCU read lock
 * @flow: its flow, or NULL: in the hardware its mark is ours, no other offloader's
 *
 * What changes with the life of a connection comes last, so that a lasting refusal is told
 * rather than a passing one.
 *
 * Return: NATFLOW_REASON_NONE when it may.
 */
enum natflow_reason natflow_ct_eligible(const struct natflow_net *nn, const struct nf_conn *ct,
					const struct natflow_flow *flow)
{
	u32 mask = READ_ONCE(nn->config.exclude_mask);
	u8 proto = nf_ct_protonum(ct);

	if (nf_ct_is_template(ct))
		return NATFLOW_REASON_UNTRACKED;
	if (nf_ct_is_dying(ct))
		return NATFLOW_REASON_DYING;
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return NATFLOW_REASON_PROTOCOL;
	if (nf_ct_zone_id(nf_ct_zone(ct), IP_CT_DIR_ORIGINAL) != NF_CT_DEFAULT_ZONE_ID ||
	    nf_ct_zone_id(nf_ct_zone(ct), IP_CT_DIR_REPLY) != NF_CT_DEFAULT_ZONE_ID)
		return NATFLOW_REASON_ZONE;
	if (nf_ct_ext_exist(ct, NF_CT_EXT_HELPER))
		return NATFLOW_REASON_HELPER;
	if (test_bit(IPS_SEQ_ADJUST_BIT, &ct->status))
		return NATFLOW_REASON_SEQADJ;
	if (nfct_synproxy(ct))
		return NATFLOW_REASON_SYNPROXY;
	if (ct->status & IPS_NAT_CLASH)
		return NATFLOW_REASON_NAT_CLASH;
	if (foreign_offload(ct, flow))
		return NATFLOW_REASON_FOREIGN_OFFLOAD;
#ifdef CONFIG_NF_CONNTRACK_MARK
	if (mask && (READ_ONCE(ct->mark) & mask) == (READ_ONCE(nn->config.exclude_mark) & mask))
		return NATFLOW_REASON_EXCLUDED;
#endif
	if (natflow_exception_of_ct(nn, ct) >= 0)
		return NATFLOW_REASON_EXCLUDED;
	if (!nf_ct_is_confirmed(ct))
		return NATFLOW_REASON_UNCONFIRMED;
	if (proto == IPPROTO_TCP)
		return nf_conntrack_tcp_established(ct) ? NATFLOW_REASON_NONE :
							  NATFLOW_REASON_NOT_ESTABLISHED;
	return test_bit(IPS_SEEN_REPLY_BIT, &ct->status) ? NATFLOW_REASON_NONE :
							   NATFLOW_REASON_NO_REPLY;
}

static enum natflow_reason skb4_eligible(const struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);

	if (!(IPCB(skb)->flags & IPSKB_FORWARDED))
		return NATFLOW_REASON_LOCAL;
	if (IPCB(skb)->frag_max_size || ip_is_fragment(iph))
		return NATFLOW_REASON_FRAGMENT;
	if (iph->ihl != 5)
		return NATFLOW_REASON_IP_OPTIONS;
	if (IPCB(skb)->flags & IPSKB_DOREDIRECT)
		return NATFLOW_REASON_ROUTE;
	return NATFLOW_REASON_NONE;
}

static enum natflow_reason skb6_eligible(const struct sk_buff *skb)
{
	const struct ipv6hdr *iph = ipv6_hdr(skb);

	/* IPv6 sets no flag on what it forwards: that the packet came in has to do. */
	if (IP6CB(skb)->frag_max_size)
		return NATFLOW_REASON_FRAGMENT;
	if (iph->nexthdr == NEXTHDR_FRAGMENT)
		return NATFLOW_REASON_FRAGMENT;
	if (iph->nexthdr == NEXTHDR_HOP || iph->nexthdr == NEXTHDR_ROUTING ||
	    iph->nexthdr == NEXTHDR_DEST)
		return NATFLOW_REASON_IP_OPTIONS;
	return NATFLOW_REASON_NONE;
}

/**
 * natflow_skb_eligible() - may we learn from this packet
 * @skb: packet in POST_ROUTING
 * @family: AF_INET or AF_INET6
 *
 * Return: NATFLOW_REASON_NONE when we may; NATFLOW_REASON_LOCAL when the router did not forward it:
 * it sent it, or bridges it.
 */
enum natflow_reason natflow_skb_eligible(const struct sk_buff *skb, u8 family)
{
	if (skb->sk || !skb->skb_iif)
		return NATFLOW_REASON_LOCAL;
	/* Bridged, not routed: br_netfilter shows it to us with a route of the bridge's own. */
	if (skb_dst(skb) && skb_dst(skb)->flags & DST_FAKE_RTABLE)
		return NATFLOW_REASON_LOCAL;
	if (skb_sec_path(skb))
		return NATFLOW_REASON_XFRM;
	if (!skb_valid_dst(skb))
		return NATFLOW_REASON_TUNNEL;
	return family == AF_INET ? skb4_eligible(skb) : skb6_eligible(skb);
}

/**
 * natflow_delay_eligible() - has the connection had enough packets
 * @nn: namespace
 * @ct: its conntrack entry
 * @seen: packets of it that the POST_ROUTING hook saw, for kernels that do not account
 *
 * A question and its answer, such as DNS, never make a flow.
 */
enum natflow_reason natflow_delay_eligible(const struct natflow_net *nn, const struct nf_conn *ct,
					   u32 seen)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(ct);
	u64 packets = seen, least = READ_ONCE(nn->config.delay_pkts);

	if (acct)
		packets = atomic64_read(&acct->counter[IP_CT_DIR_ORIGINAL].packets) +
			  atomic64_read(&acct->counter[IP_CT_DIR_REPLY].packets);
	if (acct && nf_ct_protonum(ct) == IPPROTO_UDP)
		least = max_t(u64, least, 3);
	return packets >= least ? NATFLOW_REASON_NONE : NATFLOW_REASON_DELAY;
}

/**
 * natflow_reason_lasts() - is it worth remembering that a connection is refused
 * @reason: why it is refused
 *
 * True for what the owner may ask about later; false for what the next packet changes, or
 * what cannot be kept under its tuple.
 */
bool natflow_reason_lasts(enum natflow_reason reason)
{
	switch (reason) {
	case NATFLOW_REASON_HELPER:
	case NATFLOW_REASON_SEQADJ:
	case NATFLOW_REASON_SYNPROXY:
	case NATFLOW_REASON_NAT_CLASH:
	case NATFLOW_REASON_FOREIGN_OFFLOAD:
	case NATFLOW_REASON_EXCLUDED:
	case NATFLOW_REASON_XFRM:
	case NATFLOW_REASON_TUNNEL:
	case NATFLOW_REASON_ROUTE:
	case NATFLOW_REASON_VRF:
	case NATFLOW_REASON_NEIGHBOUR:
	case NATFLOW_REASON_PATH:
	case NATFLOW_REASON_DEVICE:
	case NATFLOW_REASON_PPPOE:
	case NATFLOW_REASON_QINQ:
	case NATFLOW_REASON_QDISC:
		return true;
	default:
		return false;
	}
}
