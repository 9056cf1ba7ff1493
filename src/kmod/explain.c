// SPDX-License-Identifier: GPL-2.0-only
/* The netlink command that tells how the flow of a tuple is forwarded, and why. */
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_zones.h>

#include "command.h"
#include "eligible.h"
#include "exception.h"
#include "flow.h"
#include "net.h"
#include "path.h"
#include "record.h"
#include "table.h"

const struct nla_policy natflow_tuple_policy[NATFLOW_A_TUPLE_MAX + 1] = {
	[NATFLOW_A_TUPLE_FAMILY] = { .type = NLA_U8 },
	[NATFLOW_A_TUPLE_L4PROTO] = { .type = NLA_U8 },
	[NATFLOW_A_TUPLE_SRC] =
		NLA_POLICY_RANGE(NLA_BINARY, sizeof(struct in_addr), NATFLOW_TUPLE_SRC_LEN_MAX),
	[NATFLOW_A_TUPLE_DST] =
		NLA_POLICY_RANGE(NLA_BINARY, sizeof(struct in_addr), NATFLOW_TUPLE_DST_LEN_MAX),
	[NATFLOW_A_TUPLE_SPORT] = { .type = NLA_BE16 },
	[NATFLOW_A_TUPLE_DPORT] = { .type = NLA_BE16 },
};

static int parse_addr(union nf_inet_addr *addr, const struct nlattr *attr, u8 family,
		      struct netlink_ext_ack *extack)
{
	int len = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);

	if (nla_len(attr) != len) {
		if (family == AF_INET)
			NL_SET_ERR_MSG_ATTR(extack, attr, "an IPv4 address has 4 bytes");
		else
			NL_SET_ERR_MSG_ATTR(extack, attr, "an IPv6 address has 16 bytes");
		return -EINVAL;
	}
	memcpy(addr, nla_data(attr), len);
	return 0;
}

/* Protocols without ports keep other things there; conntrack's tuple is zero where it has none. */
static int parse_ports(struct nf_conntrack_tuple *tuple, struct nlattr **tb,
		       const struct nlattr *nest, struct netlink_ext_ack *extack)
{
	u8 proto = tuple->dst.protonum;

	if ((proto == IPPROTO_TCP || proto == IPPROTO_UDP) &&
	    (NL_REQ_ATTR_CHECK(extack, nest, tb, NATFLOW_A_TUPLE_SPORT) ||
	     NL_REQ_ATTR_CHECK(extack, nest, tb, NATFLOW_A_TUPLE_DPORT))) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "a TCP or UDP tuple needs both ports");
		return -EINVAL;
	}
	if (tb[NATFLOW_A_TUPLE_SPORT])
		tuple->src.u.all = nla_get_be16(tb[NATFLOW_A_TUPLE_SPORT]);
	if (tb[NATFLOW_A_TUPLE_DPORT])
		tuple->dst.u.all = nla_get_be16(tb[NATFLOW_A_TUPLE_DPORT]);
	return 0;
}

static int parse_tuple(struct nf_conntrack_tuple *tuple, const struct nlattr *nest,
		       struct netlink_ext_ack *extack)
{
	struct nlattr *tb[NATFLOW_A_TUPLE_MAX + 1];
	u8 family;
	int err;

	err = nla_parse_nested(tb, NATFLOW_A_TUPLE_MAX, nest, natflow_tuple_policy, extack);
	if (err)
		return err;
	if (NL_REQ_ATTR_CHECK(extack, nest, tb, NATFLOW_A_TUPLE_FAMILY) ||
	    NL_REQ_ATTR_CHECK(extack, nest, tb, NATFLOW_A_TUPLE_L4PROTO) ||
	    NL_REQ_ATTR_CHECK(extack, nest, tb, NATFLOW_A_TUPLE_SRC) ||
	    NL_REQ_ATTR_CHECK(extack, nest, tb, NATFLOW_A_TUPLE_DST)) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "a tuple needs family, l4proto, src and dst");
		return -EINVAL;
	}
	family = nla_get_u8(tb[NATFLOW_A_TUPLE_FAMILY]);
	if (family != AF_INET && family != AF_INET6) {
		NL_SET_ERR_MSG_ATTR(extack, tb[NATFLOW_A_TUPLE_FAMILY],
				    "the family is 2 (IPv4) or 10 (IPv6)");
		return -EAFNOSUPPORT;
	}
	memset(tuple, 0, sizeof(*tuple));
	tuple->src.l3num = family;
	tuple->dst.protonum = nla_get_u8(tb[NATFLOW_A_TUPLE_L4PROTO]);
	err = parse_addr(&tuple->src.u3, tb[NATFLOW_A_TUPLE_SRC], family, extack);
	if (!err)
		err = parse_addr(&tuple->dst.u3, tb[NATFLOW_A_TUPLE_DST], family, extack);
	if (!err)
		err = parse_ports(tuple, tb, nest, extack);
	return err;
}

static int put_verdict(struct sk_buff *skb, enum natflow_state state, enum natflow_reason reason,
		       bool tracked)
{
	if (nla_put_u8(skb, NATFLOW_A_MAIN_STATE, state) ||
	    nla_put_u16(skb, NATFLOW_A_MAIN_REASON, reason) ||
	    nla_put_u8(skb, NATFLOW_A_MAIN_TRACKED, tracked))
		return -EMSGSIZE;
	return 0;
}

/* The frame as it is on the port, from the outside to the inside. */
static int put_encap(struct sk_buff *skb, const struct natflow_egress *egress)
{
	int attr = NATFLOW_A_PATH_VLAN;
	unsigned int i;

	for (i = 0; i < egress->port_encap_count; i++) {
		if (natflow_encap_is_pppoe(&egress->port_encap[i]))
			attr = NATFLOW_A_PATH_PPPOE;
		if (nla_put_u16(skb, attr, egress->port_encap[i].id))
			return -EMSGSIZE;
		attr = NATFLOW_A_PATH_INNER_VLAN;
	}
	return 0;
}

static int put_egress(struct sk_buff *skb, const struct natflow_egress *egress)
{
	if (nla_put_u32(skb, NATFLOW_A_PATH_DST_IFINDEX, egress->path[0]) ||
	    nla_put_u32(skb, NATFLOW_A_PATH_OUT_IFINDEX, egress->port) ||
	    nla_put_u32(skb, NATFLOW_A_PATH_MTU, egress->mtu) ||
	    nla_put_u8(skb, NATFLOW_A_PATH_KIND, egress->kind))
		return -EMSGSIZE;
	if (egress->kind != NATFLOW_EGRESS_KIND_L3 &&
	    nla_put(skb, NATFLOW_A_PATH_MAC, ETH_ALEN, egress->header))
		return -EMSGSIZE;
	if (egress->conduit && nla_put_u32(skb, NATFLOW_A_PATH_CONDUIT, egress->conduit))
		return -EMSGSIZE;
	if (egress->shaped && nla_put_u32(skb, NATFLOW_A_PATH_SHAPER, egress->dev->ifindex))
		return -EMSGSIZE;
	return put_encap(skb, egress);
}

/* Nothing for a direction of which nothing is known. */
static int put_path(struct sk_buff *skb, struct natflow_flow *flow, int dir)
{
	const struct natflow_egress *egress = natflow_flow_egress(flow, dir);
	const struct natflow_proof *proof = &flow->proof[dir];
	u32 iif = READ_ONCE(natflow_flow_half(flow, dir)->iif);
	struct nlattr *nest;

	if (!egress && !iif)
		return 0;
	nest = nla_nest_start(skb, NATFLOW_A_MAIN_PATH);
	if (!nest || nla_put_u8(skb, NATFLOW_A_PATH_DIRECTION, dir) ||
	    (iif && nla_put_u32(skb, NATFLOW_A_PATH_IN_IFINDEX, iif)) ||
	    (egress && put_egress(skb, egress)))
		return -EMSGSIZE;
	/* Generations begin with 1: without one the direction was never proved. */
	if (smp_load_acquire(&proof->gen) &&
	    nla_put_u32(skb, NATFLOW_A_PATH_PROVED,
			jiffies_to_msecs((u32)jiffies - READ_ONCE(proof->at))))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* @number is negative where a mark of the settings excludes the flow. */
static int put_exception(struct sk_buff *skb, int number)
{
	return number < 0 ? 0 : nla_put_u32(skb, NATFLOW_A_MAIN_EXCEPTION_INDEX, number);
}

static int put_flow(struct sk_buff *skb, struct natflow_flow *flow)
{
	struct natflow_flow_record record;

	natflow_flow_fill(&record, flow);
	if (put_verdict(skb, record.state, record.reason, true) ||
	    (record.reason == NATFLOW_REASON_EXCLUDED &&
	     put_exception(skb, natflow_exception_of_flow(flow))) ||
	    nla_put_u32(skb, NATFLOW_A_MAIN_RECORD_SIZE, sizeof(record)) ||
	    nla_put(skb, NATFLOW_A_MAIN_FLOW_RECORDS, sizeof(record), &record) ||
	    put_path(skb, flow, IP_CT_DIR_ORIGINAL) || put_path(skb, flow, IP_CT_DIR_REPLY))
		return -EMSGSIZE;
	return 0;
}

/* Why a connection has no flow. */
static enum natflow_reason why_none(struct natflow_net *nn, const struct nf_conn *ct)
{
	enum natflow_reason reason;

	if (!READ_ONCE(nn->config.enabled))
		return NATFLOW_REASON_DISABLED;
	reason = natflow_ct_eligible(nn, ct, NULL);
	if (!reason)
		reason = natflow_delay_eligible(nn, ct, 0);
	return reason ? reason : NATFLOW_REASON_NO_FLOW;
}

static int put_no_flow(struct sk_buff *skb, struct natflow_net *nn, const struct nf_conn *ct)
{
	enum natflow_reason reason = why_none(nn, ct);
	enum natflow_state state = NATFLOW_STATE_SLOW;

	/* As of a flow that counts its packets by itself. */
	if (reason == NATFLOW_REASON_DELAY)
		state = NATFLOW_STATE_LEARNING;
	if (reason == NATFLOW_REASON_EXCLUDED &&
	    put_exception(skb, natflow_exception_of_ct(nn, ct)))
		return -EMSGSIZE;
	return put_verdict(skb, state, reason, true);
}

static int put_connection(struct sk_buff *skb, struct natflow_net *nn,
			  const struct nf_conntrack_tuple *tuple, const struct nf_conn *ct)
{
	struct natflow_half *half;
	int err;

	rcu_read_lock();
	half = natflow_table_find(nn, tuple);
	if (half && natflow_half_flow(half, nf_ct_l3num(ct))->ct == ct)
		err = put_flow(skb, natflow_half_flow(half, nf_ct_l3num(ct)));
	else
		err = put_no_flow(skb, nn, ct);
	rcu_read_unlock();
	return err;
}

static int put_explanation(struct sk_buff *skb, struct natflow_net *nn,
			   const struct nf_conntrack_tuple *tuple)
{
	struct nf_conntrack_tuple_hash *hash;
	struct nf_conn *ct;
	int err;

	hash = nf_conntrack_find_get(nn->net, &nf_ct_zone_dflt, tuple);
	if (!hash)
		return put_verdict(skb, NATFLOW_STATE_SLOW, NATFLOW_REASON_UNTRACKED, false);
	ct = nf_ct_tuplehash_to_ctrack(hash);
	err = put_connection(skb, nn, tuple, ct);
	nf_ct_put(ct);
	return err;
}

int natflow_flow_explain(struct sk_buff *skb, struct genl_info *info)
{
	struct natflow_net *nn = natflow_net(genl_info_net(info));
	struct nf_conntrack_tuple tuple;
	struct sk_buff *answer;
	void *header;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, NATFLOW_A_MAIN_TUPLE)) {
		GENL_SET_ERR_MSG(info, "flow-explain needs a tuple");
		return -EINVAL;
	}
	err = parse_tuple(&tuple, info->attrs[NATFLOW_A_MAIN_TUPLE], info->extack);
	if (err)
		return err;
	answer = natflow_answer(info, &header);
	if (!answer)
		return -ENOMEM;
	if (put_explanation(answer, nn, &tuple))
		return natflow_answer_fails(answer);
	genlmsg_end(answer, header);
	return genlmsg_reply(answer, info);
}
