/* SPDX-License-Identifier: MIT */
/*
 * proto/cookie. Input: fields of a head, one a line, each the value of a Cookie. Oracles:
 * - a text that is read is what is written for it again: there is one spelling of each;
 * - behind cookie_take no cookie of that name is left in any field, no field is empty, and what
 *   stands there of others is what stood there, in its order;
 * - what was taken out is wiped.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cookie.h"

#define NAME "wsluice_auth"
#define FIELDS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_text(struct slice text)
{
    char again[COOKIE_TEXT_MAX];
    struct cookie c;

    if (!cookie_read(text, &c))
        return;
    must(c.who_len >= 1 && c.who_len <= COOKIE_WHO_MAX && c.until <= COOKIE_UNTIL_MAX);
    must(cookie_write(&c, again) == text.len && memcmp(again, text.p, text.len) == 0);
}

static bool is_ours(struct slice part)
{
    struct slice value, name = slice_cut(slice_trim(part), '=', &value);

    return value.p != NULL && slice_is(slice_trim(name), NAME);
}

/* All parts that are not ours, each trimmed and with a semicolon behind it. */
static char *others_of(const struct http_head *h)
{
    size_t size = 1;

    for (size_t i = 0; i < h->count; i++)
        size += 2 * h->fields[i].value.len + 2;
    char *all = calloc(1, size), *out = all;
    must(all != NULL);
    for (size_t i = 0; i < h->count; i++) {
        struct slice rest = h->fields[i].value, part;

        while (rest.p != NULL) {
            part = slice_trim(slice_cut(rest, ';', &rest));
            if (part.len == 0 || is_ours(part))
                continue;
            out = mempcpy(out, part.p, part.len);
            *out++ = ';';
        }
    }
    return all;
}

static void check_values(const char *out, size_t n, size_t max)
{
    must(n <= max && (n == 0 || out[n - 1] == '\0'));
    for (size_t at = 0; at < n; at += strlen(out + at) + 1)
        check_text(slice_from(out + at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head h = {0};
    char out[64];
    char *copy = malloc(size + 1); /* exactly that much, for ASan */

    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    for (size_t i = 0; i < size; i++) {
        if (copy[i] == '\0') /* none in a head */
            copy[i] = ' ';
    }
    struct slice rest = slice_of(copy, size);
    check_text(rest);
    while (rest.p != NULL && h.count < FIELDS) {
        struct slice line = slice_trim(slice_cut(rest, '\n', &rest));

        h.fields[h.count++] = (struct http_field){slice_from("Cookie"), line};
    }
    char *before = others_of(&h);
    size_t n = cookie_take(&h, NAME, out, sizeof out);
    char *after = others_of(&h);

    check_values(out, n, sizeof out);
    must(strcmp(before, after) == 0);
    for (size_t i = 0; i < h.count; i++) {
        struct slice left = h.fields[i].value;

        while (left.p != NULL)
            must(!is_ours(slice_cut(left, ';', &left)));
    }
    free(before);
    free(after);
    free(copy);
    return 0;
}
