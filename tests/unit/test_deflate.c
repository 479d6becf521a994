/* SPDX-License-Identifier: MIT */
/* proto/deflate_offer by a table; proto/deflate against zlib itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "proto/deflate.h"
#include "proto/deflate_offer.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define PD "permessage-deflate"
#define SNC "; server_no_context_takeover"
#define CNC "; client_no_context_takeover"
#define NO_TAKEOVER PD SNC CNC

/* ---- offers ---- */

struct row {
    const char *offer, *plain, *takeover; /* answers; NULL: declined. takeover: with 12 bits */
};

static const struct row rows[] = {
    /* no offer */
    {"", NULL, NULL},
    {" \t ", NULL, NULL},
    {",", NULL, NULL},
    {"x-webkit-deflate-frame", NULL, NULL},
    {"Permessage-Deflate", NULL, NULL},
    {"permessage-deflat", NULL, NULL},
    {"permessage-deflate2", NULL, NULL},
    {"permessage-bzip2; server_max_window_bits=8", NULL, NULL},
    /* plain ones */
    {PD, NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    {" " PD " ", NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    {"," PD ",", NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    {PD SNC, NO_TAKEOVER, NO_TAKEOVER},
    {PD CNC, NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    {PD CNC SNC, NO_TAKEOVER, NO_TAKEOVER},
    {PD "; client_max_window_bits", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=12"},
    {PD ";client_max_window_bits", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=12"},
    {PD "\t;\tclient_max_window_bits\t", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=12"},
    {PD CNC "; client_max_window_bits", NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    /* client_max_window_bits */
    {PD "; client_max_window_bits=15", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=12"},
    {PD "; client_max_window_bits=12", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=12"},
    {PD "; client_max_window_bits=10", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=10"},
    {PD "; client_max_window_bits=8", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=8"},
    {PD "; client_max_window_bits = 9", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=9"},
    {PD "; client_max_window_bits=\"10\"", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=10"},
    {PD "; client_max_window_bits=\"1\\0\"", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=10"},
    {PD "; client_max_window_bits=7", NULL, NULL},
    {PD "; client_max_window_bits=16", NULL, NULL},
    {PD "; client_max_window_bits=0", NULL, NULL},
    {PD "; client_max_window_bits=09", NULL, NULL},
    {PD "; client_max_window_bits=012", NULL, NULL},
    {PD "; client_max_window_bits=1", NULL, NULL},
    {PD "; client_max_window_bits=100", NULL, NULL},
    {PD "; client_max_window_bits=-8", NULL, NULL},
    {PD "; client_max_window_bits=+8", NULL, NULL},
    {PD "; client_max_window_bits=0x9", NULL, NULL},
    {PD "; client_max_window_bits=1e1", NULL, NULL},
    {PD "; client_max_window_bits=888888888888888888888888888888888888", NULL, NULL},
    {PD "; client_max_window_bits=10; client_max_window_bits=10", NULL, NULL},
    {PD "; client_max_window_bits; client_max_window_bits", NULL, NULL},
    /* server_max_window_bits: must stand in the answer; zlib has no raw stream with 8 */
    {PD "; server_max_window_bits=15", NO_TAKEOVER "; server_max_window_bits=15",
     PD CNC "; server_max_window_bits=12"},
    {PD "; server_max_window_bits=12", NO_TAKEOVER "; server_max_window_bits=12",
     PD CNC "; server_max_window_bits=12"},
    {PD "; server_max_window_bits=9", NO_TAKEOVER "; server_max_window_bits=9",
     PD CNC "; server_max_window_bits=9"},
    {PD "; server_max_window_bits=\"9\"", NO_TAKEOVER "; server_max_window_bits=9",
     PD CNC "; server_max_window_bits=9"},
    {PD SNC "; server_max_window_bits=14", NO_TAKEOVER "; server_max_window_bits=14",
     NO_TAKEOVER "; server_max_window_bits=14"},
    {PD "; server_max_window_bits=10; client_max_window_bits=11",
     NO_TAKEOVER "; server_max_window_bits=10",
     PD "; server_max_window_bits=10; client_max_window_bits=11"},
    {PD "; server_max_window_bits=8", NULL, NULL},
    {PD "; server_max_window_bits", NULL, NULL},
    {PD "; server_max_window_bits=7", NULL, NULL},
    {PD "; server_max_window_bits=16", NULL, NULL},
    {PD "; server_max_window_bits=010", NULL, NULL},
    {PD "; server_max_window_bits=10; server_max_window_bits=11", NULL, NULL},
    /* no value is allowed */
    {PD "; server_no_context_takeover=1", NULL, NULL},
    {PD "; server_no_context_takeover=\"true\"", NULL, NULL},
    {PD "; client_no_context_takeover=0", NULL, NULL},
    {PD SNC SNC, NULL, NULL},
    {PD CNC CNC, NULL, NULL},
    /* unknown parameters */
    {PD "; foo", NULL, NULL},
    {PD "; foo=bar", NULL, NULL},
    {PD "; foo=\"bar\"", NULL, NULL},
    {PD "; Server_No_Context_Takeover", NULL, NULL},
    {PD "; server_max_window_bitsx=10", NULL, NULL},
    {PD SNC "; mode=1", NULL, NULL},
    /* several offers: the first that can be accepted */
    {PD ", " PD SNC, NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    {"foo, " PD, NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    {"foo; a=\"b\"; c , bar," PD ";client_max_window_bits", NO_TAKEOVER,
     PD "; server_max_window_bits=12; client_max_window_bits=12"},
    {PD "; server_max_window_bits=8, " PD "; server_max_window_bits=10",
     NO_TAKEOVER "; server_max_window_bits=10", PD CNC "; server_max_window_bits=10"},
    {PD "; foo, " PD "; server_max_window_bits=16, " PD SNC, NO_TAKEOVER, NO_TAKEOVER},
    {PD "; server_max_window_bits=10, " PD "; server_max_window_bits=11",
     NO_TAKEOVER "; server_max_window_bits=10", PD CNC "; server_max_window_bits=10"},
    {PD "; foo, " PD "; bar", NULL, NULL},
    {",, ,foo,, " PD " ,,", NO_TAKEOVER, PD CNC "; server_max_window_bits=12"},
    /* broken grammar: nothing in the field is an offer */
    {PD ";", NULL, NULL},
    {PD "; ;" SNC, NULL, NULL},
    {";" PD, NULL, NULL},
    {PD "; =10", NULL, NULL},
    {PD "; client_max_window_bits=", NULL, NULL},
    {PD "; client_max_window_bits=\"", NULL, NULL},
    {PD "; client_max_window_bits=\"\"", NULL, NULL},
    {PD "; client_max_window_bits=\"10", NULL, NULL},
    {PD "; client_max_window_bits=\"1 0\"", NULL, NULL},
    {PD "; client_max_window_bits=\"10\\", NULL, NULL},
    {PD "; client_max_window_bits=\"10\\\"", NULL, NULL},
    {PD "; client_max_window_bits=\"10\"1", NULL, NULL},
    {PD "; client_max_window_bits=1\"0\"", NULL, NULL},
    {PD "; client_max_window_bits=10=10", NULL, NULL},
    {PD "; client_max_window_bits 10", NULL, NULL},
    {PD " " PD, NULL, NULL},
    {PD "; foo=\"a,b\"", NULL, NULL},
    {PD ", foo; a=\"x", NULL, NULL},
    {PD ", \"foo\"", NULL, NULL},
    {PD ", foo/bar", NULL, NULL},
    {"foo bar, " PD, NULL, NULL},
    {"\xc3\xa9, " PD, NULL, NULL},
};

static void add_field(struct http_head *head, const char *name, const char *value)
{
    head->fields[head->count].name = slice_from(name);
    head->fields[head->count++].value = slice_from(value);
}

static const char *answer(const struct http_head *head, bool takeover, uint8_t window,
                          char out[DEFLATE_ANSWER_MAX])
{
    const struct deflate_policy policy = {takeover, window};
    struct deflate_params params;

    memset(&params, 0xEE, sizeof params);
    deflate_offer_choose(head, &policy, &params);
    return params.agreed ? deflate_offer_answer(&params, out) : NULL;
}

static void must_answer(const struct row *r, bool takeover)
{
    static struct http_head head;
    char out[DEFLATE_ANSWER_MAX];
    const char *want = takeover ? r->takeover : r->plain;
    char *copy = strdup(r->offer); /* of exactly this size, for ASan */

    head.count = 0;
    add_field(&head, "sec-websocket-extensions", copy);
    const char *got = answer(&head, takeover, 12, out);
    if ((got == NULL) != (want == NULL) || (got != NULL && strcmp(got, want) != 0))
        fail_msg("%s: %s instead of %s (takeover %d)", r->offer, got ? got : "nothing",
                 want ? want : "nothing", takeover);
    free(copy);
}

static void offers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        must_answer(&rows[i], false);
        must_answer(&rows[i], true);
    }
}

/* Several fields are one list; large windows need no leave of the client. */
static void offers_in_fields(void **state)
{
    static struct http_head head;
    char out[DEFLATE_ANSWER_MAX];

    (void)state;
    add_field(&head, "Host", PD);
    assert_null(answer(&head, false, 12, out));
    add_field(&head, "Sec-WebSocket-Extensions", "foo; a=1");
    add_field(&head, "Sec-WebSocket-Extensions", PD "; server_max_window_bits=8");
    assert_null(answer(&head, false, 12, out));
    add_field(&head, "Sec-WebSocket-Extensions", PD "; server_max_window_bits=11");
    assert_string_equal(answer(&head, false, 12, out), NO_TAKEOVER "; server_max_window_bits=11");
    add_field(&head, "Sec-WebSocket-Extensions", PD);
    assert_string_equal(answer(&head, true, 15, out), PD "; server_max_window_bits=11");
    add_field(&head, "Sec-WebSocket-Extensions", "bad bad");
    assert_null(answer(&head, false, 12, out));
}

/* Whether there is an offer of ours or not, and whatever is in it. */
static void the_grammar_of_extensions(void **state)
{
    static const char *const good[] = {
        "",
        ",",
        " , ,",
        PD,
        PD ",",
        ", " PD,
        "foo",
        "foo;a",
        "foo; a=b ,bar",
        PD "; x=\"y\"",
        PD " ; server_max_window_bits = \"1\\0\"",
        "foo; a; a; a=99999999999999999999",
    };
    static const char *const bad[] = {
        PD "; =",
        PD "; =1",
        PD ";",
        PD ";;",
        PD "; ;a",
        ";a",
        "=",
        "=a",
        PD "; a=",
        PD "; a==b",
        PD "; a=b=c",
        PD "; a=\"",
        PD "; a=\"b",
        PD "; a=\"\"",
        PD "; a=\"b c\"",
        PD "; a=\"b\"c",
        PD "; a=b c",
        PD " " PD,
        PD "; a b",
        "foo bar",
        "foo/bar",
        "\"foo\"",
        "foo; \"a\"",
        "foo; a=\"b\\",
        "foo(",
        "f\x80o",
        "foo, =",
        "foo, a=b",
    };
    static struct http_head head;
    (void)state;

    for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
        bool right = i < COUNT(good);
        char *copy = strdup(right ? good[i] : bad[i - COUNT(good)]);

        head.count = 0;
        add_field(&head, "Sec-WebSocket-Extensions", PD);
        add_field(&head, "sec-websocket-extensions", copy);
        if (deflate_offer_valid(&head) != right)
            fail_msg("%s", copy);
        free(copy);
    }
}

/* ---- payloads ---- */

static uint32_t seed = 1;

static uint32_t any(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)(seed >> 4) * n) >> 28);
}

enum { LONGEST = 150000 };

/* From endless repetition to noise. */
static size_t make_message(uint8_t *out)
{
    size_t n = any(4) == 0 ? any(LONGEST) : any(2000);
    uint32_t letters = 1 + any(any(3) == 0 ? 256 : 6);

    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(i > 40 && any(3) != 0 ? out[i - 1 - any(40)] : 'a' + any(letters));
    return n;
}

/* The payload by zlib, as its manual says; 0 <= how < 4 ways. */
static size_t pack(z_stream *z, const uint8_t *p, size_t n, uint8_t *out, size_t room, unsigned how)
{
    z->next_in = (z_const Bytef *)(uintptr_t)p;
    z->next_out = out;
    z->avail_out = (uInt)room;
    if (how == 1) { /* several blocks */
        z->avail_in = (uInt)(n / 2);
        assert_int_not_equal(deflate(z, Z_FULL_FLUSH), Z_STREAM_ERROR);
        z->avail_in = (uInt)(n - n / 2);
    } else {
        z->avail_in = (uInt)n;
    }
    if (how == 2) { /* a final block, RFC 7692, section 7.2.3.4 */
        assert_int_equal(deflate(z, Z_FINISH), Z_STREAM_END);
        deflateReset(z);
        *z->next_out++ = 0;
        return (size_t)(z->next_out - out);
    }
    deflate(z, Z_SYNC_FLUSH);
    size_t len = (size_t)(z->next_out - out);
    if (len == 0) { /* zlib does not flush twice; section 7.2.3.6 */
        out[0] = 0;
        return 1;
    }
    assert_memory_equal(out + len - 4, "\0\0\xff\xff", 4);
    return len - 4;
}

/* Reads it cut anywhere into rooms of any size; both copies are exact, for ASan. */
static void must_read(struct deflate_reader *r, const uint8_t *packed, size_t n,
                      const uint8_t *want, size_t want_len, uint32_t pieces, uint32_t rooms)
{
    size_t at = 0, done = 0;
    enum deflate_event ev;

    do {
        size_t piece = n - at < 1 ? 0 : 1 + any(pieces);
        piece = piece > n - at ? n - at : piece;
        bool last = at + piece == n && any(4) != 0; /* or an empty last frame follows */
        uint8_t *in = malloc(piece ? piece : 1);
        const uint8_t *p = in;
        size_t left = piece;

        if (piece)
            memcpy(in, packed + at, piece);
        if (piece == 0)
            last = true;
        do {
            size_t room = 1 + any(rooms), len;
            uint8_t *out = malloc(room);

            ev = deflate_read(r, &p, &left, last, out, room, &len);
            assert_true(ev == DEFLATE_MORE || ev == DEFLATE_FULL || ev == DEFLATE_DONE);
            assert_true(len <= room && done + len <= want_len);
            assert_memory_equal(out, want + done, len);
            done += len;
            free(out);
        } while (ev == DEFLATE_FULL);
        assert_int_equal(left, 0);
        at += piece;
        assert_int_equal(ev, last ? DEFLATE_DONE : DEFLATE_MORE);
        free(in);
    } while (ev != DEFLATE_DONE);
    assert_int_equal(done, want_len);
}

static void reader_reads_what_zlib_writes(void **state)
{
    static uint8_t message[LONGEST], packed[LONGEST * 2];

    (void)state;
    for (int session = 0; session < 80; session++) {
        int bits = 9 + (int)any(7), level = (int)any(10);
        bool takeover = any(2);
        struct deflate_reader *r = deflate_reader_new(takeover ? (unsigned)bits : 15);
        z_stream z = {0};

        assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, -bits, 1 + (int)any(9), (int)any(5)),
                         Z_OK);
        for (int i = 0; i < 6; i++) {
            size_t n = make_message(message);
            size_t len = pack(&z, message, n, packed, sizeof packed, any(4));

            must_read(r, packed, len, message, n, any(2) ? 7 : 100000,
                      n < 3000 && any(2) ? 3 : 70000);
            if (!takeover) {
                deflateReset(&z);
                deflate_reader_forget(r);
            }
        }
        deflateEnd(&z);
        deflate_reader_free(r);
    }
}

static void zlib_reads_what_writer_writes(void **state)
{
    static uint8_t message[LONGEST], packed[LONGEST * 2], back[LONGEST + 1];

    (void)state;
    for (int session = 0; session < 60; session++) {
        unsigned bits = 9 + any(7);
        bool takeover = any(2);
        struct deflate_writer *w = deflate_writer_new(bits, 1 + (int)any(9));
        z_stream z = {0};

        assert_int_equal(inflateInit2(&z, -(int)bits), Z_OK);
        for (int i = 0; i < 8; i++) {
            size_t n = make_message(message), room = any(3) ? n + 100 : 16 + any(2000);
            n += n == 0;
            uint8_t *out = malloc(room);
            size_t len = deflate_write(w, message, n, out, room);

            assert_true(len + DEFLATE_SLACK <= room || len == 0);
            memcpy(packed, out, len);
            free(out);
            if (len == 0) /* sent as it is, and forgotten: what follows must not refer to it */
                continue;
            memcpy(packed + len, "\0\0\xff\xff", 4);
            z.next_in = packed;
            z.avail_in = (uInt)len + 4;
            z.next_out = back;
            z.avail_out = sizeof back;
            assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
            assert_int_equal(z.avail_in, 0);
            assert_int_equal(sizeof back - z.avail_out, n);
            assert_memory_equal(back, message, n);
            if (!takeover) {
                inflateReset(&z);
                deflate_writer_forget(w);
                deflate_writer_level(w, 1 + (int)any(9));
            }
        }
        inflateEnd(&z);
        deflate_writer_free(w);
    }
}

/* The examples of RFC 7692, section 7.2.3, and empty messages. */
static void reader_reads_the_examples(void **state)
{
    static const struct {
        const char *packed;
        size_t n;
        const char *plain;
    } examples[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"},
        {"\xf2\x00\x11\x00\x00", 5, "Hello"}, /* refers to the one before */
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello"},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"},
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello"},
        {"\x00", 1, ""},
        {"\x02\x00", 2, ""},
        {"", 0, ""},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"}, /* final, and nothing behind it */
        {"\x01", 1, ""},                              /* an empty final stored block */
        {"\x03\x00\x03\x00\x00", 5, ""},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", 12, "HelloHello"},
    };
    struct deflate_reader *r = deflate_reader_new(15);

    (void)state;
    for (int rounds = 0; rounds < 20; rounds++) {
        for (size_t i = 0; i < COUNT(examples); i++)
            must_read(r, (const uint8_t *)examples[i].packed, examples[i].n,
                      (const uint8_t *)examples[i].plain, strlen(examples[i].plain),
                      rounds % 2 ? 1 : 100, rounds % 3 ? 1 : 100);
    }
    deflate_reader_free(r);
}

static enum deflate_event read_whole(struct deflate_reader *r, const void *packed, size_t n,
                                     size_t *total)
{
    static uint8_t out[1000];
    const uint8_t *p = packed;
    enum deflate_event ev;
    size_t len;

    *total = 0;
    do {
        ev = deflate_read(r, &p, &n, true, out, sizeof out, &len);
        *total += len;
    } while (ev == DEFLATE_FULL);
    return ev;
}

static void reader_refuses(void **state)
{
    static const struct {
        const char *what, *packed;
        size_t n;
    } bad[] = {
        {"a block of type 3", "\x06", 1},
        {"lengths that do not match", "\x00\x05\x00\xfa\xfe\x48", 6},
        {"a distance before the beginning", "\xf2\x00\x11\x00\x00", 5},
        {"a stored block cut off", "\x00\x05\x00\xfa\xff\x48\x65", 7},
        {"a stored block that would swallow the tail", "\x00\x04\x00\xfb\xff", 5},
        {"and one byte of it", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c", 9},
        {"text cut off", "\xf2\x48\xcd\xc9\xc9", 5},
        {"before the end of the block", "\xf2\x48\xcd\xc9\xc9\x07", 6},
        {"garbage behind a final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff", 9},
        {"a final block and half a block", "\x03\x00\xf2\x48", 4},
        {"plain text", "Hello, world!", 13},
        {"the header of gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00", 8},
        {"only the tail", "\x00\x00\xff", 3},
    };
    struct deflate_reader *r = deflate_reader_new(15);
    size_t total;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (read_whole(r, bad[i].packed, bad[i].n, &total) != DEFLATE_BAD)
            fail_msg("not refused: %s", bad[i].what);
        deflate_reader_forget(r);
        assert_int_equal(read_whole(r, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, &total), DEFLATE_DONE);
        assert_int_equal(total, 5);
        deflate_reader_forget(r);
    }
    deflate_reader_free(r);
}

/* Every message cut off anywhere is refused, or is a border between two blocks: then it gives the
 * beginning of the message and no byte more. */
static void reader_refuses_what_is_cut_off(void **state)
{
    static uint8_t message[LONGEST], packed[LONGEST * 2], back[LONGEST];
    unsigned refused = 0;

    (void)state;
    for (int i = 0; i < 30; i++) {
        struct deflate_reader *r = deflate_reader_new(15);
        z_stream z = {0};
        size_t n = make_message(message);
        n = n > 600 ? 600 : n;

        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, (int)any(5)), Z_OK);
        size_t len = pack(&z, message, n, packed, sizeof packed, any(2));
        deflateEnd(&z);
        for (size_t cut = 0; cut < len; cut++) {
            const uint8_t *p = packed;
            size_t left = cut, got;
            enum deflate_event ev = deflate_read(r, &p, &left, true, back, sizeof back, &got);

            assert_true(ev == DEFLATE_BAD || ev == DEFLATE_DONE);
            assert_true(got <= n);
            assert_memory_equal(back, message, got);
            refused += ev == DEFLATE_BAD;
            deflate_reader_forget(r);
        }
        deflate_reader_free(r);
    }
    assert_true(refused > 1000);
}

/* 1030:1 comes in pieces of what room there is, never more. */
static void reader_keeps_to_the_room(void **state)
{
    static uint8_t packed[20000];
    size_t n = 0;
    z_stream z = {0};
    struct deflate_reader *r = deflate_reader_new(15);
    enum deflate_event ev;
    uint8_t out[4096];
    size_t total = 0, len;

    (void)state;
    deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    uint8_t *zeros = calloc(1, 10 << 20);
    n = pack(&z, zeros, 10 << 20, packed, sizeof packed, 0);
    free(zeros);
    deflateEnd(&z);
    const uint8_t *p = packed;
    do {
        ev = deflate_read(r, &p, &n, true, out, sizeof out, &len);
        assert_true(len == sizeof out || ev == DEFLATE_DONE);
        total += len;
    } while (ev == DEFLATE_FULL);
    assert_int_equal(ev, DEFLATE_DONE);
    assert_int_equal(total, 10 << 20);
    deflate_reader_free(r);
}

/* Noise does not fit into its own length; the next message is right without it. */
static void writer_gives_up_on_noise(void **state)
{
    uint8_t noise[5000], out[6000];
    struct deflate_writer *w = deflate_writer_new(12, 6);
    struct deflate_reader *r = deflate_reader_new(12);
    size_t total;

    (void)state;
    for (size_t n = 1; n <= sizeof noise; n += 1 + n / 3) {
        for (size_t i = 0; i < n; i++)
            noise[i] = (uint8_t)any(256);
        assert_int_equal(deflate_write(w, noise, n, out, n - 1 + DEFLATE_SLACK), 0);
        memset(out, 'x', 200);
        uint8_t packed[300];
        size_t len = deflate_write(w, out, 200, packed, sizeof packed);

        assert_in_range(len, 1, 20);
        assert_int_equal(read_whole(r, packed, len, &total), DEFLATE_DONE);
        assert_int_equal(total, 200);
        len = deflate_write(w, noise, n, out, n + 100 + DEFLATE_SLACK); /* larger, but asked for */
        assert_in_range(len, 1, n + 100);
        assert_int_equal(read_whole(r, out, len, &total), DEFLATE_DONE);
        assert_int_equal(total, n);
    }
    deflate_writer_free(w);
    deflate_reader_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers),
        cmocka_unit_test(offers_in_fields),
        cmocka_unit_test(the_grammar_of_extensions),
        cmocka_unit_test(reader_reads_what_zlib_writes),
        cmocka_unit_test(zlib_reads_what_writer_writes),
        cmocka_unit_test(reader_reads_the_examples),
        cmocka_unit_test(reader_refuses),
        cmocka_unit_test(reader_refuses_what_is_cut_off),
        cmocka_unit_test(reader_keeps_to_the_room),
        cmocka_unit_test(writer_gives_up_on_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
