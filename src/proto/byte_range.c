/* SPDX-License-Identifier: MIT */
#include "proto/byte_range.h"

#include <stdbool.h>

/* Digits only, at least one; more than fits is as much as fits, which is behind every end. */
static bool range_read_number(struct slice text, uint64_t *out)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.p[i] - (unsigned)'0';

        if (digit > 9)
            return false;
        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
    }
    *out = n;
    return text.len > 0;
}

/* The last so many bytes. */
static enum byte_range from_end(uint64_t count, uint64_t size, uint64_t *first, uint64_t *length)
{
    if (count == 0)
        return BYTE_RANGE_NONE;
    *length = count < size ? count : size;
    *first = size - *length;
    return BYTE_RANGE_PART;
}

enum byte_range byte_range_parse(struct slice text, uint64_t size, uint64_t *first,
                                 uint64_t *length)
{
    static const char unit[] = "bytes=";
    const size_t n = sizeof unit - 1;
    uint64_t begin, last = UINT64_MAX;
    struct slice from, to;

    if (text.len <= n || !slice_eq_nocase(slice_of(text.p, n), slice_from(unit)))
        return BYTE_RANGE_ALL;
    text = slice_trim(slice_of(text.p + n, text.len - n));
    if (text.len == 0 || memchr(text.p, ',', text.len) != NULL || size == 0)
        return BYTE_RANGE_ALL;
    from = slice_cut(text, '-', &to);
    if (to.p == NULL || (from.len == 0 && to.len == 0))
        return BYTE_RANGE_ALL;
    if (from.len == 0)
        return range_read_number(to, &last) ? from_end(last, size, first, length) : BYTE_RANGE_ALL;
    if (!range_read_number(from, &begin) || (to.len > 0 && !range_read_number(to, &last)) ||
        last < begin)
        return BYTE_RANGE_ALL;
    if (begin >= size)
        return BYTE_RANGE_NONE;
    *first = begin;
    *length = (last < size ? last + 1 : size) - begin;
    return BYTE_RANGE_PART;
}
