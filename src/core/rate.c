/* SPDX-License-Identifier: MIT */
#include "core/rate.h"

static double per_second(const struct rate *r)
{
    return r->amount / r->period;
}

static double level_at(const struct rate_bucket *b, const struct rate *r, double now)
{
    double level = b->level - (now - b->at) * per_second(r);

    return level > 0 ? level : 0;
}

double rate_wait(const struct rate_bucket *b, const struct rate *r, double n, double now)
{
    double over;

    if (!rate_is_set(r))
        return 0;
    over = level_at(b, r, now) + n - r->burst;
    return over > 0 ? over / per_second(r) : 0;
}

double rate_reserve(struct rate_bucket *b, const struct rate *r, double n, double now)
{
    double wait = rate_wait(b, r, n, now);

    if (!rate_is_set(r))
        return 0;
    b->level = level_at(b, r, now) + n;
    b->at = now;
    return wait;
}

void rate_give_back(struct rate_bucket *b, double n)
{
    b->level = b->level > n ? b->level - n : 0;
}
