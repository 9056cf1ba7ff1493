// SPDX-License-Identifier: GPL-2.0-only
/* What the hardware can forward: ports, tags, addresses, and nobody who has to see the packets. */
#include <linux/netfilter_netdev.h>
#include <net/netns/nftables.h>
#include <net/sch_generic.h>
#include <net/tcx.h>

#include "hwnat.h"

/* Does anything on the port see packets that the hardware would pass by? */
static bool watched(const struct natflow_net *nn, int ifindex, bool egress)
{
	struct net_device *dev = dev_get_by_index_rcu(nn->net, ifindex);
	const struct nf_hook_entries *hooks;

	if (!dev)
		return true;
	if (egress)
		return rcu_dereference(dev->qdisc)->handle || natflow_dev_filters_egress(dev);
	hooks = rcu_dereference(dev->nf_hooks_ingress);
	/* One of them is ours. */
	return natflow_dev_tc_ingress(dev) || (hooks && hooks->num_hook_entries > 1) ||
	       dev_xdp_prog_count(dev);
}

/* What the hardware can put on: two of 802.1Q and PPPoE; no more than one behind a switch tag. */
static bool tags_fit(const struct natflow_egress *egress, u8 pcp)
{
	unsigned int i, vlans = 0, sessions = 0;

	for (i = 0; i < egress->port_encap_count; i++) {
		if (natflow_encap_is_pppoe(&egress->port_encap[i]))
			sessions++;
		else if (egress->port_encap[i].proto == htons(ETH_P_8021Q))
			vlans++;
		else
			return false;
	}
	/* The priority bits of a tag cannot be set. */
	if (vlans && pcp)
		return false;
	if (sessions > 1 || vlans + sessions > 2)
		return false;
	return egress->kind != NATFLOW_EGRESS_KIND_DSA || vlans + sessions < 2;
}

static enum natflow_reason egress_fits(struct natflow_flow *flow, int dir,
				       const struct natflow_egress *egress, u8 *flags)
{
	const struct natflow_net *nn = flow->nn;
	const struct hwnat_port *port;

	if (egress->shaped)
		return NATFLOW_REASON_HW_QDISC;
	switch (egress->kind) {
	case NATFLOW_EGRESS_KIND_WDMA:
		if (!hwnat_profile->wed)
			return NATFLOW_REASON_HW_EGRESS;
		if (!READ_ONCE(nn->config.hwnat_wed))
			return NATFLOW_REASON_HW_WED_OFF;
		*flags |= NATFLOW_HW_FLAG_WED;
		break;
	case NATFLOW_EGRESS_KIND_ETHERNET:
	case NATFLOW_EGRESS_KIND_DSA:
		port = hwnat_port_find(nn, egress->port);
		if (!port || !READ_ONCE(port->door) || port->kind == HWNAT_PORT_WLAN)
			return NATFLOW_REASON_HW_EGRESS;
		break;
	default:
		return NATFLOW_REASON_HW_EGRESS;
	}
	if (!tags_fit(egress, flow->pcp[dir]))
		return NATFLOW_REASON_HW_TAGS;
	if (watched(nn, egress->port, true) ||
	    (egress->conduit && watched(nn, egress->conduit, true)))
		return NATFLOW_REASON_HW_QDISC;
	return NATFLOW_REASON_NONE;
}

/* @back: where the other direction leaves; by the same port that this one comes in */
static enum natflow_reason ingress_fits(const struct natflow_flow *flow, int iif,
					const struct natflow_egress *back,
					struct hwnat_door **door, u8 *flags)
{
	const struct hwnat_port *port = hwnat_port_find(flow->nn, iif);
	bool wed = back && back->kind == NATFLOW_EGRESS_KIND_WDMA && back->port == iif;

	if (!port)
		return NATFLOW_REASON_HW_INGRESS;
	if (port->kind == HWNAT_PORT_WLAN) {
		if (!wed || !hwnat_profile->wed)
			return NATFLOW_REASON_HW_INGRESS;
		if (hwnat_profile->wed == 1)
			return NATFLOW_REASON_HW_WED_RX;
		if (!READ_ONCE(flow->nn->config.hwnat_wed))
			return NATFLOW_REASON_HW_WED_OFF;
		*flags |= NATFLOW_HW_FLAG_WED_RX;
	}
	*door = READ_ONCE(port->door);
	if (!*door)
		return NATFLOW_REASON_HW_INGRESS;
	return watched(flow->nn, iif, false) ? NATFLOW_REASON_HW_QDISC : NATFLOW_REASON_NONE;
}

/**
 * hwnat_egress() - the living way out of a direction, or NULL; under the flow's lock
 * @flow: the flow
 * @dir: the direction
 */
struct natflow_egress *hwnat_egress(struct natflow_flow *flow, int dir)
{
	struct natflow_egress *egress =
		rcu_dereference_protected(natflow_flow_half(flow, dir)->egress,
					  lockdep_is_held(&flow->lock));

	return egress && !READ_ONCE(egress->dead) ? egress : NULL;
}

/**
 * hwnat_fits() - can the hardware forward a direction at all; under RCU and the flow's lock
 * @flow: the flow
 * @dir: the direction
 * @door: set to the door it would go through
 * @flags: set to enum natflow_hw_flag
 *
 * Return: NATFLOW_REASON_NONE when it can.
 */
enum natflow_reason hwnat_fits(struct natflow_flow *flow, int dir, struct hwnat_door **door,
			       u8 *flags)
{
	const struct natflow_half *half = natflow_flow_half(flow, dir);
	const struct natflow_egress *egress = hwnat_egress(flow, dir);
	enum natflow_reason reason;

	*door = NULL;
	*flags = hwnat_profile->counters ? 0 : NATFLOW_HW_FLAG_ESTIMATED;
	if (!egress || !half->iif)
		return NATFLOW_REASON_HW_UNPROVED;
	if (flow->family == AF_INET6 && half->flags & NATFLOW_HALF_NAT)
		return NATFLOW_REASON_HW_IPV6_NAT;
	reason = egress_fits(flow, dir, egress, flags);
	if (!reason)
		reason = ingress_fits(flow, half->iif, hwnat_egress(flow, !dir), door, flags);
	return reason;
}

/**
 * hwnat_proved() - has the slow path let a packet through under the present rules
 * @flow: the flow
 * @dir: the direction
 *
 * Since it was taken back from the hardware, if it was there.
 */
bool hwnat_proved(const struct natflow_flow *flow, int dir)
{
	const struct natflow_proof *proof = &flow->proof[dir];
	const struct natflow_net *nn = flow->nn;

	/* Pairs with prove(), which writes the generation last. */
	return smp_load_acquire(&proof->gen) == (u32)atomic_read(&nn->gen) &&
	       READ_ONCE(proof->ruleset) == natflow_ruleset(nn->net) &&
	       time_before32((u32)jiffies, READ_ONCE(proof->until)) &&
	       (!flow->hw_withdrawn || time_after32(READ_ONCE(proof->at), flow->hw_withdrawn));
}
