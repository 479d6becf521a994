/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 128U /* bytes of the first block, its header included */
#define BUF_LARGEST (1024U * 1024U * 1024U)

/* The size of the block to ask for: twice the last one, at least what is needed, a power of two as
 * malloc likes it. */
static size_t grown(size_t last, size_t need)
{
    size_t next = last > 0 ? last : BUF_FIRST;

    while (next < need)
        next *= 2;
    return next;
}

/* A larger block with the same bytes at its front. */
static struct buf_block *enlarged(const struct buf *b, size_t len, size_t n)
{
    size_t last = b->block ? sizeof *b->block + b->block->cap : 0;
    size_t need = sizeof *b->block + len + n;
    size_t size = grown(last, need > last ? need : last + 1);
    struct buf_block *block = malloc(size); /* not realloc: it would copy the consumed part too */

    if (!block)
        return NULL;
    block->cap = (uint32_t)(size - sizeof *block);
    block->off = 0;
    block->end = (uint32_t)len;
    if (len > 0)
        memcpy(block->bytes, buf_data(b), len);
    return block;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    struct buf_block *block = b->block;
    size_t len = buf_len(b);

    if (n > BUF_LARGEST - len) {
        errno = EOVERFLOW;
        return NULL;
    }
    if (block && n <= block->cap - block->end)
        return block->bytes + block->end;
    /* Moving to the front pays off only when much was consumed: else one byte out, one byte in
     * would move all each time. */
    if (!block || len + n > block->cap || block->off < len / 2) {
        block = enlarged(b, len, n);
        if (!block)
            return NULL;
        free(b->block);
        b->block = block;
    } else {
        memmove(block->bytes, buf_data(b), len);
        block->off = 0;
        block->end = (uint32_t)len;
    }
    return block->bytes + block->end;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
    uint8_t *to;

    if (n == 0)
        return 0;
    to = buf_reserve(b, n);
    if (!to)
        return -1;
    memcpy(to, p, n);
    buf_added(b, n);
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n == 0)
        return;
    b->block->off += (uint32_t)n;
    if (b->block->off == b->block->end)
        buf_release(b);
}

void buf_release(struct buf *b)
{
    free(b->block);
    b->block = NULL;
}
