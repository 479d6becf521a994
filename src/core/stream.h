/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_STREAM_H
#define WSLUICE_CORE_STREAM_H

/*
 * What a request turned into, as handlers and sessions see it: something to answer, or after the
 * 101 a byte stream to the client. Made and freed by a front; a handler takes it (stream_take), and
 * lets go with stream_end or stream_abort.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slice.h"
#include "io/worker.h"

struct stream;
struct request;

struct stream_events {
    /* After stream_upgrade: bytes of the client; p as in io_events.data. */
    void (*data)(void *owner, uint8_t *p, size_t n);
    /* What was queued has left. */
    void (*drained)(void *owner);
    /* The client is gone (err 0: it ended its side without a word). Last event; the owner still
     * calls stream_abort. */
    void (*closed)(void *owner, int err);
    /* NULL, or: the client has ended its side before it was answered, and may still wait for that;
     * told within a second, once. */
    void (*hung_up)(void *owner);
};

/* An answer other than a 101. A body longer than what is given here follows by stream_write. */
struct response {
    int status;
    const char *content_type; /* NULL: text/plain */
    const char *fields;       /* further header lines, each with CR LF; NULL: none */
    const char
        *more_fields; /* likewise, the operator's; at most ROUTE_HEADERS_MAX bytes; or NULL */
    struct slice body;
    uint64_t length;     /* of the whole body; 0: body.len */
    bool unknown_length; /* the body follows by stream_write, to stream_end; none of it is here */
    bool head_only;      /* HEAD: send no body */
    bool close;          /* end the connection afterwards */
};

struct stream_ops {
    struct request *(*request)(const struct stream *s);
    void (*respond)(struct stream *s, const struct response *r);
    void (*upgrade)(struct stream *s, const char *accept, struct slice subprotocol,
                    const char *extensions);
    void (*write)(struct stream *s, const void *p, size_t n);
    size_t (*queued)(const struct stream *s);
    void (*pause)(struct stream *s, bool paused);
    void (*stay_live)(struct stream *s);
    uint64_t (*delivered)(const struct stream *s);
    size_t (*pending)(const struct stream *s);
    double (*last_rx)(const struct stream *s);
    double (*last_tx)(const struct stream *s);
    bool (*peer_finished)(const struct stream *s);
    void (*end)(struct stream *s);
    void (*abort)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
    struct worker *worker;
    const struct stream_events *events; /* the handler's; NULL: nobody listens */
    /* The owner's, from taking the stream until it lets go: one timer serves a connection in turn.
     * Its data is the owner. */
    ev_timer timer;
};

/* An owner begins to listen; NULL, NULL: it has let go, and stopped the timer. */
static inline void stream_take(struct stream *s, const struct stream_events *events, void *owner)
{
    s->events = events;
    s->timer.data = owner;
}

static inline void *stream_owner(const struct stream *s)
{
    return s->timer.data;
}

/* NULL once released, and when it was not understood. */
static inline struct request *stream_request(const struct stream *s)
{
    return s->ops->request(s);
}

/* Sends an answer (its first part). Nothing calls back from inside this or any other call here. */
static inline void stream_respond(struct stream *s, const struct response *r)
{
    s->ops->respond(s, r);
}

/* Sends the 101. extensions: the value of Sec-WebSocket-Extensions, "" for none. The request is
 * gone afterwards; data events come from the loop, first of what was sent behind the head. */
static inline void stream_upgrade(struct stream *s, const char *accept, struct slice subprotocol,
                                  const char *extensions)
{
    s->ops->upgrade(s, accept, subprotocol, extensions);
}

static inline void stream_write(struct stream *s, const void *p, size_t n)
{
    s->ops->write(s, p, n);
}

/* Bytes that wait for the client. */
static inline size_t stream_queued(const struct stream *s)
{
    return s->ops->queued(s);
}

/* Stops or goes on reading what the client sends. */
static inline void stream_pause(struct stream *s, bool paused)
{
    s->ops->pause(s, paused);
}

/* What is written is soon too old to be of use: the system is to keep little of it, so that a
 * client that is behind shows in stream_queued. */
static inline void stream_stay_live(struct stream *s)
{
    s->ops->stay_live(s);
}

/* Bytes the client's system has acknowledged, as far as the system tells: grows while the client is
 * alive and reads. */
static inline uint64_t stream_delivered(const struct stream *s)
{
    return s->ops->delivered(s);
}

/* Bytes on their way: queued here, or in the system and not acknowledged. */
static inline size_t stream_pending(const struct stream *s)
{
    return s->ops->pending(s);
}

/* When the last byte came from the client, and left for it; worker time. */
static inline double stream_last_rx(const struct stream *s)
{
    return s->ops->last_rx(s);
}

static inline double stream_last_tx(const struct stream *s)
{
    return s->ops->last_tx(s);
}

/* The client has ended its side, though unread data may stand before that. */
static inline bool stream_peer_finished(const struct stream *s)
{
    return s->ops->peer_finished(s);
}

/* Done: what is queued leaves, then the connection serves the next request or ends politely. No
 * event follows. */
static inline void stream_end(struct stream *s)
{
    s->ops->end(s);
}

/* Drops the connection now. No event follows. */
static inline void stream_abort(struct stream *s)
{
    s->ops->abort(s);
}

/* A whole plain-text refusal and its end: one line that says why. */
void stream_refuse(struct stream *s, int status, const char *fields, const char *why);

#endif
