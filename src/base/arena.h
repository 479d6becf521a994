/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_ARENA_H
#define WSLUICE_BASE_ARENA_H

/* Memory that is released all at once: for a configuration, whose many small parts live and die
 * together. */
#include <stddef.h>

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* NULL: empty */
};

/* Zeroed, aligned for anything; NULL without memory. */
void *arena_alloc(struct arena *a, size_t size);
/* A copy with a terminating NUL. */
char *arena_dup(struct arena *a, struct slice text);
void arena_release(struct arena *a);

#endif
