/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_WORKER_H
#define WSLUICE_IO_WORKER_H

/*
 * The worker: one event loop and all mutable state under it. There is one per process; to use more
 * cores, run more processes on one port (--reuse-port). Everything below is touched from this loop
 * only. What the layers above keep beside it is in a struct around it (core/core.h).
 */
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include "base/log.h"
#include "io/standstill.h"

struct io;
struct resolver;
struct retry_target;

/* Every read of every io goes through one shared buffer: an idle connection owns none. */
#define WORKER_RX_SIZE (64U * 1024U)

/*
 * Writable bytes in front of received data: room for a frame header and carried characters, and for
 * bytes held back from an earlier read (a control frame cut in two), so that both can be put before
 * the data without moving it.
 */
#define WORKER_HEADROOM 256U

/* Writable bytes behind received data: room for a framing's suffix. */
#define WORKER_TAILROOM 64U

/* Frames made in one wake-up are gathered here and leave in one write. */
#define WORKER_TX_SIZE (128U * 1024U)

/* An object whose memory is released once no function of ours is on the stack. Embed as a member.
 */
struct reap {
    struct reap *next;
    void (*release)(struct reap *r);
};

struct worker {
    struct ev_loop *loop;
    struct log log;
    uint8_t *rx; /* WORKER_HEADROOM + WORKER_RX_SIZE + WORKER_TAILROOM; received data starts at
                    rx + WORKER_HEADROOM */
    uint8_t *tx; /* WORKER_TX_SIZE; used within one callback, empty between two */
    unsigned handshakes; /* TLS handshakes worked on in this turn */
    struct reap *reaped; /* closed objects, released in ev_prepare */
    double clock; /* seconds on the monotonic clock at the start of this turn; the wall clock may
                     jump */
    double now;   /* worker time then: the same without pauses of the process, see standstill.h. All
                     deadlines are of this clock; rates, what is kept for a time, and what is only
                     told are of the other one */
    struct standstill standstill;
    ev_check check;     /* the start of each turn: refreshes now */
    ev_prepare prepare; /* the end of each turn: releases, flushes the log */
    ev_io log_ready;    /* active while the log's descriptor is full */
    ev_timer log_again; /* active while the log has something to do later */
    struct io **paused; /* ios that do not read now, see paused.c */
    uint32_t paused_count, paused_max;
    ev_timer paused_sweep;
    int hangup_epoll; /* epoll of paused sockets: tells of RST and FIN without reading */
    ev_io hangup_ready;
    LIST_HEAD(, retry_target) refusing; /* services that refuse now, see retry.c */
    struct resolver *resolver;          /* made on first use; see resolve.h */
    uint8_t *datagrams; /* where they are received, made on first use; see datagram.h */
    const char
        *dns_servers; /* NULL: the system's; else "ADDR[:PORT],..." for resolve.h, borrowed */
    uint64_t unusual_signals; /* for child_spawn.c: signals not at their defaults, once known */
    bool signals_known;
    bool own_tables; /* for child_spawn.c: see can_own_tables there, once known */
    bool own_tables_known;
    struct rlimit nofile_at_start; /* RLIMIT_NOFILE before the server raised it: what programs get;
                                      all zero: leave it */
    struct rlimit as_at_start;     /* RLIMIT_AS, likewise */
    uint64_t caps; /* capabilities (1 << CAP_*) that this process has, not in effect: raised only
                      around what needs them; see priv.h */
    struct cgroups *cgroups; /* of programs, see io/child/cgroup.h; NULL: they have none */
    struct child *children;  /* every child not yet gone, but these: */
    struct child *stopping;  /* on the ladder; see child.h */
    int low_fds[3];    /* child_start.c: placeholders for descriptors of a program being started; -1
                          where they could not be had */
    ev_timer ladder;   /* child.c's; active until the first of them is due */
    double ladder_due; /* worker time of that */
    bool (*make_room)(struct worker *w); /* see worker_make_room; NULL: there is nobody */
    int client_fds;                      /* see descriptors_of_clients */
    int highest_fd;         /* of those that were ever accepted: the loop's arrays grow with it */
    uint64_t accept_pauses; /* how often a listener had to pause */
    uint64_t out_of_memory; /* see worker_no_memory */
    double longest_turn;    /* seconds; of turns longer than a tick of the kernel's clock. Whoever
                               looks at it sets it back */
};

/* Makes a loop (epoll only, environment ignored, never libev's default loop: that one would reap
 * children). Logs go to w->log, which the caller has initialised. Returns 0, or -1 with errno set.
 */
int worker_init(struct worker *w);

/* Releases the loop and the buffers. Everything that used the loop must have been closed before. */
void worker_release(struct worker *w);

/* Runs until ev_break. */
void worker_run(struct worker *w);

/* Descriptors or memory ran out: connections that have asked for nothing are closed. True when
 * there were any, and what failed is worth a second try. */
bool worker_make_room(struct worker *w, int err);

/* err is a want of descriptors or memory: ours, and it passes. */
bool worker_is_shortage(int err);

/* There is no memory for what: told in the log, and counted. */
void worker_no_memory(struct worker *w, const char *what);

/* There is memory for some more connections, and for what the loop may need for them. */
bool worker_has_memory(const struct worker *w);

/* socket(2), nonblocking and close-on-exec, tried again when there was room to be made. */
int worker_socket(struct worker *w, int family, int type);

/* The monotonic clock now, not at the turn's start; and worker time. */
double worker_clock(void);
double worker_time(const struct worker *w);

/* Puts a closed object on the reap list; r->release is called at the end of the turn. Once per
 * object. */
void worker_reap(struct worker *w, struct reap *r);

#endif
