/* SPDX-License-Identifier: MIT */
#include "core/admission/origin.h"

#include <string.h>

#include "proto/authority.h"

const char *origin_judge(const char *item)
{
    const char *host = strstr(item, "://"), *dot;

    if (strcmp(item, "any") == 0 || strcmp(item, "null") == 0)
        return NULL;
    if (host == NULL || host == item) /* "file://" has no host (RFC 6454, section 6.2) */
        return "an origin has a scheme and a host, as https://example.org; or write any";
    host += 3;
    if (strncmp(host, "*.", 2) == 0) {
        host += 2;
        dot = strchr(host, '.');
        if (dot == NULL || dot == host || dot[1] == '\0' || strstr(host, "..") != NULL)
            return "a star stands for what is below a name of at least two labels, as "
                   "https://*.example.org";
    }
    if (strpbrk(host, "/?#@* ") != NULL)
        return "an origin has no path, and a star only as https://*.example.org; or write any";
    return NULL;
}

bool origin_any(const struct text_list *origins)
{
    for (size_t i = 0; i < origins->count; i++) {
        if (strcmp(origins->items[i], "any") == 0)
            return true;
    }
    return false;
}

/* Cuts "https://" off. */
static struct slice cut_scheme(struct slice origin, struct slice *scheme)
{
    size_t n = 0;

    while (n + 3 <= origin.len && memcmp(origin.p + n, "://", 3) != 0)
        n++;
    n = n + 3 <= origin.len ? n + 3 : 0;
    *scheme = slice_of(origin.p, n);
    return slice_of(origin.p + n, origin.len - n);
}

static bool item_has(struct slice item, struct slice origin)
{
    struct slice item_scheme, scheme, item_host, host;
    struct slice item_place = cut_scheme(item, &item_scheme), place = cut_scheme(origin, &scheme);
    uint16_t item_port, port;

    if (!slice_starts(item_place, "*."))
        return slice_eq_nocase(item, origin);
    return slice_eq_nocase(item_scheme, scheme) &&
           authority_split(item_place, &item_host, &item_port) &&
           authority_split(place, &host, &port) && item_port == port &&
           memchr(host.p, '*', host.len) == NULL &&
           authority_is_below(host, slice_of(item_host.p + 1, item_host.len - 1));
}

bool origin_listed(const struct text_list *origins, struct slice origin)
{
    for (size_t i = 0; i < origins->count; i++) {
        if (item_has(slice_from(origins->items[i]), origin))
            return true;
    }
    return false;
}

bool origin_names_host(const struct text_list *origins, struct slice name)
{
    struct slice scheme, host;
    uint16_t port;

    for (size_t i = 0; i < origins->count; i++) {
        struct slice place = cut_scheme(slice_from(origins->items[i]), &scheme);

        if (scheme.len > 0 && authority_split(place, &host, &port) && authority_has(host, name))
            return true;
    }
    return false;
}
