/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_SLICE_H
#define WSLUICE_BASE_SLICE_H

/* A piece of text somebody else owns: pointer and length, no terminator, any bytes. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p;
    size_t len;
};

static inline struct slice slice_of(const char *p, size_t len)
{
    return (struct slice){p, len};
}

static inline struct slice slice_from(const char *cstr)
{
    return (struct slice){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool slice_is(struct slice a, const char *cstr)
{
    return slice_eq(a, slice_from(cstr));
}

/* ASCII letters compared without case. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice a, const char *prefix);

/* Without blanks and tabs at both ends (HTTP's optional white space). */
struct slice slice_trim(struct slice s);

/* Cuts s at the first sep: returns what stands before it, leaves in *rest what stands behind.
 * Without sep *rest is {NULL, 0}. */
struct slice slice_cut(struct slice s, char sep, struct slice *rest);

/* The next trimmed, non-empty element of a comma-separated list (RFC 9110, section 5.6.1); false at
 * the end. */
bool slice_next_item(struct slice *list, struct slice *item);

/* The list has the token, letters without case. */
bool slice_list_has(struct slice list, const char *token);

/* A copy with a terminating NUL, by malloc; NULL without memory. */
char *slice_dup(struct slice s);

#endif
