/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_LIMITS_H
#define WSLUICE_CORE_LIMITS_H

/* How many sessions there may be, in all and from one address (of IPv6: from one /64). */
#include <stddef.h>

#include "base/addr.h"
#include "core/config.h"

struct limits;        /* the counts; one per worker */
struct limits_ticket; /* one admitted session */

struct limits *limits_new(void); /* NULL without memory */
void limits_free(struct limits *l);

/* Admits a session: 0 and *ticket, or 503 (too many in all; no memory) or 429 (too many from there)
 * and a constant text. */
int limits_admit(struct limits *l, const struct config *c, const union addr *client,
                 struct limits_ticket **ticket, const char **why);
void limits_leave(struct limits *l, struct limits_ticket *ticket);

#endif
