/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_FRAMING_H
#define WSLUICE_PROTO_FRAMING_H

/*
 * A framing says how WebSocket messages become bytes of a pipe or TCP stream, and back. A kind is
 * one file framing_NAME.c that ends in one const struct framing, plus one row in src/tables.c. All
 * are pure.
 *
 * Messages to bytes is always prefix + payload + suffix, so that the payload is never copied: the
 * session places the two around it in the receive buffer. Bytes to messages is a cutter that walks
 * over a chunk.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMING_PREFIX_MAX 48
#define FRAMING_SUFFIX_MAX 4
#define FRAMING_CARRY_MAX 3

/* Where the cutter stands between two chunks: all zeroes at the start. */
struct framing_state {
    uint8_t last; /* the last byte of the message so far (lines: to cut \r\n over a border) */
};

/* What a cutter found at the front of a chunk: skip to drop, body of the message, drop to drop. */
struct framing_cut {
    size_t skip;
    size_t body;
    size_t drop;
    size_t chop; /* with end: bytes to take off the assembled message's end (body of some cut) */
    bool end;    /* the message is complete */
};

struct framing {
    const char *name;
    bool assembles;        /* client messages are handed on whole, max-message holds both ways */
    bool is_terminal_text; /* the backend's bytes are text as a terminal shows it: recorded as
                              asciicast */
    uint8_t opcode_out;    /* WS_TEXT or WS_BINARY to the client, unless `frames` says otherwise */

    /* Writes what goes before / behind a client message of len bytes. Returns the length. NULL:
     * nothing. Only for kinds with assembles set. */
    size_t (*prefix)(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode);
    size_t (*suffix)(uint8_t out[FRAMING_SUFFIX_MAX], uint64_t len, uint8_t opcode);

    /*
     * Looks at the n > 0 bytes at p, which follow all the bytes taken so far, and describes in *cut
     * what to take: skip + body + drop bytes, at least 1. Without end the message goes on in what
     * follows. Returns false when the bytes break the framing (the session ends with 1011). NULL:
     * every chunk is a message (stream).
     */
    bool (*cut)(struct framing_state *st, const uint8_t *p, size_t n, struct framing_cut *cut);
};

extern const struct framing framing_lines;
extern const struct framing framing_stream;
extern const struct framing framing_text;

#endif
