/* SPDX-License-Identifier: GPL-2.0-only */
/* How a device's path is asked for differs. */
#ifndef NATFLOW_COMPAT_LINUX_NETDEVICE_H
#define NATFLOW_COMPAT_LINUX_NETDEVICE_H

#include_next <linux/netdevice.h>

#ifdef NATFLOW_HAVE_PATH_CTX
static inline int natflow_fill_forward_path(const struct net_device *dev, const u8 *daddr,
					    struct net_device_path_stack *stack)
{
	struct net_device_path_ctx ctx = { .dev = dev };
	int err;

	memcpy(ctx.daddr, daddr, sizeof(ctx.daddr));
	err = dev_fill_forward_path(&ctx, stack);
	/* A tunnel's step holds its outer route, which natflow has no use for. */
	if (!err)
		dev_fill_forward_path_release(stack);
	return err;
}

#define dev_fill_forward_path(dev, daddr, stack) natflow_fill_forward_path(dev, daddr, stack)
#define natflow_forward_path_release(stack) dev_fill_forward_path_release(stack)
#else
/* Steps of a path hold something only where there is a function to let go of it. */
#define natflow_forward_path_release(stack) ((void)(stack))
#endif

#endif /* NATFLOW_COMPAT_LINUX_NETDEVICE_H */
