// SPDX-License-Identifier: GPL-2.0-only
/* What a driver has refused for what it is, and is not asked about again for a while. */
#include "hwnat.h"

#define REFUSALS	64

/* What was refused looks like this. */
struct refusal {
	const struct natflow_net	*nn;
	int				iif;
	int				oif;
	u32				kind;
	unsigned long			until;
	u16				error;
};

/* Under hwnat_lock. */
static struct refusal refusals[REFUSALS];
static unsigned int next_refusal;

/* What the driver's answer may depend on, but for the devices. */
static u32 kind_of(struct natflow_flow *flow, int dir)
{
	const struct natflow_egress *egress = hwnat_egress(flow, dir);
	u32 kind = flow->family == AF_INET6;
	unsigned int i;

	if (!egress)
		return kind;
	kind |= egress->kind << 1;
	for (i = 0; i < egress->port_encap_count; i++)
		kind = kind << 4 | (natflow_encap_is_pppoe(&egress->port_encap[i]) ? 2 : 1);
	return kind;
}

/**
 * hwnat_refused() - has the driver said lately that it does not do such a thing
 * @flow: the flow, locked
 * @dir: the direction
 *
 * Return: its error number, or 0.
 */
u16 hwnat_refused(struct natflow_flow *flow, int dir)
{
	const struct natflow_egress *egress = hwnat_egress(flow, dir);
	int iif = natflow_flow_half(flow, dir)->iif;
	u32 kind = kind_of(flow, dir);
	unsigned int i;
	u16 error = 0;

	spin_lock(&hwnat_lock);
	for (i = 0; egress && i < REFUSALS && !error; i++) {
		const struct refusal *refusal = &refusals[i];

		if (refusal->error && refusal->nn == flow->nn && refusal->iif == iif &&
		    refusal->oif == egress->port && refusal->kind == kind &&
		    time_before(jiffies, refusal->until))
			error = refusal->error;
	}
	spin_unlock(&hwnat_lock);
	return error;
}

/**
 * hwnat_refusal_note() - the driver does not do such a thing
 * @flow: the flow, locked
 * @dir: the direction
 * @err: what it said, negative
 */
void hwnat_refusal_note(struct natflow_flow *flow, int dir, int err)
{
	const struct natflow_egress *egress = hwnat_egress(flow, dir);
	struct refusal *refusal;

	if (!egress)
		return;
	spin_lock(&hwnat_lock);
	refusal = &refusals[next_refusal++ % REFUSALS];
	refusal->nn = flow->nn;
	refusal->iif = natflow_flow_half(flow, dir)->iif;
	refusal->oif = egress->port;
	refusal->kind = kind_of(flow, dir);
	refusal->until = jiffies + HWNAT_REFUSED_RETRY;
	refusal->error = -err;
	spin_unlock(&hwnat_lock);
}
