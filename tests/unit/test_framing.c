/* SPDX-License-Identifier: MIT */
/* The framings: each cut at every two places, and what each makes of its own output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/framing.h"
#include "proto/ws.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/*
 * What came, in order: behind each message '|' and, for typed kinds, its type in front ("t:", "b:",
 * "e:" stderr, "x:" end). What follows the last is unterminated. "!why" ends it when it broke.
 */
struct seen {
    char *text;
    size_t n;     /* bytes in text */
    size_t start; /* of the message in progress */
    bool in_message, broken;
};

static struct seen seen_new(size_t room)
{
    return (struct seen){.text = calloc(1, 2 * room + 160)};
}

static void begin(const struct framing *kind, struct seen *to, const struct framing_cut *cut)
{
    static const char letters[] = {[FRAMING_STDERR] = 'e', [FRAMING_END] = 'x'};
    char letter = cut->what != FRAMING_MESSAGE ? letters[cut->what]
                  : cut->opcode == WS_TEXT     ? 't'
                                               : 'b';

    if (to->in_message || !kind->typed)
        return;
    to->in_message = true;
    to->text[to->n++] = letter;
    to->text[to->n++] = ':';
    to->start = to->n;
}

static void play_cut(const struct framing *kind, struct seen *to, const struct framing_cut *cut,
                     const uint8_t *body)
{
    begin(kind, to, cut);
    if (cut->size > to->n - to->start + cut->size) /* no overflow on the way */
        fail();
    if (cut->size > 0 && cut->body > 0)
        assert_true(cut->body <= cut->size);
    memcpy(to->text + to->n, body, cut->body);
    to->n += cut->body;
    assert_true(cut->chop <= to->n - to->start);
    if (!cut->end)
        return;
    to->n -= cut->chop;
    to->text[to->n++] = '|';
    to->start = to->n;
    to->in_message = false;
}

/* Plays one chunk as a session does: assemble the bodies, chop at the end. */
static void play(const struct framing *kind, struct seen *to, struct framing_state *st,
                 const char *p, size_t n)
{
    uint8_t *chunk = malloc(n ? n : 1); /* of exactly this size, for ASan */
    struct framing_cut cut;

    memcpy(chunk, p, n);
    for (size_t at = 0; at < n && !to->broken; at += cut.skip + cut.body + cut.drop) {
        memset(&cut, 0xFF, sizeof cut); /* nothing may be left unset */
        if (!kind->cut(st, chunk + at, n - at, &cut)) {
            to->broken = true;
            to->n += (size_t)sprintf(to->text + to->n, "!%s", cut.why);
            break;
        }
        assert_in_range(cut.skip + cut.body + cut.drop, 1, n - at);
        play_cut(kind, to, &cut, chunk + at + cut.skip);
    }
    free(chunk);
}

static void check_cuts(const struct framing *kind, const char *in, size_t n, const char *want,
                       size_t want_n)
{
    for (size_t a = 0; a <= n; a++) {
        for (size_t b = a; b <= n; b++) {
            struct framing_state st = {0};
            struct seen got = seen_new(n);

            play(kind, &got, &st, in, a);
            play(kind, &got, &st, in + a, b - a);
            play(kind, &got, &st, in + b, n - b);
            if (got.n != want_n || memcmp(got.text, want, want_n) != 0)
                fail_msg("%s: %.*s at %zu, %zu: got %s, want %s", kind->name, (int)n, in, a, b,
                         got.text, want);
            free(got.text);
        }
    }
    struct framing_state st = {0};
    struct seen got = seen_new(n);
    for (size_t i = 0; i < n; i++)
        play(kind, &got, &st, in + i, 1);
    assert_int_equal(got.n, want_n);
    assert_memory_equal(got.text, want, want_n);
    free(got.text);
}

struct row {
    const char *in;
    size_t n;
    const char *want;
    size_t want_n;
};
#define ROW(in, want)                                  \
    {                                                  \
        (in), sizeof(in) - 1, (want), sizeof(want) - 1 \
    }

static void check_rows(const struct framing *kind, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_cuts(kind, rows[i].in, rows[i].n, rows[i].want, rows[i].want_n);
}

static void lines_table(void **state)
{
    static const struct row rows[] = {
        ROW("one\ntwo\n", "one|two|"),     ROW("one\r\ntwo\r\n", "one|two|"),
        ROW("one\r\ntail", "one|tail"),    ROW("\n\n\r\n", "|||"),
        ROW("no line yet", "no line yet"), ROW("\r\r\n", "\r|"),
        ROW("a\rb\n\rc\r", "a\rb|\rc\r"),  ROW("\r\n\r\n\r", "||\r"),
    };
    (void)state;
    check_rows(&framing_lines, rows, COUNT(rows));
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
            check_cuts(&framing_lines, in, len, want, o);
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

static void nul_table(void **state)
{
    static const struct row rows[] = {
        ROW("one\0two\0", "one|two|"),
        ROW("\0\0a\0", "||a|"),
        ROW("a\nb\r\n\0tail", "a\nb\r\n|tail"),
    };
    (void)state;
    check_rows(&framing_nul, rows, COUNT(rows));
}

static void len32_table(void **state)
{
    static const struct row big[] = {
        ROW("\0\0\0\1a\0\0\0\0\0\0\0\2bc", "a||bc|"),
        ROW("\0\0\0\5abc", "abc"),
        ROW("\0\0\1", ""),
        ROW("\377\377\377\377abc", "abc"),
    };
    static const struct row little[] = {
        ROW("\1\0\0\0a\0\0\0\0\2\0\0\0bc", "a||bc|"),
        ROW("\5\0\0\0abc", "abc"),
        ROW("\0\0\0\1abc", "abc"),
    };
    (void)state;
    check_rows(&framing_len32, big, COUNT(big));
    check_rows(&framing_len32le, little, COUNT(little));
}

static void netstring_table(void **state)
{
    static const struct row rows[] = {
        ROW("1:a,0:,2:bc,", "a||bc|"),
        ROW("12:hello world!,", "hello world!|"),
        ROW("3:,,,,0:,", ",,,||"),
        ROW("5:abc", "abc"),
        ROW("5", ""),
        ROW("5:abcde", "abcde"),
        ROW("1:a,x", "a|!a netstring does not begin with its length"),
        ROW(":,", "!a netstring does not begin with its length"),
        ROW("-1:", "!a netstring does not begin with its length"),
        ROW(" 1:a,", "!a netstring does not begin with its length"),
        ROW("1:a,\n", "a|!a netstring does not begin with its length"),
        ROW("1 :a,", "!no colon behind a netstring's length"),
        ROW("01:a,", "!a netstring's length begins with 0"),
        ROW("00:,", "!a netstring's length begins with 0"),
        ROW("0:a", "!no comma behind a netstring"),
    };
    (void)state;
    check_rows(&framing_netstring, rows, COUNT(rows));
}

/* A body whose comma is wrong is never complete; how much of it came up depends on the chunks. */
static void netstring_wrong_comma(void **state)
{
    static const char in[] = "3:abcd";

    (void)state;
    for (size_t at = 0; at < sizeof in; at++) {
        struct framing_state st = {0};
        struct seen got = seen_new(sizeof in);

        play(&framing_netstring, &got, &st, in, at);
        play(&framing_netstring, &got, &st, in + at, sizeof in - 1 - at);
        assert_true(got.broken);
        assert_null(strchr(got.text, '|'));
        assert_non_null(strstr(got.text, "!no comma behind a netstring"));
        free(got.text);
    }
}

#define NO_HEADER "!a line that is no header; does the program print something else, too?"

static void lsp_table(void **state)
{
    static const struct row rows[] = {
        ROW("Content-Length: 1\r\n\r\naContent-Length: 0\r\n\r\nContent-Length: 2\r\n\r\nbc",
            "a||bc|"),
        ROW("content-LENGTH:3 \r\nContent-Type: x; charset=utf-8\r\n\r\nabc", "abc|"),
        ROW("Content-Type: x\r\nX:\r\nContent-Length:\t3\r\n\r\nabc", "abc|"),
        ROW("Content-Length: 3\n\nabc", "abc|"),
        ROW("Content-Lengt: 9\nContent-Lengthy: 8\nContent-Length: 1\n\na", "a|"),
        ROW("Content-Length: 5\r\n\r\nabc", "abc"),
        ROW("Content-Le", ""),
        ROW("\r\nabc", "!a header without Content-Length"),
        ROW("Content-Type: x\r\n\r\n", "!a header without Content-Length"),
        ROW("Content-Length: 1\r\n\r\na\n", "a|!a header without Content-Length"),
        ROW("hello world\n", NO_HEADER),
        ROW("{\"jsonrpc\":\"2.0\", ", NO_HEADER),
        ROW("hello\r\n", NO_HEADER),
        ROW(": 1\r\n", NO_HEADER),
        ROW("Content-Length : 1\r\n\r\na", NO_HEADER),
        ROW("\303\244: 1\r\n", NO_HEADER),
        ROW("Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "!Content-Length stands there twice"),
        ROW("Content-Length:\r\n\r\n", "!Content-Length is no number"),
        ROW("Content-Length: -1\r\n\r\n", "!Content-Length is no number"),
        ROW("Content-Length: 1x\r\n\r\n", "!Content-Length is no number"),
        ROW("Content-Length: 1 2\r\n\r\n", "!Content-Length is no number"),
        ROW("Content-Length: 1\r\n\rab", "!no newline behind a carriage return"),
    };
    (void)state;
    check_rows(&framing_lsp, rows, COUNT(rows));
}

/* A header without an end is given up at 4096 bytes, wherever it was cut. */
static void lsp_endless_header(void **state)
{
    char in[5000];

    (void)state;
    memset(in, 'x', sizeof in);
    in[1] = ':';
    for (size_t at = 0; at < sizeof in; at += at >= 4088 && at < 4104 ? 1 : 7) {
        struct framing_state st = {0};
        struct framing_cut cut;
        const uint8_t *p = (const uint8_t *)in;
        bool first = at == 0 || framing_lsp.cut(&st, p, at, &cut);

        assert_int_equal(first, at <= 4096);
        if (first)
            assert_false(framing_lsp.cut(&st, p + at, sizeof in - at, &cut));
        assert_string_equal(cut.why, "a header of over 4096 bytes");
    }
}

/* One of exactly 4096 bytes is taken whole; one byte more is too many. */
static void lsp_header_of_4096(void **state)
{
    static const char end[] = "\r\nContent-Length: 2\r\n\r\n";
    char in[4200];

    (void)state;
    for (size_t n = 4095; n <= 4097; n++) {
        struct framing_state st = {0};
        struct framing_cut cut;

        memset(in, 'x', sizeof in);
        in[1] = ':';
        memcpy(in + n - (sizeof end - 1), end, sizeof end - 1);
        memcpy(in + n, "{}", 2);
        assert_int_equal(framing_lsp.cut(&st, (const uint8_t *)in, n + 2, &cut), n <= 4096);
        if (n <= 4096)
            assert_true(cut.end && cut.size == 2);
    }
}

static void tagged_table(void **state)
{
    static const struct row rows[] = {
        ROW("\1\0\0\0\1a\2\0\0\0\0\1\0\0\0\0\3\0\0\0\2no\4\0\0\0\0", "t:a|b:|t:|e:no|x:|"),
        ROW("\2\0\0\0\5abc", "b:abc"),
        ROW("\0\0\0\0\0", "!a record of unknown type"),
        ROW("\1\0\0\0\1a\5\0\0\0\0", "t:a|!a record of unknown type"),
        ROW("text\n", "!a record of unknown type"),
    };
    (void)state;
    check_rows(&framing_tagged, rows, COUNT(rows));
}

static void tagged_end_is_empty(void **state)
{
    struct framing_state st = {0};
    struct framing_cut cut;

    (void)state;
    assert_false(framing_tagged.cut(&st, (const uint8_t *)"\4\0\0\0\1x", 6, &cut));
    assert_string_equal(cut.why, "an end record that is not empty");
}

/* What a length announces is known before the first byte of the body, and stays within bounds. */
static void announced(void **state)
{
    static const struct {
        const struct framing *kind;
        const char *in;
        size_t n, size;
    } rows[] = {
        {&framing_len32, "\0\20\0\1", 4, 0x100001},
        {&framing_len32, "\377\377\377\377", 4, UINT32_MAX},
        {&framing_len32le, "\1\0\20\0", 4, 0x100001},
        {&framing_tagged, "\1\0\20\0\1", 5, 0x100001},
        {&framing_netstring, "1048577", 7, 1048577},
        {&framing_netstring, "4294967294", 10, UINT32_MAX - 1},
        {&framing_netstring, "4294967295", 10, UINT32_MAX},
        {&framing_netstring, "4294967296", 10, UINT32_MAX},
        {&framing_netstring, "99999999999999999999999999999999", 32, UINT32_MAX},
        {&framing_netstring, "42949672960000000000000000000001", 32, UINT32_MAX},
        {&framing_lsp, "Content-Length: 1048577", 23, 1048577},
        {&framing_lsp, "Content-Length: 18446744073709551617\r\n\r\n", 40, UINT32_MAX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct framing_state st = {0};
        struct framing_cut cut;

        assert_true(rows[i].kind->cut(&st, (const uint8_t *)rows[i].in, rows[i].n, &cut));
        assert_int_equal(cut.size, rows[i].size);
        assert_int_equal(cut.skip, rows[i].n);
        assert_false(cut.end);
    }
}

static const struct framing *const assembling[] = {
    &framing_lines,   &framing_crlf,      &framing_nul, &framing_len32,
    &framing_len32le, &framing_netstring, &framing_lsp, &framing_tagged,
};

/* A message as a session writes it. Returns its length. */
static size_t encode(const struct framing *kind, char *out, const char *body, size_t len,
                     uint8_t opcode)
{
    uint8_t around[FRAMING_PREFIX_MAX];
    size_t n = kind->prefix ? kind->prefix(around, len, opcode) : 0;

    assert_in_range(n, 0, FRAMING_PREFIX_MAX);
    memcpy(out, around, n);
    memcpy(out + n, body, len);
    n += len;
    size_t behind = kind->suffix ? kind->suffix(around, len, opcode) : 0;
    assert_in_range(behind, 0, FRAMING_SUFFIX_MAX);
    memcpy(out + n, around, behind);
    return n + behind;
}

/* Lengths around all borders there are, also of the buffers; read in pieces of many sizes. */
static void round_trips(void **state)
{
    static const size_t lengths[] = {0,    1,     2,   9,   10,  11,    99,    100,   101,  125,
                                     126,  127,   255, 256, 257, 999,   1000,  4095,  4096, 4097,
                                     9999, 10000, 3,   0,   0,   65535, 65536, 65537, 1,    0};
    static const size_t pieces[] = {1, 2, 3, 5, 7, 64, 1000, 65536, 1U << 20};
    size_t room = 512 * 1024;
    char *body = malloc(room), *bytes = malloc(room), *want = malloc(room);

    (void)state;
    for (size_t i = 0; i < room; i++)
        body[i] = (char)('a' + i * 7 % 26);
    for (size_t k = 0; k < COUNT(assembling); k++) {
        const struct framing *kind = assembling[k];
        size_t n = 0, want_n = 0;

        for (size_t i = 0; i < COUNT(lengths); i++) {
            n += encode(kind, bytes + n, body, lengths[i], i % 2 ? WS_TEXT : WS_BINARY);
            if (kind->typed)
                want_n += (size_t)sprintf(want + want_n, "%c:", i % 2 ? 't' : 'b');
            memcpy(want + want_n, body, lengths[i]);
            want_n += lengths[i];
            want[want_n++] = '|';
        }
        for (size_t i = 0; i < COUNT(pieces); i++) {
            struct framing_state st = {0}, between = {0};
            struct seen got = seen_new(n);

            for (size_t at = 0; at < n; at += pieces[i])
                play(kind, &got, &st, bytes + at, pieces[i] < n - at ? pieces[i] : n - at);
            assert_int_equal(got.n, want_n);
            assert_memory_equal(got.text, want, want_n);
            assert_memory_equal(&st, &between, sizeof st);
            free(got.text);
        }
    }
    free(body);
    free(bytes);
    free(want);
}

static void to_bytes(void **state)
{
    static const struct {
        const struct framing *kind;
        uint8_t opcode;
        const char *bytes;
        size_t n;
    } rows[] = {
        {&framing_lines, WS_TEXT, "hello\n", 6},
        {&framing_crlf, WS_TEXT, "hello\r\n", 7},
        {&framing_nul, WS_TEXT, "hello\0", 6},
        {&framing_len32, WS_TEXT, "\0\0\0\5hello", 9},
        {&framing_len32le, WS_TEXT, "\5\0\0\0hello", 9},
        {&framing_netstring, WS_TEXT, "5:hello,", 8},
        {&framing_lsp, WS_TEXT, "Content-Length: 5\r\n\r\nhello", 26},
        {&framing_tagged, WS_TEXT, "\1\0\0\0\5hello", 10},
        {&framing_tagged, WS_BINARY, "\2\0\0\0\5hello", 10},
    };
    char out[64];
    uint8_t end[FRAMING_PREFIX_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(encode(rows[i].kind, out, "hello", 5, rows[i].opcode), rows[i].n);
        assert_memory_equal(out, rows[i].bytes, rows[i].n);
    }
    assert_int_equal(framing_tagged.farewell(end), 5);
    assert_memory_equal(end, "\4\0\0\0\0", 5);
}

static void kinds(void **state)
{
    static const struct {
        const struct framing *kind;
        const char *name;
        bool assembles, cuts, by_mark;
        uint8_t opcode_out;
    } rows[] = {
        {&framing_lines, "lines", true, true, true, WS_TEXT},
        {&framing_crlf, "crlf", true, true, true, WS_TEXT},
        {&framing_stream, "stream", false, false, false, WS_BINARY},
        {&framing_text, "text", false, false, false, WS_TEXT},
        {&framing_nul, "nul", true, true, true, WS_TEXT},
        {&framing_len32, "len32", true, true, false, WS_BINARY},
        {&framing_len32le, "len32le", true, true, false, WS_BINARY},
        {&framing_netstring, "netstring", true, true, false, WS_BINARY},
        {&framing_lsp, "lsp", true, true, false, WS_TEXT},
        {&framing_tagged, "tagged", true, true, false, WS_TEXT},
        {&framing_datagram, "datagram", true, true, false, WS_BINARY},
    };
    (void)state;
    assert_true(sizeof(struct framing_state) <= 8); /* it is in every session */
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct framing *k = rows[i].kind;

        assert_string_equal(k->name, rows[i].name);
        assert_int_equal(k->assembles, rows[i].assembles);
        assert_int_equal(k->cut != NULL, rows[i].cuts);
        assert_int_equal(k->by_mark, rows[i].by_mark);
        assert_int_equal(k->typed, k == &framing_tagged);
        assert_int_equal(k->opcode_out, rows[i].opcode_out);
        assert_true(k->assembles || (!k->prefix && !k->suffix));
    }
}

/* The lengths of a run of datagrams; what the prefix writes the cutter reads. */
static void datagrams_there_and_back(void **state)
{
    static const size_t lengths[] = {0, 1, 3, 4, 5, 255, 256, 65507, 0, 65536, 1 << 20, 2};
    uint8_t *run = malloc(2 << 20), *p = run, *end = run;
    struct framing_cut cut;
    (void)state;

    for (size_t i = 0; i < COUNT(lengths); i++) {
        uint8_t prefix[FRAMING_PREFIX_MAX];
        size_t n = framing_datagram.prefix(prefix, lengths[i], WS_TEXT);

        assert_int_equal(n, 4);
        memcpy(end, prefix, n);
        memset(end + n, (int)i, lengths[i]);
        end += n + lengths[i];
    }
    for (size_t i = 0; i < COUNT(lengths); i++) {
        memset(&cut, 0xFF, sizeof cut);
        assert_true(framing_datagram.cut(NULL, p, (size_t)(end - p), &cut));
        assert_true(cut.end && cut.skip == 4 && cut.drop == 0 && cut.chop == 0);
        assert_int_equal(cut.body, lengths[i]);
        for (size_t k = 0; k < cut.body; k++)
            assert_int_equal(p[cut.skip + k], (uint8_t)i);
        p += cut.skip + cut.body;
    }
    assert_ptr_equal(p, end);
    free(run);
}

/* A chunk that ends inside a datagram is nobody's: the backend makes whole ones. */
static void datagrams_cut_off(void **state)
{
    static const uint8_t run[] = {0, 0, 0, 3, 'a', 'b', 'c'};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'a'};
    struct framing_cut cut;
    (void)state;

    for (size_t n = 1; n < sizeof run; n++)
        assert_false(framing_datagram.cut(NULL, run, n, &cut));
    assert_true(framing_datagram.cut(NULL, run, sizeof run, &cut));
    assert_false(framing_datagram.cut(NULL, huge, sizeof huge, &cut));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_table),
        cmocka_unit_test(lines_all_short_texts),
        cmocka_unit_test(lines_are_binary_clean),
        cmocka_unit_test(nul_table),
        cmocka_unit_test(len32_table),
        cmocka_unit_test(netstring_table),
        cmocka_unit_test(netstring_wrong_comma),
        cmocka_unit_test(lsp_table),
        cmocka_unit_test(lsp_endless_header),
        cmocka_unit_test(lsp_header_of_4096),
        cmocka_unit_test(tagged_table),
        cmocka_unit_test(tagged_end_is_empty),
        cmocka_unit_test(announced),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(to_bytes),
        cmocka_unit_test(datagrams_there_and_back),
        cmocka_unit_test(datagrams_cut_off),
        cmocka_unit_test(kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
