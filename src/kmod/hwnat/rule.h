/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_HWNAT_RULE_H
#define NATFLOW_HWNAT_RULE_H

#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <net/flow_offload.h>

#include "encap.h"

/**
 * struct hwnat_rule - what the hardware shall do with one direction of a flow
 * @family: AF_INET or AF_INET6
 * @l4proto: IPPROTO_TCP or IPPROTO_UDP
 * @nat: addresses or ports change; IPv4 only
 * @iif: device of the MAC, or the WiFi interface, that the packets come in by
 * @src: source address of the packets
 * @dst: destination address
 * @sport: source port
 * @dport: destination port
 * @to_src: what they become
 * @to_dst: likewise
 * @to_sport: likewise
 * @to_dport: likewise
 * @dst_mac: next hop
 * @src_mac: ours
 * @encap: tags and PPPoE header to put on, the outermost first
 * @encap_count: how many
 * @dev: port they leave by
 */
struct hwnat_rule {
	u8			family;
	u8			l4proto;
	bool			nat;
	int			iif;
	union nf_inet_addr	src;
	union nf_inet_addr	dst;
	__be16			sport;
	__be16			dport;
	union nf_inet_addr	to_src;
	union nf_inet_addr	to_dst;
	__be16			to_sport;
	__be16			to_dport;
	u8			dst_mac[ETH_ALEN];
	u8			src_mac[ETH_ALEN];
	struct natflow_encap	encap[NATFLOW_ENCAP_MAX];
	u8			encap_count;
	struct net_device	*dev;
};

struct flow_rule *hwnat_rule_build(const struct hwnat_rule *rule);
void hwnat_rule_free(struct flow_rule *flow_rule);

#endif /* NATFLOW_HWNAT_RULE_H */
