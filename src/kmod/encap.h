/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_ENCAP_H
#define NATFLOW_ENCAP_H

#include <linux/if_ether.h>
#include <linux/types.h>

/* What may lie between the Ethernet addresses and the IP header. */
#define NATFLOW_ENCAP_MAX	2

/**
 * struct natflow_encap - a VLAN tag or a PPPoE session header
 * @id: VLAN id, or PPPoE session id
 * @proto: ETH_P_8021Q, ETH_P_8021AD or ETH_P_PPP_SES; 0 when there is none
 *
 * They stand in arrays of NATFLOW_ENCAP_MAX, the outermost first and zeroes behind the last, which
 * are compared as one 64-bit word.
 */
struct natflow_encap {
	u16	id;
	__be16	proto;
};

/**
 * struct natflow_pppoe - header of a PPPoE session's frame and of PPP behind it (RFC 2516)
 * @type: version 1, type 1
 * @code: 0 for data
 * @session: session id
 * @length: bytes that follow it
 * @protocol: PPP protocol
 */
struct natflow_pppoe {
	u8	type;
	u8	code;
	__be16	session;
	__be16	length;
	__be16	protocol;
};

#define NATFLOW_PPPOE_TYPE	0x11
/* What @length counts of the header. */
#define NATFLOW_PPPOE_COUNTED	sizeof(__be16)

static inline bool natflow_encap_is_vlan(const struct natflow_encap *encap)
{
	return encap->proto == htons(ETH_P_8021Q) || encap->proto == htons(ETH_P_8021AD);
}

static inline bool natflow_encap_is_pppoe(const struct natflow_encap *encap)
{
	return encap->proto == htons(ETH_P_PPP_SES);
}

/* Nothing but the IP header comes behind a PPPoE header. */
static inline bool natflow_encap_has_pppoe(const struct natflow_encap *encap, unsigned int count)
{
	return count && natflow_encap_is_pppoe(&encap[count - 1]);
}

#endif /* NATFLOW_ENCAP_H */
