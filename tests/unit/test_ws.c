/* SPDX-License-Identifier: MIT */
/* proto/ws: the reader cut everywhere, unmasking against the plain loop, and what we write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/ws.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define FRAMES 8

/* ---- unmasking ---- */

/* Every length, source alignment, distance down and key phase; no byte but dst's may change. */
static void unmask_everywhere(void **state)
{
    enum { MAX = 300, DIST = 20, ALIGN = 15 };
    static const uint8_t key[8] = {0x5A, 0xC3, 0x0F, 0x96, 0x5A, 0xC3, 0x0F, 0x96};
    uint8_t plain[MAX + 4], src[MAX], want[DIST + MAX];

    (void)state;
    for (size_t i = 0; i < MAX; i++)
        src[i] = (uint8_t)(i * 31 + i / 7);
    for (size_t n = 0; n <= MAX; n++) {
        uint8_t *block = malloc(DIST + ALIGN + n); /* the last alignment ends with it, for ASan */

        for (size_t phase = 0; phase < 4; phase++) {
            for (size_t i = 0; i < n; i++)
                plain[i] = src[i] ^ key[(i + phase) & 3];
            for (size_t dist = 0; dist <= DIST; dist++) {
                memset(want, 0xEE, DIST);
                memcpy(want + DIST, src, n);
                memcpy(want + DIST - dist, plain, n);
                for (size_t align = 0; align <= ALIGN; align++) {
                    memset(block + align, 0xEE, DIST);
                    memcpy(block + align + DIST, src, n);
                    ws_unmask(block + align + DIST - dist, block + align + DIST, n, key + phase);
                    if (memcmp(block + align, want, DIST + n))
                        fail_msg("n %zu align %zu dist %zu phase %zu", n, align, dist, phase);
                }
            }
        }
        free(block);
    }
}

static void unmask_reads_and_writes_nothing_else(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 100; n++) {
        /* of exactly this size, for ASan */
        uint8_t *src = malloc(n ? n : 1), *dst = malloc(n ? n : 1);

        memset(src, 0x11, n);
        ws_unmask(dst, src, n, (const uint8_t[4]){0x11, 0x11, 0x11, 0x11});
        for (size_t i = 0; i < n; i++)
            assert_int_equal(dst[i], 0);
        free(src);
        free(dst);
    }
}

/* ---- the reader ---- */

struct frame {
    int first; /* first byte of the header; 0 and no payload: no frame */
    const char *payload;
};

/*
 * What a talk comes to, as text, the same however it was cut: T( or B( and the RSV bits open a
 * message, ) ends it, <9:x> is a control frame, !1002 an error.
 */
struct talk {
    struct frame frames[FRAMES];
    const char *want;
    uint32_t limit;
    uint8_t rsv_mask;
};

static const struct talk talks[] = {
    {{{0x81, "hello"}}, "T(hello)", 0, 0},
    {{{0x82, "hello"}, {0x81, "x"}}, "B(hello)T(x)", 0, 0},
    {{{0x81, ""}, {0x82, ""}}, "T()B()", 0, 0},
    {{{0x01, "he"}, {0x00, "l"}, {0x80, "lo"}}, "T(hello)", 0, 0},
    {{{0x02, ""}, {0x80, "lo"}, {0x01, "lo"}, {0x80, ""}}, "B(lo)T(lo)", 0, 0},
    {{{0x01, ""}, {0x00, ""}, {0x00, ""}, {0x80, ""}, {0x89, ""}}, "T()<9:>", 0, 0},
    {{{1, "he"}, {0x89, "ping"}, {0, "l"}, {0x8A, ""}, {0x80, ""}}, "T(he<9:ping>l<10:>)", 0, 0},
    {{{1, "a"}, {0, ""}, {0, ""}, {0x8A, "p"}, {0, ""}, {0x80, "b"}}, "T(a<10:p>b)", 0, 0},
    {{{0x88, "\x03\xE8 bye"}, {0x82, "late"}}, "<8:\x03\xE8 bye>B(late)", 0, 0},
    {{{0x88, ""}}, "<8:>", 0, 0},
    /* limits */
    {{{0x01, "abc"}, {0x80, "de"}, {0x81, "fghij"}}, "T(abcde)T(fghij)", 5, 0},
    {{{0x89, "longer"}}, "<9:longer>", 5, 0},
    {{{0x81, "abcdef"}}, "!1009", 5, 0},
    {{{0x01, "abc"}, {0x00, "de"}, {0x80, "f"}}, "T(abcde!1009", 5, 0},
    {{{0x81, "abcde"}, {0x01, "abc"}, {0x00, ""}, {0x80, "def"}}, "T(abcde)T(abc!1009", 5, 0},
    /* extensions */
    {{{0xC1, "z"}, {0x42, "a"}, {0x80, "b"}, {0x81, "c"}}, "T4(z)B4(ab)T(c)", 0, 0x40},
    {{{0xF1, "z"}, {0x91, "c"}}, "T7(z)T1(c)", 0, 0x70},
    {{{0x41, "a"}, {0xC0, "b"}}, "T4(a!1002", 0, 0x40},
    {{{0xA1, "a"}}, "!1002", 0, 0x40},
    {{{0xC9, "a"}}, "!1002", 0, 0x40},
    {{{0xC1, "a"}}, "!1002", 0, 0},
    /* the limit is not for messages that an extension has changed */
    {{{0xC1, "abcdef"}, {0x81, "abcdef"}}, "T4(abcdef)!1009", 5, 0x40},
    {{{0x41, "abcdef"}, {0x80, "g"}, {0x01, "abc"}, {0x80, "def"}},
     "T4(abcdefg)T(abc!1009",
     5,
     0x40},
    /* fragmentation */
    {{{0x80, "x"}}, "!1002", 0, 0},
    {{{0x00, "x"}, {0x80, ""}}, "!1002", 0, 0},
    {{{0x81, "a"}, {0x80, "b"}}, "T(a)!1002", 0, 0},
    {{{0x01, "a"}, {0x81, "b"}}, "T(a!1002", 0, 0},
    {{{0x01, "a"}, {0x02, "b"}}, "T(a!1002", 0, 0},
    {{{0x01, ""}, {0x00, ""}, {0x83, ""}}, "T(!1002", 0, 0},
    {{{0x01, "a"}, {0x09, "p"}}, "T(a!1002", 0, 0},
    {{{0x08, ""}}, "!1002", 0, 0},
};

struct player {
    struct ws_reader r;
    char got[256];
    size_t len;
    bool open; /* a message began and has not ended */
    bool failed;
};

static void note(struct player *pl, const char *text)
{
    pl->len += (size_t)snprintf(pl->got + pl->len, sizeof pl->got - pl->len, "%s", text);
}

static void note_payload(struct player *pl, const struct ws_frame *f)
{
    assert_true(pl->len + f->len < sizeof pl->got);
    ws_unmask((uint8_t *)pl->got + pl->len, f->payload, f->len, f->key);
    pl->len += f->len;
    pl->got[pl->len] = '\0';
}

static void note_event(struct player *pl, enum ws_event ev, const struct ws_frame *f)
{
    char head[16];

    if (ev == WS_EV_ERROR) {
        snprintf(head, sizeof head, "!%d", f->code);
        note(pl, head);
        assert_true(strlen(f->why) > 0 && strlen(f->why) <= WS_REASON_MAX);
        pl->failed = true;
    } else if (ev == WS_EV_CONTROL) {
        snprintf(head, sizeof head, "<%d:", f->opcode);
        note(pl, head);
        note_payload(pl, f);
        note(pl, ">");
    } else {
        assert_int_equal(f->begin, !pl->open);
        snprintf(head, sizeof head, f->rsv ? "%c%d(" : "%c(", f->opcode == WS_TEXT ? 'T' : 'B',
                 f->rsv >> 4);
        if (f->begin)
            note(pl, head);
        note_payload(pl, f);
        if (f->end)
            note(pl, ")");
        pl->open = !f->end;
    }
}

/* Takes what it can of the n bytes at p, as a session does. Returns how many are held back. */
static size_t play(struct player *pl, const uint8_t *p, size_t n)
{
    uint8_t *chunk = malloc(n ? n : 1); /* of exactly this size, for ASan */
    size_t at = 0, used;
    struct ws_frame f;

    memcpy(chunk, p, n);
    while (at < n && !pl->failed) {
        enum ws_event ev = ws_reader_next(&pl->r, chunk + at, n - at, &used, &f);

        if (ev == WS_EV_MORE) {
            assert_int_equal(used, 0);
            assert_true(n - at <= WS_HELD_MAX);
            break;
        }
        assert_true(used <= n - at);
        assert_true(used > 0 || ev == WS_EV_ERROR);
        at += used;
        note_event(pl, ev, &f);
    }
    free(chunk);
    return n - at;
}

/* Plays the bytes in pieces that end where ends says, what is held back before each next one. */
static void play_cut(const struct talk *t, const uint8_t *p, const size_t *ends, size_t pieces)
{
    struct player pl = {0};
    size_t start = 0;

    ws_reader_init(&pl.r, t->limit, t->rsv_mask);
    for (size_t i = 0; i < pieces && !pl.failed; i++)
        start = ends[i] - play(&pl, p + start, ends[i] - start);
    assert_string_equal(pl.got, t->want);
    assert_true(pl.failed || start == ends[pieces - 1]);
}

static size_t put_frame(uint8_t *out, uint8_t first, const void *payload, size_t n, uint8_t salt)
{
    const uint8_t key[4] = {salt, 0x80 ^ salt, 0x35, 0xCA};
    size_t size = ws_write_header(out, first & 0x7F, n);

    out[0] = first;
    out[1] |= 0x80;
    memcpy(out + size, key, 4);
    ws_unmask(out + size + 4, payload, n, key);
    return size + 4 + n;
}

static void talks_cut_in_three(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(talks); i++) {
        uint8_t bytes[256];
        size_t each[256], n = 0;

        for (size_t k = 0; k < FRAMES && talks[i].frames[k].payload; k++) {
            const struct frame *fr = &talks[i].frames[k];

            n += put_frame(bytes + n, (uint8_t)fr->first, fr->payload, strlen(fr->payload),
                           (uint8_t)(k * 11));
        }
        for (size_t a = 0; a < n; a++) {
            each[a] = a + 1;
            for (size_t b = a; b < n; b++)
                play_cut(&talks[i], bytes, (const size_t[]){a, b, n}, 3);
        }
        play_cut(&talks[i], bytes, each, n);
    }
}

/* What a reader says to the n bytes, alone or in the middle of a message. */
static enum ws_event ask(const uint8_t *p, size_t n, bool inside, uint8_t rsv_mask, uint32_t limit,
                         struct ws_frame *f)
{
    static const uint8_t begin[] = {0x01, 0x80, 0, 0, 0, 0};
    struct ws_reader r;
    size_t used;

    ws_reader_init(&r, limit, rsv_mask);
    if (inside)
        assert_int_equal(ws_reader_next(&r, begin, sizeof begin, &used, f), WS_EV_DATA);
    return ws_reader_next(&r, p, n, &used, f);
}

/* All first bytes: refused at once, alone, and never accepted later. */
static void all_first_bytes(void **state)
{
    static const uint8_t masks[] = {0, 0x40, 0x70};
    struct ws_frame f;

    (void)state;
    for (unsigned v = 0; v < 256 * 2 * COUNT(masks); v++) {
        const uint8_t first = (uint8_t)v, mask = masks[v >> 9];
        const bool inside = v >> 8 & 1;
        bool good = false;

        switch (first & 0x8F) {
        case 0x00:
        case 0x80:
            good = inside && !(first & 0x70);
            break;
        case 0x01:
        case 0x02:
        case 0x81:
        case 0x82:
            good = !inside && !(first & 0x70 & ~mask);
            break;
        case 0x88:
        case 0x89:
        case 0x8A:
            good = !(first & 0x70);
            break;
        }
        assert_int_equal(ask(&first, 1, inside, mask, 0, &f), good ? WS_EV_MORE : WS_EV_ERROR);
        if (!good)
            assert_int_equal(f.code, WS_CODE_PROTOCOL);
    }
}

static void all_second_bytes(void **state)
{
    struct ws_frame f;

    (void)state;
    for (unsigned v = 0; v < 256; v++) {
        const uint8_t data[] = {0x82, (uint8_t)v}, ping[] = {0x89, (uint8_t)v};

        assert_int_equal(ask(data, 2, false, 0, 0, &f), v < 128 ? WS_EV_ERROR : WS_EV_MORE);
        assert_int_equal(ask(ping, 2, false, 0, 0, &f),
                         v < 128 || v > 0x80 + 125 ? WS_EV_ERROR : WS_EV_MORE);
    }
}

/* Lengths in each form. Refused as soon as the length is there, accepted as soon as the key is. */
static void lengths_and_forms(void **state)
{
    static const struct {
        uint64_t len;
        uint32_t limit;
        unsigned ext; /* bytes of extended length */
        int code;     /* 0: fine */
    } rows[] = {
        {0, 0, 0, 0},
        {1, 0, 0, 0},
        {125, 0, 0, 0},
        {0, 0, 2, 1002},
        {125, 0, 2, 1002},
        {126, 0, 2, 0},
        {127, 0, 2, 0},
        {65535, 0, 2, 0},
        {0, 0, 8, 1002},
        {126, 0, 8, 1002},
        {65535, 0, 8, 1002},
        {65536, 0, 8, 0},
        {INT32_MAX, 0, 8, 0},
        {1ull << 31, 0, 8, 0},
        {1ull << 32, 0, 8, 0},
        {INT64_MAX, 0, 8, 0},
        {1ull << 63, 0, 8, 1002},
        {UINT64_MAX, 0, 8, 1002},
        {1, 1, 0, 0},
        {2, 1, 0, 1009},
        {65535, 65535, 2, 0},
        {65535, 65534, 2, 1009},
        {65536, 65535, 8, 1009},
        {INT32_MAX, 1 << 20, 8, 1009},
        {1ull << 31, 1 << 20, 8, 1009},
        {1ull << 32, 1 << 20, 8, 1009},
        {INT64_MAX, 1 << 20, 8, 1009},
        {1ull << 63, 1 << 20, 8, 1002},
        {UINT64_MAX, UINT32_MAX, 8, 1002},
        {UINT32_MAX, UINT32_MAX, 8, 0},
        {1ull << 32, UINT32_MAX, 8, 1009},
        {65535, 1 << 20, 8, 1002},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t p[17] = {0x82};
        struct ws_frame f;
        size_t shown = 2 + rows[i].ext, whole = shown + 4;

        p[1] = 0x80 | (uint8_t)(rows[i].ext == 8 ? 127 : rows[i].ext == 2 ? 126 : rows[i].len);
        for (unsigned b = 0; b < rows[i].ext; b++)
            p[2 + b] = (uint8_t)(rows[i].len >> (8 * (rows[i].ext - 1 - b)));
        for (size_t n = 1; n <= whole + 3; n++) {
            enum ws_event ev = ask(p, n, false, 0, rows[i].limit, &f);

            if (rows[i].code && n >= shown) {
                assert_int_equal(ev, WS_EV_ERROR);
                assert_int_equal(f.code, rows[i].code);
            } else if (n >= whole) {
                assert_int_equal(ev, WS_EV_DATA);
                assert_int_equal(f.len, n - whole < rows[i].len ? n - whole : rows[i].len);
                assert_int_equal(f.end, f.len == rows[i].len);
            } else {
                assert_int_equal(ev, WS_EV_MORE);
            }
        }
    }
}

/* Real payloads behind real lengths, in pieces that shift the key. */
static void payload_in_pieces(void **state)
{
    static const size_t lens[] = {1, 125, 126, 127, 65535, 65536}, pieces[] = {1, 7, 1000, 100000};
    static const size_t room = 65536 + WS_CLIENT_HEADER_MAX;
    uint8_t *wire = malloc(room), *plain = malloc(65536), *got = malloc(65536);

    (void)state;
    for (size_t i = 0; i < 65536; i++)
        plain[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t v = 0; v < COUNT(lens) * COUNT(pieces); v++) {
        const size_t len = lens[v / COUNT(pieces)], piece = pieces[v % COUNT(pieces)];
        const size_t n = put_frame(wire, 0x82, plain, len, 0x77);
        size_t start = 0, have = 0, used;
        struct ws_reader r;
        struct ws_frame f;
        bool ended = false;

        ws_reader_init(&r, 0, 0);
        for (size_t end = 0; start < n && !ended;) {
            end = end + piece < n ? end + piece : n;
            while (start < end &&
                   ws_reader_next(&r, wire + start, end - start, &used, &f) == WS_EV_DATA) {
                ws_unmask(got + have, f.payload, f.len, f.key);
                have += f.len;
                start += used;
                ended = f.end;
            }
        }
        assert_int_equal(have, len);
        assert_true(ended);
        assert_memory_equal(got, plain, len);
    }
    free(wire);
    free(plain);
    free(got);
}

/* A control frame of 125 bytes waits for its last byte, within what may be held back. */
static void longest_control_frame_is_given_whole(void **state)
{
    uint8_t p[WS_HELD_MAX], text[WS_CONTROL_MAX];
    struct ws_frame f;

    (void)state;
    memset(text, 'p', sizeof text);
    assert_int_equal(put_frame(p, 0x89, text, sizeof text, 1), sizeof p);
    for (size_t n = 1; n < sizeof p; n++)
        assert_int_equal(ask(p, n, true, 0, 0, &f), WS_EV_MORE);
    assert_int_equal(ask(p, sizeof p, true, 0, 0, &f), WS_EV_CONTROL);
    assert_int_equal(f.len, WS_CONTROL_MAX);
}

/* A thousand empty continuations in a chunk are one event, alone or with what follows them. */
static void empty_continuations_cost_no_events(void **state)
{
    enum { N = 1000 };
    static const struct {
        uint8_t first;
        size_t bytes; /* of the frame behind the flood */
        enum ws_event want;
        size_t used;
    } rows[] = {
        {0x89, 0, WS_EV_DATA, N * 6},
        {0x89, 5, WS_EV_DATA, N * 6},
        {0x89, 6, WS_EV_CONTROL, N * 6 + 6},
        {0x80, 6, WS_EV_DATA, N * 6 + 6},
    };
    uint8_t *p = malloc((N + 1) * 6);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ws_reader r;
        struct ws_frame f;
        size_t used;

        for (size_t k = 0; k <= N; k++)
            put_frame(p + k * 6, k < N ? 0x00 : rows[i].first, "", 0, (uint8_t)k);
        ws_reader_init(&r, 1, 0);
        r.opcode = WS_TEXT; /* inside a message */
        r.begun = true;
        assert_int_equal(ws_reader_next(&r, p, N * 6 + rows[i].bytes, &used, &f), rows[i].want);
        assert_int_equal(used, rows[i].used);
        assert_int_equal(f.len, 0);
        assert_false(f.begin);
        assert_int_equal(f.end, rows[i].first == 0x80);
    }
    free(p);
}

/* ---- headers and closes ---- */

static void headers_written(void **state)
{
    static const struct {
        uint64_t len;
        size_t size;
        uint8_t want[10];
    } rows[] = {
        {0, 2, {0x82, 0}},
        {125, 2, {0x82, 125}},
        {126, 4, {0x82, 126, 0, 126}},
        {65535, 4, {0x82, 126, 255, 255}},
        {65536, 10, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
        {0x0102030405060708, 10, {0x82, 127, 1, 2, 3, 4, 5, 6, 7, 8}},
    };
    uint8_t out[WS_SERVER_HEADER_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(ws_header_len(rows[i].len), rows[i].size);
        assert_int_equal(ws_write_header(out, WS_BINARY, rows[i].len), rows[i].size);
        assert_memory_equal(out, rows[i].want, rows[i].size);
    }
    ws_write_header(out, 0x40 | WS_TEXT, 0);
    assert_int_equal(out[0], 0xC1);
}

static void all_close_codes(void **state)
{
    static const uint16_t fine[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                    1009, 1010, 1011, 1012, 1013, 1014};

    (void)state;
    for (unsigned c = 0; c < 65536; c++) {
        const uint8_t p[] = {(uint8_t)(c >> 8), (uint8_t)c};
        uint16_t want = c >= 3000 && c < 5000 ? 0 : WS_CODE_PROTOCOL, code = 7;

        for (size_t i = 0; i < COUNT(fine); i++)
            if (fine[i] == c)
                want = 0;
        assert_int_equal(ws_check_close(p, 2, &code), want);
        assert_int_equal(code, want ? 7 : c);
    }
}

static void close_payloads(void **state)
{
    static const struct {
        const char *payload;
        size_t n;
        int want, code;
    } rows[] = {
        {"", 0, 0, WS_CODE_NO_STATUS},
        {"\x03\xE8", 1, WS_CODE_PROTOCOL, 7},
        {"\x03\xE8ok", 4, 0, 1000},
        {"\x03\xE8\xE2\x82\xAC", 5, 0, 1000},
        {"\x03\xE8\xE2\x82", 4, WS_CODE_BAD_UTF8, 7},
        {"\x03\xE8\xFF", 3, WS_CODE_BAD_UTF8, 7},
        {"\x03\xED\xFF", 3, WS_CODE_PROTOCOL, 7},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint16_t code = 7;

        assert_int_equal(ws_check_close((const uint8_t *)rows[i].payload, rows[i].n, &code),
                         rows[i].want);
        assert_int_equal(code, rows[i].code);
    }
}

static void closes_written(void **state)
{
    uint8_t out[WS_CONTROL_MAX + 2];
    char reason[200];
    uint16_t code;

    (void)state;
    assert_int_equal(ws_write_close(out, WS_CODE_NO_STATUS, "not sent"), 2);
    assert_memory_equal(out, "\x88\0", 2);
    assert_int_equal(ws_write_close(out, 4003, ""), 4);
    assert_memory_equal(out, "\x88\x02\x0F\xA3", 4);
    assert_int_equal(ws_write_close(out, 1001, "ok"), 6);
    assert_memory_equal(out, "\x88\x04\x03\xE9ok", 6);
    assert_int_equal(ws_write_close(out, 1001, "\xFF"), 7);
    assert_memory_equal(out, "\x88\x05\x03\xE9\xEF\xBF\xBD", 7);

    /* any number of letters, then a run of one character or wrong byte: cut between characters */
    for (size_t v = 0; v < 150 * 4; v++) {
        static const char *const runs[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x9A\xA2", "\xFF"};
        const char *run = runs[v % 4];
        size_t at = v / 4, wide = run[0] == '\xFF' ? 3 : strlen(run), n;

        memset(reason, 'x', at);
        for (reason[at] = '\0'; strlen(reason) + strlen(run) < sizeof reason;)
            strcat(reason, run);
        n = ws_write_close(out, 1000, reason);
        assert_int_equal(n, 4 + (at >= 123 ? 123 : 123 - (123 - at) % wide));
        assert_int_equal(out[1], n - 2);
        assert_int_equal(ws_check_close(out + 2, n - 2, &code), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmask_everywhere),
        cmocka_unit_test(unmask_reads_and_writes_nothing_else),
        cmocka_unit_test(talks_cut_in_three),
        cmocka_unit_test(all_first_bytes),
        cmocka_unit_test(all_second_bytes),
        cmocka_unit_test(lengths_and_forms),
        cmocka_unit_test(payload_in_pieces),
        cmocka_unit_test(longest_control_frame_is_given_whole),
        cmocka_unit_test(empty_continuations_cost_no_events),
        cmocka_unit_test(headers_written),
        cmocka_unit_test(all_close_codes),
        cmocka_unit_test(close_payloads),
        cmocka_unit_test(closes_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
