// SPDX-License-Identifier: GPL-2.0-only
/*
 * Candidates: the fastest flows of the running second that may enter. A burst of short flows
 * neither reaches the hardware nor keeps the fast ones out of it.
 */
#include <linux/sort.h>

#include "hwnat.h"

/* Under hwnat_lock; the smallest rate stands first, as in a heap. */
static struct hwnat_candidate heap[HWNAT_CANDIDATES];
static unsigned int heap_size;

/* Takes the root down to where it belongs. */
static void sift(unsigned int at)
{
	for (;;) {
		unsigned int child = 2 * at + 1;

		if (child >= heap_size)
			return;
		if (child + 1 < heap_size && heap[child + 1].rate < heap[child].rate)
			child++;
		if (heap[at].rate <= heap[child].rate)
			return;
		swap(heap[at], heap[child]);
		at = child;
	}
}

/**
 * hwnat_propose() - let a flow wait for the end of the second, if it is among the fastest
 * @flow: the flow
 * @rate: bytes a second
 */
void hwnat_propose(struct natflow_flow *flow, u64 rate)
{
	struct natflow_flow *loser = NULL;
	unsigned int i;

	spin_lock(&hwnat_lock);
	if (heap_size < HWNAT_CANDIDATES) {
		heap[heap_size].flow = flow;
		heap[heap_size++].rate = rate;
		if (heap_size == HWNAT_CANDIDATES)
			for (i = HWNAT_CANDIDATES / 2; i--;)
				sift(i);
	} else if (heap[0].rate < rate) {
		loser = heap[0].flow;
		heap[0].flow = flow;
		heap[0].rate = rate;
		sift(0);
	} else {
		loser = flow;
	}
	if (loser != flow)
		refcount_inc(&flow->users);
	spin_unlock(&hwnat_lock);
	if (loser && loser != flow)
		natflow_flow_put(loser);
}

static int faster_first(const void *left, const void *right)
{
	const struct hwnat_candidate *a = left, *b = right;

	if (a->rate == b->rate)
		return 0;
	return a->rate > b->rate ? -1 : 1;
}

/**
 * hwnat_candidates() - take all candidates, the fastest first
 * @chosen: where they go, with a reference each
 *
 * Return: how many.
 */
unsigned int hwnat_candidates(struct hwnat_candidate chosen[HWNAT_CANDIDATES])
{
	unsigned int count;

	spin_lock_bh(&hwnat_lock);
	count = heap_size;
	memcpy(chosen, heap, count * sizeof(*chosen));
	heap_size = 0;
	spin_unlock_bh(&hwnat_lock);
	sort(chosen, count, sizeof(*chosen), faster_first, NULL);
	return count;
}
