/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_PORT_H
#define NATFLOW_PORT_H

#include <linux/netdevice.h>

#include "net.h"

bool natflow_port_wanted(const struct net_device *dev);
void natflow_port_add(struct natflow_net *nn, struct net_device *dev);
void natflow_port_remove(struct natflow_net *nn, const struct net_device *dev);
void natflow_port_offer_all(struct natflow_net *nn);
void natflow_port_add_all(struct natflow_net *nn);
void natflow_port_remove_all(struct natflow_net *nn);

#endif /* NATFLOW_PORT_H */
