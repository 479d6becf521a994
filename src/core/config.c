/* SPDX-License-Identifier: MIT */
#include "core/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/secret.h"

struct config_owned {
    struct config_owned *next;
    void (*release)(void *what);
    void *what;
};

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
    c->accounts = arena_alloc(&c->arena, sizeof *c->accounts);
    if (c->accounts == NULL) {
        free(c);
        return NULL;
    }
    c->accounts->arena = &c->arena;
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

bool config_own(struct config *c, void (*release)(void *what), void *what)
{
    struct config_owned *o = arena_alloc(&c->arena, sizeof *o);

    if (o == NULL) {
        release(what);
        return false;
    }
    *o = (struct config_owned){c->owned, release, what};
    c->owned = o;
    return true;
}

void config_release(struct config *c)
{
    if (--c->references > 0)
        return;
    for (const struct config_owned *o = c->owned; o != NULL; o = o->next)
        o->release(o->what);
    for (size_t i = 0; i < c->route_count; i++) {
        tlsclient_free(c->routes[i].tls);
        secret_wipe(slice_from(c->routes[i].preamble_word));
        free(c->routes[i].preamble_word);
        if (c->routes[i].static_fd >= 0)
            close(c->routes[i].static_fd);
    }
    for (size_t i = 0; i < c->listen_count; i++)
        tlsctx_release(c->listen[i].tls);
    arena_release(&c->arena);
    free(c);
}
