/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

/* A configuration has some hundred parts: one allocation each is simple and quick enough. */
struct arena_block {
    struct arena_block *next;
    alignas(max_align_t) char bytes[];
};

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *b = calloc(1, sizeof *b + size);

    if (b == NULL)
        return NULL;
    b->next = a->blocks;
    a->blocks = b;
    return b->bytes;
}

char *arena_dup(struct arena *a, struct slice text)
{
    char *copy = arena_alloc(a, text.len + 1);

    if (copy != NULL && text.len > 0)
        memcpy(copy, text.p, text.len);
    return copy;
}

void arena_release(struct arena *a)
{
    struct arena_block *next;

    for (struct arena_block *b = a->blocks; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    a->blocks = NULL;
}
