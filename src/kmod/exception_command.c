// SPDX-License-Identifier: GPL-2.0-only
/* Netlink commands about exceptions: replace all of them, and read them. */
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/sock.h>

#include "command.h"
#include "exception.h"
#include "net.h"

static const struct nla_policy exception_policy[NATFLOW_A_EXCEPTION_MAX + 1] = {
	[NATFLOW_A_EXCEPTION_SRC] = NLA_POLICY_NESTED(natflow_prefix_policy),
	[NATFLOW_A_EXCEPTION_DST] = NLA_POLICY_NESTED(natflow_prefix_policy),
	[NATFLOW_A_EXCEPTION_L4PROTO] = { .type = NLA_U8 },
	[NATFLOW_A_EXCEPTION_PORT_MIN] = { .type = NLA_BE16 },
	[NATFLOW_A_EXCEPTION_PORT_MAX] = { .type = NLA_BE16 },
	[NATFLOW_A_EXCEPTION_DEVICE] = { .type = NLA_NUL_STRING,
					 .len = NATFLOW_EXCEPTION_DEVICE_LEN_MAX },
	[NATFLOW_A_EXCEPTION_MAC] = NLA_POLICY_EXACT_LEN(NATFLOW_EXCEPTION_MAC_LEN),
	[NATFLOW_A_EXCEPTION_MARK] = { .type = NLA_U32 },
	[NATFLOW_A_EXCEPTION_MARK_MASK] = { .type = NLA_U32 },
};

const struct nla_policy natflow_exceptions_policy[NATFLOW_A_EXCEPTIONS_MAX + 1] = {
	[NATFLOW_A_EXCEPTIONS_EXCEPTION] = NLA_POLICY_NESTED(exception_policy),
};

static int parse_protocol(struct natflow_exception *rule, struct nlattr **tb,
			  struct netlink_ext_ack *extack)
{
	struct nlattr *min = tb[NATFLOW_A_EXCEPTION_PORT_MIN];
	struct nlattr *max = tb[NATFLOW_A_EXCEPTION_PORT_MAX];

	if (tb[NATFLOW_A_EXCEPTION_L4PROTO]) {
		rule->l4proto = nla_get_u8(tb[NATFLOW_A_EXCEPTION_L4PROTO]);
		if (rule->l4proto != IPPROTO_TCP && rule->l4proto != IPPROTO_UDP) {
			NL_SET_ERR_MSG_ATTR(extack, tb[NATFLOW_A_EXCEPTION_L4PROTO],
					    "the protocol is 6 (TCP) or 17 (UDP)");
			return -EINVAL;
		}
	}
	if (max && !min) {
		NL_SET_ERR_MSG_ATTR(extack, max, "port-max without port-min");
		return -EINVAL;
	}
	if (min) {
		rule->has_port = true;
		rule->port_min = ntohs(nla_get_be16(min));
		rule->port_max = max ? ntohs(nla_get_be16(max)) : rule->port_min;
		if (rule->port_min > rule->port_max) {
			NL_SET_ERR_MSG_ATTR(extack, max, "port-max is below port-min");
			return -EINVAL;
		}
	}
	return 0;
}

static int parse_mark(struct natflow_exception *rule, struct nlattr **tb,
		      struct netlink_ext_ack *extack)
{
	struct nlattr *mark = tb[NATFLOW_A_EXCEPTION_MARK];
	struct nlattr *mask = tb[NATFLOW_A_EXCEPTION_MARK_MASK];

	if (mask && !mark) {
		NL_SET_ERR_MSG_ATTR(extack, mask, "mark-mask without mark");
		return -EINVAL;
	}
	if (!mark)
		return 0;
	rule->has_mark = true;
	rule->mark = nla_get_u32(mark);
	rule->mark_mask = mask ? nla_get_u32(mask) : ~0U;
	if (rule->mark & ~rule->mark_mask) {
		NL_SET_ERR_MSG_ATTR(extack, mark, "mark has bits outside mark-mask");
		return -EINVAL;
	}
	if (!IS_ENABLED(CONFIG_NF_CONNTRACK_MARK)) {
		NL_SET_ERR_MSG_ATTR(extack, mark, "this kernel has no connection marks");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int parse_way(struct natflow_exception *rule, struct nlattr **tb,
		     struct netlink_ext_ack *extack)
{
	const struct nlattr *device = tb[NATFLOW_A_EXCEPTION_DEVICE];

	if (tb[NATFLOW_A_EXCEPTION_MAC]) {
		rule->has_mac = true;
		nla_memcpy(rule->mac, tb[NATFLOW_A_EXCEPTION_MAC], ETH_ALEN);
	}
	if (!device)
		return 0;
	nla_strscpy(rule->device, device, sizeof(rule->device));
	if (!dev_valid_name(rule->device)) {
		NL_SET_ERR_MSG_ATTR(extack, device, "this cannot be the name of a device");
		return -EINVAL;
	}
	return 0;
}

static int parse_prefixes(struct natflow_exception *rule, struct nlattr **tb,
			  struct netlink_ext_ack *extack)
{
	const struct nlattr *src = tb[NATFLOW_A_EXCEPTION_SRC], *dst = tb[NATFLOW_A_EXCEPTION_DST];
	int err = 0;

	if (src)
		err = natflow_prefix_parse(&rule->src, src, extack);
	if (!err && dst)
		err = natflow_prefix_parse(&rule->dst, dst, extack);
	if (!err && src && dst && rule->src.family != rule->dst.family) {
		NL_SET_ERR_MSG_ATTR(extack, dst, "src and dst are of different families");
		err = -EINVAL;
	}
	return err;
}

static int parse_rule(struct natflow_exception *rule, const struct nlattr *nest,
		      struct netlink_ext_ack *extack)
{
	struct nlattr *tb[NATFLOW_A_EXCEPTION_MAX + 1];
	int err;

	err = nla_parse_nested(tb, NATFLOW_A_EXCEPTION_MAX, nest, exception_policy, extack);
	if (err)
		return err;
	if (!nla_len(nest)) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "an exception without a condition");
		return -EINVAL;
	}
	err = parse_prefixes(rule, tb, extack);
	if (!err)
		err = parse_protocol(rule, tb, extack);
	if (!err)
		err = parse_mark(rule, tb, extack);
	if (!err)
		err = parse_way(rule, tb, extack);
	return err;
}

static int parse_rules(struct natflow_exceptions *list, const struct nlattr *nest,
		       struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int err, rest;

	nla_for_each_nested(attr, nest, rest) {
		struct natflow_exception *rule = &list->rule[list->count];

		err = parse_rule(rule, attr, extack);
		if (err)
			return err;
		list->ways |= rule->has_mac || rule->device[0];
		list->count++;
	}
	return 0;
}

/* NULL for no exceptions at all. */
static struct natflow_exceptions *parse(const struct nlattr *nest, struct netlink_ext_ack *extack)
{
	struct natflow_exceptions *list;
	const struct nlattr *attr;
	unsigned int count = 0;
	int err, rest;

	err = nla_validate_nested(nest, NATFLOW_A_EXCEPTIONS_MAX, natflow_exceptions_policy,
				  extack);
	if (err)
		return ERR_PTR(err);
	nla_for_each_nested(attr, nest, rest) {
		if (++count > NATFLOW_EXCEPTIONS_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "more than "
					    __stringify(NATFLOW_EXCEPTIONS_MAX) " exceptions");
			return ERR_PTR(-E2BIG);
		}
	}
	if (!count)
		return NULL;
	list = kvzalloc(struct_size(list, rule, count), GFP_KERNEL);
	if (!list)
		return ERR_PTR(-ENOMEM);
	err = parse_rules(list, nest, extack);
	if (!err)
		return list;
	kvfree(list);
	return ERR_PTR(err);
}

int natflow_exception_set(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *nest = info->attrs[NATFLOW_A_MAIN_EXCEPTIONS];
	struct natflow_exceptions *list = NULL;

	if (nest)
		list = parse(nest, info->extack);
	if (IS_ERR(list))
		return PTR_ERR(list);
	rtnl_lock();
	natflow_exceptions_replace(natflow_net(genl_info_net(info)), list);
	rtnl_unlock();
	return 0;
}

static int put_rule(struct sk_buff *skb, const struct natflow_exception *rule)
{
	struct nlattr *nest = nla_nest_start(skb, NATFLOW_A_EXCEPTIONS_EXCEPTION);

	if (!nest ||
	    (rule->src.family && natflow_prefix_put(skb, NATFLOW_A_EXCEPTION_SRC, &rule->src)) ||
	    (rule->dst.family && natflow_prefix_put(skb, NATFLOW_A_EXCEPTION_DST, &rule->dst)) ||
	    (rule->l4proto && nla_put_u8(skb, NATFLOW_A_EXCEPTION_L4PROTO, rule->l4proto)) ||
	    (rule->has_port &&
	     (nla_put_be16(skb, NATFLOW_A_EXCEPTION_PORT_MIN, htons(rule->port_min)) ||
	      nla_put_be16(skb, NATFLOW_A_EXCEPTION_PORT_MAX, htons(rule->port_max)))) ||
	    (rule->device[0] &&
	     nla_put_string(skb, NATFLOW_A_EXCEPTION_DEVICE, rule->device)) ||
	    (rule->has_mac && nla_put(skb, NATFLOW_A_EXCEPTION_MAC, ETH_ALEN, rule->mac)) ||
	    (rule->has_mark &&
	     (nla_put_u32(skb, NATFLOW_A_EXCEPTION_MARK, rule->mark) ||
	      nla_put_u32(skb, NATFLOW_A_EXCEPTION_MARK_MASK, rule->mark_mask)))) {
		if (nest)
			nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * struct cursor - where a dump goes on
 * @index: number of the next exception
 * @id: list it is of, 0 for none
 * @started: a message was sent
 */
struct cursor {
	unsigned int	index;
	u32		id;
	bool		started;
};

/* A message with as many as fit, from cursor->index on. */
static int put_rules(struct sk_buff *skb, struct netlink_callback *cb, struct cursor *cursor,
		     const struct natflow_exceptions *list)
{
	unsigned int index = cursor->index;
	struct nlattr *nest;
	void *header;

	header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &natflow_family,
			     NLM_F_MULTI, NATFLOW_CMD_EXCEPTION_GET);
	if (!header || nla_put_u32(skb, NATFLOW_A_MAIN_EXCEPTION_INDEX, index))
		return -EMSGSIZE;
	nest = nla_nest_start(skb, NATFLOW_A_MAIN_EXCEPTIONS);
	if (!nest)
		return -EMSGSIZE;
	while (list && index < list->count && !put_rule(skb, &list->rule[index]))
		index++;
	nla_nest_end(skb, nest);
	genlmsg_end(skb, header);
	cursor->index = index;
	return skb->len;
}

int natflow_exception_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct cursor *cursor = (struct cursor *)cb->ctx;
	const struct natflow_exceptions *list;
	int err = 0;
	u32 id;

	BUILD_BUG_ON(sizeof(*cursor) > sizeof(cb->ctx));
	rcu_read_lock();
	list = rcu_dereference(natflow_net(sock_net(cb->skb->sk))->exceptions);
	id = list ? list->id : 0;
	/* Of a list that was replaced between two messages the reader gets all. */
	if (cursor->started && cursor->id != id) {
		cursor->started = false;
		cursor->index = 0;
	}
	if (!cursor->started || (list && cursor->index < list->count))
		err = put_rules(skb, cb, cursor, list);
	cursor->started = true;
	cursor->id = id;
	rcu_read_unlock();
	return err;
}
