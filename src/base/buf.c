/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256U
#define BUF_LARGEST (1024U * 1024U * 1024U)

/* The capacity to ask for: twice the last one, at least what is needed, a power of two as malloc
 * likes it. */
static uint32_t grown(uint32_t cap, size_t need)
{
    uint32_t next = cap ? cap : BUF_FIRST;

    while (next < need)
        next *= 2;
    return next;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    size_t len = buf_len(b);

    if (n > BUF_LARGEST - len) {
        errno = EOVERFLOW;
        return NULL;
    }
    if (b->mem && n <= b->cap - b->end)
        return b->mem + b->end;
    /* Moving to the front pays off only when much was consumed: else one byte out, one byte in
     * would move all each time. */
    if (!b->mem || len + n > b->cap || b->off < len / 2) {
        uint32_t cap = grown(b->cap, len + n > b->cap ? len + n : (size_t)b->cap + 1);
        uint8_t *mem = malloc(cap); /* not realloc: it would copy the consumed part too */

        if (!mem)
            return NULL;
        if (len > 0)
            memcpy(mem, buf_data(b), len);
        free(b->mem);
        b->mem = mem;
        b->cap = cap;
    } else {
        memmove(b->mem, b->mem + b->off, len);
    }
    b->off = 0;
    b->end = (uint32_t)len;
    return b->mem + b->end;
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
    b->off += (uint32_t)n;
    if (b->off == b->end)
        buf_release(b);
}

void buf_release(struct buf *b)
{
    free(b->mem);
    *b = (struct buf){NULL, 0, 0, 0};
}
