/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_IMPL_H
#define WSLUICE_CORE_SESSION_IMPL_H

/*
 * The inside of a session, for session*.c only:
 *
 *   session.c        its beginning, and what happens when
 *   session_end.c    every way it ends
 *   session_in.c     client to backend: the walk over what was received
 *   session_take.c   client to backend: what becomes of the data in it
 *   session_in.h     what these two share
 *   session_out.c    backend to client
 *   session_tty.c    orders of terminal clients
 *   session_deflate.c  compression, both ways
 *   session_rate.c   how much a client may send in a time
 *   session_time.c   heartbeat, idle, stalls: one timer
 *   session_parts.c  what a session has only for a time
 *   session_log.c    the line at the end
 *   session_info.c   what an operator sees of it, while it lives
 *
 * The two sides end apart from each other. `phase` is the client's side:
 *
 *   OPENING  the backend is being opened, no 101 yet
 *   OPEN     frames both ways
 *   CLOSING  we have sent a Close and wait for the client's
 *   OVER     no stream any more
 *
 * and `backend` is NULL once that side is over, and always for loopback. When both are, the session
 * ends.
 */
#include "base/buf.h"
#include "base/utf8.h"
#include "core/backend.h"
#include "core/record.h"
#include "core/session.h"
#include "core/stats.h"
#include "proto/deflate_offer.h"
#include "proto/framing.h"
#include "proto/handshake.h"
#include "proto/ws.h"

#define SESSION_MAGIC 0x5e5510f1U
/* A program that closed its output is about to exit, nearly always: so long we wait for its status.
 * Seconds. */
#define SESSION_EXIT_WAIT 1.0
#define SESSION_RTTS 5 /* round trips kept for the median */
/* The byte that messages to the client begin with under `stderr: message`, as Kubernetes has it. */
#define SESSION_STDOUT 0x01
#define SESSION_STDERR 0x02

enum session_phase { SESSION_OPENING, SESSION_OPEN, SESSION_CLOSING, SESSION_OVER };
/* The client speaks the terminal protocol (proto/tty.h), and has said its first message. */
enum session_tty { SESSION_TTY_NOT, SESSION_TTY_BEGINS, SESSION_TTY_RUNS };
enum session_closer { CLOSED_BY_NOBODY, CLOSED_BY_CLIENT, CLOSED_BY_BACKEND, CLOSED_BY_SERVER };

/* What the log needs of a backend that is gone. */
struct session_far {
    bool datagrams;
    uint64_t dropped_in, dropped_out; /* datagrams */
    char text[BACKEND_TEXT_MAX];      /* pid or server address */
};

/* What a session has until the 101; later from when one of its sides has ended or did not keep up,
 * or something was dropped; and always where its route records, limits rates or compresses. All
 * others have none of it. */
struct session_extra {
    char accept[HANDSHAKE_ACCEPT_SIZE]; /* until the 101 */
    struct slice subprotocol;           /* likewise; into origin_text */
    double asked_at;                    /* likewise: for the backend; worker_clock() */
    struct record *record;              /* NULL: the route does not record */
    struct session_rate *rate;          /* NULL: no rates are limited; see session_rate.c */
    struct session_deflate *deflate;    /* NULL: no compression was agreed on */
    char *reason;                       /* of the close, in words; owned */
    struct session_far *far;            /* of the backend, once it is gone; owned */
    int exit_how, exit_number;          /* of its end */
    uint64_t dropped;                   /* bytes that found nobody to take them */
    uint64_t stalls[STATS_SIDES];       /* how often the other side was held back for this one */
};

/* What a session has while something is unfinished: a message that has come in part, an answer that
 * is awaited, a queue that does not move. Times are worker time. */
struct session_busy {
    /* client to backend */
    struct buf held;       /* received and not looked at: the beginning of a frame cut in two by a
                              read, or what was put off */
    struct buf in_message; /* an unfinished client message, for framings that assemble */
    struct buf late_pong;  /* the answer to the last ping, while the client does not read */

    /* backend to client */
    struct buf out_message; /* an unfinished message of the backend */
    double partial_since;   /* it has waited since; 0: not for `partial-lines` */

    /* see session_time.c */
    double ping_at;       /* when the unanswered ping was sent; 0: none */
    double pong_due;      /* when its pong is overdue */
    uint64_t ping_mark;   /* what the client's system had acknowledged when pong_due was set */
    double waiting_since; /* CLOSING, or exit_awaited: since when; 0: neither */
    double client_stall, backend_stall; /* since when no byte of its queue moved; 0: no queue */
    uint64_t client_mark, backend_mark; /* what was delivered then */
};

struct session {
    uint32_t magic;
    uint8_t phase;            /* enum session_phase */
    uint8_t closer;           /* enum session_closer: who ended it first */
    bool was_open : 1;        /* the 101 was sent */
    bool input_open : 1;      /* what the client sends still goes to the backend */
    bool loopback : 1;        /* echo: there is no backend, messages turn around here */
    bool backend_stopped : 1; /* its ladder was started */
    bool backend_paused : 1;  /* we do not read it */
    bool client_paused : 1;
    bool put_off : 1;  /* busy->held is the rest of a chunk, which has to wait: see session_in.c */
    bool far_held : 1; /* and that because of the far side */
    bool exit_awaited : 1; /* backend eof came; its exit status may follow */
    bool channels : 1;     /* each message to the client begins with SESSION_STDOUT or _STDERR */
    bool tty_held : 1;     /* the client has asked for a pause */
    uint8_t tty;           /* enum session_tty */
    uint8_t tty_command;   /* in: first byte of the unfinished message; 0: none yet */
    uint8_t opcode_out;
    uint8_t carry_len; /* out: bytes of an unfinished character */
    uint8_t carry[FRAMING_CARRY_MAX];
    struct utf8_state in_utf8;
    uint16_t code;     /* of the first Close, sent or received; WS_CODE_ABNORMAL without one */
    uint8_t rtt_count; /* of rtt; see session_time.c */
    uint16_t rtt[SESSION_RTTS]; /* ms, the last ones: the upper halves of floats */
    struct framing_state out_state;
    struct ws_reader reader;

    struct worker *worker;
    union {
        struct {
            struct session *next, **prev; /* while it lives: in the worker's list */
        };
        struct reap reap; /* afterwards */
    };
    const struct route *route;
    struct stream *stream;       /* NULL when OVER */
    struct backend *backend;     /* NULL when that side is over */
    struct session_busy *busy;   /* NULL: nothing is unfinished */
    struct session_extra *extra; /* NULL: nothing is special; never before the 101 */
    struct limits_ticket *ticket;
    uint64_t id;
    double opened_at, last_data; /* worker time */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    /* Client address, path, subprotocol, user, the verdict on its certificate and that one's
     * subject, then names and values of further fields up to an empty name: strings. */
    char origin_text[];
};

/* An idle session is as small as it can be: what only some have, or only for a time, belongs into
 * the parts above. */
_Static_assert(sizeof(struct session) <= 192, "struct session has grown");

/* session_parts.c */

/* Makes the part if there is none. NULL without memory. It may be gone after session_trim, and so
 * after session_balance. */
struct session_extra *session_extra(struct session *s);
struct session_busy *session_busy(struct session *s);
/* Frees either part when nothing is in it. */
void session_trim(struct session *s);
/* Counts; without memory only for the route. */
void session_count_dropped(struct session *s, size_t n);
void session_count_stall(struct session *s, enum stats_side side);
/* Frees both, whatever is in them; recording, rates and compression have been ended. */
void session_drop_parts(struct session *s);

extern const struct session_busy session_not_busy;
extern const struct session_extra session_not_extra;

/* To look only. */
static inline const struct session_extra *session_has_extra(const struct session *s)
{
    return s->extra != NULL ? s->extra : &session_not_extra;
}

static inline const struct session_busy *session_is_busy(const struct session *s)
{
    return s->busy != NULL ? s->busy : &session_not_busy;
}

static inline struct record *session_record(const struct session *s)
{
    return session_has_extra(s)->record;
}

static inline struct session_rate *session_rate(const struct session *s)
{
    return session_has_extra(s)->rate;
}

static inline struct session_deflate *session_deflate(const struct session *s)
{
    return session_has_extra(s)->deflate;
}

/* How messages become bytes here: the terminal protocol has its own way. */
static inline const struct framing *session_framing(const struct session *s)
{
    return s->tty != SESSION_TTY_NOT ? &framing_stream : s->route->framing;
}

/* session.c */

/* The 101. */
void session_begin(struct session *s);
/* Applies backpressure: after anything was written to either side. */
void session_balance(struct session *s);
/* What the client sent waits for the far side: nothing more of it is read. */
bool session_blocked(const struct session *s);

/* session_end.c. Each may be called in any phase, and does nothing when it is too late for it. */

/* We end it: a Close, then the client's is awaited for close-timeout. The backend is finished and
 * stopped, unless it is the backend that ended (who): that may still take input. */
void session_close(struct session *s, uint16_t code, const char *reason, enum session_closer who);
/* The client broke the rules: Close, nothing more is read. */
void session_fail(struct session *s, uint16_t code, const char *reason);
/* The client's Close came and is answered with the same code. */
void session_client_close(struct session *s, uint16_t code, const uint8_t *reason, size_t len);
/* The connection is gone or must go, without a Close. */
void session_lost(struct session *s, const char *why);
/* One side took nothing for stall-timeout: a Close is left behind what is queued, nothing is waited
 * for. */
void session_stalled(struct session *s, uint16_t code, const char *why);
/* Before the 101: an HTTP status instead. */
void session_refuse(struct session *s, int status, const char *why);
/* Lets go of the backend at once: one that is still being opened, or at the very end. */
void session_drop_backend(struct session *s);
/* After either side may have gone: are both? Then the session ends. */
void session_check_over(struct session *s);
/* The backend has sent all: its tail goes out, then Close 1000. */
void session_backend_done(struct session *s);
/* The same, but its exit status may follow and is worth a short wait. Nothing it sends counts any
 * more. */
void session_backend_silent(struct session *s);
/* It is over altogether. */
void session_backend_ended(struct session *s, const struct backend_end *end);

/* session_in.c */
void session_input(struct session *s, uint8_t *p, size_t n);
/* The client has ended in order: the backend is told, where the framing has a word for it. Before
 * its input is closed. */
void session_input_farewell(struct session *s);
/* Something was put off, and its time has come: its turn by the rates, and nothing waits for the
 * far side. */
bool session_input_ready(const struct session *s);
/* Then: looks at it, from the loop. */
void session_input_go_on(struct session *s);
/* The client is gone: what was put off goes nowhere. */
void session_input_drop(struct session *s);
void session_flush_pong(struct session *s);

/* session_out.c */
void session_output(struct session *s, uint8_t *p, size_t n);
/* The backend has sent its last byte: what is unterminated goes out. False when that is a torn
 * message, which counts as dropped. */
bool session_output_end(struct session *s);
/* Lines of the program's stderr, for the client (`stderr: message`). */
void session_output_stderr(struct session *s, const struct slice *lines, size_t count);
void session_output_partial(struct session *s); /* `partial-lines` ran out */
void session_send_control(struct session *s, uint8_t opcode, const void *p, size_t n);

/* session_tty.c: a message of a terminal client that is not input. NULL, or why the session is to
 * end. */
const char *session_tty_order(struct session *s, uint8_t command, struct slice rest);

/* session_deflate.c; what is not said to be right for any session wants one with
 * session_deflate(s). */

/* For any session: does nothing when nothing was agreed on. False without memory. */
bool session_deflate_start(struct session *s, const struct deflate_params *params);
void session_deflate_release(struct session *s); /* for any */
/* For any: the value of Sec-WebSocket-Extensions; "" none. */
const char *session_deflate_answer(const struct session *s, char out[DEFLATE_ANSWER_MAX]);
void session_deflate_counts(const struct session *s, struct stats_compressed *in,
                            struct stats_compressed *out); /* for any */

enum session_deflate_step {
    DEFLATED_PIECE,   /* piece is set, and more of this frame follows */
    DEFLATED_LAST,    /* piece is set, and this frame is used up */
    DEFLATED_NOTHING, /* this frame is used up and gave nothing to hand on */
    DEFLATED_FAULT,   /* the session fails with piece->code and piece->why */
};
/* Inflates on in f, whose payload is unmasked and moves on. The piece is a frame that nothing
 * masks; its payload is writable, with WORKER_HEADROOM, until the next call. */
enum session_deflate_step session_deflate_next(struct session *s, struct ws_frame *f,
                                               struct ws_frame *piece);
/* A new turn: the session may inflate its share again. For any. */
void session_deflate_turn(struct session *s);
/* The share is used up, or something waits for the far side. */
bool session_deflate_must_wait(const struct session *s);
/* What is put off begins with the unmasked rest of f. */
void session_deflate_leave(struct session *s, const struct ws_frame *f);
/* Whether it does; then *f is that frame again, but for where its payload is. For any. */
bool session_deflate_return(struct session *s, struct ws_frame *f);
/* Makes the frame for a message; 0: it goes as it is. *frame is valid until the next call. For any.
 */
size_t session_deflate_pack(struct session *s, uint8_t opcode, const uint8_t *p, size_t n,
                            const uint8_t **frame);
/* session_rate.c */
enum session_rated { RATE_PASS, RATE_HELD, RATE_OVER };

/* -1 without memory. Rates that are not limited cost nothing. */
int session_rate_start(struct session *s);
void session_rate_release(struct session *s);
/* May this piece of a message pass? It wants session_rate(s). HELD: it took its place, is to be put
 * off and found again first of all; session_rate_until says for how long. OVER: the client is to be
 * closed.
 */
enum session_rated session_rate_take(struct session *s, const struct ws_frame *f);
/* The rest is for any session. */

/* A piece was HELD and has not come back. */
bool session_rate_holds(const struct session *s);
double session_rate_until(const struct session *s); /* worker time; 0: nothing is HELD */
/* What was HELD comes back now: it passes. Or it never will. */
void session_rate_return(struct session *s);
void session_rate_drop(struct session *s);
/* Nothing is limited any more, because the end is near: what is HELD comes back soon. */
void session_rate_lift(struct session *s);
/* By the timer, while something is HELD: when to look next, worker time; and the look whether the
 * client is still there, which may end the session. */
double session_rate_due(const struct session *s);
void session_rate_look(struct session *s);
uint32_t session_rate_count(const struct session *s); /* how often something was HELD */

/* session_time.c */
#define SESSION_NEVER 1e9 /* worker time */

void session_time_start(struct session *s);
void session_time_stop(struct session *s);
/* CLOSING, or exit_awaited, begins; the timer looks in at most so many seconds. */
void session_time_wait(struct session *s, double seconds);
/* The phase has become CLOSING. */
void session_time_closing(struct session *s);
/* Keeps the stall clocks: which queues are above zero now. */
void session_time_stalls(struct session *s, bool client_full, bool backend_full);
/* Something now has a deadline at most `seconds` from now. */
void session_time_hurry(struct session *s, double seconds);
void session_time_pong(struct session *s, const uint8_t *payload, size_t n);
/* Milliseconds, median of the last SESSION_RTTS; negative when none was measured. */
double session_time_rtt(const struct session *s);

/* session_log.c */
/* Lines that a backend put into its output as stderr, for our log. */
void session_log_stderr(const struct session *s, const uint8_t *p, size_t n);
/* What the line needs of the request, and the subprotocol: the origin_text of the session that is
 * to be, to be freed. NULL without memory. */
char *session_log_origin(const struct session_open *o, const char *unique, size_t *size);
const char *session_log_subprotocol(const struct session *s);
const char *session_log_user(const struct session *s);
/* Keeps what the line needs of the backend, which is about to go. */
void session_log_backend(struct session *s, const struct backend *b);
/* Begins the recording, if the route wants one. */
void session_log_record(struct session *s);
void session_log_end(struct session *s);

/* session_info.c: nobody who walks along the list stands on this one any more. */
void sessions_leave_cursors(struct session *s);

#endif
