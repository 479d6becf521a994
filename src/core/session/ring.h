/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_SESSION_RING_H
#define WSLUICE_CORE_SESSION_RING_H

/*
 * The last messages of a session to its clients, whole, numbered from 1 on. A client's place in
 * what was said is a number; the ring says where the message of that number lies. Pure: it knows no
 * session and no client.
 *
 * A new message pushes the oldest ones out as far as it needs room, but none that the caller wants
 * kept: then the ring grows beyond its limit, and shrinks back when it can. A message larger than
 * the limit stays alone. Memory comes with the first messages: a ring nothing was said in has none.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_SMALLEST 2048U /* bytes a ring begins with */
#define RING_COST 32U       /* bytes that a message takes beside its own, about */
#define RING_PLACE                                                                   \
    12U /* writable bytes in front of each payload: two that say what it is, a frame \
           header */

struct ring {
    uint8_t *bytes;
    uint32_t size;       /* of bytes */
    uint32_t head, tail; /* where the oldest message begins, and behind the newest */
    uint32_t *index;     /* offset of the message with this number, modulo its size */
    uint32_t index_size; /* a power of two, or 0 */
    size_t limit;        /* bytes that messages may take, RING_COST of each included */
    uint64_t first;      /* number of the oldest message that is there; next when there is none */
    uint64_t next;       /* number the next message gets */
    uint64_t total;      /* bytes that all messages took that ever came */
    uint64_t dropped;    /* messages that were pushed out */
};

/* A message; payload has RING_PLACE writable bytes in front, which nobody needs. Valid until the
 * next ring_add. */
struct ring_message {
    uint8_t *payload;
    size_t len;
    uint8_t opcode;  /* WS_TEXT or WS_BINARY */
    uint8_t channel; /* the caller's */
    uint64_t before; /* bytes that all messages before it took */
};

void ring_init(struct ring *r, size_t limit);
void ring_release(struct ring *r);

/* Adds a message of n bytes and returns where they go. Messages from number `keep` on are not
 * pushed out. NULL without memory: all is as it was, but the oldest may be gone. */
uint8_t *ring_add(struct ring *r, uint8_t opcode, uint8_t channel, size_t n, uint64_t keep);

/* The oldest messages below `keep` go as far as the rest is over the limit, and with them the
 * memory that is not needed any more. */
void ring_trim(struct ring *r, uint64_t keep);

/* number must be there: first <= number < next. */
struct ring_message ring_get(const struct ring *r, uint64_t number);

/* Bytes that the messages from this number on take; it may be `next`, and not below `first`. */
uint64_t ring_bytes_from(const struct ring *r, uint64_t number);

/* Bytes of memory it owns. */
size_t ring_memory(const struct ring *r);

#endif
