/* SPDX-License-Identifier: MIT */
#include "handler/admin/admin_body.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/config.h"
#include "core/core.h"
#include "core/request.h"

struct admin_body {
    struct stream *stream;
    const struct admin_maker *ops;
    void *maker;
    uint64_t delivered; /* when the timer was set */
    struct reap reap;
};

static void admin_body_go_on(struct admin_body *b);

void admin_out_add(struct admin_out *out, const void *p, size_t n)
{
    if (!out->failed && n > 0 && buf_append(&out->text, p, n) < 0)
        out->failed = true;
}

void admin_out_printf(struct admin_out *out, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        out->failed = true;
    else
        admin_out_add(out, text, (size_t)n);
}

static void admin_body_release(struct reap *r)
{
    free((char *)r - offsetof(struct admin_body, reap));
}

static void admin_body_close(struct admin_body *b)
{
    struct stream *s = b->stream;

    ev_timer_stop(s->worker->loop, &s->timer);
    stream_take(s, NULL, NULL);
    b->ops->release(b->maker);
    b->reap.release = admin_body_release;
    worker_reap(s->worker, &b->reap);
}

static void admin_body_abort(struct admin_body *b)
{
    struct stream *s = b->stream;

    admin_body_close(b);
    stream_abort(s);
}

static void admin_body_send_piece(struct admin_body *b)
{
    struct stream *s = b->stream;
    struct admin_out out = {0};
    bool more = b->ops->next(b->maker, &out);

    if (!out.failed && buf_len(&out.text) > 0)
        stream_write(s, buf_data(&out.text), buf_len(&out.text));
    buf_release(&out.text);
    if (out.failed) {
        admin_body_abort(b); /* the reader sees that the end is missing */
    } else if (!more) {
        admin_body_close(b);
        stream_end(s);
    } else {
        admin_body_go_on(b);
    }
}

static void admin_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct admin_body *b = timer->data;
    (void)loop;
    (void)revents;

    if (stream_queued(b->stream) == 0)
        admin_body_send_piece(b);
    else if (stream_delivered(b->stream) == b->delivered)
        admin_body_abort(b);
    else
        admin_body_go_on(b);
}

/* The next piece in the next turn; while one is on its way, a look whether it moves. */
static void admin_body_go_on(struct admin_body *b)
{
    struct stream *s = b->stream;
    bool queued = stream_queued(s) > 0;

    b->delivered = stream_delivered(s);
    ev_timer_stop(s->worker->loop, &s->timer);
    ev_timer_set(&s->timer, queued ? core_of(s->worker)->config->settings.stall_timeout : 0, 0);
    ev_timer_start(s->worker->loop, &s->timer);
}

static void admin_on_drained(void *owner)
{
    admin_body_go_on(owner);
}

static void admin_on_closed(void *owner, int err)
{
    (void)err;
    admin_body_abort(owner);
}

static const struct stream_events body_events = {.drained = admin_on_drained,
                                                 .closed = admin_on_closed};

static bool is_head(const struct stream *s)
{
    return slice_is(stream_request(s)->head->method, "HEAD");
}

void admin_body_start(struct stream *s, const char *content_type, const struct admin_maker *ops,
                      void *maker)
{
    struct admin_body *b = calloc(1, sizeof *b);
    const struct response answer = {
        .status = 200,
        .content_type = content_type,
        .fields = "Cache-Control: no-store\r\n",
        .body = slice_of("", 0),
        .unknown_length = true,
        .head_only = is_head(s),
        .close = core_of(s->worker)->draining,
    };

    if (b == NULL) {
        ops->release(maker);
        stream_refuse(s, 503, NULL, "out of memory");
        return;
    }
    stream_respond(s, &answer);
    if (answer.head_only) {
        ops->release(maker);
        free(b);
        stream_end(s);
        return;
    }
    b->stream = s;
    b->ops = ops;
    b->maker = maker;
    stream_take(s, &body_events, b);
    ev_timer_init(&s->timer, admin_on_timer, 0, 0);
    admin_body_send_piece(b);
}

void admin_body_whole(struct stream *s, int status, const char *content_type, const char *fields,
                      struct slice body)
{
    char all[256];
    const struct response answer = {
        .status = status,
        .content_type = content_type,
        .fields = all,
        .body = body,
        .head_only = is_head(s),
        .close = core_of(s->worker)->draining || status >= 400,
    };

    snprintf(all, sizeof all, "Cache-Control: no-store\r\n%s", fields != NULL ? fields : "");
    stream_respond(s, &answer);
    stream_end(s);
}
