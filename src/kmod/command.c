// SPDX-License-Identifier: GPL-2.0-only
/* Netlink commands about the namespace as a whole: its settings and its counters. */
#include <linux/rtnetlink.h>
#include <net/netns/nftables.h>

#include "command.h"
#include "config.h"
#include "flow.h"
#include "net.h"
#include "offload.h"

/* What the kernel offers is decided when the module is built for it. */
#ifdef CONFIG_NF_CONNTRACK_MARK
#define FEATURE_MARK	" mark"
#else
#define FEATURE_MARK	""
#endif
#ifdef CONFIG_NATFLOW_PATH
#define FEATURE_PATH	" path"
#else
#define FEATURE_PATH	""
#endif
#define FEATURES	"ingress" FEATURE_PATH FEATURE_MARK NATFLOW_FEATURE_RULESET

/* Limits in a policy itself have 16 bits and a sign. Not const: some kernels want them so. */
#define RANGE_OF(setting) { .min = setting##_MIN, .max = setting##_MAX }

static struct netlink_range_validation delay_range = { .max = NATFLOW_CONFIG_DELAY_PKTS_MAX };
static struct netlink_range_validation idle_range = RANGE_OF(NATFLOW_CONFIG_IDLE_TIMEOUT);
static struct netlink_range_validation max_flows_range = RANGE_OF(NATFLOW_CONFIG_MAX_FLOWS);
static struct netlink_range_validation host_flows_range = RANGE_OF(NATFLOW_CONFIG_HOST_FLOWS);
static struct netlink_range_validation learn_rate_range = RANGE_OF(NATFLOW_CONFIG_LEARN_RATE);
static struct netlink_range_validation hw_max_range = { .max = NATFLOW_CONFIG_HW_MAX_FLOWS_MAX };

const struct nla_policy natflow_config_policy[NATFLOW_A_CONFIG_MAX + 1] = {
	[NATFLOW_A_CONFIG_ENABLED] = NLA_POLICY_MAX(NLA_U8, NATFLOW_CONFIG_ENABLED_MAX),
	[NATFLOW_A_CONFIG_DELAY_PKTS] = NLA_POLICY_FULL_RANGE(NLA_U32, &delay_range),
	[NATFLOW_A_CONFIG_SAMPLE_INTERVAL] =
		NLA_POLICY_RANGE(NLA_U32, NATFLOW_CONFIG_SAMPLE_INTERVAL_MIN,
				 NATFLOW_CONFIG_SAMPLE_INTERVAL_MAX),
	[NATFLOW_A_CONFIG_IDLE_TIMEOUT] = NLA_POLICY_FULL_RANGE(NLA_U32, &idle_range),
	[NATFLOW_A_CONFIG_MAX_FLOWS] = NLA_POLICY_FULL_RANGE(NLA_U32, &max_flows_range),
	[NATFLOW_A_CONFIG_HOST_FLOWS] = NLA_POLICY_FULL_RANGE(NLA_U32, &host_flows_range),
	[NATFLOW_A_CONFIG_LEARN_RATE] = NLA_POLICY_FULL_RANGE(NLA_U32, &learn_rate_range),
	[NATFLOW_A_CONFIG_EXCLUDE_MARK] = { .type = NLA_U32 },
	[NATFLOW_A_CONFIG_EXCLUDE_MASK] = { .type = NLA_U32 },
	[NATFLOW_A_CONFIG_HWNAT] = NLA_POLICY_MAX(NLA_U8, NATFLOW_CONFIG_HWNAT_MAX),
	[NATFLOW_A_CONFIG_HWNAT_MODE] = NLA_POLICY_MAX(NLA_U8, NATFLOW_CONFIG_HWNAT_MODE_MAX),
	[NATFLOW_A_CONFIG_HWNAT_WED] = NLA_POLICY_MAX(NLA_U8, NATFLOW_CONFIG_HWNAT_WED_MAX),
	[NATFLOW_A_CONFIG_HW_MIN_RATE] = { .type = NLA_U32 },
	[NATFLOW_A_CONFIG_HW_RATE_LIMIT] =
		NLA_POLICY_RANGE(NLA_U32, NATFLOW_CONFIG_HW_RATE_LIMIT_MIN,
				 NATFLOW_CONFIG_HW_RATE_LIMIT_MAX),
	[NATFLOW_A_CONFIG_HW_MAX_FLOWS] = NLA_POLICY_FULL_RANGE(NLA_U32, &hw_max_range),
};

int natflow_put_config(struct sk_buff *skb, const struct natflow_config *config)
{
	struct nlattr *nest = nla_nest_start(skb, NATFLOW_A_MAIN_CONFIG);

	if (!nest ||
	    nla_put_u8(skb, NATFLOW_A_CONFIG_ENABLED, config->enabled) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_DELAY_PKTS, config->delay_pkts) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_SAMPLE_INTERVAL, config->sample_interval) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_IDLE_TIMEOUT, config->idle_timeout) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_MAX_FLOWS, config->max_flows) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_HOST_FLOWS, config->host_flows) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_LEARN_RATE, config->learn_rate) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_EXCLUDE_MARK, config->exclude_mark) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_EXCLUDE_MASK, config->exclude_mask) ||
	    nla_put_u8(skb, NATFLOW_A_CONFIG_HWNAT, config->hwnat) ||
	    nla_put_u8(skb, NATFLOW_A_CONFIG_HWNAT_MODE, config->hwnat_mode) ||
	    nla_put_u8(skb, NATFLOW_A_CONFIG_HWNAT_WED, config->hwnat_wed) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_HW_MIN_RATE, config->hw_min_rate) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_HW_RATE_LIMIT, config->hw_rate_limit) ||
	    nla_put_u32(skb, NATFLOW_A_CONFIG_HW_MAX_FLOWS, config->hw_max_flows))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_uptime(struct sk_buff *skb, const struct natflow_net *nn)
{
	u64 uptime = jiffies64_to_msecs(get_jiffies_64() - nn->born);

	return nla_put_u64_64bit(skb, NATFLOW_A_MAIN_UPTIME, uptime, NATFLOW_A_MAIN_PAD);
}

int natflow_config_get(struct sk_buff *skb, struct genl_info *info)
{
	struct natflow_net *nn = natflow_net(genl_info_net(info));
	struct sk_buff *answer;
	void *header;

	answer = natflow_answer(info, &header);
	if (!answer)
		return -ENOMEM;
	if (nla_put_string(answer, NATFLOW_A_MAIN_VERSION, NATFLOW_VERSION) ||
	    nla_put_string(answer, NATFLOW_A_MAIN_FEATURES, FEATURES) ||
	    nla_put_u32(answer, NATFLOW_A_MAIN_FLOW_SIZE, natflow_flow_size(AF_INET)) ||
	    nla_put_u32(answer, NATFLOW_A_MAIN_FLOW6_SIZE, natflow_flow_size(AF_INET6)) ||
	    put_uptime(answer, nn) || natflow_put_config(answer, &nn->config))
		return natflow_answer_fails(answer);
	genlmsg_end(answer, header);
	return genlmsg_reply(answer, info);
}

static void take_u8(u8 *setting, const struct nlattr *attr)
{
	if (attr)
		*setting = nla_get_u8(attr);
}

static void take_u32(u32 *setting, const struct nlattr *attr)
{
	if (attr)
		*setting = nla_get_u32(attr);
}

static int check_exclude(const struct natflow_config *config, struct nlattr **tb,
			 struct netlink_ext_ack *extack)
{
	const struct nlattr *mark = tb[NATFLOW_A_CONFIG_EXCLUDE_MARK];
	const struct nlattr *mask = tb[NATFLOW_A_CONFIG_EXCLUDE_MASK];

	if (!mark && !mask)
		return 0;
	if (config->exclude_mark & ~config->exclude_mask) {
		NL_SET_ERR_MSG_ATTR(extack, mark ? mark : mask,
				    "exclude-mark has bits outside exclude-mask");
		return -EINVAL;
	}
	if (!IS_ENABLED(CONFIG_NF_CONNTRACK_MARK) && config->exclude_mask) {
		NL_SET_ERR_MSG_ATTR(extack, mask ? mask : mark,
				    "this kernel has no connection marks");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int parse_config(struct natflow_config *config, struct nlattr **tb,
			struct netlink_ext_ack *extack)
{
	take_u8(&config->enabled, tb[NATFLOW_A_CONFIG_ENABLED]);
	take_u32(&config->delay_pkts, tb[NATFLOW_A_CONFIG_DELAY_PKTS]);
	take_u32(&config->sample_interval, tb[NATFLOW_A_CONFIG_SAMPLE_INTERVAL]);
	take_u32(&config->idle_timeout, tb[NATFLOW_A_CONFIG_IDLE_TIMEOUT]);
	take_u32(&config->max_flows, tb[NATFLOW_A_CONFIG_MAX_FLOWS]);
	take_u32(&config->host_flows, tb[NATFLOW_A_CONFIG_HOST_FLOWS]);
	take_u32(&config->learn_rate, tb[NATFLOW_A_CONFIG_LEARN_RATE]);
	take_u32(&config->exclude_mark, tb[NATFLOW_A_CONFIG_EXCLUDE_MARK]);
	take_u32(&config->exclude_mask, tb[NATFLOW_A_CONFIG_EXCLUDE_MASK]);
	take_u8(&config->hwnat, tb[NATFLOW_A_CONFIG_HWNAT]);
	take_u8(&config->hwnat_mode, tb[NATFLOW_A_CONFIG_HWNAT_MODE]);
	take_u8(&config->hwnat_wed, tb[NATFLOW_A_CONFIG_HWNAT_WED]);
	take_u32(&config->hw_min_rate, tb[NATFLOW_A_CONFIG_HW_MIN_RATE]);
	take_u32(&config->hw_rate_limit, tb[NATFLOW_A_CONFIG_HW_RATE_LIMIT]);
	take_u32(&config->hw_max_flows, tb[NATFLOW_A_CONFIG_HW_MAX_FLOWS]);
	if (!IS_ENABLED(CONFIG_NATFLOW_PATH) && config->enabled) {
		NL_SET_ERR_MSG_ATTR(extack, tb[NATFLOW_A_CONFIG_ENABLED],
				    "this module was built without CONFIG_NATFLOW_PATH");
		return -EOPNOTSUPP;
	}
	return check_exclude(config, tb, extack);
}

int natflow_config_set(struct sk_buff *skb, struct genl_info *info)
{
	struct natflow_net *nn = natflow_net(genl_info_net(info));
	struct nlattr *tb[NATFLOW_A_CONFIG_MAX + 1];
	struct natflow_config config;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, NATFLOW_A_MAIN_CONFIG)) {
		GENL_SET_ERR_MSG(info, "config-set needs settings");
		return -EINVAL;
	}
	err = nla_parse_nested(tb, NATFLOW_A_CONFIG_MAX, info->attrs[NATFLOW_A_MAIN_CONFIG],
			       natflow_config_policy, info->extack);
	if (err)
		return err;

	rtnl_lock();
	config = nn->config;
	err = parse_config(&config, tb, info->extack);
	if (!err) {
		err = natflow_config_apply(nn, &config);
		if (err)
			GENL_SET_ERR_MSG(info, "acceleration could not be started");
	}
	rtnl_unlock();
	if (!err)
		natflow_tell_config(nn->net, &config);
	return err;
}

int natflow_reprove(struct sk_buff *skb, struct genl_info *info)
{
	natflow_net_stale(natflow_net(genl_info_net(info)));
	natflow_offload_sync();
	return 0;
}

static int put_engine(struct sk_buff *skb, const struct natflow_stats *stats,
		      enum natflow_engine engine)
{
	struct nlattr *nest = nla_nest_start(skb, NATFLOW_A_MAIN_ENGINE_STATS);

	if (!nest || nla_put_u32(skb, NATFLOW_A_ENGINE_STATS_ENGINE, engine) ||
	    nla_put_u64_64bit(skb, NATFLOW_A_ENGINE_STATS_PACKETS, stats->packets[engine],
			      NATFLOW_A_ENGINE_STATS_PAD) ||
	    nla_put_u64_64bit(skb, NATFLOW_A_ENGINE_STATS_BYTES, stats->bytes[engine],
			      NATFLOW_A_ENGINE_STATS_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_engines(struct sk_buff *skb, const struct natflow_stats *stats)
{
	unsigned int engine;
	int err = 0;

	for (engine = 0; engine < NATFLOW_ENGINES && !err; engine++)
		err = put_engine(skb, stats, engine);
	return err;
}

struct census {
	u32	states[NATFLOW_STATES];
	u32	reasons[NATFLOW_REASONS];
};

static void count_flows(struct natflow_net *nn, struct census *census)
{
	struct natflow_flow *flow;
	unsigned long index;

	memset(census, 0, sizeof(*census));
	rcu_read_lock();
	xa_for_each(&nn->flows, index, flow) {
		unsigned int reason = READ_ONCE(flow->reason);

		census->states[natflow_flow_state(flow)]++;
		if (reason)
			census->reasons[reason]++;
		if (need_resched()) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
}

int natflow_stats_get(struct sk_buff *skb, struct genl_info *info)
{
	struct natflow_net *nn = natflow_net(genl_info_net(info));
	struct natflow_stats stats;
	struct census census;
	struct sk_buff *answer;
	void *header;

	answer = natflow_answer(info, &header);
	if (!answer)
		return -ENOMEM;
	natflow_net_stats(nn, &stats);
	count_flows(nn, &census);
	if (put_uptime(answer, nn) || put_engines(answer, &stats) ||
	    nla_put(answer, NATFLOW_A_MAIN_STATE_FLOWS, sizeof(census.states), census.states) ||
	    nla_put_64bit(answer, NATFLOW_A_MAIN_REASON_PACKETS, sizeof(stats.reason),
			  stats.reason, NATFLOW_A_MAIN_PAD) ||
	    nla_put(answer, NATFLOW_A_MAIN_REASON_FLOWS, sizeof(census.reasons), census.reasons) ||
	    nla_put_u32(answer, NATFLOW_A_MAIN_FILTER_IFINDEX, READ_ONCE(nn->filter_dev)) ||
	    nla_put_u32(answer, NATFLOW_A_MAIN_SHAPER_IFINDEX, READ_ONCE(nn->shaper_dev)))
		return natflow_answer_fails(answer);
	genlmsg_end(answer, header);
	return genlmsg_reply(answer, info);
}
