// SPDX-License-Identifier: GPL-2.0-only
/* Transmit: from a rewritten packet to a frame in the egress port's queue. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <net/dst.h>

#include "xmit.h"

/**
 * natflow_xmit() - send a rewritten packet; takes it
 * @skb: packet, data at the network header, with headroom for the link-layer header
 * @egress: its way out
 * @proof: mark and priority the slow path sends this direction with
 */
void natflow_xmit(struct sk_buff *skb, const struct natflow_egress *egress,
		  const struct natflow_proof *proof)
{
	skb_dst_drop(skb);
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
	if (egress->vlan != NATFLOW_NO_VLAN)
		__vlan_hwaccel_put_tag(skb, egress->vlan_proto, egress->vlan);
	memcpy(skb_push(skb, ETH_HLEN), egress->header, ETH_HLEN);
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
	skb->dev = egress->dev;
	dev_queue_xmit(skb);
}
