/* SPDX-License-Identifier: MIT */
/* What programs write to terminals: questions are taken out and answered, modes are followed, and
 * nothing of it depends on how the output is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/vt_query.h"
#include "proto/vt_scan.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct vt_facts facts = {
    .columns = 80,
    .rows = 24,
    .column = 7,
    .row = 5,
    .colours = {{0xdb, 0xe6, 0xec}, {0, 0, 0}, {255, 255, 255}},
    .version = "wsluice(0)",
};

/* What came out of a scan: output, answers, questions. */
struct seen {
    struct vt_scan scan;
    uint8_t out[8192];
    size_t used;
    char answers[8192];
    size_t answered;
    unsigned asked;
};

static void feed(struct seen *s, const char *p, size_t n)
{
    struct vt_pass pass = {.p = (const uint8_t *)p, .n = n, .out = s->out + s->used};
    enum vt_what what;
    char answer[VT_ANSWER_MAX];

    assert_true(s->used + n + VT_HOLD <= sizeof s->out);
    while ((what = vt_scan(&s->scan, &pass)) != VT_ALL) {
        if (what != VT_ASKS)
            continue;
        s->asked++;
        size_t len = vt_answer(&pass.seq, &s->scan.modes, &facts, answer);
        assert_true(s->answered + len <= sizeof s->answers);
        memcpy(s->answers + s->answered, answer, len);
        s->answered += len;
    }
    s->used += pass.used;
}

static void end(struct seen *s)
{
    s->used += vt_scan_end(&s->scan, s->out + s->used);
}

static void must_be(const struct seen *s, const struct seen *whole)
{
    assert_int_equal(s->used, whole->used);
    assert_memory_equal(s->out, whole->out, s->used);
    assert_int_equal(s->answered, whole->answered);
    assert_memory_equal(s->answers, whole->answers, s->answered);
    assert_int_equal(s->asked, whole->asked);
    assert_memory_equal(&s->scan.modes, &whole->scan.modes, sizeof s->scan.modes);
}

/* Who comes at a place between two sequences sees what all others see from there on. */
static void must_begin_there(const struct seen *s, const char *rest, size_t n,
                             const struct seen *whole)
{
    static struct seen late;

    if (!vt_is_between(&s->scan))
        return;
    late = (struct seen){0};
    feed(&late, (const char *)s->scan.hold, s->scan.held);
    feed(&late, rest, n);
    end(&late);
    assert_int_equal(late.used, whole->used - s->used);
    assert_memory_equal(late.out, whole->out + s->used, late.used);
    assert_int_equal(late.asked, whole->asked - s->asked);
}

/* The whole text at once; then in two pieces cut at each place, and byte by byte: all the same. */
static void scan_all_ways(const char *text, size_t n, struct seen *whole)
{
    static struct seen s;

    *whole = (struct seen){0};
    feed(whole, text, n);
    end(whole);
    for (size_t at = 0; at <= n; at++) {
        s = (struct seen){0};
        feed(&s, text, at);
        must_begin_there(&s, text + at, n - at, whole);
        feed(&s, text + at, n - at);
        end(&s);
        must_be(&s, whole);
    }
    s = (struct seen){0};
    for (size_t at = 0; at < n; at++)
        feed(&s, text + at, 1);
    end(&s);
    must_be(&s, whole);
}

static void must_read(const char *got, size_t n, const char *want)
{
    assert_int_equal(n, strlen(want));
    assert_memory_equal(got, want, n);
}

static void questions_go_and_are_answered(void **state)
{
    static const struct {
        const char *ask, *answer;
    } rows[] = {
        {"\033[c", "\033[?1;2c"},
        {"\033[0c", "\033[?1;2c"},
        {"\302\233c", "\033[?1;2c"}, /* C1 */
        {"\033Z", "\033[?1;2c"},
        {"\302\232", "\033[?1;2c"},
        {"\033[>c", "\033[>0;276;0c"},
        {"\033[=c", "\033P!|00000000\033\\"},
        {"\033[>0q", "\033P>|wsluice(0)\033\\"},
        {"\033[5n", "\033[0n"},
        {"\033[6n", "\033[5;7R"},
        {"\033[?6n", "\033[?5;7R"},
        {"\033[?996n", ""},
        {"\033[?25$p", "\033[?25;1$y"},
        {"\033[?2004$p", "\033[?2004;2$y"},
        {"\033[?2026$p", "\033[?2026;0$y"},
        {"\033[4$p", "\033[4;2$y"},
        {"\033[3$p", "\033[3;0$y"},
        {"\033[18t", "\033[8;24;80t"},
        {"\033[19t", "\033[9;24;80t"},
        {"\033[14t", ""},
        {"\033[11t", "\033[1t"},
        {"\033[21t", "\033]l\033\\"},
        {"\033[?u", ""},
        {"\033[x", "\033[2;1;1;128;128;1;0x"},
        {"\033[?1;1S", ""},
        {"\005", ""},
        {"\033]10;?\033\\", "\033]10;rgb:dbdb/e6e6/ecec\033\\"},
        {"\033]11;?\a", "\033]11;rgb:0000/0000/0000\a"},
        {"\302\235"
         "11;?\302\234",
         "\033]11;rgb:0000/0000/0000\033\\"},
        {"\033]10;?;?\a", "\033]10;rgb:dbdb/e6e6/ecec\a\033]11;rgb:0000/0000/0000\a"},
        {"\033]4;1;?;196;?;255;?\a", "\033]4;1;rgb:cccc/0000/0000\a\033]4;196;rgb:ffff/0000/0000\a"
                                     "\033]4;255;rgb:eeee/eeee/eeee\a"},
        {"\033]52;c;?\a", ""},
        {"\033P$qm\033\\", "\033P1$r0m\033\\"},
        {"\033P$qr\033\\", "\033P1$r1;24r\033\\"},
        {"\033P$q q\033\\", "\033P1$r1 q\033\\"},
        {"\033P$qz\033\\", "\033P0$r\033\\"},
        {"\033P+q436f;5243\033\\", "\033P1+r436F=323536\033\\\033P0+r5243\033\\"},
        {"\033P+qrm -rf\r\033\\", "\033P0+r\033\\"},
        {"\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\", ""},
        {"\033[\177c", "\033[?1;2c"},
    };
    static struct seen s;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[256];
        size_t n = (size_t)snprintf(text, sizeof text, "\303\244%s\342\202\254", rows[i].ask);

        scan_all_ways(text, n, &s);
        must_read((char *)s.out, s.used, "\303\244\342\202\254");
        must_read(s.answers, s.answered, rows[i].answer);
        assert_int_equal(s.asked, 1);
    }
}

static void all_else_stays(void **state)
{
    static const char *const rows[] = {
        "plain text\r\n\t\b\a",
        "\346\227\245\346\234\254\360\237\230\200 e\314\201",
        "\033[1;31mred\033[0m\033[K",
        "\033[?1;2c", /* an answer, not a question */
        "\033[>0;276;0c",
        "\033[0n",
        "\033[5;7R",
        "\033[1c", /* no question */
        "\033[22;0t\033[23;0t\033[8;24;80t",
        "\033[u\033[s\033[>1u\033[<u\033[=1;1u",
        "\033[>4;2m\033[!p\033[2 q\033[1S",
        "\033]0;what?\a\033]4;1;#ff0000\a\033]11;#fff\033\\\033]52;c;Zm9v\a",
        "\033P1$r0m\033\\\033Pq#0;2;0;0;0~\033\\",
        "\033_Ga=T;AAAA\033\\\033^a=q\033\\\033X?\033\\",
        "\033(0lqk\033(B\016\017\033)0",
        "\033",
        "\033[",
        "\033[12",
        "\033]0;unfinished",
        "\033P$q",
        "\342\202",
        "\302",
        "\033[12\030c\033[\032c", /* broken off */
        "\033[1\033[2mx\033]0;a\033[3mb",
        "\033[\303\244c\033\303\244",
        "\033P$qm\030x",
        "\377\376\300\200\355\240\200\365\302A\343\201A",
        "\302\205\302\204\302\234",
    };
    static struct seen s;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        scan_all_ways(rows[i], strlen(rows[i]), &s);
        must_read((char *)s.out, s.used, rows[i]);
        assert_int_equal(s.asked, 0);
    }
}

/* What terminals obey in the middle of a sequence is not lost with it. */
static void control_characters_inside_of_a_question_stay(void **state)
{
    static struct seen s;
    static const char text[] = "a\033[\r\n>\ac";

    scan_all_ways(text, sizeof text - 1, &s);
    (void)state;
    must_read((char *)s.out, s.used, "a\r\n\a");
    must_read(s.answers, s.answered, "\033[>0;276;0c");
}

/* A string is over where something else begins. */
static void a_string_ends_before_another_sequence(void **state)
{
    static struct seen s;
    static const char text[] = "\033]11;?\033[1m\033]10;?\302\233m";

    scan_all_ways(text, sizeof text - 1, &s);
    (void)state;
    must_read((char *)s.out, s.used, "\033[1m\302\233m");
    must_read(s.answers, s.answered,
              "\033]11;rgb:0000/0000/0000\033\\\033]10;rgb:dbdb/e6e6/ecec\033\\");
}

/* Long strings pass, and are not between two sequences meanwhile. */
static void long_strings_pass(void **state)
{
    static const char *const begins[] = {"\033Pq", "\033]52;c;", "\033_G;", "\033[", "\302\220q"};
    static struct seen s;
    char text[VT_HOLD + 64], shield[VT_SHIELD_MAX];
    (void)state;

    for (size_t i = 0; i < COUNT(begins); i++) {
        size_t n = strlen(begins[i]);

        memcpy(text, begins[i], n);
        memset(text + n, '1', VT_HOLD);
        n += VT_HOLD;
        s = (struct seen){0};
        feed(&s, text, n);
        assert_false(vt_is_between(&s.scan));
        assert_int_equal(s.used, n);
        assert_true(vt_shield(&s.scan, shield) > 0);
        memcpy(text + n, i == 3 ? "m" : "\033\\", 2);
        n += i == 3 ? 1 : 2;
        memcpy(text + n, "\033[cx", 4);
        n += 4;
        scan_all_ways(text, n, &s);
        assert_int_equal(s.asked, 1);
        assert_int_equal(s.used, n - 3);
        assert_true(vt_is_between(&s.scan));
        assert_int_equal(vt_shield(&s.scan, shield), 0);
    }
}

/* After a shield, what is left of a long string shows nothing: it is one string to its end. */
static void a_shield_hides_the_rest(void **state)
{
    static const struct {
        const char *begin, *end;
    } rows[] = {{"\033P", "\033\\"},
                {"\033]0;", "\a"},
                {"\033]", "\302\234"},
                {"\033[", "H"},
                {"\033^", "\033\\"}};
    static struct seen s, late;
    char text[VT_HOLD + 64], shield[VT_SHIELD_MAX];
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = strlen(rows[i].begin), end_len = strlen(rows[i].end);

        memcpy(text, rows[i].begin, n);
        memset(text + n, '7', VT_HOLD);
        s = (struct seen){0};
        feed(&s, text, n + VT_HOLD);
        late = (struct seen){0};
        feed(&late, shield, vt_shield(&s.scan, shield));
        feed(&late, "77", 2);
        assert_int_not_equal(late.scan.held, 0);
        feed(&late, rows[i].end, end_len);
        assert_int_equal(late.scan.held, 0);
        assert_int_equal(late.scan.modes.title_len, 0);
    }
}

/* ---- modes ---- */

static void must_write(const char *text, const char *want)
{
    static struct seen s, again;
    char out[VT_MODES_TEXT_MAX];
    size_t n;

    scan_all_ways(text, strlen(text), &s);
    n = vt_modes_write(&s.scan.modes, out);
    must_read(out, n, want);
    again = (struct seen){0};
    feed(&again, out, n); /* what is written is read as the same */
    again.scan.modes.saved[0] = s.scan.modes.saved[0];
    again.scan.modes.saved[1] = s.scan.modes.saved[1];
    again.scan.modes.alternate = s.scan.modes.alternate;
    if (vt_modes_private(&s.scan.modes, 25) == 2)
        feed(&again, "\033[?25l", 6);
    assert_memory_equal(&again.scan.modes, &s.scan.modes, sizeof s.scan.modes);
}

static void modes_are_followed(void **state)
{
    static const char *const rows[][2] = {
        {"", "\033[0m"},
        {"\033[?1h\033=", "\033[?1h\033=\033[0m"},
        {"\033[?1;2004;1004h\033[?1l", "\033[?1004h\033[?2004h\033[0m"},
        {"\033[?7l\033[?25l", "\033[?7l\033[0m"},
        {"\033[?1000h\033[?1002;1006h", "\033[?1002h\033[?1006h\033[0m"},
        {"\033[?1003h\033[?1015h\033[?1000l\033[?1006l", "\033[0m"},
        {"\033[?9h\033[?1005h", "\033[?9h\033[?1005h\033[0m"},
        {"\033[4h\033[20h", "\033[4h\033[20h\033[0m"},
        {"\033[4;20h\033[4l", "\033[20h\033[0m"},
        {"\033[5 q", "\033[5 q\033[0m"},
        {"\033[3;20r\033[?6h", "\033[3;20r\033[?6h\033[0m"},
        {"\033[3r", "\033[3r\033[0m"},
        {"\033[3;20r\033[r", "\033[0m"},
        {"\033[3;20r\033[0;1r", "\033[0m"},
        {"\033]2;a\302\001\234\377b\a", "\033]2;ab\033\\\033[0m"},
        {"\033)0\016", "\033)0\016\033[0m"},
        {"\033(0\033(B\033*<\033n", "\033*<\033n\033[0m"},
        {"\033]0;both\a\033]1;icon\a", "\033]2;both\033\\\033[0m"},
        {"\033]2;\346\227\245\033\\", "\033]2;\346\227\245\033\\\033[0m"},
        {"\033]2;a\033\\\033]2;\033\\", "\033[0m"},
        {"\033]4;1;rgb:ff/8/0000;17;#fff\a", "\033]4;1;#ff8800\033\\\033[0m"},
        {"\033]4;1;#f00\a\033]104;1\a", "\033[0m"},
        {"\033]10;#102030;#405060\a", "\033]10;#102030\033\\\033]11;#405060\033\\\033[0m"},
        {"\033]11;#102030\a\033]111\a", "\033[0m"},
        {"\033[1;2;3;4;5;7;8;9;53m", "\033[0;1;2;3;5;7;8;9;53;4m"},
        {"\033[1;2;3;4m\033[22;23;24m", "\033[0m"},
        {"\033[31;42m", "\033[0;31;42m"},
        {"\033[91;102m", "\033[0;91;102m"},
        {"\033[38;5;200;48;2;1;2;3m", "\033[0;38;5;200;48;2;1;2;3m"},
        {"\033[38:5:200m\033[48:2::1:2:3m\033[58:2:9:8:7;4:3m",
         "\033[0;4:3;38;5;200;48;2;1;2;3;58;2;9;8;7m"},
        {"\033[38;5;200m\033[39;49m", "\033[0m"},
        {"\033[38;7;1m", "\033[0m"},
        {"\033[31m\0337\033[0m\0338", "\033[0;31m"},
        {"\033[31m\033[s\033[32m\033[u", "\033[0;31m"},
        {"\033[31m\033[?1049h\033[32m\033[?1049l", "\033[0;31m"},
        {"\033[31m\033[?1047h\033[32m\033[?1047l", "\033[0;32m"},
        {"\033[31;1m\033[?1h\033[!p", "\033[0m"},
        {"\033[31m\033[?1000h\033]2;t\a\033c", "\033]2;t\033\\\033[0m"},
        {"\033[?1h\033[?1h\033[?1l", "\033[0m"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        must_write(rows[i][0], rows[i][1]);
}

static void questions_know_the_modes(void **state)
{
    static const char *const rows[][2] = {
        {"\033[?1049h\033[?1049$p\033[?47$p\033[?1000$p",
         "\033[?1049;1$y\033[?47;1$y\033[?1000;2$y"},
        {"\033[?1006h\033[?1006$p\033[?1005$p", "\033[?1006;1$y\033[?1005;2$y"},
        {"\033[?25l\033[?25$p\033[?7$p", "\033[?25;2$y\033[?7;1$y"},
        {"\033[1;31m\033P$qm\033\\", "\033P1$r0;1;31m\033\\"},
        {"\033[2;9r\033P$qr\033\\", "\033P1$r2;9r\033\\"},
        {"\033[2;9r\033[?6h\033[6n", "\033[4;7R"},
        {"\033]11;#abc\a\033]11;?\a", "\033]11;rgb:aaaa/bbbb/cccc\a"},
        {"\033]4;3;#123456\a\033]4;3;?\a", "\033]4;3;rgb:1212/3434/5656\a"},
    };
    static struct seen s;
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        scan_all_ways(rows[i][0], strlen(rows[i][0]), &s);
        must_read(s.answers, s.answered, rows[i][1]);
    }
}

static void a_long_title_is_cut_between_characters(void **state)
{
    static struct seen s;
    char text[4 + 2 * VT_HOLD];
    size_t n = (size_t)snprintf(text, sizeof text, "\033]2;");
    (void)state;

    while (n + 3 < sizeof text) {
        memcpy(text + n, "\342\202\254", 3);
        n += 3;
    }
    text[n++] = '\a';
    scan_all_ways(text, n, &s);
    assert_int_equal(s.scan.modes.title_len, VT_TITLE_MAX / 3 * 3);
    assert_memory_equal(s.scan.modes.title, text + 4, s.scan.modes.title_len);
    assert_int_equal(s.used, n);
}

static void answers_end_with_a_whole_one(void **state)
{
    static struct seen s;
    char text[VT_HOLD] = "\033]4";
    size_t n = strlen(text);
    (void)state;

    while (n + 6 < sizeof text)
        n += (size_t)snprintf(text + n, sizeof text - n, ";%zu;?", n % 10);
    text[n++] = '\a';
    scan_all_ways(text, n, &s);
    assert_true(s.answered > 2000 && s.answered < VT_ANSWER_MAX);
    assert_int_equal(s.answers[s.answered - 1], '\a');
}

static void colours_in_words(void **state)
{
    static const struct {
        const char *text;
        uint8_t rgb[3];
        bool is_one;
    } rows[] = {
        {"#fff", {255, 255, 255}, true},
        {"#102030", {16, 32, 48}, true},
        {"#ffff80800000", {255, 128, 0}, true},
        {"rgb:f/80/0000", {255, 128, 0}, true},
        {"rgb:ffff/ffff/ffff", {255, 255, 255}, true},
        {"", {0}, false},
        {"#", {0}, false},
        {"#ff", {0}, false},
        {"#ggg", {0}, false},
        {"red", {0}, false},
        {"rgb:1/2", {0}, false},
        {"rgb:1/2/3/4", {0}, false},
        {"rgb:/2/3", {0}, false},
        {"#1234512345123451", {0}, false},
    };
    uint8_t rgb[3];
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(vt_read_colour(slice_from(rows[i].text), rgb), rows[i].is_one);
        if (rows[i].is_one)
            assert_memory_equal(rgb, rows[i].rgb, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_go_and_are_answered),
        cmocka_unit_test(all_else_stays),
        cmocka_unit_test(control_characters_inside_of_a_question_stay),
        cmocka_unit_test(a_string_ends_before_another_sequence),
        cmocka_unit_test(long_strings_pass),
        cmocka_unit_test(a_shield_hides_the_rest),
        cmocka_unit_test(modes_are_followed),
        cmocka_unit_test(questions_know_the_modes),
        cmocka_unit_test(a_long_title_is_cut_between_characters),
        cmocka_unit_test(answers_end_with_a_whole_one),
        cmocka_unit_test(colours_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
