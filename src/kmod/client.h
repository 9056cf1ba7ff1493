/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_CLIENT_H
#define NATFLOW_CLIENT_H

#include <linux/if_ether.h>
#include <linux/netfilter.h>

#include "net.h"

/**
 * struct natflow_client - a host on the inner side
 * @node: in natflow_net.clients; entries leave only under the lock and after a grace period
 * @idle: in natflow_net.idle_clients while @flows is zero
 * @addr: its address
 * @family: AF_INET or AF_INET6
 * @mac: where its traffic is sent to, zero when not known
 * @flows: flows that hold a reference
 * @seen: jiffies of the last packet
 * @packets: totals by engine and direction; direction 0 comes from the host
 * @bytes: totals by engine and direction
 * @gathered: bytes of the running ageing interval by direction
 * @rate: bytes per second of the last interval by direction
 * @rcu: for freeing
 */
struct natflow_client {
	struct hlist_node	node;
	struct list_head	idle;
	union nf_inet_addr	addr;
	u8			family;
	u8			mac[ETH_ALEN];
	u32			flows;
	u32			seen;
	u64			packets[NATFLOW_ENGINES][2];
	u64			bytes[NATFLOW_ENGINES][2];
	u64			gathered[2];
	u32			rate[2];
	struct rcu_head		rcu;
};

struct natflow_client *natflow_client_get(struct natflow_net *nn, const union nf_inet_addr *addr,
					  u8 family);
void natflow_client_put(struct natflow_net *nn, struct natflow_client *client);
void natflow_client_at(struct natflow_net *nn, struct natflow_client *client, const u8 *mac);
bool natflow_client_age(struct natflow_net *nn, unsigned int interval_ms);
void natflow_client_count(struct natflow_net *nn, struct natflow_client *client,
			  enum natflow_engine engine, int side, u64 packets, u64 bytes);
void natflow_client_free_all(struct natflow_net *nn);
void natflow_client_fill(struct natflow_client_record *record,
			 const struct natflow_client *client);

#endif /* NATFLOW_CLIENT_H */
