/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_TLS_TICKETS_H
#define WSLUICE_IO_TLS_TICKETS_H

/*
 * Keys of TLS session tickets. They live in memory only and are replaced every hour; two older ones
 * still open what they have closed, so a ticket is good for two to three hours, and what was said
 * in a session cannot be read by who takes the keys later. Keys that go are overwritten.
 */
#include <stdbool.h>
#include <stddef.h>

#define TICKETS_LIFE 3600.0 /* seconds one key is the newest */
#define TICKETS_KEYS 3
#define TICKETS_NAME_SIZE 16

struct ticket_key {
    unsigned char name[TICKETS_NAME_SIZE]; /* goes with the ticket, in the open */
    unsigned char aes[32], hmac[32];
};

struct tickets {
    double made_at; /* the newest */
    size_t count;
    struct ticket_key keys[TICKETS_KEYS]; /* the newest first */
};

/* All of these may be called on a zeroed object. now: seconds of a clock that never goes back. */

/* Forgets what is too old. */
void tickets_expire(struct tickets *t, double now);
/* The key to close tickets with; NULL without randomness. */
const struct ticket_key *tickets_newest(struct tickets *t, double now);
/* The key of that name; NULL: none any more. *is_old: the client should get a new ticket. */
const struct ticket_key *tickets_find(struct tickets *t, const unsigned char *name, double now,
                                      bool *is_old);
void tickets_release(struct tickets *t);

#endif
