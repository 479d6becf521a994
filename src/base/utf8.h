/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_UTF8_H
#define WSLUICE_BASE_UTF8_H

/*
 * UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 * All functions are pure; text may be cut anywhere between two calls.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a validation stands between two chunks. All zeroes (UTF8_START) is "between characters". */
struct utf8_state {
    uint8_t need; /* continuation bytes the current character still wants, 0 to 3 */
    uint8_t low;  /* smallest value the next continuation byte may have */
    uint8_t high; /* largest */
};

/* Longest encoded character, in bytes. */
#define UTF8_MAX 4

/*
 * Reads on from *st through n bytes. False as soon as the text can no longer become valid, which is
 * at the first wrong byte and not at the end of its character ("fail fast"). After false *st is
 * spent.
 */
bool utf8_feed(struct utf8_state *st, const uint8_t *p, size_t n);

/* True when no character is unfinished. */
static inline bool utf8_complete(const struct utf8_state *st)
{
    return st->need == 0;
}

/* The whole of p is valid text. */
bool utf8_valid(const uint8_t *p, size_t n);

/*
 * How many bytes at the end of p are the beginning of a character that later bytes could complete:
 * 0 to 3. p[0 .. n - tail) can then be judged on its own.
 */
size_t utf8_tail(const uint8_t *p, size_t n);

/*
 * Copies p to out with every maximal wrong part replaced by U+FFFD (the practice of Unicode 15,
 * section 3.9, "substitution of maximal subparts"). out must hold 3 * n bytes and must not overlap
 * p. Returns the length written.
 */
size_t utf8_replace(uint8_t *out, const uint8_t *p, size_t n);

/* The bytes of the character at p, where n > 0 are, and its code point in *c. 0: it is not valid.
 */
size_t utf8_decode(const uint8_t *p, size_t n, uint32_t *c);

/* A character that would break a line, move the cursor of a terminal or hide: controls, separators,
 * marks of direction and without width. */
bool utf8_is_unprintable(uint32_t c);

#endif
