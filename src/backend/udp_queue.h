/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BACKEND_UDP_QUEUE_H
#define WSLUICE_BACKEND_UDP_QUEUE_H

/*
 * Datagrams that wait for a side that does not keep up. What is live beats what is old: the oldest
 * go first, once there are too many of them, too many bytes, or they have waited too long. Owns no
 * memory while it is empty.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"

/* All of one queue, what is kept beside each datagram included; one datagram always fits. */
#define UDP_QUEUE_BYTES (256U * 1024U)

struct udp_queue {
    struct buf entries;
    uint32_t count;
    uint32_t max;           /* datagrams, at least 1 */
    double age;             /* seconds, worker time */
    uint64_t dropped;       /* datagrams, all time */
    uint64_t dropped_bytes; /* their payload */
};

/* Drops what is too old, then adds a copy, dropping the oldest as needed. */
void udp_queue_add(struct udp_queue *q, double now, const void *p, size_t n);
/* Drops what is too old; then the oldest of the rest, borrowed until the next call. False: empty.
 */
bool udp_queue_first(struct udp_queue *q, double now, struct iovec *out);
/* Takes away what udp_queue_first showed. */
void udp_queue_pop(struct udp_queue *q);
/* Drops all. */
void udp_queue_release(struct udp_queue *q);

#endif
