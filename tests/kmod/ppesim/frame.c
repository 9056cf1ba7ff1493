// SPDX-License-Identifier: GPL-2.0-only
/* What the PPE reads of a frame. Frames are linear, their data starts at the MAC header. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/ppp_defs.h>
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/tcp.h>

#include "ppesim.h"

/* Passes over tags and a PPPoE session header; the protocol of what follows, or 0. */
static __be16 skip_tags(const struct sk_buff *skb, unsigned int *offset)
{
	__be16 proto = ((const struct ethhdr *)skb->data)->h_proto;
	unsigned int tags = 0;

	*offset = ETH_HLEN;
	while (eth_type_vlan(proto)) {
		const struct vlan_hdr *tag = (const struct vlan_hdr *)(skb->data + *offset);

		if (++tags > 2 || skb->len < *offset + VLAN_HLEN)
			return 0;
		proto = tag->h_vlan_encapsulated_proto;
		*offset += VLAN_HLEN;
	}
	if (proto == htons(ETH_P_PPP_SES)) {
		const struct ppesim_pppoe *head = (const void *)(skb->data + *offset);

		if (skb->len < *offset + sizeof(*head))
			return 0;
		*offset += sizeof(*head);
		switch (ntohs(head->protocol)) {
		case PPP_IP:
			return htons(ETH_P_IP);
		case PPP_IPV6:
			return htons(ETH_P_IPV6);
		}
		return 0;
	}
	return proto;
}

/* Ports, TCP flags, and the sum over all with @sum of the pseudo header. */
static enum ppesim_verdict read_l4(const struct sk_buff *skb, struct ppesim_frame *frame,
				   __wsum pseudo)
{
	unsigned int length = frame->l3 + frame->length - frame->l4;
	const u8 *data = skb->data + frame->l4;
	const struct tcphdr *tcp = (const struct tcphdr *)data;
	const struct udphdr *udp = (const struct udphdr *)data;

	if (length < (frame->key.udp ? sizeof(*udp) : sizeof(*tcp)))
		return PPESIM_V_NOT_L4;
	frame->key.sport = ntohs(udp->source);
	frame->key.dport = ntohs(udp->dest);
	if (frame->key.udp) {
		if (!udp->check && frame->key.type == PPESIM_FOE_IPV4_HNAPT)
			return PPESIM_V_BYPASS;
	} else {
		frame->tcp_flags = tcp_flag_byte(tcp) & (TCPHDR_FIN | TCPHDR_SYN | TCPHDR_RST);
	}
	if (csum_fold(csum_partial(data, length, pseudo)))
		return PPESIM_V_BAD_CHECKSUM;
	return PPESIM_V_BYPASS;
}

static enum ppesim_verdict read_ipv4(const struct sk_buff *skb, struct ppesim_frame *frame)
{
	const struct iphdr *ip = (const struct iphdr *)(skb->data + frame->l3);
	unsigned int length = ip->ihl * 4;

	if (ip->version != 4 || length < sizeof(*ip) || skb->len < frame->l3 + length)
		return PPESIM_V_NOT_IP;
	if (ip_fast_csum(ip, ip->ihl))
		return PPESIM_V_BAD_CHECKSUM;
	frame->length = ntohs(ip->tot_len);
	if (frame->length < length || skb->len < frame->l3 + frame->length)
		return PPESIM_V_NOT_IP;
	if (length > sizeof(*ip))
		return PPESIM_V_OPTION_HEADER;
	if (ip_is_fragment(ip))
		return PPESIM_V_IPV4_FRAG;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return PPESIM_V_NOT_L4;
	frame->key.type = PPESIM_FOE_IPV4_HNAPT;
	frame->key.udp = ip->protocol == IPPROTO_UDP;
	frame->key.src[3] = ntohl(ip->saddr);
	frame->key.dst[3] = ntohl(ip->daddr);
	frame->l4 = frame->l3 + length;
	length = frame->length - length;
	return read_l4(skb, frame,
		       csum_tcpudp_nofold(ip->saddr, ip->daddr, length, ip->protocol, 0)) ?:
	       (ip->ttl <= 1 ? PPESIM_V_TTL_EXCEEDED : PPESIM_V_BYPASS);
}

static enum ppesim_verdict read_ipv6(const struct sk_buff *skb, struct ppesim_frame *frame)
{
	const struct ipv6hdr *ip = (const struct ipv6hdr *)(skb->data + frame->l3);
	unsigned int length, i;
	__wsum pseudo;

	if (skb->len < frame->l3 + sizeof(*ip) || ip->version != 6)
		return PPESIM_V_NOT_IP;
	length = ntohs(ip->payload_len);
	frame->length = sizeof(*ip) + length;
	if (skb->len < frame->l3 + frame->length)
		return PPESIM_V_NOT_IP;
	if (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP)
		return ipv6_ext_hdr(ip->nexthdr) ? PPESIM_V_OPTION_HEADER : PPESIM_V_NOT_L4;
	frame->key.type = PPESIM_FOE_IPV6_5T;
	frame->key.udp = ip->nexthdr == IPPROTO_UDP;
	for (i = 0; i < 4; i++) {
		frame->key.src[i] = ntohl(ip->saddr.s6_addr32[i]);
		frame->key.dst[i] = ntohl(ip->daddr.s6_addr32[i]);
	}
	frame->l4 = frame->l3 + sizeof(*ip);
	pseudo = ~csum_unfold(csum_ipv6_magic(&ip->saddr, &ip->daddr, length, ip->nexthdr, 0));
	return read_l4(skb, frame, pseudo) ?:
	       (ip->hop_limit <= 1 ? PPESIM_V_TTL_EXCEEDED : PPESIM_V_BYPASS);
}

/**
 * ppesim_frame_read() - what the PPE can tell without its table
 * @skb: the frame
 * @frame: filled in
 *
 * Return: PPESIM_V_BYPASS when the table has to decide.
 */
enum ppesim_verdict ppesim_frame_read(const struct sk_buff *skb, struct ppesim_frame *frame)
{
	__be16 proto;

	memset(frame, 0, sizeof(*frame));
	if (is_multicast_ether_addr(skb->data))
		return PPESIM_V_MULTICAST;
	proto = skip_tags(skb, &frame->l3);
	if (proto == htons(ETH_P_IP) && skb->len >= frame->l3 + sizeof(struct iphdr))
		return read_ipv4(skb, frame);
	if (proto == htons(ETH_P_IPV6))
		return read_ipv6(skb, frame);
	return PPESIM_V_NOT_IP;
}
