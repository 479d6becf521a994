/* SPDX-License-Identifier: MIT */

/*
 * A session's deadlines: idle, a backend that takes nothing, the wait for an exit status, a partial
 * line. They are looked at by the timer of the client's stream, together with the client's own
 * (core/client/client_clock.c), as long as there is a client.
 */
#include "core/session/session_impl.h"

#define STALL_LOOK 1.0 /* seconds between looks at a queue that does not move */

static double session_stall_look(const struct session *s)
{
    return client_earlier(STALL_LOOK, session_settings(s)->stall_timeout / 4);
}

double session_due(const struct session *s)
{
    const struct settings *set = session_settings(s);
    const struct session_extra *e = session_extra(s);
    double due = CLIENT_NEVER;

    if (set->idle_timeout > 0)
        due = client_earlier(due, s->owner.last_data + set->idle_timeout);
    if (s->state == SESSION_EXITING)
        due = client_earlier(due, e->exiting_since + SESSION_EXIT_WAIT);
    if (e->partial_since > 0)
        due = client_earlier(due, e->partial_since + set->partial_lines);
    if (e->stall_since > 0)
        due = client_earlier(due, session_worker(s)->now + session_stall_look(s));
    return due;
}

void session_clock_arm(struct session *s)
{
    double due = client_due(s->client);

    if (s->client->state == CLIENT_OPEN)
        due = client_earlier(due, session_due(s));
    client_arm(s->client, due);
}

/* Without memory the wait is over when the timer looks. */
void session_clock_exiting(struct session *s)
{
    if (session_need_extra(s) != NULL)
        s->extra->exiting_since = session_worker(s)->now;
    client_hurry(s->client, SESSION_EXIT_WAIT);
}

/* Without memory there would be no clock, and no next look either, where nothing moves. */
void session_clock_stall(struct session *s, bool full)
{
    struct session_extra *e = full ? session_need_extra(s) : s->extra;

    if (full && e == NULL)
        client_no_memory(s->client);
    if (e == NULL)
        return;
    if (!full) {
        e->stall_since = 0;
    } else if (e->stall_since <= 0) {
        e->stall_since = session_worker(s)->now;
        e->stall_mark = s->backend->ops->delivered(s->backend);
        client_hurry(s->client, session_stall_look(s));
    }
}

static void session_check_stall(struct session *s, double now)
{
    const struct settings *set = session_settings(s);
    struct session_extra *e = s->extra;

    if (e == NULL || e->stall_since <= 0)
        return;
    uint64_t mark = s->backend->ops->delivered(s->backend);

    if (mark != e->stall_mark) {
        e->stall_mark = mark;
        e->stall_since = now;
    } else if (now - e->stall_since >= set->stall_timeout) {
        client_abandon(s->client, WS_CODE_INTERNAL, "the backend takes no input");
    } else if (now - e->stall_since >= set->stop_grace && client_hung_up(s->client)) {
        client_lose(s->client, "the client left without a Close");
    }
}

static void check_partial(struct session *s, double now)
{
    const struct session_extra *e = session_extra(s);

    if (e->partial_since > 0 && now - e->partial_since >= session_settings(s)->partial_lines)
        session_output_partial(s);
}

static void session_look(struct session *s, double now)
{
    double idle_timeout = session_settings(s)->idle_timeout;

    if (s->state == SESSION_EXITING && now - session_extra(s)->exiting_since >= SESSION_EXIT_WAIT)
        session_backend_done(s);
    if (s->client->state == CLIENT_OPEN)
        check_partial(s, now);
    if (s->client->state == CLIENT_OPEN && idle_timeout > 0 &&
        now - s->owner.last_data >= idle_timeout)
        session_close(s, WS_CODE_GOING_AWAY, "idle", CLOSED_BY_SERVER);
    if (s->client->state == CLIENT_OPEN)
        session_check_stall(s, now);
}

void session_on_timer(struct client_owner *o)
{
    struct session *s = session_of(o);

    client_go_on(s->client);
    if (s->client->state == CLIENT_OPEN)
        session_look(s, session_worker(s)->now);
    client_look(s->client);
    session_settle(s);
    if (s->state != SESSION_ENDED)
        session_clock_arm(s);
}
