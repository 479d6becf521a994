/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_REFUSAL_H
#define WSLUICE_CORE_REFUSAL_H

#include "core/config.h"
#include "core/stream.h"

/* Over a limit: the answer says when to come again (retry_after, seconds; 0: not), or with errors:
 * close, to a client that asks rightly for a WebSocket, a Close that page script can see. route
 * may be NULL. Writes no line to the log. */
void refuse_over_limit(struct stream *s, const struct route *route, int status,
                       unsigned retry_after, const char *why);

#endif
