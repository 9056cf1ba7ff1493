// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test's side of the simulator: text files in debugfs. A command is one line and one write,
 * which fails with the error of the command.
 *
 *   ppesim/control
 *	new NAME PROFILE [ENTRIES]		in the namespace of the writer
 *	del NAME
 *   ppesim/NAME/control
 *	port NAME gmac|dsa|wlan [wire=NAME] [index=N] [conduit=N] [wed=N] [wcid=N]
 *				[tag=other] [path=error|none]
 *	set KNOB NUMBER				one of enum ppesim_knob
 *	fail COMMAND COUNT ERRNO [PERCENT]	bind, unbind, replace, destroy, stats
 *	stall COMMAND MILLISECONDS		so long each of them takes, or until 0 is set
 *	seed NUMBER				what percentages are drawn from
 *	advance SECONDS				simulated time passes at once
 *	scale FACTOR				... or faster from now on
 *	reset					empty the hardware tables silently
 *	fill PERCENT				of the entries taken by others; 0: none
 *	link NAME up|down			the cable of a port
 *	zero					all counters and detectors
 *
 * What can be read are lines of key=value: info, counters, detectors; and one line for each port,
 * installed flow, and entry in use: ports, flows, entries. "probe" is in probe.c.
 */
#include <linux/debugfs.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ppesim.h"

#define LINE_MAX_LEN	256
#define WORDS_MAX	12

static struct dentry *root;

/* Commands */

static int find_name(const char * const *names, unsigned int count, const char *name)
{
	int i = match_string(names, count, name);

	return i < 0 ? -EINVAL : i;
}

static int port_option(struct ppesim_port *port, const char **wire, char *option)
{
	char *value = strchr(option, '=');
	u8 number = 0;
	int err = 0;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (!strcmp(option, "wire")) {
		*wire = value;
		return 0;
	}
	if (!strcmp(option, "tag")) {
		port->mediatek_tag = strcmp(value, "other");
		return 0;
	}
	if (!strcmp(option, "path")) {
		port->path_error = !strcmp(value, "error");
		port->path_none = !strcmp(value, "none");
		return 0;
	}
	if (!strcmp(option, "wcid"))
		return kstrtou16(value, 0, &port->wcid);
	err = kstrtou8(value, 0, &number);
	if (!strcmp(option, "index"))
		port->index = number;
	else if (!strcmp(option, "conduit"))
		port->conduit = number;
	else if (!strcmp(option, "wed"))
		port->wed = number;
	else
		err = -EINVAL;
	return err;
}

static int command_port(struct ppesim_soc *soc, char **words, unsigned int count)
{
	struct ppesim_port like = { .wed = -1, .mediatek_tag = true, .wcid = 1 };
	const char *wire = NULL;
	int kind, err = 0;
	unsigned int i;

	if (count < 2)
		return -EINVAL;
	kind = find_name(ppesim_kind_names, PPESIM_KINDS, words[1]);
	if (kind < 0)
		return kind;
	like.kind = kind;
	for (i = 2; i < count && !err; i++)
		err = port_option(&like, &wire, words[i]);
	if (err)
		return err;
	rtnl_lock();
	err = ppesim_port_new(soc, current->nsproxy->net_ns, &like, words[0], wire);
	rtnl_unlock();
	return err;
}

static int command_link(struct ppesim_soc *soc, char **words, unsigned int count)
{
	struct ppesim_port *port;
	int err = -ENODEV;

	if (count != 2)
		return -EINVAL;
	rtnl_lock();
	list_for_each_entry(port, &soc->ports, node)
		if (!strcmp(port->dev->name, words[0])) {
			ppesim_port_set_link(port, !strcmp(words[1], "up"));
			err = 0;
		}
	rtnl_unlock();
	return err;
}

static int command_set(struct ppesim_soc *soc, char **words, unsigned int count)
{
	u32 value;
	int knob;

	if (count != 2 || kstrtou32(words[1], 0, &value))
		return -EINVAL;
	knob = find_name(ppesim_knob_names, PPESIM_K_COUNT, words[0]);
	if (knob < 0)
		return knob;
	WRITE_ONCE(soc->knobs[knob], value);
	return 0;
}

static int command_fail(struct ppesim_soc *soc, char **words, unsigned int count)
{
	u32 left, number, percent = 0;
	int command;

	if (count < 3 || kstrtou32(words[1], 0, &left) || kstrtou32(words[2], 0, &number) ||
	    number > MAX_ERRNO || (count > 3 && kstrtou32(words[3], 0, &percent)))
		return -EINVAL;
	command = find_name(ppesim_command_names, PPESIM_CMD_COUNT, words[0]);
	if (command < 0)
		return command;
	mutex_lock(&soc->mutex);
	soc->faults[command].left = left;
	soc->faults[command].error = -(int)number;
	soc->faults[command].percent = percent;
	mutex_unlock(&soc->mutex);
	return 0;
}

/* Without the mutex, which a stalled command holds. */
static int command_stall(struct ppesim_soc *soc, char **words, unsigned int count)
{
	int command;
	u32 ms;

	if (count != 2 || kstrtou32(words[1], 0, &ms))
		return -EINVAL;
	command = find_name(ppesim_command_names, PPESIM_CMD_COUNT, words[0]);
	if (command < 0)
		return command;
	WRITE_ONCE(soc->faults[command].stall_ms, ms);
	return 0;
}

static int command_seed(struct ppesim_soc *soc, u32 seed)
{
	mutex_lock(&soc->mutex);
	prandom_seed_state(&soc->random, seed);
	mutex_unlock(&soc->mutex);
	return 0;
}

static int command_zero(struct ppesim_soc *soc)
{
	struct ppesim_port *port;
	unsigned int i;

	for (i = 0; i < PPESIM_V_COUNT; i++)
		atomic64_set(&soc->verdicts[i], 0);
	for (i = 0; i < PPESIM_D_COUNT; i++)
		atomic64_set(&soc->detectors[i], 0);
	mutex_lock(&soc->mutex);
	memset(soc->commands, 0, sizeof(soc->commands));
	memset(soc->failures, 0, sizeof(soc->failures));
	memset(&soc->installing, 0, sizeof(soc->installing));
	mutex_unlock(&soc->mutex);
	rtnl_lock();
	list_for_each_entry(port, &soc->ports, node)
		for (i = 0; i < PPESIM_C_COUNT; i++)
			atomic64_set(&port->counters[i], 0);
	rtnl_unlock();
	return 0;
}

static int command_number(struct ppesim_soc *soc, const char *name, const char *word)
{
	unsigned int i;
	u32 number;

	if (kstrtou32(word, 0, &number))
		return -EINVAL;
	if (!strcmp(name, "seed"))
		return command_seed(soc, number);
	if (!strcmp(name, "advance"))
		ppesim_clock_advance(soc, number);
	else if (!strcmp(name, "scale"))
		ppesim_clock_set_scale(soc, number);
	else if (!strcmp(name, "fill") && number <= 100)
		for (i = 0; i < soc->profile->ppes; i++)
			ppesim_ppe_fill(&soc->ppe[i], number);
	else
		return -EINVAL;
	return 0;
}

static int soc_command(struct ppesim_soc *soc, char **words, unsigned int count)
{
	unsigned int i;

	if (!strcmp(words[0], "port"))
		return command_port(soc, words + 1, count - 1);
	if (!strcmp(words[0], "link"))
		return command_link(soc, words + 1, count - 1);
	if (!strcmp(words[0], "set"))
		return command_set(soc, words + 1, count - 1);
	if (!strcmp(words[0], "fail"))
		return command_fail(soc, words + 1, count - 1);
	if (!strcmp(words[0], "stall"))
		return command_stall(soc, words + 1, count - 1);
	if (!strcmp(words[0], "zero"))
		return command_zero(soc);
	if (!strcmp(words[0], "reset")) {
		for (i = 0; i < soc->profile->ppes; i++)
			ppesim_ppe_reset(&soc->ppe[i]);
		return 0;
	}
	return count == 2 ? command_number(soc, words[0], words[1]) : -EINVAL;
}

static int root_command(struct ppesim_soc *unused, char **words, unsigned int count)
{
	struct ppesim_soc *soc, *next;
	u32 entries = PPESIM_ENTRIES;
	int err = -ENOENT;

	if (count < 2)
		return -EINVAL;
	mutex_lock(&ppesim_socs_lock);
	if (!strcmp(words[0], "new") && count > 2) {
		err = count > 3 ? kstrtou32(words[3], 0, &entries) : 0;
		if (!err) {
			soc = ppesim_soc_new(words[1], words[2], entries);
			err = PTR_ERR_OR_ZERO(soc);
		}
		if (!err)
			ppesim_control_add(soc);
	} else if (!strcmp(words[0], "del")) {
		list_for_each_entry_safe(soc, next, &ppesim_socs, node)
			if (!strcmp(soc->name, words[1])) {
				debugfs_remove_recursive(soc->dir);
				ppesim_soc_del(soc);
				err = 0;
			}
	} else {
		err = -EINVAL;
	}
	mutex_unlock(&ppesim_socs_lock);
	return err;
}

static ssize_t command_write(struct file *file, const char __user *from, size_t size,
			     int (*command)(struct ppesim_soc *soc, char **words,
					    unsigned int count))
{
	char *words[WORDS_MAX], *line, *rest, *word;
	unsigned int count = 0;
	int err = -EINVAL;

	if (size > LINE_MAX_LEN)
		return -EMSGSIZE;
	line = memdup_user_nul(from, size);
	if (IS_ERR(line))
		return PTR_ERR(line);
	rest = line;
	while ((word = strsep(&rest, " \t\n")) && count < WORDS_MAX)
		if (*word)
			words[count++] = word;
	if (count && !word)
		err = command(file->private_data, words, count);
	kfree(line);
	return err ?: size;
}

static ssize_t root_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	return command_write(file, from, size, root_command);
}

static ssize_t soc_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	return command_write(file, from, size, soc_command);
}

static const struct file_operations root_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = root_write,
};

static const struct file_operations soc_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = soc_write,
};

/**
 * ppesim_control_add() - make the files of a SoC
 * @soc: the SoC
 */
void ppesim_control_add(struct ppesim_soc *soc)
{
	soc->dir = debugfs_create_dir(soc->name, root);
	debugfs_create_file("control", 0200, soc->dir, soc, &soc_fops);
	debugfs_create_file("probe", 0600, soc->dir, soc, &ppesim_probe_fops);
	ppesim_show_add(soc);
}

/**
 * ppesim_control_init() - make the first files
 */
int ppesim_control_init(void)
{
	root = debugfs_create_dir("ppesim", NULL);
	if (IS_ERR(root))
		return PTR_ERR(root);
	debugfs_create_file("control", 0200, root, NULL, &root_fops);
	return 0;
}

/**
 * ppesim_control_exit() - the end of all SoCs, and of the files
 */
void ppesim_control_exit(void)
{
	struct ppesim_soc *soc, *next;

	debugfs_remove_recursive(root);
	mutex_lock(&ppesim_socs_lock);
	list_for_each_entry_safe(soc, next, &ppesim_socs, node)
		ppesim_soc_del(soc);
	mutex_unlock(&ppesim_socs_lock);
}
