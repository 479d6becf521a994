/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_FRONT_H1_H
#define WSLUICE_FRONT_H1_H

/* The inside of an HTTP/1.1 connection, for front_h1.c and h1_*.c only. */
#include <stddef.h>

#include "core/front.h"
#include "core/gate.h"
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
    struct proxyhdr proxied; /* into h1.proxied */
};

struct h1 {
    union {
        struct front_conn conn;
        struct reap reap; /* CLOSED */
    };
    uint32_t magic;
    uint8_t state; /* enum h1_state */
    bool admin;
    bool tls;
    bool secure;       /* a proxy says that the client came by TLS */
    bool unnamed;      /* a proxy speaks for somebody it does not name */
    bool keep_alive;   /* the answer under way leaves the connection open */
    bool chunked;      /* the answer under way is of unknown length */
    bool in_chunks;    /* and its first chunk has left */
    uint8_t gate;      /* enum gate_verdict, of the connection */
    uint16_t redirect; /* plain GET is sent to https:// at this port; 0: not */
    struct stream stream;
    struct io io;
    const struct io_transport *behind; /* a PROXY header, which comes first: the real one */
    struct buf proxied; /* the part of a PROXY header that has arrived; until the 101 all of it,
                           if it says more than addresses */
    struct h1_request *req;
    float patience;     /* ANSWERED, ENDING: seconds without progress that are granted */
    float quiet;        /* how many have passed */
    uint64_t marked;    /* ENDING: delivered when the deadline was set */
    uint32_t discarded; /* ENDING: input thrown away */
    union addr client;
};

/* h1_proxied.c: a PROXY header comes before everything else. False when this peer may not speak for
 * others. */
bool h1_expect_proxied(struct h1 *h);

/* h1_gate.c: may this connection come in? UNKNOWN: that is asked of the client behind it. */
enum gate_verdict h1_gate_accept(struct worker *w, const struct front_accepted *a);
/* A refused connection is worth reading a request from, to answer that. */
bool h1_gate_answers(enum gate_verdict v, bool tls);
/* A PROXY header has named the client. False: close. */
bool h1_gate_proxied(struct h1 *h);
enum gate_verdict h1_gate_request(const struct h1 *h, const struct request *r);

static inline struct h1 *h1_of(struct stream *s)
{
    return (struct h1 *)((char *)s - offsetof(struct h1, stream));
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
