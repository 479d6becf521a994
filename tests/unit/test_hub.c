/* SPDX-License-Identifier: MIT */
/* Framing hub: whom a program's lines are for, and that no client can speak as another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/framing.h"
#include "proto/hub.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void expect_line(const char *line, const char *want)
{
    static const char *const kinds[] = {"?", "all", "some", "but", "close"};
    struct hub_line got = hub_read(slice_from(line));
    char text[256];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", kinds[got.kind]);
    uint64_t id;

    while (got.kind != HUB_UNKNOWN && hub_next_id(&got.ids, &id))
        n += (size_t)snprintf(text + n, sizeof text - n, " %llu", (unsigned long long)id);
    if (got.kind != HUB_UNKNOWN)
        snprintf(text + n, sizeof text - n, ":%.*s", (int)got.text.len, got.text.p);
    assert_string_equal(text, want);
}

static void lines_of_the_program(void **state)
{
    static const char *const rows[][2] = {
        {"* hello", "all:hello"},
        {"*  two", "all: two"},
        {"* ", "all:"},
        {"*", "all:"},
        {"7 hello", "some 7:hello"},
        {"7 - 8", "some 7:- 8"},
        {"7", "some 7:"},
        {"7,9,10 x y", "some 7 9 10:x y"},
        {"!7 x", "but 7:x"},
        {"!7,9 x", "but 7 9:x"},
        {"- 7", "close 7:"},
        {"- 7,9", "close 7 9:"},
        {"18446744073709551615 x", "some 18446744073709551615:x"},
        {"18446744073709551616 x", "some 18446744073709551615:x"},
        {"99999999999999999999 x", "some 18446744073709551615:x"},
        {"", "?"},
        {" ", "?"},
        {" 7 x", "?"},
        {"hello", "?"},
        {"*x", "?"},
        {"7x", "?"},
        {"7, x", "?"},
        {",7 x", "?"},
        {"7,,9 x", "?"},
        {"7\tx", "?"},
        {"! x", "?"},
        {"!* x", "?"},
        {"!", "?"},
        {"-", "?"},
        {"- ", "?"},
        {"-7", "?"},
        {"- 7 x", "?"},
        {"- x", "?"},
        {"+ 7 x y", "?"},
        {"100000000000000000000 x", "?"},
        {"\xc2\xb9 x", "?"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        expect_line(rows[i][0], rows[i][1]);
}

static void what_a_client_says(void **state)
{
    static const char *const rows[][2] = {
        {"a\n", "7 a\n"},
        {"\n", "7 \n"},
        {"a", "7 a\n"},
        {"a\nb\n", "7 a\n7 b\n"},
        {"a\n9 b\n", "7 a\n7 9 b\n"},
        {"a\n- 7\n", "7 a\n7 - 7\n"},
        {"\n\n", "7 \n7 \n"},
        {"a\r\nb\r\n", "7 a\n7 b\n"},
        {"a\r9 b\n", "7 a\n7 9 b\n"},
        {"a\r\r\n", "7 a\n7 \n"},
        {"a\n\rb\n", "7 a\n7 \n7 b\n"},
        {"", ""},
    };
    uint8_t out[64];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const uint8_t *p = (const uint8_t *)rows[i][0];
        size_t n = hub_write_lines(out, 7, p, strlen(rows[i][0]));

        assert_int_equal(n, strlen(rows[i][1]));
        assert_memory_equal(out, rows[i][1], n);
        assert_int_equal(hub_write_lines(NULL, 7, p, strlen(rows[i][0])), n);
    }
}

static void who_comes_and_leaves(void **state)
{
    static const char *const rows[][3] = {
        {"127.0.0.1", "", "+ 7 127.0.0.1 -\n"},
        {"::1", "ann", "+ 7 ::1 ann\n"},
        {"", "-", "+ 7 - %2D\n"},
        {"unix", "--", "+ 7 unix --\n"},
        {"a", "ann lee\n9 x", "+ 7 a ann%20lee%0A9%20x\n"},
        {"a", "50%\t\x7f\r", "+ 7 a 50%25%09%7F%0D\n"},
        {"a", "Zo\xc3\xab\xe2\x80\xa8", "+ 7 a Zo%C3%AB%E2%80%A8\n"},
    };
    uint8_t out[128];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = hub_write_came(out, 7, rows[i][0], rows[i][1]);

        assert_int_equal(n, strlen(rows[i][2]));
        assert_memory_equal(out, rows[i][2], n);
        assert_int_equal(hub_write_came(NULL, 7, rows[i][0], rows[i][1]), n);
    }
    assert_int_equal(hub_write_left(out, UINT64_MAX), HUB_ID_MAX + 3);
    assert_memory_equal(out, "- 18446744073709551615\n", HUB_ID_MAX + 3);
}

/* A line is one whatever pieces it comes in. */
static void cut_at_every_two_places(void **state)
{
    static const char in[] = "* a\n7 b\r\n- 7\n\n!7 c\rd\n";
    size_t n = sizeof in - 1;

    (void)state;
    for (size_t a = 0; a <= n; a++) {
        for (size_t b = a; b <= n; b++) {
            const size_t ends[] = {a, b, n};
            struct framing_state st = {0};
            struct framing_cut cut;
            char got[64] = "";
            size_t used = 0, at = 0;

            for (size_t i = 0; i < COUNT(ends); i++) {
                for (; at < ends[i]; at += cut.skip + cut.body + cut.drop) {
                    assert_true(framing_hub.cut(&st, (const uint8_t *)in + at, ends[i] - at, &cut));
                    memcpy(got + used, in + at + cut.skip, cut.body);
                    used += cut.body;
                    if (cut.end)
                        got[(used -= cut.chop, used++)] = '|';
                }
            }
            got[used] = 0;
            assert_string_equal(got, "* a|7 b|- 7||!7 c\rd|");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_the_program),
        cmocka_unit_test(what_a_client_says),
        cmocka_unit_test(who_comes_and_leaves),
        cmocka_unit_test(cut_at_every_two_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
