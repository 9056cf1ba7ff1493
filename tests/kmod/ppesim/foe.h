/* SPDX-License-Identifier: GPL-2.0-only */
/* The hardware's table and the driver's flows. */
#ifndef PPESIM_FOE_H
#define PPESIM_FOE_H

#include <linux/if_ether.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/flow_offload.h>

#define PPESIM_NO_SLOT		0xffffffff

struct ppesim_binding;
struct ppesim_soc;

/* What the hardware says about a packet that it hands to the CPU, and what it does else. */
enum ppesim_verdict {
	PPESIM_V_BYPASS,
	PPESIM_V_NOT_IP,
	PPESIM_V_NOT_L4,
	PPESIM_V_MULTICAST,
	PPESIM_V_IPV4_FRAG,
	PPESIM_V_OPTION_HEADER,
	PPESIM_V_TTL_EXCEEDED,
	PPESIM_V_EXCEED_MTU,
	PPESIM_V_TCP_FIN_SYN_RST,
	PPESIM_V_HIT_BIND_TCP_FIN,
	PPESIM_V_HIT_FIN,
	PPESIM_V_UN_HIT,
	PPESIM_V_NO_WAY,
	PPESIM_V_HIT_UNBIND,
	PPESIM_V_HIT_UNBIND_RATE_REACHED,
	PPESIM_V_PPE_OFF,
	PPESIM_V_BAD_CHECKSUM,
	PPESIM_V_COUNT
};

enum ppesim_foe_type {
	PPESIM_FOE_IPV4_HNAPT,
	PPESIM_FOE_IPV6_5T,
};

enum ppesim_foe_state {
	PPESIM_FOE_INVALID,
	PPESIM_FOE_UNBIND,
	PPESIM_FOE_BIND,
	PPESIM_FOE_FIN,
};

/**
 * struct ppesim_key - what the hardware looks a packet up by
 * @src: source address; for IPv4 only the last word is used
 * @dst: destination address
 * @sport: source port
 * @dport: destination port
 * @type: IPv4 or IPv6
 * @udp: UDP; everything else counts as TCP
 *
 * All in host order, as in the hardware's entry. No device and no tag is part of it.
 */
struct ppesim_key {
	u32	src[4];
	u32	dst[4];
	u16	sport;
	u16	dport;
	u8	type;
	u8	udp;
};

/**
 * struct ppesim_rewrite - how a bound packet leaves
 * @dst_mac: destination
 * @src_mac: source
 * @src: new IPv4 source address
 * @dst: new IPv4 destination address
 * @sport: new source port
 * @dport: new destination port
 * @vlan: tags, outermost first
 * @vlans: number of them
 * @pppoe: there is a PPPoE session header
 * @session: its session
 * @pse: PSE port: GMAC number, or PPESIM_PSE_WDMA + WED number
 * @dsa: switch port behind the GMAC, or -1
 * @bss: wireless interface behind the WED
 * @wcid: its station
 */
struct ppesim_rewrite {
	u8	dst_mac[ETH_ALEN];
	u8	src_mac[ETH_ALEN];
	u32	src;
	u32	dst;
	u16	sport;
	u16	dport;
	u16	vlan[2];
	u8	vlans;
	bool	pppoe;
	u16	session;
	u8	pse;
	s8	dsa;
	u8	bss;
	u16	wcid;
};

#define PPESIM_PSE_WDMA		16

/**
 * struct ppesim_slot - one entry of the hardware table
 * @state: enum ppesim_foe_state
 * @reserved: never used (MT7621), or taken by a test to fill the table
 * @stamp: time of the last packet, as wide as the hardware keeps it
 * @last: the same in full, seconds
 * @window: second in which @count was counted
 * @count: packets in that second while unbound
 * @checked: jiffies when the driver last looked at a packet of this entry
 * @key: the packet
 * @rewrite: what is done to it when bound
 * @mib_packets: the hardware's counter; it is cleared by reading, and by nothing else
 * @mib_bytes: the same in bytes
 */
struct ppesim_slot {
	u8			state;
	bool			reserved;
	u16			stamp;
	s64			last;
	unsigned long		window;
	u32			count;
	unsigned long		checked;
	struct ppesim_key	key;
	struct ppesim_rewrite	rewrite;
	u64			mib_packets;
	u64			mib_bytes;
};

/**
 * struct ppesim_ppe - one packet processing engine
 * @soc: where it belongs
 * @index: its number
 * @lock: guards @slots and @flows
 * @slots: the hardware table
 * @flows: the driver's flows, by hash
 */
struct ppesim_ppe {
	struct ppesim_soc	*soc;
	u8			index;
	spinlock_t		lock;	/* see above */
	struct ppesim_slot	*slots;
	struct hlist_head	*flows;
};

/**
 * struct ppesim_flow - a flow that a caller has installed
 * @cookie_node: in the SoC's table of cookies
 * @bucket_node: in the PPE's list of its hash
 * @cookie: the caller's
 * @binding: callback it came by
 * @ppe: engine it was installed in
 * @key: packets it is for
 * @rewrite: what to do to them
 * @slot: entry that was last bound for it, or PPESIM_NO_SLOT
 * @stamp: the driver's copy of the entry's time stamp; 0 before the first binding
 * @wed: WED that it is counted at, or -1
 * @binds: how often it was bound
 */
struct ppesim_flow {
	struct hlist_node	cookie_node;
	struct hlist_node	bucket_node;
	unsigned long		cookie;
	struct ppesim_binding	*binding;
	struct ppesim_ppe	*ppe;
	struct ppesim_key	key;
	struct ppesim_rewrite	rewrite;
	u32			slot;
	u16			stamp;
	s8			wed;
	u32			binds;
};

/* foe.c */
int ppesim_ppe_init(struct ppesim_soc *soc, u8 index);
void ppesim_ppe_free(struct ppesim_ppe *ppe);
void ppesim_ppe_reset(struct ppesim_ppe *ppe);
void ppesim_ppe_fill(struct ppesim_ppe *ppe, u32 percent);
u32 ppesim_hash(const struct ppesim_soc *soc, const struct ppesim_key *key);
void ppesim_slot_age(struct ppesim_ppe *ppe, struct ppesim_slot *slot);
enum ppesim_verdict ppesim_ppe_look(struct ppesim_ppe *ppe, const struct ppesim_key *key,
				    u8 tcp_flags, unsigned int length, u32 *index,
				    struct ppesim_rewrite *rewrite);

/* flow.c */
int ppesim_flow_replace(struct ppesim_binding *binding, struct flow_cls_offload *cls);
int ppesim_flow_destroy(struct ppesim_soc *soc, struct flow_cls_offload *cls);
int ppesim_flow_stats(struct ppesim_soc *soc, struct flow_cls_offload *cls);
u32 ppesim_flows_of(struct ppesim_soc *soc, const struct ppesim_binding *binding);
void ppesim_flows_free(struct ppesim_soc *soc);
void ppesim_flow_check(struct ppesim_ppe *ppe, struct ppesim_slot *slot);

/* rule.c */
int ppesim_rule_read(struct ppesim_soc *soc, struct flow_rule *rule, struct ppesim_flow *flow);
#endif
