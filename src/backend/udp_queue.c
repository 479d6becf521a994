/* SPDX-License-Identifier: MIT */
#include "backend/udp_queue.h"

#include <string.h>

/* In front of each datagram. */
struct entry {
    double at; /* when it came */
    size_t len;
};

static struct entry oldest(const struct udp_queue *q)
{
    struct entry e;

    memcpy(&e, buf_data(&q->entries), sizeof e); /* it may lie anywhere */
    return e;
}

void udp_queue_pop(struct udp_queue *q)
{
    buf_consume(&q->entries, sizeof(struct entry) + oldest(q).len);
    q->count--;
}

static void udp_queue_drop_oldest(struct udp_queue *q)
{
    q->dropped++;
    q->dropped_bytes += oldest(q).len;
    udp_queue_pop(q);
}

static void drop_old(struct udp_queue *q, double now)
{
    while (q->count > 0 && now - oldest(q).at > q->age)
        udp_queue_drop_oldest(q);
}

void udp_queue_add(struct udp_queue *q, double now, const void *p, size_t n)
{
    const struct entry e = {now, n};

    drop_old(q, now);
    while (q->count > 0 &&
           (q->count >= q->max || buf_len(&q->entries) + sizeof e + n > UDP_QUEUE_BYTES))
        udp_queue_drop_oldest(q);
    uint8_t *to = buf_reserve(&q->entries, sizeof e + n);
    if (to == NULL) {
        q->dropped++;
        q->dropped_bytes += n;
        return;
    }
    memcpy(to, &e, sizeof e);
    if (n > 0)
        memcpy(to + sizeof e, p, n);
    buf_added(&q->entries, sizeof e + n);
    q->count++;
}

bool udp_queue_first(struct udp_queue *q, double now, struct iovec *out)
{
    drop_old(q, now);
    if (q->count == 0)
        return false;
    out->iov_base = buf_data(&q->entries) + sizeof(struct entry);
    out->iov_len = oldest(q).len;
    return true;
}

void udp_queue_release(struct udp_queue *q)
{
    while (q->count > 0)
        udp_queue_drop_oldest(q);
    buf_release(&q->entries);
}
