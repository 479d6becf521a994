/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_CLIENT_CLIENT_H
#define WSLUICE_CORE_CLIENT_CLIENT_H

/*
 * A client: one WebSocket, from the moment its handshake has been judged right. It knows frames,
 * UTF-8, compression, the terminal protocol, the heartbeat and the rates of what it sends. It does
 * not know what its messages are for: whoever owns it (a session) is told their bytes, framed for
 * the backend, and gives it messages to send.
 *
 * Its state is one of four, changed by one function only (client_become, in client.c):
 *
 *     OPENING ---> OPEN ---> CLOSING ---> OVER
 *        |           |                     ^
 *        +-----------+---------------------+
 *
 *     OPENING   its request waits, nothing was answered yet
 *     OPEN      frames both ways
 *     CLOSING   we have sent a Close and wait for the client's
 *     OVER      it has no stream any more
 *
 * Calls up (client_events) come from the loop only. A call down (everything else here) never calls
 * up; whoever makes it looks at the state afterwards.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "core/config.h"
#include "core/observe/stats.h"
#include "core/stream.h"
#include "proto/deflate_offer.h"
#include "proto/handshake.h"
#include "proto/ws.h"

#define CLIENT_RTTS 3 /* round trips kept for the median */

enum client_state { CLIENT_OPENING, CLIENT_OPEN, CLIENT_CLOSING, CLIENT_OVER };
enum client_closer { CLOSED_BY_NOBODY, CLOSED_BY_CLIENT, CLOSED_BY_BACKEND, CLOSED_BY_SERVER };
/* Whether it speaks the terminal protocol (proto/tty.h), and has said its first message. */
enum client_tty { CLIENT_TTY_NOT, CLIENT_TTY_BEGINS, CLIENT_TTY_RUNS };

struct client_owner;
struct client_deflate;
struct client_throttle;

struct client_events {
    /* Bytes for the backend: whole messages, or pieces of them where the framing does not assemble,
     * with what the framing puts around them. */
    void (*input)(struct client_owner *o, const uint8_t *p, size_t n);
    /* A message, or a piece of one, before framing: for recordings. last: its last piece. */
    void (*message)(struct client_owner *o, bool text, bool last, const uint8_t *p, size_t n);
    /* The client has ended in order by its Close. */
    void (*farewell)(struct client_owner *o);
    /* It has sent the empty message that ends the backend's input (`eof-on-empty`). */
    void (*finish)(struct client_owner *o);
    /* Its terminal has another size; 0: that one stays as it is. */
    void (*resize)(struct client_owner *o, uint16_t columns, uint16_t rows);
    /* It sends this signal to the program. False: its route does not allow that. */
    bool (*signal)(struct client_owner *o, int number);
    /* A whole message of a client with channels is for the backend, and has been handed on. NULL:
     * nobody counts. */
    void (*counted)(struct client_owner *o);
    /* It says that it has got so many messages. NULL: nobody counts. */
    void (*got)(struct client_owner *o, uint64_t number);
    /* A pong that the heartbeat did not ask for. NULL: nobody asks. */
    void (*pong)(struct client_owner *o, const uint8_t *payload, size_t n);
    /* Whether what it sends has to wait for the backend. Asked at any time. */
    bool (*blocked)(const struct client_owner *o);
    /* Its timer has fired: see client_arm. */
    void (*timer)(struct client_owner *o);
    /* The last call of everything that the loop tells a client. */
    void (*settle)(struct client_owner *o);
};

/* What an owner begins with. */
struct client_owner {
    const struct client_events *events;
    struct worker *worker;
    const struct route *route;
    uint64_t id;      /* of the session */
    double last_data; /* worker time; when the last data came or went, from anybody */
};

/* What a client has only for a time, or only where its route wants it: until the 101; while
 * something is unfinished; once something was dropped or it has ended; and always where rates are
 * limited or compression was agreed on. All others have none of it. Times are worker time. */
struct client_extra {
    /* until the 101 */
    char accept[HANDSHAKE_ACCEPT_SIZE];
    struct slice subprotocol; /* into origin */

    struct client_throttle *throttle; /* NULL: no rates are limited; see client_throttle.c */
    struct client_deflate *deflate;   /* NULL: no compression was agreed on */

    struct buf held;       /* received and not looked at: the beginning of a frame cut in two by a
                              read, or what was deferred */
    struct buf in_message; /* an unfinished client message, for framings that assemble */
    struct buf late_pong;  /* the answer to the last ping, while the client does not read */

    /* see client_clock.c */
    double ping_at;       /* when the unanswered ping was sent; 0: none */
    double pong_due;      /* when its pong is overdue */
    uint64_t ping_mark;   /* what the client's system had acknowledged when pong_due was set */
    double tty_due;       /* the first message of a terminal client; 0: it came, or none must */
    double closing_since; /* CLOSING: since when there was no progress */
    double stall_since;   /* since when no byte of its queue moved; 0: no queue */
    uint64_t stall_mark;  /* what was delivered then */

    char *reason;     /* of the close, in words; owned */
    uint64_t dropped; /* bytes it sent that found nobody to take them */
};

struct client {
    enum client_state state : 2;
    enum client_closer closer : 2; /* who ended it first */
    enum client_tty tty : 2;
    bool was_open : 1;      /* the 101 was sent */
    bool input_open : 1;    /* what it sends still counts */
    bool echoes : 1;        /* there is no backend, its messages turn around here */
    bool paused : 1;        /* it is not read */
    bool deferred : 1;      /* extra->held is the rest of a chunk, which has to wait: client_in.c */
    bool blocked : 1;       /* and that because of the backend */
    bool channels : 1;      /* its messages begin with a byte that says what they are for */
    bool asked_pause : 1;   /* of a terminal client: it wants no output for now */
    bool answered : 1;      /* its Close has come */
    bool assembles : 1;     /* what it sends is handed on message by message, in any framing */
    unsigned rtt_count : 3; /* of rtt; see client_clock.c */
    uint8_t tty_command;    /* first byte of the unfinished message; 0: none yet */
    struct utf8_state in_utf8;
    uint8_t channel; /* with channels: that of the unfinished message and 1; 0: none yet */
    uint16_t code;   /* of the first Close, sent or received; WS_CODE_ABNORMAL without */
    uint16_t rtt[CLIENT_RTTS]; /* ms, the last ones: the upper halves of floats */
    struct ws_reader reader;
    struct client_owner *owner;
    struct stream *stream;      /* NULL when OVER */
    struct client_extra *extra; /* NULL: nothing is special; never before the 101 */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    /* Client address, path, subprotocol, user, the verdict on its certificate and that one's
     * subject, then names and values of further fields up to an empty name: strings. */
    char origin[];
};

/* ---- beginning; client.c ---- */

struct client_open {
    struct client_owner *owner;
    struct stream *stream;
    const char *accept; /* Sec-WebSocket-Accept */
    struct slice subprotocol;
    struct deflate_params deflate;
    const struct framing *framing; /* that of the route, or that of the terminal protocol */
    bool speaks_tty;
    bool speaks_channels;
    bool echoes;
    bool assembles;
};

/* Makes a client of zeroed memory whose origin is written; takes the stream over. -1 without
 * memory: the stream is still the caller's, and nothing is left. */
int client_init(struct client *c, const struct client_open *o);
/* Frees what it holds, not itself; OVER. */
void client_release(struct client *c);
/* OPENING to OPEN: the 101. */
void client_begin(struct client *c);
/* OPENING to OVER: an HTTP status instead. */
void client_refuse(struct client *c, int status, const char *why);

/* ---- ending; client_end.c. Each may be called in any state, and does nothing when it is too late
 * for it. */

/* OPEN to CLOSING: a Close, then the client's is awaited for close-timeout. */
void client_close(struct client *c, uint16_t code, const char *reason, enum client_closer who);
/* A Close for want of memory, which is told and counted. */
void client_no_memory(struct client *c);
/* To OVER, without a Close: the connection is gone or must go. */
void client_lose(struct client *c, const char *why);
/* OPEN to OVER: a Close is left behind what is queued, nothing is waited for. */
void client_abandon(struct client *c, uint16_t code, const char *why);

/* The first word on why it ended stays. Without memory there is none. */
void client_note_reason(struct client *c, const char *reason);

/* ---- sending; client_out.c. Small messages (many short lines of one read) are gathered in
 * worker->tx and leave in one write. */

/* Writable bytes that each message needs in front: a frame header, and one byte more. */
#define CLIENT_PLACE (WS_SERVER_HEADER_MAX + 1)

/* One pass: how much of worker->tx is filled. Begins as {.client = c}; ends with client_flush. */
struct client_burst {
    struct client *client;
    size_t gathered;
};

/* A whole message. p has CLIENT_PLACE writable bytes in front, which nobody needs any more. Text
 * has been judged. only: nothing else of this pass will follow. Counted as `counted` bytes. */
void client_send(struct client_burst *burst, uint8_t opcode, uint8_t *p, size_t n, bool only);
void client_flush(struct client_burst *burst);
/* Several may be sent the same bytes: whether this one's messages look like those of any other with
 * such a window; 0: it does not compress. False when each of its messages depends on those before.
 */
bool client_frames_alike(const struct client *c, uint8_t *bits);
/* A whole message as the client gets it, behind what is in out; p as in client_send. What was
 * compressed is added to *packed. False without memory. */
bool client_frame(struct client *c, uint8_t opcode, const uint8_t *p, size_t n, struct buf *out,
                  struct stats_compressed *packed);
/* Sends what client_frame made of so many messages with so much payload, for this one or another,
 * and counts it. */
void client_send_frames(struct client *c, const struct buf *frames, uint64_t messages,
                        uint64_t payload, const struct stats_compressed *packed);
/* A ping of its owner's; the answer is told as `pong`. */
void client_ping(struct client *c, const void *payload, size_t n);
/* A message counts with so many bytes, whatever becomes of them on the wire. */
void client_count_out(struct client *c, size_t n);

/* ---- back-pressure ---- */

/* Nothing that it sends counts any more. */
static inline void client_stop_input(struct client *c)
{
    c->input_open = false;
}

/* Bytes that wait for it; 0 when OVER. */
size_t client_queued(const struct client *c);
/* Whether the backend has to wait for it. */
bool client_holds(const struct client *c);
/* Applies what the backend allows now: reads the client, or not. True when it has just become
 * blocked. */
bool client_settle(struct client *c, bool blocked);

/* ---- time; client_clock.c. A client's stream has one timer, and the owner shares it. ---- */

#define CLIENT_NEVER 1e9 /* worker time */

static inline double client_earlier(double a, double b)
{
    return a < b ? a : b;
}

/* The timer fires in at most `seconds`; when OPEN or CLOSING. */
void client_hurry(struct client *c, double seconds);
/* The timer fires at `due`, or never; replaces what was set. */
void client_arm(struct client *c, double due);
/* When its own deadlines want to be looked at, worker time. */
double client_due(const struct client *c);
/* By the timer, first: what was deferred and may go on now does. */
void client_go_on(struct client *c);
/* By the timer, then: its deadlines. */
void client_look(struct client *c);
/* It has ended its side, though unread data may stand before that. */
bool client_hung_up(const struct client *c);
/* Milliseconds, median of the last CLIENT_RTTS; negative when none was measured. */
double client_rtt(const struct client *c);

/* ---- what it has only for a time; client_extra.c ---- */

extern const struct client_extra client_no_extra;

/* To look at only. */
static inline const struct client_extra *client_extra(const struct client *c)
{
    return c->extra != NULL ? c->extra : &client_no_extra;
}

/* Frees the extra when nothing is in it. */
void client_trim(struct client *c);

/* ---- what it is ---- */

const char *client_path(const struct client *c); /* in origin, like the next ones */
const char *client_subprotocol(const struct client *c);
const char *client_user(const struct client *c);
/* The value of Sec-WebSocket-Extensions; "": none. */
const char *client_compression(const struct client *c, char out[DEFLATE_ANSWER_MAX]);
void client_compressed(const struct client *c, struct stats_compressed *in,
                       struct stats_compressed *out);
/* It waits because it is over a rate, and how often it did. */
bool client_throttled(const struct client *c);
uint32_t client_throttled_count(const struct client *c);

/* Which changes of state there are; for the test of the machines. */
bool client_may_become(enum client_state from, enum client_state to);

#endif
