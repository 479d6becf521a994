/* SPDX-License-Identifier: MIT */
#include "base/slice.h"

#include <stdlib.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool slice_starts(struct slice a, const char *prefix)
{
    size_t n = strlen(prefix);

    return n == 0 || (a.len >= n && memcmp(a.p, prefix, n) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

struct slice slice_cut(struct slice s, char sep, struct slice *rest)
{
    const char *at = s.len > 0 ? memchr(s.p, sep, s.len) : NULL;
    size_t n;

    if (!at) {
        *rest = slice_of(NULL, 0);
        return s;
    }
    n = (size_t)(at - s.p);
    *rest = slice_of(at + 1, s.len - n - 1);
    return slice_of(s.p, n);
}

bool slice_next_item(struct slice *list, struct slice *item)
{
    while (list->len > 0) {
        *item = slice_trim(slice_cut(*list, ',', list));
        if (item->len > 0)
            return true;
    }
    return false;
}

bool slice_list_has(struct slice list, const char *token)
{
    struct slice item;

    while (slice_next_item(&list, &item))
        if (slice_eq_nocase(item, slice_from(token)))
            return true;
    return false;
}

char *slice_dup(struct slice s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    return copy;
}
