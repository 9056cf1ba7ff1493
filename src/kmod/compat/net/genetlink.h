/* SPDX-License-Identifier: GPL-2.0-only */
/* Since 6.6 a dump's request lies in a struct genl_info, as that of other commands does. */
#ifndef NATFLOW_COMPAT_NET_GENETLINK_H
#define NATFLOW_COMPAT_NET_GENETLINK_H

#include_next <net/genetlink.h>

/* Attributes of the request that started the dump, by type. */
static inline struct nlattr **natflow_dump_attrs(struct netlink_callback *cb)
{
#ifdef NATFLOW_HAVE_GENL_INFO_DUMP
	return genl_info_dump(cb)->attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

#endif /* NATFLOW_COMPAT_NET_GENETLINK_H */
