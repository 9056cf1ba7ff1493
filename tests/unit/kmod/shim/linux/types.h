/* SPDX-License-Identifier: GPL-2.0-only */
/* What rewrite.h takes from the kernel's <linux/types.h>, for a build in user space. */
#ifndef SHIM_LINUX_TYPES_H
#define SHIM_LINUX_TYPES_H

#include <stdbool.h>
#include <stdint.h>

typedef uint16_t __u16;
typedef uint32_t __u32;

#endif /* SHIM_LINUX_TYPES_H */
