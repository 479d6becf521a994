/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PRIV_H
#define WSLUICE_PRIV_H

/*
 * Giving privileges up, once everything that needs them is open: listeners, keys, the log.
 *
 * Always: no_new_privs (unless told otherwise), not dumpable, no inheritable or ambient capability.
 *
 * With --user: groups, group and user of that account. Then no capability at all: permitted,
 * effective and bounding sets are empty, and securebits are locked, so that no execve can have root
 * again.
 *
 * Started as root without --user nothing can be given up that root could not take back: then we say
 * so in the log.
 */
#include <stdbool.h>

#include "base/log.h"

#define PRIV_ERROR_MAX 256

/* user: NAME[:GROUP] or numbers; NULL: stay who we are. -1 with one line that names the fault. Logs
 * one line about what was kept. */
int priv_drop(struct log *log, const char *user, bool no_new_privs, char error[PRIV_ERROR_MAX]);

/* The account exists: for checking a configuration before it is used. */
int priv_check(const char *user, char error[PRIV_ERROR_MAX]);

#endif
