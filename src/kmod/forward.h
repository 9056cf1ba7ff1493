/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_FORWARD_H
#define NATFLOW_FORWARD_H

#include <linux/netfilter.h>

unsigned int natflow_forward(void *priv, struct sk_buff *skb, const struct nf_hook_state *state);

#endif /* NATFLOW_FORWARD_H */
