/* SPDX-License-Identifier: MIT */
#include "backend/token_file.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "proto/secret.h"

static bool broken(struct token_target *t, const char *name, const char *why)
{
    t->broken = true;
    snprintf(t->why, sizeof t->why, "%.120s: %s", name, why);
    return false;
}

/* "HOST:PORT", split at the last colon: an IPv6 address may stand there with brackets or without.
 */
static bool split_target(struct slice to, struct slice *host, uint16_t *port)
{
    const char *colon = to.len > 0 ? memrchr(to.p, ':', to.len) : NULL;
    struct slice before, none;
    union addr address;

    if (colon == NULL)
        return false;
    before = slice_of(to.p, (size_t)(colon - to.p));
    if (before.len == 0 || before.p[0] == '[' || memchr(before.p, ':', before.len) == NULL)
        return addr_split(to, host, port) == NULL;
    *host = before;
    return addr_parse_host(before, 0, &address) &&
           addr_split(slice_of(colon + 1, to.len - before.len - 1), &none, port) == NULL;
}

static bool set_target(struct slice to, struct token_target *t)
{
    struct slice host = to;

    t->is_unix = slice_starts(to, "unix:");
    if (t->is_unix) {
        host = slice_of(to.p + 5, to.len - 5);
        t->port = 0;
    } else {
        if (slice_starts(to, "tcp://"))
            to = slice_of(to.p + 6, to.len - 6);
        if (!split_target(to, &host, &t->port) || t->port == 0)
            return false;
        if (host.len > 1 && host.p[0] == '[')
            host = slice_of(host.p + 1, host.len - 2);
    }
    if (host.len == 0 || host.len >= (t->is_unix ? 108 : sizeof t->host) ||
        memchr(host.p, '\0', host.len) != NULL)
        return false;
    memcpy(t->host, host.p, host.len);
    t->host[host.len] = '\0';
    return true;
}

/* A token ends at the first colon with a blank behind it, so it may have colons itself; where there
 * is none such, at the first. */
static struct slice cut_token(struct slice line, struct slice *to)
{
    for (size_t i = 0; i + 1 < line.len; i++) {
        if (line.p[i] == ':' && (line.p[i + 1] == ' ' || line.p[i + 1] == '\t')) {
            *to = slice_of(line.p + i + 1, line.len - i - 1);
            return slice_of(line.p, i);
        }
    }
    return slice_cut(line, ':', to);
}

bool token_file_line(struct slice line, struct slice token, struct token_target *t)
{
    struct slice to, name;

    line = slice_trim(line);
    if (line.len > 0 && line.p[line.len - 1] == '\r')
        line = slice_trim(slice_of(line.p, line.len - 1));
    if (line.len == 0 || line.p[0] == '#')
        return false;
    name = slice_trim(cut_token(line, &to));
    if (token.len == 0 || name.len != token.len || !secret_equal(name.p, token.p, token.len))
        return false;
    if (to.p != NULL && set_target(slice_trim(to), t))
        return true;
    return broken(t, "the token's line", "write TOKEN: HOST:PORT or TOKEN: unix:PATH");
}
