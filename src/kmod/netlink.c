// SPDX-License-Identifier: GPL-2.0-only
/* The generic netlink family: its commands, what they accept, and its multicast groups. */
#include <net/genetlink.h>

#include "command.h"
#include "filter.h"
#include "net.h"
#include "netlink.h"
#include "record.h"

enum {
	GROUP_EVENTS,
	GROUP_FLOWS,
};

/* Packets make flows before the family is there and after it went. */
static bool registered;

static const struct nla_policy config_set_policy[NATFLOW_A_MAIN_CONFIG + 1] = {
	[NATFLOW_A_MAIN_CONFIG] = NLA_POLICY_NESTED(natflow_config_policy),
};

static const struct nla_policy filter_policy[NATFLOW_A_MAIN_FILTER + 1] = {
	[NATFLOW_A_MAIN_FILTER] = NLA_POLICY_NESTED(natflow_filter_policy),
};

static const struct nla_policy explain_policy[NATFLOW_A_MAIN_TUPLE + 1] = {
	[NATFLOW_A_MAIN_TUPLE] = NLA_POLICY_NESTED(natflow_tuple_policy),
};

static const struct nla_policy exception_set_policy[NATFLOW_A_MAIN_EXCEPTIONS + 1] = {
	[NATFLOW_A_MAIN_EXCEPTIONS] = NLA_POLICY_NESTED(natflow_exceptions_policy),
};

/* Of a command without a policy the kernel refuses every attribute. */
static const struct genl_ops ops[] = {
	{
		.cmd = NATFLOW_CMD_CONFIG_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = natflow_config_get,
	},
	{
		.cmd = NATFLOW_CMD_CONFIG_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = config_set_policy,
		.maxattr = ARRAY_SIZE(config_set_policy) - 1,
		.doit = natflow_config_set,
	},
	{
		.cmd = NATFLOW_CMD_STATS_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = natflow_stats_get,
	},
	{
		.cmd = NATFLOW_CMD_FLOW_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = filter_policy,
		.maxattr = ARRAY_SIZE(filter_policy) - 1,
		.dumpit = natflow_flow_dump,
		.done = natflow_flow_dump_done,
	},
	{
		.cmd = NATFLOW_CMD_FLOW_FLUSH,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = filter_policy,
		.maxattr = ARRAY_SIZE(filter_policy) - 1,
		.doit = natflow_flow_flush,
	},
	{
		.cmd = NATFLOW_CMD_FLOW_EXPLAIN,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = explain_policy,
		.maxattr = ARRAY_SIZE(explain_policy) - 1,
		.doit = natflow_flow_explain,
	},
	{
		.cmd = NATFLOW_CMD_CLIENT_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = natflow_client_dump,
	},
	{
		.cmd = NATFLOW_CMD_HW_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = natflow_hw_get,
	},
	{
		.cmd = NATFLOW_CMD_HW_DEVICE_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = natflow_hw_device_dump,
	},
	{
		.cmd = NATFLOW_CMD_REPROVE,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = natflow_reprove,
	},
	{
		.cmd = NATFLOW_CMD_EXCEPTION_SET,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = exception_set_policy,
		.maxattr = ARRAY_SIZE(exception_set_policy) - 1,
		.doit = natflow_exception_set,
	},
	{
		.cmd = NATFLOW_CMD_EXCEPTION_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = natflow_exception_dump,
	},
};

/* Groups have flags of their own; those of commands mean nothing here. */
static const struct genl_multicast_group groups[] = {
	[GROUP_EVENTS] = { .name = NATFLOW_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
	[GROUP_FLOWS] = { .name = NATFLOW_MCGRP_FLOWS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

struct genl_family natflow_family __ro_after_init = {
	.name = NATFLOW_GENL_NAME,
	.version = NATFLOW_GENL_VERSION,
	.module = THIS_MODULE,
	.netnsok = true,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = NATFLOW_CMD_CONFIG_GET,
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

/**
 * natflow_answer() - begin the answer to a request
 * @info: the request
 * @header: for genlmsg_end()
 *
 * Return: the message, or NULL without memory.
 */
struct sk_buff *natflow_answer(struct genl_info *info, void **header)
{
	struct sk_buff *skb = genlmsg_new(NATFLOW_ANSWER_SIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*header = genlmsg_put_reply(skb, info, &natflow_family, 0, info->genlhdr->cmd);
	if (*header)
		return skb;
	nlmsg_free(skb);
	return NULL;
}

/* An answer that does not fit is an error of ours. */
int natflow_answer_fails(struct sk_buff *skb)
{
	WARN_ON_ONCE(1);
	nlmsg_free(skb);
	return -EMSGSIZE;
}

static struct sk_buff *begin_event(enum natflow_event event, size_t room, gfp_t gfp,
				   void **header)
{
	struct sk_buff *skb = genlmsg_new(nla_total_size(sizeof(u32)) + room, gfp);

	if (!skb)
		return NULL;
	*header = genlmsg_put(skb, 0, 0, &natflow_family, 0, NATFLOW_CMD_EVENT);
	if (*header && !nla_put_u32(skb, NATFLOW_A_MAIN_EVENT, event))
		return skb;
	nlmsg_free(skb);
	return NULL;
}

static void send_event(struct net *net, struct sk_buff *skb, void *header, unsigned int group,
		       gfp_t gfp)
{
	genlmsg_end(skb, header);
	genlmsg_multicast_netns(&natflow_family, net, skb, 0, group, gfp);
}

/* Listeners see ENOBUFS, as if they had been too slow, and read everything anew. */
static void lose_event(struct net *net, struct sk_buff *skb, unsigned int group)
{
	nlmsg_free(skb);
	genl_set_err(&natflow_family, net, 0, group, -ENOBUFS);
}

/* The settings have changed to @config. */
void natflow_tell_config(struct net *net, const struct natflow_config *config)
{
	struct sk_buff *skb;
	void *header;

	if (!genl_has_listeners(&natflow_family, net, GROUP_EVENTS))
		return;
	skb = begin_event(NATFLOW_EVENT_CONFIG, NATFLOW_ANSWER_SIZE, GFP_KERNEL, &header);
	if (skb && !natflow_put_config(skb, config))
		send_event(net, skb, header, GROUP_EVENTS, GFP_KERNEL);
	else
		lose_event(net, skb, GROUP_EVENTS);
}

/* A flush removed so many flows, of which so many were accelerated. */
void natflow_tell_flush(struct net *net, u32 removed, u32 accelerated)
{
	struct sk_buff *skb;
	void *header;

	if (!genl_has_listeners(&natflow_family, net, GROUP_EVENTS))
		return;
	skb = begin_event(NATFLOW_EVENT_FLUSH, 2 * nla_total_size(sizeof(u32)), GFP_KERNEL,
			  &header);
	if (skb && !nla_put_u32(skb, NATFLOW_A_MAIN_REMOVED, removed) &&
	    !nla_put_u32(skb, NATFLOW_A_MAIN_REMOVED_ACCELERATED, accelerated))
		send_event(net, skb, header, GROUP_EVENTS, GFP_KERNEL);
	else
		lose_event(net, skb, GROUP_EVENTS);
}

/**
 * natflow_netlink_flow() - tell listeners about a flow; any context
 * @flow: the flow; under its lock
 * @event: NATFLOW_EVENT_FLOW_START or NATFLOW_EVENT_FLOW_END
 */
void natflow_netlink_flow(const struct natflow_flow *flow, enum natflow_event event)
{
	const size_t room = nla_total_size(sizeof(u32)) +
			    nla_total_size(sizeof(struct natflow_flow_record));
	struct natflow_flow_record record;
	struct net *net = flow->nn->net;
	struct sk_buff *skb;
	void *header;

	rcu_read_lock();
	/* Set again only with a new life of the module: a grace period separates it from exit. */
	if (!READ_ONCE(registered) || !genl_has_listeners(&natflow_family, net, GROUP_FLOWS))
		goto out;
	natflow_flow_fill(&record, flow);
	skb = begin_event(event, room, GFP_ATOMIC, &header);
	if (skb && !nla_put_u32(skb, NATFLOW_A_MAIN_RECORD_SIZE, sizeof(record)) &&
	    !nla_put(skb, NATFLOW_A_MAIN_FLOW_RECORDS, sizeof(record), &record))
		send_event(net, skb, header, GROUP_FLOWS, GFP_ATOMIC);
	else
		lose_event(net, skb, GROUP_FLOWS);
out:
	rcu_read_unlock();
}

int __init natflow_netlink_init(void)
{
	int err = genl_register_family(&natflow_family);

	if (!err)
		WRITE_ONCE(registered, true);
	return err;
}

void natflow_netlink_exit(void)
{
	WRITE_ONCE(registered, false);
	/* Nobody sends to the groups any more when their numbers become free. */
	synchronize_net();
	genl_unregister_family(&natflow_family);
}
