/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_INGRESS_H
#define NATFLOW_INGRESS_H

#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/skbuff.h>

#include "flow.h"

/**
 * struct natflow_ingress - where a packet came in
 * @ifindex: port
 * @vlan: tag it carried, natflow_vlan_key()
 * @mac: destination MAC address of its frame
 */
struct natflow_ingress {
	u32	ifindex;
	u16	vlan;
	u8	mac[ETH_ALEN];
};

void natflow_ingress_note4(const struct sk_buff *skb, const struct natflow_key4 *key);
void natflow_ingress_note6(const struct sk_buff *skb, const struct natflow_key6 *key);
bool natflow_ingress_of(const struct sk_buff *skb, const struct nf_conntrack_tuple *tuple,
			struct natflow_ingress *ingress);

/* A VLAN id and its tag protocol in one word; NATFLOW_NO_VLAN stays what it is. */
static inline u16 natflow_vlan_key(u16 id, __be16 proto)
{
	return id | (proto == htons(ETH_P_8021AD) ? VLAN_N_VID : 0);
}

static inline u16 natflow_skb_vlan(const struct sk_buff *skb)
{
	return skb_vlan_tag_present(skb) ?
	       natflow_vlan_key(skb_vlan_tag_get_id(skb), skb->vlan_proto) : NATFLOW_NO_VLAN;
}

#endif /* NATFLOW_INGRESS_H */
