/* SPDX-License-Identifier: MIT */
#include "proto/path.h"

static int path_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that "%XX" at p means; -1: none. */
static int escaped(const char *p, size_t left)
{
    int high = left > 2 ? path_hex_digit(p[1]) : -1;
    int low = left > 2 ? path_hex_digit(p[2]) : -1;

    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool unescape(char *out, struct slice raw, const char **why)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int c = (unsigned char)raw.p[i];

        if (c == '%') {
            c = escaped(raw.p + i, raw.len - i);
            i += 2;
            *why = c == '/' ? "an escaped slash in the path" : "a broken %-escape in the path";
            if (c <= 0 || c == '/')
                return false;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

/* NULL, or what is wrong with the segment of n bytes; last: nothing follows it. */
static const char *judge_segment(const char *segment, size_t n, bool last)
{
    if (n == 0 && !last)
        return "an empty segment (two slashes side by side) in the path";
    if ((n == 1 || (n == 2 && segment[1] == '.')) && segment[0] == '.')
        return "dot segments in the path";
    return NULL;
}

bool path_make(char *out, struct slice raw, const char **why)
{
    const char *wrong = NULL;

    if (!unescape(out, raw, why))
        return false;
    for (const char *p = out; wrong == NULL && *p == '/';) {
        size_t n = strcspn(++p, "/");

        wrong = judge_segment(p, n, p[n] == '\0');
        p += n;
    }
    if (wrong != NULL)
        *why = wrong;
    return wrong == NULL;
}
