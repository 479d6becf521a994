/* SPDX-License-Identifier: MIT */
#include "core/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool path_matches(const char *prefix, const char *path)
{
    size_t n = strlen(prefix);

    if (strncmp(path, prefix, n) != 0)
        return false;
    return n == 0 || prefix[n - 1] == '/' || path[n] == '\0' || path[n] == '/';
}

const struct route *config_find_route(const struct config *c, const char *path)
{
    const struct route *best = NULL;

    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];

        if (path_matches(r->path, path) && (best == NULL || strlen(r->path) > strlen(best->path)))
            best = r;
    }
    return best;
}

struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->references = 1;
    c->static_fd = -1;
    return c;
}

struct config *config_retain(struct config *c)
{
    c->references++;
    return c;
}

void config_release(struct config *c)
{
    if (--c->references > 0)
        return;
    if (c->static_fd >= 0)
        close(c->static_fd);
    for (size_t i = 0; i < c->listen_count; i++)
        tlsctx_release(c->listen[i].tls);
    arena_release(&c->arena);
    free(c);
}
