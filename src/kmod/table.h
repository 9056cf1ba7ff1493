/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_TABLE_H
#define NATFLOW_TABLE_H

#include "flow.h"
#include "net.h"

void natflow_table_seed(void);
int natflow_table_init(struct natflow_net *nn);
void natflow_table_destroy(struct natflow_net *nn);

struct natflow_half *natflow_table_find4(struct natflow_net *nn, const struct natflow_key4 *key);
struct natflow_half *natflow_table_find6(struct natflow_net *nn, const struct natflow_key6 *key);
struct natflow_half *natflow_table_find(struct natflow_net *nn,
					const struct nf_conntrack_tuple *tuple);
int natflow_table_insert(struct natflow_net *nn, struct natflow_flow *flow);
void natflow_table_remove(struct natflow_net *nn, struct natflow_flow *flow);

void natflow_key4_set(struct natflow_key4 *key, const struct nf_conntrack_tuple *tuple);
bool natflow_key4_same(const struct natflow_key4 *a, const struct natflow_key4 *b);
bool natflow_key6_same(const struct natflow_key6 *a, const struct natflow_key6 *b);
void natflow_key6_set(struct natflow_key6 *key, const struct nf_conntrack_tuple *tuple);

#endif /* NATFLOW_TABLE_H */
