/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ADMISSION_LIMITS_H
#define WSLUICE_CORE_ADMISSION_LIMITS_H

/* How many sessions there may be: in all, of one route, and from one address (of IPv6: from one
 * /64). And what the sessions of a route, and all of them, share of rates. */
#include <stddef.h>

#include "base/addr.h"
#include "core/config.h"

struct limits;        /* the counts; one per worker */
struct limits_ticket; /* one admitted session */

/* What came from clients, as far as there are limits for it. */
struct limits_rates {
    struct rate_bucket messages, bytes;
};

struct limits *limits_new(void); /* NULL without memory */
void limits_free(struct limits *l);

/* Admits a session of that route: 0 and *ticket, or 503 (too many in all or of the route; no
 * memory) or 429 (too many from there) and a constant text. */
int limits_admit(struct limits *l, const struct config *c, const struct route *route,
                 const union addr *client, struct limits_ticket **ticket, const char **why);
void limits_leave(struct limits *l, struct limits_ticket *ticket, const struct route *route);

/* Of the route, by its path, host and subprotocol: reloads keep it. There as long as a session of
 * it is admitted; NULL before. */
struct limits_rates *limits_route_rates(struct limits *l, const struct route *route);
struct limits_rates *limits_all_rates(struct limits *l);

#endif
