/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_PARSE_H
#define NATFLOW_PARSE_H

#include <linux/skbuff.h>

#include "flow.h"

/**
 * struct natflow_packet - what parsing found
 * @encap: tags and PPPoE header that precede the IP header
 * @encaps: the same as one word
 * @encap_count: how many of @encap
 * @room: bytes that the IP packet may have at most
 * @len: length of the IP packet in bytes
 * @l4_offset: transport header behind the network header
 * @l4_len: bytes of the transport header that may be rewritten
 * @closing: TCP segment with SYN, FIN or RST, or without ACK
 * @reset: TCP segment with RST
 * @seq: sequence number of a TCP segment
 * @end: sequence number behind its payload
 * @ack: its acknowledgment number
 */
struct natflow_packet {
	union {
		struct natflow_encap	encap[NATFLOW_ENCAP_MAX];
		u64			encaps;
	};
	u8		encap_count;
	unsigned int	room;
	unsigned int	len;
	unsigned int	l4_offset;
	unsigned int	l4_len;
	bool		closing;
	bool		reset;
	u32		seq;
	u32		end;
	u32		ack;
};

unsigned int natflow_parse_encap(struct sk_buff *skb, struct natflow_packet *packet, __be16 *proto);
enum natflow_reason natflow_parse4(struct sk_buff *skb, struct natflow_packet *packet,
				   struct natflow_key4 *key);
enum natflow_reason natflow_parse6(struct sk_buff *skb, struct natflow_packet *packet,
				   struct natflow_key6 *key);

#endif /* NATFLOW_PARSE_H */
