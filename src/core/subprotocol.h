/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SUBPROTOCOL_H
#define WSLUICE_CORE_SUBPROTOCOL_H

/* Which of a client's offers of subprotocols (RFC 6455, section 11.3.4) a route says yes to, and
 * what is to be said of them. */
#include <stdbool.h>
#include <stddef.h>

#include "core/config.h"
#include "proto/http1.h"

/*
 * The name that chose the route; else the client's first that is listed; else, without a list,
 * CHANNEL_SUBPROTOCOL where clients may send signals, "binary", on terminals also "tty", or else
 * the client's first that has no meaning of ours. Empty: none.
 */
struct slice subprotocol_choose(const struct http_head *head, const struct route *r);

/* Clients may send signals to its program, by CHANNEL_SUBPROTOCOL. */
bool subprotocol_has_channels(const struct route *r);

/* NULL, or what a subprotocol that is widely known wants of framing and frames, while the route
 * does otherwise. */
const char *subprotocol_misfit(const struct route *r, struct slice name);

#define SUBPROTOCOL_TOLD_MAX 200
/* The offers for the log: without what may be a secret, since page script can put those nowhere
 * else. "": none. */
const char *subprotocol_tell(const struct http_head *head, char out[SUBPROTOCOL_TOLD_MAX]);

#endif
