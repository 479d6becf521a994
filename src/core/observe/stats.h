/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_OBSERVE_STATS_H
#define WSLUICE_CORE_OBSERVE_STATS_H

/*
 * What is counted, for the metrics and for `ctl`. One struct per worker. Counters only grow, and
 * live as long as the worker: a reload that takes a route away leaves its counters where they are.
 *
 * What happens once a session goes through a function; what happens with every message is a plain
 * increment of a field of the route's struct stats_route. Nothing here allocates while they are
 * counted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "io/worker.h"

/* Routes counted apart. The sessions of all further ones are counted together, under "(other)". */
#define STATS_ROUTES_MAX 256
#define STATS_PATH_MAX 256 /* bytes of a path that is counted apart */

/* Observations in fixed buckets; bounds in seconds, in stats.c. */
#define STATS_BUCKETS_MAX 14

struct stats_scale {
    size_t count; /* of bounds; one more bucket is for what is above the last */
    double bounds[STATS_BUCKETS_MAX];
};

struct stats_histogram {
    uint64_t buckets[STATS_BUCKETS_MAX + 1]; /* each by itself, not cumulative */
    double sum;                              /* of the values, seconds */
};

extern const struct stats_scale stats_scale_short; /* round trips, opening, loop lag */
extern const struct stats_scale stats_scale_long;  /* how long sessions last */

void stats_observe(struct stats_histogram *h, const struct stats_scale *scale, double seconds);
uint64_t stats_observed(const struct stats_histogram *h);

/* Close codes by what they say. */
enum stats_class {
    STATS_NORMAL,      /* 1000 */
    STATS_GOING_AWAY,  /* 1001 */
    STATS_PROTOCOL,    /* 1002, 1003, 1007, 1009, 1010: broken or unacceptable messages */
    STATS_NO_STATUS,   /* 1005: a Close without a code */
    STATS_ABNORMAL,    /* 1006: no Close at all */
    STATS_POLICY,      /* 1008: refused or kicked */
    STATS_ERROR,       /* 1011 to 1014: our side could not go on */
    STATS_EXIT,        /* 4001 to 4255 by the backend: an exit status */
    STATS_SIGNAL,      /* 4301 to 4364 by the backend: ended by a signal */
    STATS_APPLICATION, /* any other, of the application */
    STATS_CLASSES
};
extern const char *const stats_class_names[STATS_CLASSES];

/* Who ended a session first; as enum session_closer without its "nobody". */
enum stats_by { STATS_BY_CLIENT, STATS_BY_BACKEND, STATS_BY_SERVER, STATS_BYS };
extern const char *const stats_by_names[STATS_BYS];

enum stats_side { STATS_CLIENT, STATS_BACKEND, STATS_SIDES };
extern const char *const stats_side_names[STATS_SIDES];

/* Why a datagram was dropped. */
enum stats_drop {
    STATS_DROP_SIZE,   /* longer than a datagram may be, or than max-message */
    STATS_DROP_QUEUE,  /* its side did not keep up: one of too many, or too old */
    STATS_DROP_RATE,   /* over udp-rate */
    STATS_DROP_SYSTEM, /* the system did not send it */
    STATS_DROPS
};
extern const char *const stats_drop_names[STATS_DROPS];

/* What became of a client of a route whose sessions outlive their connections. */
enum stats_attach {
    STATS_ATTACH_NEW,       /* it began a session */
    STATS_ATTACH_JOINED,    /* it came to one */
    STATS_ATTACH_TOOK_OVER, /* the same, in the place of another */
    STATS_ATTACH_NOT_THERE, /* 4400 */
    STATS_ATTACH_GAP,       /* 4402 */
    STATS_ATTACH_NO_ROOM,   /* 4413 */
    STATS_ATTACH_BUSY,      /* 1013: a hub's program is behind */
    STATS_ATTACH_FAILED,    /* there was no memory for it */
    STATS_ATTACHES
};
extern const char *const stats_attach_names[STATS_ATTACHES];

struct stats_kept {
    bool keeps;        /* sessions of this route outlive their connections */
    uint64_t clients;  /* of its sessions, now */
    uint64_t detached; /* sessions without any, now */
    uint64_t attaches[STATS_ATTACHES];
    uint64_t replayed; /* payload bytes of messages that were sent to who came later than they */
    uint64_t gaps;     /* clients sent away because what they were to get was not there any more */
    uint64_t skipped;  /* messages that slow clients were not sent */
};

/* Messages that were compressed: bytes of payload before and after. */
struct stats_compressed {
    uint64_t plain, wire;
};

/* One route with one kind of backend. */
struct stats_route {
    char *path;          /* UTF-8 */
    const char *backend; /* kind: "exec" */
    bool datagrams;      /* that is what its messages are */
    uint64_t opened;     /* sessions that got their 101 */
    uint64_t closed[STATS_CLASSES][STATS_BYS];
    uint64_t active;                                      /* now */
    uint64_t not_opened;                                  /* backends that could not be opened */
    uint64_t messages_in;                                 /* "in" is from the client */
    uint64_t messages_out;                                /* complete ones */
    uint64_t bytes_in;                                    /* payload */
    uint64_t bytes_out;                                   /* payload */
    uint64_t datagrams_dropped[STATS_SIDES][STATS_DROPS]; /* on their way to that side */
    struct stats_compressed compressed_in, compressed_out;
    uint64_t dropped;             /* bytes that found nobody to take them */
    uint64_t stalls[STATS_SIDES]; /* how often the other side was held back for this one */
    uint64_t rate_holds;          /* how often a client had to wait because it was over a rate */
    uint64_t pings;
    uint64_t lost; /* to the heartbeat */
    struct stats_kept kept;
    struct stats_histogram duration; /* of sessions, at their end */
    struct stats_histogram opening;  /* from the wish for a backend to having it */
    struct stats_histogram round_trip;
};

#define STATS_STATUSES 20
#define STATS_TURN_WINDOW 60 /* seconds the longest turn is remembered */

struct stats {
    struct stats_route *routes[STATS_ROUTES_MAX + 1];
    size_t route_count;
    uint64_t refused[STATS_STATUSES + 1]; /* by stats_statuses; the last is any other */
    uint64_t reloads_ok, reloads_failed;
    bool reload_well;   /* the last one, or the start */
    double reload_time; /* of the last good one, or of the start; Unix time */
    double start_time;  /* Unix time */
    double start_clock; /* worker time */
    struct stats_histogram lag;
    float turns[STATS_TURN_WINDOW]; /* the longest turn of each of the last seconds */
    uint32_t seconds;               /* how many were looked at */
    double due;                     /* worker time at which the next second is over */
    ev_timer second;
};

extern const int stats_statuses[STATS_STATUSES];

/* NULL without memory. */
struct stats *stats_new(void);
void stats_free(struct worker *w);

/* Begins to watch the loop: once a second it measures how late that second is. Costs a wake-up a
 * second, so only who shows it asks for it. A
 * second call changes nothing. */
void stats_watch_loop(struct worker *w);
/* Seconds; the longest turn of the last minute. */
double stats_longest_turn(const struct worker *w);

/* Gives each route with a backend its counters, before a session of this configuration begins.
 * Those of a route with the same path and kind go on. */
void stats_apply(struct worker *w, struct config *c);

void stats_opened(struct stats_route *r);
/* code: of the first Close; by: who ended it first. */
void stats_closed(struct stats_route *r, uint16_t code, enum stats_by by, double seconds);

/* A request was answered with an error status. Not for those of the admin door. */
void stats_refused(struct worker *w, int status);

/* The configuration was read again. */
void stats_reloaded(struct worker *w, bool ok);

#endif
