/* SPDX-License-Identifier: MIT */
/*
 * proto/hub. Input: any bytes. Oracles:
 * - what a client says is lines that all begin with its number, hold no end of a line, and are the
 *   input but for its ends; what is announced as their length is it;
 * - who comes is one line of four fields, whatever its name holds;
 * - a line of the program that is understood is, put together again, the line.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool is_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

static void check_says(const uint8_t *p, size_t n)
{
    size_t len = hub_write_lines(NULL, 42, p, n), at = 0;
    uint8_t *out = malloc(len + 1);

    must(out != NULL && hub_write_lines(out, 42, p, n) == len);
    must(len == 0 || out[len - 1] == '\n');
    for (size_t i = 0; i < len;) {
        must(len - i >= 4 && memcmp(out + i, "42 ", 3) == 0);
        for (i += 3; out[i] != '\n'; i++) {
            must(!is_end(out[i]) && at < n && p[at] == out[i]);
            at++;
        }
        i++;
        must(at == n ? i == len : is_end(p[at]));
        if (at < n)
            at += at + 1 < n && p[at] == '\r' && p[at + 1] == '\n' ? 2 : 1;
    }
    must(at == n);
    free(out);
}

static void check_came(const uint8_t *p, size_t n)
{
    char *name = malloc(n + 1);
    uint8_t *out;
    size_t len, blanks = 0;

    must(name != NULL);
    if (n > 0)
        memcpy(name, p, n);
    name[n] = 0;
    len = hub_write_came(NULL, 42, name, name);
    out = malloc(len);
    must(out != NULL && hub_write_came(out, 42, name, name) == len);
    for (size_t i = 0; i + 1 < len; i++) {
        must(out[i] >= ' ' && out[i] < 0x7F);
        must(out[i] != ' ' || out[i + 1] != ' ');
        blanks += out[i] == ' ';
    }
    must(blanks == 3 && out[len - 1] == '\n' && out[len - 2] != ' ');
    free(out);
    free(name);
}

static void check_line(const uint8_t *p, size_t n)
{
    struct slice all = slice_of((const char *)p, n);
    struct hub_line line = hub_read(all);
    size_t count = 0, commas = 0;
    uint64_t id;

    if (line.kind == HUB_UNKNOWN)
        return;
    must(line.text.len <= n && line.text.p + line.text.len == all.p + n);
    for (size_t i = 0; i < line.ids.len; i++)
        commas += line.ids.p[i] == ',';
    must((line.kind == HUB_ALL) == (line.ids.len == 0));
    must(line.kind != HUB_CLOSE || line.text.len == 0);
    while (hub_next_id(&line.ids, &id))
        count++;
    must(line.kind == HUB_ALL ? count == 0 : count == commas + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1); /* for ASan */

    must(exact != NULL);
    if (size > 0)
        memcpy(exact, data, size);
    check_says(exact, size);
    check_came(exact, size);
    check_line(exact, size);
    free(exact);
    return 0;
}
