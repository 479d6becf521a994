/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HANDLER_ADMIN_ADMIN_READY_H
#define WSLUICE_HANDLER_ADMIN_ADMIN_READY_H

/* Whether services can be reached, asked by the admin door. */
#include "core/stream.h"

/*
 * Takes the stream over: connects to the service of the routes whose path is `path`, or of all
 * routes when that is "all", and closes again. 200 once all of them took the connection, 503 with
 * the first that did not within its connect-timeout, 404 when no route has that path. Programs, and
 * services without connections, are not tried: they count as ready.
 */
void admin_ready_start(struct stream *s, const char *path);

#endif
