/* SPDX-License-Identifier: MIT */
/*
 * base/utf8. Input: 4 bytes that seed the cutting, then text. Oracles:
 * - a decoder that works on code points says at which byte the text goes wrong;
 * - utf8_feed, fed random pieces, refuses the very piece that holds this byte; utf8_valid agrees;
 * - utf8_replace gives valid text, at most 3 bytes for 1, and valid text back as it was;
 * - taking utf8_tail off text that is fine so far leaves valid text.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Can the k bytes at p still become a character (2), are they one (1), or neither (0)? */
static int grows(const uint8_t *p, size_t k)
{
    static const uint32_t from[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC0 ? 5 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    uint32_t low, high;

    if (len == 5 || k > len || p[0] > 0xF7)
        return 0;
    low = high = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (i < k && (p[i] & 0xC0) != 0x80)
            return 0;
        low = low << 6 | (i < k ? p[i] & 0x3Fu : 0);
        high = high << 6 | (i < k ? p[i] & 0x3Fu : 0x3F);
    }
    if (high < from[len] || low > 0x10FFFF || (low >= 0xD800 && high <= 0xDFFF))
        return 0;
    return k == len ? 1 : 2;
}

static size_t fault(const uint8_t *p, size_t n, bool *open)
{
    size_t start = 0;

    for (size_t i = 0; i < n; i++) {
        int got = grows(p + start, i + 1 - start);

        if (got == 0)
            return i;
        if (got == 1)
            start = i + 1;
    }
    *open = start < n;
    return n;
}

static void feed_in_pieces(const uint8_t *p, size_t n, uint32_t seed, size_t bad, bool open)
{
    struct utf8_state st = {0};

    for (size_t at = 0, len; at < n; at += len) {
        bool ok;

        seed = seed * 1664525 + 1013904223;
        len = (seed >> 8) % (seed >> 31 ? 5 : 100);
        len = len < n - at ? len : n - at;
        ok = utf8_feed(&st, p + at, len);
        must(ok == (bad >= at + len));
        if (!ok)
            return;
    }
    must(utf8_complete(&st) == !open);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t seed;
    bool open = false, valid;
    size_t n, bad, len;
    uint8_t *out;

    if (size < sizeof seed)
        return 0;
    memcpy(&seed, data, sizeof seed);
    data += sizeof seed;
    n = size - sizeof seed;
    bad = fault(data, n, &open);
    valid = bad == n && !open;

    feed_in_pieces(data, n, seed, bad, open);
    must(utf8_valid(data, n) == valid);

    must(utf8_tail(data, n) < UTF8_MAX);
    if (bad == n) {
        must((utf8_tail(data, n) > 0) == open);
        must(utf8_valid(data, n - utf8_tail(data, n)));
    }

    out = malloc(3 * n + 1);
    must(out != NULL);
    len = utf8_replace(out, data, n);
    must(len <= 3 * n && utf8_valid(out, len));
    must(valid == (len == n && memcmp(out, data, n) == 0));
    free(out);
    return 0;
}
