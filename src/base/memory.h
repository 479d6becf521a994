/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_MEMORY_H
#define WSLUICE_BASE_MEMORY_H

/*
 * Memory in reserve, for the one library that ends the process when it gets none: libev. Where the
 * address space is limited (RLIMIT_AS: ulimit -v, LimitAS=), its soft limit is kept below the hard
 * one, so that everything else meets the end first and tells it; libev's few arrays may go on to
 * the hard limit. As with descriptors there is nothing to keep account of.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

/* Once, at the start. at_start: the limits as they were, which programs get; all zero where they
 * stay so. */
void memory_keep_reserve(struct rlimit *at_start);

/* realloc(3), from the reserve if need be; size 0 frees. */
void *memory_from_reserve(void *p, size_t size);

/* So much could be had, in one piece. */
bool memory_is_there(size_t size);
/* There is what a connection and its session take, wherever it lies. */
bool memory_is_there_in_pieces(void);

#endif
