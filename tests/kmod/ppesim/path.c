// SPDX-License-Identifier: GPL-2.0-only
/* What the ports answer when they are asked for the way to a destination. */
#include <linux/etherdevice.h>
#include <net/dsa.h>

#include "ppesim.h"

/**
 * ppesim_path_dsa() - a switch port: the way goes on at its conduit
 * @ctx: the question
 * @path: the answer
 */
int ppesim_path_dsa(struct net_device_path_ctx *ctx, struct net_device_path *path)
{
	struct ppesim_port *port = netdev_priv(ctx->dev);

	path->type = DEV_PATH_DSA;
	path->dev = ctx->dev;
	path->dsa.proto = port->mediatek_tag ? DSA_TAG_PROTO_MTK : DSA_TAG_PROTO_RTL4_A;
	path->dsa.port = port->index;
	ctx->dev = port->master->dev;
	return 0;
}

/**
 * ppesim_path_wlan() - a wireless interface: with WED the way ends in the hardware
 * @ctx: the question
 * @path: the answer
 *
 * Without WED the wireless stack of a driver that frames packets in hardware is asked too, and
 * answers with an error; that of other drivers is not asked at all.
 */
int ppesim_path_wlan(struct net_device_path_ctx *ctx, struct net_device_path *path)
{
	struct ppesim_port *port = netdev_priv(ctx->dev);
	struct net_device *station;

	if (port->path_error || port->wed < 0)
		return -EOPNOTSUPP;
	/* The device on the wire is the only station. */
	station = rcu_dereference(port->wire);
	if (!station || !ether_addr_equal(station->dev_addr, ctx->daddr))
		return -ENOENT;
	if (port->wcid > 0xff && port->soc->profile->wed == 1)
		return -EIO;
	path->type = DEV_PATH_MTK_WDMA;
	path->dev = ctx->dev;
	path->mtk_wdma.wdma_idx = port->wed;
	path->mtk_wdma.queue = 0;
	path->mtk_wdma.bss = port->index;
	path->mtk_wdma.wcid = port->wcid;
	ctx->dev = NULL;
	return 0;
}
