/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_DELAY_H
#define WSLUICE_CORE_AUTH_DELAY_H

/*
 * How long the answer to a failed attempt takes: 1 s for the first of an address (of IPv6: of a
 * /64), twice as long for each further one within a minute of the last, 8 s at most. The table has
 * a fixed size; of those that share a place the one that failed longest ago is forgotten.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define AUTH_DELAY_FIRST 1.0
#define AUTH_DELAY_MAX 8.0
#define AUTH_DELAY_MEMORY 60.0
#define AUTH_DELAY_BUSY 32 /* attempts of one address under way at once */

struct auth_delays;

struct auth_delays *auth_delays_new(const uint8_t *key);
void auth_delays_free(struct auth_delays *d);

/* An attempt failed; the seconds its answer should take. */
double auth_delays_failed(struct auth_delays *d, const union addr *client, double now);

/* An attempt begins; false when too many of that address are under way. Each true is followed by
 * one auth_delays_leave. Clients of a Unix socket cannot be told apart and always may. */
bool auth_delays_enter(struct auth_delays *d, const union addr *client, double now);
/* It is over, but its place stays taken for so many seconds more: those that a client did not want
 * to wait for. With others of that address that left it comes back together with the last. */
void auth_delays_leave(struct auth_delays *d, const union addr *client, double now, double seconds);

#endif
