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

bool auth_grant_is_name(struct slice user)
{
    for (size_t i = 0; i < user.len; i++) {
        if ((unsigned char)user.p[i] < 0x20 || user.p[i] == 0x7f)
            return false;
    }
    return user.len <= AUTH_NAME_MAX && !slice_starts(user, "() {");
}

struct auth_grant *auth_grant_new(struct slice user, const struct slice *env, size_t n)
{
    size_t size = sizeof(struct auth_grant) + n * sizeof(char *) + user.len + 1;

    for (size_t i = 0; i < n; i++)
        size += env[i].len + 1;
    struct auth_grant *g = calloc(1, size);
    if (g == NULL)
        return NULL;
    char *p = (char *)(g->env + n);

    g->user = p;
    if (user.len > 0)
        p = mempcpy(p, user.p, user.len);
    p++;
    g->env_count = n;
    for (size_t i = 0; i < n; i++) {
        g->env[i] = p;
        p = (char *)mempcpy(p, env[i].p, env[i].len) + 1;
    }
    return g;
}

struct auth_grant *auth_grant_copy(const struct auth_grant *g)
{
    struct slice *env = calloc(g->env_count + 1, sizeof *env);
    struct auth_grant *copy = NULL;

    for (size_t i = 0; env != NULL && i < g->env_count; i++)
        env[i] = slice_from(g->env[i]);
    if (env != NULL)
        copy = auth_grant_new(slice_from(g->user), env, g->env_count);
    free(env);
    return copy;
}

static void drop(struct auth_cache *c, struct auth_cached *e)
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
        drop(c, e);
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
        drop(c, e);
    if (c->count >= AUTH_CACHE_MAX)
        drop(c, c->by_mac); /* the head of a uthash is its oldest */
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
        drop(c, c->by_mac);
}
