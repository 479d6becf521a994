/* SPDX-License-Identifier: MIT */
#include "core/admission/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* uthash reports a failed allocation to us instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#define ROUTE_KEY_MAX 1024 /* bytes of a route's path, host and subprotocol that count */

/* All sessions from one address share a ticket. */
struct limits_ticket {
    uint8_t key[16];
    uint64_t count;
    bool in_table;
    UT_hash_handle hh;
};

/* The sessions of a route, whatever configurations they began with. Kept after the last one: else
 * its rates would be new again. */
struct limits_route {
    struct limits_rates rates;
    uint64_t count;
    bool in_table; /* told apart from what a failed insertion leaves */
    size_t key_len;
    UT_hash_handle hh;
    char key[];
};

struct limits {
    struct limits_ticket *by_address;
    struct limits_route *by_route;
    struct limits_rates rates;
    size_t sessions;
};

struct limits *limits_new(void)
{
    return calloc(1, sizeof(struct limits));
}

void limits_free(struct limits *l)
{
    struct limits_route *r, *next;

    if (l == NULL)
        return;
    HASH_ITER(hh, l->by_route, r, next)
    {
        HASH_DEL(l->by_route, r);
        free(r);
    }
    free(l);
}

/* ---- routes ---- */

/* Two routes that a configuration tells apart are two here. */
static size_t route_key(const struct route *route, char out[ROUTE_KEY_MAX])
{
    int n = snprintf(out, ROUTE_KEY_MAX, "%s%c%s%c%s", route->path, '\0',
                     route->host != NULL ? route->host : "", '\0',
                     route->match_subprotocol != NULL ? route->match_subprotocol : "");

    return n < ROUTE_KEY_MAX ? (size_t)n : ROUTE_KEY_MAX - 1;
}

static struct limits_route *limits_find_route(const struct limits *l, const struct route *route)
{
    struct limits_route *r;
    char key[ROUTE_KEY_MAX];
    size_t n = route_key(route, key);

    HASH_FIND(hh, l->by_route, key, n, r);
    return r;
}

/* There are as many as there are routes, and those of former configurations are few. */
static struct limits_route *route_for(struct limits *l, const struct route *route)
{
    struct limits_route *r = limits_find_route(l, route);
    char key[ROUTE_KEY_MAX];
    size_t n;

    if (r != NULL)
        return r;
    n = route_key(route, key);
    r = calloc(1, sizeof *r + n);
    if (r == NULL)
        return NULL;
    memcpy(r->key, key, n);
    r->key_len = n;
    r->in_table = true;
    HASH_ADD_KEYPTR(hh, l->by_route, r->key, r->key_len, r);
    if (r->in_table)
        return r;
    free(r);
    return NULL;
}

struct limits_rates *limits_route_rates(struct limits *l, const struct route *route)
{
    struct limits_route *r = limits_find_route(l, route);

    return r != NULL ? &r->rates : NULL;
}

struct limits_rates *limits_all_rates(struct limits *l)
{
    return &l->rates;
}

/* ---- addresses ---- */

static struct limits_ticket *ticket_for(struct limits *l, const union addr *client)
{
    struct limits_ticket *t;
    uint8_t key[16];

    addr_limit_key(client, key);
    HASH_FIND(hh, l->by_address, key, sizeof key, t);
    if (t != NULL)
        return t;
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    memcpy(t->key, key, sizeof key);
    t->in_table = true;
    HASH_ADD(hh, l->by_address, key, sizeof t->key, t);
    if (t->in_table)
        return t;
    free(t);
    return NULL;
}

static void limits_drop_unused(struct limits *l, struct limits_ticket *t)
{
    if (t->count > 0)
        return;
    HASH_DEL(l->by_address, t);
    free(t);
}

int limits_admit(struct limits *l, const struct config *c, const struct route *route,
                 const union addr *client, struct limits_ticket **ticket, const char **why)
{
    struct limits_route *r = route_for(l, route);
    struct limits_ticket *t;

    *ticket = NULL;
    if (l->sessions >= c->max_sessions) {
        *why = "too many sessions, try again later";
        return 503;
    }
    if (r != NULL && route->max_sessions > 0 && r->count >= route->max_sessions) {
        *why = "too many sessions here, try again later";
        return 503;
    }
    t = r != NULL ? ticket_for(l, client) : NULL;
    if (t == NULL) {
        *why = "out of memory, try again later";
        return 503;
    }
    /* Clients of a Unix socket have no address to be told apart by. */
    if (client->sa.sa_family != AF_UNIX && c->max_per_address > 0 &&
        t->count >= c->max_per_address) {
        limits_drop_unused(l, t);
        *why = "too many sessions from your address";
        return 429;
    }
    t->count++;
    r->count++;
    l->sessions++;
    *ticket = t;
    return 0;
}

void limits_leave(struct limits *l, struct limits_ticket *t, const struct route *route)
{
    struct limits_route *r = limits_find_route(l, route);

    if (r != NULL) /* always: it was there to be admitted to */
        r->count--;
    l->sessions--;
    t->count--;
    limits_drop_unused(l, t);
}
