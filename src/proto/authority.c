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
    if (s.len < 4 || s.p[0] != '[' || s.p[s.len - 1] != ']')
        return false;
    for (size_t i = 1; i < s.len - 1; i++) {
        if (strchr("0123456789abcdefABCDEF:.", s.p[i]) == NULL || s.p[i] == '\0')
            return false;
    }
    return true;
}

static bool authority_parse_port(struct slice s, uint16_t *port)
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
        return is_bracketed(*host) && authority_parse_port(digits, port);
    return is_name(*host) && authority_parse_port(digits, port);
}

bool authority_is_below(struct slice name, struct slice dotted)
{
    return name.len > dotted.len && name.p[0] != '.' &&
           slice_eq_nocase(slice_of(name.p + name.len - dotted.len, dotted.len), dotted);
}

bool authority_has(struct slice pattern, struct slice name)
{
    if (slice_starts(pattern, "*."))
        return authority_is_below(name, slice_of(pattern.p + 1, pattern.len - 1));
    return slice_eq_nocase(pattern, name);
}

struct slice authority_plain(struct slice name)
{
    return name.len > 1 && name.p[name.len - 1] == '.' ? slice_of(name.p, name.len - 1) : name;
}

/* Digits, or 0x and hexadecimal digits. */
static bool authority_is_number(struct slice label)
{
    bool hex = label.len > 1 && label.p[0] == '0' && (label.p[1] | 0x20) == 'x';

    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        char c = label.p[i], letter = (char)(c | 0x20);

        if (!(c >= '0' && c <= '9') && !(hex && letter >= 'a' && letter <= 'f'))
            return false;
    }
    return label.len > 0;
}

bool authority_is_address(struct slice host)
{
    struct slice name = authority_plain(host);
    size_t n = name.len;

    if (is_bracketed(host))
        return true;
    while (n > 0 && name.p[n - 1] != '.')
        n--;
    return authority_is_number(slice_of(name.p + n, name.len - n));
}

bool authority_is_localhost(struct slice host)
{
    struct slice name = authority_plain(host);

    return slice_eq_nocase(name, slice_from("localhost")) ||
           authority_is_below(name, slice_from(".localhost"));
}
