/* SPDX-License-Identifier: MIT */

/*
 * How much a client may send in a time: messages and bytes, of a client, of a route and of all.
 * What is over is not thrown away: the rest of the chunk is deferred (client_in.c), and the client
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

#include "core/admission/limits.h"
#include "core/client/client_impl.h"
#include "core/core.h"

#define HELD_LOOK 1.0 /* seconds between looks whether the client is still there */

struct client_throttle {
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

static void shares_of(const struct client *c, double messages, double bytes,
                      struct share out[SHARES])
{
    const struct settings *set = client_settings(c);
    const struct config *all_of = client_route(c)->config;
    struct client_throttle *r = client_throttle(c);
    const struct share all[SHARES] = {
        {&r->own.messages, &set->message_rate, messages, true},
        {&r->own.bytes, &set->byte_rate, bytes, true},
        {&r->route->messages, &set->route_message_rate, messages, false},
        {&r->route->bytes, &set->route_byte_rate, bytes, false},
        {&r->all->messages, &all_of->total_message_rate, messages, false},
        {&r->all->bytes, &all_of->total_byte_rate, bytes, false},
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

int client_throttle_start(struct client *c)
{
    struct client_throttle *r;

    if (!limited(client_route(c)))
        return 0;
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return -1;
    r->route = limits_route_rates(core_of(client_worker(c))->limits, client_route(c));
    r->all = limits_all_rates(core_of(client_worker(c))->limits);
    c->extra->throttle = r;
    return 0;
}

/* What took its place will not come: others move up. */
static void give_back(struct client *c)
{
    const struct client_throttle *r = client_throttle(c);
    struct share all[SHARES];

    shares_of(c, r->messages, r->bytes, all);
    for (size_t i = 0; i < SHARES; i++)
        rate_give_back(all[i].bucket, all[i].n);
}

void client_throttle_drop(struct client *c)
{
    struct client_throttle *r = client_throttle(c);

    if (!client_throttled(c))
        return;
    give_back(c);
    r->until = 0;
}

void client_throttle_release(struct client *c)
{
    if (c->extra == NULL)
        return;
    free(c->extra->throttle);
    c->extra->throttle = NULL;
}

/* Takes the piece's place in all buckets: how long until its turn. over: the session's own rates
 * alone would make it wait. */
static double reserve(struct client *c, const struct ws_frame *f, bool *over)
{
    struct client_throttle *r = client_throttle(c);
    struct share all[SHARES];
    double longest = 0;

    r->messages = f->begin;
    r->bytes = (double)f->len;
    shares_of(c, r->messages, r->bytes, all);
    *over = false;
    for (size_t i = 0; i < SHARES; i++) {
        double wait = all[i].n > 0 ? rate_reserve(all[i].bucket, all[i].rate, all[i].n,
                                                  client_worker(c)->clock)
                                   : 0;

        *over |= all[i].own && wait > 0;
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

enum client_rated client_throttle_take(struct client *c, const struct ws_frame *f)
{
    struct client_throttle *r = client_throttle(c);
    double wait = 0, now = client_worker(c)->now;
    bool over = false;

    if (c->state == CLIENT_OPEN && !r->paid)
        wait = reserve(c, f, &over);
    r->paid = false;
    if (over && client_settings(c)->over_rate == OVER_RATE_CLOSE) {
        give_back(c);
        return RATE_OVER;
    }
    if (wait <= 0)
        return RATE_PASS;
    r->until = now + wait;
    r->since = now;
    r->count++;
    client_route(c)->stats->rate_holds++;
    client_hurry(c, wait < HELD_LOOK ? wait : HELD_LOOK);
    return RATE_HELD;
}

bool client_throttled(const struct client *c)
{
    return client_throttle_until(c) > 0;
}

double client_throttle_until(const struct client *c)
{
    const struct client_throttle *r = client_throttle(c);

    return r != NULL ? r->until : 0;
}

void client_throttle_return(struct client *c)
{
    struct client_throttle *r = client_throttle(c);

    if (!client_throttled(c))
        return;
    r->until = 0;
    r->paid = true;
}

uint32_t client_throttled_count(const struct client *c)
{
    return client_throttle(c) != NULL ? client_throttle(c)->count : 0;
}

void client_throttle_lift(struct client *c)
{
    if (!client_throttled(c))
        return;
    client_throttle(c)->until =
        client_worker(c)->now; /* not from here: whoever closes may be using the buffer */
    client_hurry(c, 0);
}

double client_throttle_due(const struct client *c)
{
    double until = client_throttle_until(c), look = client_worker(c)->now + HELD_LOOK;

    if (!client_throttled(c))
        return CLIENT_NEVER;
    return until > client_worker(c)->now && until < look ? until : look;
}

void client_throttle_look(struct client *c)
{
    double now = client_worker(c)->now;

    c->owner->last_data = now; /* it is not idle: we let it wait */
    if (c->state == CLIENT_OPEN &&
        now - client_throttle(c)->since >= client_settings(c)->stop_grace &&
        stream_peer_finished(c->stream))
        client_lose(c, "the client left without a Close");
}
