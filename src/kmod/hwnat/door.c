// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports, and the doors they lead to: devices whose drivers take flow rules (TC_SETUP_FT).
 *
 * Every door has a flow block of its own, so that a rule goes to the callback of exactly the
 * device that the packets come in by: that decides which engine gets it. All of it is done under
 * hwnat_mutex, but for looking a port up.
 */
#include <linux/etherdevice.h>
#include <linux/slab.h>
#include <net/pkt_cls.h>

#include "hwnat.h"

/* A driver may be short of something for a moment. */
#define RETRY		(8 * HZ)
#define UNBIND_TRIES	16

static LIST_HEAD(ports);
static LIST_HEAD(doors);

static int setup(struct hwnat_door *door, enum flow_block_command command,
		 struct list_head *callbacks)
{
	struct netlink_ext_ack extack = {};
	struct flow_block_offload offload = {
		.command = command,
		.binder_type = FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
		.net = dev_net(door->dev),
		.block = &door->block,
		.extack = &extack,
		.cb_list_head = &door->block.cb_list,
	};
	int err;

	INIT_LIST_HEAD(&offload.cb_list);
	err = door->dev->netdev_ops->ndo_setup_tc(door->dev, TC_SETUP_FT, &offload);
	list_splice(&offload.cb_list, callbacks);
	return err;
}

static void free_callbacks(struct list_head *callbacks)
{
	struct flow_block_cb *callback, *next;

	list_for_each_entry_safe(callback, next, callbacks, list) {
		list_del(&callback->list);
		flow_block_cb_free(callback);
	}
}

static struct hwnat_door *door_of(struct net_device *dev)
{
	struct hwnat_door *door;

	list_for_each_entry(door, &doors, node)
		if (door->dev == dev)
			return door;
	return NULL;
}

/* The door of a device, opened if need be. */
static struct hwnat_door *open_door(struct net_device *dev)
{
	struct hwnat_door *door = door_of(dev);
	int err;

	if (door)
		return door;
	if (!dev->netdev_ops->ndo_setup_tc || !tc_can_offload(dev))
		return ERR_PTR(-EOPNOTSUPP);
	door = kzalloc(sizeof(*door), GFP_KERNEL);
	if (!door)
		return ERR_PTR(-ENOMEM);
	door->dev = dev;
	flow_block_init(&door->block);
	err = setup(door, FLOW_BLOCK_BIND, &door->block.cb_list);
	/* Some drivers say yes and give nothing to call. */
	if (!err && list_empty(&door->block.cb_list))
		err = -EOPNOTSUPP;
	if (err) {
		kfree(door);
		return ERR_PTR(err);
	}
	dev_hold(dev);
	list_add(&door->node, &doors);
	return door;
}

static void close_door(struct hwnat_door *door)
{
	unsigned int tries = UNBIND_TRIES;
	LIST_HEAD(callbacks);
	int err;

	hwnat_withdraw_door(door);
	do {
		err = setup(door, FLOW_BLOCK_UNBIND, &callbacks);
		free_callbacks(&callbacks);
		if (err)
			hwnat_note_error(err);
	} while (err && err != -ENOENT && --tries);
	list_del(&door->node);
	if (!list_empty(&door->block.cb_list)) {
		/* The driver may still look at the block: better lost than used when freed. */
		netdev_err(door->dev, "natflow: the driver keeps its flow block (%d)\n", err);
		dev_put(door->dev);
		return;
	}
	dev_put(door->dev);
	kfree(door);
}

static void leave(struct hwnat_port *port)
{
	struct hwnat_door *door = port->door;

	if (!door)
		return;
	WRITE_ONCE(port->door, NULL);
	if (!--door->ports)
		close_door(door);
}

static void enter(struct hwnat_port *port)
{
	struct hwnat_door *door = open_door(port->conduit ? port->conduit : port->dev);

	if (IS_ERR(door)) {
		port->error = PTR_ERR(door);
		port->retry = jiffies + RETRY;
		if (port->error != -EOPNOTSUPP)
			hwnat_note_error(port->error);
		return;
	}
	port->error = 0;
	door->ports++;
	WRITE_ONCE(port->door, door);
}

/* A switch port's path leads to its conduit, that of a WiFi interface to who knows where. */
static void classify(struct hwnat_port *port)
{
	const struct net_device *last;
	struct net_device_path_stack stack;
	u8 nobody[ETH_ALEN];

	port->kind = HWNAT_PORT_MAC;
	if (!port->dev->netdev_ops->ndo_fill_forward_path)
		return;
	port->kind = HWNAT_PORT_WLAN;
	eth_random_addr(nobody);
	rcu_read_lock();
	if (!dev_fill_forward_path(port->dev, nobody, &stack) && stack.num_paths > 1 &&
	    stack.path[0].type == DEV_PATH_DSA) {
		last = stack.path[stack.num_paths - 1].dev;
		port->kind = HWNAT_PORT_SWITCH;
		port->conduit = (struct net_device *)last;
		dev_hold(port->conduit);
	}
	rcu_read_unlock();
}

/* May the hardware have what comes in by this port, as things are configured? */
static bool wanted(const struct hwnat_port *port)
{
	const struct natflow_config *config = &port->nn->config;

	if (!READ_ONCE(config->enabled) || !READ_ONCE(config->hwnat) || !hwnat_profile->entries)
		return false;
	if (port->kind != HWNAT_PORT_WLAN)
		return true;
	return READ_ONCE(config->hwnat_wed) && hwnat_profile->wed > 1;
}

/**
 * hwnat_port_adapt() - open or close a port's door as the settings say
 * @port: the port
 *
 * A door that did not open is tried again after a while, unless its driver has none.
 */
void hwnat_port_adapt(struct hwnat_port *port)
{
	lockdep_assert_held(&hwnat_mutex);
	if (!wanted(port)) {
		leave(port);
		port->error = 0;
		return;
	}
	if (port->door)
		return;
	if (port->error == -EOPNOTSUPP ||
	    (port->error && time_before(jiffies, port->retry)))
		return;
	enter(port);
}

/**
 * hwnat_port_add() - a port is there
 * @nn: its namespace
 * @dev: the device
 */
void hwnat_port_add(struct natflow_net *nn, struct net_device *dev)
{
	struct hwnat_port *port = hwnat_port_find(nn, dev->ifindex);

	lockdep_assert_held(&hwnat_mutex);
	if (!port) {
		port = kzalloc(sizeof(*port), GFP_KERNEL);
		if (!port)
			return;
		port->nn = nn;
		port->dev = dev;
		port->ifindex = dev->ifindex;
		dev_hold(dev);
		classify(port);
		list_add_tail_rcu(&port->node, &ports);
	}
	/* A new start: something about the device has changed. */
	port->error = 0;
	hwnat_port_adapt(port);
}

/**
 * hwnat_port_forget() - a port goes; nothing of it is left in the hardware
 * @port: the port
 */
void hwnat_port_forget(struct hwnat_port *port)
{
	lockdep_assert_held(&hwnat_mutex);
	leave(port);
	list_del_rcu(&port->node);
	if (port->conduit)
		dev_put(port->conduit);
	dev_put(port->dev);
	kfree_rcu(port, rcu);
}

/**
 * hwnat_port_find() - a port by number; under hwnat_mutex or the RCU read lock
 * @nn: namespace
 * @ifindex: its number
 *
 * Return: the port, or NULL.
 */
struct hwnat_port *hwnat_port_find(const struct natflow_net *nn, int ifindex)
{
	struct hwnat_port *port;

	list_for_each_entry_rcu(port, &ports, node, lockdep_is_held(&hwnat_mutex))
		if (port->ifindex == ifindex && port->nn == nn)
			return port;
	return NULL;
}

/**
 * hwnat_port_nth() - ports by their order
 * @nn: namespace
 * @index: number from 0
 *
 * Return: the port, or NULL when there are fewer.
 */
struct hwnat_port *hwnat_port_nth(const struct natflow_net *nn, unsigned int index)
{
	struct hwnat_port *port;

	lockdep_assert_held(&hwnat_mutex);
	list_for_each_entry(port, &ports, node)
		if (port->nn == nn && !index--)
			return port;
	return NULL;
}

/**
 * hwnat_port_for_each() - call a function for every port, which may forget it
 * @function: the function
 * @data: handed to it
 */
void hwnat_port_for_each(void (*function)(struct hwnat_port *port, const void *data),
			 const void *data)
{
	struct hwnat_port *port, *next;

	lockdep_assert_held(&hwnat_mutex);
	list_for_each_entry_safe(port, next, &ports, node)
		function(port, data);
}

/**
 * hwnat_door_any() - does any port of the namespace lead to the hardware; under the RCU read lock
 * @nn: namespace
 *
 * Return: whether one does.
 */
bool hwnat_door_any(const struct natflow_net *nn)
{
	struct hwnat_port *port;

	list_for_each_entry_rcu(port, &ports, node, lockdep_is_held(&hwnat_mutex))
		if (port->nn == nn && READ_ONCE(port->door))
			return true;
	return false;
}

/**
 * hwnat_door_call() - hand a command to a driver; may sleep
 * @door: whose
 * @cls: the command
 *
 * Return: what the driver says.
 */
int hwnat_door_call(struct hwnat_door *door, struct flow_cls_offload *cls)
{
	struct flow_block_cb *callback;

	lockdep_assert_held(&hwnat_mutex);
	callback = list_first_entry_or_null(&door->block.cb_list, struct flow_block_cb, list);
	if (!callback)
		return -ENODEV;
	return callback->cb(TC_SETUP_CLSFLOWER, cls, callback->cb_priv);
}
