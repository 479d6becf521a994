/* SPDX-License-Identifier: MIT */
#include "proto/path.h"

#include "base/percent.h"

static bool unescape(char *out, struct slice raw, const char **why)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int c = (unsigned char)raw.p[i];

        if (c == '%') {
            c = percent_byte(raw.p + i, raw.len - i);
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
