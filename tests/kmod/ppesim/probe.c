// SPDX-License-Identifier: GPL-2.0-only
/*
 * A caller of the offload interface that a test writes by hand: any keys, any actions, any order.
 * A request is written to the file "probe" (struct request), the answer is read back (struct
 * answer). Devices are looked up in the namespace of the writer. All callbacks are in one block.
 */
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/pkt_cls.h>

#include "ppesim.h"

#define ACTIONS_MAX	16

enum action_kind {
	ACTION_MANGLE,
	ACTION_REDIRECT,
	ACTION_CSUM,
	ACTION_VLAN_PUSH,
	ACTION_VLAN_POP,
	ACTION_PPPOE_PUSH,
	ACTION_DROP,
};

enum key_kind {
	KEY_META = 1,
	KEY_CONTROL = 2,
	KEY_BASIC = 4,
	KEY_PORTS = 8,
};

enum request_flags {
	REQUEST_ATOMIC = 1,	/* with preemption off */
	REQUEST_RCU = 2,	/* in an RCU read section */
	REQUEST_LATE = 4,	/* by the callback that was unbound last */
	REQUEST_BINDER = 8,	/* BIND with another binder type */
};

/**
 * struct action - one action
 * @kind: enum action_kind
 * @header: MANGLE: enum flow_action_mangle_base
 * @offset: MANGLE
 * @mask: MANGLE: bits that stay
 * @value: MANGLE: as it lies in memory; pushes: VLAN id or PPPoE session
 * @ifindex: REDIRECT
 * @proto: VLAN_PUSH
 */
struct action {
	u32	kind;
	u32	header;
	u32	offset;
	u32	mask;
	u32	value;
	u32	ifindex;
	u32	proto;
};

/**
 * struct request - one command
 * @command: enum ppesim_command
 * @flags: enum request_flags
 * @ifindex: device to bind or unbind, or whose callback is called
 * @keys: enum key_kind
 * @cookie: the flow
 * @ingress: META
 * @addr_type: CONTROL: 4, 6, or 0
 * @control_flags: CONTROL: mask of flags
 * @ip_proto: BASIC
 * @sport: PORTS
 * @dport: PORTS
 * @src: source address; an IPv4 one in the first four bytes
 * @dst: destination address
 * @actions: how many
 * @action: they
 */
struct request {
	u32		command;
	u32		flags;
	u32		ifindex;
	u32		keys;
	u64		cookie;
	u32		ingress;
	u32		addr_type;
	u32		control_flags;
	u32		ip_proto;
	__be16		sport;
	__be16		dport;
	u8		src[16];
	u8		dst[16];
	u32		actions;
	struct action	action[ACTIONS_MAX];
};

/**
 * struct answer - what came of it
 * @error: 0, or a negative errno
 * @idle: STATS: how long ago the last use was, in milliseconds
 * @packets: STATS
 * @bytes: STATS
 */
struct answer {
	s32	error;
	u32	idle;
	u64	packets;
	u64	bytes;
};

/**
 * struct session - an open file
 * @soc: whose
 * @answer: to the last request
 */
struct session {
	struct ppesim_soc	*soc;
	struct answer		answer;
};

/**
 * struct ppesim_probe - the caller
 * @mutex: one request at a time
 * @block: what all its callbacks are in
 * @late: callback that was unbound last
 * @late_priv: its argument
 */
struct ppesim_probe {
	struct mutex		mutex;	/* see above */
	struct flow_block	block;
	flow_setup_cb_t		*late;
	void			*late_priv;
};

/**
 * struct keys - match keys or their masks, as flow_dissector lays them out for us
 * @meta: ingress device
 * @control: which addresses there are
 * @basic: protocols
 * @ipv4: addresses
 * @ipv6: addresses
 * @ports: ports
 */
struct keys {
	struct flow_dissector_key_meta		meta;
	struct flow_dissector_key_control	control;
	struct flow_dissector_key_basic		basic;
	struct flow_dissector_key_ipv4_addrs	ipv4;
	struct flow_dissector_key_ipv6_addrs	ipv6;
	struct flow_dissector_key_ports		ports;
};

/**
 * struct rule - a flow rule with everything that it points to
 * @dissector: which keys there are
 * @key: the keys
 * @mask: their masks
 * @rule: the rule
 */
struct rule {
	struct flow_dissector	dissector;
	struct keys		key;
	struct keys		mask;
	struct flow_rule	*rule;
};

static void use_key(struct rule *rule, enum flow_dissector_key_id id, size_t offset)
{
	rule->dissector.used_keys |= BIT_ULL(id);
	rule->dissector.offset[id] = offset;
}

static void fill_keys(struct rule *rule, const struct request *request)
{
	struct keys *key = &rule->key;

	key->meta.ingress_ifindex = request->ingress;
	if (request->keys & KEY_META)
		use_key(rule, FLOW_DISSECTOR_KEY_META, offsetof(struct keys, meta));
	if (request->addr_type == 4) {
		key->control.addr_type = FLOW_DISSECTOR_KEY_IPV4_ADDRS;
		use_key(rule, FLOW_DISSECTOR_KEY_IPV4_ADDRS, offsetof(struct keys, ipv4));
		memcpy(&key->ipv4.src, request->src, sizeof(key->ipv4.src));
		memcpy(&key->ipv4.dst, request->dst, sizeof(key->ipv4.dst));
	} else if (request->addr_type == 6) {
		key->control.addr_type = FLOW_DISSECTOR_KEY_IPV6_ADDRS;
		use_key(rule, FLOW_DISSECTOR_KEY_IPV6_ADDRS, offsetof(struct keys, ipv6));
		memcpy(&key->ipv6.src, request->src, sizeof(key->ipv6.src));
		memcpy(&key->ipv6.dst, request->dst, sizeof(key->ipv6.dst));
	}
	rule->mask.control.flags = request->control_flags;
	if (request->keys & KEY_CONTROL)
		use_key(rule, FLOW_DISSECTOR_KEY_CONTROL, offsetof(struct keys, control));
	key->basic.ip_proto = request->ip_proto;
	if (request->keys & KEY_BASIC)
		use_key(rule, FLOW_DISSECTOR_KEY_BASIC, offsetof(struct keys, basic));
	key->ports.src = request->sport;
	key->ports.dst = request->dport;
	if (request->keys & KEY_PORTS)
		use_key(rule, FLOW_DISSECTOR_KEY_PORTS, offsetof(struct keys, ports));
	rule->rule->match.dissector = &rule->dissector;
	rule->rule->match.key = key;
	rule->rule->match.mask = &rule->mask;
}

static int fill_action(struct flow_action_entry *entry, const struct action *action)
{
	struct net *net = current->nsproxy->net_ns;

	switch (action->kind) {
	case ACTION_MANGLE:
		entry->id = FLOW_ACTION_MANGLE;
		entry->mangle.htype = action->header;
		entry->mangle.offset = action->offset;
		entry->mangle.mask = action->mask;
		entry->mangle.val = action->value;
		return 0;
	case ACTION_REDIRECT:
		entry->id = FLOW_ACTION_REDIRECT;
		entry->dev = dev_get_by_index(net, action->ifindex);
		return entry->dev ? 0 : -ENXIO;
	case ACTION_CSUM:
		entry->id = FLOW_ACTION_CSUM;
		return 0;
	case ACTION_VLAN_PUSH:
		entry->id = FLOW_ACTION_VLAN_PUSH;
		entry->vlan.vid = action->value;
		entry->vlan.proto = htons(action->proto);
		return 0;
	case ACTION_VLAN_POP:
		entry->id = FLOW_ACTION_VLAN_POP;
		return 0;
	case ACTION_PPPOE_PUSH:
		entry->id = FLOW_ACTION_PPPOE_PUSH;
		entry->pppoe.sid = action->value;
		return 0;
	case ACTION_DROP:
		entry->id = FLOW_ACTION_DROP;
		return 0;
	default:
		return -EDOM;
	}
}

static void rule_free(struct rule *rule)
{
	unsigned int i;

	for (i = 0; i < rule->rule->action.num_entries; i++)
		if (rule->rule->action.entries[i].id == FLOW_ACTION_REDIRECT)
			dev_put(rule->rule->action.entries[i].dev);
	kfree(rule->rule);
	kfree(rule);
}

static struct rule *rule_new(const struct request *request)
{
	struct rule *rule;
	unsigned int i;
	int err = 0;

	if (request->actions > ACTIONS_MAX)
		return ERR_PTR(-EDOM);
	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return ERR_PTR(-ENOMEM);
	rule->rule = flow_rule_alloc(request->actions);
	if (!rule->rule) {
		kfree(rule);
		return ERR_PTR(-ENOMEM);
	}
	fill_keys(rule, request);
	for (i = 0; i < request->actions && !err; i++)
		err = fill_action(&rule->rule->action.entries[i], &request->action[i]);
	if (err) {
		rule_free(rule);
		return ERR_PTR(err);
	}
	return rule;
}

static int bind_or_unbind(struct ppesim_probe *probe, struct net_device *dev,
			  const struct request *request, enum flow_block_command command)
{
	struct flow_block_cb *block_cb, *next;
	struct flow_block_offload offload = {
		.net = dev_net(dev),
		.block = &probe->block,
		.cb_list_head = &probe->block.cb_list,
		.command = command,
		.binder_type = FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
	};
	int err;

	if (request->flags & REQUEST_BINDER)
		offload.binder_type = FLOW_BLOCK_BINDER_TYPE_CLSACT_EGRESS;
	INIT_LIST_HEAD(&offload.cb_list);
	if (!dev->netdev_ops->ndo_setup_tc)
		return -EOPNOTSUPP;
	err = dev->netdev_ops->ndo_setup_tc(dev, TC_SETUP_FT, &offload);
	if (command == FLOW_BLOCK_BIND) {
		list_splice(&offload.cb_list, &probe->block.cb_list);
		return err;
	}
	list_for_each_entry_safe(block_cb, next, &offload.cb_list, list) {
		probe->late = block_cb->cb;
		probe->late_priv = block_cb->cb_priv;
		list_del(&block_cb->list);
		flow_block_cb_free(block_cb);
	}
	return err;
}

static int call(struct ppesim_probe *probe, struct net_device *dev, u32 flags,
		struct flow_cls_offload *cls)
{
	struct ppesim_port *port = ppesim_port_of(dev);
	struct flow_block_cb *block_cb;
	flow_setup_cb_t *callback = NULL;
	void *priv = NULL;
	int err;

	if (port && port->master)
		dev = port->master->dev;
	if (flags & REQUEST_LATE) {
		callback = probe->late;
		priv = probe->late_priv;
	} else {
		list_for_each_entry(block_cb, &probe->block.cb_list, list)
			if (block_cb->cb_ident == dev) {
				callback = block_cb->cb;
				priv = block_cb->cb_priv;
			}
	}
	if (!callback)
		return -ENXIO;
	if (flags & REQUEST_ATOMIC) {
		preempt_disable();
		err = callback(TC_SETUP_CLSFLOWER, cls, priv);
		preempt_enable();
	} else if (flags & REQUEST_RCU) {
		rcu_read_lock();
		err = callback(TC_SETUP_CLSFLOWER, cls, priv);
		rcu_read_unlock();
	} else {
		err = callback(TC_SETUP_CLSFLOWER, cls, priv);
	}
	return err;
}

static int flow_command(struct ppesim_probe *probe, struct net_device *dev,
			const struct request *request, struct answer *answer)
{
	struct flow_cls_offload cls = { .cookie = request->cookie };
	struct rule *rule = NULL;
	int err;

	switch (request->command) {
	case PPESIM_CMD_REPLACE:
		cls.command = FLOW_CLS_REPLACE;
		rule = rule_new(request);
		if (IS_ERR(rule))
			return PTR_ERR(rule);
		cls.rule = rule->rule;
		break;
	case PPESIM_CMD_DESTROY:
		cls.command = FLOW_CLS_DESTROY;
		break;
	default:
		cls.command = FLOW_CLS_STATS;
	}
	err = call(probe, dev, request->flags, &cls);
	if (rule)
		rule_free(rule);
	answer->packets = cls.stats.pkts;
	answer->bytes = cls.stats.bytes;
	answer->idle = jiffies_to_msecs(jiffies - (unsigned long)cls.stats.lastused);
	return err;
}

static int serve(struct ppesim_soc *soc, const struct request *request, struct answer *answer)
{
	struct ppesim_probe *probe = soc->probe;
	struct net_device *dev;

	dev = dev_get_by_index(current->nsproxy->net_ns, request->ifindex);
	if (!dev)
		return -ENXIO;
	mutex_lock(&probe->mutex);
	switch (request->command) {
	case PPESIM_CMD_BIND:
		answer->error = bind_or_unbind(probe, dev, request, FLOW_BLOCK_BIND);
		break;
	case PPESIM_CMD_UNBIND:
		answer->error = bind_or_unbind(probe, dev, request, FLOW_BLOCK_UNBIND);
		break;
	default:
		answer->error = flow_command(probe, dev, request, answer);
	}
	mutex_unlock(&probe->mutex);
	dev_put(dev);
	return 0;
}

static int probe_open(struct inode *inode, struct file *file)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return -ENOMEM;
	session->soc = inode->i_private;
	file->private_data = session;
	return 0;
}

static int probe_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static ssize_t probe_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	struct session *session = file->private_data;
	struct request *request;
	int err;

	if (size != sizeof(*request))
		return -EMSGSIZE;
	request = memdup_user(from, size);
	if (IS_ERR(request))
		return PTR_ERR(request);
	memset(&session->answer, 0, sizeof(session->answer));
	err = serve(session->soc, request, &session->answer);
	kfree(request);
	return err ?: size;
}

static ssize_t probe_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	struct session *session = file->private_data;
	loff_t from_start = 0;

	return simple_read_from_buffer(to, size, &from_start, &session->answer,
				       sizeof(session->answer));
}

const struct file_operations ppesim_probe_fops = {
	.owner = THIS_MODULE,
	.open = probe_open,
	.release = probe_release,
	.write = probe_write,
	.read = probe_read,
};

/**
 * ppesim_probe_new() - a caller with nothing bound
 */
struct ppesim_probe *ppesim_probe_new(void)
{
	struct ppesim_probe *probe = kzalloc(sizeof(*probe), GFP_KERNEL);

	if (!probe)
		return NULL;
	mutex_init(&probe->mutex);
	flow_block_init(&probe->block);
	return probe;
}

/**
 * ppesim_probe_free() - its end, and that of what it has left bound
 * @probe: the caller, or NULL
 */
void ppesim_probe_free(struct ppesim_probe *probe)
{
	struct flow_block_cb *block_cb, *next;

	if (!probe)
		return;
	list_for_each_entry_safe(block_cb, next, &probe->block.cb_list, list) {
		list_del(&block_cb->list);
		flow_block_cb_free(block_cb);
	}
	kfree(probe);
}
