/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_BACKEND_H
#define WSLUICE_CORE_BACKEND_H

/*
 * The far side of a session. A kind is one file src/backend/be_NAME.c that ends in one const struct
 * backend_ops, plus one row in src/server/kinds.c. Everything specific to a kind hides behind this.
 *
 * Events, always from the loop: first `opened` or `failed`; then any number of data, lines and
 * drained, at most one eof; last `ended`. After failed or ended nothing comes; the owner calls
 * close in every case, once, whenever it is done with the backend.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/option.h"
#include "core/request.h"
#include "io/worker.h"
#include "proto/secret.h"

/* How a backend's life ended. */
struct backend_end {
    enum { BACKEND_CLEAN, BACKEND_EXITED, BACKEND_SIGNALED, BACKEND_BROKE } how;
    int number;      /* exit status or signal */
    const char *why; /* BROKE: in words; else NULL, or what made it end; valid during the call */
};

#define BACKEND_STDERR_PIECE 4096U /* longer lines are cut */
#define BACKEND_LINES 64U

struct backend_events {
    void (*opened)(void *owner);
    /* Could not be opened: the HTTP status (400, 403, 502, 503, 504) and why, valid during the
     * call. */
    void (*failed)(void *owner, int status, const char *why);
    void (*data)(void *owner, uint8_t *p, size_t n); /* p as in io_events.data */
    /* Up to BACKEND_LINES lines of its stderr, each at most BACKEND_STDERR_PIECE bytes, without
     * newline; only where the route's stderr_mode is STDERR_MESSAGE. */
    void (*lines)(void *owner, const struct slice *lines, size_t count);
    void (*eof)(void *owner);     /* no data follows; writing may still work */
    void (*drained)(void *owner); /* what was queued has left */
    void (*ended)(void *owner, const struct backend_end *end);
};

/* What a kind gets to open with. Valid during open only, but for the route, which stays as long as
 * the session. */
struct backend_open {
    struct worker *worker;
    const struct route *route;
    const struct request *request;
    struct slice subprotocol; /* chosen; empty: none */
    uint64_t id;              /* of the session */
    bool size_follows;        /* of a terminal: the client will tell it in its first message */
    const char *unique;       /* random, for UNIQUE_ID */
    const struct backend_events *events;
    void *owner;
};

struct backend {
    const struct backend_ops *ops;
    const struct backend_events *events;
    void *owner;
};

#define BACKEND_TEXT_MAX 128 /* see describe */

struct backend_ops {
    const char *name;
    const char *prefix;            /* of addresses: "tcp://" */
    const struct framing *framing; /* default */
    bool loopback;    /* what the client sends comes back to it: the session does that. Nothing from
                         `open` on is there, and no object */
    bool takes_token; /* ?token= is a secret for it: request->token has it */
    bool any_subprotocol; /* without a list of subprotocols the client's first offer is accepted */
    bool reports_exit;    /* `ended` tells an exit status: after eof it is worth a short wait */
    bool has_stderr;      /* beside its output: `lines` may come */
    bool over_tls;        /* sessions use the route's tls */
    bool is_terminal;     /* has a size; its bytes are what a terminal shows; clients may speak the
                             terminal protocol, `tty` */
    bool takes_preamble;  /* a service on a stream, that can be told things first */
    bool runs_programs;   /* with the route's attributes */
    unsigned descriptors; /* how many one session may use, the client's own not counted */
    const char *scheme_help; /* for messages: "tcp://HOST:PORT" */

    /* Rows of its own for routes in a configuration file, IN_TARGET. `key` names the one that
     * chooses this kind; NULL: `to` with the prefix does. */
    const struct option_row *rows;
    size_t rows_count;
    const char *key;

    /* Reads what stands behind the prefix into t, with memory of the arena. NULL, or a constant
     * text that says what is wrong. */
    const char *(*parse)(struct target *t, const char *rest, struct arena *arena);
    /* Judges the whole route, its target read. NULL function: nothing to judge. NULL, or what is
     * wrong, in memory of the arena or constant. What it makes beside that is the config's, by
     * config_own. */
    const char *(*prepare)(struct route *r, struct arena *arena);
    /* Asked for each WebSocket, behind the route's `auth` and before `open`. NULL: nobody is. */
    const struct auth_ops *guard;
    /* Looks at the world before the server starts (is the program there?). NULL function: nothing
     * to look at. Returns NULL, or a constant text. */
    const char *(*check)(struct target *t, struct arena *arena);
    /* NULL without memory; everything else that fails is told by the `failed` event. */
    struct backend *(*open)(const struct backend_open *o);
    void (*write)(struct backend *b, const void *p, size_t n);
    size_t (*queued)(const struct backend *b);
    uint64_t (*delivered)(
        const struct backend *b); /* bytes taken by the far side, for telling progress */
    /* Bytes that could not be delivered, if it is closed now: what a stream has queued counts. */
    uint64_t (*lost)(const struct backend *b);
    /* Datagrams that could not be delivered: from the client, to the client. NULL: no datagrams. */
    void (*dropped)(const struct backend *b, uint64_t *in, uint64_t *out);
    void (*pause)(struct backend *b, bool paused);
    /* Of a terminal; 0: that one stays. The first call starts what `size_follows` holds back. NULL
     * where is_terminal is false. */
    void (*resize)(struct backend *b, uint16_t columns, uint16_t rows);
    /* To a program and its group, at once. NULL: there is none, or a terminal makes signals. */
    void (*signal)(struct backend *b, int number);
    /* End of input, after what is queued: stdin closed, FIN. */
    void (*finish)(struct backend *b);
    /* The session is over: `ended` comes within the graces of the route. */
    void (*stop)(struct backend *b);
    /* Frees; no event follows; a program goes on along its ladder alone. */
    void (*close)(struct backend *b);
    /* It was chosen by this token; mac: its digest under the worker's key. NULL function: there are
     * no tokens. */
    bool (*has_token)(const struct backend *b, const uint8_t mac[SECRET_MAC_SIZE]);
    /* For the log: "pid 123", "127.0.0.1:80". size is BACKEND_TEXT_MAX. */
    void (*describe)(const struct backend *b, char *out, size_t size);
};

#endif
