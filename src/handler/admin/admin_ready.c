/* SPDX-License-Identifier: MIT */
#include "handler/admin/admin_ready.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/backend.h"
#include "core/core.h"
#include "handler/admin/admin_body.h"
#include "io/connect.h"

#define PROBES 32 /* under way at once */
#define WHY_MAX 512
#define TEXT "text/plain; charset=utf-8"

struct asking;

struct probe {
    struct asking *all;
    struct connect *connecting; /* NULL: idle */
    const struct route *route;
};

struct asking {
    struct stream *stream;
    struct config *config; /* our reference */
    const char *path;      /* NULL: all routes */
    size_t next;           /* route to look at */
    size_t running;
    struct probe probes[PROBES];
    char text[]; /* what path points to */
};

static void ready_end(struct asking *a)
{
    for (size_t i = 0; i < PROBES; i++) {
        if (a->probes[i].connecting != NULL)
            connect_cancel(a->probes[i].connecting);
    }
    stream_take(a->stream, NULL, NULL);
    config_release(a->config);
    free(a);
}

static void ready_answer(struct asking *a, int status, const char *text)
{
    struct stream *s = a->stream;

    ready_end(a);
    admin_body_whole(s, status, TEXT, NULL, slice_from(text));
}

/* The asker left. */
static void ready_on_closed(void *owner, int err)
{
    struct asking *a = owner;
    struct stream *s = a->stream;
    (void)err;

    ready_end(a);
    stream_abort(s);
}

static const struct stream_events events = {.closed = ready_on_closed};

/* A service on a stream, at an address that is known. */
static bool can_be_tried(const struct route *r)
{
    return r->backend != NULL && r->backend->takes_preamble &&
           (r->target.host != NULL || r->target.unix_path != NULL);
}

static bool is_asked_for(const struct asking *a, const struct route *r)
{
    return a->path == NULL || strcmp(r->path, a->path) == 0;
}

static void start_more(struct asking *a);

static void ready_on_connected(void *owner, int fd, const union addr *addr)
{
    struct probe *p = owner;
    (void)addr;

    (void)close(fd);
    p->connecting = NULL;
    p->all->running--;
    start_more(p->all);
}

static void ready_on_failed(void *owner, enum connect_failure why, const char *what)
{
    struct probe *p = owner;
    char text[WHY_MAX];
    (void)why;

    p->connecting = NULL;
    snprintf(text, sizeof text, "not ready: %s: %s\n", p->route->path, what);
    ready_answer(p->all, 503, text);
}

static const struct connect_events probe_events = {ready_on_connected, ready_on_failed};

/* False without memory. */
static bool ready_start(struct asking *a, const struct route *r)
{
    const struct connect_spec spec = {.host = r->target.host,
                                      .port = r->target.port,
                                      .unix_path = r->target.unix_path,
                                      .timeout = r->settings.connect_timeout};
    struct probe *p = a->probes;

    while (p->connecting != NULL)
        p++;
    p->all = a;
    p->route = r;
    p->connecting = connect_start(a->stream->worker, &spec, &probe_events, p);
    a->running += p->connecting != NULL;
    return p->connecting != NULL;
}

/* Ends with an answer once nothing is left to wait for: then `a` is gone. */
static void start_more(struct asking *a)
{
    while (a->next < a->config->route_count && a->running < PROBES) {
        const struct route *r = &a->config->routes[a->next++];

        if (!can_be_tried(r) || !is_asked_for(a, r))
            continue;
        if (!ready_start(a, r)) {
            ready_answer(a, 503, "not ready: out of memory\n");
            return;
        }
    }
    if (a->running == 0)
        ready_answer(a, 200, "ready\n");
}

void admin_ready_start(struct stream *s, const char *path)
{
    struct config *c = core_of(s->worker)->config;
    struct asking *a = calloc(1, sizeof *a + strlen(path) + 1);
    bool found = strcmp(path, "all") == 0;

    if (a == NULL) {
        admin_body_whole(s, 503, TEXT, NULL, slice_from("not ready: out of memory\n"));
        return;
    }
    a->path = found ? NULL : strcpy(a->text, path);
    for (size_t i = 0; i < c->route_count; i++)
        found = found || is_asked_for(a, &c->routes[i]);
    if (!found) {
        free(a);
        admin_body_whole(s, 404, TEXT, NULL, slice_from("no route has this path\n"));
        return;
    }
    a->stream = s;
    a->config = config_retain(c);
    stream_take(s, &events, a);
    start_more(a);
}
