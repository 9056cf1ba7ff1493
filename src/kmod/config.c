// SPDX-License-Identifier: GPL-2.0-only
/*
 * Settings: start values from module parameters, and their application to a namespace. The
 * limits are those of natflow.yaml, for parameters as for netlink.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "config.h"
#include "offload.h"

static unsigned int enabled;
static unsigned int delay_pkts = 4;
static unsigned int sample_interval = 2000;
static unsigned int idle_timeout = 30000;
static unsigned int max_flows = 65536;
static unsigned int host_flows = 16384;
static unsigned int learn_rate = 20000;
static unsigned int exclude_mark;
static unsigned int exclude_mask;
static unsigned int hwnat = 1;
static unsigned int hwnat_mode;
static unsigned int hwnat_wed;
static unsigned int hw_min_rate = 500000;
static unsigned int hw_rate_limit = 200;
static unsigned int hw_max_flows;

module_param(enabled, uint, 0444);
MODULE_PARM_DESC(enabled, "accelerate in every namespace that appears (default 0)");
module_param(delay_pkts, uint, 0444);
MODULE_PARM_DESC(delay_pkts, "packets a connection must have had (default 4)");
module_param(sample_interval, uint, 0444);
MODULE_PARM_DESC(sample_interval, "re-proof interval in milliseconds (default 2000)");
module_param(idle_timeout, uint, 0444);
MODULE_PARM_DESC(idle_timeout, "milliseconds until an idle flow leaves (default 30000)");
module_param(max_flows, uint, 0444);
MODULE_PARM_DESC(max_flows, "flows in a namespace at the most (default 65536)");
module_param(host_flows, uint, 0444);
MODULE_PARM_DESC(host_flows, "flows of one inner host at the most (default 16384)");
module_param(learn_rate, uint, 0444);
MODULE_PARM_DESC(learn_rate, "new flows a second at the most (default 20000)");
module_param(exclude_mark, uint, 0444);
MODULE_PARM_DESC(exclude_mark, "connections with this mark stay slow");
module_param(exclude_mask, uint, 0444);
MODULE_PARM_DESC(exclude_mask, "bits of the mark to compare, 0 for none (default 0)");
module_param(hwnat, uint, 0444);
MODULE_PARM_DESC(hwnat, "hand flows to the hardware where there is some (default 1)");
module_param(hwnat_mode, uint, 0444);
MODULE_PARM_DESC(hwnat_mode, "0: the fastest while a CPU is busy, 1: all (default 0)");
module_param(hwnat_wed, uint, 0444);
MODULE_PARM_DESC(hwnat_wed, "hand over to and from WiFi, too (default 0)");
module_param(hw_min_rate, uint, 0444);
MODULE_PARM_DESC(hw_min_rate, "bytes a second that are worth the hardware (default 500000)");
module_param(hw_rate_limit, uint, 0444);
MODULE_PARM_DESC(hw_rate_limit, "directions handed over in a second (default 200)");
module_param(hw_max_flows, uint, 0444);
MODULE_PARM_DESC(hw_max_flows, "directions in the hardware, 0 for all it bears (default 0)");

static const struct {
	const char		*name;
	const unsigned int	*value;
	unsigned int		min;
	unsigned int		max;
} limits[] = {
	{ "enabled", &enabled, 0, NATFLOW_CONFIG_ENABLED_MAX },
	{ "delay_pkts", &delay_pkts, 0, NATFLOW_CONFIG_DELAY_PKTS_MAX },
	{ "sample_interval", &sample_interval, NATFLOW_CONFIG_SAMPLE_INTERVAL_MIN,
	  NATFLOW_CONFIG_SAMPLE_INTERVAL_MAX },
	{ "idle_timeout", &idle_timeout, NATFLOW_CONFIG_IDLE_TIMEOUT_MIN,
	  NATFLOW_CONFIG_IDLE_TIMEOUT_MAX },
	{ "max_flows", &max_flows, NATFLOW_CONFIG_MAX_FLOWS_MIN, NATFLOW_CONFIG_MAX_FLOWS_MAX },
	{ "host_flows", &host_flows, NATFLOW_CONFIG_HOST_FLOWS_MIN, NATFLOW_CONFIG_HOST_FLOWS_MAX },
	{ "learn_rate", &learn_rate, NATFLOW_CONFIG_LEARN_RATE_MIN, NATFLOW_CONFIG_LEARN_RATE_MAX },
	{ "hwnat", &hwnat, 0, NATFLOW_CONFIG_HWNAT_MAX },
	{ "hwnat_mode", &hwnat_mode, 0, NATFLOW_CONFIG_HWNAT_MODE_MAX },
	{ "hwnat_wed", &hwnat_wed, 0, NATFLOW_CONFIG_HWNAT_WED_MAX },
	{ "hw_rate_limit", &hw_rate_limit, NATFLOW_CONFIG_HW_RATE_LIMIT_MIN,
	  NATFLOW_CONFIG_HW_RATE_LIMIT_MAX },
	{ "hw_max_flows", &hw_max_flows, 0, NATFLOW_CONFIG_HW_MAX_FLOWS_MAX },
};

int natflow_config_check_parameters(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		if (*limits[i].value >= limits[i].min && *limits[i].value <= limits[i].max)
			continue;
		pr_err("parameter %s=%u: must be %u to %u\n", limits[i].name, *limits[i].value,
		       limits[i].min, limits[i].max);
		return -EINVAL;
	}
	if (!IS_ENABLED(CONFIG_NATFLOW_PATH) && enabled) {
		pr_err("parameter enabled=1: this module was built without CONFIG_NATFLOW_PATH\n");
		return -EOPNOTSUPP;
	}
	if (exclude_mark & ~exclude_mask) {
		pr_err("parameter exclude_mark=%#x: has bits outside exclude_mask=%#x\n",
		       exclude_mark, exclude_mask);
		return -EINVAL;
	}
	return 0;
}

static void set(struct natflow_net *nn, const struct natflow_config *config)
{
	nn->config = *config;
	nn->sample_jiffies = msecs_to_jiffies(config->sample_interval);
}

void natflow_config_default(struct natflow_net *nn)
{
	const struct natflow_config config = {
		.enabled = enabled,
		.delay_pkts = delay_pkts,
		.sample_interval = sample_interval,
		.idle_timeout = idle_timeout,
		.max_flows = max_flows,
		.host_flows = host_flows,
		.learn_rate = learn_rate,
		.exclude_mark = exclude_mark,
		.exclude_mask = exclude_mask,
		.hwnat = hwnat,
		.hwnat_mode = hwnat_mode,
		.hwnat_wed = hwnat_wed,
		.hw_min_rate = hw_min_rate,
		.hw_rate_limit = hw_rate_limit,
		.hw_max_flows = hw_max_flows,
	};

	set(nn, &config);
}

/**
 * natflow_config_apply() - make checked settings the namespace's own; under RTNL
 * @nn: namespace
 * @config: all settings
 *
 * Running flows are proved again under them with their next packets.
 *
 * Return: 0, or a negative errno when acceleration could not be started; then nothing changed.
 */
int natflow_config_apply(struct natflow_net *nn, const struct natflow_config *config)
{
	int err = 0;

	ASSERT_RTNL();
	if (config->enabled) {
		err = natflow_net_enable(nn);
		if (err)
			return err;
		set(nn, config);
	} else {
		set(nn, config);
		natflow_net_disable(nn);
	}
	natflow_net_stale(nn);
	natflow_offload_config(nn);
	return 0;
}
