/* SPDX-License-Identifier: MIT */
#include "proto/cookie.h"

#include <stdio.h>
#include <string.h>

#define MAC_LETTERS 43 /* of 32 bytes */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* base64url without padding (RFC 4648, section 5). The length of the text. */
static size_t encode(const void *bytes, size_t n, char *out)
{
    const uint8_t *p = bytes;
    uint32_t bits = 0;
    unsigned count = 0;
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (count += 8; count >= 6; count -= 6)
            out[len++] = letters[bits >> (count - 6) & 63];
    }
    if (count > 0)
        out[len++] = letters[bits << (6 - count) & 63];
    return len;
}

/* The number of bytes; 0 for what is no such text, does not fit, or has another spelling. */
static size_t cookie_decode(struct slice text, uint8_t *out, size_t size)
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t n = 0;

    if (text.len == 0 || text.len % 4 == 1 || text.len / 4 * 3 + (text.len % 4 + 1) / 2 > size + 1)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *letter = memchr(letters, text.p[i], sizeof letters - 1);

        if (letter == NULL)
            return 0;
        bits = bits << 6 | (uint32_t)(letter - letters);
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        if (n == size)
            return 0;
        out[n++] = (uint8_t)(bits >> count);
    }
    return (bits & ((1U << count) - 1)) == 0 ? n : 0;
}

static bool read_until(struct slice text, uint64_t *until)
{
    *until = 0;
    if (text.len == 0 || text.len > 10 || text.p[0] == '0')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        *until = *until * 10 + (uint64_t)(text.p[i] - '0');
    }
    return true;
}

bool cookie_read(struct slice text, struct cookie *c)
{
    struct slice rest, who, mac, until = slice_cut(text, '.', &rest);

    memset(c, 0, sizeof *c);
    if (rest.p == NULL || !read_until(until, &c->until))
        return false;
    who = slice_cut(rest, '.', &mac);
    c->who_len = cookie_decode(who, (uint8_t *)c->who, COOKIE_WHO_MAX);
    return c->who_len > 0 && mac.len == MAC_LETTERS &&
           cookie_decode(mac, c->mac, sizeof c->mac) == sizeof c->mac;
}

size_t cookie_write(const struct cookie *c, char out[COOKIE_TEXT_MAX])
{
    size_t n = (size_t)sprintf(out, "%llu.", (unsigned long long)c->until);

    n += encode(c->who, c->who_len, out + n);
    out[n++] = '.';
    n += encode(c->mac, sizeof c->mac, out + n);
    out[n] = '\0';
    return n;
}

/* The value of a cookie of that name. */
static bool is_named(struct slice part, const char *name, struct slice *value)
{
    struct slice found = slice_cut(slice_trim(part), '=', value);

    return value->p != NULL && slice_is(slice_trim(found), name);
}

static size_t cookie_keep(struct slice value, char *out, size_t room)
{
    if (value.len + 1 > room)
        return 0;
    if (value.len > 0)
        memcpy(out, value.p, value.len);
    out[value.len] = '\0';
    return value.len + 1;
}

static bool has_one(struct slice rest, const char *name)
{
    struct slice value;

    while (rest.p != NULL) {
        if (is_named(slice_cut(rest, ';', &rest), name, &value))
            return true;
    }
    return false;
}

static size_t take_from(struct http_field *f, const char *name, char *kept, size_t room)
{
    char *begin = (char *)(uintptr_t)f->value.p, *out = begin; /* the front's own memory */
    struct slice rest = f->value, part, value;
    size_t before = f->value.len, n = 0;

    if (!has_one(rest, name))
        return 0;
    while (rest.p != NULL) {
        part = slice_cut(rest, ';', &rest);
        if (slice_trim(part).len == 0)
            continue; /* two semicolons would be left of it */
        if (is_named(part, name, &value)) {
            n += cookie_keep(slice_trim(value), kept + n, room - n);
            continue;
        }
        if (out != begin)
            *out++ = ';';
        if (part.len > 0)
            memmove(out, part.p, part.len);
        out += part.len;
    }
    f->value = slice_trim(slice_of(begin, (size_t)(out - begin)));
    secret_wipe(slice_of(out, before - (size_t)(out - begin)));
    return n;
}

size_t cookie_take(struct http_head *h, const char *name, char *out, size_t max)
{
    size_t n = 0, left = 0;

    for (size_t i = 0; i < h->count; i++) {
        struct http_field *f = &h->fields[i];
        bool is_cookie = slice_eq_nocase(f->name, slice_from("Cookie")) && f->value.len > 0;

        if (is_cookie)
            n += take_from(f, name, out + n, max - n);
        if (!is_cookie || f->value.len > 0)
            h->fields[left++] = *f;
    }
    h->count = left;
    return n;
}
