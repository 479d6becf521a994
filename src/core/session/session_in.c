/* SPDX-License-Identifier: MIT */

/* Client to backend: what a client tells its session. */
#include "core/session/session_impl.h"

static void session_on_input(struct client_owner *o, const uint8_t *p, size_t n)
{
    struct session *s = session_of(o);
    struct backend *b = s->backend;

    if (session_settings(s)->read_only) {
        session_count_dropped(s, n);
        return;
    }
    if (session_record(s) != NULL)
        record_bytes(session_record(s), RECORD_IN, p, n);
    if (b == NULL || !s->client->input_open)
        session_count_dropped(s, n);
    else
        b->ops->write(b, p, n);
}

static void session_on_message(struct client_owner *o, bool text, bool last, const uint8_t *p,
                               size_t n)
{
    struct session *s = session_of(o);

    if (session_record(s) == NULL)
        return;
    record_message(session_record(s), RECORD_IN, text, last, p, n);
    if (s->echoes)
        record_message(session_record(s), RECORD_OUT, text, last, p, n);
}

/* The backend is told that the client has ended in order, where the framing has a word for it. */
static void session_on_farewell(struct client_owner *o)
{
    struct session *s = session_of(o);
    const struct framing *framing = session_framing(s);
    uint8_t word[FRAMING_PREFIX_MAX];

    if (framing->farewell != NULL && s->client->input_open && s->backend != NULL)
        s->backend->ops->write(s->backend, word, framing->farewell(word));
}

static void session_on_finish(struct client_owner *o)
{
    struct session *s = session_of(o);

    session_on_farewell(o);
    if (s->backend != NULL)
        s->backend->ops->finish(s->backend);
}

static void session_on_resize(struct client_owner *o, uint16_t columns, uint16_t rows)
{
    struct session *s = session_of(o);

    if (s->backend == NULL)
        return;
    if (session_record(s) != NULL)
        record_resize(session_record(s), columns, rows);
    s->backend->ops->resize(s->backend, columns, rows);
}

static bool session_on_signal(struct client_owner *o, int number)
{
    struct session *s = session_of(o);

    if (!(session_route(s)->signals >> number & 1))
        return false;
    if (s->backend != NULL)
        s->backend->ops->signal(s->backend, number);
    return true;
}

/* Also while CLOSING: a service that has said all may still be told more than it reads. */
bool session_blocked(const struct session *s)
{
    const struct backend *b = s->backend;

    return (b != NULL && s->client->input_open && b->ops->queued(b) > 0) ||
           (s->echoes && client_queued(s->client) > 0);
}

static bool session_on_blocked(const struct client_owner *o)
{
    return session_blocked((const struct session *)o);
}

static void session_on_settle(struct client_owner *o)
{
    session_settle(session_of(o));
}

const struct client_events session_client_events = {
    .input = session_on_input,
    .message = session_on_message,
    .farewell = session_on_farewell,
    .finish = session_on_finish,
    .resize = session_on_resize,
    .signal = session_on_signal,
    .blocked = session_on_blocked,
    .timer = session_on_timer,
    .settle = session_on_settle,
};
