// SPDX-License-Identifier: GPL-2.0-only
/* The module. */
#include <linux/module.h>
#include <net/rtnetlink.h>

#include "ppesim.h"

static int __init ppesim_init(void)
{
	int err;

	err = rtnl_link_register(&ppesim_link_ops);
	if (err)
		return err;
	err = rtnl_link_register(&ppesim_wire_link_ops);
	if (err)
		goto port_kind;
	err = ppesim_control_init();
	if (err)
		goto wire_kind;
	return 0;
wire_kind:
	rtnl_link_unregister(&ppesim_wire_link_ops);
port_kind:
	rtnl_link_unregister(&ppesim_link_ops);
	return err;
}

static void __exit ppesim_exit(void)
{
	ppesim_control_exit();
	rtnl_link_unregister(&ppesim_wire_link_ops);
	rtnl_link_unregister(&ppesim_link_ops);
	/* Time for the memory of block callbacks and statistics that RCU gives back. */
	rcu_barrier();
}

module_init(ppesim_init);
module_exit(ppesim_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Simulated MediaTek PPE and WED, for tests");
MODULE_ALIAS_RTNL_LINK("ppesim");
