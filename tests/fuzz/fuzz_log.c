/* SPDX-License-Identifier: MIT */
/*
 * base/log_format. Input: a byte for form, style and level, a byte for where it is cut into fields,
 * then the message and values, which a client may have chosen. Oracles: it is one line, ended by
 * the only newline in it; no control character, no escape of a terminal and nothing that is not
 * UTF-8 is in it; a second attempt with the room that the first asked for gives the same; without
 * room nothing is written behind it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_format.h"
#include "base/utf8.h"

#define FIELDS 6
#define GUARD 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_line(const char *p, size_t n)
{
    must(n > 0 && p[n - 1] == '\n');
    must(memchr(p, '\n', n - 1) == NULL);
    must(utf8_valid((const uint8_t *)p, n));
    for (size_t i = 0; i + 1 < n; i++)
        must((unsigned char)p[i] >= 0x20 && p[i] != 0x7f);
}

static size_t split(const uint8_t *data, size_t size, uint8_t seed, struct log_field f[FIELDS])
{
    static const char *const names[FIELDS] = {"client", "path", "user", "reason", "id", "rtt_ms"};
    size_t n = 0, piece = size / FIELDS + 1;

    for (size_t at = 0; at < size && n < 4; at += piece, n++) {
        size_t len = size - at < piece ? size - at : piece;

        f[n] = LOG_S(names[n], slice_of((const char *)data + at, len));
    }
    f[n++] = LOG_I(names[4], seed);
    f[n++] = LOG_F(names[5], seed / 7.0);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_field fields[FIELDS];
    struct log_format_line line = {.msg = "request refused", .now = {.tv_sec = 1000000}};
    struct log_text counted = {0}, text;
    char *room;

    if (size < 2)
        return 0;
    line.format = data[0] & 1 ? LOG_JSON : LOG_TEXT;
    line.style = (enum log_style)((data[0] >> 1) % 3);
    line.level = (enum log_level)((data[0] >> 3) % 4);
    line.fields = fields;
    line.n = split(data + 2, size - 2, data[1], fields);
    log_format_put(&counted, &line);
    room = malloc(counted.len + GUARD);
    must(room != NULL);
    memset(room, 0x55, counted.len + GUARD);
    text = (struct log_text){.p = room, .cap = counted.len};
    log_format_put(&text, &line);
    must(text.len == counted.len);
    for (size_t i = 0; i < GUARD; i++)
        must(room[counted.len + i] == 0x55);
    check_line(room, text.len);
    free(room);
    return 0;
}
