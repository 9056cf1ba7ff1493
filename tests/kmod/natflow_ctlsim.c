// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stand-in for the older module named natflow, as far as its control device goes: it offers
 * /dev/natflow_ctl with the published commands and forwards no packet.
 *
 * One line of at most 256 bytes is one command, a read lists the settings as lines that could be
 * written back. As with the real one whatever is not understood counts as accepted, nobody needs a
 * capability, and all writers share one buffer for the line that has no end yet.
 *
 * The module parameters make it worse than it is by itself, or tell what it was given. They are
 * in /sys/module/natflow_ctlsim/parameters.
 */
#include <linux/delay.h>
#include <linux/kstrtox.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#define LINE_MAX_BYTES	256
#define GROUP_MAX	8
#define WAIT_MS		20

enum reading { READ_CONFIG, READ_GARBAGE, READ_LONG_LINE, READ_NOTHING };

static bool hwnat_built = true;
module_param(hwnat_built, bool, 0644);
MODULE_PARM_DESC(hwnat_built, "There is a hardware path to switch");

static char refuse[32];
module_param_string(refuse, refuse, sizeof(refuse), 0644);
MODULE_PARM_DESC(refuse, "A setting whose value never changes");

static unsigned int delay_max;
module_param(delay_max, uint, 0644);
MODULE_PARM_DESC(delay_max, "delay_pkts takes nothing above it; 0: anything");

static unsigned int chunk;
module_param(chunk, uint, 0644);
MODULE_PARM_DESC(chunk, "Bytes that one write takes at the most; 0: all");

static unsigned int pause_ms;
module_param(pause_ms, uint, 0644);
MODULE_PARM_DESC(pause_ms, "How long each read and write takes");

static bool hang;
module_param(hang, bool, 0644);
MODULE_PARM_DESC(hang, "Reads and writes wait until this is off again");

static unsigned int write_errno;
module_param(write_errno, uint, 0644);
MODULE_PARM_DESC(write_errno, "Each write fails with it; 0: none does");

static unsigned int read_errno;
module_param(read_errno, uint, 0644);
MODULE_PARM_DESC(read_errno, "Each read fails with it; 0: none does");

static unsigned int reading;
module_param(reading, uint, 0644);
MODULE_PARM_DESC(reading, "What a read gives: 0 settings, 1 garbage, 2 a long line, 3 nothing");

static unsigned int commands;
module_param(commands, uint, 0444);
MODULE_PARM_DESC(commands, "Lines that were understood");

static unsigned int nonsense;
module_param(nonsense, uint, 0444);
MODULE_PARM_DESC(nonsense, "Lines that were not, and accepted all the same");

static unsigned int magic;
module_param(magic, uint, 0444);
MODULE_PARM_DESC(magic, "How often all flows were made invalid");

/**
 * struct setting - one number that a command sets
 * @name: the command without its equals sign
 * @value: what is in force
 * @max: values above it are ignored
 * @hardware: it is there only where the hardware path is
 */
struct setting {
	const char	*name;
	unsigned int	value;
	unsigned int	max;
	bool		hardware;
};

static struct setting settings[] = {
	{ .name = "debug", .max = 63 },
	{ .name = "disabled", .value = 1, .max = 1 },
	{ .name = "hwnat", .value = 1, .max = 1, .hardware = true },
	{ .name = "hwnat_wed_disabled", .max = 1, .hardware = true },
	{ .name = "delay_pkts", .max = UINT_MAX },
	{ .name = "go_slowpath_if_no_qos", .max = 1 },
	{ .name = "ifname_group_type", .max = 2 },
};

/* Commands that this stand-in takes note of and no more. */
static const char * const others[] = {
	"vline_add=", "relay_add=", "vline_apply", "vline_clear", "list_net_device",
};

/* One writer at a time changes what follows; between two writes of a line anybody may. */
static DEFINE_MUTEX(lock);
static char line[LINE_MAX_BYTES + 1];
static unsigned int filled;
static char group[GROUP_MAX][32];
static unsigned int group_size;

/**
 * ctl_wait() - take as long as the parameters want
 *
 * Return: 0, or -EINTR when the caller has been sent a signal
 */
static int ctl_wait(void)
{
	if (pause_ms && msleep_interruptible(pause_ms))
		return -EINTR;
	while (READ_ONCE(hang))
		if (msleep_interruptible(WAIT_MS))
			return -EINTR;
	return 0;
}

/**
 * ctl_set() - set what "name=value" names
 * @text: the line
 *
 * Return: whether the name is that of a setting; its value may have been ignored
 */
static bool ctl_set(const char *text)
{
	unsigned int i, value;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		struct setting *setting = &settings[i];
		size_t length = strlen(setting->name);

		if (strncmp(text, setting->name, length) || text[length] != '=')
			continue;
		if (setting->hardware && !hwnat_built)
			return false;
		if (kstrtouint(text + length + 1, 10, &value) || value > setting->max)
			return true;
		if (!strcmp(setting->name, "delay_pkts") && delay_max && value > delay_max)
			return true;
		/* sysfs leaves the newline in place that echo writes. */
		if (!strncmp(refuse, setting->name, length) && refuse[length] <= '\n')
			return true;
		setting->value = value;
		return true;
	}
	return false;
}

/**
 * ctl_command() - run one line
 * @text: the line without its newline
 *
 * Return: whether it was understood
 */
static bool ctl_command(const char *text)
{
	unsigned int i;

	if (ctl_set(text))
		return true;
	if (!strcmp(text, "update_magic")) {
		magic++;
		return true;
	}
	if (!strcmp(text, "ifname_group_clear")) {
		group_size = 0;
		return true;
	}
	if (!strncmp(text, "ifname_group_add=", 17)) {
		if (group_size < GROUP_MAX)
			strscpy(group[group_size++], text + 17, sizeof(group[0]));
		return true;
	}
	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (!strncmp(text, others[i], strlen(others[i])))
			return true;
	return false;
}

/**
 * ctl_byte() - add a byte to the line, whoever began it
 * @byte: the byte; a newline ends the line and runs it
 *
 * Return: 0, or -EINVAL when the line is too long: all of it is dropped
 */
static int ctl_byte(char byte)
{
	if (byte != '\n') {
		if (filled == LINE_MAX_BYTES) {
			filled = 0;
			return -EINVAL;
		}
		line[filled++] = byte;
		return 0;
	}
	line[filled] = '\0';
	if (!filled)
		return 0;
	filled = 0;
	if (ctl_command(line))
		commands++;
	else
		nonsense++;
	return 0;
}

static ssize_t ctl_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char bytes[LINE_MAX_BYTES];
	size_t i;
	int err;

	err = ctl_wait();
	if (err)
		return err;
	if (write_errno)
		return -(int)min_t(unsigned int, write_errno, MAX_ERRNO);
	count = min(count, sizeof(bytes));
	if (chunk)
		count = min_t(size_t, count, chunk);
	if (copy_from_user(bytes, from, count))
		return -EFAULT;
	mutex_lock(&lock);
	for (i = 0; i < count && !err; i++)
		err = ctl_byte(bytes[i]);
	mutex_unlock(&lock);
	return err ? err : count;
}

static int ctl_show(struct seq_file *out, void *unused)
{
	unsigned int i;

	switch (reading) {
	case READ_GARBAGE:
		seq_write(out, "\x7f\x45LF\xff\xfe\0\n=\n", 10);
		return 0;
	case READ_LONG_LINE:
		for (i = 0; i < 2 * LINE_MAX_BYTES; i++)
			seq_putc(out, 'x');
		seq_putc(out, '\n');
		return 0;
	case READ_NOTHING:
		return 0;
	}
	mutex_lock(&lock);
	/* What else the real one lists is not published: a reader must skip the unknown. */
	seq_puts(out, "# natflow_ctlsim\n");
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (!settings[i].hardware || hwnat_built)
			seq_printf(out, "%s=%u\n", settings[i].name, settings[i].value);
	seq_puts(out, "ifname_group_clear\n");
	for (i = 0; i < group_size; i++)
		seq_printf(out, "ifname_group_add=%s\n", group[i]);
	mutex_unlock(&lock);
	return 0;
}

static ssize_t ctl_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	int err = ctl_wait();

	if (err)
		return err;
	if (read_errno)
		return -(int)min_t(unsigned int, read_errno, MAX_ERRNO);
	return seq_read(file, to, count, at);
}

static int ctl_open(struct inode *inode, struct file *file)
{
	/* The misc core has left the device there, and seq_file wants the place. */
	file->private_data = NULL;
	return single_open(file, ctl_show, NULL);
}

static const struct file_operations ctl_fops = {
	.owner = THIS_MODULE,
	.open = ctl_open,
	.read = ctl_read,
	.write = ctl_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static struct miscdevice ctl_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "natflow_ctl",
	.fops = &ctl_fops,
};

module_misc_device(ctl_device);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stand-in for another module's control device /dev/natflow_ctl");
