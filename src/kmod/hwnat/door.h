/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_HWNAT_DOOR_H
#define NATFLOW_HWNAT_DOOR_H

#include <linux/netdevice.h>
#include <net/flow_offload.h>

#include "net.h"

/**
 * struct hwnat_door - a device whose driver takes flow rules
 * @node: in the list of doors
 * @dev: the device; it tells when it goes
 * @block: the driver's callbacks
 * @ports: ports that lead to it
 * @installed: directions that were handed over through it
 * @stuck: of which the driver does not let go
 */
struct hwnat_door {
	struct list_head	node;
	struct net_device	*dev;
	struct flow_block	block;
	unsigned int		ports;
	unsigned int		installed;
	unsigned int		stuck;
};

enum hwnat_port_kind {
	HWNAT_PORT_MAC,		/* it is its own door */
	HWNAT_PORT_SWITCH,	/* a user port of a switch: its conduit is the door */
	HWNAT_PORT_WLAN,	/* it is a door where WED can receive */
};

/**
 * struct hwnat_port - a port of a namespace
 * @node: in the list of ports
 * @nn: its namespace
 * @dev: the device
 * @conduit: of a switch port, else NULL
 * @ifindex: the device's
 * @kind: enum hwnat_port_kind
 * @error: why there is no door, negative
 * @retry: jiffies when it is worth another try
 * @ruleset: the namespace's nftables counter when it was looked at last
 * @door: its door, or NULL; changed under hwnat_mutex
 * @rcu: for freeing
 */
struct hwnat_port {
	struct list_head	node;
	struct natflow_net	*nn;
	struct net_device	*dev;
	struct net_device	*conduit;
	int			ifindex;
	u8			kind;
	int			error;
	unsigned long		retry;
	u32			ruleset;
	struct hwnat_door	*door;
	struct rcu_head		rcu;
};

void hwnat_port_add(struct natflow_net *nn, struct net_device *dev);
void hwnat_port_forget(struct hwnat_port *port);
void hwnat_port_adapt(struct hwnat_port *port);
struct hwnat_port *hwnat_port_find(const struct natflow_net *nn, int ifindex);
struct hwnat_port *hwnat_port_nth(const struct natflow_net *nn, unsigned int index);
void hwnat_port_for_each(void (*function)(struct hwnat_port *port, const void *data),
			 const void *data);
bool hwnat_door_any(const struct natflow_net *nn);
int hwnat_door_call(struct hwnat_door *door, struct flow_cls_offload *cls);

#endif /* NATFLOW_HWNAT_DOOR_H */
