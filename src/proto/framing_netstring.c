/* SPDX-License-Identifier: MIT */
/* netstring: "5:hello," both ways (cr.yp.to/proto/netstrings.txt). */
#include "proto/framing.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/ws.h"

enum step { STEP_FIRST_DIGIT, STEP_DIGITS, STEP_BODY };

static size_t netstring_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)opcode;
    return (size_t)snprintf((char *)out, FRAMING_PREFIX_MAX, "%" PRIu64 ":", len);
}

static size_t netstring_suffix(uint8_t out[FRAMING_SUFFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)len;
    (void)opcode;
    out[0] = ',';
    return 1;
}

/* Walks over the length; *at comes to stand behind the colon, or behind the chunk. NULL, or what is
 * wrong. */
static const char *read_length(struct framing_state *st, const uint8_t *p, size_t n, size_t *at)
{
    while (*at < n && st->step != STEP_BODY) {
        uint8_t c = p[(*at)++];

        if (c == ':' && st->step == STEP_DIGITS) {
            st->step = STEP_BODY;
        } else if (c < '0' || c > '9') {
            return st->step == STEP_DIGITS ? "no colon behind a netstring's length"
                                           : "a netstring does not begin with its length";
        } else if (st->step == STEP_DIGITS && st->left == 0) {
            return "a netstring's length begins with 0";
        } else {
            st->left = framing_add_digit(st->left, c);
            st->step = STEP_DIGITS;
        }
    }
    return NULL;
}

static bool netstring_cut(struct framing_state *st, const uint8_t *p, size_t n,
                          struct framing_cut *cut)
{
    size_t at = 0;

    *cut = (struct framing_cut){0};
    cut->why = read_length(st, p, n, &at);
    if (cut->why != NULL)
        return false;
    if (st->step != STEP_BODY) {
        cut->skip = at;
        cut->size = st->left;
        return true;
    }
    if (!framing_take_body(st, at, n, cut) || at + cut->body == n)
        return true; /* the comma is still to come, too */
    if (p[at + cut->body] != ',') {
        cut->why = "no comma behind a netstring";
        return false;
    }
    cut->drop = 1;
    cut->end = true;
    *st = (struct framing_state){0};
    return true;
}

const struct framing framing_netstring = {
    .name = "netstring",
    .assembles = true,
    .opcode_out = WS_BINARY,
    .prefix = netstring_prefix,
    .suffix = netstring_suffix,
    .cut = netstring_cut,
};
