/* SPDX-License-Identifier: MIT */
/*
 * tagged: a type byte, four bytes of length (most significant first), then the message, both ways,
 * so that borders and types are kept.
 *
 *   1 text, 2 binary   a message of that type (WebSocket's own numbers)
 *   3 stderr           from the backend: goes the way of its stderr
 *   4 end              to the backend: the client has ended in order; from it: nothing follows
 */
#include "proto/framing.h"
#include "proto/ws.h"

#define HEADER 5

enum type { TYPE_TEXT = 1, TYPE_BINARY, TYPE_STDERR, TYPE_END };

static const struct {
    uint8_t opcode, what;
} types[] = {
    [TYPE_TEXT] = {WS_TEXT, FRAMING_MESSAGE},
    [TYPE_BINARY] = {WS_BINARY, FRAMING_MESSAGE},
    [TYPE_STDERR] = {0, FRAMING_STDERR},
    [TYPE_END] = {0, FRAMING_END},
};

static size_t tagged_put(uint8_t *out, uint64_t len, enum type type)
{
    out[0] = (uint8_t)type;
    for (unsigned i = 1; i < HEADER; i++)
        out[i] = (uint8_t)(len >> 8 * (HEADER - 1 - i));
    return HEADER;
}

static size_t tagged_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    return tagged_put(out, len, opcode == WS_TEXT ? TYPE_TEXT : TYPE_BINARY);
}

static size_t tagged_farewell(uint8_t out[FRAMING_PREFIX_MAX])
{
    return tagged_put(out, 0, TYPE_END);
}

/* st->step is the type. */
static bool tagged_cut(struct framing_state *st, const uint8_t *p, size_t n,
                       struct framing_cut *cut)
{
    size_t at = 0;

    *cut = (struct framing_cut){0};
    if (st->used == 0) {
        if (p[0] < TYPE_TEXT || p[0] > TYPE_END) {
            cut->why = "a record of unknown type";
            return false;
        }
        st->step = p[at++];
        st->used = 1;
    }
    cut->opcode = types[st->step].opcode;
    cut->what = types[st->step].what;
    for (; at < n && st->used < HEADER; at++, st->used++)
        st->left = st->left << 8 | p[at];
    if (st->used < HEADER) {
        cut->skip = at;
        return true;
    }
    if (st->step == TYPE_END && st->left > 0) {
        cut->why = "an end record that is not empty";
        return false;
    }
    cut->end = framing_take_body(st, at, n, cut);
    if (cut->end)
        *st = (struct framing_state){0};
    return true;
}

const struct framing framing_tagged = {
    .name = "tagged",
    .assembles = true,
    .typed = true,
    .opcode_out = WS_TEXT,
    .prefix = tagged_prefix,
    .farewell = tagged_farewell,
    .cut = tagged_cut,
};
