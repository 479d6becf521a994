/* SPDX-License-Identifier: MIT */
#include "proto/coding.h"

#define MOST 1000U /* thousandths */
#define NOT_NAMED (MOST + 1)

/* "0.8" is 800; at most three digits behind the point (RFC 9110, section 12.4.2). */
static unsigned read_weight(struct slice text)
{
    unsigned n = 0, unit = MOST;

    if (text.len == 0 || text.len > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.len > 1 && text.p[1] != '.'))
        return 0;
    n = text.p[0] == '1' ? MOST : 0;
    for (size_t i = 2; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return 0;
        unit /= 10;
        n += (unsigned)(text.p[i] - '0') * unit;
    }
    return n <= MOST ? n : 0;
}

/* Of one element: "gzip;q=0.5". */
static unsigned weight_of(struct slice parameters)
{
    struct slice parameter;

    while (parameters.p != NULL) {
        parameter = slice_trim(slice_cut(parameters, ';', &parameters));
        if (parameter.len >= 2 && (parameter.p[0] == 'q' || parameter.p[0] == 'Q') &&
            parameter.p[1] == '=')
            return read_weight(slice_of(parameter.p + 2, parameter.len - 2));
    }
    return MOST;
}

unsigned coding_weight(const struct http_head *head, const char *coding)
{
    unsigned named = NOT_NAMED, others = NOT_NAMED;
    struct slice list, item, name, rest;
    bool is_identity = slice_is(slice_from(coding), "identity");

    for (size_t i = 0; i < head->count; i++) {
        if (!slice_eq_nocase(head->fields[i].name, slice_from("Accept-Encoding")))
            continue;
        list = head->fields[i].value;
        while (slice_next_item(&list, &item)) {
            name = slice_trim(slice_cut(item, ';', &rest));
            if (slice_eq_nocase(name, slice_from(coding)))
                named = weight_of(rest);
            else if (slice_is(name, "*"))
                others = weight_of(rest);
        }
    }
    if (named != NOT_NAMED)
        return named;
    if (is_identity) /* accepted, but what is named is rather wanted */
        return others == 0 ? 0 : 1;
    return others != NOT_NAMED ? others : 0;
}
