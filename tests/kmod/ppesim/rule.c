// SPDX-License-Identifier: GPL-2.0-only
/*
 * Match keys and actions of a flow, read as mtk_eth_soc reads them: which it wants, which it
 * refuses, which it ignores, and what it makes of a mask that is not what it expects.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <net/net_namespace.h>

#include "ppesim.h"

/**
 * struct headers - what the actions make of a packet's headers
 * @eth: MAC addresses
 * @src: IPv4 source address
 * @dst: IPv4 destination address
 * @sport: source port
 * @dport: destination port
 */
struct headers {
	struct ethhdr	eth;
	__be32		src;
	__be32		dst;
	__be16		sport;
	__be16		dport;
};

/* Four bytes, or two where the mask keeps the other two; the value's place follows the mask. */
static void mangle_eth(const struct flow_action_entry *act, struct ethhdr *eth)
{
	const u8 *val = (const u8 *)&act->mangle.val;
	unsigned int to = act->mangle.offset;

	if (to > 8)
		return;
	if (act->mangle.mask == 0xffff) {
		val += 2;
		to += 2;
	}
	memcpy((u8 *)eth + to, val, act->mangle.mask ? 2 : 4);
}

static int mangle_ports(const struct flow_action_entry *act, struct headers *headers)
{
	u32 val = ntohl((__force __be32)act->mangle.val);

	switch (act->mangle.offset) {
	case 0:
		/* Whatever is not the exact mask of the destination port is a source port. */
		if (act->mangle.mask == (__force u32)~htonl(0xffff))
			headers->dport = cpu_to_be16(val);
		else
			headers->sport = cpu_to_be16(val >> 16);
		return 0;
	case 2:
		headers->dport = cpu_to_be16(val);
		return 0;
	default:
		return -EINVAL;
	}
}

static int mangle_ipv4(const struct flow_action_entry *act, struct headers *headers)
{
	switch (act->mangle.offset) {
	case offsetof(struct iphdr, saddr):
		headers->src = (__force __be32)act->mangle.val;
		return 0;
	case offsetof(struct iphdr, daddr):
		headers->dst = (__force __be32)act->mangle.val;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The first look at the actions: MAC addresses, tags, egress device. */
static int read_actions(const struct flow_rule *rule, struct ppesim_flow *flow,
			struct headers *headers, struct net_device **odev)
{
	struct ppesim_rewrite *rewrite = &flow->rewrite;
	const struct flow_action_entry *act;
	int i;

	flow_action_for_each(i, act, &rule->action) {
		switch (act->id) {
		case FLOW_ACTION_MANGLE:
			if (act->mangle.htype == FLOW_ACT_MANGLE_HDR_TYPE_ETH)
				mangle_eth(act, &headers->eth);
			break;
		case FLOW_ACTION_REDIRECT:
			*odev = act->dev;
			break;
		case FLOW_ACTION_CSUM:
		case FLOW_ACTION_VLAN_POP:
			break;
		case FLOW_ACTION_VLAN_PUSH:
			if (rewrite->vlans + rewrite->pppoe == 2 ||
			    act->vlan.proto != htons(ETH_P_8021Q))
				return -EOPNOTSUPP;
			rewrite->vlan[rewrite->vlans++] = act->vlan.vid;
			break;
		case FLOW_ACTION_PPPOE_PUSH:
			if (rewrite->pppoe || rewrite->vlans == 2)
				return -EOPNOTSUPP;
			rewrite->session = act->pppoe.sid;
			rewrite->pppoe = true;
			break;
		default:
			return -EOPNOTSUPP;
		}
	}
	return 0;
}

/* The second look: addresses and ports. */
static int read_nat(const struct flow_rule *rule, struct headers *headers)
{
	const struct flow_action_entry *act;
	int i, err = 0;

	flow_action_for_each(i, act, &rule->action) {
		if (act->id != FLOW_ACTION_MANGLE)
			continue;
		switch (act->mangle.htype) {
		case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
		case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
			err = mangle_ports(act, headers);
			break;
		case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
			err = mangle_ipv4(act, headers);
			break;
		case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
			break;
		default:
			/* IPv6 among them: the hardware cannot translate its addresses. */
			return -EOPNOTSUPP;
		}
		if (err)
			return err;
	}
	return 0;
}

static void key_from_ipv6(u32 *to, const struct in6_addr *from)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		to[i] = ntohl(from->s6_addr32[i]);
}

/* The tuple that the hardware will look for. Masks are not read. */
static int read_tuple(const struct flow_rule *rule, struct ppesim_flow *flow,
		      struct headers *headers)
{
	struct ppesim_key *key = &flow->key;
	struct flow_match_ports ports;

	if (!flow_rule_match_key(rule, FLOW_DISSECTOR_KEY_PORTS))
		return -EOPNOTSUPP;
	flow_rule_match_ports(rule, &ports);
	headers->sport = ports.key->src;
	headers->dport = ports.key->dst;
	key->sport = ntohs(ports.key->src);
	key->dport = ntohs(ports.key->dst);
	if (key->type == PPESIM_FOE_IPV4_HNAPT) {
		struct flow_match_ipv4_addrs addrs;

		flow_rule_match_ipv4_addrs(rule, &addrs);
		headers->src = addrs.key->src;
		headers->dst = addrs.key->dst;
		key->src[3] = ntohl(headers->src);
		key->dst[3] = ntohl(headers->dst);
	} else {
		struct flow_match_ipv6_addrs addrs;

		flow_rule_match_ipv6_addrs(rule, &addrs);
		key_from_ipv6(key->src, &addrs.key->src);
		key_from_ipv6(key->dst, &addrs.key->dst);
	}
	return 0;
}

/* Is this the device of the ingress key? Looked for where the driver looks for it. */
static bool is_ingress(struct ppesim_soc *soc, const struct ppesim_port *port, int ifindex)
{
	if (!port || port->dev->ifindex != ifindex)
		return false;
	if (ppesim_knob(soc, INIT_NET_ONLY))
		return net_eq(dev_net(port->dev), &init_net);
	return dev_net(port->dev)->net_cookie == soc->home;
}

/* Under RCU. */
static struct ppesim_port *find_gmac(struct ppesim_soc *soc, int ifindex)
{
	unsigned int i;

	for (i = 0; i < PPESIM_GMACS; i++) {
		struct ppesim_port *port = rcu_dereference(soc->gmac[i]);

		if (is_ingress(soc, port, ifindex))
			return port;
	}
	return NULL;
}

/* Under RCU. */
static struct ppesim_port *find_port(struct ppesim_soc *soc, int ifindex)
{
	struct ppesim_port *port = find_gmac(soc, ifindex);
	unsigned int i;

	for (i = 0; !port && i < PPESIM_GMACS * PPESIM_USER_PORTS; i++) {
		port = rcu_dereference(soc->user[i / PPESIM_USER_PORTS][i % PPESIM_USER_PORTS]);
		if (!is_ingress(soc, port, ifindex))
			port = NULL;
	}
	for (i = 0; !port && i < PPESIM_WLANS; i++) {
		port = rcu_dereference(soc->wlan[i]);
		if (!is_ingress(soc, port, ifindex))
			port = NULL;
	}
	return port;
}

/* Chooses the engine by a GMAC of the ingress key; else it stays the one of the callback. */
static void read_ingress(struct ppesim_soc *soc, int ifindex, struct ppesim_flow *flow)
{
	struct ppesim_port *port;

	rcu_read_lock();
	port = find_gmac(soc, ifindex);
	if (port && soc->profile->netsys >= 2)
		flow->ppe = &soc->ppe[ppesim_gmac_ppe(soc, port->index)];
	rcu_read_unlock();
}

/* What the driver accepts and a caller should not have sent. */
static void judge(struct ppesim_soc *soc, const struct flow_rule *rule,
		  const struct net_device *odev, const struct ppesim_flow *flow)
{
	const struct ppesim_rewrite *rewrite = &flow->rewrite;
	struct flow_match_basic basic;
	struct flow_match_meta meta;
	struct ppesim_port *port;

	flow_rule_match_basic(rule, &basic);
	if (basic.key->ip_proto != IPPROTO_UDP && basic.key->ip_proto != IPPROTO_TCP)
		ppesim_detect(soc, NOT_TCP_UDP);
	flow_rule_match_meta(rule, &meta);
	rcu_read_lock();
	port = find_port(soc, meta.key->ingress_ifindex);
	if (port && ppesim_port_ppe(port) != flow->ppe->index)
		ppesim_detect(soc, WRONG_PPE);
	if ((port && !netif_running(port->dev)) || !netif_running(odev))
		ppesim_detect(soc, DEVICE_DOWN);
	rcu_read_unlock();
	if (rewrite->dsa >= 0 && rewrite->vlans + rewrite->pppoe > 1)
		ppesim_detect(soc, DSA_TWO_TAGS);
	/* The second tag's place holds the station's number then. */
	if (flow->wed >= 0 && soc->profile->netsys == 1 && rewrite->vlans > 1)
		ppesim_detect(soc, TAGS_IGNORED);
}

static int read_keys(struct ppesim_soc *soc, const struct flow_rule *rule,
		     struct ppesim_flow *flow)
{
	struct flow_match_control control;
	struct flow_match_basic basic;
	struct flow_match_meta meta;

	if (!flow_rule_match_key(rule, FLOW_DISSECTOR_KEY_META))
		return -EOPNOTSUPP;
	flow_rule_match_meta(rule, &meta);
	if (!flow_rule_match_key(rule, FLOW_DISSECTOR_KEY_CONTROL))
		return -EOPNOTSUPP;
	flow_rule_match_control(rule, &control);
	if (control.mask->flags)
		return -EOPNOTSUPP;
	if (!flow_rule_match_key(rule, FLOW_DISSECTOR_KEY_BASIC))
		return -EOPNOTSUPP;
	flow_rule_match_basic(rule, &basic);
	flow->key.udp = basic.key->ip_proto == IPPROTO_UDP;
	switch (control.key->addr_type) {
	case FLOW_DISSECTOR_KEY_IPV4_ADDRS:
		flow->key.type = PPESIM_FOE_IPV4_HNAPT;
		break;
	case FLOW_DISSECTOR_KEY_IPV6_ADDRS:
		flow->key.type = PPESIM_FOE_IPV6_5T;
		break;
	default:
		/* Bridged flows are not simulated. */
		return -EOPNOTSUPP;
	}
	read_ingress(soc, meta.key->ingress_ifindex, flow);
	return 0;
}

/* Where to: a station behind WED, a switch port with MediaTek's tag, or a GMAC of this SoC. */
static int read_egress(struct ppesim_soc *soc, struct net_device *odev, struct ppesim_flow *flow)
{
	struct ppesim_rewrite *rewrite = &flow->rewrite;
	struct net_device_path_stack stack;
	struct net_device_path *path;
	struct ppesim_port *port;
	int err;

	if (!odev)
		return -EOPNOTSUPP;
	rcu_read_lock();
	err = dev_fill_forward_path(odev, rewrite->dst_mac, &stack);
	rcu_read_unlock();
	path = &stack.path[stack.num_paths - 1];
	if (!err && path->type == DEV_PATH_MTK_WDMA) {
		if (path->mtk_wdma.wdma_idx >= soc->profile->weds)
			return -EINVAL;
		rewrite->pse = PPESIM_PSE_WDMA + path->mtk_wdma.wdma_idx;
		rewrite->bss = path->mtk_wdma.bss;
		rewrite->wcid = path->mtk_wdma.wcid;
		flow->wed = path->mtk_wdma.wdma_idx;
		return 0;
	}
	port = ppesim_port_of(odev);
	if (!port || port->soc != soc || port->kind == PPESIM_WLAN)
		return -EOPNOTSUPP;
	if (port->kind == PPESIM_DSA) {
		if (!port->mediatek_tag)
			return -EOPNOTSUPP;
		rewrite->dsa = port->index;
		rewrite->pse = port->conduit;
	} else {
		rewrite->pse = port->index;
	}
	return 0;
}

/**
 * ppesim_rule_read() - a flow's keys and actions as the driver understands them
 * @soc: the SoC
 * @rule: keys and actions
 * @flow: filled in; its engine may change
 *
 * Return: 0, or the negative errno that the driver gives.
 */
int ppesim_rule_read(struct ppesim_soc *soc, struct flow_rule *rule, struct ppesim_flow *flow)
{
	struct ppesim_rewrite *rewrite = &flow->rewrite;
	struct net_device *odev = NULL;
	struct headers headers = {};
	int err;

	rewrite->dsa = -1;
	err = read_keys(soc, rule, flow);
	if (!err)
		err = read_actions(rule, flow, &headers, &odev);
	if (err)
		return err;
	if (!is_valid_ether_addr(headers.eth.h_source) || !is_valid_ether_addr(headers.eth.h_dest))
		return -EINVAL;
	ether_addr_copy(rewrite->dst_mac, headers.eth.h_dest);
	ether_addr_copy(rewrite->src_mac, headers.eth.h_source);
	err = read_tuple(rule, flow, &headers);
	if (!err)
		err = read_nat(rule, &headers);
	if (err)
		return err;
	rewrite->src = ntohl(headers.src);
	rewrite->dst = ntohl(headers.dst);
	rewrite->sport = ntohs(headers.sport);
	rewrite->dport = ntohs(headers.dport);
	err = read_egress(soc, odev, flow);
	if (!err)
		judge(soc, rule, odev, flow);
	return err;
}
