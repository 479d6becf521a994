/* SPDX-License-Identifier: MIT */

/* Every way a session ends. What follows of it for the other half is session_settle's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core/session/session_info.h"
#include "core/session/session_kept.h"

void session_stop(struct session *s)
{
    client_stop_input(s->client);
    if (s->state == SESSION_OPENING) /* only of one that outlives its connections */
        session_drop_backend(s);
    if (s->backend == NULL || s->state == SESSION_STOPPING)
        return;
    session_become(s, SESSION_STOPPING);
    if (s->backend_paused) { /* it must be able to write its last words, though nobody hears them */
        s->backend_paused = false;
        s->backend->ops->pause(s->backend, false);
    }
    s->backend->ops->finish(s->backend);
    s->backend->ops->stop(s->backend);
}

void session_drop_backend(struct session *s)
{
    struct backend *b = s->backend;

    if (s->state == SESSION_OVER || s->state == SESSION_ENDED)
        return;
    client_stop_input(s->client);
    session_become(s, SESSION_OVER);
    s->backend = NULL;
    if (b == NULL)
        return;
    if (s->client->was_open)
        session_log_backend(s, b);
    session_count_dropped(s, b->ops->lost(b));
    b->ops->close(b);
}

void session_close(struct session *s, uint16_t code, const char *reason, enum client_closer who)
{
    if (session_kept(s) != NULL) {
        session_kept_close(s, code, reason, who);
        return;
    }
    if (s->client->state == CLIENT_OPENING) {
        session_drop_backend(s);
        if (session_settings(s)->errors == ERRORS_CLOSE)
            session_begin(s); /* page script cannot see a status, but it sees a close code */
        else
            client_refuse(s->client, 503, reason);
    }
    client_close(s->client, code, reason, who);
}

/* ---- the backend has ended ---- */

void session_backend_silent(struct session *s)
{
    if (s->state != SESSION_RUNNING)
        return;
    if (!s->backend->ops->reports_exit) {
        session_backend_done(s);
        return;
    }
    session_become(s, SESSION_EXITING);
    session_clock_exiting(s);
}

/* What the client is told of a backend that has ended well, but not between two messages. */
static void close_torn(struct session *s)
{
    session_close(s, WS_CODE_INTERNAL, "the backend ended inside a message", CLOSED_BY_BACKEND);
}

void session_backend_done(struct session *s)
{
    session_become(s, SESSION_LISTENING);
    if (!session_output_end(s))
        close_torn(s);
    session_close(s, WS_CODE_NORMAL, "", CLOSED_BY_BACKEND);
}

/* The Close that tells how a program ended. Reasons are for people, codes for programs. */
static void close_by_end(struct session *s, const struct backend_end *end)
{
    char reason[64];
    const char *name;

    switch (end->how) {
    case BACKEND_CLEAN:
        session_close(s, WS_CODE_NORMAL, "", CLOSED_BY_BACKEND);
        break;
    case BACKEND_EXITED:
        snprintf(reason, sizeof reason, "exit %d", end->number);
        if (end->why != NULL)
            snprintf(reason, sizeof reason, "%s", end->why);
        session_close(s, end->number == 0 ? WS_CODE_NORMAL : (uint16_t)(4000 + end->number), reason,
                      CLOSED_BY_BACKEND);
        break;
    case BACKEND_SIGNALED:
        name = sigabbrev_np(end->number);
        snprintf(reason, sizeof reason, name != NULL ? "signal SIG%s" : "signal %s%d",
                 name != NULL ? name : "", end->number);
        if (end->why != NULL)
            snprintf(reason, sizeof reason, "%s", end->why);
        session_close(s, (uint16_t)(4300 + end->number), reason, CLOSED_BY_BACKEND);
        break;
    case BACKEND_BROKE:
        session_close(s, WS_CODE_INTERNAL, end->why, CLOSED_BY_BACKEND);
        break;
    }
}

void session_backend_ended(struct session *s, const struct backend_end *end)
{
    if (session_need_extra(s) != NULL) {
        s->extra->exit_how = (int)end->how;
        s->extra->exit_number = end->number;
    }
    if (!session_output_end(s) &&
        (end->how == BACKEND_CLEAN || (end->how == BACKEND_EXITED && end->number == 0)))
        close_torn(s);
    close_by_end(s, end);
    session_drop_backend(s);
}

/* ---- from outside ---- */

void session_kick(struct session *s, const char *reason)
{
    struct client *c = s->client;
    bool lingers = session_kept(s) != NULL ? !session_kept_listens(s) : c->state == CLIENT_OVER;

    if (session_kept(s) != NULL && lingers)
        session_kept_drop(s);
    else if (session_kept(s) != NULL)
        session_kept_close(s, WS_CODE_POLICY, reason, CLOSED_BY_SERVER);
    else if (c->state == CLIENT_CLOSING)
        client_lose(c, reason); /* it was told already */
    else if (c->state == CLIENT_OPEN && client_queued(c) > 0)
        client_abandon(c, WS_CODE_POLICY, reason); /* it would not hear it for long */
    else
        session_close(s, WS_CODE_POLICY, reason, CLOSED_BY_SERVER);
    session_stop(s);
    if (lingers) /* there is nobody to tell, and what the backend still takes is not waited for */
        session_drop_backend(s);
    session_settle(s);
}

size_t session_kick_clients(struct session *s, session_meant *is_meant, const void *data,
                            const char *reason)
{
    if (session_kept(s) != NULL)
        return session_kept_expel(s, is_meant, data, reason);
    if (!is_meant(s->client, data))
        return 0;
    session_kick(s, reason);
    return 1;
}

size_t sessions_shut(struct worker *w, const char *reason, size_t batch)
{
    struct session *s = LIST_FIRST(&core_of(w)->sessions->all), *next;
    size_t left = 0;

    for (; s != NULL; s = next) {
        bool waits =
            session_kept(s) != NULL ? session_kept_listens(s) : s->client->state <= CLIENT_OPEN;

        next = LIST_NEXT(s, link);
        if (waits && batch == 0) {
            left++;
            continue;
        }
        batch -= waits;
        session_close(s, WS_CODE_GOING_AWAY, reason, CLOSED_BY_SERVER);
        session_stop(s);
        session_settle(s);
    }
    return left;
}

void sessions_drop(struct worker *w)
{
    struct session *s = LIST_FIRST(&core_of(w)->sessions->all), *next;

    for (; s != NULL; s = next) {
        next = LIST_NEXT(s, link);
        session_drop_backend(s);
        if (session_kept(s) != NULL)
            session_kept_drop(s);
        else
            client_lose(s->client, "shutdown");
        session_settle(s);
    }
}
