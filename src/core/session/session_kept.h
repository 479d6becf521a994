/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_SESSION_KEPT_H
#define WSLUICE_CORE_SESSION_SESSION_KEPT_H

/*
 * What makes a session outlive its connections, for core/session/ only: routes with `session`
 * (docs/sessions.md). Such a session is found by a key, has any number of clients (its members) or
 * none, and keeps its last messages in a ring, from which each member is written to at its own
 * pace.
 *
 *   session_key.c      which session a request means
 *   session_kept.c     finding, beginning, joining; the end
 *   session_hold.c     how much it keeps, and what holds the backend for that
 *   session_place.c    how many there may be
 *   session_member.c   one client of it: its place in what was said, what it is told beside that
 *   session_fan.c      what many are sent is framed once
 *   session_attach.c   what is told of who comes and leaves: counters, log, recording
 *   session_hub.c      framing hub: members have numbers, messages have addressees
 *   session_screen.c   a terminal: its questions, its size, what is shown to who comes
 *   session_sender.c   how much of what a page sent has arrived, from any of its connections
 *   ring.c             the last messages
 *
 * session->client of such a session is no WebSocket: it stands for all clients there were, for the
 * log and the counters, and is never more than OPENING.
 */
#include <sys/queue.h>

/* uthash reports a failed allocation to us instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#include "core/session/ring.h"
#include "core/session/session_impl.h"
#include "core/session/session_info.h"
#include "core/session/session_screen.h"
#include "proto/channel.h"
#include "proto/secret.h"

/* Close codes of our own: what became of an attach, since pages cannot see an HTTP status. */
enum session_code {
    SESSION_NOT_THERE = 4400, /* there is no such session, or it is not yours */
    SESSION_TAKEN_OVER = 4401,
    SESSION_GAP = 4402,    /* messages that are missing are not there any more */
    SESSION_NO_ROOM = 4413 /* max-replay */
};

#define SESSION_TOLD 30.0           /* seconds that an exit is told to a client that comes back */
#define SESSION_RING_MAX (4U << 20) /* bytes a ring may grow to where acknowledgements are late */
#define SESSION_HUB_QUEUE 65536U    /* bytes a hub's program may be behind when somebody comes */
#define SESSION_ADDRESSED 0x80U     /* beside a message's channel in the ring: see session_hub.c */
#define SESSION_FANS 4U             /* forms of the same messages that are remembered at once */
#define SESSION_AT_ONCE 65536U  /* bytes a member is written before its queue is looked at again */
#define SESSION_SENDERS_MAX 64U /* pages of one session whose messages are counted */

/* A page, which counts what it sends over any number of connections (?resume=). */
struct sender {
    LIST_ENTRY(sender) link; /* the last used first */
    struct member *member;   /* NULL: it is not there now */
    uint64_t count;          /* whole messages of it that the backend has, or has queued */
    char id[REQUEST_SENDER_MAX + 1];
};

struct member {
    struct client_owner owner; /* of the client: first member */
    struct session *session;
    union {
        LIST_ENTRY(member) link; /* in members or leaving */
        struct reap reap;        /* afterwards */
    };
    struct limits_ticket *ticket;
    struct sender *sender; /* NULL: its messages are not counted */
    uint64_t number;       /* from 1 on, in this session never used again */
    uint64_t leave_at;     /* it gets messages below this number, then it goes; 0: it stays */
    UT_hash_handle by_number;
    uint64_t next;        /* number of the message it is sent next */
    uint64_t got;         /* number of the last message it is known to have */
    uint64_t asked_total; /* ring.total when it was last asked what it has */
    uint64_t mark_number; /* what it has when its system has acknowledged mark_at; 0: no mark */
    uint64_t mark_at;     /* see stream_delivered */
    double got_moved;     /* worker time; got has not changed since */
    double told_at;       /* worker time; when it was last told what has arrived of it */
    uint64_t told_count;
    uint16_t columns, rows;         /* of its terminal; both 0: it has told none */
    uint64_t typed;                 /* when it typed last, by screen->typed; 0: never */
    uint64_t skipped, skipped_told; /* messages that it missed because it was too slow */
    uint64_t live_from;             /* what was said before it came has lower numbers */
    double opened_at;
    bool attached;         /* in members, not in leaving */
    bool in_table;         /* told apart from what a failed insertion leaves */
    bool announced;        /* a hub's program knows of it: it is in numbers */
    bool gone;             /* its client is OVER, memory goes at the end of the turn */
    bool ready;            /* it has all, and takes more */
    bool is_asked;         /* it is to be told what has arrived, though that is nothing new */
    bool wants_picture;    /* of the terminal; before anything else */
    bool silent;           /* it answers no pings: what it has cannot be known */
    uint8_t how;           /* it has come: enum stats_attach */
    struct client *client; /* in the same block */
};

/* What members were sent, see session_fan.c: the frames of messages from `from` on, up to `until`,
 * for one that is to get those up to `end`. */
struct fan {
    uint64_t from, until, end;
    uint32_t kind; /* in which form */
    uint64_t messages, payload;
    struct stats_compressed packed; /* of these, those that were compressed */
    struct buf frames;
};

struct fans {
    struct fan all[SESSION_FANS];
    unsigned oldest;
};

struct session_kept {
    struct session *session;
    uint8_t key[SECRET_MAC_SIZE];
    char id[REQUEST_OF_SIZE]; /* told to clients that count, to tell it from the next one */
    UT_hash_handle hh;
    bool in_table;
    bool pump_all; /* messages were added, or an end came: all members are looked at */
    bool at_once;  /* the end does not wait for what members are still to get */
    bool told;     /* somebody knows how it ended */
    bool blocked;  /* members are not read, because of the backend */
    uint16_t code; /* of the Close that members get; 0: it goes on */
    uint8_t closer;
    struct ring ring;
    struct fans *fans; /* while all members are looked at, and there are several; else NULL */
    struct kept_screen *screen; /* NULL: no terminal */
    size_t wanted;              /* limit of the ring while max-replay has room */
    size_t accounted;           /* bytes of ring and screen that are in sessions->replay_memory */
    uint64_t fresh;             /* number of the first message that nobody was sent yet */
    LIST_HEAD(, member) members, leaving;
    LIST_HEAD(, sender) senders;
    size_t count, ready, sender_count;
    size_t counted;         /* of count, what is in the route's counters */
    bool counted_detached;  /* it is in them, too */
    char *room;             /* its name; NULL: it is none */
    uint64_t joined;        /* members there ever were */
    struct member *numbers; /* those that a hub's program knows, by number */
    uint64_t newest;        /* the highest of these there ever was */
    uint64_t unknown;       /* lines of a hub's program that nobody understands */
    double unknown_due;     /* worker time; until then they are not logged */
    union addr last;        /* the last client's, as which it counts while nobody is there */
    double detached_since;  /* worker time; 0: somebody is here */
    double due;             /* worker time at which the timer fires; only while it is active */
    ev_timer timer;
};

static inline struct session_kept *session_kept(const struct session *s)
{
    return session_extra(s)->kept;
}

/* Whether it is one visitor's: nothing is lost for it, and it ends by its client's Close. */
static inline bool session_is_private(const struct session *s)
{
    int whose = session_settings(s)->session;

    return whose == SESSION_OF_TOKEN || whose == SESSION_OF_USER;
}

/* ---- session_kept.c */

/* session_start for a request that means a session with this key: joins it, or begins it. */
void session_kept_start(const struct session_open *o, const uint8_t key[SECRET_MAC_SIZE]);
/* Answers with a 101 and a Close, as pages can see no status. */
void session_kept_refuse(const struct session_open *o, uint16_t code, const char *why);
/* The backend is there: those who wait get their 101. */
void session_kept_begin(struct session *s);
/* It could not be opened: those who wait are told. */
void session_kept_failed(struct session *s, int status, const char *why);
/* A message for the clients; p has RING_PLACE writable bytes in front. */
void session_kept_say(struct session *s, uint8_t opcode, uint8_t channel, const uint8_t *p,
                      size_t n);
/* A message in two parts: text for the clients, and a tail that tells the server whom it is for. */
void session_kept_add(struct session *s, uint8_t opcode, uint8_t channel, struct slice text,
                      struct slice tail);
/* Messages still count: nobody has ended it. */
bool session_kept_listens(const struct session *s);
/* Every member gets this Close; unless the backend ended it (who), at once. */
void session_kept_close(struct session *s, uint16_t code, const char *reason,
                        enum client_closer who);
/* Nobody finds it any more. */
void session_kept_hide(struct session *s);
/* As session_settle; false when it has come to its end, which is the caller's. */
bool session_kept_settle(struct session *s);
/* Drops all members, now; nobody is told any more how it ended. */
void session_kept_drop(struct session *s);
void session_kept_release(struct session *s);
/* Those of its clients that are meant leave; a private session ends with its own, also when it
 * was the last one. How many it were. */
size_t session_kept_expel(struct session *s, session_meant *is_meant, const void *data,
                          const char *reason);

/* NULL: none has this key. */
struct session_kept *session_kept_find(const struct worker *w, const uint8_t key[SECRET_MAC_SIZE]);
/* A newcomer takes the place of who is there. */
bool session_takes_over(const struct session *s);

/* ---- session_hold.c */

/* How much the ring may take now; and what it does take, of max-replay. */
void hold_limit(struct session_kept *k);
void hold_account(struct session_kept *k);
/* Where all together are over max-replay, what nobody needs any more goes. */
void hold_trim(struct session *s);
/* From where on messages must stay: what nobody was sent yet; of a private session what a client is
 * not known to have, unless it is a terminal that nobody looks at. */
uint64_t hold_from(const struct session *s);
void hold_backend(struct session *s);
/* The backend's queue holds back all who write to it. */
void hold_members(struct session *s);
/* When to look again at a client that holds the backend by what it has not got yet, worker time. */
double hold_due(const struct session *s);

/* ---- session_place.c */

/* A session that nobody was at counts no more by itself. */
void place_give_back(struct session *s);
/* Who was let in for it is sent away after all: what it gave for that it gets back. */
void place_keep(struct session *s, struct session_open *o);

/* ---- session_member.c */

/* A member that is not in any list, its client OPENING. NULL without memory. */
struct member *member_new(struct session *s, const struct session_open *o, const char *unique);
void member_join(struct member *m, uint64_t next);
/* The 101, the first message, all that is there. */
void member_begin(struct member *m);
/* Sends what it may have; keeps `ready`. */
void member_pump(struct member *m);
/* It is to go: a Close, and it counts for nothing any more. */
void member_leave(struct member *m, uint16_t code, const char *why);
/* When its client is OVER: takes it out, and frees it at the end of the turn. */
void member_check(struct member *m);
/* A message of the session; p has CLIENT_PLACE writable bytes in front. */
void member_send(struct member *m, uint64_t number, uint8_t *p, size_t n);
void member_tell_skipped(struct member *m);
/* What it is not known to have is more than half of the ring; false when it says nothing of that.
 */
bool member_is_behind(const struct member *m);
/* Whether the backend has to wait until this member has acknowledged more, looked at anew. */
bool member_holds(struct member *m);

/* A message in the form m gets it: what is written before its payload, where the ring has place for
 * that. */
uint8_t *member_form(const struct member *m, const struct ring_message *msg, uint8_t *opcode,
                     size_t *n);

/* ---- session_fan.c */

/* Sends m what was framed for another, or frames it for the next ones; false when nothing was sent:
 * m is to be sent its messages one by one. end: number of the first message it is not to get. */
bool fan_send(struct member *m, uint64_t end);
void fans_release(struct fans *f);

/* ---- session_attach.c */

/* Brings the route's gauges up to date. */
void attach_count(struct session *s);
/* Somebody was sent away with this Close; WS_CODE_INTERNAL: for want of memory. */
void attach_refused(const struct route *route, uint16_t code);
/* m is there: counted, logged, marked in the recording. */
void attach_joined(struct member *m);
/* It counts for nothing any more; then that its client is OVER. */
void attach_gone(const struct member *m);
void attach_left(const struct member *m);
/* It was sent the message with this number; missed so many; has to go because what it was to get
 * is not there. */
void attach_sent(struct member *m, uint64_t number, size_t n);
void attach_skipped(struct member *m, uint64_t n);
void attach_gap(const struct member *m);

/* ---- session_hub.c; with other framings they do nothing, and say so by false */

/* The program is told that m is there, which it must be before anything m says. False without
 * memory: m has to go. */
bool hub_came(struct member *m);
void hub_left(struct member *m);
/* What m says goes to the program in its name. */
bool hub_input(struct member *m, const uint8_t *p, size_t n);
/* The program is so far behind that nobody else can be announced. */
bool hub_is_full(const struct session *s);
/* A line of the program, to whom it is for. */
bool hub_say(struct session *s, uint8_t opcode, uint8_t channel, const uint8_t *p, size_t n);
/* Whether a message is for m; takes off what only the server reads. True with other framings. */
bool hub_is_for(const struct member *m, struct ring_message *msg);

/* ---- session_sender.c */

/* The sender of that name, made if there is none; NULL without memory. The one that was unused for
 * longest makes room. */
struct sender *sender_find(struct session_kept *k, const char *id);
void senders_release(struct session_kept *k);

#endif
