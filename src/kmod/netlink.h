/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_NETLINK_H
#define NATFLOW_NETLINK_H

#include "flow.h"

int natflow_netlink_init(void);
void natflow_netlink_exit(void);
void natflow_netlink_flow(const struct natflow_flow *flow, enum natflow_event event);

#endif /* NATFLOW_NETLINK_H */
