/* SPDX-License-Identifier: MIT */
/*
 * proto/authority. Input: an authority, or a pattern, a newline and a name. Oracles:
 * - what is split stands in the text, begins it, and with its port makes it up again;
 * - a host that was split has no character that ends it for others: no blank, slash, at sign,
 *   question mark, number sign, backslash, control or zero byte;
 * - a pattern has a name whatever the case of either; below a pattern is never the pattern's own
 *   host; the name has the pattern's end;
 * - what is an address for us is none of the names that we trust as localhost.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/authority.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_split(struct slice text)
{
    struct slice host = {NULL, 0}, again;
    uint16_t port = 0, port_again;
    char line[1024];

    if (!authority_split(text, &host, &port) || host.len > 512)
        return;
    must(host.len > 0 && host.p == text.p && host.len <= text.len);
    for (size_t i = 0; i < host.len; i++) {
        must((unsigned char)host.p[i] > ' ' && host.p[i] != 0x7f);
        must(strchr("/@?#\\\"<>,", host.p[i]) == NULL);
    }
    must(host.len == text.len || text.p[host.len] == ':');
    for (size_t i = host.len + 1; i < text.len; i++)
        must(text.p[i] >= '0' && text.p[i] <= '9');
    int n = snprintf(line, sizeof line, "%.*s:%u", (int)host.len, host.p, port);
    must(authority_split(slice_of(line, (size_t)n), &again, &port_again));
    must(slice_eq(again, host) && port_again == port);
    must(authority_split(host, &again, &port_again) && slice_eq(again, host) && port_again == 0);
}

static char *swapped(struct slice s)
{
    char *copy = slice_dup(s);

    must(copy != NULL);
    for (size_t i = 0; i < s.len; i++) {
        if ((copy[i] | 0x20) >= 'a' && (copy[i] | 0x20) <= 'z')
            copy[i] ^= 0x20;
    }
    return copy;
}

static void check_pattern(struct slice pattern, struct slice name)
{
    char *other = swapped(name);
    bool has = authority_has(pattern, name);

    must(authority_has(pattern, slice_of(other, name.len)) == has);
    if (has && slice_starts(pattern, "*.")) {
        struct slice dotted = slice_of(pattern.p + 1, pattern.len - 1);

        must(name.len > dotted.len && name.p[0] != '.');
        must(slice_eq_nocase(slice_of(name.p + name.len - dotted.len, dotted.len), dotted));
    } else if (has) {
        must(slice_eq_nocase(pattern, name));
    }
    free(other);
}

static void check_name(struct slice name)
{
    struct slice plain = authority_plain(name);

    must(plain.len == name.len || (plain.len + 1 == name.len && name.p[plain.len] == '.'));
    must(!(authority_is_address(name) && authority_is_localhost(name)));
    if (authority_is_localhost(name)) {
        must(plain.len >= 9);
        must(slice_eq_nocase(slice_of(plain.p + plain.len - 9, 9), slice_from("localhost")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text, name;
    char *copy = malloc(size > 0 ? size : 1); /* exactly that much, for ASan */

    must(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    text = slice_of(copy, size);
    check_split(text);
    check_name(text);
    struct slice pattern = slice_cut(text, '\n', &name);
    if (name.p != NULL)
        check_pattern(pattern, name);
    free(copy);
    return 0;
}
