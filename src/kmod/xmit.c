// SPDX-License-Identifier: GPL-2.0-only
/* Transmit: from a rewritten packet to a frame in the egress port's queue. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/ppp_defs.h>
#include <net/dst.h>
#include <net/gso.h>
#include <net/netfilter/nf_conntrack.h>

#include "xmit.h"

/* Puts the outermost tag into the buffer, the others and the PPPoE header before the packet. */
static void send_encap(struct sk_buff *skb, const struct natflow_egress *egress, u8 pcp)
{
	bool has_pppoe = natflow_encap_has_pppoe(egress->encap, egress->encap_count);
	struct natflow_pppoe *pppoe;
	unsigned int len = skb->len;
	u8 *header;

	/* As the PPP device would: not every port finds a checksum behind such a header. */
	if (has_pppoe && skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_help(skb)) {
		kfree_skb(skb);
		return;
	}
	header = skb_push(skb, egress->header_len);
	memcpy(header, egress->header, egress->header_len);
	skb_reset_mac_header(skb);
	if (has_pppoe) {
		pppoe = (struct natflow_pppoe *)(header + egress->header_len) - 1;
		pppoe->length = htons(len + NATFLOW_PPPOE_COUNTED);
		/* As the PPPoE socket leaves it, for who classifies packets further down. */
		skb_set_network_header(skb, (u8 *)pppoe - header);
	} else if (egress->encap_count > 1) {
		/* The inner tag's priority. */
		header[ETH_HLEN] |= pcp >> 4 << 5;
	}
	skb->protocol = *(__be16 *)(header + 2 * ETH_ALEN);
	skb_reset_mac_len(skb);
	if (natflow_encap_is_vlan(&egress->encap[0]))
		__vlan_hwaccel_put_tag(skb, egress->encap[0].proto,
				       egress->encap[0].id | (pcp & 7) << VLAN_PRIO_SHIFT);
	dev_queue_xmit(skb);
}

/* A super-packet has one PPPoE header for each segment: no device cuts it behind one. */
static void send_segments(struct sk_buff *skb, const struct natflow_egress *egress, u8 pcp)
{
	struct sk_buff *segment, *next, *segments = skb_gso_segment(skb, 0);

	if (IS_ERR_OR_NULL(segments)) {
		kfree_skb(skb);
		return;
	}
	consume_skb(skb);
	skb_list_walk_safe(segments, segment, next) {
		skb_mark_not_on_list(segment);
		if (skb_cow_head(segment, egress->headroom))
			kfree_skb(segment);
		else
			send_encap(segment, egress, pcp);
	}
}

/* Who queues by connection (cake's "nat") or filters by it finds it at the packet, as ever. */
static void attach(struct sk_buff *skb, const struct natflow_flow *flow, int dir)
{
	nf_reset_ct(skb);
	nf_conntrack_get(&flow->ct->ct_general);
	nf_ct_set(skb, flow->ct,
		  dir == IP_CT_DIR_ORIGINAL ? IP_CT_ESTABLISHED : IP_CT_ESTABLISHED_REPLY);
}

/**
 * natflow_xmit() - send a rewritten packet; takes it
 * @skb: packet, data at the network header, with headroom for the link-layer header
 * @egress: its way out
 * @flow: its flow: mark and priority the slow path sends with
 * @dir: its direction
 */
void natflow_xmit(struct sk_buff *skb, const struct natflow_egress *egress,
		  const struct natflow_flow *flow, int dir)
{
	const struct natflow_proof *proof = &flow->proof[dir];

	skb_dst_drop(skb);
	/* As IP receive does: a sender in another namespace of this machine must not be held up by
	 * our queues, nor be taken for ours.
	 */
	skb_orphan(skb);
	skb_clear_tstamp(skb);
	/* As when forwarding: the sum over the received frame is not true any more. */
	if (skb->ip_summed == CHECKSUM_COMPLETE)
		skb->ip_summed = CHECKSUM_NONE;
#ifdef CONFIG_NET_SWITCHDEV
	skb->offload_fwd_mark = 0;
	skb->offload_l3_fwd_mark = 0;
#endif
	skb->mark = READ_ONCE(proof->mark);
	skb->priority = READ_ONCE(proof->priority);
	skb->pkt_type = PACKET_HOST;

	__vlan_hwaccel_clear_tag(skb);
	skb->dev = egress->dev;
	if (READ_ONCE(egress->queued))
		attach(skb, flow, dir);
	if (egress->encap_count) {
		if (skb_is_gso(skb) && natflow_encap_has_pppoe(egress->encap, egress->encap_count))
			send_segments(skb, egress, READ_ONCE(flow->pcp[dir]));
		else
			send_encap(skb, egress, READ_ONCE(flow->pcp[dir]));
		return;
	}
	if (egress->header_len)
		memcpy(skb_push(skb, ETH_HLEN), egress->header, ETH_HLEN);
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
	dev_queue_xmit(skb);
}
