/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_NET_H
#define NATFLOW_NET_H

#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

#include "uapi.h"

#define NATFLOW_EGRESS_BUCKETS	256
#define NATFLOW_CLIENT_BUCKETS	256

#define NATFLOW_ENGINES		(NATFLOW_ENGINE_MAX + 1)
#define NATFLOW_STATES		(NATFLOW_STATE_MAX + 1)
#define NATFLOW_REASONS		(NATFLOW_REASON_MAX + 1)

/**
 * struct natflow_config - settings of one namespace; the meaning stands in natflow.yaml
 *
 * Written under RTNL, read without a lock (every field is a word of its own).
 */
struct natflow_config {
	u8	enabled;
	u32	delay_pkts;
	u32	sample_interval;
	u32	idle_timeout;
	u32	max_flows;
	u32	host_flows;
	u32	learn_rate;
	u32	exclude_mark;
	u32	exclude_mask;
	u8	hwnat;
	u8	hwnat_mode;
	u8	hwnat_wed;
	u32	hw_min_rate;
	u32	hw_rate_limit;
	u32	hw_max_flows;
};

struct natflow_exceptions;

struct natflow_stats {
	u64	packets[NATFLOW_ENGINES];
	u64	bytes[NATFLOW_ENGINES];
	u64	reason[NATFLOW_REASONS];
};

/**
 * struct natflow_net - everything of one network namespace
 * @net: the namespace
 * @config: its settings
 * @sample_jiffies: config.sample_interval in jiffies
 * @gen: generation; a proof of an older one does not count
 * @flow_count: flows in the table
 * @stats: per-CPU counters
 * @table4: IPv4 flows by tuple
 * @table6: IPv6 flows by tuple
 * @flows: all flows by index, for walks that can be resumed
 * @next_index: where the search for a free index goes on
 * @tokens: flows that may still be learned in this second
 * @token_time: jiffies when @tokens was filled last
 * @learn_lock: guards @next_index, @tokens and @token_time
 * @egress: learned ways out, by next hop
 * @egress_macs: the same, by link-layer address of the next hop
 * @egress_lock: guards @egress, @egress_macs and @egress_seq
 * @egress_seq: bumped with every invalidation, so that a way resolved meanwhile is not kept
 * @clients: inner hosts by address
 * @idle_clients: those of them without a flow, the one that has had none for longest first
 * @client_lock: guards @clients, @idle_clients and the counters in them
 * @client_count: entries in @clients
 * @filter_dev: ifindex of the device whose ingress filter refused a way out last, 0 for none
 * @shaper_dev: ifindex of a device whose queueing discipline or egress filter gets the packets of
 *	a way out, 0 for none; looked for once a second
 * @devs: devices whose ingress is hooked; under RTNL
 * @exceptions: flows that are never accelerated, NULL for none; written under RTNL
 * @exceptions_id: id of the last list
 * @age: ageing work
 * @aged: jiffies of the last ageing run, or of its start after a rest
 * @age_rests: there is nothing to age; a word, as MIPS exchanges no less
 * @born: jiffies64 when the namespace was set up
 * @hooked: POST_ROUTING hooks and conntrack are requested; under RTNL
 */
struct natflow_net {
	struct net			*net;
	struct natflow_config		config;
	u32				sample_jiffies;
	atomic_t			gen;
	atomic_t			flow_count;
	struct natflow_stats __percpu	*stats;
	struct rhashtable		table4;
	struct rhashtable		table6;
	struct xarray			flows;
	u32				next_index;
	u32				tokens;
	unsigned long			token_time;
	spinlock_t			learn_lock;	/* see above */
	struct hlist_head		egress[NATFLOW_EGRESS_BUCKETS];
	struct hlist_head		egress_macs[NATFLOW_EGRESS_BUCKETS];
	spinlock_t			egress_lock;	/* see above */
	u32				egress_seq;
	struct hlist_head		clients[NATFLOW_CLIENT_BUCKETS];
	struct list_head		idle_clients;
	spinlock_t			client_lock;	/* see above */
	u32				client_count;
	int				filter_dev;
	int				shaper_dev;
	struct list_head		devs;
	struct natflow_exceptions __rcu	*exceptions;
	u32				exceptions_id;
	struct delayed_work		age;
	unsigned long			aged;
	u32				age_rests;
	u64				born;
	bool				hooked;
};

struct natflow_net *natflow_net(const struct net *net);

static inline void natflow_count_reason(struct natflow_net *nn, enum natflow_reason reason)
{
	this_cpu_inc(nn->stats->reason[reason]);
}

static inline void natflow_count_engine(struct natflow_net *nn, enum natflow_engine engine,
					unsigned int packets, unsigned int bytes)
{
	this_cpu_add(nn->stats->packets[engine], packets);
	this_cpu_add(nn->stats->bytes[engine], bytes);
}

void natflow_net_stale(struct natflow_net *nn);
void natflow_net_stats(struct natflow_net *nn, struct natflow_stats *sum);
int natflow_net_enable(struct natflow_net *nn);
void natflow_net_disable(struct natflow_net *nn);

#endif /* NATFLOW_NET_H */
