/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_REAPER_H
#define WSLUICE_SERVER_REAPER_H

/*
 * Where we are process 1 (of a container), or a subreaper, orphans become our children: daemons
 * that a program has started and that have left its group (setsid). When they end, somebody has to
 * ask for their status, or they stay as zombies and use up numbers. What we have started ourselves
 * is never asked for here: its status belongs to who watches it.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "io/worker.h"

struct reaper {
    struct worker *worker;
    const pid_t *spared; /* a child of ours that is no program: the successor; 0: none */
    ev_timer look;
};

/* Whether orphans come to us. */
bool reaper_is_needed(void);

/* spared stays the owner's. */
void reaper_init(struct reaper *r, struct worker *w, const pid_t *spared);
/* A child has ended (SIGCHLD): looks soon. */
void reaper_look(struct reaper *r);
void reaper_stop(struct reaper *r);

#endif
