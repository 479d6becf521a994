/* SPDX-License-Identifier: MIT */

/*
 * How many sessions there may be, where they outlive their connections: one that nobody is at
 * counts as its last client, until it gives its place to who comes to it, or to another of its
 * address.
 */
#include <string.h>

#include "core/admission/limits.h"
#include "core/core.h"
#include "core/session/session_kept.h"
#include "core/session/session_key.h"

void place_give_back(struct session *s)
{
    if (s->ticket == NULL)
        return;
    limits_leave(core_of(session_worker(s))->limits, s->ticket, session_route(s));
    s->ticket = NULL;
}

/* The detached one of this address that nobody came to for longest. */
static struct session *oldest_of(const struct worker *w, const union addr *client)
{
    struct session_kept *k, *next, *oldest = NULL;
    uint8_t theirs[16], ours[16];

    addr_limit_key(client, ours);
    HASH_ITER(hh, core_of(w)->sessions->by_key, k, next)
    {
        addr_limit_key(&k->last, theirs);
        if (k->session->ticket != NULL && memcmp(ours, theirs, sizeof ours) == 0 &&
            (oldest == NULL || k->detached_since < oldest->detached_since))
            oldest = k;
    }
    return oldest != NULL ? oldest->session : NULL;
}

bool session_takes_over(const struct session *s)
{
    int join = session_settings(s)->join;

    return join == JOIN_TAKEOVER || (join == JOIN_BY_KIND && session_is_private(s));
}

/* The ticket that a newcomer may have: that of the session which nobody is at, or of the client
 * that is replaced. */
static struct limits_ticket **place_of(struct session *s)
{
    struct session_kept *k = session_kept(s);

    if (k->count == 0)
        return &s->ticket;
    return k->count == 1 && session_takes_over(s) ? &LIST_FIRST(&k->members)->ticket : NULL;
}

/* The one that is meant gives its own place to who comes to it. */
static int admit_to(struct session *s, const struct config *c, const struct request *r,
                    struct limits_ticket **ticket, const char **why)
{
    struct limits *l = core_of(session_worker(s))->limits;
    const struct route *route = session_route(s);
    struct limits_ticket **place = place_of(s);
    const char *ignored;
    int status;

    if (place == NULL || *place == NULL)
        return limits_admit(l, c, route, &r->client, ticket, why);
    limits_leave(l, *place, route);
    *place = NULL;
    status = limits_admit(l, c, route, &r->client, ticket, why);
    if (status != 0) /* it comes from elsewhere, where there are too many */
        (void)limits_admit(l, c, route, &session_kept(s)->last, place, &ignored);
    return status;
}

void place_keep(struct session *s, struct session_open *o)
{
    struct limits_ticket **place = place_of(s);

    if (place == NULL || *place != NULL)
        return;
    *place = o->ticket;
    o->ticket = NULL;
}

int session_admit(struct worker *w, const struct config *c, const struct route *route,
                  const struct request *r, struct limits_ticket **ticket, const char **why)
{
    uint8_t key[SECRET_MAC_SIZE];
    struct session_kept *k =
        session_key(w, route, r, key) == SESSION_KEYED ? session_kept_find(w, key) : NULL;
    struct session *oldest;
    int status = k != NULL ? admit_to(k->session, c, r, ticket, why)
                           : limits_admit(core_of(w)->limits, c, route, &r->client, ticket, why);

    if (status == 0)
        return 0;
    oldest = oldest_of(w, &r->client);
    if (oldest == NULL || (k != NULL && oldest == k->session))
        return status;
    place_give_back(oldest);
    session_kept_close(oldest, WS_CODE_POLICY, "too many sessions of its address",
                       CLOSED_BY_SERVER);
    session_settle(oldest);
    return limits_admit(core_of(w)->limits, c, route, &r->client, ticket, why);
}
