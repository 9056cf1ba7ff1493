/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_CONFIG_H
#define NATFLOW_CONFIG_H

#include "net.h"

int natflow_config_check_parameters(void);
void natflow_config_default(struct natflow_net *nn);
int natflow_config_apply(struct natflow_net *nn, const struct natflow_config *config);

#endif /* NATFLOW_CONFIG_H */
