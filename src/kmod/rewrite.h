/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pure packet rewriting: no kernel service is called, so that the same code also builds in
 * user space, where the unit tests compare it with a full recomputation.
 *
 * All sums are ones' complement sums over 16-bit words as they lie in memory, which makes them
 * independent of the byte order of the machine (RFC 1071 section 2). Checksums are updated with
 * equation 3 of RFC 1624, which never yields the second representation of zero.
 */
#ifndef NATFLOW_REWRITE_H
#define NATFLOW_REWRITE_H

#include <linux/types.h>

/**
 * struct natflow_delta - what a translation adds to the sums over a packet
 * @l4: change of the transport sum: pseudo-header addresses and ports
 * @pseudo: change of the pseudo-header sum alone (CHECKSUM_PARTIAL packets), which is also that of
 *	the IPv4 header without the TTL
 */
struct natflow_delta {
	__u16	l4;
	__u16	pseudo;
};

/*
 * Decrementing the first byte of a 16-bit word is adding the complement of its one. The compiler's
 * own macro tells the byte order: user space's headers define __BIG_ENDIAN on every machine.
 */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define NATFLOW_TTL_DELTA	((__u16)0xfeff)
#else
#define NATFLOW_TTL_DELTA	((__u16)0xfffe)
#endif

static inline __u16 natflow_sum_add(__u16 a, __u16 b)
{
	__u32 sum = (__u32)a + b;

	return (__u16)((sum & 0xffff) + (sum >> 16));
}

/**
 * natflow_sum_replace() - account for words that are replaced
 * @sum: sum so far
 * @from: words before, in memory order
 * @to: words after
 * @words: how many 16-bit words
 *
 * Return: the sum plus the new and minus the old words.
 */
static inline __u16 natflow_sum_replace(__u16 sum, const void *from, const void *to,
					unsigned int words)
{
	const __u16 *old = from;
	const __u16 *new = to;

	while (words--) {
		sum = natflow_sum_add(sum, (__u16)~*old++);
		sum = natflow_sum_add(sum, *new++);
	}
	return sum;
}

/**
 * natflow_delta_set() - precompute what a translation changes
 * @delta: where to
 * @from: source and destination address, source and destination port, as they arrive
 * @to: the same as they leave
 * @addr_words: 16-bit words of both addresses together: 4 for IPv4, 16 for IPv6
 */
static inline void natflow_delta_set(struct natflow_delta *delta, const void *from,
				     const void *to, unsigned int addr_words)
{
	delta->pseudo = natflow_sum_replace(0, from, to, addr_words);
	delta->l4 = natflow_sum_replace(delta->pseudo, (const __u16 *)from + addr_words,
					(const __u16 *)to + addr_words, 2);
}

/* A checksum field is the complement of the sum. */
static inline __u16 natflow_check_update(__u16 check, __u16 delta)
{
	return (__u16)~natflow_sum_add((__u16)~check, delta);
}

/**
 * natflow_ip_check() - new value of the checksum field of an IPv4 header
 * @check: value in the packet
 * @delta: what the translation changes; the TTL is decremented, too
 */
static inline __u16 natflow_ip_check(__u16 check, const struct natflow_delta *delta)
{
	return natflow_check_update(check, natflow_sum_add(delta->pseudo, NATFLOW_TTL_DELTA));
}

/**
 * natflow_l4_check() - new value of a TCP or UDP checksum field
 * @check: value in the packet
 * @delta: what the translation changes
 * @partial: the field holds the bare pseudo-header sum, the device adds the rest
 * @udp: it is UDP, where zero stands for "no checksum" (RFC 768)
 */
static inline __u16 natflow_l4_check(__u16 check, const struct natflow_delta *delta,
				     bool partial, bool udp)
{
	if (partial)
		return natflow_sum_add(check, delta->pseudo);
	if (udp && !check)
		return 0;
	check = natflow_check_update(check, delta->l4);
	return udp && !check ? 0xffff : check;
}

#endif /* NATFLOW_REWRITE_H */
