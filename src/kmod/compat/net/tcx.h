/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a device keeps its tc and netfilter programs differs: <net/tcx.h> came with 6.6. */
#ifndef NATFLOW_COMPAT_NET_TCX_H
#define NATFLOW_COMPAT_NET_TCX_H

#ifdef NATFLOW_HAVE_TCX
#include_next <net/tcx.h>
#endif
#include <linux/netdevice.h>

#if defined(NATFLOW_HAVE_TCX) && defined(CONFIG_NET_XGRESS)
/* A clsact qdisc makes entries for both directions, and fills in those that have filters. */
static inline bool natflow_tcx_runs(struct bpf_mprog_entry *entry)
{
	return entry && (rcu_access_pointer(tcx_entry(entry)->miniq) ||
			 READ_ONCE(entry->fp_items[0].prog));
}
#endif

/* Is there a tc program that looks at what the device receives? Under RCU. */
static inline bool natflow_dev_tc_ingress(const struct net_device *dev)
{
#ifdef NATFLOW_HAVE_TCX
#ifdef CONFIG_NET_XGRESS
	return natflow_tcx_runs(rcu_dereference(dev->tcx_ingress));
#endif
#else
#ifdef CONFIG_NET_CLS_ACT
	return rcu_access_pointer(dev->miniq_ingress);
#endif
#endif
	return false;
}

/* Is there a tc or netfilter program that does? Under RCU. */
static inline bool natflow_dev_filters_ingress(const struct net_device *dev)
{
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return true;
#endif
	return natflow_dev_tc_ingress(dev);
}

/* Is there one that looks at what is sent? Under RCU. */
static inline bool natflow_dev_filters_egress(const struct net_device *dev)
{
#ifdef CONFIG_NETFILTER_EGRESS
	if (rcu_access_pointer(dev->nf_hooks_egress))
		return true;
#endif
#ifdef NATFLOW_HAVE_TCX
#ifdef CONFIG_NET_XGRESS
	return natflow_tcx_runs(rcu_dereference(dev->tcx_egress));
#endif
#else
#ifdef CONFIG_NET_EGRESS
	return rcu_access_pointer(dev->miniq_egress);
#endif
#endif
	return false;
}

#endif /* NATFLOW_COMPAT_NET_TCX_H */
