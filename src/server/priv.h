/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_PRIV_H
#define WSLUICE_SERVER_PRIV_H

/*
 * Giving privileges up, once everything that needs them is open: listeners, keys, the log.
 *
 * With --user NAME: groups, group and user of that account. Capabilities: those that the
 * configuration needs, which are none, or
 * - SETUID, SETGID and KILL when a program runs as somebody else (run-as);
 * - NET_BIND_SERVICE when a file, which may be read again, names ports below 1024.
 * They are permitted but not in effect; raised by a program's process before its execve, around the
 * signals of the ladder, and while a reload opens listeners. The bounding set has no other, and
 * securebits are locked, so that no execve can have root again.
 *
 * Started as somebody else than root: the same as far as it was given to us; nothing else is kept.
 *
 * Staying root (--user root, or no --user) nothing can be given up that root could not take back:
 * then nothing is, and the log says so.
 *
 * Always: no_new_privs where all routes have it, not dumpable, no inheritable or ambient
 * capability.
 */
#include <stdbool.h>

#include "core/config.h"
#include "io/worker.h"
#include "server/listeners.h"

#define PRIV_ERROR_MAX 512
#define PRIV_EXPOSE_ERROR_MAX LISTENER_ERROR_MAX

struct priv {
    bool set_no_new_privs; /* by us: cannot be undone */
};

/* The configuration's account exists: for checking it before it is used. */
int priv_check(const struct config *c, char error[PRIV_ERROR_MAX]);

/* Before anything is opened, and for --check: that account is ours to become, and programs of other
 * users are ours to start. -1 with one line that names the fault. */
int priv_judge(const struct config *c, char error[PRIV_ERROR_MAX]);

/* Root serves other machines only when told to. text: the address as it was written. */
bool priv_may_expose(bool user_given, const char *text, char error[PRIV_EXPOSE_ERROR_MAX]);

/* We are root, and serving c means to stay it. */
bool priv_stays_root(const struct config *c);

/* Whom a start becomes, or who we are; also when the account is not known. */
uid_t priv_user(const struct config *c);

/* Once, at the start. Fills w->caps. -1 with one line that names the fault. Logs one line about
 * what was kept and why. */
int priv_drop(struct priv *p, struct worker *w, const struct config *c, char error[PRIV_ERROR_MAX]);

/* A reload: c needs nothing that was given up. 0, or -1 with what it is; set: who listens now. */
int priv_admits(const struct priv *p, const struct worker *w, const struct config *c,
                const struct listeners *set, char error[PRIV_ERROR_MAX]);

/* c is in force now: what it gives up for good. */
void priv_apply(struct priv *p, const struct config *c);

/* The capability to open ports below 1024, where it was kept, in effect or not. */
void priv_raise_bind(const struct worker *w, bool in_effect);

#endif
