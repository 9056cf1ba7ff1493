// SPDX-License-Identifier: GPL-2.0-only
/* Inner hosts: how many flows each holds, and what all its flows have carried. */
#include <linux/jhash.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <net/netns/hash.h>

#include "client.h"

/* A host more than this many is not counted by itself; the longest idle one makes room. */
#define CLIENT_MAX	4096

static struct hlist_head *bucket_of(struct natflow_net *nn, const union nf_inet_addr *addr)
{
	u32 hash = jhash2(addr->all, ARRAY_SIZE(addr->all), net_hash_mix(nn->net));

	return &nn->clients[hash % NATFLOW_CLIENT_BUCKETS];
}

static void forget(struct natflow_net *nn, struct natflow_client *client)
{
	hlist_del_rcu(&client->node);
	list_del_init(&client->idle);
	nn->client_count--;
	kfree_rcu(client, rcu);
}

static bool make_room(struct natflow_net *nn)
{
	struct natflow_client *client;

	client = list_first_entry_or_null(&nn->idle_clients, struct natflow_client, idle);
	if (!client)
		return false;
	forget(nn, client);
	return true;
}

/**
 * natflow_client_get() - find or add a host and count one more flow of it
 * @nn: namespace
 * @addr: address, unused words zero
 * @family: AF_INET or AF_INET6
 *
 * Return: the host; NULL without memory or room; ERR_PTR(-EDQUOT) when it holds as many flows
 * as config.host_flows allows.
 */
struct natflow_client *natflow_client_get(struct natflow_net *nn, const union nf_inet_addr *addr,
					  u8 family)
{
	struct hlist_head *bucket = bucket_of(nn, addr);
	struct natflow_client *client;

	spin_lock_bh(&nn->client_lock);
	hlist_for_each_entry(client, bucket, node)
		if (client->family == family &&
		    !memcmp(&client->addr, addr, sizeof(*addr)))
			goto found;

	client = NULL;
	if (nn->client_count >= CLIENT_MAX && !make_room(nn))
		goto out;
	client = kzalloc(sizeof(*client), GFP_ATOMIC);
	if (!client)
		goto out;
	client->addr = *addr;
	client->family = family;
	client->seen = (u32)jiffies;
	hlist_add_head_rcu(&client->node, bucket);
	list_add_tail(&client->idle, &nn->idle_clients);
	nn->client_count++;
found:
	if (client->flows >= READ_ONCE(nn->config.host_flows))
		client = ERR_PTR(-EDQUOT);
	else if (!client->flows++)
		list_del_init(&client->idle);
out:
	spin_unlock_bh(&nn->client_lock);
	return client;
}

void natflow_client_put(struct natflow_net *nn, struct natflow_client *client)
{
	spin_lock_bh(&nn->client_lock);
	if (!--client->flows)
		list_add_tail(&client->idle, &nn->idle_clients);
	spin_unlock_bh(&nn->client_lock);
}

/* Remembers where the host's traffic is sent to. */
void natflow_client_at(struct natflow_net *nn, struct natflow_client *client, const u8 *mac)
{
	spin_lock_bh(&nn->client_lock);
	memcpy(client->mac, mac, sizeof(client->mac));
	spin_unlock_bh(&nn->client_lock);
}

/* An engine has carried so much for the host; @side 0 is what came from it. */
void natflow_client_count(struct natflow_net *nn, struct natflow_client *client,
			  enum natflow_engine engine, int side, u64 packets, u64 bytes)
{
	spin_lock_bh(&nn->client_lock);
	client->packets[engine][side] += packets;
	client->bytes[engine][side] += bytes;
	client->gathered[side] += bytes;
	if (packets)
		client->seen = (u32)jiffies;
	spin_unlock_bh(&nn->client_lock);
}

/**
 * natflow_client_age() - close an ageing interval
 * @nn: namespace
 * @interval_ms: its length in milliseconds
 *
 * Return: whether a host moved anything in it.
 */
bool natflow_client_age(struct natflow_net *nn, unsigned int interval_ms)
{
	struct natflow_client *client;
	unsigned int i, dir;
	bool moving = false;

	for (i = 0; i < NATFLOW_CLIENT_BUCKETS; i++) {
		spin_lock_bh(&nn->client_lock);
		hlist_for_each_entry(client, &nn->clients[i], node) {
			for (dir = 0; dir < 2; dir++) {
				u64 rate = div_u64(client->gathered[dir] * 1000, interval_ms);

				client->rate[dir] = min_t(u64, rate, U32_MAX);
				client->gathered[dir] = 0;
				moving |= rate > 0;
			}
		}
		spin_unlock_bh(&nn->client_lock);
	}
	return moving;
}

void natflow_client_free_all(struct natflow_net *nn)
{
	struct natflow_client *client;
	struct hlist_node *next;
	unsigned int i;

	spin_lock_bh(&nn->client_lock);
	for (i = 0; i < NATFLOW_CLIENT_BUCKETS; i++)
		hlist_for_each_entry_safe(client, next, &nn->clients[i], node)
			forget(nn, client);
	spin_unlock_bh(&nn->client_lock);
}

/**
 * natflow_client_fill() - write a host's record; under natflow_net.client_lock
 * @record: where to, zeroed
 * @client: the host
 */
void natflow_client_fill(struct natflow_client_record *record,
			 const struct natflow_client *client)
{
	unsigned int dir;

	memcpy(record->addr, &client->addr, sizeof(record->addr));
	for (dir = 0; dir < 2; dir++) {
		record->slow_bytes[dir] = client->bytes[NATFLOW_ENGINE_SLOW][dir];
		record->slow_packets[dir] = client->packets[NATFLOW_ENGINE_SLOW][dir];
		record->software_bytes[dir] = client->bytes[NATFLOW_ENGINE_SOFTWARE][dir];
		record->software_packets[dir] = client->packets[NATFLOW_ENGINE_SOFTWARE][dir];
		record->hardware_bytes[dir] = client->bytes[NATFLOW_ENGINE_HARDWARE][dir];
		record->hardware_packets[dir] = client->packets[NATFLOW_ENGINE_HARDWARE][dir];
		record->rate[dir] = client->rate[dir];
	}
	record->flows = client->flows;
	record->idle = jiffies_to_msecs((u32)jiffies - client->seen);
	memcpy(record->mac, client->mac, sizeof(record->mac));
	record->family = client->family;
}
