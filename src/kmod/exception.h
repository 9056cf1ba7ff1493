/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_EXCEPTION_H
#define NATFLOW_EXCEPTION_H

#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/rcupdate.h>

#include "prefix.h"

struct natflow_flow;
struct natflow_net;
struct nf_conn;
struct sk_buff;

/**
 * struct natflow_exception - flows that are never accelerated; what is given must all match
 * @src: source of the original direction
 * @dst: its destination, before or after translation
 * @mark: connection mark, under @mark_mask
 * @mark_mask: bits of it that count
 * @port_min: first destination port, before or after translation; host byte order
 * @port_max: last one
 * @l4proto: IPPROTO_TCP or IPPROTO_UDP, or 0
 * @has_port: @port_min and @port_max were given
 * @has_mark: @mark was given
 * @has_mac: @mac was given
 * @mac: MAC address that frames come from or go to
 * @device: name of a device on the way, or ""
 */
struct natflow_exception {
	struct natflow_prefix	src;
	struct natflow_prefix	dst;
	u32			mark;
	u32			mark_mask;
	u16			port_min;
	u16			port_max;
	u8			l4proto;
	bool			has_port;
	bool			has_mark;
	bool			has_mac;
	u8			mac[ETH_ALEN] __aligned(2);
	char			device[IFNAMSIZ];
};

/**
 * struct natflow_exceptions - all exceptions of a namespace; replaced as a whole
 * @rcu: for freeing
 * @id: another one for each list of the namespace; never 0
 * @count: entries in @rule
 * @ways: some of them name a device or a MAC address, which only packets tell
 * @rule: in the order in which they were given
 */
struct natflow_exceptions {
	struct rcu_head			rcu;
	u32				id;
	unsigned int			count;
	bool				ways;
	struct natflow_exception	rule[];
};

int natflow_exception_of_ct(const struct natflow_net *nn, const struct nf_conn *ct);
bool natflow_exception_of_way(struct natflow_flow *flow, int dir, const struct sk_buff *skb);
int natflow_exception_of_flow(const struct natflow_flow *flow);
void natflow_exceptions_replace(struct natflow_net *nn, struct natflow_exceptions *list);

#endif /* NATFLOW_EXCEPTION_H */
