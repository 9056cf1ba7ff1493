// SPDX-License-Identifier: GPL-2.0-only
/* Address prefixes, as requests name them. */
#include <linux/bitops.h>

#include "prefix.h"

const struct nla_policy natflow_prefix_policy[NATFLOW_A_PREFIX_MAX + 1] = {
	[NATFLOW_A_PREFIX_ADDR] =
		NLA_POLICY_RANGE(NLA_BINARY, sizeof(struct in_addr), NATFLOW_PREFIX_ADDR_LEN_MAX),
	[NATFLOW_A_PREFIX_LEN] = NLA_POLICY_MAX(NLA_U8, NATFLOW_PREFIX_LEN_MAX),
};

/**
 * natflow_prefix_parse() - read a prefix
 * @prefix: where to put it; zeroed
 * @nest: attribute with the set "prefix" of natflow.yaml
 * @extack: for messages
 *
 * Return: 0 or a negative errno.
 */
int natflow_prefix_parse(struct natflow_prefix *prefix, const struct nlattr *nest,
			 struct netlink_ext_ack *extack)
{
	struct nlattr *tb[NATFLOW_A_PREFIX_MAX + 1];
	unsigned int bits, i;
	u8 len;
	int err;

	err = nla_parse_nested(tb, NATFLOW_A_PREFIX_MAX, nest, natflow_prefix_policy, extack);
	if (err)
		return err;
	if (NL_REQ_ATTR_CHECK(extack, nest, tb, NATFLOW_A_PREFIX_ADDR)) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "a prefix needs an address");
		return -EINVAL;
	}
	switch (nla_len(tb[NATFLOW_A_PREFIX_ADDR])) {
	case sizeof(struct in_addr):
		prefix->family = AF_INET;
		break;
	case sizeof(struct in6_addr):
		prefix->family = AF_INET6;
		break;
	default:
		NL_SET_ERR_MSG_ATTR(extack, tb[NATFLOW_A_PREFIX_ADDR],
				    "an address has 4 or 16 bytes");
		return -EINVAL;
	}
	bits = nla_len(tb[NATFLOW_A_PREFIX_ADDR]) * 8;
	len = bits;
	if (tb[NATFLOW_A_PREFIX_LEN]) {
		len = nla_get_u8(tb[NATFLOW_A_PREFIX_LEN]);
		if (len > bits) {
			NL_SET_ERR_MSG_ATTR(extack, tb[NATFLOW_A_PREFIX_LEN],
					    "the prefix is longer than its address");
			return -EINVAL;
		}
	}
	memcpy(&prefix->addr, nla_data(tb[NATFLOW_A_PREFIX_ADDR]), bits / 8);
	for (i = 0; i < len / 32; i++)
		prefix->mask.all[i] = ~0U;
	if (len % 32)
		prefix->mask.all[i] = (__force u32)htonl(~0U << (32 - len % 32));
	return 0;
}

/**
 * natflow_prefix_put() - write a prefix into a message
 * @skb: the message
 * @type: attribute type of the nest
 * @prefix: the prefix
 *
 * Return: 0 or -EMSGSIZE.
 */
int natflow_prefix_put(struct sk_buff *skb, int type, const struct natflow_prefix *prefix)
{
	unsigned int i, size = prefix->family == AF_INET ? sizeof(struct in_addr) :
							   sizeof(struct in6_addr);
	struct nlattr *nest = nla_nest_start(skb, type);
	u8 len = 0;

	for (i = 0; i < ARRAY_SIZE(prefix->mask.all); i++)
		len += hweight32((__force u32)prefix->mask.all[i]);
	if (!nest || nla_put(skb, NATFLOW_A_PREFIX_ADDR, size, &prefix->addr) ||
	    nla_put_u8(skb, NATFLOW_A_PREFIX_LEN, len))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* Does an address of the prefix's family lie in it? */
bool natflow_prefix_has(const struct natflow_prefix *prefix, const union nf_inet_addr *addr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(addr->all); i++)
		if (((__force u32)addr->all[i] ^ (__force u32)prefix->addr.all[i]) &
		    (__force u32)prefix->mask.all[i])
			return false;
	return true;
}
