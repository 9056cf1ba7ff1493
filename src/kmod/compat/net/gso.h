/* SPDX-License-Identifier: GPL-2.0-only */
/* Before 6.5 what <net/gso.h> declares stood in <linux/skbuff.h> and <linux/netdevice.h>. */
#ifndef NATFLOW_COMPAT_NET_GSO_H
#define NATFLOW_COMPAT_NET_GSO_H

#ifdef NATFLOW_HAVE_NET_GSO_H
#include_next <net/gso.h>
#else
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#endif

#endif /* NATFLOW_COMPAT_NET_GSO_H */
