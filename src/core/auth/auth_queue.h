/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_AUTH_AUTH_QUEUE_H
#define WSLUICE_CORE_AUTH_AUTH_QUEUE_H

/*
 * Places for what judges: a few jobs run at once, some more wait, and no client takes them all.
 *
 * A free place goes to the network that has the fewest jobs running, among those to the one whose
 * turn was longest ago. IPv6 is looked at from the outside in: first the /48, in it the /56, in
 * that the /64, so that many networks of one owner have the share of one. When all waiting places
 * are taken, a newcomer gets that of the network that holds the most, unless that is its own: so
 * each of n networks can have its nth part. Nobody waits longer than AUTH_QUEUE_WAIT.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "io/worker.h"

#define AUTH_QUEUE_WAIT 20.0 /* seconds */

struct auth_queue;

/* Embed as a member of the job; zero it first. */
struct auth_place {
    struct auth_queue *queue;        /* NULL: in none */
    struct auth_place *next, **prev; /* of those that wait, or run; prev NULL: refused */
    void (*run)(struct auth_place *p);
    void (*refused)(struct auth_place *p);
    ev_timer timer;
    uint8_t networks[ADDR_NETWORKS][16];
    uint64_t turns[ADDR_NETWORKS];   /* when the last one of that network began, or this one came */
    unsigned running[ADDR_NETWORKS]; /* jobs of that network */
    unsigned waiting[ADDR_NETWORKS]; /* this one included */
    bool runs;
};

/* `running` at once, `waiting` more. NULL without memory. */
struct auth_queue *auth_queue_new(struct worker *w, unsigned running, unsigned waiting);
void auth_queue_free(struct auth_queue *q); /* nobody is in it; NULL is fine */
struct worker *auth_queue_worker(const struct auth_queue *q);

/*
 * Asks for a place: `run` is called when it is there, from inside this or when another leaves, and
 * calls nobody up. Or, from the loop, `refused`: it has waited too long, or its waiting place went
 * to a network that has fewer. After either it still has to leave. False: refused at once, p is in
 * no queue.
 */
bool auth_queue_enter(struct auth_queue *q, struct auth_place *p, const union addr *client,
                      void (*run)(struct auth_place *p), void (*refused)(struct auth_place *p));
/* Running, waiting, refused or in no queue. The next ones run. */
void auth_queue_leave(struct auth_place *p);

#endif
