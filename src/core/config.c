/* SPDX-License-Identifier: MIT */
#include "core/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/admission/bans.h"
#include "core/auth/auth.h"
#include "core/backend.h"
#include "core/program/rules.h"
#include "core/route.h"
#include "proto/secret.h"

const char *config_record_dir(const struct settings *s)
{
    if (s->record == NULL || s->record[0] == '\0' || strcmp(s->record, "off") == 0)
        return NULL;
    return s->record;
}

struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->references = 1;
    return c;
}

struct config *config_retain(struct config *c)
{
    c->references++;
    return c;
}

struct route *config_add_route(struct config *c)
{
    struct route *r;

    if (c->route_count == c->route_room) {
        size_t room = c->route_room == 0 ? 4 : c->route_room * 2;
        struct route *all = arena_alloc(&c->arena, room * sizeof *all);

        if (all == NULL)
            return NULL;
        if (c->route_count > 0)
            memcpy(all, c->routes, c->route_count * sizeof *all);
        c->routes = all;
        c->route_room = room;
    }
    r = &c->routes[c->route_count++];
    r->config = c;
    r->static_fd = -1;
    r->settings = c->settings;
    return r;
}

void config_release(struct config *c)
{
    if (--c->references > 0)
        return;
    for (size_t i = 0; i < c->route_count; i++) {
        auth_release(&c->routes[i]);
        if (c->routes[i].backend != NULL && c->routes[i].backend->release != NULL)
            c->routes[i].backend->release(&c->routes[i]);
        route_release(&c->routes[i]);
        rules_release(&c->routes[i]);
        tlsclient_free(c->routes[i].tls);
        secret_wipe(slice_from(c->routes[i].preamble_word));
        free(c->routes[i].preamble_word);
        if (c->routes[i].static_fd >= 0)
            close(c->routes[i].static_fd);
    }
    for (size_t i = 0; i < c->listen_count; i++)
        tlsctx_release(c->listen[i].tls);
    bans_free(c->bans);
    arena_release(&c->arena);
    free(c);
}
