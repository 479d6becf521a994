/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_BASE_UTF8_SSSE3_H
#define WSLUICE_BASE_UTF8_SSSE3_H

/*
 * For utf8.c only: text looked at in blocks of 16 bytes, where the processor can look up 16 bytes
 * of a small table at once (SSSE3, since 2006). On others nothing of this is there.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_SSSE3_LEAST 19 /* bytes */

/* This processor can. */
bool utf8_ssse3_here(void);

/* Nothing is wrong in these n >= UTF8_SSSE3_LEAST bytes, which begin between two characters; the
 * last character may be unfinished. Only if utf8_ssse3_here(). */
bool utf8_ssse3_good(const uint8_t *p, size_t n);

#endif
