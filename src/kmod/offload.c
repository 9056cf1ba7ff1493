// SPDX-License-Identifier: GPL-2.0-only
/* The core's side of the border to a hardware client: see offload.h. */
#include <linux/rtnetlink.h>
#include <linux/srcu.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/sock.h>

#include "client.h"
#include "command.h"
#include "offload.h"
#include "port.h"

/* Calls may come from interrupts and may sleep: what guards them must allow both. */
DEFINE_STATIC_SRCU(client_srcu);
static const struct natflow_offload_ops __rcu *client;

/* The client, or NULL; leave() follows. */
static const struct natflow_offload_ops *enter(int *index)
	__acquires(&client_srcu)
{
	*index = srcu_read_lock(&client_srcu);
	return srcu_dereference(client, &client_srcu);
}

static void leave(int index)
	__releases(&client_srcu)
{
	srcu_read_unlock(&client_srcu, index);
}

void natflow_offload_port_add(struct natflow_net *nn, struct net_device *dev)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->port_add(nn, dev);
	leave(index);
}

void natflow_offload_device_gone(struct net_device *dev)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->device_gone(dev);
	leave(index);
}

void natflow_offload_net_gone(struct natflow_net *nn)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->net_gone(nn);
	leave(index);
}

void natflow_offload_config(struct natflow_net *nn)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->config(nn);
	leave(index);
}

void natflow_offload_kick(void)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->kick();
	leave(index);
}

void natflow_offload_flow_gone(struct natflow_flow *flow)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->flow_gone(flow);
	leave(index);
}

void natflow_offload_sync(void)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->sync();
	leave(index);
}

void natflow_offload_age(struct natflow_flow *flow)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->age(flow);
	leave(index);
}

void natflow_offload_aged(struct natflow_net *nn)
{
	int index;
	const struct natflow_offload_ops *ops = enter(&index);

	if (ops)
		ops->aged(nn);
	leave(index);
}

/**
 * natflow_offload_register() - a hardware client is there
 * @ops: what it does
 *
 * It is told about all ports that there are.
 *
 * Return: 0, or -EBUSY when there is one already.
 */
int natflow_offload_register(const struct natflow_offload_ops *ops)
{
	struct net *net;
	int err = 0;

	rtnl_lock();
	if (rcu_access_pointer(client)) {
		err = -EBUSY;
		goto out;
	}
	rcu_assign_pointer(client, ops);
	down_read(&net_rwsem);
	for_each_net(net)
		natflow_port_offer_all(natflow_net(net));
	up_read(&net_rwsem);
out:
	rtnl_unlock();
	return err;
}
EXPORT_SYMBOL_GPL(natflow_offload_register);

/**
 * natflow_offload_unregister() - a hardware client goes
 * @ops: what was registered
 *
 * When it returns no function of the client is running or will be called any more.
 */
void natflow_offload_unregister(const struct natflow_offload_ops *ops)
{
	RCU_INIT_POINTER(client, NULL);
	synchronize_srcu(&client_srcu);
}
EXPORT_SYMBOL_GPL(natflow_offload_unregister);

/**
 * natflow_offload_count() - the hardware has forwarded so much of a flow
 * @flow: the flow; under its lock
 * @dir: the direction
 * @packets: packets since the last time
 * @bytes: bytes, IP header and above
 * @counted: the hardware has counted; else it is an estimate, which conntrack is not told
 */
void natflow_offload_count(struct natflow_flow *flow, int dir, u64 packets, u64 bytes,
			   bool counted)
{
	struct nf_conn_acct *acct = nf_conn_acct_find(flow->ct);
	struct natflow_net *nn = flow->nn;

	atomic64_add(packets, &flow->hw[dir].packets);
	atomic64_add(bytes, &flow->hw[dir].bytes);
	this_cpu_add(nn->stats->packets[NATFLOW_ENGINE_HARDWARE], packets);
	this_cpu_add(nn->stats->bytes[NATFLOW_ENGINE_HARDWARE], bytes);
	if (acct && counted) {
		atomic64_add(packets, &acct->counter[dir].packets);
		atomic64_add(bytes, &acct->counter[dir].bytes);
		/* The next look at conntrack's counters is about the other engines. */
		flow->last[dir].ct_packets += packets;
		flow->last[dir].ct_bytes += bytes;
	}
	if (flow->client)
		natflow_client_count(nn, flow->client, NATFLOW_ENGINE_HARDWARE,
				     dir != flow->client_from, packets, bytes);
}
EXPORT_SYMBOL_GPL(natflow_offload_count);

/**
 * natflow_offload_reason() - why a direction is not in the hardware
 * @flow: the flow
 * @dir: the direction
 *
 * Return: NATFLOW_REASON_NONE when it is, and for a flow that is not accelerated.
 */
enum natflow_reason natflow_offload_reason(const struct natflow_flow *flow, int dir)
{
	if (READ_ONCE(flow->reason))
		return NATFLOW_REASON_NONE;
	if (!READ_ONCE(flow->nn->config.hwnat))
		return NATFLOW_REASON_HW_OFF;
	if (!rcu_access_pointer(client))
		return NATFLOW_REASON_HW_NO_CLIENT;
	return READ_ONCE(flow->hw[dir].reason);
}

static int put_no_client(struct sk_buff *skb, const struct natflow_net *nn)
{
	enum natflow_reason reason = NATFLOW_REASON_HW_NO_CLIENT;

	if (!READ_ONCE(nn->config.hwnat))
		reason = NATFLOW_REASON_HW_OFF;
	if (nla_put_u8(skb, NATFLOW_A_HW_CLIENT, 0) ||
	    nla_put_u16(skb, NATFLOW_A_HW_REASON, reason))
		return -EMSGSIZE;
	return 0;
}

static int put_hw(struct sk_buff *skb, struct natflow_net *nn)
{
	struct nlattr *nest = nla_nest_start(skb, NATFLOW_A_MAIN_HW);
	const struct natflow_offload_ops *ops;
	int index, err;

	if (!nest)
		return -EMSGSIZE;
	ops = enter(&index);
	err = ops ? ops->put(skb, nn) : put_no_client(skb, nn);
	leave(index);
	if (!err)
		nla_nest_end(skb, nest);
	return err;
}

int natflow_hw_get(struct sk_buff *skb, struct genl_info *info)
{
	struct natflow_net *nn = natflow_net(genl_info_net(info));
	struct sk_buff *answer;
	void *header;

	answer = natflow_answer(info, &header);
	if (!answer)
		return -ENOMEM;
	if (put_hw(answer, nn))
		return natflow_answer_fails(answer);
	genlmsg_end(answer, header);
	return genlmsg_reply(answer, info);
}

/* One message about a device; -ENOENT when there is none of this number. */
static int put_hw_device(struct sk_buff *skb, struct netlink_callback *cb,
			 struct natflow_net *nn)
{
	const struct natflow_offload_ops *ops;
	struct nlattr *nest;
	void *header;
	int index;
	int err = -ENOENT;

	header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &natflow_family,
			     NLM_F_MULTI, NATFLOW_CMD_HW_DEVICE_GET);
	nest = header ? nla_nest_start(skb, NATFLOW_A_MAIN_HW_DEVICE) : NULL;
	if (!nest) {
		err = -EMSGSIZE;
		goto out;
	}
	ops = enter(&index);
	if (ops)
		err = ops->put_device(skb, nn, cb->args[0]);
	leave(index);
	if (!err) {
		nla_nest_end(skb, nest);
		genlmsg_end(skb, header);
		return 0;
	}
out:
	if (header)
		genlmsg_cancel(skb, header);
	return err;
}

int natflow_hw_device_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct natflow_net *nn = natflow_net(sock_net(cb->skb->sk));
	int err;

	do {
		err = put_hw_device(skb, cb, nn);
		cb->args[0] += !err;
	} while (!err);
	if (err == -ENOENT)
		return 0;
	return skb->len ? skb->len : err;
}
