// SPDX-License-Identifier: GPL-2.0-only
/*
 * The door: TC_SETUP_FT binds and unbinds a block, its callback takes the commands. Faults that a
 * test has asked for happen here, and mistakes of the caller are counted.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <net/pkt_cls.h>

#include "ppesim.h"

#define STALL_STEP_MS	5

/* May the caller sleep? The driver takes a mutex in every command. */
static bool may_sleep(struct ppesim_soc *soc)
{
	if (preemptible() && !rcu_preempt_depth())
		return true;
	ppesim_detect(soc, ATOMIC_CALL);
	return false;
}

/* Takes its time, until that is over or the test takes the fault away. */
static void stall(const struct ppesim_fault *fault)
{
	unsigned long until = jiffies + msecs_to_jiffies(READ_ONCE(fault->stall_ms));

	while (READ_ONCE(fault->stall_ms) && time_before(jiffies, until))
		msleep(STALL_STEP_MS);
}

static void keep_pace(struct ppesim_pace *pace)
{
	u64 now = ktime_get_ns();

	while (pace->old != pace->count &&
	       (now - pace->times[pace->old % PPESIM_PACE] >= NSEC_PER_SEC ||
		pace->count - pace->old == PPESIM_PACE))
		pace->old++;
	pace->times[pace->count++ % PPESIM_PACE] = now;
	pace->most = max(pace->most, pace->count - pace->old);
}

/* Counts a command, and tells how it shall fail. */
static int begin(struct ppesim_soc *soc, enum ppesim_command command)
{
	struct ppesim_fault *fault = &soc->faults[command];

	soc->commands[command]++;
	WRITE_ONCE(soc->running, command);
	stall(fault);
	if (command == PPESIM_CMD_REPLACE)
		keep_pace(&soc->installing);
	if (fault->left) {
		fault->left--;
		return fault->error;
	}
	/* The remainder is all but even. */
	if (fault->percent && prandom_u32_state(&soc->random) % 100 < fault->percent)
		return fault->error;
	return 0;
}

static int finish(struct ppesim_soc *soc, enum ppesim_command command, int err)
{
	WRITE_ONCE(soc->running, PPESIM_CMD_COUNT);
	if (err)
		soc->failures[command]++;
	return err;
}

static int run(struct ppesim_binding *binding, struct flow_cls_offload *cls)
{
	struct ppesim_soc *soc = binding->soc;
	enum ppesim_command command;
	int err;

	switch (cls->command) {
	case FLOW_CLS_REPLACE:
		command = PPESIM_CMD_REPLACE;
		err = begin(soc, command) ?: ppesim_flow_replace(binding, cls);
		break;
	case FLOW_CLS_DESTROY:
		command = PPESIM_CMD_DESTROY;
		err = begin(soc, command) ?: ppesim_flow_destroy(soc, cls);
		break;
	case FLOW_CLS_STATS:
		command = PPESIM_CMD_STATS;
		err = begin(soc, command) ?: ppesim_flow_stats(soc, cls);
		break;
	default:
		return -EOPNOTSUPP;
	}
	return finish(soc, command, err);
}

static int block_callback(enum tc_setup_type type, void *type_data, void *cb_priv)
{
	struct ppesim_binding *binding = cb_priv;
	struct ppesim_soc *soc = binding->soc;
	int err = -EOPNOTSUPP;

	if (!may_sleep(soc))
		return -EWOULDBLOCK;
	mutex_lock(&soc->mutex);
	if (binding->dead || !binding->port)
		ppesim_detect(soc, CALL_AFTER_UNBIND);
	else if (tc_can_offload(binding->port->dev) && type == TC_SETUP_CLSFLOWER)
		err = run(binding, type_data);
	mutex_unlock(&soc->mutex);
	return err;
}

static int bind(struct ppesim_port *owner, struct flow_block_offload *offload)
{
	struct ppesim_soc *soc = owner->soc;
	struct flow_block_cb *block_cb;
	struct ppesim_binding *binding;

	block_cb = flow_block_cb_lookup(offload->block, block_callback, owner->dev);
	if (block_cb) {
		flow_block_cb_incref(block_cb);
		return 0;
	}
	binding = kzalloc(sizeof(*binding), GFP_KERNEL);
	if (!binding)
		return -ENOMEM;
	block_cb = flow_block_cb_alloc(block_callback, owner->dev, binding, NULL);
	if (IS_ERR(block_cb)) {
		kfree(binding);
		return PTR_ERR(block_cb);
	}
	binding->soc = soc;
	binding->port = owner;
	strscpy(binding->name, owner->dev->name, sizeof(binding->name));
	/* A GMAC's callback does not know its engine: the ingress key chooses. */
	binding->ppe = owner->kind == PPESIM_WLAN ? owner->wed : 0;
	list_add_tail(&binding->node, &soc->bindings);
	flow_block_cb_incref(block_cb);
	flow_block_cb_add(block_cb, offload);
	list_add_tail(&block_cb->driver_list, &soc->blocks);
	return 0;
}

static int unbind(struct ppesim_port *owner, struct flow_block_offload *offload)
{
	struct ppesim_soc *soc = owner->soc;
	struct flow_block_cb *block_cb;
	struct ppesim_binding *binding;

	block_cb = flow_block_cb_lookup(offload->block, block_callback, owner->dev);
	if (!block_cb) {
		ppesim_detect(soc, UNBIND_UNKNOWN);
		return -ENOENT;
	}
	if (flow_block_cb_decref(block_cb))
		return 0;
	binding = flow_block_cb_priv(block_cb);
	binding->dead = true;
	atomic64_add(ppesim_flows_of(soc, binding), &soc->detectors[PPESIM_D_DESTROY_MISSING]);
	flow_block_cb_remove(block_cb, offload);
	list_del(&block_cb->driver_list);
	return 0;
}

/* The device whose callback is bound, @asked the one that the caller named. */
static int setup_block(struct ppesim_port *owner, struct ppesim_port *asked,
		       struct flow_block_offload *offload)
{
	struct ppesim_soc *soc = owner->soc;
	int err;

	if (!may_sleep(soc))
		return -EWOULDBLOCK;
	if (offload->binder_type != FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS) {
		ppesim_detect(soc, BINDER_TYPE);
		return -EOPNOTSUPP;
	}
	mutex_lock(&soc->mutex);
	offload->driver_block_list = &soc->blocks;
	switch (offload->command) {
	case FLOW_BLOCK_BIND:
		err = begin(soc, PPESIM_CMD_BIND) ?: bind(owner, offload);
		asked->bound += !err;
		finish(soc, PPESIM_CMD_BIND, err);
		break;
	case FLOW_BLOCK_UNBIND:
		err = begin(soc, PPESIM_CMD_UNBIND) ?: unbind(owner, offload);
		asked->bound -= !err;
		finish(soc, PPESIM_CMD_UNBIND, err);
		break;
	default:
		err = -EOPNOTSUPP;
	}
	mutex_unlock(&soc->mutex);
	return err;
}

/**
 * ppesim_setup_tc() - ndo_setup_tc of every port
 * @dev: the port
 * @type: TC_SETUP_FT, or TC_SETUP_BLOCK
 * @type_data: struct flow_block_offload
 *
 * A switch port hands the first on to its conduit, which so has one callback for all of them, and
 * refuses the second. A wireless interface takes them where its WED can receive, from version 2.
 */
int ppesim_setup_tc(struct net_device *dev, enum tc_setup_type type, void *type_data)
{
	struct ppesim_port *port = netdev_priv(dev);
	struct ppesim_port *owner = port;

	if (type != TC_SETUP_FT && type != TC_SETUP_BLOCK)
		return -EOPNOTSUPP;
	switch (port->kind) {
	case PPESIM_DSA:
		if (type != TC_SETUP_FT)
			return -EOPNOTSUPP;
		owner = port->master;
		break;
	case PPESIM_WLAN:
		if (port->wed < 0 || port->soc->profile->wed < 2)
			return -EOPNOTSUPP;
		break;
	}
	return setup_block(owner, port, type_data);
}

/**
 * ppesim_bindings_forget() - a port goes; what was bound to it is left without a device
 * @port: the port
 */
void ppesim_bindings_forget(struct ppesim_port *port)
{
	struct ppesim_soc *soc = port->soc;
	struct ppesim_binding *binding;

	mutex_lock(&soc->mutex);
	if (port->bound > 0)
		ppesim_detect(soc, UNBIND_MISSING);
	list_for_each_entry(binding, &soc->bindings, node)
		if (binding->port == port)
			binding->port = NULL;
	mutex_unlock(&soc->mutex);
}

/**
 * ppesim_bindings_free() - the end of the SoC
 * @soc: the SoC
 */
void ppesim_bindings_free(struct ppesim_soc *soc)
{
	struct ppesim_binding *binding, *next;

	list_for_each_entry_safe(binding, next, &soc->bindings, node)
		kfree(binding);
}
