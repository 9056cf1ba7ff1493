/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_AGE_H
#define NATFLOW_AGE_H

#include "net.h"

void natflow_age_init(struct natflow_net *nn);
void natflow_age_start(struct natflow_net *nn);
void natflow_age_stop(struct natflow_net *nn);

#endif /* NATFLOW_AGE_H */
