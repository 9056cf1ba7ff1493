/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a device keeps its tc and netfilter programs differs between kernels. */
#ifndef NATFLOW_COMPAT_LINUX_NETDEVICE_H
#define NATFLOW_COMPAT_LINUX_NETDEVICE_H

#include_next <linux/netdevice.h>

/* Is there a tc or netfilter program on the device, in either direction? */
static inline bool natflow_dev_has_filter(const struct net_device *dev)
{
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return true;
#endif
#ifdef CONFIG_NETFILTER_EGRESS
	if (rcu_access_pointer(dev->nf_hooks_egress))
		return true;
#endif
#ifdef NATFLOW_HAVE_TCX
#ifdef CONFIG_NET_XGRESS
	if (rcu_access_pointer(dev->tcx_ingress) || rcu_access_pointer(dev->tcx_egress))
		return true;
#endif
#else
#ifdef CONFIG_NET_CLS_ACT
	if (rcu_access_pointer(dev->miniq_ingress))
		return true;
#endif
#ifdef CONFIG_NET_EGRESS
	if (rcu_access_pointer(dev->miniq_egress))
		return true;
#endif
#endif
	return false;
}

#endif /* NATFLOW_COMPAT_LINUX_NETDEVICE_H */
