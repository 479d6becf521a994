/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_HTTP_H1_H
#define WSLUICE_HTTP_H1_H

/* The inside of an HTTP/1.1 connection, for front_h1.c and h1_*.c only. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/admission/admission.h"
#include "core/admission/waiting.h"
#include "core/front.h"
#include "core/request.h"
#include "core/stream.h"
#include "io/io.h"
#include "proto/http1.h"
#include "proto/proxyhdr.h"

/*
 *   HEAD ---> HANDLING ---> UPGRADED ---> ENDING ---> CLOSED
 *    ^            |                          ^
 *    +- ANSWERED -+----------- (close) ------+
 *
 * ANSWERED waits until the answer has left before the next head is read: a client that asks and
 * does not read must not fill the queue.
 */
enum h1_state { H1_HEAD, H1_HANDLING, H1_ANSWERED, H1_UPGRADED, H1_ENDING, H1_CLOSED };

/* What is needed only while a request is read and answered. */
struct h1_request {
    struct http1_parser parser;
    struct buf bytes; /* the head, and what came behind it */
    struct request request;
    bool handed;             /* the request is whole, and the handlers' to see */
    struct proxyhdr proxied; /* into h1_asker.proxied */
    struct io_link early;    /* from the 101 on, see h1_early.c */
    const struct io_link *behind;
};

/* Who asks, and by what door: what is known of a connection until it is a WebSocket. */
struct h1_asker {
    union addr client;
    uint16_t redirect; /* plain GET is sent to https:// at this port; 0: not */
    uint8_t admission; /* enum admission_verdict, of the connection */
    bool admin;
    bool tls;           /* our own */
    bool secure;        /* a proxy says that the client came by TLS */
    bool unnamed;       /* a proxy speaks for somebody it does not name */
    struct buf proxied; /* the part of a PROXY header that has arrived; later all of it, if it says
                           more than addresses */
    const struct io_link *behind; /* a PROXY header: what the connection goes on with */
    struct h1_request *req;       /* NULL: nothing is asked */
    struct waiting_place waiting; /* HEAD: has to go when there is no room */
};

struct h1 {
    union {
        struct front_conn conn;
        struct reap reap; /* CLOSED */
    };
    struct stream stream;
    struct io io;
    struct h1_asker *asker; /* HEAD, HANDLING, ANSWERED; else NULL */
    uint8_t state;          /* enum h1_state */
    bool keep_alive : 1;    /* the answer under way leaves the connection open */
    bool chunked : 1;       /* the answer under way is of unknown length */
    bool in_chunks : 1;     /* and its first chunk has left */
    bool answered : 1;      /* ANSWERED, ENDING: an answer is leaving, not a WebSocket's end */
    uint16_t quiet;         /* ANSWERED, ENDING: looks at the queue since it moved */
    uint32_t discarded;     /* ENDING: bytes of input thrown away */
};

/* One for each session, idle or not; and malloc adds 8 bytes to make it a multiple of 16. What is
 * needed only until the 101 belongs into the asker, or the request. */
_Static_assert(sizeof(struct h1) <= 200, "a connection grows every idle session");

/* front_h1.c: the connection, and the heads that are read from it. */
void h1_close(struct h1 *h);
void h1_await_head(struct h1 *h);
void h1_wait(struct h1 *h);                   /* or again, now that its client is known */
void h1_request_free(struct h1_request *req); /* NULL is fine */
/* Nothing is asked for now; or ever again. */
void h1_drop_request(struct h1 *h);
void h1_drop_asker(struct h1 *h);

/* h1_stream.c: what handlers and sessions do with it. */
extern const struct stream_ops h1_stream_ops;
/* h1_early.c: bytes behind the head are the first that the stream reads. Takes the request over, of
 * which nothing else is needed any more. */
void h1_replay(struct h1 *h, struct h1_request *req);

/* h1_stream.c: an event of io, told on to whoever has the stream. */
void h1_on_drained(struct io *io);

/* h1_ending.c: an answer or a WebSocket has been written. Is the connection asked again (answered),
 * or does it end politely (linger)? */
void h1_answered(struct h1 *h);
void h1_linger(struct h1 *h);
/* The timer of the stream, while that is nobody's. 0 seconds: none. */
void h1_set_deadline(struct h1 *h, double seconds,
                     void (*on_deadline)(struct ev_loop *loop, ev_timer *timer, int revents));

/* h1_proxied.c: a PROXY header comes before everything else. False when this peer may not speak for
 * others. */
bool h1_expect_proxied(struct h1 *h);

/* h1_admission.c: may this connection come in? UNKNOWN: that is asked of the client behind it. */
enum admission_verdict h1_admission_accept(struct worker *w, const struct front_accepted *a);
/* A refused connection is worth reading a request from, to answer that. */
bool h1_admission_answers(enum admission_verdict v, bool tls);
/* A PROXY header has named the client. False: close. */
bool h1_admission_proxied(struct h1 *h);
enum admission_verdict h1_admission_request(const struct h1 *h, const struct request *r);

static inline struct h1 *h1_of(const struct stream *s)
{
    return (struct h1 *)((uintptr_t)s - offsetof(struct h1, stream));
}

static inline struct h1 *h1_of_io(struct io *io)
{
    return (struct h1 *)((char *)io - offsetof(struct h1, io));
}

/* h1_answer.c: heads and bodies of answers. The first two are operations of the stream. */
void h1_respond(struct stream *s, const struct response *r);
void h1_write(struct stream *s, const void *p, size_t n);
void h1_last_chunk(struct h1 *h);
void h1_write_101(struct h1 *h, const char *accept, struct slice subprotocol,
                  const char *extensions);

/* h1_redirect.c: true when the request was answered with the place of its page. */
bool h1_redirect(struct h1 *h);

#endif
