/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_ADMISSION_WAITING_H
#define WSLUICE_CORE_ADMISSION_WAITING_H

/*
 * Connections that hold a descriptor and have asked for nothing, by address (of IPv6 by /64). They
 * cost nothing while there is room. When descriptors or memory run out, they make it: the address
 * with most of them loses its oldest first, so that nobody is kept out by another's idle
 * connections, however many those are. Those of trusted proxies and of Unix sockets, which speak
 * for many, and of the admin address are not entered.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "core/front.h"
#include "io/worker.h"

struct waiting; /* one per worker */
struct waiting_address;

/* A part of what the front keeps of such a connection. */
struct waiting_place {
    struct waiting_place *next, **prev; /* of that address, oldest first */
    struct waiting_address *address;    /* NULL: not entered */
    struct front_conn *conn;
    const union addr *client;
};

struct waiting *waiting_new(void); /* NULL without memory */
void waiting_free(struct waiting *all);

/* client: the connection's, there as long as it is entered. Without memory it is not: then it
 * cannot be asked to go. */
void waiting_enter(struct waiting *all, struct waiting_place *p, struct front_conn *conn,
                   const union addr *client);
/* Also for one that was not entered. */
void waiting_leave(struct waiting *all, struct waiting_place *p);

/*
 * Closes some of them, for a connection and what its session may need. False: there are none. Each
 * time is a line in the log, which sums repeats up; waiting_shed counts connections.
 */
bool waiting_make_room(struct worker *w);
uint64_t waiting_shed(const struct waiting *all);

/* Closes those of addresses that are_gone says yes to; at most `most` of them. False: there may be
 * more. */
bool waiting_close(struct worker *w, bool (*are_gone)(void *arg, const union addr *client),
                   void *arg, size_t most);

#endif
