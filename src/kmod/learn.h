/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_LEARN_H
#define NATFLOW_LEARN_H

#include "net.h"

int natflow_learn_register(struct natflow_net *nn);
void natflow_learn_unregister(struct natflow_net *nn);

#endif /* NATFLOW_LEARN_H */
