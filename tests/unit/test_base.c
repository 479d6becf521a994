/* SPDX-License-Identifier: MIT */
/* base/: buf, slice, addr and log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/account.h"
#include "base/addr.h"
#include "base/ask.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/utf8.h"

/* ---- ask */

static void answer_is(const void *arg, void *answer)
{
    memset(answer, *(const char *)arg, 200000); /* more than a pipe holds */
}

static void no_answer(const void *arg, void *answer)
{
    (void)arg;
    (void)answer;
    for (;;)
        pause();
}

static void dies(const void *arg, void *answer)
{
    (void)arg;
    (void)answer;
    abort();
}

/* With a limit or without, the same is found, and nobody stays. */
static void answers_come_whole(void **state)
{
    static char answer[200000], expected[sizeof answer];
    struct ask_limit limits[] = {{.is_limited = false}, {.is_limited = true, .left = 1e6}};
    int before = dup(0);
    (void)state;

    memset(expected, 'x', sizeof expected);
    for (size_t i = 0; i < 2; i++) {
        assert_true(ask_within(&limits[i], answer_is, "x", answer, sizeof answer));
        assert_memory_equal(answer, expected, sizeof answer);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    close(before);
    assert_int_equal(dup(0), before);
    close(before);
}

/* The time is for all questions of a reload together. */
static void who_does_not_answer_is_not_awaited(void **state)
{
    struct ask_limit limit = {.is_limited = true, .left = 0.05};
    char answer[8];
    (void)state;

    for (int i = 0; i < 2; i++) {
        assert_false(ask_within(&limit, no_answer, NULL, answer, sizeof answer));
        assert_int_equal(errno, ETIMEDOUT);
    }
    assert_non_null(strstr(ask_error(ETIMEDOUT), "reload"));
    limit.left = 1e6;
    assert_false(ask_within(&limit, dies, NULL, answer, sizeof answer));
    assert_int_equal(errno, ECHILD);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Once for all that name it; and limited, it is found as without. */
static void accounts_are_asked_for_once(void **state)
{
    struct arena arena = {0};
    struct accounts plain = {.arena = &arena},
                    limited = {.arena = &arena, .ask = {.is_limited = true, .left = 1e6}};
    const char *vars[ACCOUNT_LOGIN];
    char error[ACCOUNT_ERROR_MAX];
    const struct account *a = account_find(&plain, "daemon", error),
                         *b = account_find(&limited, "daemon", error);
    (void)state;

    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->group_count, b->group_count);
    assert_memory_equal(a->groups, b->groups, a->group_count * sizeof *a->groups);
    assert_string_equal(a->home, b->home);
    limited.ask.left = 0;
    assert_ptr_equal(account_find(&limited, "daemon", error), b);
    assert_int_equal(account_login(&limited, "daemon", vars), ACCOUNT_LOGIN);
    assert_string_equal(vars[1], "USER=daemon");
    assert_null(account_find(&limited, "nobody", error));
    assert_non_null(strstr(error, "nobody: no answer"));
    assert_null(account_find(&plain, "nobody.such", error));
    assert_string_equal(error, "nobody.such: no such account; create it, or name another");
    arena_release(&arena);
}

/* ---- buf */

/* What buf.h promises of the three cursors. */
static void check_buf(const struct buf *b)
{
    if (b->block != NULL)
        assert_true(b->block->off <= b->block->end && b->block->end <= b->block->cap);
}

static void buf_owns_nothing_while_empty(void **state)
{
    struct buf b = {0};
    (void)state;

    assert_null(buf_data(&b));
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_null(b.block);
    assert_int_equal(buf_append(&b, "hello", 5), 0);
    buf_consume(&b, 2);
    assert_memory_equal(buf_data(&b), "llo", 3);
    buf_consume(&b, 3);
    assert_null(b.block);
    assert_int_equal(buf_len(&b), 0);
    check_buf(&b);
    buf_release(&b);
    buf_release(&b);
}

/* A queue and a counter of what went in and out of it: every byte in order, whatever the sizes. */
static void buf_keeps_order(void **state)
{
    struct buf b = {0};
    uint32_t random = 1;
    size_t in = 0, out = 0, peak = 0;
    (void)state;

    for (int i = 0; i < 20000; i++) {
        size_t n = (random = random * 1103515245 + 12345) >> 20;

        if (random & 0x10000) {
            uint8_t *p = buf_reserve(&b, n);

            assert_non_null(p);
            for (size_t k = 0; k < n; k++)
                p[k] = (uint8_t)(in++ * 7);
            buf_added(&b, n);
        } else {
            n = n < buf_len(&b) ? n : buf_len(&b);
            for (size_t k = 0; k < n; k++)
                assert_int_equal(buf_data(&b)[k], (uint8_t)(out++ * 7));
            buf_consume(&b, n);
        }
        check_buf(&b);
        assert_int_equal(buf_len(&b), in - out);
        peak = b.block ? (peak > buf_len(&b) + n ? peak : buf_len(&b) + n) : 0;
        assert_true(!b.block ||
                    b.block->cap <=
                        4 * peak + 256); /* does not grow for ever while it is never empty */
        if (i % 5000 == 4999) {
            buf_release(&b);
            out = in;
        }
    }
    buf_release(&b);
}

static void buf_has_a_largest_size(void **state)
{
    struct buf b = {0};
    (void)state;

    assert_int_equal(buf_append(&b, "abc", 3), 0);
    errno = 0;
    assert_null(buf_reserve(&b, 1024 * 1024 * 1024 - 2));
    assert_int_equal(errno, EOVERFLOW);
    errno = 0;
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_int_equal(errno, EOVERFLOW);
    assert_memory_equal(buf_data(&b), "abc", 3);
    buf_release(&b);
}

/* ---- slice */

static void slices_compare(void **state)
{
    struct slice none = {NULL, 0};
    (void)state;

    assert_true(slice_eq(none, slice_from("")));
    assert_true(slice_is(none, ""));
    assert_false(slice_is(slice_from("a"), ""));
    assert_true(slice_eq_nocase(slice_from("WebSocket"), slice_from("webSOCKET")));
    assert_false(
        slice_eq_nocase(slice_from("[@"), slice_from("{`"))); /* only letters have a case */
    assert_false(slice_eq_nocase(slice_from("\xc4"), slice_from("\xe4")));
    assert_true(slice_starts(slice_from("unix:/x"), "unix:"));
    assert_false(slice_starts(slice_from("uni"), "unix:"));
    assert_true(slice_starts(none, ""));
    assert_false(slice_starts(none, "x"));
}

static void slices_are_cut(void **state)
{
    struct slice rest, s;
    char *copy;
    (void)state;

    assert_true(slice_is(slice_trim(slice_from(" \t a b\t ")), "a b"));
    assert_int_equal(slice_trim(slice_from(" \t ")).len, 0);
    assert_true(slice_is(slice_trim(slice_from("\na")), "\na"));
    s = slice_cut(slice_from("a=b=c"), '=', &rest);
    assert_true(slice_is(s, "a"));
    assert_true(slice_is(rest, "b=c"));
    s = slice_cut(slice_from("a="), '=', &rest);
    assert_true(slice_is(s, "a"));
    assert_non_null(rest.p); /* a separator with nothing behind it is not the same as none */
    assert_int_equal(rest.len, 0);
    s = slice_cut(slice_from("abc"), '=', &rest);
    assert_true(slice_is(s, "abc"));
    assert_null(rest.p);
    (void)slice_cut((struct slice){NULL, 0}, '=', &rest);
    assert_null(rest.p);
    copy = slice_dup(slice_of("abcdef", 3));
    assert_string_equal(copy, "abc");
    free(copy);
    copy = slice_dup((struct slice){NULL, 0});
    assert_string_equal(copy, "");
    free(copy);
}

static void slices_are_lists(void **state)
{
    struct slice list = slice_from(" ,a, ,b c ,,\td"), item;
    (void)state;

    assert_true(slice_next_item(&list, &item) && slice_is(item, "a"));
    assert_true(slice_next_item(&list, &item) && slice_is(item, "b c"));
    assert_true(slice_next_item(&list, &item) && slice_is(item, "d"));
    assert_false(slice_next_item(&list, &item));
    assert_false(slice_next_item(&list, &item));
    assert_true(slice_list_has(slice_from("keep-alive, Upgrade"), "upgrade"));
    assert_false(slice_list_has(slice_from("keep-alive, Upgrades"), "upgrade"));
    assert_false(slice_list_has((struct slice){NULL, 0}, "upgrade"));
}

/* ---- addr */

static void check_written(const char *host, uint16_t port, const char *both, const char *alone)
{
    char text[ADDR_TEXT_MAX];
    union addr a;

    assert_true(addr_parse_host(slice_from(host), port, &a));
    assert_int_equal(addr_port(&a), port);
    assert_string_equal(addr_format(&a, text), both);
    assert_string_equal(addr_format_host(&a, text), alone);
}

static void addresses_are_written(void **state)
{
    char text[ADDR_TEXT_MAX];
    union addr a;
    (void)state;

    assert_int_equal(sizeof(union addr), 28);
    check_written("127.0.0.1", 80, "127.0.0.1:80", "127.0.0.1");
    check_written("255.255.255.255", 65535, "255.255.255.255:65535", "255.255.255.255");
    check_written("::1", 0, "[::1]:0", "::1");
    check_written("[2001:DB8:0::1]", 443, "[2001:db8::1]:443", "2001:db8::1");
    check_written("::ffff:10.1.2.3", 9, "10.1.2.3:9", "10.1.2.3");
    check_written("fe80::1%4294967295", 9, "[fe80::1%4294967295]:9", "fe80::1%4294967295");
    check_written("1111:2222:3333:4444:5555:6666:255.255.255.255%4294967295", 65535,
                  "[1111:2222:3333:4444:5555:6666:ffff:ffff%4294967295]:65535",
                  "1111:2222:3333:4444:5555:6666:ffff:ffff%4294967295");
    memset(&a, 0, sizeof a);
    a.sa.sa_family = AF_UNIX;
    assert_string_equal(addr_format(&a, text), "unix");
    assert_string_equal(addr_format_host(&a, text), "unix");
    a.sa.sa_family = AF_UNSPEC;
    assert_string_equal(addr_format(&a, text), "unknown");
}

static void names_are_not_addresses(void **state)
{
    static const char *const names[] = {"",
                                        "localhost",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "256.1.1.1",
                                        "01.2.3.4x",
                                        "[1.2.3.4]",
                                        "[::1",
                                        "::1]",
                                        "[]",
                                        "::g",
                                        "fe80::1%",
                                        "::1%99999999999",
                                        "fe80::1%no-such-interface",
                                        "1.2.3.4%1",
                                        " ::1",
                                        "0x7f.1"};
    union addr a;
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (addr_parse_host(slice_from(names[i]), 1, &a))
            fail_msg("taken for an address: '%s'", names[i]);
    assert_false(addr_parse_host(slice_of("1.2.3.4\0x", 9), 1, &a));
    assert_false(addr_parse_host((struct slice){NULL, 0}, 1, &a));
}

static void mapped_addresses_become_v4(void **state)
{
    union addr a;
    (void)state;

    assert_true(addr_parse_host(slice_from("::ffff:1.2.3.4"), 77, &a));
    assert_int_equal(a.sa.sa_family, AF_INET6);
    addr_unmap(&a);
    assert_int_equal(a.sa.sa_family, AF_INET);
    assert_int_equal(addr_len(&a), sizeof a.v4);
    assert_int_equal(a.v4.sin_addr.s_addr, htonl(0x01020304));
    assert_int_equal(addr_port(&a), 77);
    assert_true(addr_parse_host(slice_from("::1.2.3.4"), 77, &a));
    addr_unmap(&a);
    assert_int_equal(a.sa.sa_family, AF_INET6);
}

static bool same_key(const char *one, const char *two)
{
    union addr a, b;
    uint8_t k1[16], k2[16];

    assert_true(addr_parse_host(slice_from(one), 1, &a));
    assert_true(addr_parse_host(slice_from(two), 2, &b));
    addr_limit_key(&a, k1);
    addr_limit_key(&b, k2);
    return memcmp(k1, k2, 16) == 0;
}

static void limits_count_by_address(void **state)
{
    union addr a;
    uint8_t key[16], loopback[16];
    (void)state;

    assert_true(same_key("1.2.3.4", "1.2.3.4"));
    assert_true(same_key("1.2.3.4", "::ffff:1.2.3.4"));
    assert_false(same_key("1.2.3.4", "1.2.3.5"));
    assert_true(same_key("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
    assert_false(same_key("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_false(same_key("0.0.0.0", "::"));
    memset(&a, 0, sizeof a);
    a.sa.sa_family = AF_UNIX;
    addr_limit_key(&a, key);
    assert_true(addr_parse_host(slice_from("::1"), 0, &a));
    addr_limit_key(&a, loopback);
    assert_memory_not_equal(key, loopback, 16);
}

static void addresses_are_split(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
    } good[] = {{"127.0.0.1:80", "127.0.0.1", 80},
                {"8080", "", 8080},
                {"0", "", 0},
                {"[::1]:65535", "::1", 65535},
                {"example.org:1", "example.org", 1},
                {"[fe80::1%3]:7", "fe80::1%3", 7},
                {"*:7", "*", 7}};
    static const char *const bad[] = {"",
                                      ":",
                                      ":80",
                                      "host",
                                      "host:",
                                      "host:x",
                                      "80x",
                                      "65536",
                                      "h:65536",
                                      "::1:80",
                                      "::1",
                                      "[::1]",
                                      "[::1",
                                      "[::1]80",
                                      "[::1]:",
                                      "[x]:1",
                                      "[1.2.3.4]:1",
                                      "[]:1",
                                      "h:99999999999999999999",
                                      "h:-1",
                                      "h: 1",
                                      "h:+1",
                                      "-1"};
    struct slice host;
    uint16_t port;
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(addr_split(slice_from(good[i].text), &host, &port));
        assert_true(slice_is(host, good[i].host));
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *why = addr_split(slice_from(bad[i]), &host, &port);

        if (!why || !*why)
            fail_msg("taken for an address: '%s'", bad[i]);
    }
    assert_non_null(addr_split(slice_of("h\0:1", 4), &host, &port));
}

/* ---- log */

struct sink {
    struct log log;
    int read_fd;
};

/* A log into a pipe as log_init would have opened it. */
static void sink_open(struct sink *s, enum log_format format)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    s->read_fd = fds[0];
    s->log = (struct log){.fd = fds[1], .fd_owned = true, .level = LOG_INFO, .format = format};
}

static void sink_close(struct sink *s)
{
    log_release(&s->log);
    if (s->read_fd >= 0)
        assert_int_equal(close(s->read_fd), 0);
}

/* Everything that lies in the pipe, with a NUL behind it. */
static size_t sink_read(struct sink *s, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while (len + 1 < size && (n = read(s->read_fd, out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    return len;
}

static unsigned hex_value(const char *p, size_t digits)
{
    unsigned value = 0;

    for (size_t i = 0; i < digits; i++) {
        const char *all = "0123456789abcdef", *at = strchr(all, p[i]);

        assert_true(p[i] != '\0' && at);
        value = value << 4 | (unsigned)(at - all);
    }
    return value;
}

static size_t put_utf8(char *out, unsigned c)
{
    if (c < 0x80)
        return out[0] = (char)c, (size_t)1;
    if (c < 0x800)
        return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3f)), (size_t)2;
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

/* Undoes the escaping of one value, as a reader of the log would. Returns its length; *end is
 * behind it. */
static size_t unescape(const char *p, bool quoted, char *out, const char **end)
{
    size_t n = 0;

    while (*p && (quoted ? *p != '"' : *p != ' ' && *p != '\n')) {
        if (*p != '\\') {
            out[n++] = *p++;
            continue;
        }
        p++;
        if (*p == 'x') {
            out[n++] = (char)hex_value(p + 1, 2);
            p += 3;
        } else if (*p == 'u') {
            unsigned c = hex_value(p + 1, 4);

            if (c >= 0xdc80 && c <= 0xdcff)
                out[n++] = (char)(c & 0xff);
            else
                n += put_utf8(out + n, c);
            p += 5;
        } else {
            const char *at = strchr("n\nr\rt\t\"\"\\\\", *p);

            assert_non_null(at);
            out[n++] = at[1];
            p++;
        }
    }
    *end = p;
    return n;
}

/* Logs a value, checks that the line is one printable line, and that the value can be had back from
 * it. */
static void check_reversible(enum log_format format, const char *value, size_t len)
{
    static const char *const keys[] = {" v=", ",\"v\":"};
    struct sink s;
    char line[65536], back[65536];
    const char *at, *end;
    size_t n;
    bool quoted;

    sink_open(&s, format);
    log_line(&s.log, LOG_INFO, "x", LOG_S("v", slice_of(value, len)), LOG_I("last", 1));
    n = sink_read(&s, line, sizeof line);
    sink_close(&s);

    assert_true(n > 0 && line[n - 1] == '\n');
    assert_true(utf8_valid((const uint8_t *)line, n));
    for (size_t i = 0; i + 1 < n; i++)
        assert_true((uint8_t)line[i] >= ' ' && line[i] != 0x7f);
    at = strstr(line, keys[format]);
    assert_non_null(at);
    at += strlen(keys[format]);
    quoted = *at == '"';
    assert_true(quoted || format == LOG_TEXT);
    assert_int_equal(unescape(at + quoted, quoted, back, &end), len);
    assert_memory_equal(back, value, len);
    assert_string_equal(end + quoted, format == LOG_JSON ? ",\"last\":1}\n" : " last=1\n");
}

static void every_byte_is_reversible(void **state)
{
    char value[512];
    (void)state;

    for (enum log_format format = LOG_TEXT; format <= LOG_JSON; format++) {
        for (unsigned b = 0; b < 256; b++) {
            value[0] = value[1] = value[2] = (char)b;
            check_reversible(format, value, 1);
            check_reversible(format, value, 3);
            value[0] = 'a';
            value[2] = 'z';
            check_reversible(format, value, 3);
            value[0] = (char)0xe2; /* perhaps half a character in front of it */
            value[1] = (char)0x80;
            value[2] = (char)b;
            check_reversible(format, value, 3);
        }
        for (unsigned b = 0; b < 512; b++)
            value[b] = (char)b;
        check_reversible(format, value, 512);
        check_reversible(format, "\\x41 \\u0041 \\\\n", 16);
        check_reversible(format, "a=b", 3);
        check_reversible(format, "k=\"v\" level=error\r\nforged", 25);
    }
}

static void only_printable_characters_pass(void **state)
{
    static const struct {
        const char *value, *text, *json;
    } rows[] = {
        {"gr\xc3\xbc\xc3\x9f", "v=gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xf0\x9f\x98\x80", "v=\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
        {"a b", "v=\"a b\"", "\"a b\""},
        {"\x1b[31m", "v=\"\\x1b[31m\"", "\"\\u001b[31m\""},
        {"\x7f", "v=\"\\x7f\"", "\"\\u007f\""},
        {"\xc2\x80", "v=\"\\xc2\\x80\"", "\"\\u0080\""},
        {"\xc2\x9f", "v=\"\\xc2\\x9f\"", "\"\\u009f\""},
        {"\xc2\xa1", "v=\xc2\xa1", "\"\xc2\xa1\""},
        {"\xe2\x80\xa8", "v=\"\\xe2\\x80\\xa8\"", "\"\\u2028\""},
        {"\xe2\x80\xa9", "v=\"\\xe2\\x80\\xa9\"", "\"\\u2029\""},
        {"\xe2\x80\xae", "v=\"\\xe2\\x80\\xae\"", "\"\\u202e\""},
        {"\xef\xbb\xbf", "v=\"\\xef\\xbb\\xbf\"", "\"\\ufeff\""},
        {"\xed\xa0\x80", "v=\"\\xed\\xa0\\x80\"", "\"\\udced\\udca0\\udc80\""},
        {"\xff", "v=\"\\xff\"", "\"\\udcff\""},
    };
    char line[1024];
    struct sink s;
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (enum log_format format = LOG_TEXT; format <= LOG_JSON; format++) {
            sink_open(&s, format);
            log_line(&s.log, LOG_INFO, "x", LOG_C("v", rows[i].value));
            (void)sink_read(&s, line, sizeof line);
            assert_non_null(strstr(line, format == LOG_TEXT ? rows[i].text : rows[i].json));
            check_reversible(format, rows[i].value, strlen(rows[i].value));
            sink_close(&s);
        }
    }
}

static void lines_have_their_form(void **state)
{
    static const char middle[] =
        "\",\"level\":\"warn\",\"msg\":\"session closed\",\"id\":7,\"rtt\":1.500,"
        "\"bad\":null,\"big\":-1";
    struct sink s;
    char line[4096];
    (void)state;

    sink_open(&s, LOG_TEXT);
    log_line(&s.log, LOG_INFO, "session closed", LOG_I("id", 7), LOG_C("user", ""),
             LOG_C("none", NULL), LOG_C("reason", "exit 3"), LOG_F("rtt", 1.5),
             LOG_F("bad", 0.0 / 0.0), LOG_I("low", INT64_MIN));
    (void)sink_read(&s, line, sizeof line);
    /* 2026-11-21T13:47:49.123Z */
    assert_true(strlen(line) > 30 && line[4] == '-' && line[7] == '-' && line[10] == 'T' &&
                line[13] == ':' && line[19] == '.' && line[23] == 'Z');
    assert_string_equal(line + 24,
                        " info  session closed id=7 reason=\"exit 3\" rtt=1.500 bad=null "
                        "low=-9223372036854775808\n");
    log_printf(&s.log, LOG_DEBUG, "not wanted");
    log_printf(&s.log, LOG_ERROR, "a \"%s\"\n%d", "b\x1b", 3);
    (void)sink_read(&s, line, sizeof line);
    assert_string_equal(line + 24, " error a \"b\\x1b\"\\n3\n");
    sink_close(&s);

    sink_open(&s, LOG_JSON);
    log_line(&s.log, LOG_WARN, "session closed", LOG_I("id", 7), LOG_C("user", ""),
             LOG_F("rtt", 1.5), LOG_F("bad", 0.0 / 0.0), LOG_F("big", -1.7e308));
    (void)sink_read(&s, line, sizeof line);
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_memory_equal(line + 33, middle, strlen(middle));
    assert_string_equal(line + strlen(line) - 6, ".000}\n");
    log_printf(&s.log, LOG_ERROR, "a \"%s\"\n", "b\x1b");
    (void)sink_read(&s, line, sizeof line);
    assert_string_equal(line + 33, "\",\"level\":\"error\",\"msg\":\"a \\\"b\\u001b\\\"\\n\"}\n");
    sink_close(&s);
}

static void long_values_are_cut(void **state)
{
    struct sink s;
    char *value = malloc(3 * LOG_VALUE_MAX), *line = malloc(65536);
    size_t n;
    (void)state;

    assert_true(value && line);
    memset(value, 'x', 3 * LOG_VALUE_MAX);
    value[LOG_VALUE_MAX - 1] = (char)0xc3; /* a character across the cut */
    value[LOG_VALUE_MAX] = (char)0xbc;
    sink_open(&s, LOG_TEXT);
    log_line(&s.log, LOG_INFO, "m", LOG_S("v", slice_of(value, 3 * LOG_VALUE_MAX)),
             LOG_I("last", 1));
    n = sink_read(&s, line, 65536);
    assert_int_equal(n, 24 + strlen(" info  m v=") + LOG_VALUE_MAX - 1 + strlen("... last=1\n"));
    assert_string_equal(line + n - 14, "xxx... last=1\n");

    memset(value, 'y', 3 * LOG_VALUE_MAX);
    value[3 * LOG_VALUE_MAX - 1] = '\0';
    log_printf(&s.log, LOG_INFO, "%s", value);
    n = sink_read(&s, line, 65536);
    assert_true(n > 1000 && n < 4096);
    assert_string_equal(line + n - 5, "y...\n");
    sink_close(&s);
    free(value);
    free(line);
}

/* Reads what comes until the log holds nothing back; adds up lines, and what the reports of lost
 * ones say. */
static void drain(struct sink *s, uint64_t *lines, uint64_t *reported)
{
    static const char report[] = "log lines were dropped lines=";
    char *all = calloc(1, 2 * 1024 * 1024);
    size_t len = 0;
    bool more;

    assert_non_null(all);
    do {
        more = log_flush(&s->log);
        len += sink_read(s, all + len, 2 * 1024 * 1024 - len);
    } while (more);
    *lines = *reported = 0;
    for (char *line = all, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        char *at;

        *end = '\0';
        assert_true(strlen(line) > 24 && line[23] == 'Z'); /* whole, whatever was lost before it */
        at = strstr(line, report);
        *lines += at == NULL;
        *reported += at ? strtoull(at + strlen(report), NULL, 10) : 0;
    }
    free(all);
}

static void a_full_pipe_does_not_block(void **state)
{
    struct sink s;
    uint64_t lines, reported, logged = 0;
    (void)state;

    sink_open(&s, LOG_TEXT);
    assert_true(fcntl(s.log.fd, F_SETPIPE_SZ, 4096) >= 4096);
    while (s.log.dropped < 1000) {
        log_line(&s.log, LOG_INFO, "a line that nobody reads", LOG_I("n", logged++));
        assert_true(s.log.len <= LOG_RING_SIZE);
        assert_true(logged < 100000);
    }
    assert_true(logged > 1000 + LOG_RING_SIZE / 80);
    assert_non_null(s.log.ring);
    drain(&s, &lines, &reported);
    assert_int_equal(reported, 1000);
    assert_int_equal(s.log.dropped_total, 1000);
    assert_int_equal(s.log.dropped, 0);
    assert_int_equal(lines + reported, logged);
    assert_null(s.log.ring); /* no memory while nothing waits */
    sink_close(&s);
}

/* Lines larger than what a pipe takes whole, in every state of the pipe: nothing torn, nothing lost
 * in silence. */
static void large_lines_are_not_torn(void **state)
{
    struct sink s;
    static char value[LOG_VALUE_MAX];
    uint64_t lines, reported, logged = 0, all = 0;
    (void)state;

    memset(value, 'v', sizeof value);
    sink_open(&s, LOG_TEXT);
    assert_true(fcntl(s.log.fd, F_SETPIPE_SZ, 4096) >= 4096);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 70; i++, logged++)
            log_line(&s.log, LOG_INFO, "m",
                     LOG_S("v", slice_of(value, (logged * 977) % sizeof value)));
        drain(&s, &lines, &reported);
        all += lines + reported;
    }
    assert_true(s.log.dropped_total > 0);
    assert_int_equal(all, logged);
    sink_close(&s);
}

static void a_shared_description_is_asked_first(void **state)
{
    struct sink s;
    uint64_t lines, reported, logged = 0;
    (void)state;

    sink_open(&s, LOG_TEXT);
    assert_int_equal(fcntl(s.log.fd, F_SETFL, 0),
                     0); /* blocking: a write too many would hang the test */
    s.log.fd_owned = false;
    while (s.log.dropped < 10) {
        log_line(&s.log, LOG_INFO, "a line that nobody reads", LOG_I("n", logged++));
        assert_true(logged < 100000);
    }
    drain(&s, &lines, &reported);
    assert_int_equal(lines + reported, logged);
    s.log.fd_owned = true;
    sink_close(&s);
}

static void a_socket_does_not_block(void **state)
{
    struct sink s;
    int fds[2];
    uint64_t lines, reported, logged = 0;
    (void)state;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    s.read_fd = fds[0];
    s.log = (struct log){.fd = fds[1], .is_socket = true, .level = LOG_INFO};
    while (s.log.dropped < 10) {
        log_line(&s.log, LOG_INFO, "a line that nobody reads", LOG_I("n", logged++));
        assert_true(logged < 100000);
    }
    drain(&s, &lines, &reported);
    assert_int_equal(lines + reported, logged);
    assert_int_equal(close(s.read_fd), 0);
    s.read_fd = -1;
    log_printf(&s.log, LOG_INFO, "nobody is there"); /* must not raise SIGPIPE */
    assert_int_equal(s.log.dropped, 1);
    sink_close(&s);
    assert_int_equal(close(fds[1]), 0);
}

static void a_broken_pipe_drops_and_counts(void **state)
{
    struct sink s;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    uint64_t logged = 0;
    (void)state;

    assert_int_equal(sigaction(SIGPIPE, &ignore, &before), 0); /* as the server does */
    sink_open(&s, LOG_TEXT);
    while (s.log.len < 10000) {
        log_line(&s.log, LOG_INFO, "a line that nobody reads", LOG_I("n", logged++));
        assert_true(logged < 100000);
    }
    assert_int_equal(s.log.dropped_total, 0);
    assert_int_equal(close(s.read_fd), 0);
    s.read_fd = -1;
    assert_false(log_flush(&s.log)); /* nothing waits any more */
    assert_null(s.log.ring);
    assert_true(s.log.dropped_total > 50 && s.log.dropped_total < logged);
    logged = s.log.dropped_total;
    log_printf(&s.log, LOG_INFO, "one more");
    assert_int_equal(s.log.dropped_total, logged + 1);
    assert_int_equal(s.log.dropped,
                     logged + 1); /* the report could not be written either: not forgotten */
    sink_close(&s);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

/* The rest of a half-written line was lost: the next line begins a new one. */
static void a_torn_line_is_ended(void **state)
{
    struct sink s;
    char text[8192];
    (void)state;

    sink_open(&s, LOG_TEXT);
    s.log.torn = true;
    log_printf(&s.log, LOG_INFO, "next");
    log_printf(&s.log, LOG_INFO, "last");
    (void)sink_read(&s, text, sizeof text);
    assert_int_equal(text[0], '\n');
    assert_non_null(strstr(text + 1, " next\n2"));
    assert_null(strstr(text, "\n\n"));
    sink_close(&s);
}

/* log_init on the real descriptor 2, made to be a pipe, a socket, a file and nothing at all. */
static void standard_error_stays_as_it_is(void **state)
{
    struct log log;
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), fds[2];
    char text[256];
    ssize_t n;
    (void)state;

    assert_true(saved >= 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    log_init(&log, LOG_INFO, LOG_TEXT);
    assert_true(log.fd_owned && log.fd > 2);
    assert_true(fcntl(log.fd, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(STDERR_FILENO, F_GETFL) &
                 O_NONBLOCK); /* programs that share it would break */
    assert_true(fcntl(log.fd, F_GETFD) & FD_CLOEXEC);
    log_printf(&log, LOG_INFO, "through a pipe");
    n = read(fds[0], text, sizeof text - 1);
    assert_true(n > 0 && text[n - 1] == '\n');
    log_release(&log);
    log_release(&log);
    assert_true(fcntl(STDERR_FILENO, F_GETFD) >= 0);
    (void)close(fds[0]);
    (void)close(fds[1]);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    log_init(&log, LOG_INFO, LOG_TEXT);
    assert_true(log.is_socket && !log.fd_owned && log.fd == 2);
    log_printf(&log, LOG_INFO, "through a socket");
    assert_true(recv(fds[0], text, sizeof text, MSG_DONTWAIT) > 0);
    log_release(&log);
    (void)close(fds[0]);
    (void)close(fds[1]);

    /* a file that somebody else writes to through the same description */
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    log_init(&log, LOG_INFO, LOG_TEXT);
    log_printf(&log, LOG_INFO, "ours");
    assert_int_equal(write(STDERR_FILENO, "theirs\n", 7), 7);
    log_printf(&log, LOG_INFO, "ours again");
    n = pread(fileno(file), text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "ours\ntheirs\n"));
    assert_non_null(strstr(text, "ours again\n"));
    log_release(&log);
    (void)fclose(file);

    (void)close(STDERR_FILENO);
    log_init(&log, LOG_INFO, LOG_TEXT);
    log_printf(&log, LOG_INFO, "into nothing");
    assert_int_equal(log.dropped, 1);
    log_release(&log);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_whole),
        cmocka_unit_test(who_does_not_answer_is_not_awaited),
        cmocka_unit_test(accounts_are_asked_for_once),
        cmocka_unit_test(buf_owns_nothing_while_empty),
        cmocka_unit_test(buf_keeps_order),
        cmocka_unit_test(buf_has_a_largest_size),
        cmocka_unit_test(slices_compare),
        cmocka_unit_test(slices_are_cut),
        cmocka_unit_test(slices_are_lists),
        cmocka_unit_test(addresses_are_written),
        cmocka_unit_test(names_are_not_addresses),
        cmocka_unit_test(mapped_addresses_become_v4),
        cmocka_unit_test(limits_count_by_address),
        cmocka_unit_test(addresses_are_split),
        cmocka_unit_test(every_byte_is_reversible),
        cmocka_unit_test(only_printable_characters_pass),
        cmocka_unit_test(lines_have_their_form),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_full_pipe_does_not_block),
        cmocka_unit_test(large_lines_are_not_torn),
        cmocka_unit_test(a_shared_description_is_asked_first),
        cmocka_unit_test(a_socket_does_not_block),
        cmocka_unit_test(a_broken_pipe_drops_and_counts),
        cmocka_unit_test(a_torn_line_is_ended),
        cmocka_unit_test(standard_error_stays_as_it_is),
    };

    (void)alarm(120); /* a test that hangs fails */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
