/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_BUF_H
#define WSLUICE_BASE_BUF_H

/*
 * A queue of bytes that owns no memory while it is empty.
 *
 *     mem            mem+off                mem+end            mem+cap
 *      | consumed     | the bytes            | free             |
 *
 * Invariant: off <= end <= cap; mem == NULL exactly when cap == 0; off == end implies mem == NULL after consume.
 */
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct buf {
    uint8_t *mem;
    uint32_t off, end, cap;
};

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->off;
}

static inline uint8_t *buf_data(const struct buf *b)
{
    return b->mem ? b->mem + b->off : NULL;
}

/* Appends a copy of n bytes. -1 with errno ENOMEM (or EOVERFLOW past 1 GiB) leaves the queue as it was. */
MUST_CHECK int buf_append(struct buf *b, const void *p, size_t n);

/* Makes room for n more bytes and returns where they go, NULL as buf_append; buf_added says how many came. */
MUST_CHECK uint8_t *buf_reserve(struct buf *b, size_t n);

static inline void buf_added(struct buf *b, size_t n)
{
    b->end += (uint32_t)n;
}

/* Drops n <= buf_len bytes from the front; releases the memory when nothing is left. */
void buf_consume(struct buf *b, size_t n);

/* Drops everything. */
void buf_release(struct buf *b);

#endif
