// SPDX-License-Identifier: GPL-2.0-only
/* The engine: a frame from a wire is forwarded in hardware, dropped, or left to the host. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/ppp_defs.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/ip.h>

#include "ppesim.h"

/* Everything that may come before the IP header. */
#define HEAD_MAX (ETH_HLEN + 2 * VLAN_HLEN + sizeof(struct ppesim_pppoe))

/**
 * ppesim_engine_egress() - the port that a bound entry sends to; under RCU
 * @soc: the SoC
 * @rewrite: what the entry says
 *
 * The hardware knows numbers: whoever has the number now gets the frame.
 *
 * Return: the port, or NULL.
 */
struct ppesim_port *ppesim_engine_egress(struct ppesim_soc *soc,
					 const struct ppesim_rewrite *rewrite)
{
	if (rewrite->pse >= PPESIM_PSE_WDMA)
		return rcu_dereference(soc->wlan[rewrite->bss]);
	if (rewrite->dsa >= 0)
		return rcu_dereference(soc->user[rewrite->pse][rewrite->dsa]);
	return rcu_dereference(soc->gmac[rewrite->pse]);
}

static void replace2(__sum16 *check, __be16 *field, u16 value)
{
	__be16 now = htons(value);

	csum_replace2(check, *field, now);
	*field = now;
}

static void replace4(__sum16 *header, __sum16 *check, __be32 *field, u32 value)
{
	__be32 now = htonl(value);

	csum_replace4(header, *field, now);
	csum_replace4(check, *field, now);
	*field = now;
}

static void translate(struct iphdr *ip, void *l4, const struct ppesim_rewrite *rewrite, bool udp)
{
	struct udphdr *ports = l4;
	__sum16 *check = udp ? &ports->check : &((struct tcphdr *)l4)->check;
	__sum16 none = 0;
	bool unsummed = udp && !ports->check;

	if (unsummed)
		check = &none;
	replace4(&ip->check, check, &ip->saddr, rewrite->src);
	replace4(&ip->check, check, &ip->daddr, rewrite->dst);
	replace2(check, &ports->source, rewrite->sport);
	replace2(check, &ports->dest, rewrite->dport);
	if (udp && !unsummed && !ports->check)
		ports->check = CSUM_MANGLED_0;
}

static void push_head(struct sk_buff *skb, const struct ppesim_rewrite *rewrite, bool ipv6)
{
	__be16 proto = ipv6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
	struct ethhdr *eth;
	unsigned int i;

	if (rewrite->pppoe) {
		u16 length = skb->len + sizeof(__be16);
		struct ppesim_pppoe *head = skb_push(skb, sizeof(*head));

		head->version_type = 0x11;
		head->code = 0;
		head->session = htons(rewrite->session);
		head->length = htons(length);
		head->protocol = ipv6 ? htons(PPP_IPV6) : htons(PPP_IP);
		proto = htons(ETH_P_PPP_SES);
	}
	for (i = rewrite->vlans; i--;) {
		struct vlan_hdr *tag = skb_push(skb, VLAN_HLEN);

		tag->h_vlan_TCI = htons(rewrite->vlan[i]);
		tag->h_vlan_encapsulated_proto = proto;
		proto = htons(ETH_P_8021Q);
	}
	eth = skb_push(skb, ETH_HLEN);
	ether_addr_copy(eth->h_dest, rewrite->dst_mac);
	ether_addr_copy(eth->h_source, rewrite->src_mac);
	eth->h_proto = proto;
}

/* The frame as the entry wants it. Whatever headers it had before the IP packet are gone. */
static bool rewrite_frame(struct sk_buff *skb, const struct ppesim_frame *frame,
			  const struct ppesim_rewrite *rewrite)
{
	void *l3 = skb->data + frame->l3;
	bool ipv6 = frame->key.type == PPESIM_FOE_IPV6_5T;

	if (ipv6) {
		((struct ipv6hdr *)l3)->hop_limit--;
	} else {
		ip_decrease_ttl(l3);
		translate(l3, skb->data + frame->l4, rewrite, frame->key.udp);
	}
	skb_trim(skb, frame->l3 + frame->length);
	skb_pull(skb, frame->l3);
	if (skb_cow_head(skb, HEAD_MAX))
		return false;
	push_head(skb, rewrite, ipv6);
	return true;
}

static void forward(struct ppesim_port *port, struct sk_buff *skb,
		    const struct ppesim_frame *frame, const struct ppesim_rewrite *rewrite)
{
	struct ppesim_port *egress = ppesim_engine_egress(port->soc, rewrite);

	ppesim_port_count(port, PPESIM_C_HW_RX, 1);
	ppesim_port_count(port, PPESIM_C_HW_RX_BYTES, skb->len);
	if (!egress || !rewrite_frame(skb, frame, rewrite)) {
		ppesim_port_count(port, PPESIM_C_TX_LOST, 1);
		kfree_skb(skb);
		return;
	}
	ppesim_port_count(egress, PPESIM_C_HW_TX, 1);
	ppesim_port_count(egress, PPESIM_C_HW_TX_BYTES, skb->len);
	ppesim_port_emit(egress, skb);
}

/**
 * ppesim_engine_receive() - a frame has come from a port's wire
 * @port: the port
 * @skb: the frame, its data at the MAC header
 *
 * Return: true when the hardware has taken it; else it is the host's.
 */
bool ppesim_engine_receive(struct ppesim_port *port, struct sk_buff *skb)
{
	struct ppesim_soc *soc = port->soc;
	struct ppesim_rewrite rewrite;
	enum ppesim_verdict verdict;
	int ppe = ppesim_port_ppe(port);
	struct ppesim_frame frame;
	u32 index;

	if (ppe < 0)
		return false;
	verdict = ppesim_frame_read(skb, &frame);
	if (verdict == PPESIM_V_BYPASS) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		verdict = ppesim_ppe_look(&soc->ppe[ppe], &frame.key, frame.tcp_flags,
					  frame.length, &index, &rewrite);
		if (index != PPESIM_NO_SLOT)
			skb_set_hash(skb, jhash_1word(index, 0), PKT_HASH_TYPE_L4);
	}
	atomic64_inc(&soc->verdicts[verdict]);
	switch (verdict) {
	case PPESIM_V_BYPASS:
		forward(port, skb, &frame, &rewrite);
		return true;
	case PPESIM_V_BAD_CHECKSUM:
		ppesim_port_count(port, PPESIM_C_RX_DROPPED, 1);
		kfree_skb(skb);
		return true;
	default:
		return false;
	}
}
