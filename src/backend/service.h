/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_SERVICE_H
#define WSLUICE_BACKEND_SERVICE_H

/*
 * What tcp, tls, unix and token share: a connection to a service on a stream socket for each
 * session. The two directions end apart: the service's FIN ends what it sends (Close 1000), the
 * client's end becomes a FIN to the service, which may still answer until stop-grace is over,
 * counted from the last byte it took.
 */
#include "core/backend.h"
#include "io/connect.h"
#include "io/io.h"

struct token_target;

/* What a client is told instead of a connection being tried. */
struct service_refusal {
    int status; /* HTTP */
    const char *why;
};

struct service_opening; /* service.c: what is needed until it is connected, */
struct service_ending;  /* and once it was stopped */

struct service {
    struct backend base;
    const struct route *route;
    union {
        struct {
            union {
                struct service_opening *opening; /* NULL once connected */
                struct service_ending *ending;   /* once stopped */
            };
            struct token_target *target; /* token only; owned, from malloc */
        };
        struct reap reap; /* closed */
    };
    struct io io;
    ev_timer last; /* refused: tells it; after stop: looks at it, and ends it. Its data is the
                      worker */
    uint64_t lost; /* bytes from the client that it did not take */
    union addr addr;
    int16_t broken; /* errno of a write that failed; 0: none */
    bool eof : 1, stopped : 1, ended : 1;
};

_Static_assert(sizeof(struct service) <= 232, "a service grows every idle session that has one");

static inline struct service *service_of(struct backend *b)
{
    return (struct service *)b;
}

static inline const struct service *service_of_const(const struct backend *b)
{
    return (const struct service *)b;
}

/* NULL without memory. What comes next is one of the three below. */
struct service *service_new(const struct backend_open *o, const struct backend_ops *ops);
/* Not opened at all; s is gone. NULL. */
struct backend *service_drop(struct service *s);
/* NULL without memory; then s is gone. */
struct backend *service_connect(struct service *s, const struct backend_open *o,
                                const struct connect_spec *spec);
/* No connection is tried. The refusal outlives s. */
struct backend *service_refuse(struct service *s, const struct service_refusal *refusal);

/* Operations of backend_ops. */
void service_write(struct backend *b, const void *p, size_t n);
size_t service_queued(const struct backend *b);
uint64_t service_delivered(const struct backend *b);
uint64_t service_lost(const struct backend *b);
void service_pause(struct backend *b, bool paused);
void service_finish(struct backend *b);
void service_stop(struct backend *b);
void service_close(struct backend *b);
/* The address it is connected to. */
void service_describe(const struct backend *b, char *out, size_t size);

#define SERVICE_OPS                                                                                \
    .framing = &framing_stream, .any_subprotocol = true, .takes_preamble = true, .descriptors = 1, \
    .write = service_write, .queued = service_queued, .delivered = service_delivered,              \
    .lost = service_lost, .pause = service_pause, .finish = service_finish, .stop = service_stop,  \
    .close = service_close

#endif
