/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_SESSION_H
#define WSLUICE_CORE_SESSION_SESSION_H

/*
 * A session: one backend's life (a program, a service, the echo), as the web sees it, with its
 * framing, its recording, its limits and its line in the log. It owns its client, the WebSocket
 * (core/client/client.h). It begins when the handshake has been judged right, opens its backend,
 * has the client answered, and ends with one log line when both are over. It owns itself: the
 * worker's list holds it until then.
 */
#include <sys/queue.h>

#include "core/config.h"
#include "core/stream.h"
#include "proto/deflate_offer.h"

struct request;
struct session;
struct session_kept;
struct limits_ticket;
struct session_cursor;

/* All sessions of a worker. */
struct sessions {
    LIST_HEAD(, session) all; /* newest first */
    size_t count;
    struct session_kept *by_key;    /* those that outlive their connections, a hash table */
    size_t replay_memory;           /* bytes of what all of them keep to replay */
    struct session_cursor *cursors; /* see session_info.h */
};

struct session_open {
    struct stream *stream;
    const struct route *route;
    const char *accept;       /* Sec-WebSocket-Accept */
    struct slice subprotocol; /* chosen; empty: none */
    struct deflate_params deflate;
    struct limits_ticket *ticket; /* the session's from now on */
};

/* limits_admit for a request of a route whose sessions may outlive their connections: a session
 * that nobody is at counts as its last client's, until this request joins it; and where there are
 * too many, the address's own oldest of these goes. */
int session_admit(struct worker *w, const struct config *c, const struct route *route,
                  const struct request *r, struct limits_ticket **ticket, const char **why);

/* Takes the stream over. On failure the stream has been answered already. */
void session_start(const struct session_open *o);

/* Ends at most `batch` sessions politely: Close 1001 to the client, the ladder for the program.
 * Returns how many are left that were not told yet. */
size_t sessions_shut(struct worker *w, const char *reason, size_t batch);

/* Drops what is left of every session, now. Their log lines are written. */
void sessions_drop(struct worker *w);

#endif
