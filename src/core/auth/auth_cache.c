/* SPDX-License-Identifier: MIT */
#include "core/auth/auth_cache.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->grant = NULL)
#include <uthash.h>

struct auth_cached {
    uint8_t mac[SECRET_MAC_SIZE];
    double until;
    struct auth_grant *grant;
    UT_hash_handle hh;
};

static void auth_cache_drop(struct auth_cache *c, struct auth_cached *e)
{
    HASH_DEL(c->by_mac, e);
    c->count--;
    free(e->grant);
    free(e);
}

const struct auth_grant *auth_cache_find(struct auth_cache *c, const uint8_t mac[SECRET_MAC_SIZE],
                                         double now)
{
    struct auth_cached *e;

    HASH_FIND(hh, c->by_mac, mac, SECRET_MAC_SIZE, e);
    if (e != NULL && now >= e->until) {
        auth_cache_drop(c, e);
        e = NULL;
    }
    return e != NULL ? e->grant : NULL;
}

void auth_cache_add(struct auth_cache *c, const uint8_t mac[SECRET_MAC_SIZE],
                    const struct auth_grant *g, double until)
{
    struct auth_cached *e;

    HASH_FIND(hh, c->by_mac, mac, SECRET_MAC_SIZE, e);
    if (e != NULL)
        auth_cache_drop(c, e);
    if (c->count >= AUTH_CACHE_MAX)
        auth_cache_drop(c, c->by_mac); /* the head of a uthash is its oldest */
    e = calloc(1, sizeof *e);
    struct auth_grant *copy = auth_grant_copy(g);
    if (e != NULL && copy != NULL) {
        memcpy(e->mac, mac, SECRET_MAC_SIZE);
        e->until = until;
        e->grant = copy;
        HASH_ADD(hh, c->by_mac, mac, SECRET_MAC_SIZE, e);
        if (e->grant != NULL) {
            c->count++;
            return;
        }
    }
    free(copy);
    free(e);
}

void auth_cache_release(struct auth_cache *c)
{
    while (c->by_mac != NULL)
        auth_cache_drop(c, c->by_mac);
}
