/* SPDX-License-Identifier: MIT */
#include "core/grant.h"

#include <stdlib.h>
#include <string.h>

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
    if (copy != NULL && g->has_mac) {
        copy->has_mac = true;
        memcpy(copy->mac, g->mac, sizeof copy->mac);
    }
    return copy;
}
