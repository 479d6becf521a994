/* SPDX-License-Identifier: MIT */
#include "load_hist.h"

#include <string.h>

/* Values below 2 * STEPS have a slot each; above, the top eight bits choose the slot. */
static unsigned slot_of(uint64_t v)
{
    unsigned shift;
    unsigned slot;

    if (v < 2 * LOAD_HIST_STEPS)
        return (unsigned)v;
    shift = 63u - 7u - (unsigned)__builtin_clzll(v);
    slot = shift * LOAD_HIST_STEPS + (unsigned)(v >> shift);
    return slot < LOAD_HIST_OCTAVES * LOAD_HIST_STEPS ? slot
                                                      : LOAD_HIST_OCTAVES * LOAD_HIST_STEPS - 1;
}

/* The largest value that lands in a slot. */
static uint64_t top_of(unsigned slot)
{
    unsigned shift;

    if (slot < 2 * LOAD_HIST_STEPS)
        return slot;
    shift = slot / LOAD_HIST_STEPS - 1;
    return ((uint64_t)(slot - shift * LOAD_HIST_STEPS + 1) << shift) - 1;
}

void load_hist_clear(struct load_hist *h)
{
    memset(h, 0, sizeof *h);
}

void load_hist_add(struct load_hist *h, uint64_t ns)
{
    h->slots[slot_of(ns)]++;
    h->count++;
    h->sum += ns;
    if (ns > h->max)
        h->max = ns;
}

uint64_t load_hist_at(const struct load_hist *h, double share)
{
    uint64_t want = (uint64_t)(share * (double)h->count + 0.5);
    uint64_t seen = 0;

    if (h->count == 0)
        return 0;
    if (want == 0)
        want = 1;
    for (unsigned i = 0; i < LOAD_HIST_OCTAVES * LOAD_HIST_STEPS; i++) {
        seen += h->slots[i];
        if (seen >= want)
            return top_of(i) < h->max ? top_of(i) : h->max;
    }
    return h->max;
}
