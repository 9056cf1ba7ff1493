// SPDX-License-Identifier: GPL-2.0-only
/*
 * A note that the ingress hook leaves for the learning hook: by which port and with which tags
 * a packet came in. At POST_ROUTING that is not to be seen any more, bridge and VLAN devices have
 * overwritten it.
 *
 * There is one note for each CPU, written for every packet that goes up and good for the same
 * packet only: the address of the buffer and the tuple must be the same. The tuple guards
 * against a buffer that came in as something else, such as a tunnel's packet. Without a note
 * (receive packet steering between bridge and port, NFQUEUE) learning goes on without it.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/percpu.h>

#include "ingress.h"
#include "table.h"

struct note {
	const struct sk_buff	*skb;
	struct natflow_ingress	ingress;
	u8			family;
	union {
		struct natflow_key4	key4;
		struct natflow_key6	key6;
	};
};

static DEFINE_PER_CPU(struct note, notes);

static struct note *note_of(const struct sk_buff *skb, const struct natflow_packet *packet,
			    u8 family)
{
	struct note *note = this_cpu_ptr(&notes);

	note->skb = skb;
	note->family = family;
	note->ingress.ifindex = skb->dev->ifindex;
	note->ingress.encaps = packet->encaps;
	note->ingress.encap_count = packet->encap_count;
	if (skb->dev->type == ARPHRD_ETHER)
		ether_addr_copy(note->ingress.mac, eth_hdr(skb)->h_dest);
	else
		eth_zero_addr(note->ingress.mac);
	return note;
}

void natflow_ingress_note4(const struct sk_buff *skb, const struct natflow_packet *packet,
			   const struct natflow_key4 *key)
{
	note_of(skb, packet, AF_INET)->key4 = *key;
}

void natflow_ingress_note6(const struct sk_buff *skb, const struct natflow_packet *packet,
			   const struct natflow_key6 *key)
{
	note_of(skb, packet, AF_INET6)->key6 = *key;
}

static bool about(const struct note *note, const struct sk_buff *skb,
		  const struct nf_conntrack_tuple *tuple)
{
	struct natflow_key4 key4;
	struct natflow_key6 key6;

	if (note->skb != skb || note->family != tuple->src.l3num)
		return false;
	if (note->family == AF_INET) {
		natflow_key4_set(&key4, tuple);
		return natflow_key4_same(&note->key4, &key4);
	}
	natflow_key6_set(&key6, tuple);
	return natflow_key6_same(&note->key6, &key6);
}

/**
 * natflow_ingress_of() - where a packet came in that is now at POST_ROUTING
 * @skb: the packet
 * @tuple: the tuple it came in with
 * @ingress: where to put it
 *
 * Return: false when there is no note about it.
 */
bool natflow_ingress_of(const struct sk_buff *skb, const struct nf_conntrack_tuple *tuple,
			struct natflow_ingress *ingress)
{
	struct note *note = get_cpu_ptr(&notes);
	bool found = about(note, skb, tuple);

	if (found) {
		*ingress = note->ingress;
		note->skb = NULL;
	}
	put_cpu_ptr(&notes);
	return found;
}
