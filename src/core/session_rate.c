/* SPDX-License-Identifier: MIT */

/*
 * How much a client may send in a time: messages and bytes, of a session, of a route and of all.
 * What is over is not thrown away: the rest of the chunk is put off (session_in.c), and the client
 * is not read until its turn has come. Its system notices that, as with every slow reader. Bytes
 * are counted as they come over the wire: compressed, where they are.
 *
 * Whoever has to wait takes its place in the buckets at once. So each waits until a known moment,
 * in the order of coming, and nobody who shares a bucket has to be woken in between.
 *
 * Only data is held. Control frames in front of it are answered, so a client that is just at its
 * limit can ping and close; behind it they wait, as a stream is read in its order.
 */
#include <stdlib.h>

#include "core/limits.h"
#include "core/session_impl.h"

#define HELD_LOOK 1.0 /* seconds between looks whether the client is still there */

struct session_rate {
    struct limits_rates own;
    struct limits_rates *route, *all; /* shared */
    double until;                     /* worker time: its turn; 0: nothing is held */
    double since;
    double messages, bytes; /* what the frame that is held has taken from the buckets already */
    uint32_t count;         /* of times */
    bool paid;              /* the next frame has */
};

/* One bucket, how fast it leaks, and what goes in. */
struct share {
    struct rate_bucket *bucket;
    const struct rate *rate;
    double n;
    bool own;
};

#define SHARES 6

static void shares_of(const struct session *s, double messages, double bytes,
                      struct share out[SHARES])
{
    const struct settings *set = &s->route->settings;
    const struct config *c = s->route->config;
    struct session_rate *r = session_rate(s);
    const struct share all[SHARES] = {
        {&r->own.messages, &set->message_rate, messages, true},
        {&r->own.bytes, &set->byte_rate, bytes, true},
        {&r->route->messages, &set->route_message_rate, messages, false},
        {&r->route->bytes, &set->route_byte_rate, bytes, false},
        {&r->all->messages, &c->total_message_rate, messages, false},
        {&r->all->bytes, &c->total_byte_rate, bytes, false},
    };

    memcpy(out, all, sizeof all);
}

static bool limited(const struct route *r)
{
    const struct settings *s = &r->settings;

    return rate_is_set(&s->message_rate) || rate_is_set(&s->byte_rate) ||
           rate_is_set(&s->route_message_rate) || rate_is_set(&s->route_byte_rate) ||
           rate_is_set(&r->config->total_message_rate) || rate_is_set(&r->config->total_byte_rate);
}

int session_rate_start(struct session *s)
{
    struct session_rate *r;

    if (!limited(s->route))
        return 0;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return -1;
    r->route = limits_route_rates(s->worker->limits, s->route);
    r->all = limits_all_rates(s->worker->limits);
    s->extra->rate = r;
    return 0;
}

/* What took its place will not come: others move up. */
static void give_back(struct session *s)
{
    const struct session_rate *r = session_rate(s);
    struct share all[SHARES];

    shares_of(s, r->messages, r->bytes, all);
    for (size_t i = 0; i < SHARES; i++)
        rate_give_back(all[i].bucket, all[i].n);
}

void session_rate_drop(struct session *s)
{
    struct session_rate *r = session_rate(s);

    if (!session_rate_holds(s))
        return;
    give_back(s);
    r->until = 0;
}

void session_rate_release(struct session *s)
{
    if (s->extra == NULL)
        return;
    free(s->extra->rate);
    s->extra->rate = NULL;
}

/* Takes the piece's place in all buckets: how long until its turn. over: the session's own rates
 * alone would make it wait. */
static double reserve(struct session *s, const struct ws_frame *f, bool *over)
{
    struct session_rate *r = session_rate(s);
    struct share all[SHARES];
    double longest = 0;

    r->messages = f->begin;
    r->bytes = (double)f->len;
    shares_of(s, r->messages, r->bytes, all);
    *over = false;
    for (size_t i = 0; i < SHARES; i++) {
        double wait =
            all[i].n > 0 ? rate_reserve(all[i].bucket, all[i].rate, all[i].n, s->worker->now) : 0;

        *over |= all[i].own && wait > 0;
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

enum session_rated session_rate_take(struct session *s, const struct ws_frame *f)
{
    struct session_rate *r = session_rate(s);
    double wait = 0, now = s->worker->now;
    bool over = false;

    if (s->phase == SESSION_OPEN && !r->paid)
        wait = reserve(s, f, &over);
    r->paid = false;
    if (over && s->route->settings.over_rate == OVER_RATE_CLOSE) {
        give_back(s);
        return RATE_OVER;
    }
    if (wait <= 0)
        return RATE_PASS;
    r->until = now + wait;
    r->since = now;
    r->count++;
    s->route->stats->rate_holds++;
    session_time_hurry(s, wait < HELD_LOOK ? wait : HELD_LOOK);
    return RATE_HELD;
}

bool session_rate_holds(const struct session *s)
{
    return session_rate_until(s) > 0;
}

double session_rate_until(const struct session *s)
{
    const struct session_rate *r = session_rate(s);

    return r != NULL ? r->until : 0;
}

void session_rate_return(struct session *s)
{
    struct session_rate *r = session_rate(s);

    if (!session_rate_holds(s))
        return;
    r->until = 0;
    r->paid = true;
}

uint32_t session_rate_count(const struct session *s)
{
    return session_rate(s) != NULL ? session_rate(s)->count : 0;
}

void session_rate_lift(struct session *s)
{
    if (!session_rate_holds(s))
        return;
    session_rate(s)->until =
        s->worker->now; /* not from here: whoever closes may be using the buffer */
    session_time_hurry(s, 0);
}

double session_rate_due(const struct session *s)
{
    double until = session_rate_until(s), look = s->worker->now + HELD_LOOK;

    if (!session_rate_holds(s))
        return SESSION_NEVER;
    return until > s->worker->now && until < look ? until : look;
}

void session_rate_look(struct session *s)
{
    double now = s->worker->now;

    s->last_data = now; /* it is not idle: we let it wait */
    if (s->phase == SESSION_OPEN && now - session_rate(s)->since >= s->route->settings.stop_grace &&
        stream_peer_finished(s->stream))
        session_lost(s, "the client left without a Close");
}
