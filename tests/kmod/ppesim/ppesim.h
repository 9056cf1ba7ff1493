/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A simulated MediaTek SoC for tests: Ethernet ports, a switch, wireless ports, and packet
 * processing engines (PPE) between their wires and the host stack.
 *
 * It behaves as mtk_eth_soc and its hardware do where a caller of the flow offload interface can
 * tell the difference, unkindness included; what it adds are counters, faults and detectors of a
 * caller's mistakes. How to drive it is in control.c.
 *
 *   main.c     module, link kinds       block.c    TC_SETUP_FT: bind, unbind, commands
 *   soc.c      the SoC, its profiles    rule.c     match and action keys as the driver reads them
 *   clock.c    simulated time           flow.c     the driver's own list of installed flows
 *   port.c     ports and wires          foe.c      the hardware table of one PPE
 *   path.c     ndo_fill_forward_path    frame.c    what the PPE parses of a frame
 *   control.c  debugfs                  engine.c   verdict and rewriting
 *   show.c     what debugfs shows      probe.c    a caller that a test writes by hand
 *   names.c    names of the enums
 */
#ifndef PPESIM_H
#define PPESIM_H

#include <linux/hashtable.h>
#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/prandom.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/gro_cells.h>
#include <net/flow_offload.h>

#include "foe.h"

#define PPESIM_GMACS		3
#define PPESIM_PPES		3
#define PPESIM_WEDS		3
#define PPESIM_USER_PORTS	8
#define PPESIM_WLANS		16
#define PPESIM_ENTRIES		16384
#define PPESIM_NAME		32

struct ppesim_probe;
struct ppesim_soc;

/* Mistakes of a caller. None of them is an error by itself that the real driver would report. */
enum ppesim_detector {
	/* a callback was called where it may not sleep */
	PPESIM_D_ATOMIC_CALL,
	/* ... after its block was unbound */
	PPESIM_D_CALL_AFTER_UNBIND,
	/* REPLACE with the cookie of an installed flow */
	PPESIM_D_COOKIE_IN_USE,
	/* DESTROY or STATS of a flow that is not installed */
	PPESIM_D_COOKIE_UNKNOWN,
	/* flows left behind at UNBIND */
	PPESIM_D_DESTROY_MISSING,
	/* a device was unregistered while bound */
	PPESIM_D_UNBIND_MISSING,
	/* UNBIND of what is not bound */
	PPESIM_D_UNBIND_UNKNOWN,
	/* a binder type that the driver refuses */
	PPESIM_D_BINDER_TYPE,
	/* REPLACE for a device that is down */
	PPESIM_D_DEVICE_DOWN,
	/* a DSA port and two tags: nobody has seen that work */
	PPESIM_D_DSA_TWO_TAGS,
	/* a tag that has no place in the entry, and is lost */
	PPESIM_D_TAGS_IGNORED,
	/* the flow's packets never come by this PPE */
	PPESIM_D_WRONG_PPE,
	/* two flows of one tuple: only one can be bound */
	PPESIM_D_SAME_TUPLE,
	/* another protocol: the hardware takes it for TCP */
	PPESIM_D_NOT_TCP_UDP,
	PPESIM_D_COUNT
};

/**
 * struct ppesim_profile - facts of one SoC
 * @name: as a test names it
 * @netsys: version of the network subsystem; from 2 on the ingress device selects the PPE
 * @ppes: packet processing engines
 * @ways: entries that one hash value may use
 * @wed: WED version; 0: none
 * @weds: WED instances
 * @accounting: it has counters
 * @skips: some entries of its table are never used
 */
struct ppesim_profile {
	const char	*name;
	u8		netsys;
	u8		ppes;
	u8		ways;
	u8		wed;
	u8		weds;
	bool		accounting;
	bool		skips;
};

enum ppesim_kind {
	PPESIM_GMAC,	/* a MAC of the SoC, with a wire or as a conduit */
	PPESIM_DSA,	/* a user port of a switch behind a GMAC */
	PPESIM_WLAN,	/* a wireless interface, with WED or without */
	PPESIM_KINDS
};

enum ppesim_counter {
	/* frames that came from the wire */
	PPESIM_C_WIRE_RX,
	/* ... and were forwarded by the PPE */
	PPESIM_C_HW_RX,
	PPESIM_C_HW_RX_BYTES,
	/* ... and were handed to the host */
	PPESIM_C_CPU_RX,
	PPESIM_C_CPU_RX_BYTES,
	/* frames that the host sent */
	PPESIM_C_CPU_TX,
	PPESIM_C_CPU_TX_BYTES,
	/* frames that the PPE sent out here */
	PPESIM_C_HW_TX,
	PPESIM_C_HW_TX_BYTES,
	/* port down, link down, bad checksum */
	PPESIM_C_RX_DROPPED,
	/* nobody to take the frame: port or link down, no wire */
	PPESIM_C_TX_LOST,
	PPESIM_C_COUNT
};

/**
 * struct ppesim_port - private part of a port's netdev
 * @dev: the netdev
 * @soc: where it belongs
 * @wire: other end of its cable, or NULL
 * @node: in the SoC's list of ports
 * @kind: enum ppesim_kind
 * @index: GMAC number, switch port number, or number of the wireless interface
 * @conduit: GMAC number that a switch port is behind
 * @master: that GMAC's port, held as long as the switch port is there
 * @wed: WED number of a wireless interface, or -1
 * @mediatek_tag: a switch port whose tag the PPE can write
 * @path_error: a wireless interface whose driver has no forward path, but its stack asks for one
 * @path_none: a wireless interface of a stack that does not even ask
 * @wcid: station number that the path tells
 * @link: the cable works
 * @bound: BINDs less UNBINDs that came by this device
 * @cells: where received packets become super-packets
 * @counters: enum ppesim_counter
 */
struct ppesim_port {
	struct net_device		*dev;
	struct ppesim_soc		*soc;
	struct net_device __rcu		*wire;
	struct list_head		node;
	u8				kind;
	u8				index;
	u8				conduit;
	struct ppesim_port		*master;
	s8				wed;
	bool				mediatek_tag;
	bool				path_error;
	bool				path_none;
	u16				wcid;
	bool				link;
	int				bound;
	struct gro_cells		cells;
	atomic64_t			counters[PPESIM_C_COUNT];
};

/**
 * struct ppesim_binding - what a block callback is called with
 * @node: in the SoC's list; it stays there after UNBIND, so that late calls are noticed
 * @soc: where it belongs
 * @port: device that was bound, NULL once it is gone
 * @name: its name
 * @ppe: engine that the callback's owner stands for
 * @dead: unbound
 */
struct ppesim_binding {
	struct list_head	node;
	struct ppesim_soc	*soc;
	struct ppesim_port	*port;
	char			name[IFNAMSIZ];
	u8			ppe;
	bool			dead;
};

enum ppesim_command {
	PPESIM_CMD_BIND,
	PPESIM_CMD_UNBIND,
	PPESIM_CMD_REPLACE,
	PPESIM_CMD_DESTROY,
	PPESIM_CMD_STATS,
	PPESIM_CMD_COUNT
};

/**
 * struct ppesim_fault - what goes wrong with one kind of command
 * @left: so many of the next ones fail
 * @error: with this negative errno
 * @percent: and so many of all, at random
 * @stall_ms: how long it takes, whatever comes of it
 */
struct ppesim_fault {
	u32	left;
	int	error;
	u32	percent;
	u32	stall_ms;
};

/* So many commands of a second can be told apart. */
#define PPESIM_PACE 4096

/**
 * struct ppesim_pace - how fast commands have come
 * @times: when the last ones came, ns
 * @count: of all
 * @old: so many of them came over a second before the last one
 * @most: in any one second
 */
struct ppesim_pace {
	u64	times[PPESIM_PACE];
	u32	count;
	u32	old;
	u32	most;
};

/* Knobs, by the name that control.c takes. Times in seconds unless the name says otherwise. */
enum ppesim_knob {
	/* packets a second that the CPU must see of a flow */
	PPESIM_K_BIND_RATE,
	PPESIM_K_AGE_UDP,
	PPESIM_K_AGE_TCP,
	PPESIM_K_AGE_FIN,
	PPESIM_K_AGE_UNBOUND,
	/* bytes a packet that the MIB counts besides the IP packet */
	PPESIM_K_MIB_OVERHEAD,
	/* 1: find the ingress device in init_net only, as the driver */
	PPESIM_K_INIT_NET_ONLY,
	/* a GMAC's own statistics count what bypasses the host */
	PPESIM_K_GMAC_HW_STATS,
	/* 0: a wireless reset is going on: -ENODEV */
	PPESIM_K_WED_ATTACHED,
	PPESIM_K_COUNT
};

/**
 * struct ppesim_soc - the SoC
 * @node: in the list of all
 * @refs: ports, and the list
 * @name: as a test calls it
 * @profile: its facts
 * @home: cookie of the namespace it was made in: what init_net is to the real driver
 * @entries: size of each PPE's table
 * @on: the PPEs work: some GMAC is up
 * @mutex: the driver's: one command at a time. Also guards bindings, faults and WED counters
 * @cookies: flows by cookie
 * @bindings: all there ever were
 * @blocks: the driver's list of block callbacks
 * @ports: all, under RTNL
 * @gmac: by number
 * @user: switch ports by conduit and number
 * @wlan: wireless interfaces by number
 * @ppe: the engines
 * @wed_flows: the driver's count of flows by WED
 * @faults: by command
 * @running: command in progress, PPESIM_CMD_COUNT for none; read without the mutex
 * @random: what a percentage is drawn from
 * @knobs: enum ppesim_knob
 * @commands: how often each was called
 * @failures: how often it failed
 * @installing: how fast REPLACE came
 * @verdicts: packets by verdict
 * @detectors: mistakes of callers
 * @clock_lock: guards the clock
 * @clock_base: real time when the scale was set, ns
 * @clock_start: simulated time then, ns
 * @clock_scale: simulated seconds a second
 * @probe: a caller of the offload interface for tests
 * @dir: its place in debugfs
 */
struct ppesim_soc {
	struct list_head		node;
	refcount_t			refs;
	char				name[PPESIM_NAME];
	const struct ppesim_profile	*profile;
	u64				home;
	u32				entries;
	bool				on;
	struct mutex			mutex;	/* see above */
	DECLARE_HASHTABLE(cookies, 12);
	struct list_head		bindings;
	struct list_head		blocks;
	struct list_head		ports;
	struct ppesim_port __rcu	*gmac[PPESIM_GMACS];
	struct ppesim_port __rcu	*user[PPESIM_GMACS][PPESIM_USER_PORTS];
	struct ppesim_port __rcu	*wlan[PPESIM_WLANS];
	struct ppesim_ppe		ppe[PPESIM_PPES];
	u32				wed_flows[PPESIM_WEDS];
	struct ppesim_fault		faults[PPESIM_CMD_COUNT];
	u8				running;
	struct rnd_state		random;
	u32				knobs[PPESIM_K_COUNT];
	u64				commands[PPESIM_CMD_COUNT];
	u64				failures[PPESIM_CMD_COUNT];
	struct ppesim_pace		installing;
	atomic64_t			verdicts[PPESIM_V_COUNT];
	atomic64_t			detectors[PPESIM_D_COUNT];
	spinlock_t			clock_lock; /* see above */
	u64				clock_base;
	u64				clock_start;
	u32				clock_scale;
	struct ppesim_probe		*probe;
	struct dentry			*dir;
};

#define ppesim_knob(soc, name)		READ_ONCE((soc)->knobs[PPESIM_K_##name])
#define ppesim_detect(soc, name)	atomic64_inc(&(soc)->detectors[PPESIM_D_##name])

/* names.c */
extern const char * const ppesim_verdict_names[PPESIM_V_COUNT];
extern const char * const ppesim_detector_names[PPESIM_D_COUNT];
extern const char * const ppesim_counter_names[PPESIM_C_COUNT];
extern const char * const ppesim_knob_names[PPESIM_K_COUNT];
extern const char * const ppesim_command_names[PPESIM_CMD_COUNT];
extern const char * const ppesim_kind_names[PPESIM_KINDS];

/* clock.c */
void ppesim_clock_init(struct ppesim_soc *soc);
s64 ppesim_now(struct ppesim_soc *soc);
void ppesim_clock_advance(struct ppesim_soc *soc, u32 seconds);
void ppesim_clock_set_scale(struct ppesim_soc *soc, u32 scale);
u16 ppesim_stamp_mask(const struct ppesim_soc *soc);
u16 ppesim_stamp(struct ppesim_soc *soc);

/* soc.c */
extern struct list_head ppesim_socs;
extern struct mutex ppesim_socs_lock;
struct ppesim_soc *ppesim_soc_new(const char *name, const char *profile, u32 entries);
void ppesim_soc_del(struct ppesim_soc *soc);
void ppesim_soc_put(struct ppesim_soc *soc);
void ppesim_soc_update_power(struct ppesim_soc *soc);
u8 ppesim_gmac_ppe(const struct ppesim_soc *soc, u8 gmac);

/* port.c */
extern struct rtnl_link_ops ppesim_link_ops;
extern struct rtnl_link_ops ppesim_wire_link_ops;
struct ppesim_port *ppesim_port_of(const struct net_device *dev);
int ppesim_port_new(struct ppesim_soc *soc, struct net *net, const struct ppesim_port *like,
		    const char *name, const char *wire);
void ppesim_port_emit(struct ppesim_port *port, struct sk_buff *skb);
int ppesim_port_ppe(const struct ppesim_port *port);
void ppesim_port_count(struct ppesim_port *port, enum ppesim_counter counter, u64 add);
void ppesim_port_set_link(struct ppesim_port *port, bool link);

/* path.c */
int ppesim_path_dsa(struct net_device_path_ctx *ctx, struct net_device_path *path);
int ppesim_path_wlan(struct net_device_path_ctx *ctx, struct net_device_path *path);

/* block.c */
int ppesim_setup_tc(struct net_device *dev, enum tc_setup_type type, void *type_data);
void ppesim_bindings_forget(struct ppesim_port *port);
void ppesim_bindings_free(struct ppesim_soc *soc);

/* frame.c */

/* A PPPoE session header and the PPP protocol behind it, as they are in a frame. */
struct ppesim_pppoe {
	u8	version_type;
	u8	code;
	__be16	session;
	__be16	length;
	__be16	protocol;
} __packed;

/**
 * struct ppesim_frame - what the PPE has read of a frame
 * @key: addresses and ports
 * @l3: offset of the IP header
 * @l4: offset of the transport header
 * @length: bytes of the IP packet; what follows is padding
 * @tcp_flags: FIN, SYN and RST
 */
struct ppesim_frame {
	struct ppesim_key	key;
	unsigned int		l3;
	unsigned int		l4;
	unsigned int		length;
	u8			tcp_flags;
};

enum ppesim_verdict ppesim_frame_read(const struct sk_buff *skb, struct ppesim_frame *frame);

/* engine.c */
bool ppesim_engine_receive(struct ppesim_port *port, struct sk_buff *skb);
struct ppesim_port *ppesim_engine_egress(struct ppesim_soc *soc,
					 const struct ppesim_rewrite *rewrite);

/* probe.c */
extern const struct file_operations ppesim_probe_fops;
struct ppesim_probe *ppesim_probe_new(void);
void ppesim_probe_free(struct ppesim_probe *probe);

/* show.c */
void ppesim_show_add(struct ppesim_soc *soc);

/* control.c */
int ppesim_control_init(void);
void ppesim_control_exit(void);
void ppesim_control_add(struct ppesim_soc *soc);
#endif
