/* SPDX-License-Identifier: MIT */
/*
 * len32: four bytes of length, then the message, both ways. Most significant byte first; in
 * len32le least significant first, as browsers' native messaging has it on nearly all machines.
 */
#include "proto/framing.h"
#include "proto/ws.h"

#define HEADER 4

/* Where byte i of the header stands in the number. */
static unsigned shift(bool little, unsigned i)
{
    return 8 * (little ? i : HEADER - 1 - i);
}

static size_t len32_put(uint8_t *out, uint64_t len, bool little)
{
    for (unsigned i = 0; i < HEADER; i++)
        out[i] = (uint8_t)(len >> shift(little, i));
    return HEADER;
}

static bool len32_take(struct framing_state *st, const uint8_t *p, size_t n,
                       struct framing_cut *cut, bool little)
{
    size_t at = 0;

    *cut = (struct framing_cut){0};
    for (; at < n && st->used < HEADER; at++, st->used++)
        st->left |= (uint32_t)p[at] << shift(little, st->used);
    if (st->used < HEADER) {
        cut->skip = at;
        return true;
    }
    cut->end = framing_take_body(st, at, n, cut);
    if (cut->end)
        *st = (struct framing_state){0};
    return true;
}

static size_t len32_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)opcode;
    return len32_put(out, len, false);
}

static size_t len32le_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)opcode;
    return len32_put(out, len, true);
}

static bool len32_cut(struct framing_state *st, const uint8_t *p, size_t n, struct framing_cut *cut)
{
    return len32_take(st, p, n, cut, false);
}

static bool len32le_cut(struct framing_state *st, const uint8_t *p, size_t n,
                        struct framing_cut *cut)
{
    return len32_take(st, p, n, cut, true);
}

const struct framing framing_len32 = {
    .name = "len32",
    .assembles = true,
    .opcode_out = WS_BINARY,
    .prefix = len32_prefix,
    .cut = len32_cut,
};

const struct framing framing_len32le = {
    .name = "len32le",
    .assembles = true,
    .opcode_out = WS_BINARY,
    .prefix = len32le_prefix,
    .cut = len32le_cut,
};
