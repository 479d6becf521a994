/* SPDX-License-Identifier: MIT */
/*
 * datagram: a message is a datagram, never merged, never split, and possibly empty. Between the
 * session and a backend of datagrams each travels behind its length, 4 bytes big-endian, so that
 * several leave in one call. Nobody outside sees these lengths. Chunks hold whole datagrams only:
 * the backend makes them.
 */
#include "proto/framing.h"

#include "proto/ws.h"

#define LENGTH_SIZE 4U

static size_t datagram_prefix(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode)
{
    (void)opcode;
    for (size_t i = 0; i < LENGTH_SIZE; i++)
        out[i] = (uint8_t)(len >> (8 * (LENGTH_SIZE - 1 - i)));
    return LENGTH_SIZE;
}

static bool datagram_cut(struct framing_state *st, const uint8_t *p, size_t n,
                         struct framing_cut *cut)
{
    size_t len = 0;
    (void)st;

    *cut = (struct framing_cut){.skip = LENGTH_SIZE, .end = true, .why = "a piece of a datagram"};
    if (n < LENGTH_SIZE)
        return false;
    for (size_t i = 0; i < LENGTH_SIZE; i++)
        len = len << 8 | p[i];
    cut->body = len;
    return len <= n - LENGTH_SIZE;
}

const struct framing framing_datagram = {
    .name = "datagram",
    .assembles = true,
    .datagrams = true,
    .opcode_out = WS_BINARY,
    .prefix = datagram_prefix,
    .cut = datagram_cut,
};
