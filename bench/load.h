/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

/*
 * The load generator: one thread, bare epoll, and nothing that it receives goes unchecked. All its
 * state hangs off struct load. Times are nanoseconds of CLOCK_MONOTONIC.
 *
 *   load.c         options are read, then: open, warm up, wait for the word, run, report, close
 *   load_args.c    options
 *   load_conn.c    a connection: connect, read, check, write
 *   load_tls.c     the client's side of TLS 1.3, always with a full handshake
 *   load_ws.c      the client's side of RFC 6455, as far as a load generator needs it
 *   load_hist.c    percentiles
 *   load_report.c  JSON on stdout
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "load_hist.h"
#include "pattern.h"

#define LOAD_HEAD_MAX 4096    /* response head of the handshake */
#define LOAD_BUFFER (1 << 18) /* shared receive buffer; send buffer unless a message is larger */

enum load_mode {
    LOAD_ECHO,  /* send, and check that the same comes back, depth messages in flight */
    LOAD_FLOOD, /* receive the messages 0, 1, 2, ... of stream 0 and check them */
    LOAD_STORM, /* connect, one message, close, again */
    LOAD_IDLE,  /* hold the connections, answer pings */
};

struct load_options {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    const char *host; /* for the Host field */
    const char *path;
    const char *subprotocol; /* NULL: none asked for */
    const char
        *expect; /* storm: the server speaks first, and this it says; NULL: send and get it back */
    enum load_mode mode;
    enum pattern_kind kind;
    bool tcp;       /* plain TCP: no handshake, no frames */
    bool tls;       /* below either */
    bool handshake; /* storm: with tls, its handshake and no more */
    bool pad;  /* with tcp: messages longer by the header of a masked frame, for equal bytes on the
                  wire */
    bool text; /* text frames */
    bool borders;     /* each message received must be exactly one message of the pattern */
    bool newline;     /* the pattern's messages end in a newline (part of size) */
    bool sync;        /* say {"event":"start"} and wait for a line on stdin; say {"event":"end"} */
    bool touch;       /* idle: one echo on each connection first */
    unsigned conns;   /* connections */
    unsigned depth;   /* messages in flight on each */
    unsigned sources; /* spread over that many source addresses 127.0.0.1, .2, ...; 0: leave it to
                         the system */
    size_t size;      /* bytes of payload */
    uint64_t count;   /* messages in all; 0: by time */
    double seconds;
    double warmup; /* seconds */
    double rate;   /* open loop: messages a second in all; 0: closed loop */
};

enum load_state {
    LOAD_UNUSED,
    LOAD_CONNECTING,
    LOAD_TLS,       /* TLS handshake */
    LOAD_HANDSHAKE, /* WebSocket handshake */
    LOAD_OPEN,
    LOAD_CLOSING
};

/* Reader of the server's frames, between two chunks. */
struct load_ws {
    uint64_t left;    /* payload still to come of the current frame */
    uint64_t first;   /* messages of the pattern that were done when the current message began */
    uint8_t head[14]; /* bytes of an unfinished header */
    uint8_t have;
    uint8_t opcode; /* of the current frame */
    bool in_frame;
    bool fin;
    bool in_message;
    uint8_t control_len;
    uint8_t control[125];
};

struct load_conn {
    int fd;
    enum load_state state;
    struct ssl_st *ssl; /* owned; NULL without TLS */
    bool want_out;
    uint32_t id;
    uint64_t opened; /* when connect was called */
    uint64_t due;    /* open loop: messages that should have been sent by now */
    uint64_t sent;
    uint64_t done;    /* messages that came back whole */
    uint64_t base;    /* done when the connection began */
    size_t off;       /* bytes seen of message number done */
    uint64_t *stamps; /* owned; start of message i at [i & load.ring] */
    uint8_t *tail;    /* owned; what the socket would not take yet */
    size_t tail_off;
    size_t tail_len;
    char *head; /* owned while in the handshake */
    size_t head_len;
    struct load_ws ws;
};

struct load {
    struct load_options opt;
    struct load_conn *conns; /* opt.conns of them */
    struct ssl_ctx_st *tls;  /* owned; NULL without TLS */
    int epoll;
    bool sending;      /* may new messages (storm: connections) start? */
    bool closing;      /* the end: losses do not count any more */
    char error[256];   /* the first thing that went wrong; empty: nothing */
    uint32_t opening;  /* connections between connect and open */
    uint32_t open;     /* connections in LOAD_OPEN */
    uint32_t alive;    /* connections with a descriptor */
    uint64_t inflight; /* messages sent and not yet back (storm: connections begun and not over) */
    uint64_t quota;    /* messages that may still be started; UINT64_MAX: no such limit */
    uint64_t ring;     /* size of stamps less one, a power of two less one */
    uint64_t slot;     /* open loop: number of the next message */
    uint64_t start;    /* of the window */
    uint64_t now;      /* when the bytes being looked at were read */
    uint64_t key;      /* where the masking keys come from */
    struct pattern out;
    struct pattern want;
    uint8_t *rx; /* LOAD_BUFFER bytes, shared */
    uint8_t *tx;
    size_t tx_cap;
    size_t frame_max; /* bytes of a message on the wire at most */
    /* of the window */
    uint64_t messages;
    uint64_t bytes; /* payload received */
    uint64_t pings; /* answered */
    struct load_hist latency;
    struct load_hist connect;
};

/* load.c */
uint64_t load_now(void);

/* Keeps the first message as the reason why this run is void. */
void load_fail(struct load *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* load_args.c: fills *o; on a wrong option prints why and exits 2. */
void load_args_parse(struct load_options *o, int argc, char **argv);

/* load_conn.c */
bool load_conn_open(struct load *l,
                    struct load_conn *c); /* begins a connection; false: failed, load_fail told */
void load_conn_event(struct load *l, struct load_conn *c, uint32_t events);
void load_conn_pump(struct load *l, struct load_conn *c);   /* starts as many messages as may be */
void load_conn_finish(struct load *l, struct load_conn *c); /* begins the close */
void load_conn_drop(struct load *l, struct load_conn *c);   /* closes the descriptor now */
/* The server ended it: that is an error unless it was time for it. Drops. */
void load_conn_over(struct load *l, struct load_conn *c, const char *what);
void load_conn_put(struct load *l, struct load_conn *c, const uint8_t *p, size_t n);

/* Checks n bytes received; counts the messages they complete. */
void load_conn_check(struct load *l, struct load_conn *c, const uint8_t *p, size_t n);

/*
 * load_tls.c. shake, recv and send are like recv(2) and send(2): 0 is the end, -1 with errno EAGAIN
 * means later; what TLS itself dislikes was told by load_fail, too.
 */
bool load_tls_init(struct load *l);
void load_tls_free(struct load *l);
bool load_tls_start(struct load *l, struct load_conn *c);    /* false: load_fail told */
ssize_t load_tls_shake(struct load *l, struct load_conn *c); /* 1: done */
void load_tls_close(struct load_conn *c);                    /* says close_notify */
ssize_t load_tls_recv(struct load *l, struct load_conn *c, uint8_t *p, size_t n);
ssize_t load_tls_send(struct load *l, struct load_conn *c, const uint8_t *p, size_t n);
bool load_tls_pending(const struct load_conn *c); /* bytes that epoll knows nothing of? */
void load_tls_drop(struct load_conn *c);

/* load_ws.c */
size_t load_ws_frame_max(size_t size); /* of a masked frame with that payload */
size_t load_ws_request(const struct load *l, char *out, size_t room);
/* Looks at the response head (NUL behind it); false: load_fail told. */
bool load_ws_response(struct load *l, const char *head);
/* Writes a masked frame of n bytes of payload at out, returns its length. */
size_t load_ws_frame(struct load *l, uint8_t *out, uint8_t opcode, const uint8_t *p, size_t n);
void load_ws_feed(struct load *l, struct load_conn *c, uint8_t *p, size_t n);

/* load_report.c: cpu_user and cpu_system are seconds of this process within the window. */
void load_report_event(const char *name);
void load_report_result(const struct load *l, double seconds, double cpu_user, double cpu_system);

#endif
