// SPDX-License-Identifier: GPL-2.0-only
/* What can be read of a SoC in debugfs; see control.c. */
#include <linux/debugfs.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>

#include "ppesim.h"

static const char * const state_names[] = { "invalid", "unbind", "bind", "fin" };

static int info_show(struct seq_file *out, void *unused)
{
	struct ppesim_soc *soc = out->private;
	const struct ppesim_profile *profile = soc->profile;
	unsigned int i;

	seq_printf(out, "profile=%s\nnetsys=%u\nppes=%u\nways=%u\nwed=%u\naccounting=%u\n",
		   profile->name, profile->netsys, profile->ppes, profile->ways, profile->wed,
		   profile->accounting);
	seq_printf(out, "entries=%u\non=%u\nnow=%lld\nscale=%u\n", soc->entries, soc->on,
		   ppesim_now(soc), soc->clock_scale);
	i = READ_ONCE(soc->running);
	seq_printf(out, "running=%s\n", i < PPESIM_CMD_COUNT ? ppesim_command_names[i] : "none");
	for (i = 0; i < PPESIM_K_COUNT; i++)
		seq_printf(out, "%s=%u\n", ppesim_knob_names[i], READ_ONCE(soc->knobs[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(info);

static int counters_show(struct seq_file *out, void *unused)
{
	struct ppesim_soc *soc = out->private;
	unsigned int i;

	for (i = 0; i < PPESIM_V_COUNT; i++)
		seq_printf(out, "%s=%lld\n", ppesim_verdict_names[i],
			   atomic64_read(&soc->verdicts[i]));
	mutex_lock(&soc->mutex);
	for (i = 0; i < PPESIM_CMD_COUNT; i++)
		seq_printf(out, "cmd_%s=%llu\ncmd_%s_failed=%llu\n", ppesim_command_names[i],
			   soc->commands[i], ppesim_command_names[i], soc->failures[i]);
	seq_printf(out, "cmd_replace_most=%u\n", soc->installing.most);
	for (i = 0; i < soc->profile->weds; i++)
		seq_printf(out, "wed%u_flows=%u\n", i, soc->wed_flows[i]);
	mutex_unlock(&soc->mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static int detectors_show(struct seq_file *out, void *unused)
{
	struct ppesim_soc *soc = out->private;
	unsigned int i;

	for (i = 0; i < PPESIM_D_COUNT; i++)
		seq_printf(out, "%s=%lld\n", ppesim_detector_names[i],
			   atomic64_read(&soc->detectors[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(detectors);

static int ports_show(struct seq_file *out, void *unused)
{
	struct ppesim_soc *soc = out->private;
	struct ppesim_port *port;
	unsigned int i;

	rtnl_lock();
	list_for_each_entry(port, &soc->ports, node) {
		seq_printf(out, "name=%s kind=%s index=%u ifindex=%d ppe=%d wed=%d bound=%d link=%u",
			   port->dev->name, ppesim_kind_names[port->kind], port->index,
			   port->dev->ifindex, ppesim_port_ppe(port), port->wed, port->bound,
			   port->link);
		for (i = 0; i < PPESIM_C_COUNT; i++)
			seq_printf(out, " %s=%lld", ppesim_counter_names[i],
				   atomic64_read(&port->counters[i]));
		seq_putc(out, '\n');
	}
	rtnl_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ports);

static void show_key(struct seq_file *out, const struct ppesim_key *key)
{
	__be32 src[4], dst[4];
	unsigned int i;

	for (i = 0; i < 4; i++) {
		src[i] = htonl(key->src[i]);
		dst[i] = htonl(key->dst[i]);
	}
	seq_printf(out, "proto=%s ", key->udp ? "udp" : "tcp");
	seq_printf(out, "type=%s ", key->type == PPESIM_FOE_IPV6_5T ? "ipv6" : "ipv4");
	if (key->type == PPESIM_FOE_IPV6_5T)
		seq_printf(out, "src=%pI6c dst=%pI6c", src, dst);
	else
		seq_printf(out, "src=%pI4 dst=%pI4", &src[3], &dst[3]);
	seq_printf(out, " sport=%u dport=%u", key->sport, key->dport);
}

static void show_rewrite(struct seq_file *out, const struct ppesim_key *key,
			 const struct ppesim_rewrite *rewrite)
{
	unsigned int i;

	if (key->type == PPESIM_FOE_IPV4_HNAPT) {
		__be32 src = htonl(rewrite->src), dst = htonl(rewrite->dst);

		seq_printf(out, " new_src=%pI4 new_dst=%pI4 new_sport=%u new_dport=%u", &src, &dst,
			   rewrite->sport, rewrite->dport);
	}
	seq_printf(out, " dmac=%pM smac=%pM", rewrite->dst_mac, rewrite->src_mac);
	for (i = 0; i < rewrite->vlans; i++)
		seq_printf(out, " vlan%u=%u", i, rewrite->vlan[i]);
	if (rewrite->pppoe)
		seq_printf(out, " pppoe=%u", rewrite->session);
	if (rewrite->pse >= PPESIM_PSE_WDMA)
		seq_printf(out, " wdma=%u bss=%u wcid=%u", rewrite->pse - PPESIM_PSE_WDMA,
			   rewrite->bss, rewrite->wcid);
	else if (rewrite->dsa >= 0)
		seq_printf(out, " gmac=%u dsa=%d", rewrite->pse, rewrite->dsa);
	else
		seq_printf(out, " gmac=%u", rewrite->pse);
}

static int flows_show(struct seq_file *out, void *unused)
{
	struct ppesim_soc *soc = out->private;
	struct ppesim_flow *flow;
	int bucket;

	mutex_lock(&soc->mutex);
	hash_for_each(soc->cookies, bucket, flow, cookie_node) {
		bool bound = false;

		spin_lock_bh(&flow->ppe->lock);
		if (flow->slot != PPESIM_NO_SLOT) {
			struct ppesim_slot *slot = &flow->ppe->slots[flow->slot];

			ppesim_slot_age(flow->ppe, slot);
			bound = slot->state == PPESIM_FOE_BIND &&
				!memcmp(&slot->key, &flow->key, sizeof(flow->key));
		}
		spin_unlock_bh(&flow->ppe->lock);
		seq_printf(out, "cookie=%lx via=%s ppe=%u bound=%u binds=%u wed=%d ", flow->cookie,
			   flow->binding->name, flow->ppe->index, bound, flow->binds, flow->wed);
		show_key(out, &flow->key);
		show_rewrite(out, &flow->key, &flow->rewrite);
		seq_putc(out, '\n');
	}
	mutex_unlock(&soc->mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(flows);

static int entries_show(struct seq_file *out, void *unused)
{
	struct ppesim_soc *soc = out->private;
	struct ppesim_slot slot;
	unsigned int p, i;

	for (p = 0; p < soc->profile->ppes; p++) {
		struct ppesim_ppe *ppe = &soc->ppe[p];

		for (i = 0; i < soc->entries; i++) {
			spin_lock_bh(&ppe->lock);
			ppesim_slot_age(ppe, &ppe->slots[i]);
			slot = ppe->slots[i];
			spin_unlock_bh(&ppe->lock);
			if (slot.state == PPESIM_FOE_INVALID)
				continue;
			seq_printf(out, "ppe=%u index=%u state=%s idle=%lld ", p, i,
				   state_names[slot.state], ppesim_now(soc) - slot.last);
			seq_printf(out, "count=%u packets=%llu bytes=%llu ", slot.count,
				   slot.mib_packets, slot.mib_bytes);
			show_key(out, &slot.key);
			if (slot.state != PPESIM_FOE_UNBIND)
				show_rewrite(out, &slot.key, &slot.rewrite);
			seq_putc(out, '\n');
		}
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(entries);

/**
 * ppesim_show_add() - make the files of a SoC
 * @soc: the SoC
 */
void ppesim_show_add(struct ppesim_soc *soc)
{
	debugfs_create_file("info", 0400, soc->dir, soc, &info_fops);
	debugfs_create_file("counters", 0400, soc->dir, soc, &counters_fops);
	debugfs_create_file("detectors", 0400, soc->dir, soc, &detectors_fops);
	debugfs_create_file("ports", 0400, soc->dir, soc, &ports_fops);
	debugfs_create_file("flows", 0400, soc->dir, soc, &flows_fops);
	debugfs_create_file("entries", 0400, soc->dir, soc, &entries_fops);
}
