// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rewrites packets with src/kmod/rewrite.h, in the order in which forward.c uses it.
 *
 * Reads records from stdin until it ends, each: struct head, then head.len bytes of IP packet.
 * Writes the rewritten packets to stdout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rewrite.h"

#define IPPROTO_TCP	6
#define IPPROTO_UDP	17

struct head {
	uint8_t		version;
	uint8_t		proto;
	uint8_t		partial;
	uint8_t		nat;
	uint16_t	len;
	/* New source, destination, source port, destination port: 12 or 36 bytes. */
	uint8_t		to[36];
};

static void fail(const char *what)
{
	fprintf(stderr, "rewrite_main: %s\n", what);
	exit(1);
}

static void update(uint8_t *field, uint16_t value)
{
	memcpy(field, &value, sizeof(value));
}

static uint16_t word(const uint8_t *field)
{
	uint16_t value;

	memcpy(&value, field, sizeof(value));
	return value;
}

static void rewrite(const struct head *head, uint8_t *packet)
{
	unsigned int addrs_at = head->version == 4 ? 12 : 8;
	unsigned int addrs = head->version == 4 ? 8 : 32;
	unsigned int l4_at = head->version == 4 ? 20 : 40;
	unsigned int check_at = l4_at + (head->proto == IPPROTO_UDP ? 6 : 16);
	struct natflow_delta delta;
	__u16 from[18], to[18];

	if (head->len < check_at + 2)
		fail("packet too short");
	/* As the flow's key and translation hold them: addresses, then ports. */
	memcpy(from, packet + addrs_at, addrs);
	memcpy((uint8_t *)from + addrs, packet + l4_at, 4);
	memcpy(to, head->to, addrs + 4);
	natflow_delta_set(&delta, from, to, addrs / 2);

	if (head->nat) {
		memcpy(packet + addrs_at, to, addrs);
		memcpy(packet + l4_at, (uint8_t *)to + addrs, 4);
		update(packet + check_at,
		       natflow_l4_check(word(packet + check_at), &delta, head->partial,
					head->proto == IPPROTO_UDP));
	}
	if (head->version == 6) {
		packet[7]--;
		return;
	}
	packet[8]--;
	update(packet + 10, natflow_ip_check(word(packet + 10), &delta));
}

int main(void)
{
	struct head head;

	while (fread(&head, sizeof(head), 1, stdin) == 1) {
		/* Exactly as large as the packet, so that a sanitizer sees what goes beyond. */
		uint8_t *packet = malloc(head.len);

		if (!packet || fread(packet, 1, head.len, stdin) != head.len)
			fail("truncated record");
		rewrite(&head, packet);
		if (fwrite(packet, 1, head.len, stdout) != head.len)
			fail("cannot write");
		free(packet);
	}
	return 0;
}
