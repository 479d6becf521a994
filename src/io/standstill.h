/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_STANDSTILL_H
#define WSLUICE_IO_STANDSTILL_H

/*
 * Time in which the process did not run: it was stopped, its container frozen, the machine paused,
 * or a disk did not answer. Clients and backends may have done all they had to meanwhile, and it
 * lies unread in the sockets, or they were stopped as we were. So that time is taken out of worker
 * time, by which all deadlines are judged, and out of libev's timers; and worker time stands still
 * on, for some turns, until what has come meanwhile was looked at once.
 *
 * This happens once for a pause: until STANDSTILL_APART seconds have counted since, others count in
 * full. So a loop that is always late, for whatever reason, slows its deadlines down and does not
 * disable them.
 */
#include <ev.h>
#include <stdbool.h>

struct worker;

/* Seconds that a turn must be late, or last, to be a pause. What is shorter counts. */
#define STANDSTILL_LEAST 0.5
/* Seconds of worker time between two. */
#define STANDSTILL_APART 2.0
/* Turns without time, at most and at least: libev takes 64 descriptors from epoll in the first, and
 * twice as many after each that was full. The first one may find none: a signal woke us up. */
#define STANDSTILL_TURNS 16U
#define STANDSTILL_TURNS_LEAST 4U
#define STANDSTILL_CALM 64U /* events; with fewer in a turn all has been looked at */

struct standstill {
    ev_timer tick;   /* once a second: then we know when a turn should have begun at the latest */
    ev_idle hurry;   /* catching up: the loop does not wait */
    bool woken;      /* libev has told of a wake-up: the loop runs */
    double due;      /* worker time of the next one */
    double slept;    /* monotonic clock when the last turn was over */
    double total;    /* seconds taken out of worker time so far */
    double again;    /* worker time from which on the next pause is one */
    double until;    /* catching up: not beyond this, monotonic clock */
    unsigned turns;  /* catching up: the how manieth; 0: not catching up */
    unsigned events; /* of this turn */
};

/* For worker.c. */
void standstill_init(struct worker *w);
void standstill_release(struct worker *w);
/* The turn is over, at `now` on the monotonic clock (coarse). */
void standstill_turn_over(struct worker *w, double now);

#endif
