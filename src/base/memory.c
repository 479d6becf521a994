/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/self.h"

#define RESERVE_LEAST (128UL << 10)
#define SHARE 8               /* of what is left at the start */
#define TOP_PAD (128UL << 10) /* glibc's default */

void memory_keep_reserve(struct rlimit *at_start)
{
    struct rlimit limit;
    struct self self;
    rlim_t reserve;

    *at_start = (struct rlimit){0};
    if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
        return;
    self_read(&self);
    if (self.virtual_ == 0 || self.virtual_ >= limit.rlim_max)
        return;
    reserve = (limit.rlim_max - self.virtual_) / SHARE;
    if (reserve < RESERVE_LEAST)
        reserve = RESERVE_LEAST;
    if (limit.rlim_max - self.virtual_ <= reserve || limit.rlim_cur <= limit.rlim_max - reserve)
        return; /* too little to be shared; or there is a reserve already */
    *at_start = limit;
    limit.rlim_cur = limit.rlim_max - reserve;
    (void)setrlimit(RLIMIT_AS, &limit);
}

void *memory_from_reserve(void *p, size_t size)
{
    struct rlimit limit, all;
    void *got;

    if (size == 0) {
        free(p);
        return NULL;
    }
    got = realloc(p, size);
    if (got != NULL || getrlimit(RLIMIT_AS, &limit) < 0)
        return got;
    all = limit;
    all.rlim_cur = all.rlim_max;
    (void)setrlimit(RLIMIT_AS, &all);
    (void)mallopt(M_TOP_PAD, 0); /* not a page more: it would be anybody's */
    got = realloc(p, size);
    (void)mallopt(M_TOP_PAD, TOP_PAD);
    (void)setrlimit(RLIMIT_AS, &limit);
    return got;
}

bool memory_is_there_in_pieces(void)
{
    /* a head that is read, and the structs of a connection, a session and a backend, twice over */
    static const size_t sizes[] = {4096, 4096, 2048, 2048, 512, 512, 512, 512, 256, 256, 256, 256};
    void *pieces[sizeof sizes / sizeof sizes[0]];
    size_t count = 0;

    while (count < sizeof sizes / sizeof sizes[0] && (pieces[count] = malloc(sizes[count])) != NULL)
        count++;
    for (size_t i = 0; i < count; i++)
        free(pieces[i]);
    return count == sizeof sizes / sizeof sizes[0];
}

bool memory_is_there(size_t size)
{
    void *volatile p = malloc(size); /* else a compiler may leave both calls out */

    free(p);
    return p != NULL;
}
