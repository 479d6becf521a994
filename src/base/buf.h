/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_BUF_H
#define WSLUICE_BASE_BUF_H

/*
 * A queue of bytes that owns no memory while it is empty: one pointer, to
 *
 *     header | consumed     | the bytes            | free             |
 *            0             off                    end                cap
 *
 * Invariant: off < end <= cap, or the pointer is NULL; only between buf_reserve and buf_added may
 * off == end.
 */
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct buf_block {
    uint32_t off, end, cap;
    uint8_t bytes[];
};

struct buf {
    struct buf_block *block;
};

static inline size_t buf_len(const struct buf *b)
{
    return b->block == NULL ? 0 : b->block->end - b->block->off;
}

/* The first byte; NULL while there is no memory. */
static inline uint8_t *buf_data(const struct buf *b)
{
    return b->block == NULL ? NULL : b->block->bytes + b->block->off;
}

/* Appends a copy of n bytes. -1 with errno ENOMEM (or EOVERFLOW past 1 GiB) leaves the queue as it
 * was. */
MUST_CHECK int buf_append(struct buf *b, const void *p, size_t n);

/* Makes room for n > 0 more bytes and returns where they go, NULL as buf_append; buf_added says how
 * many came. */
MUST_CHECK uint8_t *buf_reserve(struct buf *b, size_t n);

static inline void buf_added(struct buf *b, size_t n)
{
    b->block->end += (uint32_t)n;
}

/* Drops n <= buf_len bytes from the front; releases the memory when nothing is left. */
void buf_consume(struct buf *b, size_t n);

/* Drops everything. */
void buf_release(struct buf *b);

#endif
