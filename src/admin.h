/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_ADMIN_H
#define WSLUICE_ADMIN_H

/* The admin address: a Unix socket (mode 0600) or a loopback address, nothing else. */
#include "core/config.h"
#include "io/accept.h"
#include "passed.h"

/* In front of the address, among the sockets passed to a successor: a public listener may have the
 * same text ("127.0.0.1:0"), and must never become this one. */
#define ADMIN_PASSED "admin "

/*
 * Makes *list (at most one listener) what c->admin wants: opens it, keeps it where its text is the
 * same, closes one that is not wanted any more. A socket of a predecessor is taken over (passed may
 * be NULL). -1 with the reason in error, *list as before. Logs where it listens.
 */
int admin_follow(struct worker *w, const struct config *c, struct passed *passed,
                 struct listener **list, listener_accepted accepted, void *owner,
                 char error[LISTENER_ERROR_MAX]);

/* keep_file: another process serves the socket now. */
void admin_close(struct listener **list, bool keep_file);

#endif
