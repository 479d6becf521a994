/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_ADMIN_H
#define WSLUICE_SERVER_ADMIN_H

/* The admin address: a Unix socket (mode 0600) or a loopback address, nothing else. */
#include "core/config.h"
#include "io/accept.h"
#include "server/passed.h"

/* In front of the address, among the sockets passed to a successor: a public listener may have the
 * same text ("127.0.0.1:0"), and must never become this one. */
#define ADMIN_PASSED "admin "

/* NULL, or what is wrong with an address for it, as far as that can be told without opening it. */
const char *admin_judge(const char *address);
/* False with what an opening of a well-formed one would say now; it takes nothing. */
bool admin_usable(const char *address, char error[LISTENER_ERROR_MAX]);

/*
 * Two steps, as with listeners.h. Opens what c->admin wants, unless `have` is it, into *fresh,
 * which stays NULL when there is nothing to open. A socket of a predecessor is taken over (passed
 * may be NULL). -1 with the reason in error.
 */
int admin_open(struct worker *w, const struct config *c, struct passed *passed,
               const struct listener *have, listener_accepted accepted, void *owner,
               struct listener **fresh, char error[LISTENER_ERROR_MAX]);
/* Makes *have, at most one listener, what c->admin wants. Logs where it listens, when that is new.
 */
void admin_adopt(struct worker *w, const struct config *c, struct listener **have,
                 struct listener *fresh);

/* Stops listening; the file stays where another process serves it now. */
void admin_close(struct listener **have);

#endif
