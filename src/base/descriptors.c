/* SPDX-License-Identifier: MIT */
#include "base/descriptors.h"

#include <limits.h>
#include <stddef.h>

#define SHARE 16
#define RESERVE_LEAST 4
#define RESERVE_MOST 32

rlim_t descriptors_reserve(rlim_t hard)
{
    rlim_t share = hard / SHARE;

    return share < RESERVE_LEAST ? RESERVE_LEAST : share > RESERVE_MOST ? RESERVE_MOST : share;
}

void descriptors_keep_reserve(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < DESCRIPTORS_LEAST)
        return;
    limit.rlim_cur = limit.rlim_max - descriptors_reserve(limit.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int descriptors_of_clients(void)
{
    struct rlimit limit;
    rlim_t kept;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return INT_MAX;
    kept = descriptors_reserve(limit.rlim_max);
    if (limit.rlim_cur <= kept)
        return 0;
    return limit.rlim_cur - kept < INT_MAX ? (int)(limit.rlim_cur - kept) : INT_MAX;
}

/* The limit becomes that; returns what it was. */
static rlim_t change(const rlim_t *soft)
{
    struct rlimit limit;
    rlim_t before;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    before = limit.rlim_cur;
    limit.rlim_cur = soft != NULL ? *soft : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return before;
}

rlim_t descriptors_open_reserve(void)
{
    return change(NULL);
}

void descriptors_close_reserve(rlim_t before)
{
    if (before > 0)
        (void)change(&before);
}
