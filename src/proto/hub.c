/* SPDX-License-Identifier: MIT */
#include "proto/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- from the program ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of "7" or "7,9" in front; 0: that is not what stands there. */
static size_t ids_len(struct slice s)
{
    size_t at = 0, from;

    for (;;) {
        for (from = at; at < s.len && is_digit(s.p[at]); at++)
            ;
        if (at == from || at - from > HUB_ID_MAX)
            return 0;
        if (at == s.len || s.p[at] != ',')
            return at;
        at++;
    }
}

static struct slice behind(struct slice s, size_t n)
{
    return slice_of(s.p + n, s.len - n);
}

/* Numbers, then a blank and text, or nothing. */
static struct hub_line read_addressed(struct slice rest, enum hub_kind kind)
{
    size_t n = ids_len(rest);
    bool ends = n == rest.len;

    if (n == 0 || !(ends || rest.p[n] == ' ') || (kind == HUB_CLOSE && !ends))
        return (struct hub_line){.kind = HUB_UNKNOWN};
    return (struct hub_line){
        .kind = kind,
        .ids = slice_of(rest.p, n),
        .text = behind(rest, ends ? n : n + 1),
    };
}

struct hub_line hub_read(struct slice line)
{
    char first = line.len > 0 ? line.p[0] : 0;
    bool blank = line.len > 1 && line.p[1] == ' ';

    if (first == '*' && (blank || line.len == 1))
        return (struct hub_line){.kind = HUB_ALL, .text = behind(line, blank ? 2 : 1)};
    if (first == '!')
        return read_addressed(behind(line, 1), HUB_ALL_BUT);
    if (first == '-' && blank)
        return read_addressed(behind(line, 2), HUB_CLOSE);
    return read_addressed(line, HUB_SOME);
}

bool hub_next_id(struct slice *ids, uint64_t *id)
{
    size_t n = 0;

    if (ids->len == 0)
        return false;
    for (*id = 0; n < ids->len && is_digit(ids->p[n]); n++) {
        uint64_t digit = (uint64_t)(ids->p[n] - '0');

        *id = *id > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *id * 10 + digit;
    }
    *ids = behind(*ids, n < ids->len ? n + 1 : n);
    return true;
}

/* ---- to the program ---- */

/* Bytes up to the end of the first line; *end: bytes of that end. */
static size_t line_len(const uint8_t *p, size_t n, size_t *end)
{
    const uint8_t *nl = memchr(p, '\n', n);
    size_t len = nl != NULL ? (size_t)(nl - p) : n;
    const uint8_t *cr = memchr(p, '\r', len);

    *end = nl != NULL;
    if (cr != NULL) {
        len = (size_t)(cr - p);
        *end = cr + 1 == nl ? 2 : 1;
    }
    return len;
}

size_t hub_write_lines(uint8_t *out, uint64_t id, const uint8_t *p, size_t n)
{
    char name[HUB_ID_MAX + 2];
    size_t before = (size_t)snprintf(name, sizeof name, "%" PRIu64 " ", id), used = 0, end;

    while (n > 0) {
        size_t len = line_len(p, n, &end);

        if (out != NULL) {
            memcpy(out + used, name, before);
            memcpy(out + used + before, p, len);
            out[used + before + len] = '\n';
        }
        used += before + len + 1;
        p += len + end;
        n -= len + end;
    }
    return used;
}

static bool hub_is_plain(char c)
{
    return c > ' ' && c < 0x7F && c != '%';
}

static size_t hub_put_word(uint8_t *out, const char *word)
{
    static const char hex[] = "0123456789ABCDEF";
    bool is_dash = strcmp(word, "-") == 0;
    size_t n = 0;

    for (; *word != 0; word++) {
        bool plain = hub_is_plain(*word) && !is_dash;
        unsigned byte = (uint8_t)*word;

        if (out != NULL && plain) {
            out[n] = (uint8_t)byte;
        } else if (out != NULL) {
            out[n] = '%';
            out[n + 1] = (uint8_t)hex[byte >> 4];
            out[n + 2] = (uint8_t)hex[byte & 15];
        }
        n += plain ? 1 : 3;
    }
    return n;
}

static size_t put_byte(uint8_t *out, size_t at, char c)
{
    if (out != NULL)
        out[at] = (uint8_t)c;
    return 1;
}

/* A field, or "-" for none. */
static size_t put_field(uint8_t *out, size_t at, const char *word)
{
    return *word == 0 ? put_byte(out, at, '-') : hub_put_word(out != NULL ? out + at : NULL, word);
}

size_t hub_write_came(uint8_t *out, uint64_t id, const char *address, const char *user)
{
    char name[HUB_ID_MAX + 4];
    size_t n = (size_t)snprintf(name, sizeof name, "+ %" PRIu64 " ", id);

    if (out != NULL)
        memcpy(out, name, n);
    n += put_field(out, n, address);
    n += put_byte(out, n, ' ');
    n += put_field(out, n, user);
    return n + put_byte(out, n, '\n');
}

size_t hub_write_left(uint8_t *out, uint64_t id)
{
    char line[HUB_ID_MAX + 4];
    size_t n = (size_t)snprintf(line, sizeof line, "- %" PRIu64 "\n", id);

    memcpy(out, line, n);
    return n;
}
