/* SPDX-License-Identifier: MIT */
#include "core/client/deflate_pool.h"

#include <stdlib.h>

#include "core/core.h"
#include "proto/deflate_offer.h"

#define PACKED_MIN 65536U

struct deflate_pool {
    struct deflate_reader *reader;                        /* a free one, or NULL */
    struct deflate_writer *writers[DEFLATE_BITS_MAX + 1]; /* by bits */
    uint8_t *packed;
    size_t packed_size;
    uint8_t plain[WORKER_HEADROOM + DEFLATE_POOL_PLAIN + WORKER_TAILROOM];
};

static struct deflate_pool *pool_of(struct worker *w)
{
    if (core_of(w)->deflate == NULL)
        core_of(w)->deflate = calloc(1, sizeof *core_of(w)->deflate);
    return core_of(w)->deflate;
}

struct deflate_reader *deflate_pool_borrow(struct worker *w)
{
    struct deflate_pool *pool = pool_of(w);
    struct deflate_reader *r = pool != NULL ? pool->reader : NULL;

    if (r == NULL)
        return deflate_reader_new(DEFLATE_BITS_MAX);
    pool->reader = NULL;
    return r;
}

void deflate_pool_return(struct worker *w, struct deflate_reader *r)
{
    struct deflate_pool *pool = pool_of(w);

    if (pool == NULL || pool->reader != NULL) {
        deflate_reader_free(r);
        return;
    }
    deflate_reader_forget(r);
    pool->reader = r;
}

struct deflate_writer *deflate_pool_writer(struct worker *w, unsigned bits, int level)
{
    struct deflate_pool *pool = pool_of(w);
    struct deflate_writer **at;

    if (pool == NULL)
        return NULL;
    at = &pool->writers[bits];
    if (*at == NULL) {
        *at = deflate_writer_new(bits, level);
        return *at;
    }
    deflate_writer_forget(*at);
    deflate_writer_level(*at, level);
    return *at;
}

uint8_t *deflate_pool_plain(struct worker *w)
{
    struct deflate_pool *pool = pool_of(w);

    return pool != NULL ? pool->plain + WORKER_HEADROOM : NULL;
}

uint8_t *deflate_pool_packed(struct worker *w, size_t size)
{
    struct deflate_pool *pool = pool_of(w);

    if (pool == NULL)
        return NULL;
    if (size > pool->packed_size) {
        free(pool->packed);
        pool->packed_size = size > PACKED_MIN ? size : PACKED_MIN;
        pool->packed = malloc(pool->packed_size);
        if (pool->packed == NULL)
            pool->packed_size = 0;
    }
    return pool->packed;
}

void deflate_pool_free(struct worker *w)
{
    struct deflate_pool *pool = core_of(w)->deflate;

    if (pool == NULL)
        return;
    deflate_reader_free(pool->reader);
    for (size_t i = 0; i <= DEFLATE_BITS_MAX; i++)
        deflate_writer_free(pool->writers[i]);
    free(pool->packed);
    free(pool);
    core_of(w)->deflate = NULL;
}
