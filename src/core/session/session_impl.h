/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_SESSION_IMPL_H
#define WSLUICE_CORE_SESSION_SESSION_IMPL_H

/*
 * The inside of a session, for core/session/ only:
 *
 *   session.c        its beginning, its state, what the backend tells
 *   session_settle.c what follows from all that, once for each event of the loop
 *   session_end.c    every way it ends
 *   session_in.c     client to backend: what the client tells
 *   session_out.c    backend to client
 *   session_clock.c  idle, stalls of the backend, the wait for an exit status, partial lines
 *   session_extra.c  what a session has only for a time
 *   session_log.c    the line at the end
 *   session_info.c   what an operator sees of it, while it lives
 *
 * Its state is that of its backend, changed by one function only (session_become, in session.c):
 *
 *   OPENING    the backend is being opened
 *   RUNNING    it may send and take; of the echo there is no object
 *   EXITING    it has sent all, and its exit status may follow: worth a short wait
 *   LISTENING  it has sent all, and may still take what the client sends
 *   STOPPING   its input is closed, and it is on its way out (the ladder of a program)
 *   OVER       there is no backend any more
 *   ENDED      nor a client: the log line is written, memory goes at the end of the turn
 *
 * Its client has a state of its own (core/client/client.h); the two meet in session_settle, which
 * everything that the loop calls ends in, and nothing else calls.
 */
#include <sys/queue.h>

#include "base/buf.h"
#include "core/backend.h"
#include "core/client/client.h"
#include "core/observe/record.h"
#include "core/observe/stats.h"
#include "core/session/session.h"
#include "proto/framing.h"

/* A program that closed its output is about to exit, nearly always: so long we wait for its status.
 * Seconds. */
#define SESSION_EXIT_WAIT 1.0

enum session_state {
    SESSION_OPENING,
    SESSION_RUNNING,
    SESSION_EXITING,
    SESSION_LISTENING,
    SESSION_STOPPING,
    SESSION_OVER,
    SESSION_ENDED,
};

/* What the log needs of a backend that is gone. */
struct session_far {
    bool datagrams;
    uint64_t dropped_in, dropped_out; /* datagrams */
    char text[BACKEND_TEXT_MAX];      /* pid or server address */
};

/* What a session has only for a time, or only where its route wants it: while a message of the
 * backend is unfinished, or its queue does not move; once it was held back, something was dropped,
 * or it has ended; and always where its route records. Times are worker time. */
struct session_extra {
    struct session_kept *kept;    /* NULL: it ends with its client; see session_kept.h */
    double asked_at;              /* OPENING: for the backend; worker_clock() */
    struct record *record;        /* NULL: the route does not record */
    struct session_far *far;      /* of the backend, once it is gone; owned */
    int exit_how, exit_number;    /* of its end */
    uint64_t dropped;             /* bytes that found nobody to take them, either way */
    uint64_t stalls[STATS_SIDES]; /* how often the other side was held back for this one */
    struct buf out_message;       /* an unfinished message of the backend */
    double partial_since;         /* it has waited since; 0: not for `partial-lines` */
    double exiting_since;         /* EXITING: since when */
    double stall_since;           /* since when no byte of the backend's queue moved; 0: none */
    uint64_t stall_mark;          /* what it had taken then */
};

struct session {
    struct client_owner owner; /* of the client: first member; also worker, route and id */
    uint8_t state;             /* enum session_state */
    bool echoes : 1;           /* there is no backend, the client turns its messages around */
    bool backend_paused : 1;   /* we do not read it */
    bool channels : 1; /* each message to the client begins with its channel, see proto/channel.h */
    uint8_t opcode_out;
    uint8_t carry_len; /* out: bytes of an unfinished character */
    uint8_t carry[FRAMING_CARRY_MAX];
    struct framing_state out_state;
    union {
        LIST_ENTRY(session) link; /* until ENDED: in the worker's list */
        struct reap reap;         /* afterwards */
    };
    struct client *client;       /* stays to the end, OVER or not; freed with the session */
    struct backend *backend;     /* NULL: OVER, or echoes */
    struct session_extra *extra; /* NULL: nothing is special */
    struct limits_ticket *ticket;
    double opened_at; /* worker time */
};

/* An idle session is as small as it can be: what only some have, or only for a time, belongs into
 * the extras. */
_Static_assert(sizeof(struct session) + sizeof(struct client) <= 208, "sessions have grown");

static inline struct worker *session_worker(const struct session *s)
{
    return s->owner.worker;
}

static inline const struct route *session_route(const struct session *s)
{
    return s->owner.route;
}

static inline const struct settings *session_settings(const struct session *s)
{
    return &s->owner.route->settings;
}

static inline struct session *session_of(struct client_owner *o)
{
    return (struct session *)o;
}

/* How bytes of the backend become messages here: the terminal protocol has its own way. */
static inline const struct framing *session_framing(const struct session *s)
{
    return s->client->tty != CLIENT_TTY_NOT ? &framing_stream : session_route(s)->framing;
}

/* session_extra.c */

extern const struct session_extra session_no_extra;

/* To look at only. */
static inline const struct session_extra *session_extra(const struct session *s)
{
    return s->extra != NULL ? s->extra : &session_no_extra;
}

static inline struct record *session_record(const struct session *s)
{
    return session_extra(s)->record;
}

/* Makes the extra if there is none. NULL without memory. It may be gone after session_trim. */
struct session_extra *session_need_extra(struct session *s);
/* Frees the extra when nothing is in it, and that of the client. */
void session_trim(struct session *s);
/* Frees it, whatever is in it; the recording has been ended. */
void session_drop_extra(struct session *s);
/* Counts; without memory only for the route. */
void session_count_dropped(struct session *s, size_t n);
/* Counts for the session alone what the route has counted already. */
void session_note_dropped(struct session *s, uint64_t n);
void session_count_stall(struct session *s, enum stats_side side);

/* session.c */

#define SESSION_UNIQUE_SIZE 33 /* bytes of a UNIQUE_ID with its NUL */

/* There is no memory for it: 503. */
void session_refuse_no_memory(const struct session_open *o);
void session_make_unique(char out[SESSION_UNIQUE_SIZE]);
/* A session without a client's stream, in no list. NULL without memory. */
struct session *session_make(const struct session_open *o, const char *unique);
void session_enlist(struct session *s);
/* The backend gets to know this request. When there is no memory the session is OVER. */
void session_open_backend(struct session *s, const struct session_open *o, const struct request *r,
                          const char *unique);
/* Page script cannot see an HTTP status, but it sees a close code: this one stands for it. */
uint16_t session_failure_code(int status);
void session_become(struct session *s, enum session_state next);
/* The backend is there, or is not and the client is to hear it by a close code: the 101. */
void session_begin(struct session *s);

/* session_in.c, session_member.c */

extern const struct client_events member_client_events;
extern const struct client_events session_client_events;
/* What the client sends waits for the backend: nothing more of it is read. */
bool session_blocked(const struct session *s);

/* session_settle.c: what has happened is followed to its end: a client that is gone stops the
 * backend, each side is held back for the other, and when both are over the session ends. The last
 * call of everything that the loop calls. */
void session_settle(struct session *s);

/* session_end.c. Each may be called in any state, and does nothing when it is too late for it. */

/* We end it, or the backend did (who): a Close to the client, or before the 101 what its route has
 * for that. The backend is stopped, unless it is the one that ended: that may still take input. */
void session_close(struct session *s, uint16_t code, const char *reason, enum client_closer who);
/* The backend's input is closed, and it is on its way out. */
void session_stop(struct session *s);
/* Lets go of the backend at once: one that is still being opened, or at the very end. */
void session_drop_backend(struct session *s);
/* It has sent all: its tail goes out, then Close 1000. */
void session_backend_done(struct session *s);
/* It has sent all, and its exit status may follow: that is waited for. Nothing it sends counts any
 * more. */
void session_backend_silent(struct session *s);
/* It is over altogether. */
void session_backend_ended(struct session *s, const struct backend_end *end);

/* session_out.c */
void session_output(struct session *s, uint8_t *p, size_t n);
/* The backend has sent its last byte: what is unterminated goes out. False when that is a torn
 * message, which counts as dropped. */
bool session_output_end(struct session *s);
/* Lines of the program's stderr, for the client (`stderr: message`). */
void session_output_stderr(struct session *s, const struct slice *lines, size_t count);
void session_output_partial(struct session *s); /* `partial-lines` ran out */

/* session_clock.c: on the timer of the client's stream, as long as there is one. */
void session_clock_arm(struct session *s);
/* When to look at its deadlines again, worker time; while somebody may be told of it. */
double session_due(const struct session *s);
/* EXITING begins. */
void session_clock_exiting(struct session *s);
/* Keeps the stall clock of the backend: whether anything is queued for it now. */
void session_clock_stall(struct session *s, bool full);
/* The client's timer has fired. */
void session_on_timer(struct client_owner *o);

/* session_log.c */
/* Lines that a backend put into its output as stderr, for our log. */
void session_log_stderr(const struct session *s, const uint8_t *p, size_t n);
/* What the line needs of the request, and the subprotocol: the origin of the client that is to be,
 * to be freed. NULL without memory. */
char *session_log_origin(const struct session_open *o, const char *unique, size_t *size);
/* Keeps what the line needs of the backend, which is about to go. */
void session_log_backend(struct session *s, const struct backend *b);
/* Begins the recording, if the route wants one. */
void session_log_record(struct session *s);
void session_log_end(struct session *s);

/* session_info.c: nobody who walks along the list stands on this one any more. */
void sessions_leave_cursors(struct session *s);

/* Which changes of state there are; for the test of the machines. */
bool session_may_become(enum session_state from, enum session_state to);

#endif
