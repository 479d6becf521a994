/* SPDX-License-Identifier: MIT */
#include "core/template.h"

#include <string.h>

/* Bytes of "{name}" at p; 0 when there is none. */
static size_t place_at(const char *p)
{
    size_t n;

    if (p[0] != '{' || p[1] < 'a' || p[1] > 'z')
        return 0;
    n = 1 + strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return p[n] == '}' ? n + 1 : 0;
}

/* Bytes of "{{name}}" at p; 0 when there is none. */
static size_t quoted_at(const char *p)
{
    size_t n = p[0] == '{' ? place_at(p + 1) : 0;

    return n > 0 && p[1 + n] == '}' ? n + 2 : 0;
}

enum template_piece template_next(const char **rest, struct slice *piece)
{
    const char *p = *rest;
    size_t n = quoted_at(p);

    if (n > 0) {
        *piece = slice_of(p + 1, n - 2);
        *rest = p + n;
        return TEMPLATE_TEXT;
    }
    n = place_at(p);
    if (n > 0) {
        *piece = slice_of(p + 1, n - 2);
        *rest = p + n;
        return TEMPLATE_NAME;
    }
    while (*p != '\0' && (p == *rest || (place_at(p) == 0 && quoted_at(p) == 0)))
        p++;
    *piece = slice_of(*rest, (size_t)(p - *rest));
    *rest = p;
    return piece->len > 0 ? TEMPLATE_TEXT : TEMPLATE_END;
}

const char *template_quote(const char *text, struct arena *arena)
{
    char *out = arena_alloc(arena, 2 * strlen(text) + 1);
    size_t n = 0;

    while (out != NULL && *text != '\0') {
        size_t place = place_at(text);

        if (place == 0) {
            out[n++] = *text++;
            continue;
        }
        out[n++] = '{';
        memcpy(out + n, text, place);
        n += place;
        out[n++] = '}';
        text += place;
    }
    return out;
}
