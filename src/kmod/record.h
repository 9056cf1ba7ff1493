/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_RECORD_H
#define NATFLOW_RECORD_H

#include "flow.h"

struct natflow_egress *natflow_flow_egress(const struct natflow_flow *flow, int dir);
void natflow_flow_fill(struct natflow_flow_record *record, const struct natflow_flow *flow);

#endif /* NATFLOW_RECORD_H */
