// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware table of one PPE: where a packet's entry is, how entries come into being, age and
 * go. All of it under the PPE's lock.
 *
 * Ageing is worked out when an entry is looked at; nobody is told about it, as in the hardware.
 */
#include <linux/bitops.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "ppesim.h"

/* An 80-byte entry at these places would cross a boundary of 1024 bytes (MT7621). */
static const u8 skipped[] = { 12, 25, 38, 51, 76, 89, 102 };
#define SKIP_PERIOD 128

/**
 * ppesim_ppe_reset() - empty the hardware table, without a word to anybody
 * @ppe: the engine
 */
void ppesim_ppe_reset(struct ppesim_ppe *ppe)
{
	struct ppesim_soc *soc = ppe->soc;
	unsigned int i, k;

	spin_lock_bh(&ppe->lock);
	memset(ppe->slots, 0, soc->entries * sizeof(*ppe->slots));
	if (soc->profile->skips)
		for (i = 0; i < soc->entries; i += SKIP_PERIOD)
			for (k = 0; k < ARRAY_SIZE(skipped); k++)
				ppe->slots[i + skipped[k]].reserved = true;
	spin_unlock_bh(&ppe->lock);
}

/**
 * ppesim_ppe_fill() - take entries that are not bound out of use, as somebody else's flows would
 * @ppe: the engine
 * @percent: how many of all; 0 gives them back
 */
void ppesim_ppe_fill(struct ppesim_ppe *ppe, u32 percent)
{
	struct ppesim_soc *soc = ppe->soc;
	unsigned int i;

	if (!percent) {
		ppesim_ppe_reset(ppe);
		return;
	}
	spin_lock_bh(&ppe->lock);
	for (i = 0; i < soc->entries && i * 100ULL < (u64)soc->entries * percent; i++) {
		struct ppesim_slot *slot = &ppe->slots[i];

		if (slot->state == PPESIM_FOE_BIND)
			continue;
		slot->state = PPESIM_FOE_INVALID;
		slot->reserved = true;
	}
	spin_unlock_bh(&ppe->lock);
}

/**
 * ppesim_ppe_init() - make an engine with an empty table
 * @soc: where it belongs
 * @index: its number
 */
int ppesim_ppe_init(struct ppesim_soc *soc, u8 index)
{
	struct ppesim_ppe *ppe = &soc->ppe[index];

	ppe->soc = soc;
	ppe->index = index;
	spin_lock_init(&ppe->lock);
	ppe->slots = kvcalloc(soc->entries, sizeof(*ppe->slots), GFP_KERNEL);
	ppe->flows = kvcalloc(soc->entries / soc->profile->ways, sizeof(*ppe->flows), GFP_KERNEL);
	if (!ppe->slots || !ppe->flows)
		return -ENOMEM;
	ppesim_ppe_reset(ppe);
	return 0;
}

/**
 * ppesim_ppe_free() - its end
 * @ppe: the engine
 */
void ppesim_ppe_free(struct ppesim_ppe *ppe)
{
	kvfree(ppe->slots);
	kvfree(ppe->flows);
}

/**
 * ppesim_hash() - first entry that a packet may have; the others of its ways follow
 * @soc: the SoC
 * @key: the packet
 */
u32 ppesim_hash(const struct ppesim_soc *soc, const struct ppesim_key *key)
{
	u32 ports = (u32)key->sport << 16 | key->dport;
	u32 a, b, c, hash;

	if (key->type == PPESIM_FOE_IPV6_5T) {
		a = key->src[3] ^ key->dst[3] ^ ports;
		b = key->src[2] ^ key->dst[2] ^ key->dst[0];
		c = key->src[1] ^ key->dst[1] ^ key->src[0];
	} else {
		a = ports;
		b = key->dst[3];
		c = key->src[3];
	}
	/* The bits of a choose between those of b and c. */
	hash = rol32((a & b) | (~a & c), 8) ^ a ^ b ^ c;
	hash ^= hash >> 16;
	return (hash << ilog2(soc->profile->ways)) & (soc->entries - 1);
}

static u32 age_limit(struct ppesim_soc *soc, const struct ppesim_slot *slot)
{
	switch (slot->state) {
	case PPESIM_FOE_UNBIND:
		return ppesim_knob(soc, AGE_UNBOUND);
	case PPESIM_FOE_FIN:
		return ppesim_knob(soc, AGE_FIN);
	default:
		return slot->key.udp ? ppesim_knob(soc, AGE_UDP) : ppesim_knob(soc, AGE_TCP);
	}
}

/**
 * ppesim_slot_age() - let an entry end that has seen no packet for too long; under the PPE's lock
 * @ppe: the engine
 * @slot: the entry
 *
 * What it held stays readable, its time stamp and its counter too.
 */
void ppesim_slot_age(struct ppesim_ppe *ppe, struct ppesim_slot *slot)
{
	if (slot->state != PPESIM_FOE_INVALID &&
	    ppesim_now(ppe->soc) - slot->last > age_limit(ppe->soc, slot))
		slot->state = PPESIM_FOE_INVALID;
}

static void touch(struct ppesim_ppe *ppe, struct ppesim_slot *slot)
{
	slot->last = ppesim_now(ppe->soc);
	slot->stamp = ppesim_stamp(ppe->soc);
}

/* The entry of a packet, or a new unbound one, or NULL when other packets have all its ways. */
static struct ppesim_slot *find(struct ppesim_ppe *ppe, const struct ppesim_key *key, bool make,
				bool *made)
{
	u32 first = ppesim_hash(ppe->soc, key);
	struct ppesim_slot *slot, *vacant = NULL;
	unsigned int way;

	*made = false;
	for (way = 0; way < ppe->soc->profile->ways; way++) {
		slot = &ppe->slots[first + way];
		if (slot->reserved)
			continue;
		ppesim_slot_age(ppe, slot);
		if (slot->state == PPESIM_FOE_INVALID) {
			vacant = vacant ?: slot;
			continue;
		}
		if (!memcmp(&slot->key, key, sizeof(*key)))
			return slot;
	}
	if (!make || !vacant)
		return NULL;
	vacant->state = PPESIM_FOE_UNBIND;
	vacant->key = *key;
	vacant->count = 0;
	*made = true;
	return vacant;
}

/* An unbound packet: counts it, and has the driver look when there are many of its kind. */
static enum ppesim_verdict count(struct ppesim_ppe *ppe, struct ppesim_slot *slot)
{
	unsigned long window = jiffies / HZ;

	touch(ppe, slot);
	if (slot->window != window) {
		slot->window = window;
		slot->count = 0;
	}
	if (++slot->count < ppesim_knob(ppe->soc, BIND_RATE))
		return PPESIM_V_HIT_UNBIND;
	/* The driver looks at one packet of an entry in a tenth of a second. */
	if (!slot->checked || time_after_eq(jiffies, slot->checked + HZ / 10)) {
		slot->checked = jiffies;
		ppesim_flow_check(ppe, slot);
	}
	return PPESIM_V_HIT_UNBIND_RATE_REACHED;
}

/* A bound packet. */
static enum ppesim_verdict hit(struct ppesim_ppe *ppe, struct ppesim_slot *slot, u8 tcp_flags,
			       unsigned int length, struct ppesim_rewrite *rewrite)
{
	struct ppesim_port *egress;

	if (tcp_flags) {
		if (tcp_flags & TCPHDR_FIN) {
			slot->state = PPESIM_FOE_FIN;
			touch(ppe, slot);
		}
		return PPESIM_V_HIT_BIND_TCP_FIN;
	}
	egress = ppesim_engine_egress(ppe->soc, &slot->rewrite);
	if (egress && length + (slot->rewrite.pppoe ? 8 : 0) > READ_ONCE(egress->dev->mtu))
		return PPESIM_V_EXCEED_MTU;
	touch(ppe, slot);
	if (ppe->soc->profile->accounting) {
		slot->mib_packets++;
		slot->mib_bytes += length + ppesim_knob(ppe->soc, MIB_OVERHEAD);
		/* Widths of the hardware's counters. */
		slot->mib_packets &= GENMASK_ULL(39, 0);
		slot->mib_bytes &= GENMASK_ULL(47, 0);
	}
	*rewrite = slot->rewrite;
	return PPESIM_V_BYPASS;
}

/**
 * ppesim_ppe_look() - what becomes of a TCP or UDP packet
 * @ppe: the engine it comes by
 * @key: its addresses and ports
 * @tcp_flags: FIN, SYN, RST
 * @length: bytes of its IP packet
 * @index: number of its entry, or PPESIM_NO_SLOT
 * @rewrite: filled in when it bypasses the host
 */
enum ppesim_verdict ppesim_ppe_look(struct ppesim_ppe *ppe, const struct ppesim_key *key,
				    u8 tcp_flags, unsigned int length, u32 *index,
				    struct ppesim_rewrite *rewrite)
{
	enum ppesim_verdict verdict;
	struct ppesim_slot *slot;
	bool made;

	*index = PPESIM_NO_SLOT;
	if (!READ_ONCE(ppe->soc->on))
		return PPESIM_V_PPE_OFF;
	spin_lock_bh(&ppe->lock);
	slot = find(ppe, key, !tcp_flags, &made);
	if (!slot) {
		verdict = tcp_flags ? PPESIM_V_TCP_FIN_SYN_RST : PPESIM_V_NO_WAY;
		goto out;
	}
	*index = slot - ppe->slots;
	switch (slot->state) {
	case PPESIM_FOE_BIND:
		verdict = hit(ppe, slot, tcp_flags, length, rewrite);
		break;
	case PPESIM_FOE_FIN:
		verdict = PPESIM_V_HIT_FIN;
		break;
	default:
		verdict = tcp_flags ? PPESIM_V_TCP_FIN_SYN_RST : count(ppe, slot);
		if (made && verdict == PPESIM_V_HIT_UNBIND)
			verdict = PPESIM_V_UN_HIT;
	}
out:
	spin_unlock_bh(&ppe->lock);
	return verdict;
}
