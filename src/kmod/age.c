// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ageing: once a second every flow is looked at, outside the packet path. Ended and idle flows
 * leave, rates are taken, inner hosts get what their flows carried.
 */
#include <linux/jiffies.h>
#include <net/netfilter/nf_conntrack_acct.h>

#include "age.h"
#include "client.h"
#include "eligible.h"
#include "flow.h"
#include "offload.h"
#include "path.h"

#define AGE_INTERVAL	HZ

static u64 carried(const struct natflow_flow *flow, int dir)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(flow->ct);

	return acct ? flow->last[dir].ct_bytes : flow->last[dir].bytes;
}

/* A proof that is over stays so when jiffies come round; under the flow's lock. */
static void keep_over(struct natflow_proof *proof)
{
	u32 now = (u32)jiffies;

	if (!time_before32(now, proof->until))
		WRITE_ONCE(proof->until, now);
}

static void age_flow(struct natflow_flow *flow, unsigned int interval_ms)
{
	enum natflow_reason reason = natflow_ct_eligible(flow->nn, flow->ct, flow);
	u32 idle_timeout = msecs_to_jiffies(READ_ONCE(flow->nn->config.idle_timeout));
	u64 before[IP_CT_DIR_MAX];
	int dir;

	if ((reason && !natflow_reason_lasts(reason)) || nf_ct_is_expired(flow->ct) ||
	    natflow_flow_idle(flow) > idle_timeout) {
		natflow_flow_remove(flow);
		return;
	}
	spin_lock_bh(&flow->lock);
	if (!test_bit(NATFLOW_FLOW_DEAD, &flow->flags)) {
		if (reason && flow->reason != reason)
			natflow_flow_refuse(flow, reason);
		for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
			keep_over(&flow->proof[dir]);
			before[dir] = carried(flow, dir);
		}
		natflow_flow_account(flow);
		for (dir = 0; dir < IP_CT_DIR_MAX; dir++) {
			u64 bytes = carried(flow, dir) - before[dir];

			bytes = div_u64(bytes * 1000, interval_ms) + flow->hw[dir].rate;
			flow->rate[dir] = min_t(u64, bytes, U32_MAX);
		}
		natflow_offload_age(flow);
	}
	spin_unlock_bh(&flow->lock);
}

static void age(struct work_struct *work)
{
	struct natflow_net *nn = container_of(work, struct natflow_net, age.work);
	unsigned int interval_ms = jiffies_to_msecs(jiffies - nn->aged) ?: 1;
	struct natflow_flow *flow;
	unsigned long index;
	bool moving;

	nn->aged = jiffies;
	rcu_read_lock();
	xa_for_each(&nn->flows, index, flow) {
		age_flow(flow, interval_ms);
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
	moving = natflow_client_age(nn, interval_ms);
	natflow_egress_recheck(nn);
	natflow_offload_aged(nn);
	/* With nothing left to age the work rests; the next flow wakes it. */
	WRITE_ONCE(nn->age_rests, !moving && !atomic_read(&nn->flow_count));
	if (!READ_ONCE(nn->age_rests))
		natflow_age_start(nn);
}

void natflow_age_init(struct natflow_net *nn)
{
	INIT_DELAYED_WORK(&nn->age, age);
	nn->age_rests = 1;
	nn->aged = jiffies;
}

/* Harmless when it runs already. */
void natflow_age_start(struct natflow_net *nn)
{
	if (!queue_delayed_work(system_power_efficient_wq, &nn->age, AGE_INTERVAL))
		return;
	/* Rates are those of the time since, not of a rest before it. */
	if (xchg(&nn->age_rests, 0))
		WRITE_ONCE(nn->aged, jiffies);
}

void natflow_age_stop(struct natflow_net *nn)
{
	cancel_delayed_work_sync(&nn->age);
}
