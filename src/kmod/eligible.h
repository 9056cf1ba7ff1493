/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_ELIGIBLE_H
#define NATFLOW_ELIGIBLE_H

#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>

#include "net.h"

struct natflow_flow;

enum natflow_reason natflow_ct_eligible(const struct natflow_net *nn, const struct nf_conn *ct,
					const struct natflow_flow *flow);
enum natflow_reason natflow_skb_eligible(const struct sk_buff *skb, u8 family);
enum natflow_reason natflow_delay_eligible(const struct natflow_net *nn, const struct nf_conn *ct,
					   u32 seen);
bool natflow_reason_lasts(enum natflow_reason reason);

#endif /* NATFLOW_ELIGIBLE_H */
