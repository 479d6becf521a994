/* SPDX-License-Identifier: MIT */

/*
 * echo: what the client sends comes back, message by message, with its type: to test a link, and
 * conformance. The bytes never come here: the session turns them around by itself
 * (backend_ops.loopback), with a framing whose prefix is a frame header.
 */
#include <stdio.h>
#include <stdlib.h>

#include "backend/backends.h"
#include "proto/ws.h"

struct be_echo {
    struct backend base;
    struct worker *worker;
    ev_timer later; /* tells opened, and ended, from the loop */
    bool opened, over;
    struct reap reap;
};

static size_t echo_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    return ws_write_header(out, opcode, len);
}

static const struct framing framing_echo = {
    .name = "message",
    .assembles = true,
    .opcode_out = WS_BINARY,
    .prefix = echo_prefix,
};

static void on_later(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct be_echo *e = timer->data;
    const struct backend_end end = {.how = BACKEND_CLEAN};
    (void)loop;
    (void)revents;

    if (!e->opened) {
        e->opened = true;
        e->base.events->opened(e->base.owner);
    } else if (e->over) {
        e->base.events->ended(e->base.owner, &end);
    }
}

static const char *echo_parse(struct target *t, const char *rest, struct arena *arena)
{
    (void)t;
    (void)arena;
    return rest[0] == '\0' ? NULL : "nothing may follow";
}

static struct backend *echo_open(const struct backend_open *o)
{
    struct be_echo *e = calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    e->base = (struct backend){&backend_echo, o->events, o->owner};
    e->worker = o->worker;
    ev_init(&e->later, on_later);
    e->later.data = e;
    ev_feed_event(o->worker->loop, &e->later, EV_CUSTOM);
    return &e->base;
}

static void echo_write(struct backend *b, const void *p, size_t n)
{
    (void)b;
    (void)p;
    (void)n;
}

static size_t echo_queued(const struct backend *b)
{
    (void)b;
    return 0;
}

static uint64_t echo_delivered(const struct backend *b)
{
    (void)b;
    return 0;
}

static void echo_pause(struct backend *b, bool paused)
{
    (void)b;
    (void)paused;
}

static void echo_finish(struct backend *b)
{
    (void)b;
}

static void echo_stop(struct backend *b)
{
    struct be_echo *e = (struct be_echo *)b;

    e->over = true;
    ev_feed_event(e->worker->loop, &e->later, EV_CUSTOM);
}

static void echo_release(struct reap *r)
{
    free((char *)r - offsetof(struct be_echo, reap));
}

static void echo_close(struct backend *b)
{
    struct be_echo *e = (struct be_echo *)b;

    ev_clear_pending(e->worker->loop, &e->later);
    e->reap.release = echo_release;
    worker_reap(e->worker, &e->reap);
}

static void echo_describe(const struct backend *b, char *out, size_t size)
{
    (void)b;
    snprintf(out, size, "echo");
}

const struct backend_ops backend_echo = {
    .name = "echo",
    .prefix = "echo:",
    .scheme_help = "echo:",
    .framing = &framing_echo,
    .loopback = true,
    .any_subprotocol = true,
    .descriptors = 0,
    .parse = echo_parse,
    .open = echo_open,
    .write = echo_write,
    .queued = echo_queued,
    .delivered = echo_delivered,
    .lost = echo_delivered,
    .pause = echo_pause,
    .finish = echo_finish,
    .stop = echo_stop,
    .close = echo_close,
    .describe = echo_describe,
};
