/* SPDX-License-Identifier: MIT */
#include "handler/files/static_send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/observe/request_log.h"
#include "core/request.h"

#define PIECE (64U * 1024U) /* bytes of a file read at once */

_Static_assert(PIECE <= WORKER_TX_SIZE, "a piece is read into the worker's buffer");

/*
 * A file on its way to a client. Ends with the last byte, or with the connection. The stream's
 * timer is its own meanwhile: with nothing queued it sends the next piece, next turn; else it looks
 * for a stall.
 */
struct body {
    struct stream *stream;
    int fd;               /* -1: what is left of it stands at bytes */
    const uint8_t *bytes; /* not ours */
    uint64_t left;        /* bytes not yet read */
    double stall;         /* seconds a client may take nothing */
    uint64_t delivered;   /* when the timer was set */
    struct reap reap;
};

static void static_body_go_on(struct body *b);

void static_refuse(struct stream *s, int status, const char *fields, const char *why)
{
    request_log(s, status, why);
    stream_refuse(s, status, fields, why);
}

void static_refuse_errno(struct stream *s, int err)
{
    switch (err) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        static_refuse(s, 503, "Retry-After: 1\r\n", "too busy to open a file");
        break;
    case ENOSYS:
        static_refuse(s, 500, NULL,
                      "files need openat2, which this kernel or its sandbox does not have");
        break;
    default: /* one text for all: a client need not learn what is there and hidden */
        request_log(s, 404, strerror(err));
        stream_refuse(s, 404, NULL, "there is no such file");
    }
}

static void static_body_release(struct reap *r)
{
    free((char *)r - offsetof(struct body, reap));
}

static void static_body_close(struct body *b)
{
    struct stream *s = b->stream;

    ev_timer_stop(s->worker->loop, &s->timer);
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
    stream_take(s, NULL, NULL);
    b->reap.release = static_body_release;
    worker_reap(s->worker, &b->reap);
}

static void static_body_abort(struct body *b, const char *why)
{
    struct stream *s = b->stream;
    char client[ADDR_TEXT_MAX];

    log_line(&s->worker->log, LOG_INFO, "file cut short", LOG_I("missing", b->left),
             LOG_C("reason", why),
             LOG_C("path", stream_request(s) != NULL ? stream_request(s)->path : NULL),
             LOG_C("client", stream_request(s) != NULL
                                 ? addr_format(&stream_request(s)->client, client)
                                 : NULL));
    static_body_close(b);
    stream_abort(s);
}

/* At most `room` bytes of the file, as many as it said to have; 0 when they are not there any more,
 * -1 with errno. */
static ssize_t body_read(struct body *b, void *p, size_t room)
{
    ssize_t n;

    if (b->left < room)
        room = (size_t)b->left;
    if (b->bytes != NULL) {
        memcpy(p, b->bytes, room);
        b->bytes += room;
        b->left -= room;
        return (ssize_t)room;
    }
    do {
        n = read(b->fd, p, room);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        b->left -= (uint64_t)n;
    return n;
}

static void static_body_send_piece(struct body *b)
{
    uint8_t *p = b->stream->worker->tx;
    ssize_t n = body_read(b, p, PIECE);

    if (n <= 0) {
        static_body_abort(b, n == 0 ? "the file has become shorter" : strerror(errno));
        return;
    }
    stream_write(b->stream, p, (size_t)n);
    static_body_go_on(b);
}

static void body_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct body *b = timer->data;
    (void)loop;
    (void)revents;

    if (stream_queued(b->stream) == 0)
        static_body_send_piece(b);
    else if (stream_delivered(b->stream) == b->delivered)
        static_body_abort(b, "the client takes nothing");
    else
        static_body_go_on(b);
}

/* Decides what comes next; the one place that ends a body well. */
static void static_body_go_on(struct body *b)
{
    struct stream *s = b->stream;
    bool queued = stream_queued(s) > 0;

    if (!queued && b->left == 0) {
        static_body_close(b);
        stream_end(s);
        return;
    }
    ev_timer_stop(s->worker->loop, &s->timer);
    b->delivered = stream_delivered(s);
    ev_timer_set(&s->timer, queued ? b->stall : 0, 0);
    ev_timer_start(s->worker->loop, &s->timer);
}

static void body_on_drained(void *owner)
{
    static_body_go_on(owner);
}

static void body_on_closed(void *owner, int err)
{
    struct body *b = owner;
    struct stream *s = b->stream;
    (void)err;

    static_body_close(b);
    stream_abort(s);
}

static const struct stream_events body_events = {.drained = body_on_drained,
                                                 .closed = body_on_closed};

static void send_from(struct stream *s, struct response *answer, const struct body *from)
{
    struct body *b = malloc(sizeof *b);
    ssize_t n;

    if (b == NULL) {
        if (from->fd >= 0)
            close(from->fd);
        static_refuse_errno(s, ENOMEM);
        return;
    }
    *b = *from;
    b->stream = s;
    b->left = answer->length;
    ev_timer_init(&s->timer, body_on_timer, 0, 0);
    stream_take(s, &body_events, b);
    n = body_read(b, s->worker->tx, PIECE);
    if (n < 0 || (n == 0 && b->left > 0)) {
        int err = n < 0 ? errno : EIO;

        static_body_close(b);
        static_refuse_errno(s, err);
        return;
    }
    answer->body = slice_of((const char *)s->worker->tx, (size_t)n);
    request_log(s, answer->status, NULL);
    stream_respond(s, answer);
    static_body_go_on(b);
}

void static_send(struct stream *s, struct response *answer, int fd, double stall)
{
    send_from(s, answer, &(struct body){.fd = fd, .stall = stall});
}

void static_send_bytes(struct stream *s, struct response *answer, const void *bytes, double stall)
{
    send_from(s, answer, &(struct body){.fd = -1, .bytes = bytes, .stall = stall});
}
