/* SPDX-License-Identifier: MIT */
#include "core/limits.h"

#include <stdlib.h>

/* uthash reports a failed allocation to us instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->count = 0)
#include <uthash.h>

/* All sessions from one address share a ticket. */
struct limits_ticket {
    uint8_t key[16];
    uint64_t count;
    UT_hash_handle hh;
};

struct limits {
    struct limits_ticket *by_address;
    size_t sessions;
};

struct limits *limits_new(void)
{
    return calloc(1, sizeof(struct limits));
}

void limits_free(struct limits *l)
{
    free(l);
}

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
    t->count = 1; /* told apart from the 0 that a failed insertion leaves */
    HASH_ADD(hh, l->by_address, key, sizeof t->key, t);
    if (t->count == 0) {
        free(t);
        return NULL;
    }
    t->count = 0;
    return t;
}

int limits_admit(struct limits *l, const struct config *c, const union addr *client,
                 struct limits_ticket **ticket, const char **why)
{
    *ticket = NULL;
    if (l->sessions >= c->max_sessions) {
        *why = "too many sessions, try again later";
        return 503;
    }
    struct limits_ticket *t = ticket_for(l, client);
    if (t == NULL) {
        *why = "out of memory, try again later";
        return 503;
    }
    /* Clients of a Unix socket have no address to be told apart by. */
    if (client->sa.sa_family != AF_UNIX && c->max_per_address > 0 &&
        t->count >= c->max_per_address) {
        *why = "too many sessions from your address";
        return 429;
    }
    t->count++;
    l->sessions++;
    *ticket = t;
    return 0;
}

void limits_leave(struct limits *l, struct limits_ticket *t)
{
    l->sessions--;
    if (--t->count == 0) {
        HASH_DEL(l->by_address, t);
        free(t);
    }
}
