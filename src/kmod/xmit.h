/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_XMIT_H
#define NATFLOW_XMIT_H

#include <linux/skbuff.h>

#include "flow.h"
#include "path.h"

void natflow_xmit(struct sk_buff *skb, const struct natflow_egress *egress,
		  const struct natflow_flow *flow, int dir);

#endif /* NATFLOW_XMIT_H */
