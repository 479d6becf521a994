/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_CORE_RATE_H
#define WSLUICE_CORE_RATE_H

/*
 * How much may happen in a time: a bucket that leaks at a steady rate and holds `burst`; what does
 * not fit is too much for now. Pure: whoever asks tells the time, in seconds of one clock.
 */
#include <stdbool.h>

/* As written: `amount` in each `period` seconds. */
struct rate {
    double amount; /* 0: no limit */
    double period; /* 1, 60 or 3600 */
    double burst;  /* at once, after a rest */
};

/* Zero it first: nothing has happened yet. */
struct rate_bucket {
    double level; /* what is in it, at the time `at`; more than the burst when it was reserved */
    double at;
};

static inline bool rate_is_set(const struct rate *r)
{
    return r->amount > 0;
}

/* Seconds until n fits; 0: now. */
double rate_wait(const struct rate_bucket *b, const struct rate *r, double n, double now);
/* Takes n, whether it fits or not: seconds until it would have. So those who wait do it in the
 * order in which they came, each until its own time. */
double rate_reserve(struct rate_bucket *b, const struct rate *r, double n, double now);
/* What was taken did not happen. */
void rate_give_back(struct rate_bucket *b, double n);

#endif
