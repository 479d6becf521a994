/* SPDX-License-Identifier: MIT */

/*
 * What is told of clients that come to sessions which outlive their connections, and leave them:
 * counters, lines in the log, marks in the recording.
 */
#include "core/session/session_kept.h"

static struct stats_kept *counters(const struct session *s)
{
    return &session_route(s)->stats->kept;
}

static void mark(const struct member *m, const char *what)
{
    struct record *r = session_record(m->session);

    if (r != NULL)
        record_mark(r, m->number, what, m->client->origin, client_user(m->client));
}

void attach_count(struct session *s)
{
    struct session_kept *k = session_kept(s);
    bool detached = k->count == 0 && k->detached_since > 0;

    counters(s)->clients += k->count;
    counters(s)->clients -= k->counted;
    k->counted = k->count;
    counters(s)->detached += detached;
    counters(s)->detached -= k->counted_detached;
    k->counted_detached = detached;
}

void attach_refused(const struct route *route, uint16_t code)
{
    enum stats_attach how = code == SESSION_NOT_THERE   ? STATS_ATTACH_NOT_THERE
                            : code == SESSION_GAP       ? STATS_ATTACH_GAP
                            : code == SESSION_NO_ROOM   ? STATS_ATTACH_NO_ROOM
                            : code == WS_CODE_TRY_LATER ? STATS_ATTACH_BUSY
                                                        : STATS_ATTACH_FAILED;

    route->stats->kept.attaches[how]++;
}

void attach_joined(struct member *m)
{
    const struct session_kept *k = session_kept(m->session);

    counters(m->session)->attaches[m->how]++;
    mark(m, "joined");
    log_line(&m->owner.worker->log, LOG_INFO, "client joined", LOG_I("id", m->session->owner.id),
             LOG_I("number", m->number), LOG_C("client", m->client->origin),
             LOG_C("user", client_user(m->client)), LOG_C("how", stats_attach_names[m->how]),
             LOG_I("clients", k->count), LOG_I("next", m->next));
}

void attach_gone(const struct member *m)
{
    if (m->client->was_open)
        mark(m, "left");
}

void attach_left(const struct member *m)
{
    const struct client *c = m->client;

    log_line(&m->owner.worker->log, LOG_INFO, "client left", LOG_I("id", m->session->owner.id),
             LOG_I("number", m->number), LOG_C("client", c->origin), LOG_C("user", client_user(c)),
             LOG_I("clients", session_kept(m->session)->count), LOG_I("code", c->code),
             LOG_C("reason", client_extra(c)->reason),
             LOG_F("duration", m->owner.worker->now - m->opened_at),
             LOG_I("messages_in", c->messages_in), LOG_I("messages_out", c->messages_out),
             LOG_I("skipped", m->skipped));
}

void attach_sent(struct member *m, uint64_t number, size_t n)
{
    if (number < m->live_from)
        counters(m->session)->replayed += n;
}

void attach_skipped(struct member *m, uint64_t n)
{
    m->skipped += n;
    counters(m->session)->skipped += n;
}

void attach_gap(const struct member *m)
{
    counters(m->session)->gaps++;
}
