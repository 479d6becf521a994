/* SPDX-License-Identifier: MIT */
#include "proto/authority.h"

static bool is_name(struct slice s)
{
    static const char others[] = "-._~%!$&'()*+;=";

    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!alnum && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return s.len > 0;
}

static bool is_bracketed(struct slice s)
{
    if (s.len < 4 || s.p[s.len - 1] != ']')
        return false;
    for (size_t i = 1; i < s.len - 1; i++) {
        if (strchr("0123456789abcdefABCDEF:.", s.p[i]) == NULL || s.p[i] == '\0')
            return false;
    }
    return true;
}

static bool parse_port(struct slice s, uint16_t *port)
{
    unsigned n = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (unsigned)(s.p[i] - '0');
        if (n > UINT16_MAX)
            return false;
    }
    *port = (uint16_t)n;
    return true;
}

bool authority_split(struct slice text, struct slice *host, uint16_t *port)
{
    size_t end = text.len;
    struct slice digits = {NULL, 0};

    /* The last colon that is not inside brackets. An empty port, "host:", is none. */
    for (size_t i = text.len; i > 0 && text.p[i - 1] != ']'; i--) {
        if (text.p[i - 1] == ':') {
            end = i - 1;
            digits = slice_of(text.p + i, text.len - i);
            break;
        }
    }
    *host = slice_of(text.p, end);
    if (end > 0 && text.p[0] == '[')
        return is_bracketed(*host) && parse_port(digits, port);
    return is_name(*host) && parse_port(digits, port);
}
