/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOAD_HIST_H
#define BENCH_LOAD_HIST_H

/*
 * A histogram of durations with a bounded relative error: 128 equal steps in each power of two, so
 * a percentile is off by less than 0.8 %. Fixed size, recording is a few instructions.
 */
#include <stdint.h>

#define LOAD_HIST_STEPS 128
#define LOAD_HIST_OCTAVES 36 /* up to 2^42 ns, over an hour */

struct load_hist {
    uint64_t count;
    uint64_t sum; /* ns */
    uint64_t max; /* ns, exact */
    uint64_t slots[LOAD_HIST_OCTAVES * LOAD_HIST_STEPS];
};

void load_hist_clear(struct load_hist *h);
void load_hist_add(struct load_hist *h, uint64_t ns);

/* The smallest duration in ns that a share (0 to 1) of those recorded do not exceed; 0 when empty.
 */
uint64_t load_hist_at(const struct load_hist *h, double share);

#endif
