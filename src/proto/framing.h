/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_PROTO_FRAMING_H
#define WSLUICE_PROTO_FRAMING_H

/*
 * A framing says how WebSocket messages become bytes of a pipe or TCP stream, and back. A kind is
 * one file framing_NAME.c that ends in one const struct framing, plus one row in
 * src/server/kinds.c. All are pure.
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

/* Where the cutter stands between two chunks: all zeroes at the start, and between two messages. */
struct framing_state {
    uint32_t left; /* bytes of the body still to come; in a header: the length read so far */
    uint16_t used; /* bytes of the header so far */
    uint8_t step;  /* what is awaited, each kind has its own */
    uint8_t last;  /* lines: the last byte of the message so far, to cut \r\n over a border; else of
                      the kind's own */
};

/* What a message is for. */
enum framing_what {
    FRAMING_MESSAGE, /* the client */
    FRAMING_STDERR,  /* lines that go the way of the program's stderr */
    FRAMING_END,     /* nobody: the backend says that nothing follows */
};

/* What a cutter found at the front of a chunk: skip to drop, body of the message, drop to drop. */
struct framing_cut {
    size_t skip;
    size_t body;
    size_t drop;
    size_t chop; /* with end: bytes to take off the assembled message's end (body of some cut);
                    without: as many may turn out to be no part of it */
    size_t size; /* announced: so long will the message be, from this cut's body on; a lower bound
                    while the header is cut, UINT32_MAX stands for more too. 0: unknown */
    bool end;    /* the message is complete */
    uint8_t opcode;  /* WS_TEXT or WS_BINARY; 0: opcode_out. The same in all cuts of a message */
    uint8_t what;    /* enum framing_what, likewise */
    const char *why; /* when the cutter returns false: what is wrong, a constant text */
};

struct framing {
    const char *name;
    bool assembles;        /* client messages are handed on whole, max-message holds both ways */
    bool is_terminal_text; /* the backend's bytes are text as a terminal shows it: recorded as
                              asciicast */
    bool by_mark;          /* messages end at a mark, so what stands behind the last one counts when
                              the backend has ended; of other kinds it is a torn message */
    bool typed;            /* each message says its opcode and what it is for: cut sets them */
    bool addresses;        /* lines say whom they are for and from (proto/hub.h); clients send text
                              only */
    bool datagrams;        /* messages are datagrams: for backends of those, and nothing else is */
    uint8_t opcode_out;    /* WS_TEXT or WS_BINARY to the client, unless `frames` says otherwise */

    /* Writes what goes before / behind a client message of len bytes. Returns the length. NULL:
     * nothing. Only for kinds with assembles set. */
    size_t (*prefix)(uint8_t out[FRAMING_PREFIX_MAX], uint64_t len, uint8_t opcode);
    size_t (*suffix)(uint8_t out[FRAMING_SUFFIX_MAX], uint64_t len, uint8_t opcode);
    /* Writes what tells the backend that the client ended in order, before its input is closed.
     * NULL: nothing. */
    size_t (*farewell)(uint8_t out[FRAMING_PREFIX_MAX]);

    /*
     * Looks at the n > 0 bytes at p, which follow all the bytes taken so far, and describes in *cut
     * what to take: skip + body + drop bytes, at least 1. Without end the message goes on in what
     * follows. Returns false when the bytes break the framing (the session ends with 1011, nothing
     * is asked again). NULL: every chunk is a message (stream).
     */
    bool (*cut)(struct framing_state *st, const uint8_t *p, size_t n, struct framing_cut *cut);
};

/*
 * Helpers for kinds whose header says the length.
 *
 * The header has ended before p + at; st->left bytes follow. Takes of them what the chunk of n
 * bytes holds. True when that is all of them: the caller completes the message.
 */
static inline bool framing_take_body(struct framing_state *st, size_t at, size_t n,
                                     struct framing_cut *cut)
{
    cut->skip = at;
    cut->size = st->left;
    cut->body = n - at < st->left ? n - at : st->left;
    st->left -= (uint32_t)cut->body;
    return st->left == 0;
}

/* One more decimal digit; stays at UINT32_MAX once it is too large, which no max-message allows. */
static inline uint32_t framing_add_digit(uint32_t value, uint8_t digit)
{
    uint64_t next = (uint64_t)value * 10 + (uint64_t)(digit - '0');

    return value == UINT32_MAX || next > UINT32_MAX ? UINT32_MAX : (uint32_t)next;
}

extern const struct framing framing_lines;
extern const struct framing framing_crlf;
extern const struct framing framing_stream;
extern const struct framing framing_text;
extern const struct framing framing_nul;
extern const struct framing framing_len32;
extern const struct framing framing_len32le;
extern const struct framing framing_netstring;
extern const struct framing framing_lsp;
extern const struct framing framing_tagged;
extern const struct framing framing_datagram;
extern const struct framing framing_hub;

#endif
