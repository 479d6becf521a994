/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_AUTH_DELAY_H
#define WSLUICE_CORE_AUTH_AUTH_DELAY_H

/*
 * What is remembered of an address whose attempts fail: how long the answer to the next one takes,
 * how many are under way, what the log has been told.
 *
 * The answer to the first failure takes 1 s, twice as long for each further one within a minute of
 * the last, 8 s at most. Of IPv6 an address is a /64; the /56 and /48 around it are looked at, too,
 * with 4 and 16 times the patience and 2 and 4 times the attempts under way: whoever has a /48 has
 * 65,536 of the one.
 *
 * Addresses with attempts under way are always remembered: there are no more of them than there are
 * connections, so a stranger's networks take nobody's place. Of others AUTH_DELAYS_MAX, those that
 * failed last.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define AUTH_DELAY_FIRST 1.0
#define AUTH_DELAY_MAX 8.0
#define AUTH_DELAY_MEMORY 60.0
#define AUTH_DELAY_BUSY 32 /* attempts of one address under way at once */
#define AUTH_EMPTY_BURST 8 /* requests without credentials that a hook is asked about at once */
#define AUTH_TELL_BURST 10 /* lines in the log about one address at once, then one a second */
#define AUTH_DELAYS_MAX 16384U

struct auth_delays;

struct auth_delays *auth_delays_new(const uint8_t *key);
void auth_delays_free(struct auth_delays *d);

/* An attempt failed; the seconds its answer should take. */
double auth_delays_failed(struct auth_delays *d, const union addr *client, double now);

/* A job was spent on a request that tried nothing; the seconds its answer should take: one a second
 * is free, and AUTH_EMPTY_BURST after a rest. */
double auth_delays_empty(struct auth_delays *d, const union addr *client, double now);

/* May the log be told of this failure? If so, *untold is how many it was not told of before. */
bool auth_delays_tell(struct auth_delays *d, const union addr *client, double now,
                      uint64_t *untold);

/* An attempt begins; false when too many of that address are under way. Each true is followed by
 * one auth_delays_leave. Clients of a Unix socket cannot be told apart and always may. */
bool auth_delays_enter(struct auth_delays *d, const union addr *client, double now);
/* It is over, but its place stays taken for so many seconds more: those that a client did not want
 * to wait for. With others of that address that left it comes back together with the last. */
void auth_delays_leave(struct auth_delays *d, const union addr *client, double now, double seconds);

/* For tests: how many are remembered. */
unsigned auth_delays_count(const struct auth_delays *d);

#endif
