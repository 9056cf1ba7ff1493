// SPDX-License-Identifier: GPL-2.0-only
/*
 * Learning: the POST_ROUTING hook, last but for conntrack's confirmation.
 *
 * A packet that arrives here has passed every rule and has its final translation, route and
 * mark. That proves its direction of the flow for one re-proof interval, and shows its way out.
 * Each direction learns from its own packets only, so that policy routing and several uplinks
 * are followed as they are.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/tcp.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/netns/nftables.h>

#include "client.h"
#include "eligible.h"
#include "exception.h"
#include "flow.h"
#include "ingress.h"
#include "learn.h"
#include "netlink.h"
#include "offload.h"
#include "path.h"
#include "table.h"

/* Conntrack will miss segments: it must not take later ones for out of window. */
static void be_liberal(struct nf_conn *ct)
{
	if (nf_ct_protonum(ct) != IPPROTO_TCP)
		return;
	spin_lock_bh(&ct->lock);
	ct->proto.tcp.seen[IP_CT_DIR_ORIGINAL].flags |= IP_CT_TCP_FLAG_BE_LIBERAL;
	ct->proto.tcp.seen[IP_CT_DIR_REPLY].flags |= IP_CT_TCP_FLAG_BE_LIBERAL;
	spin_unlock_bh(&ct->lock);
}

static void prove(struct natflow_flow *flow, int dir, const struct sk_buff *skb)
{
	const struct natflow_egress *egress =
		rcu_dereference_protected(natflow_flow_half(flow, dir)->egress,
					  lockdep_is_held(&flow->lock));
	struct natflow_net *nn = flow->nn;
	struct natflow_proof *proof = &flow->proof[dir];
	/* Conntrack sees none of the packets between two proofs, and must not give it up. */
	u32 last = min_t(unsigned long, READ_ONCE(nn->sample_jiffies),
			 nf_ct_expires(flow->ct) / 2);
	u32 now = (u32)jiffies;

	WRITE_ONCE(proof->mark, skb->mark);
	WRITE_ONCE(proof->priority, skb->priority);
	WRITE_ONCE(flow->pcp[dir], natflow_egress_pcp(egress, skb->priority));
	WRITE_ONCE(proof->ruleset, natflow_ruleset(nn->net));
	WRITE_ONCE(proof->at, now);
	WRITE_ONCE(proof->until, now + last);
	/* The generation last, for fresh(): with an old one the rest is not looked at. */
	smp_store_release(&proof->gen, (u32)atomic_read(&nn->gen));
}

/* Makes @egress the direction's way out. */
static void set_egress(struct natflow_flow *flow, int dir, struct natflow_egress *egress)
{
	struct natflow_half *half = natflow_flow_half(flow, dir);
	struct natflow_half *other = natflow_flow_half(flow, !dir);
	struct natflow_egress *old;

	old = rcu_replace_pointer(half->egress, egress, lockdep_is_held(&flow->lock));
	if (old) {
		natflow_egress_put(old);
		if (flow->hw_entry)
			natflow_offload_flow_gone(flow);
	}
	/* Without better knowledge replies are expected where the direction leaves. */
	if (!(other->flags & NATFLOW_HALF_SEEN)) {
		ether_addr_copy(flow->in_mac[!dir], egress->header + ETH_ALEN);
		WRITE_ONCE(other->encaps, egress->port_encaps);
		other->encap_count = egress->port_encap_count;
		WRITE_ONCE(other->iif, egress->port);
	}
	if (flow->client && dir != flow->client_from && egress->kind != NATFLOW_EGRESS_KIND_L3)
		natflow_client_at(flow->nn, flow->client, egress->header);
}

/* Where this packet came in is where the next ones of its direction are expected. */
static void learn_ingress(struct natflow_flow *flow, int dir, const struct sk_buff *skb)
{
	struct natflow_half *half = natflow_flow_half(flow, dir);
	struct natflow_ingress ingress;

	if (!natflow_ingress_of(skb, &flow->ct->tuplehash[dir].tuple, &ingress))
		return;
	half->flags |= NATFLOW_HALF_SEEN;
	if (half->iif == ingress.ifindex && half->encaps == ingress.encaps &&
	    ether_addr_equal(flow->in_mac[dir], ingress.mac))
		return;
	ether_addr_copy(flow->in_mac[dir], ingress.mac);
	WRITE_ONCE(half->encaps, ingress.encaps);
	half->encap_count = ingress.encap_count;
	WRITE_ONCE(half->iif, ingress.ifindex);
	/* The hardware was told about the old place. */
	if (flow->hw_entry)
		natflow_offload_flow_gone(flow);
}

/* The way out this packet takes; nothing to do when it is the one we know. */
static enum natflow_reason learn_egress(struct natflow_flow *flow, int dir, struct sk_buff *skb)
{
	struct natflow_half *half = natflow_flow_half(flow, dir);
	struct natflow_egress *egress;
	enum natflow_reason reason;

	egress = rcu_dereference_protected(half->egress, lockdep_is_held(&flow->lock));
	if (egress && !READ_ONCE(egress->dead) &&
	    rcu_access_pointer(egress->dst) == skb_dst(skb) &&
	    egress->cookie == natflow_dst_cookie(skb_dst(skb)))
		return NATFLOW_REASON_NONE;
	egress = natflow_egress_get(flow->nn, skb, &reason);
	if (!egress)
		return reason;
	be_liberal(flow->ct);
	set_egress(flow, dir, egress);
	return NATFLOW_REASON_NONE;
}

static bool ready(struct natflow_flow *flow, int dir)
{
	const struct natflow_half *half = natflow_flow_half(flow, dir);

	return half->iif && rcu_access_pointer(half->egress);
}

/* Whether the flow is accelerated now that one direction was learned; under its lock. */
static void settle(struct natflow_flow *flow)
{
	if (!ready(flow, IP_CT_DIR_ORIGINAL) && !ready(flow, IP_CT_DIR_REPLY)) {
		flow->reason = flow->refused[IP_CT_DIR_ORIGINAL] ?: flow->refused[IP_CT_DIR_REPLY];
		if (!flow->reason)
			flow->reason = NATFLOW_REASON_ONE_DIRECTION;
		return;
	}
	if (flow->reason == NATFLOW_REASON_NONE)
		return;
	flow->reason = NATFLOW_REASON_NONE;
	if (!test_and_set_bit(NATFLOW_FLOW_STARTED, &flow->flags))
		natflow_netlink_flow(flow, NATFLOW_EVENT_FLOW_START);
}

static enum natflow_reason learn_packet(struct natflow_flow *flow, int dir, struct sk_buff *skb)
{
	enum natflow_reason reason;

	reason = natflow_delay_eligible(flow->nn, flow->ct, flow->slow_packets);
	if (!reason) {
		reason = learn_egress(flow, dir, skb);
		flow->refused[dir] = reason;
		/* A filter above the one's port is one that the other's packets would pass by. */
		if (flow->refused[!dir] == NATFLOW_REASON_QDISC)
			reason = NATFLOW_REASON_QDISC;
	}
	if (reason) {
		natflow_flow_refuse(flow, reason);
		return reason;
	}
	learn_ingress(flow, dir, skb);
	if (natflow_exception_of_way(flow, dir, skb)) {
		natflow_flow_refuse(flow, NATFLOW_REASON_EXCLUDED);
		return NATFLOW_REASON_EXCLUDED;
	}
	prove(flow, dir, skb);
	settle(flow);
	return flow->reason;
}

/* The flow of a packet's tuple, if there is one. */
static struct natflow_flow *find(struct natflow_net *nn, const struct nf_conn *ct, int dir)
{
	struct natflow_half *half = natflow_table_find(nn, &ct->tuplehash[dir].tuple);

	return half ? natflow_half_flow(half, nf_ct_l3num(ct)) : NULL;
}

static bool wants_flow(struct natflow_net *nn, const struct nf_conn *ct, int dir,
		       enum natflow_reason reason)
{
	if (!nf_ct_is_confirmed(ct))
		return false;
	if (reason)
		return natflow_reason_lasts(reason);
	if (!natflow_delay_eligible(nn, ct, 0))
		return true;
	/* Without accounting the flow counts by itself, from the third packet at the earliest. */
	return !nf_conn_acct_find(ct) && dir == IP_CT_DIR_ORIGINAL;
}

static enum natflow_reason learn(struct natflow_net *nn, struct sk_buff *skb, u8 family)
{
	enum ip_conntrack_info ctinfo;
	struct natflow_flow *flow, *leftover = NULL;
	enum natflow_reason reason, packet;
	struct nf_conn *ct;
	int dir;

	packet = natflow_skb_eligible(skb, family);
	if (packet == NATFLOW_REASON_LOCAL)
		return packet;
	natflow_count_engine(nn, NATFLOW_ENGINE_SLOW, 1, skb->len);
	ct = nf_ct_get(skb, &ctinfo);
	if (!ct)
		return NATFLOW_REASON_UNTRACKED;
	dir = CTINFO2DIR(ctinfo);
	/* An ICMP error about a connection, or the first packets of an expected one. */
	if (ctinfo == IP_CT_RELATED || ctinfo == IP_CT_RELATED_REPLY)
		return nf_ct_is_confirmed(ct) ? NATFLOW_REASON_PROTOCOL :
						NATFLOW_REASON_UNCONFIRMED;
	flow = find(nn, ct, dir);
	/* Of an earlier connection, or of one in another zone. */
	if (flow && flow->ct != ct)
		swap(flow, leftover);
	reason = natflow_ct_eligible(nn, ct, flow);
	if (reason == NATFLOW_REASON_ZONE)
		return reason;
	if (leftover)
		natflow_flow_remove(leftover);
	if (!reason && packet) {
		/* Perhaps it is about this direction, or this packet, only. */
		if (!natflow_reason_lasts(packet) ||
		    (flow && READ_ONCE(flow->reason) == NATFLOW_REASON_NONE))
			return packet;
		reason = packet;
	}
	if (!flow) {
		enum natflow_reason refused;

		if (!wants_flow(nn, ct, dir, reason))
			return reason ? reason : NATFLOW_REASON_DELAY;
		flow = natflow_flow_create(nn, ct, &refused);
		if (!flow)
			return refused;
	}
	WRITE_ONCE(flow->slow_seen, (u32)jiffies);

	if (reason && !natflow_reason_lasts(reason)) {
		natflow_flow_remove(flow);
		return reason;
	}
	spin_lock_bh(&flow->lock);
	flow->slow_packets++;
	if (test_bit(NATFLOW_FLOW_DEAD, &flow->flags))
		reason = NATFLOW_REASON_STALE;
	else if (reason)
		natflow_flow_refuse(flow, reason);
	else
		reason = learn_packet(flow, dir, skb);
	spin_unlock_bh(&flow->lock);
	return reason;
}

static unsigned int natflow_learn(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	struct natflow_net *nn = natflow_net(state->net);
	enum natflow_reason reason = learn(nn, skb, state->pf);

	if (reason)
		natflow_count_reason(nn, reason);
	return NF_ACCEPT;
}

static const struct nf_hook_ops learn_ops[] = {
	{
		.hook = natflow_learn,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP_PRI_CONNTRACK_CONFIRM - 1,
	},
	{
		.hook = natflow_learn,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP6_PRI_LAST - 1,
	},
};

int natflow_learn_register(struct natflow_net *nn)
{
	return nf_register_net_hooks(nn->net, learn_ops, ARRAY_SIZE(learn_ops));
}

void natflow_learn_unregister(struct natflow_net *nn)
{
	nf_unregister_net_hooks(nn->net, learn_ops, ARRAY_SIZE(learn_ops));
}
