/* SPDX-License-Identifier: MIT */

/*
 * Where the two halves of a session meet. Whatever the loop tells (bytes, an end, a timer, an
 * operator's wish) changes one half, and ends here: the other half follows.
 *
 * Back-pressure is one read in flight for each direction: as soon as a byte is queued for one side,
 * the other is no longer read (docs/architecture.md, "The memory rule").
 */
#include <stddef.h>
#include <stdlib.h>

#include "core/admission/limits.h"
#include "core/core.h"
#include "core/session/session_kept.h"

static void session_release(struct reap *r)
{
    struct session *s = (struct session *)((char *)r - offsetof(struct session, reap));

    free(s);
}

static void count_end(const struct session *s)
{
    const struct client *c = s->client;
    enum stats_by by = c->closer == CLOSED_BY_BACKEND  ? STATS_BY_BACKEND
                       : c->closer == CLOSED_BY_CLIENT ? STATS_BY_CLIENT
                                                       : STATS_BY_SERVER;

    stats_closed(session_route(s)->stats, c->code, by, session_worker(s)->now - s->opened_at);
}

/* The one place where a session ends. */
static void session_end(struct session *s)
{
    struct worker *w = session_worker(s);

    session_become(s, SESSION_ENDED);
    record_close(session_record(s)); /* it borrows what the log line needs */
    session_log_end(s);
    if (s->client->was_open && session_kept(s) == NULL)
        count_end(s);
    sessions_leave_cursors(s);
    session_kept_release(s);
    client_release(s->client);
    session_drop_extra(s);
    LIST_REMOVE(s, link);
    core_of(w)->sessions->count--;
    if (s->ticket != NULL)
        limits_leave(core_of(w)->limits, s->ticket, session_route(s));
    config_release(session_route(s)->config);
    s->reap.release = session_release;
    worker_reap(w, &s->reap);
}

/* A client that is gone, or told to go, takes its backend along. A backend that has ended by itself
 * may still take what the client sends before it reads our Close. */
static void follow_client(struct session *s)
{
    const struct client *c = s->client;

    if (c->state == CLIENT_OVER && (s->state == SESSION_OPENING || s->echoes))
        session_drop_backend(s);
    else if (c->state == CLIENT_OVER ||
             (c->state == CLIENT_CLOSING && c->closer != CLOSED_BY_BACKEND))
        session_stop(s);
}

static void session_hold_backend(struct session *s)
{
    bool hold = client_holds(s->client);

    if (s->backend == NULL || s->state == SESSION_STOPPING || hold == s->backend_paused)
        return;
    s->backend_paused = hold;
    if (hold && client_queued(s->client) > 0) /* who asks for a pause is not stalled */
        session_count_stall(s, STATS_CLIENT);
    s->backend->ops->pause(s->backend, hold);
}

static void settle_once(struct session *s)
{
    const struct backend *b;

    follow_client(s);
    b = s->backend;
    session_hold_backend(s);
    if (client_settle(s->client, session_blocked(s)))
        session_count_stall(s, STATS_BACKEND);
    session_clock_stall(s, s->client->state == CLIENT_OPEN && b != NULL && b->ops->queued(b) > 0);
}

void session_settle(struct session *s)
{
    uint8_t before;

    if (s->state == SESSION_ENDED)
        return;
    if (session_kept(s) != NULL) {
        if (!session_kept_settle(s))
            session_end(s);
        return;
    }
    do { /* without memory for a clock the client is told to go */
        before = s->client->state;
        settle_once(s);
    } while (s->client->state != before);
    if (s->client->state == CLIENT_OVER && s->state == SESSION_OVER)
        session_end(s);
    else
        session_trim(s);
}
