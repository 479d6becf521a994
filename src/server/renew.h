/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_RENEW_H
#define WSLUICE_SERVER_RENEW_H

/*
 * Certificates, keys, authorities and staples that have changed on disk are taken over without a
 * reload: each listener's and each route's by themselves, for connections from then on. Files are
 * looked at once a second, and read when they have stayed the same from one look to the next, so
 * that few half-written ones are read. What cannot be used (a key that does not fit its certificate
 * yet) leaves the old in force, is told once, and tried again when a file changes, or after a
 * minute.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "io/worker.h"

/* What is known of the files of one listener or route. */
struct renewal {
    uint64_t seen;    /* as of the last look */
    uint64_t refused; /* could not be used; 0: there is no such */
    double again_at;  /* worker time; then even unchanged ones are tried again */
    uint64_t told;    /* digest of the last complaint, so that it is not repeated */
};

struct renew {
    struct worker *worker;
    ev_timer look;
    size_t count;
    struct renewal *all; /* of the listeners, then of the routes, of the config in force */
};

void renew_init(struct renew *r, struct worker *w);
/* The worker has another configuration. */
void renew_apply(struct renew *r);
void renew_release(struct renew *r);

#endif
