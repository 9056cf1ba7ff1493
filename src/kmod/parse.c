// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parsing: reads a received packet without changing it. Whatever is not what the fast path knows
 * how to forward is left to the normal stack.
 */
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/ppp_defs.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "parse.h"

/* Reads a PPPoE session header and the PPP protocol behind it (RFC 2516). */
static bool parse_pppoe(struct sk_buff *skb, unsigned int offset, struct natflow_packet *packet,
			struct natflow_encap *encap, __be16 *proto)
{
	const struct natflow_pppoe *header;
	unsigned int len;

	if (*proto != htons(ETH_P_PPP_SES) || skb_is_gso(skb) ||
	    !pskb_may_pull(skb, offset + sizeof(*header)))
		return false;
	header = (const struct natflow_pppoe *)(skb->data + offset);
	if (header->type != NATFLOW_PPPOE_TYPE || header->code)
		return false;
	/* What follows the payload is padding of the frame. */
	len = ntohs(header->length);
	if (len < NATFLOW_PPPOE_COUNTED ||
	    offset + sizeof(*header) + len - NATFLOW_PPPOE_COUNTED > skb->len)
		return false;
	if (header->protocol == htons(PPP_IP))
		*proto = htons(ETH_P_IP);
	else if (header->protocol == htons(PPP_IPV6))
		*proto = htons(ETH_P_IPV6);
	else
		return false;
	encap->id = ntohs(header->session);
	packet->room = len - NATFLOW_PPPOE_COUNTED;
	return true;
}

/**
 * natflow_parse_encap() - read what lies in band between the Ethernet and the IP header
 * @skb: packet, data behind the Ethernet header
 * @packet: a tag that stands in the buffer was entered already; the rest is added here
 * @proto: set to the protocol of what follows
 *
 * Return: how many bytes precede the IP header; 0 when there is none, or anything is wrong.
 */
unsigned int natflow_parse_encap(struct sk_buff *skb, struct natflow_packet *packet, __be16 *proto)
{
	unsigned int offset = 0;

	*proto = skb->protocol;
	packet->room = skb->len;
	while (packet->encap_count < NATFLOW_ENCAP_MAX) {
		struct natflow_encap *encap = &packet->encap[packet->encap_count++];

		encap->proto = *proto;
		if (natflow_encap_is_vlan(encap)) {
			const struct vlan_hdr *vlan;

			if (!pskb_may_pull(skb, offset + VLAN_HLEN))
				return 0;
			vlan = (const struct vlan_hdr *)(skb->data + offset);
			encap->id = ntohs(vlan->h_vlan_TCI) & VLAN_VID_MASK;
			*proto = vlan->h_vlan_encapsulated_proto;
			offset += VLAN_HLEN;
			packet->room -= VLAN_HLEN;
		} else {
			if (!parse_pppoe(skb, offset, packet, encap, proto))
				return 0;
			offset += sizeof(struct natflow_pppoe);
		}
		if (*proto == htons(ETH_P_IP) || *proto == htons(ETH_P_IPV6))
			return offset;
		if (natflow_encap_is_pppoe(encap))
			return 0;
	}
	return 0;
}

/* Reads the transport header; gives the ports that start both headers. */
static enum natflow_reason parse_l4(struct sk_buff *skb, u8 proto,
				    struct natflow_packet *packet, __be16 **ports)
{
	packet->l4_len = proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
	/* Padding may follow, but not in what GRO has put together. */
	if (skb_is_gso(skb) && packet->len != skb->len)
		return NATFLOW_REASON_MALFORMED;
	if (packet->len < packet->l4_offset + packet->l4_len ||
	    !pskb_may_pull(skb, packet->l4_offset + packet->l4_len))
		return NATFLOW_REASON_MALFORMED;
	*ports = (__be16 *)(skb->data + packet->l4_offset);
	packet->closing = false;
	packet->reset = false;
	packet->end = 0;
	packet->ack = 0;
	if (proto == IPPROTO_TCP) {
		const struct tcphdr *tcp = (const struct tcphdr *)*ports;

		if (packet->len < packet->l4_offset + tcp->doff * 4 || tcp->doff < 5)
			return NATFLOW_REASON_MALFORMED;
		/* One without ACK is not valid here (RFC 9293, 3.10.7.4): conntrack drops it. */
		packet->closing = tcp->syn || tcp->fin || tcp->rst || !tcp->ack;
		packet->reset = tcp->rst;
		packet->seq = ntohl(tcp->seq);
		packet->end = packet->seq + packet->len - packet->l4_offset - tcp->doff * 4;
		packet->ack = ntohl(tcp->ack_seq);
	} else {
		unsigned int len = ntohs(((const struct udphdr *)*ports)->len);

		/* In a GSO packet it is the length of the whole, or of the first fragment. */
		if (!skb_is_gso(skb) &&
		    (len < sizeof(struct udphdr) || packet->l4_offset + len > packet->len))
			return NATFLOW_REASON_MALFORMED;
	}
	return NATFLOW_REASON_NONE;
}

/**
 * natflow_parse4() - read the headers of an IPv4 packet
 * @skb: packet, data at the IP header
 * @packet: what was found; @packet->room is set
 * @key: its tuple
 *
 * Return: NATFLOW_REASON_NONE, or why it is left to the normal stack.
 */
enum natflow_reason natflow_parse4(struct sk_buff *skb, struct natflow_packet *packet,
				   struct natflow_key4 *key)
{
	enum natflow_reason reason;
	const struct iphdr *iph;
	__be16 *ports;

	if (!pskb_may_pull(skb, sizeof(*iph)))
		return NATFLOW_REASON_MALFORMED;
	iph = (const struct iphdr *)skb->data;
	if (iph->version != 4)
		return NATFLOW_REASON_MALFORMED;
	if (iph->ihl != 5)
		return NATFLOW_REASON_IP_OPTIONS;
	if (iph->protocol != IPPROTO_TCP && iph->protocol != IPPROTO_UDP)
		return NATFLOW_REASON_PROTOCOL;
	if (ip_is_fragment(iph))
		return NATFLOW_REASON_FRAGMENT;
	if (iph->ttl <= 1)
		return NATFLOW_REASON_TTL;
	packet->len = ntohs(iph->tot_len);
	packet->l4_offset = sizeof(*iph);
	if (packet->len > packet->room || ip_fast_csum(iph, 5))
		return NATFLOW_REASON_MALFORMED;
	reason = parse_l4(skb, iph->protocol, packet, &ports);
	if (reason)
		return reason;
	iph = (const struct iphdr *)skb->data;
	key->saddr = iph->saddr;
	key->daddr = iph->daddr;
	key->sport = ports[0];
	key->dport = ports[1];
	key->l4proto = iph->protocol;
	return NATFLOW_REASON_NONE;
}

/**
 * natflow_parse6() - read the headers of an IPv6 packet
 * @skb: packet, data at the IP header
 * @packet: what was found; @packet->room is set
 * @key: its tuple
 *
 * Return: NATFLOW_REASON_NONE, or why it is left to the normal stack.
 */
enum natflow_reason natflow_parse6(struct sk_buff *skb, struct natflow_packet *packet,
				   struct natflow_key6 *key)
{
	enum natflow_reason reason;
	const struct ipv6hdr *iph;
	__be16 *ports;

	if (!pskb_may_pull(skb, sizeof(*iph)))
		return NATFLOW_REASON_MALFORMED;
	iph = (const struct ipv6hdr *)skb->data;
	if (iph->version != 6)
		return NATFLOW_REASON_MALFORMED;
	switch (iph->nexthdr) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		break;
	case NEXTHDR_FRAGMENT:
		return NATFLOW_REASON_FRAGMENT;
	case NEXTHDR_HOP:
	case NEXTHDR_ROUTING:
	case NEXTHDR_DEST:
		return NATFLOW_REASON_IP_OPTIONS;
	default:
		return NATFLOW_REASON_PROTOCOL;
	}
	if (iph->hop_limit <= 1)
		return NATFLOW_REASON_TTL;
	packet->len = ntohs(iph->payload_len) + sizeof(*iph);
	packet->l4_offset = sizeof(*iph);
	if (packet->len > packet->room)
		return NATFLOW_REASON_MALFORMED;
	reason = parse_l4(skb, iph->nexthdr, packet, &ports);
	if (reason)
		return reason;
	iph = (const struct ipv6hdr *)skb->data;
	key->saddr = iph->saddr;
	key->daddr = iph->daddr;
	key->sport = ports[0];
	key->dport = ports[1];
	key->l4proto = iph->nexthdr;
	return NATFLOW_REASON_NONE;
}
