/* SPDX-License-Identifier: MIT */
/*
 * base/utf8 against a reference that shares nothing with it: no table of byte ranges, but the range
 * of code points that a beginning can still become.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define T(literal)                  \
    {                               \
        literal, sizeof literal - 1 \
    }

struct text {
    const char *s;
    size_t n;
};

/* Can the k bytes at p grow into a character (2), are they one (1), or neither (0)? */
static int ref_char(const uint8_t *p, size_t k)
{
    static const uint32_t from[] = {0, 0, 0x80, 0x800, 0x10000},
                          to[] = {0, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
    static const uint8_t len_of[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                       0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 3, 3, 4, 0};
    const size_t len = len_of[p[0] >> 3];
    uint32_t min, max;

    if (k > len)
        return 0;
    min = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < k; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        min = min << 6 | (p[i] & 0x3F);
    }
    max = min;
    for (size_t i = k; i < len; i++) {
        min = min << 6;
        max = max << 6 | 0x3F;
    }
    if (max < from[len] || min > to[len] || (min >= 0xD800 && max <= 0xDFFF))
        return 0;
    return k == len ? 1 : 2;
}

/* Index of the first byte that spoils the text, or n; *open: bytes of a character begun there. */
static size_t ref_fault(const uint8_t *p, size_t n, size_t *open)
{
    size_t start = 0;

    for (size_t i = 0; i < n; i++) {
        int got = ref_char(p + start, i + 1 - start);

        if (got == 0)
            return i;
        if (got == 1)
            start = i + 1;
    }
    *open = n - start;
    return n;
}

static size_t ref_replace(uint8_t *out, const uint8_t *p, size_t n)
{
    size_t o = 0;

    for (size_t i = 0; i < n;) {
        size_t k = 1;

        while (i + k < n && ref_char(p + i, k) == 2 && ref_char(p + i, k + 1))
            k++;
        if (ref_char(p + i, k) == 1)
            memcpy(out + o, p + i, k);
        else
            memcpy(out + o, "\xEF\xBF\xBD", 3);
        o += ref_char(p + i, k) == 1 ? k : 3;
        i += k;
    }
    return o;
}

static const struct text texts[] = {
    T(""),
    T("\0"),
    T("Hello, world"),
    T("Hello-\xC2\xB5@\xC3\x9F\xC3\xB6\xC3\xA4\xC3\xBC\xC3\xA0\xC3\xA1-UTF-8!!"),
    T("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"),
    T("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80late"),
    T("\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80late"),
    T("\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF \xEF\xBF\xBF \xED\x9F\xBF \xEE\x80\x80 \xDF\xBF \xC2\x80"),
    T("\xF8\x88\x80\x80\x80"),
    T("\xFC\x84\x80\x80\x80\x80"),
    T("\xF7\xBF\xBF\xBF"),
    T("\x80"),
    T("\xBF\x80\xBF"),
    T("\xC0 \xC1 "),
    T("\xC0\xAF"),
    T("\xE0\x80\xAF"),
    T("\xE0\x9F\xBF"),
    T("\xF0\x80\x80\xAF"),
    T("\xF0\x8F\xBF\xBF"),
    T("\xC1\xBF"),
    T("\xED\xAD\xBF\xED\xB0\x80"),
    T("\xFE\xFE\xFF\xFF"),
    T("\xE2\x82"),
    T("\xF0\x9F\x9A"),
    T("\xE2\x82\xE2\x82\xAC"),
    T("\xF0\x9F\x9A\xF0\x9F\x9A\xA2"),
    T("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\xC3\xA9"),
    T("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\xC3\xA9\xFF tail of ASCII"),
};

/* Feeds p in pieces of a, b and the rest; each must be taken or refused as the reference says. */
static void feed_cut(const uint8_t *p, size_t n, size_t a, size_t b)
{
    const size_t ends[] = {a, a + b, n};
    struct utf8_state st = {0};
    size_t open = 0, fault = ref_fault(p, n, &open), at = 0;

    for (size_t i = 0; i < COUNT(ends); i++) {
        bool ok = utf8_feed(&st, p + at, ends[i] - at);

        assert_int_equal(ok, fault >= ends[i]);
        if (!ok)
            return;
        at = ends[i];
    }
    assert_int_equal(utf8_complete(&st), open == 0);
}

static void every_split_in_three(void **state)
{
    (void)state;
    for (size_t t = 0; t < COUNT(texts); t++) {
        const uint8_t *p = (const uint8_t *)texts[t].s;
        size_t n = texts[t].n, open = 0;

        for (size_t a = 0; a <= n; a++)
            for (size_t b = 0; a + b <= n; b++)
                feed_cut(p, n, a, b);
        assert_int_equal(utf8_valid(p, n), ref_fault(p, n, &open) == n && open == 0);
    }
}

/* The text at every place of a block, ASCII around it: each way through the loops is walked. */
static void every_place_in_a_block(void **state)
{
    uint8_t buf[256];

    (void)state;
    for (size_t t = 0; t < COUNT(texts); t++) {
        for (size_t before = 0; before < 80; before++) {
            for (size_t after = 0; after < 34; after++) {
                size_t n = before + texts[t].n + after;

                memset(buf, 'a', n);
                memcpy(buf + before, texts[t].s, texts[t].n);
                feed_cut(buf, n, n, 0);
                feed_cut(buf, n, before, texts[t].n);
            }
        }
    }
}

/* One byte after the other: the refusal comes with the very byte that is to blame. */
static void check_bytewise(const uint8_t *p, size_t n)
{
    struct utf8_state st = {0};
    size_t open = 0, fault = ref_fault(p, n, &open);

    for (size_t i = 0; i < n; i++) {
        if (utf8_feed(&st, p + i, 1) != (i < fault))
            fail_msg("%02x %02x %02x %02x: wrong at byte %zu", p[0], p[1], p[2], p[3], i);
        if (i >= fault)
            return;
    }
    if (utf8_complete(&st) != (open == 0))
        fail_msg("%02x %02x %02x %02x: completeness", p[0], p[1], p[2], p[3]);
}

/* The same amid other characters, at a place that moves through the blocks, with the end near and
 * far. */
static void check_amid(const uint8_t *p, size_t n, size_t before, size_t after)
{
    uint8_t text[192];
    size_t open = 0, len = before + n + after;

    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xC3\xA9", 2);
    memcpy(text + before, p, n);
    if (utf8_valid(text, len) != (ref_fault(text, len, &open) == len && open == 0))
        fail_msg("%02x %02x %02x %02x behind %zu bytes", p[0], p[1], p[2], p[3], before);
}

static void all_two_bytes_and_borders_behind(void **state)
{
    static const uint8_t third[] = {0, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    uint8_t p[4] = {0};

    (void)state;
    for (unsigned two = 0; two < 65536; two++) {
        p[0] = (uint8_t)(two >> 8);
        p[1] = (uint8_t)two;
        for (size_t i = 0; i < COUNT(third); i++) {
            p[2] = third[i];
            p[3] = third[(i * 7 + two) % COUNT(third)];
            check_bytewise(p, 4);
            check_amid(p, 4, 8 + (two + i) % 72, two % 7);
            check_amid(p, 4, 8 + (two + two / 36) % 36 * 2, i % 2 * 64 + two % 7);
        }
    }
}

/* Every number that four bytes can hold, in every length: valid only as RFC 3629 has it. */
static void all_code_points(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x200000; c++) {
        const uint8_t form[][4] = {
            {(uint8_t)(0xC0 | c >> 6), 0x80 | (c & 0x3F), 0, 0},
            {(uint8_t)(0xE0 | c >> 12), 0x80 | (c >> 6 & 0x3F), 0x80 | (c & 0x3F), 0},
            {(uint8_t)(0xF0 | c >> 18), 0x80 | (c >> 12 & 0x3F), 0x80 | (c >> 6 & 0x3F),
             0x80 | (c & 0x3F)},
        };
        bool scalar = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);

        if (c < 0x800 && utf8_valid(form[0], 2) != (c >= 0x80))
            fail_msg("U+%04X in 2 bytes", c);
        if (c < 0x10000 && utf8_valid(form[1], 3) != (scalar && c >= 0x800))
            fail_msg("U+%04X in 3 bytes", c);
        if (utf8_valid(form[2], 4) != (scalar && c >= 0x10000))
            fail_msg("U+%04X in 4 bytes", c);
        const uint8_t one = (uint8_t)c, *best = c < 0x80      ? &one
                                                : c < 0x800   ? form[0]
                                                : c < 0x10000 ? form[1]
                                                              : form[2];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t read = UINT32_MAX;

        if (utf8_decode(best, n, &read) != (scalar ? n : 0) || (scalar && read != c) ||
            (n > 1 && utf8_decode(best, n - 1, &read) != 0))
            fail_msg("U+%04X is read as U+%04X", c, read);
    }
}

static void tail_is_the_open_character(void **state)
{
    (void)state;
    for (size_t t = 0; t < COUNT(texts); t++) {
        const uint8_t *p = (const uint8_t *)texts[t].s;

        for (size_t n = 0; n <= texts[t].n; n++) {
            size_t want = 0;

            for (size_t k = 1; k <= 3 && k <= n; k++)
                if (ref_char(p + n - k, k) == 2)
                    want = k;
            assert_int_equal(utf8_tail(p, n), want);
        }
    }
}

#define R "\xEF\xBF\xBD"

/* What Python's bytes.decode("utf-8", "replace") makes of it. */
static void replace_known_answers(void **state)
{
    static const struct {
        struct text in, out;
    } rows[] = {
        {T(""), T("")},
        {T("abc"), T("abc")},
        {T("\xFF"), T(R)},
        {T("a\xFFz"), T("a" R "z")},
        {T("\x80\x80"), T(R R)},
        {T("\xC3\xA9"), T("\xC3\xA9")},
        {T("\xC3"), T(R)},
        {T("\xC3z"), T(R "z")},
        {T("\xC0\xAF"), T(R R)},
        {T("\xE0\x80\xAF"), T(R R R)},
        {T("\xE2\x82"), T(R)},
        {T("\xE2\x82\xE2\x82\xAC"), T(R "\xE2\x82\xAC")},
        {T("\xED\xA0\x80"), T(R R R)},
        {T("\xF0\x9F\x9A"), T(R)},
        {T("\xF0\x9F\x9Ax"), T(R "x")},
        {T("\xF0\x80\x80\xAF"), T(R R R R)},
        {T("\xF4\x90\x80\x80"), T(R R R R)},
        {T("\xF8\x88\x80\x80\x80"), T(R R R R R)},
        {T("\xF1\x80\x80\xE1\x80\xC2x\x80y\x80\xBFz"), T(R R R "x" R "y" R R "z")},
        {T("twenty ASCII letters\xFFtwenty ASCII letters\xE2"),
         T("twenty ASCII letters" R "twenty ASCII letters" R)},
        {T(R "\xF0\x9F\x9A\xA2\xFE"), T(R "\xF0\x9F\x9A\xA2" R)},
    };
    uint8_t out[256];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = utf8_replace(out, (const uint8_t *)rows[i].in.s, rows[i].in.n);

        assert_int_equal(n, rows[i].out.n);
        assert_memory_equal(out, rows[i].out.s, n);
    }
}

static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Bytes drawn from those that matter, so that long right and wrong characters are frequent. */
static void replace_as_reference(void **state)
{
    static const uint8_t pool[] = {'a',  'b',  0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2,
                                   0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
    uint8_t in[64], got[3 * sizeof in], want[3 * sizeof in];
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = draw(&seed) % (sizeof in + 1), len;

        for (size_t i = 0; i < n; i++)
            in[i] = draw(&seed) % 4 ? pool[draw(&seed) % COUNT(pool)] : (i & 32) ? 'x' : 0x80;
        len = utf8_replace(got, in, n);
        assert_int_equal(len, ref_replace(want, in, n));
        assert_memory_equal(got, want, len);
        assert_true(utf8_valid(got, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_in_three),
        cmocka_unit_test(every_place_in_a_block),
        cmocka_unit_test(all_two_bytes_and_borders_behind),
        cmocka_unit_test(all_code_points),
        cmocka_unit_test(tail_is_the_open_character),
        cmocka_unit_test(replace_known_answers),
        cmocka_unit_test(replace_as_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
