/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_RESOLVE_H
#define WSLUICE_IO_RESOLVE_H

/* Names to addresses through c-ares, without blocking: hosts file and DNS. One resolver per worker,
 * made on first use. */
#include <stddef.h>

#include "base/addr.h"
#include "io/worker.h"

#define RESOLVE_MAX 16 /* addresses kept of one answer */

struct resolve; /* one question under way */

/*
 * Asks for the stream addresses of host (a name; numeric text also works). `done` is called from
 * the loop, never from inside resolve_start, 50 ms after the first addresses at the latest, though
 * one family's answer may be missing (RFC 8305 section 3): with n > 0 addresses, port filled in,
 * ordered as RFC 8305 section 4 wants them (families interleaved, first family as the system
 * prefers by RFC 6724); or with n == 0 and why, a text such as "Domain name not found". `done` is
 * the last event and the resolve is gone after it. Returns NULL without memory.
 */
struct resolve *resolve_start(struct worker *w, const char *host, uint16_t port,
                              void (*done)(void *owner, const union addr *addrs, size_t n,
                                           const char *why),
                              void *owner);

/* NULL, or what is wrong with a list for worker->dns_servers. */
const char *resolve_judge_servers(const char *list);

/* No event follows. */
void resolve_cancel(struct resolve *r);

/* Ends the worker's resolver, if there is one. All questions must have ended or been cancelled. */
void resolve_release(struct worker *w);

#endif
