/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_FILTER_H
#define NATFLOW_FILTER_H

#include <net/netlink.h>

#include "flow.h"

struct natflow_filter;

extern const struct nla_policy natflow_filter_policy[NATFLOW_A_FILTER_MAX + 1];

struct natflow_filter *natflow_filter_parse(const struct nlattr *nest,
					    struct netlink_ext_ack *extack);
bool natflow_filter_match(const struct natflow_filter *filter, const struct natflow_flow *flow);
void natflow_filter_free(struct natflow_filter *filter);

#endif /* NATFLOW_FILTER_H */
