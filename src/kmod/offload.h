/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The border between the core and a hardware client, a module of its own. The core owns flows and
 * decides what is valid; the client owns what it has installed. Nothing here waits for hardware
 * unless it says so, and all of it does nothing while there is no client.
 */
#ifndef NATFLOW_OFFLOAD_H
#define NATFLOW_OFFLOAD_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "flow.h"
#include "net.h"

/**
 * struct natflow_offload_ops - what a hardware client does
 * @port_add: a port is there whose ingress is hooked; under RTNL
 * @device_gone: a device is about to go: afterwards nothing of the client's points to it; RTNL
 * @net_gone: the same for a whole namespace, whose flows are removed already; may sleep
 * @config: settings have changed; returns when what they forbid has left the hardware; may sleep
 * @kick: something that was installed may be valid no more; any context
 * @flow_gone: the same about one flow; under its lock
 * @sync: return when nothing that is valid no more is left in the hardware; may sleep
 * @age: once a second for each flow; under its lock
 * @aged: all flows of a namespace were aged; may sleep
 * @put: write the attributes of natflow_a_hw; may sleep
 * @put_device: write those of natflow_a_hw_device of the namespace's n-th port; may sleep.
 *	-ENOENT: there are fewer
 */
struct natflow_offload_ops {
	void	(*port_add)(struct natflow_net *nn, struct net_device *dev);
	void	(*device_gone)(struct net_device *dev);
	void	(*net_gone)(struct natflow_net *nn);
	void	(*config)(struct natflow_net *nn);
	void	(*kick)(void);
	void	(*flow_gone)(struct natflow_flow *flow);
	void	(*sync)(void);
	void	(*age)(struct natflow_flow *flow);
	void	(*aged)(struct natflow_net *nn);
	int	(*put)(struct sk_buff *skb, struct natflow_net *nn);
	int	(*put_device)(struct sk_buff *skb, struct natflow_net *nn, unsigned int index);
};

/* For the client. */
int natflow_offload_register(const struct natflow_offload_ops *ops);
void natflow_offload_unregister(const struct natflow_offload_ops *ops);
void natflow_offload_count(struct natflow_flow *flow, int dir, u64 packets, u64 bytes,
			   bool counted);

/* For the core. */
enum natflow_reason natflow_offload_reason(const struct natflow_flow *flow, int dir);
void natflow_offload_port_add(struct natflow_net *nn, struct net_device *dev);
void natflow_offload_device_gone(struct net_device *dev);
void natflow_offload_net_gone(struct natflow_net *nn);
void natflow_offload_config(struct natflow_net *nn);
void natflow_offload_kick(void);
void natflow_offload_flow_gone(struct natflow_flow *flow);
void natflow_offload_sync(void);
void natflow_offload_age(struct natflow_flow *flow);
void natflow_offload_aged(struct natflow_net *nn);

#endif /* NATFLOW_OFFLOAD_H */
