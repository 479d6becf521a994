/* SPDX-License-Identifier: MIT */
/*
 * nul: a message ends with a zero byte, both ways (find -print0, xargs -0). A zero byte inside a
 * client's message is kept, so it reads as two.
 */
#include "proto/framing.h"

#include <string.h>

#include "proto/ws.h"

static size_t nul_suffix(uint8_t out[FRAMING_SUFFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)len;
    (void)opcode;
    out[0] = '\0';
    return 1;
}

static bool nul_cut(struct framing_state *st, const uint8_t *p, size_t n, struct framing_cut *cut)
{
    const uint8_t *zero = memchr(p, '\0', n);
    (void)st;

    *cut = (struct framing_cut){.body = n};
    if (zero != NULL) {
        cut->body = (size_t)(zero - p);
        cut->drop = 1;
        cut->end = true;
    }
    return true;
}

const struct framing framing_nul = {
    .name = "nul",
    .assembles = true,
    .by_mark = true,
    .opcode_out = WS_TEXT,
    .suffix = nul_suffix,
    .cut = nul_cut,
};
