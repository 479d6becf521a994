/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <string.h>

#include "base/utf8_ssse3.h"

#ifdef __SSE2__
#include <emmintrin.h>

static inline __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline bool ascii16(const uint8_t *p)
{
    return _mm_movemask_epi8(load16(p)) == 0;
}

static inline bool ascii64(const uint8_t *p)
{
    __m128i ab = _mm_or_si128(load16(p), load16(p + 16));
    __m128i cd = _mm_or_si128(load16(p + 32), load16(p + 48));

    return _mm_movemask_epi8(_mm_or_si128(ab, cd)) == 0;
}
#else
static inline bool ascii16(const uint8_t *p)
{
    uint64_t w[2];

    memcpy(w, p, sizeof w);
    return ((w[0] | w[1]) & 0x8080808080808080u) == 0;
}

static inline bool ascii64(const uint8_t *p)
{
    return ascii16(p) && ascii16(p + 16) && ascii16(p + 32) && ascii16(p + 48);
}
#endif

/*
 * The automaton of RFC 3629, section 4. A state's number is the bit at which every row keeps, in
 * six bits, the state that follows it; so one step is one shift, and the table look-up does not
 * wait for the step before. Only the low six bits of a state count. A row's absent entries are
 * zero, which is BAD, which stays BAD.
 */
enum {
    BAD = 0,
    START = 6,     /* between characters */
    WANT1 = 12,    /* one more byte, 80-BF */
    WANT2 = 18,    /* two more */
    WANT3 = 24,    /* three more */
    AFTER_E0 = 30, /* two more, the next A0-BF: 80-9F were an overlong form */
    AFTER_ED = 36, /* two more, the next 80-9F: A0-BF were a surrogate */
    AFTER_F0 = 42, /* three more, the next 90-BF: 80-8F were an overlong form */
    AFTER_F4 = 48, /* three more, the next 80-8F: 90-BF were above U+10FFFF */
    STATES = 9,
    STATE_BITS = 6,
    STATE_MASK = 63,
};

enum {
    NEVER,
    ASCII,
    CONT_8,
    CONT_9,
    CONT_AB,
    LEAD2,
    LEAD3,
    LEAD4,
    LEAD_E0,
    LEAD_ED,
    LEAD_F0,
    LEAD_F4,
};

#define TO(from, to) ((uint64_t)(to) << (from))
#define TO_ANY_CONT (TO(WANT1, START) | TO(WANT2, WANT1) | TO(WANT3, WANT2))

static const uint64_t row_of[] = {
    [NEVER] = 0,
    [ASCII] = TO(START, START),
    [CONT_8] = TO_ANY_CONT | TO(AFTER_ED, WANT1) | TO(AFTER_F4, WANT2),
    [CONT_9] = TO_ANY_CONT | TO(AFTER_ED, WANT1) | TO(AFTER_F0, WANT2),
    [CONT_AB] = TO_ANY_CONT | TO(AFTER_E0, WANT1) | TO(AFTER_F0, WANT2),
    [LEAD2] = TO(START, WANT1),
    [LEAD3] = TO(START, WANT2),
    [LEAD4] = TO(START, WANT3),
    [LEAD_E0] = TO(START, AFTER_E0),
    [LEAD_ED] = TO(START, AFTER_ED),
    [LEAD_F0] = TO(START, AFTER_F0),
    [LEAD_F4] = TO(START, AFTER_F4),
};

#define X3(c) c, c, c
#define X4(c) c, c, c, c
#define X16(c) X4(c), X4(c), X4(c), X4(c)
#define X64(c) X16(c), X16(c), X16(c), X16(c)

/* clang-format off */
static const uint8_t class_of[256] = {
    X64(ASCII), X64(ASCII),                                           /* 00-7F */
    X16(CONT_8), X16(CONT_9), X16(CONT_AB), X16(CONT_AB),             /* 80-BF */
    NEVER, NEVER, LEAD2, LEAD2, X4(LEAD2), X4(LEAD2), X4(LEAD2),      /* C0-CF */
    X16(LEAD2),                                                       /* D0-DF */
    LEAD_E0, X4(LEAD3), X4(LEAD3), X4(LEAD3), LEAD_ED, LEAD3, LEAD3,  /* E0-EF */
    LEAD_F0, X3(LEAD4), LEAD_F4, X3(NEVER), X4(NEVER), X4(NEVER),     /* F0-FF */
};
/* clang-format on */

static inline uint64_t utf8_step(uint64_t state, uint8_t byte)
{
    return row_of[class_of[byte]] >> (state & STATE_MASK);
}

static inline uint64_t utf8_run(uint64_t state, const uint8_t *p, size_t n)
{
    size_t i = 0;

    for (; n - i >= 4; i += 4)
        state =
            utf8_step(utf8_step(utf8_step(utf8_step(state, p[i]), p[i + 1]), p[i + 2]), p[i + 3]);
    for (; i < n; i++)
        state = utf8_step(state, p[i]);
    return state & STATE_MASK;
}

static uint64_t number_of(const struct utf8_state *st)
{
    switch (st->need) {
    case 0:
        return START;
    case 1:
        return WANT1;
    case 2:
        return st->low == 0xA0 ? AFTER_E0 : st->high == 0x9F ? AFTER_ED : WANT2;
    default:
        return st->low == 0x90 ? AFTER_F0 : st->high == 0x8F ? AFTER_F4 : WANT3;
    }
}

static struct utf8_state state_of(uint64_t number)
{
    static const struct utf8_state states[STATES] = {
        [START / STATE_BITS] = {0, 0, 0},          [WANT1 / STATE_BITS] = {1, 0x80, 0xBF},
        [WANT2 / STATE_BITS] = {2, 0x80, 0xBF},    [WANT3 / STATE_BITS] = {3, 0x80, 0xBF},
        [AFTER_E0 / STATE_BITS] = {2, 0xA0, 0xBF}, [AFTER_ED / STATE_BITS] = {2, 0x80, 0x9F},
        [AFTER_F0 / STATE_BITS] = {3, 0x90, 0xBF}, [AFTER_F4 / STATE_BITS] = {3, 0x80, 0x8F},
    };

    return states[number / STATE_BITS];
}

/* How many bytes at the front are ASCII, counted in whole blocks of 16. */
static inline size_t ascii_front(const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (n - i >= 64 && ascii64(p + i))
        i += 64;
    while (n - i >= 16 && ascii16(p + i))
        i += 16;
    return i;
}

/* Byte by byte, but for blocks of ASCII. */
static uint64_t feed_plain(uint64_t state, const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (n - i >= 16) {
        if (state == START)
            i += ascii_front(p + i, n - i);
        if (n - i < 16)
            break;
        state = utf8_run(state, p + i, 16);
        if (state == BAD)
            return BAD;
        i += 16;
    }
    /* Less than a block is left: the last whole block holds it, behind bytes known already. */
    if (state != START || n < 16 || !ascii16(p + n - 16))
        state = utf8_run(state, p + i, n - i);
    return state;
}

/* Of text that has no fault: the state its end is in. */
static uint64_t state_at_end(const uint8_t *p, size_t n)
{
    size_t k = 1;

    while (k < UTF8_MAX - 1 && (p[n - k] & 0xC0) == 0x80)
        k++;
    return (p[n - k] & 0xC0) == 0x80 ? START : utf8_run(START, p + n - k, k);
}

/* n >= UTF8_SSSE3_LEAST + UTF8_MAX - 1 */
static uint64_t feed_blocks(uint64_t state, const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (state != START && state != BAD) /* what a chunk before left unfinished */
        state = utf8_run(state, p + i++, 1);
    if (state == BAD || !utf8_ssse3_good(p + i, n - i))
        return BAD;
    return state_at_end(p, n);
}

bool utf8_feed(struct utf8_state *st, const uint8_t *p, size_t n)
{
    uint64_t state = number_of(st);
    size_t i = state == START ? ascii_front(p, n) : 0;

    if (n - i >= UTF8_SSSE3_LEAST + UTF8_MAX - 1 && utf8_ssse3_here())
        state = feed_blocks(state, p + i, n - i);
    else
        state = feed_plain(state, p + i, n - i);
    if (state == BAD)
        return false;
    *st = state_of(state);
    return true;
}

bool utf8_valid(const uint8_t *p, size_t n)
{
    struct utf8_state st = {0};

    return utf8_feed(&st, p, n) && utf8_complete(&st);
}

size_t utf8_tail(const uint8_t *p, size_t n)
{
    for (size_t k = 1; k < UTF8_MAX && k <= n; k++) {
        uint64_t state;

        if ((p[n - k] & 0xC0) == 0x80)
            continue;
        state = utf8_run(START, p + n - k, k);
        return state == START || state == BAD ? 0 : k;
    }
    return 0;
}

/* Length of the character at p, or of the wrong part there (never 0); *good says which it is. */
static size_t part(const uint8_t *p, size_t n, bool *good)
{
    uint64_t state = START;
    size_t i;

    for (i = 0; i < n; i++) {
        state = utf8_run(state, p + i, 1);
        if (state == START) {
            *good = true;
            return i + 1;
        }
        if (state == BAD)
            break;
    }
    *good = false;
    return i > 0 ? i : 1;
}

size_t utf8_replace(uint8_t *out, const uint8_t *p, size_t n)
{
    size_t i = 0, o = 0;

    while (i < n) {
        bool good = true;
        size_t len = ascii_front(p + i, n - i);

        if (len == 0)
            len = part(p + i, n - i, &good);
        if (good) {
            memcpy(out + o, p + i, len);
            o += len;
        } else {
            memcpy(out + o, "\xEF\xBF\xBD", 3);
            o += 3;
        }
        i += len;
    }
    return o;
}

size_t utf8_decode(const uint8_t *p, size_t n, uint32_t *c)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (len > n || !utf8_valid(p, len))
        return 0;
    *c = len == 1 ? p[0] : p[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++)
        *c = *c << 6 | (p[i] & 0x3fU);
    return len;
}

bool utf8_is_unprintable(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}
