/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_WALK_H
#define NATFLOW_WALK_H

#include "path.h"

bool natflow_dev_shapes(const struct net_device *dev);
enum natflow_reason natflow_walk(struct natflow_egress *egress, struct net_device *dev);

#endif /* NATFLOW_WALK_H */
