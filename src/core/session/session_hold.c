/* SPDX-License-Identifier: MIT */

/*
 * What a session that outlives its connections keeps, and what holds its backend for it: the limit
 * of its ring, within max-replay, which the picture of a terminal is part of; which messages must
 * stay; when the backend waits.
 */
#include <math.h>

#include "core/core.h"
#include "core/session/session_kept.h"

#define HOLD_LOOK 0.05 /* seconds between looks at what a system has acknowledged */

/* ---- memory ---- */

void hold_account(struct session_kept *k)
{
    struct sessions *all = core_of(session_worker(k->session))->sessions;
    size_t now = ring_memory(&k->ring) + screen_memory(k->session);

    all->replay_memory += now;
    all->replay_memory -= k->accounted;
    k->accounted = now;
}

/* Less than it wants where all together would be over max-replay. Blocks are up to twice as large
 * as what is in them. */
void hold_limit(struct session_kept *k)
{
    size_t all = session_route(k->session)->config->max_replay;
    size_t others = core_of(session_worker(k->session))->sessions->replay_memory - k->accounted +
                    screen_memory(k->session);
    size_t ours = all > others ? (all - others) / 2 : 0;

    k->ring.limit = k->wanted < ours ? k->wanted : ours;
    if (k->ring.limit < RING_SMALLEST)
        k->ring.limit = RING_SMALLEST;
}

/* The ring is to be larger. False when that cannot be. */
static bool hold_more(struct session_kept *k)
{
    size_t before = k->ring.limit;

    if (before < k->wanted || k->wanted >= SESSION_RING_MAX)
        return false;
    k->wanted *= 2;
    hold_limit(k);
    return k->ring.limit > before;
}

void hold_trim(struct session *s)
{
    struct session_kept *k = session_kept(s);

    if (core_of(session_worker(s))->sessions->replay_memory <=
            session_route(s)->config->max_replay ||
        ring_memory(&k->ring) <= RING_SMALLEST)
        return;
    hold_limit(k);
    ring_trim(&k->ring, hold_from(s));
    hold_account(k);
}

/* ---- what must stay ---- */

/* What m may still have to be sent: what it is not known to have, or if that cannot be known, what
 * it was not sent yet. */
static uint64_t member_needs(const struct member *m)
{
    return m->silent ? m->next : m->got + 1;
}

uint64_t hold_from(const struct session *s)
{
    const struct session_kept *k = session_kept(s);
    const struct member *m;
    uint64_t from = k->fresh;

    if (!session_is_private(s))
        return from;
    if (k->count == 0)
        return session_route(s)->backend->is_terminal ? from : k->ring.first;
    LIST_FOREACH(m, &k->members, link)
    {
        if (member_needs(m) < from)
            from = member_needs(m);
    }
    return from;
}

/* ---- the backend waits ---- */

/* Of a private session: m must have got what is more than half of the ring. Where it has taken all
 * that it was sent, the ring is the brake, and grows. */
static bool holds_for(struct session *s, struct member *m)
{
    struct session_kept *k = session_kept(s);
    double now = session_worker(s)->now;

    if (!m->ready)
        return true;
    if (!member_holds(m))
        return false;
    if (hold_more(k))
        return member_holds(m);
    if (now - m->got_moved < session_settings(s)->pong_timeout)
        return true;
    m->silent = true; /* some proxies eat pings */
    log_line(&session_worker(s)->log, LOG_WARN,
             "no pong tells what has arrived: what a dying link holds may be lost",
             LOG_I("id", s->owner.id), LOG_C("client", m->client->origin));
    return false;
}

/* Nothing may be lost for any client: the slowest sets the pace, until it stalls and has to go. */
static bool private_holds(struct session *s)
{
    struct session_kept *k = session_kept(s);
    struct member *m;

    if (k->count == 0)
        return !session_route(s)->backend->is_terminal &&
               ring_bytes_from(&k->ring, k->ring.first) > k->ring.limit / 2;
    LIST_FOREACH(m, &k->members, link)
    {
        if (holds_for(s, m))
            return true;
    }
    return false;
}

/* Shared: the fastest sets the pace. With nobody there the oldest messages go. */
static bool shared_holds(const struct session_kept *k)
{
    return k->count > 0 && k->ready == 0;
}

void hold_backend(struct session *s)
{
    struct session_kept *k = session_kept(s);
    bool hold;

    if (s->backend == NULL || s->state == SESSION_STOPPING || s->state == SESSION_OPENING)
        return;
    hold = k->code == 0 && (session_is_private(s) ? private_holds(s) : shared_holds(k));
    if (hold == s->backend_paused)
        return;
    s->backend_paused = hold;
    if (hold)
        session_count_stall(s, STATS_CLIENT);
    s->backend->ops->pause(s->backend, hold);
}

void hold_members(struct session *s)
{
    struct session_kept *k = session_kept(s);
    bool blocked = session_blocked(s);
    struct member *m;

    if (blocked == k->blocked)
        return;
    k->blocked = blocked;
    LIST_FOREACH(m, &k->members, link)
    {
        if (client_settle(m->client, blocked))
            session_count_stall(s, STATS_BACKEND);
    }
}

/* Pongs come by themselves, unless a client is not read now; and one that sends none is not waited
 * for. */
double hold_due(const struct session *s)
{
    double due = CLIENT_NEVER;
    const struct member *m;

    if (!s->backend_paused || !session_is_private(s))
        return due;
    LIST_FOREACH(m, &session_kept(s)->members, link)
    {
        if (!m->ready || !member_is_behind(m))
            continue;
        due = fmin(due, m->client->paused ? session_worker(s)->now + HOLD_LOOK
                                          : m->got_moved + session_settings(s)->pong_timeout);
    }
    return due;
}
