// SPDX-License-Identifier: GPL-2.0-only
/* What netlink tells about a flow. */
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netns/nftables.h>

#include "net.h"
#include "offload.h"
#include "path.h"
#include "record.h"

/* Looking at a flow does not change it, but its halves are found with arithmetic on it. */
static const struct natflow_half *half_of(const struct natflow_flow *flow, int dir)
{
	return natflow_flow_half((struct natflow_flow *)flow, dir);
}

/**
 * natflow_flow_egress() - way out of a direction; under the RCU read lock
 * @flow: the flow
 * @dir: the direction
 *
 * Return: the way out, or NULL when none is known or something on it has changed.
 */
struct natflow_egress *natflow_flow_egress(const struct natflow_flow *flow, int dir)
{
	struct natflow_egress *egress = rcu_dereference(half_of(flow, dir)->egress);

	return egress && !READ_ONCE(egress->dead) ? egress : NULL;
}

static bool proved(const struct natflow_flow *flow, int dir)
{
	const struct natflow_proof *proof = &flow->proof[dir];
	const struct natflow_net *nn = flow->nn;

	/* Pairs with prove(), which writes the generation last. */
	return smp_load_acquire(&proof->gen) == (u32)atomic_read(&nn->gen) &&
	       READ_ONCE(proof->ruleset) == natflow_ruleset(nn->net) &&
	       time_before32((u32)jiffies, READ_ONCE(proof->until));
}

static u32 flags_of(const struct natflow_flow *flow)
{
	const struct nf_conntrack_tuple *original =
		&flow->ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	const struct nf_conntrack_tuple *reply = &flow->ct->tuplehash[IP_CT_DIR_REPLY].tuple;
	u32 flags = 0;

	if (!nf_inet_addr_cmp(&original->src.u3, &reply->dst.u3) ||
	    original->src.u.all != reply->dst.u.all)
		flags |= NATFLOW_FLOW_FLAG_SNAT;
	if (!nf_inet_addr_cmp(&original->dst.u3, &reply->src.u3) ||
	    original->dst.u.all != reply->src.u.all)
		flags |= NATFLOW_FLOW_FLAG_DNAT;
	if (test_bit(IPS_ASSURED_BIT, &flow->ct->status))
		flags |= NATFLOW_FLOW_FLAG_ASSURED;
	if (half_of(flow, IP_CT_DIR_ORIGINAL)->flags & NATFLOW_HALF_SYMMETRIC)
		flags |= NATFLOW_FLOW_FLAG_SYMMETRIC;
	if (proved(flow, IP_CT_DIR_ORIGINAL))
		flags |= NATFLOW_FLOW_FLAG_PROVED_ORIGINAL;
	if (proved(flow, IP_CT_DIR_REPLY))
		flags |= NATFLOW_FLOW_FLAG_PROVED_REPLY;
	return flags;
}

static void fill_ct(struct natflow_flow_record *record, const struct nf_conn *ct)
{
	const struct nf_conntrack_tuple *original = &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	const struct nf_conntrack_tuple *reply = &ct->tuplehash[IP_CT_DIR_REPLY].tuple;
	const struct nf_conn_acct *acct = nf_conn_acct_find(ct);
	int dir;

	memcpy(record->original_src, &original->src.u3, sizeof(record->original_src));
	memcpy(record->original_dst, &original->dst.u3, sizeof(record->original_dst));
	memcpy(record->reply_src, &reply->src.u3, sizeof(record->reply_src));
	memcpy(record->reply_dst, &reply->dst.u3, sizeof(record->reply_dst));
	record->original_sport = original->src.u.all;
	record->original_dport = original->dst.u.all;
	record->reply_sport = reply->src.u.all;
	record->reply_dport = reply->dst.u.all;
	for (dir = 0; acct && dir < IP_CT_DIR_MAX; dir++) {
		record->ct_packets[dir] = atomic64_read(&acct->counter[dir].packets);
		record->ct_bytes[dir] = atomic64_read(&acct->counter[dir].bytes);
	}
#ifdef CONFIG_NF_CONNTRACK_MARK
	record->mark = READ_ONCE(ct->mark);
#endif
	record->timeout = nf_ct_expires(ct) / HZ;
	if (nf_ct_protonum(ct) == IPPROTO_TCP)
		record->tcp_state = READ_ONCE(ct->proto.tcp.state);
}

static void fill_hw(struct natflow_flow_record *record, const struct natflow_flow *flow, int dir)
{
	const struct natflow_hw_dir *hw = &flow->hw[dir];

	record->hw_state[dir] = READ_ONCE(hw->state);
	record->hw_flags[dir] = READ_ONCE(hw->flags);
	record->hw_reason[dir] = natflow_offload_reason(flow, dir);
	record->hw_errno[dir] = READ_ONCE(hw->error);
	record->hw_packets[dir] = atomic64_read(&hw->packets);
	record->hw_bytes[dir] = atomic64_read(&hw->bytes);
}

static void fill_dir(struct natflow_flow_record *record, const struct natflow_flow *flow, int dir)
{
	const struct natflow_egress *egress = natflow_flow_egress(flow, dir);

	record->packets[dir] = atomic64_read(&flow->count[dir].packets);
	record->bytes[dir] = atomic64_read(&flow->count[dir].bytes);
	record->rate[dir] = READ_ONCE(flow->rate[dir]);
	fill_hw(record, flow, dir);
	record->in_ifindex[dir] = READ_ONCE(half_of(flow, dir)->iif);
	record->vlan[dir] = NATFLOW_VLAN_NONE;
	if (!egress)
		return;
	record->out_ifindex[dir] = egress->port;
	if (egress->port_encap_count && natflow_encap_is_vlan(&egress->port_encap[0]))
		record->vlan[dir] = egress->port_encap[0].id;
	memcpy(&record->mac[dir * ETH_ALEN], egress->header, ETH_ALEN);
}

/**
 * natflow_flow_fill() - write a flow's record; any context
 * @record: where to
 * @flow: the flow; under the RCU read lock or its own
 */
void natflow_flow_fill(struct natflow_flow_record *record, const struct natflow_flow *flow)
{
	memset(record, 0, sizeof(*record));
	rcu_read_lock();
	fill_ct(record, flow->ct);
	fill_dir(record, flow, IP_CT_DIR_ORIGINAL);
	fill_dir(record, flow, IP_CT_DIR_REPLY);
	record->id = flow->id;
	record->age = jiffies_to_msecs((u32)jiffies - flow->created);
	record->idle = jiffies_to_msecs(natflow_flow_idle(flow));
	record->flags = flags_of(flow);
	record->reason = READ_ONCE(flow->reason);
	record->family = flow->family;
	record->l4proto = flow->l4proto;
	record->state = natflow_flow_state(flow);
	rcu_read_unlock();
}
