/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NATFLOW_WATCH_H
#define NATFLOW_WATCH_H

int natflow_watch_init(void);
void natflow_watch_exit(void);

#endif /* NATFLOW_WATCH_H */
