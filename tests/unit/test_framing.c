/* SPDX-License-Identifier: MIT */
/* The framings lines, stream and text; lines cut at every two places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/framing.h"
#include "proto/ws.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Messages in the order they came, '|' behind each; what follows the last is unterminated. */
struct lines {
    char text[128];
    size_t n;     /* bytes in text */
    size_t start; /* of the message in progress */
};

/* Plays one chunk as a session does: assemble the bodies, chop at the end. */
static void play(struct lines *to, struct framing_state *st, const char *p, size_t n)
{
    uint8_t *chunk = malloc(n ? n : 1); /* of exactly this size, for ASan */
    struct framing_cut cut;

    memcpy(chunk, p, n);
    for (size_t at = 0; at < n; at += cut.skip + cut.body + cut.drop) {
        memset(&cut, 0xFF, sizeof cut); /* nothing may be left unset */
        assert_true(framing_lines.cut(st, chunk + at, n - at, &cut));
        assert_in_range(cut.skip + cut.body + cut.drop, 1, n - at);
        memcpy(to->text + to->n, chunk + at + cut.skip, cut.body);
        to->n += cut.body;
        assert_true(cut.chop <= (cut.end ? to->n - to->start : 0));
        if (!cut.end)
            continue;
        to->n -= cut.chop;
        to->text[to->n++] = '|';
        to->start = to->n;
    }
    free(chunk);
}

static void check_cuts(const char *in, size_t n, const char *want)
{
    for (size_t a = 0; a <= n; a++) {
        for (size_t b = a; b <= n; b++) {
            struct framing_state st = {0};
            struct lines got = {.n = 0};

            play(&got, &st, in, a);
            play(&got, &st, in + a, b - a);
            play(&got, &st, in + b, n - b);
            got.text[got.n] = '\0';
            assert_string_equal(got.text, want);
        }
    }
}

static void lines_table(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"one\ntwo\n", "one|two|"},    {"one\r\ntwo\r\n", "one|two|"}, {"one\r\ntail", "one|tail"},
        {"\n\n\r\n", "|||"},           {"no line yet", "no line yet"}, {"\r\r\n", "\r|"},
        {"a\rb\n\rc\r", "a\rb|\rc\r"}, {"\r\n\r\n\r", "||\r"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_cuts(rows[i].in, strlen(rows[i].in), rows[i].want);
}

/* All texts of up to 7 letters a, \r and \n, against the plainest way, byte by byte. */
static void lines_all_short_texts(void **state)
{
    (void)state;
    for (size_t len = 1, all = 3; len <= 7; len++, all *= 3) {
        for (size_t v = 0; v < all; v++) {
            char in[8], want[16];
            size_t o = 0;

            for (size_t i = 0, rest = v; i < len; i++, rest /= 3) {
                in[i] = "a\r\n"[rest % 3];
                want[o++] = in[i];
                if (in[i] != '\n')
                    continue;
                o -= i > 0 && in[i - 1] == '\r' ? 2 : 1;
                want[o++] = '|';
            }
            want[o] = '\0';
            check_cuts(in, len, want);
        }
    }
}

/* A line may hold any byte but the newline, NUL too. */
static void lines_are_binary_clean(void **state)
{
    struct framing_state st = {0};
    struct framing_cut cut;
    uint8_t all[256];

    (void)state;
    for (size_t i = 0; i < 256; i++)
        all[i] = (uint8_t)(i + '\n' + 1); /* the newline comes last */
    assert_true(framing_lines.cut(&st, all, sizeof all, &cut));
    assert_true(cut.end);
    assert_int_equal(cut.skip, 0);
    assert_int_equal(cut.body, 255);
    assert_int_equal(cut.drop, 1);
    assert_int_equal(cut.chop, 0);
}

static void lines_to_bytes(void **state)
{
    uint8_t out[FRAMING_SUFFIX_MAX] = {0};

    (void)state;
    assert_null(framing_lines.prefix);
    assert_int_equal(framing_lines.suffix(out, 5, WS_TEXT), 1);
    assert_int_equal(out[0], '\n');
}

static void kinds(void **state)
{
    static const struct {
        const struct framing *kind;
        const char *name;
        bool assembles, cuts;
        uint8_t opcode_out;
    } rows[] = {
        {&framing_lines, "lines", true, true, WS_TEXT},
        {&framing_stream, "stream", false, false, WS_BINARY},
        {&framing_text, "text", false, false, WS_TEXT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct framing *k = rows[i].kind;

        assert_string_equal(k->name, rows[i].name);
        assert_int_equal(k->assembles, rows[i].assembles);
        assert_int_equal(k->cut != NULL, rows[i].cuts);
        assert_int_equal(k->opcode_out, rows[i].opcode_out);
        assert_true(k->assembles || (!k->prefix && !k->suffix));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_table),
        cmocka_unit_test(lines_all_short_texts),
        cmocka_unit_test(lines_are_binary_clean),
        cmocka_unit_test(lines_to_bytes),
        cmocka_unit_test(kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
