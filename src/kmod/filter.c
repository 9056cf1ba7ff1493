// SPDX-License-Identifier: GPL-2.0-only
/* Which flows a request is about. */
#include <linux/etherdevice.h>
#include <linux/mm.h>
#include <net/netfilter/nf_conntrack.h>

#include "filter.h"
#include "net.h"
#include "path.h"
#include "prefix.h"
#include "record.h"

/**
 * struct natflow_filter - a request's filter; the meaning stands in natflow.yaml
 * @given: bits of the attributes that were given, by type
 * @family: address family
 * @l4proto: transport protocol
 * @mac: destination address of a direction
 * @state: enum natflow_state
 * @reason: enum natflow_reason
 * @port: a port of either tuple
 * @ifindex: a device on the way
 * @mark: connection mark
 * @mark_mask: bits of it that count
 * @min_age: milliseconds
 * @min_idle: milliseconds
 * @min_rate: bytes per second
 * @prefix_count: entries in @prefix
 * @prefix: where one of the addresses lies
 */
struct natflow_filter {
	u32		given;
	u8		family;
	u8		l4proto;
	u8		mac[ETH_ALEN] __aligned(2);
	u8		state;
	u16		reason;
	__be16		port;
	u32		ifindex;
	u32		mark;
	u32		mark_mask;
	u32		min_age;
	u32		min_idle;
	u32		min_rate;
	unsigned int	prefix_count;
	struct natflow_prefix	prefix[];
};

const struct nla_policy natflow_filter_policy[NATFLOW_A_FILTER_MAX + 1] = {
	[NATFLOW_A_FILTER_FAMILY] = { .type = NLA_U8 },
	[NATFLOW_A_FILTER_L4PROTO] = { .type = NLA_U8 },
	[NATFLOW_A_FILTER_PREFIX] = NLA_POLICY_NESTED(natflow_prefix_policy),
	[NATFLOW_A_FILTER_PORT] = { .type = NLA_BE16 },
	[NATFLOW_A_FILTER_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[NATFLOW_A_FILTER_MARK] = { .type = NLA_U32 },
	[NATFLOW_A_FILTER_MARK_MASK] = { .type = NLA_U32 },
	[NATFLOW_A_FILTER_MAC] = NLA_POLICY_EXACT_LEN(NATFLOW_FILTER_MAC_LEN),
	[NATFLOW_A_FILTER_STATE] = NLA_POLICY_MAX(NLA_U8, NATFLOW_STATE_MAX),
	[NATFLOW_A_FILTER_REASON] = NLA_POLICY_MAX(NLA_U16, NATFLOW_REASON_MAX),
	[NATFLOW_A_FILTER_MIN_AGE] = { .type = NLA_U32 },
	[NATFLOW_A_FILTER_MIN_IDLE] = { .type = NLA_U32 },
	[NATFLOW_A_FILTER_MIN_RATE] = { .type = NLA_U32 },
};

static int parse_prefixes(struct natflow_filter *filter, const struct nlattr *nest,
			  struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int err, rest;

	nla_for_each_nested(attr, nest, rest) {
		if (nla_type(attr) != NATFLOW_A_FILTER_PREFIX)
			continue;
		err = natflow_prefix_parse(&filter->prefix[filter->prefix_count], attr, extack);
		if (err)
			return err;
		filter->prefix_count++;
	}
	return 0;
}

static int count_prefixes(const struct nlattr *nest, struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int count = 0, rest;

	nla_for_each_nested(attr, nest, rest) {
		if (nla_type(attr) != NATFLOW_A_FILTER_PREFIX)
			continue;
		if (++count > NATFLOW_PREFIXES_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "more than "
					    __stringify(NATFLOW_PREFIXES_MAX) " prefixes");
			return -E2BIG;
		}
	}
	return count;
}

static int parse_values(struct natflow_filter *filter, struct nlattr **tb,
			struct netlink_ext_ack *extack)
{
	struct nlattr *mark = tb[NATFLOW_A_FILTER_MARK];
	struct nlattr *mask = tb[NATFLOW_A_FILTER_MARK_MASK];
	unsigned int type;

	for (type = 1; type <= NATFLOW_A_FILTER_MAX; type++)
		if (tb[type])
			filter->given |= BIT(type);

	if (tb[NATFLOW_A_FILTER_FAMILY]) {
		filter->family = nla_get_u8(tb[NATFLOW_A_FILTER_FAMILY]);
		if (filter->family != AF_INET && filter->family != AF_INET6) {
			NL_SET_ERR_MSG_ATTR(extack, tb[NATFLOW_A_FILTER_FAMILY],
					    "the family is 2 (IPv4) or 10 (IPv6)");
			return -EAFNOSUPPORT;
		}
	}
	if (mask && !mark) {
		NL_SET_ERR_MSG_ATTR(extack, mask, "mark-mask without mark");
		return -EINVAL;
	}
	if (mark) {
		filter->mark = nla_get_u32(mark);
		filter->mark_mask = mask ? nla_get_u32(mask) : ~0U;
		if (filter->mark & ~filter->mark_mask) {
			NL_SET_ERR_MSG_ATTR(extack, mark, "mark has bits outside mark-mask");
			return -EINVAL;
		}
	}
	if (tb[NATFLOW_A_FILTER_L4PROTO])
		filter->l4proto = nla_get_u8(tb[NATFLOW_A_FILTER_L4PROTO]);
	if (tb[NATFLOW_A_FILTER_PORT])
		filter->port = nla_get_be16(tb[NATFLOW_A_FILTER_PORT]);
	if (tb[NATFLOW_A_FILTER_IFINDEX])
		filter->ifindex = nla_get_u32(tb[NATFLOW_A_FILTER_IFINDEX]);
	if (tb[NATFLOW_A_FILTER_MAC])
		nla_memcpy(filter->mac, tb[NATFLOW_A_FILTER_MAC], ETH_ALEN);
	if (tb[NATFLOW_A_FILTER_STATE])
		filter->state = nla_get_u8(tb[NATFLOW_A_FILTER_STATE]);
	if (tb[NATFLOW_A_FILTER_REASON])
		filter->reason = nla_get_u16(tb[NATFLOW_A_FILTER_REASON]);
	if (tb[NATFLOW_A_FILTER_MIN_AGE])
		filter->min_age = nla_get_u32(tb[NATFLOW_A_FILTER_MIN_AGE]);
	if (tb[NATFLOW_A_FILTER_MIN_IDLE])
		filter->min_idle = nla_get_u32(tb[NATFLOW_A_FILTER_MIN_IDLE]);
	if (tb[NATFLOW_A_FILTER_MIN_RATE])
		filter->min_rate = nla_get_u32(tb[NATFLOW_A_FILTER_MIN_RATE]);
	return 0;
}

/**
 * natflow_filter_parse() - read a filter
 * @nest: attribute of type NATFLOW_A_MAIN_FILTER, validated with natflow_filter_policy, or NULL
 * @extack: for messages
 *
 * Return: the filter, for natflow_filter_free(); NULL, which matches all, without a nest;
 * ERR_PTR() of a negative errno.
 */
struct natflow_filter *natflow_filter_parse(const struct nlattr *nest,
					    struct netlink_ext_ack *extack)
{
	struct nlattr *tb[NATFLOW_A_FILTER_MAX + 1];
	struct natflow_filter *filter;
	int err, prefixes;

	if (!nest)
		return NULL;
	err = nla_parse_nested(tb, NATFLOW_A_FILTER_MAX, nest, natflow_filter_policy, extack);
	if (err)
		return ERR_PTR(err);
	prefixes = count_prefixes(nest, extack);
	if (prefixes < 0)
		return ERR_PTR(prefixes);
	filter = kvzalloc(struct_size(filter, prefix, prefixes), GFP_KERNEL);
	if (!filter)
		return ERR_PTR(-ENOMEM);
	err = parse_values(filter, tb, extack);
	if (!err)
		err = parse_prefixes(filter, nest, extack);
	if (err) {
		kvfree(filter);
		return ERR_PTR(err);
	}
	return filter;
}

void natflow_filter_free(struct natflow_filter *filter)
{
	kvfree(filter);
}

static bool match_prefix(const struct natflow_filter *filter, const struct natflow_flow *flow)
{
	const struct nf_conntrack_tuple_hash *hash = flow->ct->tuplehash;
	unsigned int i, dir;

	for (i = 0; i < filter->prefix_count; i++) {
		const struct natflow_prefix *prefix = &filter->prefix[i];

		if (prefix->family != flow->family)
			continue;
		for (dir = 0; dir < IP_CT_DIR_MAX; dir++)
			if (natflow_prefix_has(prefix, &hash[dir].tuple.src.u3) ||
			    natflow_prefix_has(prefix, &hash[dir].tuple.dst.u3))
				return true;
	}
	return false;
}

static bool match_port(__be16 port, const struct natflow_flow *flow)
{
	const struct nf_conntrack_tuple_hash *hash = flow->ct->tuplehash;
	unsigned int dir;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++)
		if (hash[dir].tuple.src.u.all == port || hash[dir].tuple.dst.u.all == port)
			return true;
	return false;
}

static bool match_ifindex(u32 ifindex, const struct natflow_flow *flow)
{
	unsigned int dir, i;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		const struct natflow_egress *egress = natflow_flow_egress(flow, dir);

		if (READ_ONCE(natflow_flow_half((struct natflow_flow *)flow, dir)->iif) == ifindex)
			return true;
		/* The upper devices on the way in are those on the other direction's way out. */
		for (i = 0; egress && i < ARRAY_SIZE(egress->path); i++)
			if (egress->path[i] == ifindex)
				return true;
	}
	return false;
}

static bool match_mac(const u8 *mac, const struct natflow_flow *flow)
{
	unsigned int dir;

	for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
		const struct natflow_egress *egress = natflow_flow_egress(flow, dir);

		if (egress && !memcmp(egress->header, mac, ETH_ALEN))
			return true;
	}
	return false;
}

static bool match_mark(const struct natflow_filter *filter, const struct natflow_flow *flow)
{
#ifdef CONFIG_NF_CONNTRACK_MARK
	return (READ_ONCE(flow->ct->mark) & filter->mark_mask) == filter->mark;
#else
	return !filter->mark;
#endif
}

/**
 * natflow_filter_match() - does a filter select a flow; under the RCU read lock
 * @filter: the filter, or NULL for all flows
 * @flow: the flow
 */
bool natflow_filter_match(const struct natflow_filter *filter, const struct natflow_flow *flow)
{
	u32 given = filter ? filter->given : 0;

	if (given & BIT(NATFLOW_A_FILTER_FAMILY) && flow->family != filter->family)
		return false;
	if (given & BIT(NATFLOW_A_FILTER_L4PROTO) && flow->l4proto != filter->l4proto)
		return false;
	if (given & BIT(NATFLOW_A_FILTER_STATE) && natflow_flow_state(flow) != filter->state)
		return false;
	if (given & BIT(NATFLOW_A_FILTER_REASON) && READ_ONCE(flow->reason) != filter->reason)
		return false;
	if (given & BIT(NATFLOW_A_FILTER_MARK) && !match_mark(filter, flow))
		return false;
	if (given & BIT(NATFLOW_A_FILTER_PORT) && !match_port(filter->port, flow))
		return false;
	if (given & BIT(NATFLOW_A_FILTER_MIN_AGE) &&
	    jiffies_to_msecs((u32)jiffies - flow->created) < filter->min_age)
		return false;
	if (given & BIT(NATFLOW_A_FILTER_MIN_IDLE) &&
	    jiffies_to_msecs(natflow_flow_idle(flow)) < filter->min_idle)
		return false;
	if (given & BIT(NATFLOW_A_FILTER_MIN_RATE) &&
	    (u64)READ_ONCE(flow->rate[0]) + READ_ONCE(flow->rate[1]) < filter->min_rate)
		return false;
	if (given & BIT(NATFLOW_A_FILTER_MAC) && !match_mac(filter->mac, flow))
		return false;
	if (given & BIT(NATFLOW_A_FILTER_IFINDEX) && !match_ifindex(filter->ifindex, flow))
		return false;
	return !(given & BIT(NATFLOW_A_FILTER_PREFIX)) || match_prefix(filter, flow);
}
