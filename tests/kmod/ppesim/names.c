// SPDX-License-Identifier: GPL-2.0-only
/* What the enums are called in the control files. */
#include "ppesim.h"

const char * const ppesim_verdict_names[PPESIM_V_COUNT] = {
	[PPESIM_V_BYPASS] = "bypass",
	[PPESIM_V_NOT_IP] = "not_ip",
	[PPESIM_V_NOT_L4] = "not_l4",
	[PPESIM_V_MULTICAST] = "multicast",
	[PPESIM_V_IPV4_FRAG] = "ipv4_frag",
	[PPESIM_V_OPTION_HEADER] = "option_header",
	[PPESIM_V_TTL_EXCEEDED] = "ttl_exceeded",
	[PPESIM_V_EXCEED_MTU] = "exceed_mtu",
	[PPESIM_V_TCP_FIN_SYN_RST] = "tcp_fin_syn_rst",
	[PPESIM_V_HIT_BIND_TCP_FIN] = "hit_bind_tcp_fin",
	[PPESIM_V_HIT_FIN] = "hit_fin",
	[PPESIM_V_UN_HIT] = "un_hit",
	[PPESIM_V_NO_WAY] = "no_way",
	[PPESIM_V_HIT_UNBIND] = "hit_unbind",
	[PPESIM_V_HIT_UNBIND_RATE_REACHED] = "hit_unbind_rate_reached",
	[PPESIM_V_PPE_OFF] = "ppe_off",
	[PPESIM_V_BAD_CHECKSUM] = "bad_checksum",
};

const char * const ppesim_detector_names[PPESIM_D_COUNT] = {
	[PPESIM_D_ATOMIC_CALL] = "atomic_call",
	[PPESIM_D_CALL_AFTER_UNBIND] = "call_after_unbind",
	[PPESIM_D_COOKIE_IN_USE] = "cookie_in_use",
	[PPESIM_D_COOKIE_UNKNOWN] = "cookie_unknown",
	[PPESIM_D_DESTROY_MISSING] = "destroy_missing",
	[PPESIM_D_UNBIND_MISSING] = "unbind_missing",
	[PPESIM_D_UNBIND_UNKNOWN] = "unbind_unknown",
	[PPESIM_D_BINDER_TYPE] = "binder_type",
	[PPESIM_D_DEVICE_DOWN] = "device_down",
	[PPESIM_D_DSA_TWO_TAGS] = "dsa_two_tags",
	[PPESIM_D_TAGS_IGNORED] = "tags_ignored",
	[PPESIM_D_WRONG_PPE] = "wrong_ppe",
	[PPESIM_D_SAME_TUPLE] = "same_tuple",
	[PPESIM_D_NOT_TCP_UDP] = "not_tcp_udp",
};

const char * const ppesim_counter_names[PPESIM_C_COUNT] = {
	[PPESIM_C_WIRE_RX] = "wire_rx",
	[PPESIM_C_HW_RX] = "hw_rx",
	[PPESIM_C_HW_RX_BYTES] = "hw_rx_bytes",
	[PPESIM_C_CPU_RX] = "cpu_rx",
	[PPESIM_C_CPU_RX_BYTES] = "cpu_rx_bytes",
	[PPESIM_C_CPU_TX] = "cpu_tx",
	[PPESIM_C_CPU_TX_BYTES] = "cpu_tx_bytes",
	[PPESIM_C_HW_TX] = "hw_tx",
	[PPESIM_C_HW_TX_BYTES] = "hw_tx_bytes",
	[PPESIM_C_RX_DROPPED] = "rx_dropped",
	[PPESIM_C_TX_LOST] = "tx_lost",
};

const char * const ppesim_knob_names[PPESIM_K_COUNT] = {
	[PPESIM_K_BIND_RATE] = "bind_rate",
	[PPESIM_K_AGE_UDP] = "age_udp",
	[PPESIM_K_AGE_TCP] = "age_tcp",
	[PPESIM_K_AGE_FIN] = "age_fin",
	[PPESIM_K_AGE_UNBOUND] = "age_unbound",
	[PPESIM_K_MIB_OVERHEAD] = "mib_overhead",
	[PPESIM_K_INIT_NET_ONLY] = "init_net_only",
	[PPESIM_K_GMAC_HW_STATS] = "gmac_hw_stats",
	[PPESIM_K_WED_ATTACHED] = "wed_attached",
};

const char * const ppesim_command_names[PPESIM_CMD_COUNT] = {
	[PPESIM_CMD_BIND] = "bind",
	[PPESIM_CMD_UNBIND] = "unbind",
	[PPESIM_CMD_REPLACE] = "replace",
	[PPESIM_CMD_DESTROY] = "destroy",
	[PPESIM_CMD_STATS] = "stats",
};

const char * const ppesim_kind_names[PPESIM_KINDS] = {
	[PPESIM_GMAC] = "gmac",
	[PPESIM_DSA] = "dsa",
	[PPESIM_WLAN] = "wlan",
};
