/* SPDX-License-Identifier: MIT */
#include "proto/deflate.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TAIL_SIZE 4 /* 00 00 ff ff: the end of an empty stored block, cut off by every sender */
#define AT_BLOCK_BORDER 128 /* in z_stream.data_type, see zlib.h */
/* What goes well with a window of that size. */
#define MEMORY_LEVEL(bits) ((int)(bits)-7)

struct deflate_reader {
    z_stream z;
    bool any;   /* the message has had a byte of payload */
    bool ended; /* a final block was read and nothing behind it */
};

struct deflate_writer {
    z_stream z;
    int level;
};

/* ---- from the wire ---- */

struct deflate_reader *deflate_reader_new(unsigned bits)
{
    struct deflate_reader *r = calloc(1, sizeof *r);

    if (r != NULL && inflateInit2(&r->z, -(int)bits) != Z_OK) {
        free(r);
        return NULL;
    }
    return r;
}

void deflate_reader_free(struct deflate_reader *r)
{
    if (r == NULL)
        return;
    inflateEnd(&r->z);
    free(r);
}

void deflate_reader_forget(struct deflate_reader *r)
{
    inflateReset(&r->z);
    r->any = r->ended = false;
}

/* zlib counts in unsigned int. */
static unsigned clamp(size_t n)
{
    return n > 1U << 30 ? 1U << 30 : (unsigned)n;
}

/* Takes input until it or the room is at its end, and gives what earlier room had no place for.
 * Z_OK, or zlib's error. */
static int deflate_take_input(struct deflate_reader *r)
{
    int res;

    if (r->z.avail_in == 0 && r->ended)
        return Z_OK;
    do {
        r->ended = false;
        res = inflate(&r->z, Z_SYNC_FLUSH);
        if (res == Z_STREAM_END) { /* earlier bytes may still be referred to: the window stays */
            r->ended = true;
            res = inflateResetKeep(&r->z);
        }
    } while (res == Z_OK && r->z.avail_in > 0 && r->z.avail_out > 0);
    return res == Z_BUF_ERROR ? Z_OK : res;
}

/* All of the message was read: with the tail that its sender cut off it ends between two blocks,
 * and the tail gives no bytes. Anything else is a message that is cut off. */
static bool ends_well(struct deflate_reader *r)
{
    static const uint8_t tail[TAIL_SIZE] = {0x00, 0x00, 0xff, 0xff};
    unsigned room = r->z.avail_out;
    int res;

    if (!r->any || r->ended)
        return true;
    r->z.next_in = (z_const Bytef *)(uintptr_t)tail;
    r->z.avail_in = sizeof tail;
    res = inflate(&r->z, Z_SYNC_FLUSH);
    if (res == Z_STREAM_END) /* the empty block was a final one */
        return r->z.avail_in == 0 && r->z.avail_out == room && inflateResetKeep(&r->z) == Z_OK;
    return res == Z_OK && r->z.avail_in == 0 && r->z.avail_out == room &&
           (r->z.data_type & AT_BLOCK_BORDER) != 0;
}

enum deflate_event deflate_read(struct deflate_reader *r, const uint8_t **in, size_t *n, bool last,
                                uint8_t *out, size_t room, size_t *len)
{
    unsigned had = clamp(*n);
    int res;

    r->z.next_in = (z_const Bytef *)(uintptr_t)*in;
    r->z.avail_in = had;
    r->z.next_out = out;
    r->z.avail_out = clamp(room);
    r->any = r->any || had > 0;
    res = deflate_take_input(r);
    *in += had - r->z.avail_in;
    *n -= had - r->z.avail_in;
    *len = (size_t)(r->z.next_out - out);
    if (res != Z_OK)
        return res == Z_MEM_ERROR ? DEFLATE_NO_MEMORY : DEFLATE_BAD;
    if (r->z.avail_out == 0 || *n > 0)
        return DEFLATE_FULL;
    if (!last)
        return DEFLATE_MORE;
    if (!ends_well(r))
        return DEFLATE_BAD;
    r->any = r->ended = false;
    return DEFLATE_DONE;
}

/* ---- to the wire ---- */

struct deflate_writer *deflate_writer_new(unsigned bits, int level)
{
    struct deflate_writer *w = calloc(1, sizeof *w);

    if (w != NULL && deflateInit2(&w->z, level, Z_DEFLATED, -(int)bits, MEMORY_LEVEL(bits),
                                  Z_DEFAULT_STRATEGY) != Z_OK) {
        free(w);
        return NULL;
    }
    if (w != NULL)
        w->level = level;
    return w;
}

void deflate_writer_free(struct deflate_writer *w)
{
    if (w == NULL)
        return;
    deflateEnd(&w->z);
    free(w);
}

void deflate_writer_forget(struct deflate_writer *w)
{
    deflateReset(&w->z);
}

void deflate_writer_level(struct deflate_writer *w, int level)
{
    if (level == w->level)
        return;
    w->level = level;
    w->z.next_in = NULL;
    w->z.avail_in = 0;
    deflateParams(&w->z, level, Z_DEFAULT_STRATEGY);
}

size_t deflate_write(struct deflate_writer *w, const uint8_t *p, size_t n, uint8_t *out,
                     size_t room)
{
    size_t len = 0;

    if (n <= 1U << 30 && room <= 1U << 30) {
        w->z.next_in = (z_const Bytef *)(uintptr_t)p;
        w->z.avail_in = (unsigned)n;
        w->z.next_out = out;
        w->z.avail_out = (unsigned)room;
        /* room left over says that the flush is complete */
        if (deflate(&w->z, Z_SYNC_FLUSH) == Z_OK && w->z.avail_in == 0 && w->z.avail_out > 0)
            len = room - w->z.avail_out - TAIL_SIZE;
    }
    if (len == 0 || len > room - DEFLATE_SLACK) {
        deflateReset(&w->z);
        return 0;
    }
    return len;
}
