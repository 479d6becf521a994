/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

/*
 * Messages that can be checked: number k of stream id is a function of (id, k, size, kind) alone,
 * so the receiver builds the same bytes and compares. Every 64-byte block starts with an 8-byte
 * stamp that depends on id, k and the block's place; what lies between is filler of the kind. Thus
 * a message of another stream, a message too many, a lost one, or a block in the wrong place
 * differs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pattern_kind {
    PATTERN_ASCII,  /* printable, no newline */
    PATTERN_JSON,   /* what JSON looks like, a character in 30 not ASCII */
    PATTERN_UTF8,   /* mostly characters of 2 to 4 bytes */
    PATTERN_BINARY, /* all byte values */
    PATTERN_KINDS
};

struct pattern {
    uint8_t *bytes; /* owned; the message last asked for */
    size_t size;    /* bytes of a message */
    size_t stamped; /* bytes that take stamps: size, or one less when a newline ends the message */
    uint64_t id;
    uint64_t k;
    bool fresh; /* bytes hold message (id, k) */
};

/* Makes messages of size >= 1 bytes; with newline the last byte is '\n'. False: no memory. */
bool pattern_init(struct pattern *p, enum pattern_kind kind, size_t size, bool newline);
void pattern_free(struct pattern *p);

/* The bytes of message k of stream id, valid until the next call. All kinds but binary are valid
 * UTF-8. */
const uint8_t *pattern_message(struct pattern *p, uint64_t id, uint64_t k);

/* The kind of that name, or PATTERN_KINDS. */
enum pattern_kind pattern_kind_of(const char *name);

#endif
