/* SPDX-License-Identifier: MIT */
/* proto/proxyhdr: headers of both versions judged, cut at every byte, written and read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proxyhdr.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Of a copy of exactly this size, so that ASan sees a byte read behind it. */
static enum proxyhdr_result parse(const void *bytes, size_t n, struct proxyhdr *h)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    enum proxyhdr_result result;

    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, bytes, n);
    result = proxyhdr_parse(copy, n, h);
    /* what points into the copy is moved to the original */
    if (h->authority.p != NULL)
        h->authority.p = (const char *)bytes + (h->authority.p - (char *)copy);
    if (h->unique_id.p != NULL)
        h->unique_id.p = (const char *)bytes + (h->unique_id.p - (char *)copy);
    free(copy);
    return result;
}

static const char *told(const struct proxyhdr *h, char out[2 * ADDR_TEXT_MAX])
{
    char source[ADDR_TEXT_MAX], destination[ADDR_TEXT_MAX];

    snprintf(out, 2 * ADDR_TEXT_MAX, "%s > %s", addr_format(&h->source, source),
             addr_format(&h->destination, destination));
    return out;
}

/* A whole header with more behind it: every part is MORE, the whole DONE with what it says. */
static void check_good(const char *name, const void *bytes, size_t n, const char *wanted)
{
    char text[2 * ADDR_TEXT_MAX];
    uint8_t longer[PROXYHDR_MAX + 32];
    struct proxyhdr h;

    memcpy(longer, bytes, n);
    memset(longer + n, '\n', 32);
    for (size_t cut = 0; cut < n; cut++)
        if (parse(longer, cut, &h) != PROXYHDR_MORE)
            fail_msg("%s: cut to %zu of %zu bytes", name, cut, n);
    for (size_t behind = 0; behind <= 32; behind++) {
        if (parse(longer, n + behind, &h) != PROXYHDR_DONE)
            fail_msg("%s: with %zu bytes behind", name, behind);
        assert_int_equal(h.length, n);
        assert_string_equal(told(&h, text), wanted);
    }
}

/* The n bytes are BAD with anything behind them, and not before byte `at`. */
static void check_bad(const char *name, const void *bytes, size_t n, size_t at)
{
    uint8_t longer[PROXYHDR_MAX + 32];
    struct proxyhdr h;

    memset(longer, 'x', sizeof longer);
    memcpy(longer, bytes, n);
    for (size_t cut = 0; cut <= n + 16; cut++) {
        enum proxyhdr_result wanted = cut < at ? PROXYHDR_MORE : PROXYHDR_BAD;

        if (parse(longer, cut, &h) != wanted)
            fail_msg("%s: %zu bytes, wanted %s", name, cut, cut < at ? "MORE" : "BAD");
    }
}

/* ---- version 1 */

static void v1_good(void **state)
{
    static const struct {
        const char *line, *wanted;
    } rows[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1:56324 > 198.51.100.2:443"},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0 > 0.0.0.0:0"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
         "255.255.255.255:65535 > 255.255.255.255:65535"},
        {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1 > [::1]:2"},
        {"PROXY TCP6 2001:DB8::A :: 1 2\r\n", "[2001:db8::a]:1 > [::]:2"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 > "
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY TCP6 ::ffff:192.0.2.1 ::1 5 6\r\n", "192.0.2.1:5 > [::1]:6"},
        {"PROXY UNKNOWN\r\n", "unknown > unknown"},
        {"PROXY UNKNOWN \r\n", "unknown > unknown"},
        {"PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n", "unknown > unknown"},
        {"PROXY UNKNOWN what \xff\x01 ever\r\n", "unknown > unknown"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        check_good(rows[i].line, rows[i].line, strlen(rows[i].line), rows[i].wanted);
}

/* at: the number of bytes at which it is known; 0: only at the end of the line. */
static void v1_bad(void **state)
{
    static const struct {
        const char *line;
        size_t at;
    } rows[] = {
        {"PROXX TCP4 192.0.2.1 198.51.100.2 1 2\r\n", 5},
        {"proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n", 1},
        {"POST / HTTP/1.1\r\n", 2},
        {"PUT / HTTP/1.1\r\n", 2},
        {"GET / HTTP/1.1\r\n", 1},
        {"\x16\x03\x01", 1},
        {" PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n", 1},
        {"PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n", 7},
        {"PROXY\tTCP4 192.0.2.1 198.51.100.2 1 2\r\n", 6},
        {"PROXY\r\n", 6},
        {"PROXY \r\n", 7},
        {"PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n", 10},
        {"PROXY TCP 192.0.2.1 198.51.100.2 1 2\r\n", 10},
        {"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", 8},
        {"PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n", 7},
        {"PROXY TCP44 192.0.2.1 198.51.100.2 1 2\r\n", 11},
        {"PROXY UNKNOWNS\r\n", 0},
        {"PROXY UNKNOWN\n", 0}, /* no CR */
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\r\n", 0},
        {"PROXY TCP4 192.0.2.1\r 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2\r\n", 0},
        {"PROXY TCP4 192.0.2.1\r\n", 0},
        {"PROXY TCP4 \r\n", 0},
        {"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2  1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 100000 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 4294967297 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 00\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1x 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 198.51.100.2 0x1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 3221225985 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 localhost 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 ::1 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP4 192.0.2.1 ::1 1 2\r\n", 0},
        {"PROXY TCP4 ::ffff:192.0.2.1 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP6 ::1 198.51.100.2 1 2\r\n", 0},
        {"PROXY TCP6 [::1] ::1 1 2\r\n", 0},
        {"PROXY TCP6 fe80::1%1 ::1 1 2\r\n", 0},
        {"PROXY TCP6 fe80::1 fe80::2%lo 1 2\r\n", 0},
        {"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", 0},
        {"PROXY TCP6 ::12345 ::1 1 2\r\n", 0},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = strlen(rows[i].line);

        check_bad(rows[i].line, rows[i].line, n, rows[i].at > 0 ? rows[i].at : n);
    }
    check_bad("NUL", "PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n", 40, 40);
}

/* 107 bytes with CR LF, one more is too many, wherever the line would have ended. */
static void v1_longest(void **state)
{
    char line[256];
    (void)state;

    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + 105, "\r\n", 2);
    check_good("107 bytes", line, 107, "unknown > unknown");
    memset(line + 105, 'x', 2);
    memcpy(line + 106, "\r\n", 2);
    check_bad("108 bytes", line, 108, 107);
    memset(line + 106, 'x', 2);
    check_bad("no end", line, 200, 107);
}

/* ---- version 2 */

struct v2 {
    uint8_t bytes[PROXYHDR_MAX + 64];
    size_t n;
};

/* A header of this command and family byte; len is filled in by v2_end. */
static struct v2 v2_begin(uint8_t command, uint8_t family)
{
    struct v2 v = {.n = 16};

    memcpy(v.bytes, SIGNATURE, 12);
    v.bytes[12] = command;
    v.bytes[13] = family;
    return v;
}

static void v2_put(struct v2 *v, const void *p, size_t n)
{
    assert_true(n <= sizeof v->bytes - v->n);
    memcpy(v->bytes + v->n, p, n);
    v->n += n;
}

static void v2_tlv(struct v2 *v, uint8_t type, const void *p, size_t n)
{
    v2_put(v, (const uint8_t[]){type, (uint8_t)(n >> 8), (uint8_t)n}, 3);
    v2_put(v, p, n);
}

static void v2_length(struct v2 *v, size_t len)
{
    v->bytes[14] = (uint8_t)(len >> 8);
    v->bytes[15] = (uint8_t)len;
}

static const uint8_t v4_block[12] = {192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x01, 0xBB};
static const char v4_told[] = "192.0.2.1:56324 > 198.51.100.2:443";

static struct v2 v2_v4(void)
{
    struct v2 v = v2_begin(0x21, 0x11);

    v2_put(&v, v4_block, sizeof v4_block);
    return v;
}

static void check_v2(const char *name, struct v2 *v, const char *wanted)
{
    v2_length(v, v->n - 16);
    check_good(name, v->bytes, v->n, wanted);
}

static void v2_addresses(void **state)
{
    uint8_t v6[36] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1, [31] = 1, [32] = 0, 7, 0, 8};
    uint8_t mapped[36] = {[10] = 0xff, 0xff, 192, 0, 2, 9, [31] = 1, [32] = 0, 7, 0, 8};
    uint8_t path[216] = "/run/client.sock";
    struct v2 v;
    (void)state;

    v = v2_v4();
    check_v2("TCP over IPv4", &v, v4_told);
    v.bytes[13] = 0x12;
    check_v2("UDP over IPv4", &v, v4_told);
    v = v2_begin(0x21, 0x21);
    v2_put(&v, v6, sizeof v6);
    check_v2("TCP over IPv6", &v, "[2001:db8::1]:7 > [::1]:8");
    v = v2_begin(0x21, 0x21);
    v2_put(&v, mapped, sizeof mapped);
    check_v2("mapped", &v, "192.0.2.9:7 > [::1]:8");
    v = v2_begin(0x21, 0x31);
    v2_put(&v, path, sizeof path);
    check_v2("unix", &v, "unknown > unknown");
    v = v2_begin(0x21, 0x00);
    check_v2("unspec", &v, "unknown > unknown");
}

/* A health check: whatever else it says is not looked at (section 2.2). */
static void v2_local(void **state)
{
    struct proxyhdr h;
    struct v2 v = v2_begin(0x20, 0x00);
    (void)state;

    check_v2("bare", &v, "unknown > unknown");
    assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
    assert_true(h.is_local);
    v = v2_begin(0x20, 0x11);
    v2_put(&v, v4_block, sizeof v4_block);
    check_v2("with addresses", &v, "unknown > unknown");
    v = v2_begin(0x20, 0xFF);
    v2_put(&v, "\xff\xff\xff", 3);
    check_v2("with nonsense", &v, "unknown > unknown");
    v = v2_v4();
    v2_length(&v, 12);
    assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
    assert_false(h.is_local);
}

static void v2_tlvs(void **state)
{
    uint8_t ssl[] = {0x01, 0, 0, 0, 0, 0x21, 0, 7, 'T', 'L', 'S', 'v', '1', '.', '3'};
    char unique[PROXYHDR_UNIQUE_MAX + 1];
    struct proxyhdr h;
    struct v2 v = v2_v4();
    (void)state;

    memset(unique, 'u', sizeof unique);
    v2_tlv(&v, 0x04, "", 0); /* NOOP */
    v2_tlv(&v, 0x02, "chess.example", 13);
    v2_tlv(&v, 0x05, unique, PROXYHDR_UNIQUE_MAX);
    v2_tlv(&v, 0x20, ssl, sizeof ssl);
    v2_tlv(&v, 0xEE, "own", 3);
    check_v2("all of them", &v, v4_told);
    assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
    assert_true(slice_is(h.authority, "chess.example"));
    assert_true(slice_eq(h.unique_id, slice_of(unique, PROXYHDR_UNIQUE_MAX)));
    assert_true(h.tls);

    v = v2_v4();
    ssl[0] = 0x06; /* certificate bits, but not PP2_CLIENT_SSL */
    v2_tlv(&v, 0x20, ssl, sizeof ssl);
    v2_tlv(&v, 0x05, unique, sizeof unique); /* too long: not believed */
    v2_tlv(&v, 0x02, "", 0);
    check_v2("none to keep", &v, v4_told);
    assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
    assert_false(h.tls);
    assert_int_equal(h.unique_id.len, 0);
    assert_int_equal(h.authority.len, 0);

    v = v2_v4();
    v2_tlv(&v, 0x20, "\x01\0\0\0", 4); /* shorter than its fixed part */
    check_v2("short SSL", &v, v4_told);
    assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
    assert_false(h.tls);

    v = v2_begin(0x21, 0x00);
    v2_tlv(&v, 0x02, "a", 1);
    check_v2("without addresses", &v, "unknown > unknown");
    assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
    assert_true(slice_is(h.authority, "a"));
}

static void v2_tlvs_bad(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {{"\x02", 1},           {"\x02\0", 2},        {"\x02\0\1", 3},
                {"\x02\xff\xff", 3},   {"\x02\0\2a", 4},     {"\x02\0\1a\x05", 5},
                {"\x04\0\0\x04\0", 5}, {"\0\0\0\0\0\0\1", 7}};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct v2 v = v2_v4();
        char name[32];

        snprintf(name, sizeof name, "TLV garbage %zu", i);
        v2_put(&v, rows[i].bytes, rows[i].n);
        v2_length(&v, v.n - 16);
        check_bad(name, v.bytes, v.n, v.n);
    }
}

static void v2_bad_fixed_part(void **state)
{
    (void)state;

    for (unsigned at = 0; at < 12; at++) {
        struct v2 v = v2_v4();

        v2_length(&v, 12);
        v.bytes[at] ^= 0x01;
        check_bad("signature", v.bytes, v.n, at + 1);
    }
    for (unsigned c = 0; c < 256; c++) {
        struct v2 v = v2_v4();

        if (c == 0x20 || c == 0x21)
            continue;
        v2_length(&v, 12);
        v.bytes[12] = (uint8_t)c;
        check_bad("version or command", v.bytes, v.n, 13);
    }
    for (unsigned f = 0; f < 256; f++) {
        struct v2 v = v2_begin(0x21, (uint8_t)f);
        uint8_t block[216] = {0};

        v2_put(&v, block, sizeof block);
        v2_length(&v, sizeof block);
        if ((f & 0x0F) > 2 || f >> 4 > 3)
            check_bad("family or transport", v.bytes, v.n, 14);
    }
}

/* Too short for its family, or longer than we take: known from the fixed part. */
static void v2_lengths(void **state)
{
    static const struct {
        uint8_t family;
        size_t needed;
    } kinds[] = {{0x11, 12}, {0x21, 36}, {0x31, 216}};
    uint8_t block[PROXYHDR_MAX] = {0}; /* addresses, then empty TLVs of type 0 */
    struct proxyhdr h;
    (void)state;

    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct v2 v = v2_begin(0x21, kinds[i].family);

        v2_put(&v, block, kinds[i].needed);
        for (size_t len = 0; len < kinds[i].needed; len++) {
            v2_length(&v, len);
            check_bad("too short", v.bytes, v.n, 16);
        }
        v2_length(&v, kinds[i].needed);
        assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
    }
    for (unsigned command = 0x20; command <= 0x21; command++) {
        struct v2 v = v2_begin((uint8_t)command, 0x11);

        v2_put(&v, block, PROXYHDR_MAX - 16);
        v2_length(&v, PROXYHDR_MAX - 16);
        assert_int_equal(parse(v.bytes, v.n, &h), PROXYHDR_DONE);
        assert_int_equal(h.length, PROXYHDR_MAX);
        assert_int_equal(parse(v.bytes, v.n - 1, &h), PROXYHDR_MORE);
        v2_length(&v, PROXYHDR_MAX - 15);
        check_bad("4097 bytes", v.bytes, 16, 16);
        v2_length(&v, 0xFFFF);
        check_bad("65551 bytes", v.bytes, 16, 16);
    }
}

/* ---- writing */

static union addr addr_of(const char *host, uint16_t port)
{
    union addr a = {0};

    if (strcmp(host, "unix") == 0)
        a.sa.sa_family = AF_UNIX;
    else if (*host != '\0')
        assert_true(addr_parse_host(slice_from(host), port, &a));
    return a;
}

static const struct written {
    const char *source, *destination, *line; /* line: as version 1 */
    size_t v2;                               /* length as version 2 */
    const char *wanted;                      /* what is read again */
} written[] = {
    {"192.0.2.1", "198.51.100.2", "PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n", 28,
     "192.0.2.1:1234 > 198.51.100.2:80"},
    {"2001:db8::1", "::1", "PROXY TCP6 2001:db8::1 ::1 1234 80\r\n", 52,
     "[2001:db8::1]:1234 > [::1]:80"},
    {"::ffff:192.0.2.1", "::ffff:10.0.0.1", "PROXY TCP4 192.0.2.1 10.0.0.1 1234 80\r\n", 28,
     "192.0.2.1:1234 > 10.0.0.1:80"},
    {"::ffff:192.0.2.1", "10.0.0.1", "PROXY TCP4 192.0.2.1 10.0.0.1 1234 80\r\n", 28,
     "192.0.2.1:1234 > 10.0.0.1:80"},
    {"2001:db8::1", "10.0.0.1", "PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 1234 80\r\n", 52,
     "[2001:db8::1]:1234 > 10.0.0.1:80"},
    {"192.0.2.1", "::1", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1234 80\r\n", 52,
     "192.0.2.1:1234 > [::1]:80"},
    {"fe80::1%1", "fe80::2", "PROXY TCP6 fe80::1 fe80::2 1234 80\r\n", 52,
     "[fe80::1]:1234 > [fe80::2]:80"},
    {"192.0.2.1", "unix", "PROXY TCP4 192.0.2.1 0.0.0.0 1234 0\r\n", 28,
     "192.0.2.1:1234 > 0.0.0.0:0"},
    {"2001:db8::1", "unix", "PROXY TCP6 2001:db8::1 :: 1234 0\r\n", 52,
     "[2001:db8::1]:1234 > [::]:0"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
     "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe "
     "1234 80\r\n",
     52,
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1234 > "
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:80"},
    {"unix", "192.0.2.1", "PROXY UNKNOWN\r\n", 16, "unknown > unknown"},
    {"unix", "unix", "PROXY UNKNOWN\r\n", 16, "unknown > unknown"},
    {"", "", "PROXY UNKNOWN\r\n", 16, "unknown > unknown"},
};

static void written_and_read_again(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(written); i++) {
        const struct written *w = &written[i];
        union addr source = addr_of(w->source, 1234), destination = addr_of(w->destination, 80);
        uint8_t out[PROXYHDR_WRITE_MAX];
        size_t n = proxyhdr_write(out, 1, &source, &destination);

        assert_int_equal(n, strlen(w->line));
        assert_memory_equal(out, w->line, n);
        check_good(w->line, out, n, w->wanted);
        n = proxyhdr_write(out, 2, &source, &destination);
        assert_int_equal(n, w->v2);
        check_good(w->line, out, n, w->wanted);
    }
}

/* The very bytes, by section 2.2. */
static void version_2_bytes(void **state)
{
    union addr source = addr_of("192.0.2.1", 0xDC04), destination = addr_of("198.51.100.2", 443);
    uint8_t out[PROXYHDR_WRITE_MAX];
    (void)state;

    assert_int_equal(proxyhdr_write(out, 2, &source, &destination), 28);
    assert_memory_equal(out, SIGNATURE "\x21\x11\0\x0C", 16);
    assert_memory_equal(out + 16, v4_block, 12);
}

/* Of a datagram: the last four bits of the family's byte say so. */
static void version_2_datagram(void **state)
{
    static const struct {
        const char *source;
        uint8_t family;
    } rows[] = {{"192.0.2.1", 0x12}, {"2001:db8::1", 0x22}};
    union addr destination = addr_of("198.51.100.2", 443), unknown = {.sa.sa_family = AF_UNIX};
    uint8_t out[PROXYHDR_WRITE_MAX];
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        union addr source = addr_of(rows[i].source, 0xDC04);

        (void)proxyhdr_write(out, 2, &source, &destination);
        proxyhdr_set_datagram(out);
        assert_int_equal(out[13], rows[i].family);
    }
    (void)proxyhdr_write(out, 2, &unknown, &destination);
    proxyhdr_set_datagram(out);
    assert_int_equal(out[13], 0x00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_good),         cmocka_unit_test(v1_bad),
        cmocka_unit_test(v1_longest),      cmocka_unit_test(v2_addresses),
        cmocka_unit_test(v2_local),        cmocka_unit_test(v2_tlvs),
        cmocka_unit_test(v2_tlvs_bad),     cmocka_unit_test(v2_bad_fixed_part),
        cmocka_unit_test(v2_lengths),      cmocka_unit_test(written_and_read_again),
        cmocka_unit_test(version_2_bytes), cmocka_unit_test(version_2_datagram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
