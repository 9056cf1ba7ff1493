/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_INGRESS_H
#define NATFLOW_INGRESS_H

#include <linux/if_ether.h>
#include <linux/skbuff.h>

#include "flow.h"
#include "parse.h"

/**
 * struct natflow_ingress - where a packet came in
 * @ifindex: port
 * @encap: tags and PPPoE header it carried
 * @encaps: the same as one word
 * @encap_count: how many of @encap
 * @mac: destination MAC address of its frame; zeroes on a device without a link-layer header
 */
struct natflow_ingress {
	union {
		struct natflow_encap	encap[NATFLOW_ENCAP_MAX];
		u64			encaps;
	};
	u32	ifindex;
	u8	encap_count;
	u8	mac[ETH_ALEN];
};

void natflow_ingress_note4(const struct sk_buff *skb, const struct natflow_packet *packet,
			   const struct natflow_key4 *key);
void natflow_ingress_note6(const struct sk_buff *skb, const struct natflow_packet *packet,
			   const struct natflow_key6 *key);
bool natflow_ingress_of(const struct sk_buff *skb, const struct nf_conntrack_tuple *tuple,
			struct natflow_ingress *ingress);

#endif /* NATFLOW_INGRESS_H */
