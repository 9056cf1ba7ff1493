/* SPDX-License-Identifier: GPL-2.0-only */
/* Some kernels show the number of the last ruleset commit in struct net, others do not. */
#ifndef NATFLOW_COMPAT_NET_NETNS_NFTABLES_H
#define NATFLOW_COMPAT_NET_NETNS_NFTABLES_H

#include <linux/types.h>
#include_next <net/netns/nftables.h>

#if defined(NATFLOW_HAVE_NFT_BASE_SEQ) && IS_ENABLED(CONFIG_NF_TABLES)
#define natflow_ruleset(net)	((u32)READ_ONCE((net)->nft.base_seq))
#define NATFLOW_FEATURE_RULESET	" ruleset-seq"
#else
#define natflow_ruleset(net)	((void)(net), 0U)
#define NATFLOW_FEATURE_RULESET	""
#endif

#endif /* NATFLOW_COMPAT_NET_NETNS_NFTABLES_H */
