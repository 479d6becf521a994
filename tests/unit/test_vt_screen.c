/* SPDX-License-Identifier: MIT */
/* What a terminal shows, and that another one can be made to show the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/vt_screen.h"
#include "proto/vt_width.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define COLUMNS 8
#define ROWS 4

static struct vt_screen *screen_of(const char *text)
{
    struct vt_screen *s = vt_screen_new(COLUMNS, ROWS, 1000);

    assert_non_null(s);
    vt_screen_write(s, (const uint8_t *)text, strlen(text));
    assert_false(s->is_lost);
    return s;
}

/* The rows as text, without blanks at their ends; '_' is the right half of a wide character. */
static void read_rows(const struct vt_screen *s, char *out)
{
    for (size_t row = 0; row < s->rows; row++) {
        const struct vt_cell *cells = vt_row(vt_shown(s), s, row);
        char *begin = out;

        for (size_t i = 0; i < s->columns; i++) {
            *out++ = cells[i].c == VT_TAIL ? '_'
                     : cells[i].c == 0     ? ' '
                     : cells[i].c < 0x7F   ? (char)cells[i].c
                                           : '#';
        }
        while (out > begin && out[-1] == ' ')
            out--;
        *out++ = '|';
    }
    *out = 0;
}

static void must_be_same_cell(const struct vt_cell *a, const struct vt_cell *b)
{
    assert_int_equal(a->c == 0 ? ' ' : a->c, b->c == 0 ? ' ' : b->c);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->underline, b->underline);
    assert_memory_equal(&a->bg, &b->bg, sizeof a->bg);
    assert_memory_equal(a->more, b->more, sizeof a->more);
    if (a->c != 0)
        assert_memory_equal(&a->fg, &b->fg, sizeof a->fg);
}

static void must_be_same(const struct vt_screen *a, const struct vt_screen *b)
{
    assert_int_equal(a->is_alternate, b->is_alternate);
    for (size_t row = 0; row < a->rows; row++) {
        for (size_t i = 0; i < a->columns; i++)
            must_be_same_cell(&vt_row(vt_shown(a), a, row)[i], &vt_row(vt_shown(b), b, row)[i]);
    }
    assert_memory_equal(&a->at, &b->at, sizeof a->at);
    assert_memory_equal(&a->scan.modes.now, &b->scan.modes.now, sizeof a->scan.modes.now);
    assert_int_equal(a->scan.modes.changed, b->scan.modes.changed);
}

static struct vt_screen *painted(const struct vt_screen *s)
{
    struct vt_screen *late = vt_screen_new(s->columns, s->rows, 1000);
    struct buf out = {0};

    assert_true(vt_screen_paint(s, &out));
    vt_screen_write(late, buf_data(&out), buf_len(&out));
    buf_release(&out);
    return late;
}

/* What is shown, and where the cursor is; what is painted is the same, and goes on alike. */
static void must_show(const char *text, const char *rows, unsigned column, unsigned row)
{
    static const char next[] = "\0338\033[?1049lnext\r\n\033[2;3Hx\033[1L";
    struct vt_screen *s = screen_of(text), *late = painted(s);
    char got[256];

    read_rows(s, got);
    assert_string_equal(got, rows);
    assert_int_equal(s->at.column, column);
    assert_int_equal(s->at.row, row);
    must_be_same(s, late);
    vt_screen_write(s, (const uint8_t *)next, sizeof next - 1);
    vt_screen_write(late, (const uint8_t *)next, sizeof next - 1);
    must_be_same(s, late);
    vt_screen_free(s);
    vt_screen_free(late);
}

static void text_and_sequences(void **state)
{
    static const struct {
        const char *text, *rows;
        unsigned column, row;
    } rows[] = {
        {"", "||||", 0, 0},
        {"ab\r\ncd", "ab|cd|||", 2, 1},
        {"abcdefgh", "abcdefgh||||", 7, 0}, /* the next character wraps */
        {"abcdefghi", "abcdefgh|i|||", 1, 1},
        {"abcdefgh\r\ni", "abcdefgh|i|||", 1, 1},
        {"abcdefgh\bx", "abcdefxh||||", 7, 0},
        {"\033[?7labcdefghij", "abcdefgj||||", 7, 0},
        {"a\tb\033[Hx", "x      b||||", 1, 0},
        {"1\r\n2\r\n3\r\n4\r\n5", "2|3|4|5|", 1, 3},
        {"\346\227\245x", "#_x||||", 3, 0},
        {"abcdefg\346\227\245", "abcdefg|#_|||", 2, 1},
        {"\346\227\245\033[Hx", "x||||", 1, 0}, /* half of it is none */
        {"\346\227\245\033[1;2Hx", " x||||", 2, 0},
        {"a\346\227\245b\033[1;3H\033[P", "a b||||", 2, 0},
        {"e\314\201x", "ex||||", 2, 0},
        {"\033(0qx\033(Bq", "##q||||", 3, 0},
        {"\033)0\016q\017q", "#q||||", 2, 0},
        {"abc\033[2D\033[@x", "axbc||||", 2, 0},
        {"abcd\033[3D\033[2P", "ad||||", 1, 0},
        {"abcd\033[3D\033[2X", "a  d||||", 1, 0},
        {"abcd\033[2D\033[K", "ab||||", 2, 0},
        {"abcd\033[2D\033[1K", "   d||||", 2, 0},
        {"abcdefgh\033[K", "abcdefgh||||", 7, 0}, /* nothing is behind the end */
        {"a\r\nb\r\nc\033[2;1H\033[J", "a||||", 0, 1},
        {"a\r\nb\r\nc\033[2;1H\033[1J", "||c||", 0, 1},
        {"a\033[2J", "||||", 1, 0},
        {"a\r\nb\r\nc\r\nd\033[2;1H\033[L", "a||b|c|", 0, 1},
        {"a\r\nb\r\nc\r\nd\033[2;1H\033[M", "a|c|d||", 0, 1},
        {"a\r\nb\r\nc\r\nd\033[2;3r\033[3;1H\nx", "a|c|x|d|", 1, 2},
        {"a\r\nb\r\nc\r\nd\033[2;3r\033[2;1H\033Mx", "a|x|b|d|", 1, 1},
        {"a\r\nb\r\nc\r\nd\033[2;3r\033[?6h\033[9;1Hx", "a|b|x|d|", 1, 2},
        {"a\r\nb\033[S", "b||||", 1, 1},
        {"a\r\nb\033[T", "|a|b||", 1, 1},
        {"ab\033[3b", "abbbb||||", 5, 0},
        {"\033[2;3H\0337\033[H\0338x", "|  x|||", 3, 1},
        {"\033[4habc\033[Hx", "xabc||||", 1, 0},
        {"\033[3g\033[1;3H\033H\r\tx", "  x||||", 3, 0},
        {"\033#8\033[2J", "||||", 0, 0},
        {"ab\033[31mcd\033c", "||||", 0, 0},
        {"ab\033[?1049hcd", "  cd||||", 4, 0},
        {"ab\033[?1049hcd\033[?1049le", "abe||||", 3, 0},
        {"ab\033[?47h\033[2;2Hcd\033[?47le", "ab|   e|||", 4, 1},
        {"\033[1;31;42mab\033[K\033[0m\033[4:3mc", "abc||||", 3, 0},
        {"a\033]0;title\ab\033Pq#0\033\\c", "abc||||", 3, 0},
        {"a\302\205b", "a|b|||", 1, 1},
        {"\377a", "#a||||", 2, 0},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        must_show(rows[i].text, rows[i].rows, rows[i].column, rows[i].row);
}

/* A screen in a long string is not shown what is left of it. */
static void a_string_that_passes_is_hidden_from_who_comes(void **state)
{
    char text[VT_HOLD + 16] = "a\033Pq";
    struct vt_screen *s, *late;
    (void)state;

    memset(text + 4, '~', VT_HOLD);
    s = screen_of(text);
    late = painted(s);
    vt_screen_write(s, (const uint8_t *)"~~\033\\b", 5);
    vt_screen_write(late, (const uint8_t *)"~~\033\\b", 5);
    must_be_same(s, late);
    vt_screen_free(s);
    vt_screen_free(late);
}

static void lines_above_are_kept_as_text_and_bounded(void **state)
{
    struct vt_screen *s = screen_of("\033[31mred\033[0m one\r\n2\r\n3\r\n4\r\n5\r\n6"), *late;
    static const char gone[] = "\033[?1049h\n\n\n\n\n\n\n\033[?1049l\033[3J";
    char line[32];
    (void)state;

    assert_int_equal(buf_len(&s->above), strlen("\033[0;31mred\033[m one\n2\n"));
    assert_memory_equal(buf_data(&s->above), "\033[0;31mred\033[m one\n2\n", buf_len(&s->above));
    late = painted(s);
    must_be_same(s, late);
    assert_int_equal(buf_len(&late->above), buf_len(&s->above));
    assert_memory_equal(buf_data(&late->above), buf_data(&s->above), buf_len(&s->above));
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(line, sizeof line, "line %d\r\n", i);

        vt_screen_write(s, (const uint8_t *)line, (size_t)n);
    }
    assert_in_range(buf_len(&s->above), 980, 1000);
    vt_screen_write(s, (const uint8_t *)gone, sizeof gone - 1);
    assert_int_equal(buf_len(&s->above), 0);
    vt_screen_free(s);
    vt_screen_free(late);
}

static void another_size(void **state)
{
    struct vt_screen *s = screen_of("abcdef\346\227\245\r\n2\r\n3\r\n4\033[2;3r\033[4;1H");
    char got[256];
    (void)state;

    vt_screen_resize(s, 7, 3);
    read_rows(s, got);
    assert_string_equal(got, "2|3|4|");
    assert_int_equal(s->at.row, 2);
    assert_memory_equal(buf_data(&s->above), "abcdef\346\227\245\n", 10);
    vt_screen_resize(s, 10, 6);
    read_rows(s, got);
    assert_string_equal(got, "2|3|4||||");
    vt_screen_write(s, (const uint8_t *)"\n\n\n\n", 4); /* no region is left */
    read_rows(s, got);
    assert_string_equal(got, "3|4|||||");
    vt_screen_resize(s, VT_COLUMNS_MAX + 1, 6);
    assert_true(s->is_lost);
    vt_screen_free(s);
    assert_null(vt_screen_new(VT_COLUMNS_MAX + 1, 6, 0));
    assert_null(vt_screen_new(0, 6, 0));
}

/* What a terminal of any size is told in one go is followed within bounds: lines and pictures as
 * they come are, and what changes all of a large one with a few bytes, over and over, is not. */
static void work_is_bounded(void **state)
{
    static const struct {
        const char *text; /* again and again, 4 KiB of it */
        bool is_followed;
    } rows[] = {
        {"\n", true},
        {"\033[H\033[Jtwenty bytes of text", true},
        {"\033[3L", true},
        {"\033[100b", true},
        {"a\033[65535b", false},
        {"\033[2J", false},
        {"\033[200S", false},
        {"\033[200T", false},
        {"\033#8", false},
        {"\033[?1049h\033[?1049l", false},
    };
    static const uint16_t sizes[][2] = {{80, 24}, {VT_COLUMNS_MAX, VT_ROWS_MAX}};
    char text[4096];
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        bool followed[COUNT(sizes)];

        for (size_t k = 0; k < COUNT(sizes); k++) {
            struct vt_screen *s = vt_screen_new(sizes[k][0], sizes[k][1], 1000);
            size_t len = strlen(rows[i].text), n = 0;

            assert_non_null(s);
            for (; n + len <= sizeof text; n += len)
                memcpy(text + n, rows[i].text, len);
            vt_screen_write(s, (const uint8_t *)text, n);
            followed[k] = !s->is_lost;
            vt_screen_free(s);
        }
        /* at the usual size a program may draw anew with every 20 bytes */
        assert_true(followed[0] || !rows[i].is_followed);
        assert_int_equal(followed[1], i == 1 ? false : rows[i].is_followed);
    }
}

static void widths(void **state)
{
    static const struct {
        uint32_t c;
        unsigned width;
    } rows[] = {{'a', 1},     {0xE9, 1},   {0x301, 0},  {0x65E5, 2},   {0xAC00, 2},  {0x1F600, 2},
                {0x200D, 0},  {0xFE0F, 0}, {0x2500, 1}, {0xFF21, 2},   {0x20000, 2}, {0x1F1E9, 1},
                {0x1F9D1, 2}, {0xE33, 1},  {0xE31, 0},  {0x10FFFF, 1}, {0x3000, 2},  {0x303F, 1}};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(vt_width(rows[i].c), rows[i].width);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_sequences),
        cmocka_unit_test(a_string_that_passes_is_hidden_from_who_comes),
        cmocka_unit_test(lines_above_are_kept_as_text_and_bounded),
        cmocka_unit_test(another_size),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(widths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
