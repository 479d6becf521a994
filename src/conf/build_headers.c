/* SPDX-License-Identifier: MIT */
#include "conf/build_headers.h"

#include <stdio.h>
#include <string.h>

#include "proto/handshake.h"

#define HANDSHAKE_FIELDS "Sec-WebSocket-"

/*
 * What an answer says of itself, and a second field could only contradict. Cache-Control is not
 * here: the operator's takes the place of ours. Nor is what adds up with ours (Vary,
 * Content-Security-Policy).
 */
static const char *const ours[] = {
    "Accept-Ranges",
    "Allow",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "WWW-Authenticate",
    "X-Content-Type-Options",
};

static bool build_headers_is_ours(struct slice name)
{
    const size_t n = sizeof HANDSHAKE_FIELDS - 1;

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (slice_eq_nocase(name, slice_from(ours[i])))
            return true;
    }
    return name.len > n && slice_eq_nocase(slice_of(name.p, n), slice_from(HANDSHAKE_FIELDS));
}

/* Printable ASCII with blanks inside only (RFC 9110, section 5.5, without what is obsolete). */
static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < ' ' || value.p[i] > '~')
            return false;
    }
    return value.len > 0 && slice_trim(value).len == value.len;
}

static const char *build_headers_judge(struct slice name, struct slice value)
{
    if (!handshake_is_token(name))
        return "this is no name of a header field";
    if (build_headers_is_ours(name))
        return "wsluice says this field itself";
    if (!is_value(value))
        return "a value is printable ASCII, with no blank at its begin or end";
    return NULL;
}

bool build_headers(struct route *r, char why[BUILD_ERROR_MAX])
{
    const struct text_list *list = &r->settings.headers;
    char lines[ROUTE_HEADERS_MAX + 1];
    size_t n = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct slice value, name = slice_cut(slice_from(list->items[i]), '=', &value);
        const char *wrong = build_headers_judge(name, value);

        if (wrong == NULL && n + name.len + value.len + 4 > ROUTE_HEADERS_MAX)
            wrong = "all fields together have more than 8 KiB";
        if (wrong != NULL) {
            snprintf(why, BUILD_ERROR_MAX, "\"%.150s\": %s", list->items[i], wrong);
            return false;
        }
        n += (size_t)sprintf(lines + n, "%.*s: %.*s\r\n", (int)name.len, name.p, (int)value.len,
                             value.p);
        r->sets_cache |= slice_eq_nocase(name, slice_from("Cache-Control"));
    }
    if (n == 0)
        return true;
    r->headers = arena_dup(&r->config->arena, slice_of(lines, n));
    if (r->headers == NULL)
        snprintf(why, BUILD_ERROR_MAX, "out of memory");
    return r->headers != NULL;
}
