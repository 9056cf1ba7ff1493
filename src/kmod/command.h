/* SPDX-License-Identifier: GPL-2.0-only */
/* What the commands of the netlink family share. */
#ifndef NATFLOW_COMMAND_H
#define NATFLOW_COMMAND_H

#include <net/genetlink.h>

#include "uapi.h"

struct natflow_config;

/* Room that one message with any of our answers needs, dumps aside. */
#define NATFLOW_ANSWER_SIZE	GENLMSG_DEFAULT_SIZE

extern struct genl_family natflow_family;
extern const struct nla_policy natflow_config_policy[NATFLOW_A_CONFIG_MAX + 1];
extern const struct nla_policy natflow_exceptions_policy[NATFLOW_A_EXCEPTIONS_MAX + 1];
extern const struct nla_policy natflow_tuple_policy[NATFLOW_A_TUPLE_MAX + 1];

struct sk_buff *natflow_answer(struct genl_info *info, void **header);
int natflow_answer_fails(struct sk_buff *skb);
void natflow_tell_config(struct net *net, const struct natflow_config *config);
void natflow_tell_flush(struct net *net, u32 removed, u32 accelerated);
int natflow_put_config(struct sk_buff *skb, const struct natflow_config *config);

int natflow_config_get(struct sk_buff *skb, struct genl_info *info);
int natflow_config_set(struct sk_buff *skb, struct genl_info *info);
int natflow_stats_get(struct sk_buff *skb, struct genl_info *info);
int natflow_flow_dump(struct sk_buff *skb, struct netlink_callback *cb);
int natflow_flow_dump_done(struct netlink_callback *cb);
int natflow_flow_flush(struct sk_buff *skb, struct genl_info *info);
int natflow_flow_explain(struct sk_buff *skb, struct genl_info *info);
int natflow_client_dump(struct sk_buff *skb, struct netlink_callback *cb);
int natflow_exception_set(struct sk_buff *skb, struct genl_info *info);
int natflow_exception_dump(struct sk_buff *skb, struct netlink_callback *cb);
int natflow_reprove(struct sk_buff *skb, struct genl_info *info);
int natflow_hw_get(struct sk_buff *skb, struct genl_info *info);
int natflow_hw_device_dump(struct sk_buff *skb, struct netlink_callback *cb);

#endif /* NATFLOW_COMMAND_H */
