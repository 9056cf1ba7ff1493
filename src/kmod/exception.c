// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions: flows that their owner wants to stay on the normal stack.
 *
 * Most conditions are about the connection and can be answered at any time. Devices and MAC
 * addresses are not: each direction is asked with its own packets, when its way is known, and
 * remembers the answer, because either end of the way may be named.
 */
#include <linux/etherdevice.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/netfilter/nf_conntrack.h>

#include "exception.h"
#include "flow.h"
#include "net.h"
#include "path.h"
#include "record.h"

static bool way_needed(const struct natflow_exception *rule)
{
	return rule->has_mac || rule->device[0];
}

static bool match_port(const struct natflow_exception *rule, __be16 port)
{
	return ntohs(port) >= rule->port_min && ntohs(port) <= rule->port_max;
}

static bool match_mark(const struct natflow_exception *rule, const struct nf_conn *ct)
{
#ifdef CONFIG_NF_CONNTRACK_MARK
	return (READ_ONCE(ct->mark) & rule->mark_mask) == rule->mark;
#else
	return !rule->mark;
#endif
}

static bool match_ct(const struct natflow_exception *rule, const struct nf_conn *ct)
{
	const struct nf_conntrack_tuple *original = &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	const struct nf_conntrack_tuple *reply = &ct->tuplehash[IP_CT_DIR_REPLY].tuple;
	u8 family = original->src.l3num;

	if (rule->l4proto && rule->l4proto != original->dst.protonum)
		return false;
	if (rule->src.family && (rule->src.family != family ||
				 !natflow_prefix_has(&rule->src, &original->src.u3)))
		return false;
	if (rule->dst.family && (rule->dst.family != family ||
				 (!natflow_prefix_has(&rule->dst, &original->dst.u3) &&
				  !natflow_prefix_has(&rule->dst, &reply->src.u3))))
		return false;
	if (rule->has_port && !match_port(rule, original->dst.u.all) &&
	    !match_port(rule, reply->src.u.all))
		return false;
	return !rule->has_mark || match_mark(rule, ct);
}

static bool is_called(struct net *net, int ifindex, const char *name)
{
	const struct net_device *dev = ifindex ? dev_get_by_index_rcu(net, ifindex) : NULL;

	return dev && !strcmp(dev->name, name);
}

/* The port it comes in by, the device routing saw it come from, and all on its way out. */
static bool match_device(const char *name, struct natflow_flow *flow, int dir,
			 const struct sk_buff *skb)
{
	const struct natflow_egress *egress = natflow_flow_egress(flow, dir);
	struct net *net = flow->nn->net;
	unsigned int i;

	if (is_called(net, skb->skb_iif, name) ||
	    is_called(net, READ_ONCE(natflow_flow_half(flow, dir)->iif), name))
		return true;
	for (i = 0; egress && i < ARRAY_SIZE(egress->path); i++)
		if (is_called(net, egress->path[i], name))
			return true;
	return false;
}

static bool match_mac(const u8 *mac, const struct natflow_flow *flow, int dir,
		      const struct sk_buff *skb)
{
	const struct natflow_egress *egress = natflow_flow_egress(flow, dir);

	if (egress && egress->kind != NATFLOW_EGRESS_KIND_L3 &&
	    ether_addr_equal(egress->header, mac))
		return true;
	/* Still the frame it came in with; a device without a link-layer header left none. */
	return skb_mac_header_was_set(skb) &&
	       skb->mac_header + ETH_HLEN <= skb->network_header &&
	       ether_addr_equal(eth_hdr(skb)->h_source, mac);
}

static bool match_way(const struct natflow_exception *rule, struct natflow_flow *flow, int dir,
		      const struct sk_buff *skb)
{
	return (!rule->has_mac || match_mac(rule->mac, flow, dir, skb)) &&
	       (!rule->device[0] || match_device(rule->device, flow, dir, skb));
}

/**
 * natflow_exception_of_ct() - the exception that a connection falls under by itself
 * @nn: namespace
 * @ct: its conntrack entry; under the RCU read lock
 *
 * Return: its number, or -1 when there is none, or only one about its way.
 */
int natflow_exception_of_ct(const struct natflow_net *nn, const struct nf_conn *ct)
{
	const struct natflow_exceptions *list = rcu_dereference(nn->exceptions);
	unsigned int i;

	for (i = 0; list && i < list->count; i++)
		if (!way_needed(&list->rule[i]) && match_ct(&list->rule[i], ct))
			return i;
	return -1;
}

/**
 * natflow_exception_of_way() - does a flow fall under an exception about its way
 * @flow: the flow; under its lock and the RCU read lock
 * @dir: direction of @skb, of which the way out is known
 * @skb: packet in POST_ROUTING
 *
 * Return: whether it does, in this direction now or in the other one when it was asked last.
 */
bool natflow_exception_of_way(struct natflow_flow *flow, int dir, const struct sk_buff *skb)
{
	const struct natflow_exceptions *list = rcu_dereference(flow->nn->exceptions);
	unsigned int i;

	if (!list || !list->ways)
		return false;
	if (flow->exceptions_id != list->id) {
		memset(flow->exception, 0, sizeof(flow->exception));
		flow->exceptions_id = list->id;
	}
	flow->exception[dir] = 0;
	for (i = 0; i < list->count && !flow->exception[dir]; i++)
		if (way_needed(&list->rule[i]) && match_ct(&list->rule[i], flow->ct) &&
		    match_way(&list->rule[i], flow, dir, skb))
			flow->exception[dir] = i + 1;
	return flow->exception[dir] || flow->exception[!dir];
}

/**
 * natflow_exception_of_flow() - the exception that keeps a flow slow
 * @flow: the flow; under the RCU read lock
 *
 * Return: its number, or -1 when there is none.
 */
int natflow_exception_of_flow(const struct natflow_flow *flow)
{
	const struct natflow_exceptions *list = rcu_dereference(flow->nn->exceptions);
	int number = natflow_exception_of_ct(flow->nn, flow->ct);

	if (number >= 0 || !list || flow->exceptions_id != list->id)
		return number;
	number = READ_ONCE(flow->exception[IP_CT_DIR_ORIGINAL]);
	return (number ? number : READ_ONCE(flow->exception[IP_CT_DIR_REPLY])) - 1;
}

/**
 * natflow_exceptions_replace() - put other exceptions in force; under RTNL
 * @nn: namespace
 * @list: the new ones, which the namespace owns from now on; NULL for none
 *
 * The next packet of every flow meets them.
 */
void natflow_exceptions_replace(struct natflow_net *nn, struct natflow_exceptions *list)
{
	struct natflow_exceptions *old = rtnl_dereference(nn->exceptions);

	if (list)
		list->id = ++nn->exceptions_id ? nn->exceptions_id : ++nn->exceptions_id;
	rcu_assign_pointer(nn->exceptions, list);
	natflow_net_stale(nn);
	if (old)
		kvfree_rcu(old, rcu);
}
