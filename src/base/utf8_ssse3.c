/* SPDX-License-Identifier: MIT */

/*
 * John Keiser, Daniel Lemire: "Validating UTF-8 In Less Than One Instruction Per Byte" (2021).
 *
 * Whatever is wrong, but for a missing or surplus third or fourth byte, shows in two bytes that
 * follow each other: three tables, by the first one's high half, its low half and the second one's
 * high half, have a bit for each kind of fault, and where a bit stands in all three it is one. Two
 * continuation bytes in a row are such a kind, too; they are right exactly behind the lead of three
 * or four bytes, which is two or three bytes back.
 */
#include "base/utf8_ssse3.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <tmmintrin.h>

#define BLOCK 16
#define CHUNK 64 /* bytes that are looked at for ASCII together */
#define WITH_SSSE3 __attribute__((target("ssse3")))

enum {
    SHORT = 1 << 0,      /* a lead byte without its continuation */
    LONG = 1 << 1,       /* a continuation byte behind ASCII */
    OVERLONG3 = 1 << 2,  /* E0 80-9F */
    LARGE = 1 << 3,      /* above U+10FFFF: F4 90-BF, F5-FF */
    SURROGATE = 1 << 4,  /* ED A0-BF */
    OVERLONG2 = 1 << 5,  /* C0, C1 */
    LARGE_OR_4 = 1 << 6, /* F5-FF 80-8F; and F0 80-8F, an overlong form */
    TWO_CONT = 1 << 7,
    ANY_LOW = SHORT | LONG | TWO_CONT, /* these do not depend on the first one's low half */
};

#define X2(v) v, v
#define X4(v) X2(v), X2(v)
#define X8(v) X4(v), X4(v)
#define LOW_LARGE (char)(ANY_LOW | LARGE | LARGE_OR_4)

WITH_SSSE3 static inline __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Faults of pairs: before1 holds the byte in front of each one of `in`. */
WITH_SSSE3 static inline __m128i pairs(__m128i in, __m128i before1)
{
    const __m128i first_high =
        _mm_setr_epi8(X8(LONG), X4((char)TWO_CONT), SHORT | OVERLONG2, SHORT,
                      SHORT | OVERLONG3 | SURROGATE, SHORT | LARGE | LARGE_OR_4);
    const __m128i first_low = _mm_setr_epi8(
        (char)(ANY_LOW | OVERLONG3 | OVERLONG2 | LARGE_OR_4), (char)(ANY_LOW | OVERLONG2),
        X2((char)ANY_LOW), (char)(ANY_LOW | LARGE), X8(LOW_LARGE),
        (char)(ANY_LOW | LARGE | LARGE_OR_4 | SURROGATE), X2(LOW_LARGE));
    const __m128i second_high =
        _mm_setr_epi8(X8(SHORT), (char)(LONG | OVERLONG2 | TWO_CONT | OVERLONG3 | LARGE_OR_4),
                      (char)(LONG | OVERLONG2 | TWO_CONT | OVERLONG3 | LARGE),
                      X2((char)(LONG | OVERLONG2 | TWO_CONT | SURROGATE | LARGE)), X4(SHORT));
    const __m128i half = _mm_set1_epi8(0x0F);
    __m128i a = _mm_shuffle_epi8(first_high, _mm_and_si128(_mm_srli_epi16(before1, 4), half));
    __m128i b = _mm_shuffle_epi8(first_low, _mm_and_si128(before1, half));
    __m128i c = _mm_shuffle_epi8(second_high, _mm_and_si128(_mm_srli_epi16(in, 4), half));

    return _mm_and_si128(_mm_and_si128(a, b), c);
}

/* All bits are zero where a block is right. */
WITH_SSSE3 static inline __m128i faults(__m128i in, __m128i before1, __m128i before2,
                                        __m128i before3)
{
    /* The top bit is set where the byte two back is E0 or above, or the one three back F0: there a
     * second continuation byte must be, and nowhere else. */
    __m128i third = _mm_subs_epu8(before2, _mm_set1_epi8(0xE0 - 0x80));
    __m128i fourth = _mm_subs_epu8(before3, _mm_set1_epi8(0xF0 - 0x80));
    __m128i must = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)TWO_CONT));

    return _mm_xor_si128(must, pairs(in, before1));
}

/* Of a block that is not the first. */
WITH_SSSE3 static inline __m128i faults_at(const uint8_t *p)
{
    return faults(load(p), load(p - 1), load(p - 2), load(p - 3));
}

WITH_SSSE3 static inline __m128i faults_of_first(const uint8_t *p)
{
    __m128i in = load(p);

    return faults(in, _mm_slli_si128(in, 1), _mm_slli_si128(in, 2), _mm_slli_si128(in, 3));
}

WITH_SSSE3 static inline bool is_ascii(const uint8_t *p)
{
    __m128i ab = _mm_or_si128(load(p), load(p + BLOCK));
    __m128i cd = _mm_or_si128(load(p + 2 * BLOCK), load(p + 3 * BLOCK));

    return _mm_movemask_epi8(_mm_or_si128(ab, cd)) == 0;
}

bool utf8_ssse3_here(void)
{
    return __builtin_cpu_supports("ssse3");
}

WITH_SSSE3 bool utf8_ssse3_good(const uint8_t *p, size_t n)
{
    __m128i wrong = faults_of_first(p);
    size_t i = BLOCK;

    for (; n - i >= CHUNK; i += CHUNK) {
        wrong = _mm_or_si128(wrong, faults_at(p + i)); /* an unfinished character before ASCII */
        if (is_ascii(p + i))
            continue;
        for (size_t k = BLOCK; k < CHUNK; k += BLOCK)
            wrong = _mm_or_si128(wrong, faults_at(p + i + k));
    }
    for (; n - i >= BLOCK; i += BLOCK)
        wrong = _mm_or_si128(wrong, faults_at(p + i));
    /* Less than a block is left: the last whole one, partly seen before; it has 3 bytes in front.
     */
    wrong = _mm_or_si128(wrong, faults_at(p + n - BLOCK));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) == 0xFFFF;
}

#else

bool utf8_ssse3_here(void)
{
    return false;
}

bool utf8_ssse3_good(const uint8_t *p, size_t n)
{
    (void)p;
    (void)n;
    return false;
}

#endif
