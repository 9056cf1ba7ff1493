// SPDX-License-Identifier: GPL-2.0-only
/* Netlink commands about many flows or hosts: the two dumps, and the flush. */
#include <net/sock.h>

#include "client.h"
#include "command.h"
#include "filter.h"
#include "flow.h"
#include "net.h"
#include "offload.h"
#include "record.h"

/* A message of a dump under construction: records one behind the other in one attribute. */
struct batch {
	struct sk_buff	*skb;
	void		*header;
	struct nlattr	*records;
	unsigned int	count;
};

static int begin_batch(struct batch *batch, struct sk_buff *skb, struct netlink_callback *cb,
		       u8 cmd, int type, u32 record_size)
{
	batch->skb = skb;
	batch->count = 0;
	batch->header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				    &natflow_family, NLM_F_MULTI, cmd);
	if (!batch->header)
		return -EMSGSIZE;
	if (nla_put_u32(skb, NATFLOW_A_MAIN_RECORD_SIZE, record_size))
		goto full;
	batch->records = nla_reserve(skb, type, 0);
	if (batch->records)
		return 0;
full:
	genlmsg_cancel(skb, batch->header);
	return -EMSGSIZE;
}

/* A record may lie at an address that is not fit for its 64-bit numbers: it is copied there. */
static bool put_record(struct batch *batch, const void *record, u32 size)
{
	if (batch->records->nla_len + size > U16_MAX ||
	    nla_put_nohdr(batch->skb, size, record))
		return false;
	batch->records->nla_len += size;
	batch->count++;
	return true;
}

/* Closes the message. @more says that records are left; then one at least must have fitted. */
static int end_batch(struct batch *batch, bool more)
{
	if (batch->count)
		genlmsg_end(batch->skb, batch->header);
	else
		genlmsg_cancel(batch->skb, batch->header);
	if (!more)
		return 0;
	return batch->count ? batch->skb->len : -EMSGSIZE;
}

struct flow_cursor {
	struct natflow_filter	*filter;
	unsigned long		index;
	bool			started;
};

static struct flow_cursor *flow_cursor(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct flow_cursor) > sizeof(cb->ctx));
	return (struct flow_cursor *)cb->ctx;
}

/*
 * With the first call, not when the dump starts: not every kernel takes messages about the request
 * from there.
 */
static int take_filter(struct flow_cursor *cursor, struct netlink_callback *cb)
{
	struct nlattr *nest = natflow_dump_attrs(cb)[NATFLOW_A_MAIN_FILTER];
	struct natflow_filter *filter = natflow_filter_parse(nest, cb->extack);

	if (IS_ERR(filter))
		return PTR_ERR(filter);
	cursor->filter = filter;
	cursor->started = true;
	return 0;
}

int natflow_flow_dump_done(struct netlink_callback *cb)
{
	natflow_filter_free(flow_cursor(cb)->filter);
	return 0;
}

int natflow_flow_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct natflow_net *nn = natflow_net(sock_net(cb->skb->sk));
	struct flow_cursor *cursor = flow_cursor(cb);
	struct natflow_flow_record record;
	struct natflow_flow *flow;
	unsigned long index;
	bool more = false;
	struct batch batch;
	int err;

	BUILD_BUG_ON(sizeof(record) % sizeof(u64));
	err = cursor->started ? 0 : take_filter(cursor, cb);
	if (err)
		return err;
	err = begin_batch(&batch, skb, cb, NATFLOW_CMD_FLOW_GET, NATFLOW_A_MAIN_FLOW_RECORDS,
			  sizeof(record));
	if (err)
		return err;
	rcu_read_lock();
	xa_for_each_start(&nn->flows, index, flow, cursor->index) {
		if (natflow_filter_match(cursor->filter, flow)) {
			natflow_flow_fill(&record, flow);
			more = !put_record(&batch, &record, sizeof(record));
			if (more)
				break;
		}
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	cursor->index = index;
	return end_batch(&batch, more);
}

struct client_cursor {
	unsigned int	bucket;
	unsigned int	position;
};

static struct client_cursor *client_cursor(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct client_cursor) > sizeof(cb->ctx));
	return (struct client_cursor *)cb->ctx;
}

/* Puts the hosts of the cursor's bucket; false when one of them does not fit any more. */
static bool put_bucket(struct batch *batch, struct natflow_net *nn, struct client_cursor *cursor)
{
	struct natflow_client *client;
	unsigned int position = 0;
	bool fits = true;

	spin_lock_bh(&nn->client_lock);
	hlist_for_each_entry(client, &nn->clients[cursor->bucket], node) {
		struct natflow_client_record record = {};

		if (position++ < cursor->position)
			continue;
		natflow_client_fill(&record, client);
		fits = put_record(batch, &record, sizeof(record));
		if (!fits)
			break;
		cursor->position++;
	}
	spin_unlock_bh(&nn->client_lock);
	return fits;
}

int natflow_client_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct natflow_net *nn = natflow_net(sock_net(cb->skb->sk));
	struct client_cursor *cursor = client_cursor(cb);
	struct batch batch;
	int err;

	BUILD_BUG_ON(sizeof(struct natflow_client_record) % sizeof(u64));
	err = begin_batch(&batch, skb, cb, NATFLOW_CMD_CLIENT_GET, NATFLOW_A_MAIN_CLIENT_RECORDS,
			  sizeof(struct natflow_client_record));
	if (err)
		return err;
	for (; cursor->bucket < NATFLOW_CLIENT_BUCKETS; cursor->bucket++) {
		if (!put_bucket(&batch, nn, cursor))
			return end_batch(&batch, true);
		cursor->position = 0;
		cond_resched();
	}
	return end_batch(&batch, false);
}

static int answer_flush(struct genl_info *info, u32 removed, u32 accelerated)
{
	struct sk_buff *answer;
	void *header;

	answer = natflow_answer(info, &header);
	if (!answer)
		return -ENOMEM;
	if (nla_put_u32(answer, NATFLOW_A_MAIN_REMOVED, removed) ||
	    nla_put_u32(answer, NATFLOW_A_MAIN_REMOVED_ACCELERATED, accelerated))
		return natflow_answer_fails(answer);
	genlmsg_end(answer, header);
	return genlmsg_reply(answer, info);
}

int natflow_flow_flush(struct sk_buff *skb, struct genl_info *info)
{
	struct natflow_net *nn = natflow_net(genl_info_net(info));
	u32 removed = 0, accelerated = 0;
	struct natflow_filter *filter;
	struct natflow_flow *flow;
	unsigned long index;

	filter = natflow_filter_parse(info->attrs[NATFLOW_A_MAIN_FILTER], info->extack);
	if (IS_ERR(filter))
		return PTR_ERR(filter);
	rcu_read_lock();
	xa_for_each(&nn->flows, index, flow) {
		if (natflow_filter_match(filter, flow)) {
			enum natflow_state state = natflow_flow_state(flow);

			if (natflow_flow_remove(flow)) {
				removed++;
				accelerated += state >= NATFLOW_STATE_SOFTWARE;
			}
		}
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	natflow_filter_free(filter);
	/* Who asked for it may rely on it: nothing of them is left in the hardware, either. */
	natflow_offload_sync();
	natflow_tell_flush(nn->net, removed, accelerated);
	return answer_flush(info, removed, accelerated);
}
