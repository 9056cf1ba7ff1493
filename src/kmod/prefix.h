/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_PREFIX_H
#define NATFLOW_PREFIX_H

#include <linux/netfilter.h>
#include <net/netlink.h>

#include "uapi.h"

/**
 * struct natflow_prefix - an address prefix
 * @addr: an address of it
 * @mask: its bits that count
 * @family: AF_INET or AF_INET6; 0 when none was given
 */
struct natflow_prefix {
	union nf_inet_addr	addr;
	union nf_inet_addr	mask;
	u8			family;
};

extern const struct nla_policy natflow_prefix_policy[NATFLOW_A_PREFIX_MAX + 1];

int natflow_prefix_parse(struct natflow_prefix *prefix, const struct nlattr *nest,
			 struct netlink_ext_ack *extack);
int natflow_prefix_put(struct sk_buff *skb, int type, const struct natflow_prefix *prefix);
bool natflow_prefix_has(const struct natflow_prefix *prefix, const union nf_inet_addr *addr);

#endif /* NATFLOW_PREFIX_H */
