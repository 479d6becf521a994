/* SPDX-License-Identifier: MIT */
/* The parts of authentication that can be judged alone: base64, digests, files, cache, delays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/hook_http.h"
#include "auth/hook_output.h"
#include "auth/htpasswd.h"
#include "auth/tokens.h"
#include "backend/token_file.h"
#include "backend/token_list.h"
#include "core/auth/auth_cache.h"
#include "core/auth/auth_delay.h"
#include "core/request.h"
#include "proto/secret.h"

static const uint8_t key[SECRET_KEY_SIZE] = {1, 2, 3};

static void base64_of_rfc_4648(void **state)
{
    static const char *const rows[][2] = {{"Zg==", "f"},           {"Zm8=", "fo"},
                                          {"Zm9v", "foo"},         {"Zm9vYg==", "foob"},
                                          {"Zm9vYmE=", "fooba"},   {"Zm9vYmFy", "foobar"},
                                          {"+/+/", "\xfb\xff\xbf"}};
    static const char *const bad[] = {"",      "Z",        "Zg",    "Zg=",  "Zh==",
                                      "Zm9=",  "Zm8=Zm8=", "Z===",  "====", "Zg==\n",
                                      " Zg==", "Zm-_",     "Zm9v=", "Z=g="};
    char out[16];
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int n = secret_base64(slice_from(rows[i][0]), out, sizeof out);

        assert_int_equal(n, strlen(rows[i][1]));
        assert_memory_equal(out, rows[i][1], (size_t)n);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(secret_base64(slice_from(bad[i]), out, sizeof out), -1);
    assert_int_equal(secret_base64(slice_from("Zm9vYmFy"), out, 5), -1);
    assert_int_equal(secret_base64(slice_from("Zm9vYmFy"), out, 6), 6);
}

static void unescape(void **state)
{
    char out[4];
    (void)state;

    assert_int_equal(secret_unescape(slice_from("a%41%7e"), out, sizeof out), 3);
    assert_memory_equal(out, "aA~", 3);
    assert_int_equal(secret_unescape(slice_from("abcde"), out, sizeof out), -1);
    assert_int_equal(secret_unescape(slice_from("%"), out, sizeof out), -1);
    assert_int_equal(secret_unescape(slice_from("%4"), out, sizeof out), -1);
    assert_int_equal(secret_unescape(slice_from("%4g"), out, sizeof out), -1);
    assert_int_equal(secret_unescape(slice_from("%00"), out, sizeof out), -1);
}

static void digests_tell_lists_apart(void **state)
{
    const struct slice ab_c[] = {slice_from("ab"), slice_from("c")};
    const struct slice a_bc[] = {slice_from("a"), slice_from("bc")};
    const struct slice abc[] = {slice_from("abc"), slice_of(NULL, 0)};
    uint8_t mac[4][SECRET_MAC_SIZE], other[SECRET_KEY_SIZE] = {9};
    (void)state;

    assert_true(secret_mac(key, ab_c, 2, mac[0]));
    assert_true(secret_mac(key, a_bc, 2, mac[1]));
    assert_true(secret_mac(key, abc, 2, mac[2]));
    assert_true(secret_mac(other, ab_c, 2, mac[3]));
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < i; k++)
            assert_false(secret_equal(mac[i], mac[k], SECRET_MAC_SIZE));
        assert_true(secret_equal(mac[i], mac[i], SECRET_MAC_SIZE));
    }
}

/* Whatever bit differs, wherever. */
static void equal_sees_every_bit(void **state)
{
    uint8_t a[32] = {0}, b[32] = {0};
    (void)state;

    for (size_t i = 0; i < sizeof a * 8; i++) {
        b[i / 8] = (uint8_t)(1U << i % 8);
        assert_false(secret_equal(a, b, sizeof a));
        b[i / 8] = 0;
    }
    assert_true(secret_equal(a, b, sizeof a));
    assert_true(secret_equal(a, b, 0));
}

static void wiped(void **state)
{
    char text[] = "secret";
    (void)state;

    secret_wipe(slice_of(text, 6));
    assert_memory_equal(text, "\0\0\0\0\0\0", 6);
    secret_wipe(slice_of(NULL, 0));
}

/* ---- htpasswd */

#define BCRYPT "$2b$10$abcdefghijklmnopqrstuu4T826PRnz0Hu6YlprUuxkZxOOj5Fw5S"
#define SHA512                                                               \
    "$6$saltsalt$8RWsOfwR6M6PpnoeQiEiWzNTPo1f0HjVYjDnLZhGx16aBFRkeqiHAzfXP/" \
    "LgrOWMBMXqiU2pLrXsSOHNUyUm91"

#define A43 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void htpasswd_reads(void **state)
{
    char text[] = "# who\n\n  \nzoe:" BCRYPT "\r\nadam:" SHA512 ":note\n\xc3\xa4:" BCRYPT;
    char why[HTPASSWD_ERROR_MAX];
    struct htpasswd h;
    (void)state;

    assert_true(htpasswd_parse(&h, text, why));
    assert_int_equal(h.count, 3);
    assert_string_equal(htpasswd_find(&h, slice_from("zoe")), BCRYPT);
    assert_string_equal(htpasswd_find(&h, slice_from("adam")), SHA512);
    assert_string_equal(htpasswd_find(&h, slice_from("\xc3\xa4")), BCRYPT);
    assert_null(htpasswd_find(&h, slice_from("ada")));
    assert_null(htpasswd_find(&h, slice_from("adam:")));
    assert_null(htpasswd_find(&h, slice_from("# who")));
    assert_null(htpasswd_find(&h, slice_from("")));
    assert_null(htpasswd_find(&h, slice_of(text, 300)));
    htpasswd_release(&h);
    char empty[] = "";
    assert_true(htpasswd_parse(&h, empty, why));
    assert_null(htpasswd_find(&h, slice_from("zoe")));
    htpasswd_release(&h);
}

static void htpasswd_refuses(void **state)
{
    static const char *const rows[][2] = {
        {"a", "1: write user:hash"},
        {"a:" BCRYPT "\n\nb:plain", "3: neither yescrypt"},
        {"a:$apr1$abcdefgh$abcdefghijklmnopqrstu.", "1: an MD5 hash"},
        {"a:$1$abcdefgh$abcdefghijklmnopqrstu.", "1: an MD5 hash"},
        {"a:abJnggxhB/yWI", "1: neither yescrypt"},
        {"a:", "1: neither yescrypt"},
        {"a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "1: an unsalted"},
        {":" BCRYPT, "1: a name"},
        {"\x01:" BCRYPT, "1: a control"},
        {"a:$2b$99$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuabcdefghij",
         "1: the hash is damaged"},
        {"a:$2b$10$abcdefghijklmnopqrstuu", "1: the hash is damaged"},
        {"a:$6$saltsalt$abcdef", "1: the hash is damaged"},
        {"a:$y$", "1: the hash is damaged"},
        {"a:$6$" A43 A43 A43 A43 A43 A43 A43 "$" A43 A43, "1: the hash is damaged"},
        {"a:" BCRYPT "\na:" BCRYPT, "1: the user a stands there twice"},
    };
    char why[HTPASSWD_ERROR_MAX];
    struct htpasswd h;
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = strdup(rows[i][0]);

        assert_false(htpasswd_parse(&h, text, why));
        if (strncmp(why, rows[i][1], strlen(rows[i][1])) != 0)
            fail_msg("%s: %s", rows[i][0], why);
        free(text);
    }
}

/* ---- tokens */

static void tokens_are_found(void **state)
{
    char text[] = "# c\n\n  alice   first-token  \r\nsecond-token\nbob third-token";
    char why[TOKENS_ERROR_MAX];
    struct tokens t;
    (void)state;

    assert_true(tokens_parse(&t, text, why));
    assert_int_equal(t.count, 3);
    assert_string_equal(tokens_find(&t, slice_from("first-token"))->name, "alice");
    assert_string_equal(tokens_find(&t, slice_from("second-token"))->name, "");
    assert_string_equal(tokens_find(&t, slice_from("third-token"))->name, "bob");
    assert_null(tokens_find(&t, slice_from("first-toke")));
    assert_null(tokens_find(&t, slice_from("first-tokens")));
    assert_null(tokens_find(&t, slice_from("alice")));
    assert_null(tokens_find(&t, slice_of(NULL, 0)));
    tokens_release(&t);
}

static void tokens_refused(void **state)
{
    static const char *const bad[] = {"short", "alice short", "a b c-is-too-much",
                                      "alice \xc3\xa4-token-here"};
    char why[TOKENS_ERROR_MAX];
    struct tokens t;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];

        snprintf(text, sizeof text, "good-token\n%s\n", bad[i]);
        assert_false(tokens_parse(&t, text, why));
        assert_memory_equal(why, "2: ", 3);
        assert_null(strstr(why, bad[i]));
    }
}

/* ---- cache and delays */

static struct auth_grant *grant_of(const char *user)
{
    const struct slice env[] = {slice_from("A=1"), slice_from("B=")};

    return auth_grant_new(slice_from(user), env, 2);
}

static void cache_forgets(void **state)
{
    uint8_t mac[SECRET_MAC_SIZE] = {1};
    struct auth_cache c = {0};
    struct auth_grant *g = grant_of("alice");
    (void)state;

    assert_null(auth_cache_find(&c, mac, 100));
    auth_cache_add(&c, mac, g, 110);
    free(g);
    assert_string_equal(auth_cache_find(&c, mac, 100)->user, "alice");
    assert_string_equal(auth_cache_find(&c, mac, 109.9)->env[0], "A=1");
    assert_string_equal(auth_cache_find(&c, mac, 109.9)->env[1], "B=");
    mac[1] = 1;
    assert_null(auth_cache_find(&c, mac, 100));
    mac[1] = 0;
    assert_null(auth_cache_find(&c, mac, 110));
    assert_int_equal(c.count, 0);
    auth_cache_release(&c);
}

static void cache_is_bounded(void **state)
{
    uint8_t mac[SECRET_MAC_SIZE] = {0};
    struct auth_cache c = {0};
    struct auth_grant *g = grant_of("x");
    (void)state;

    for (uint32_t i = 0; i < AUTH_CACHE_MAX + 10; i++) {
        memcpy(mac, &i, sizeof i);
        auth_cache_add(&c, mac, g, 10);
        auth_cache_add(&c, mac, g, 10);
    }
    assert_int_equal(c.count, AUTH_CACHE_MAX);
    for (uint32_t i = 0; i < AUTH_CACHE_MAX + 10; i++) {
        memcpy(mac, &i, sizeof i);
        assert_int_equal(auth_cache_find(&c, mac, 1) != NULL, i >= 10);
    }
    free(g);
    auth_cache_release(&c);
    assert_null(c.by_mac);
}

static union addr address(const char *text)
{
    union addr a;

    assert_true(addr_parse_host(slice_from(text), 1, &a));
    return a;
}

static void near(double a, double b)
{
    assert_true(a > b - 1e-9 && a < b + 1e-9);
}

static void delays_double(void **state)
{
    static const double expected[] = {1, 2, 4, 8, 8, 8};
    struct auth_delays *d = auth_delays_new(key);
    union addr a = address("192.0.2.1"), b = address("192.0.2.2");
    (void)state;

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        near(auth_delays_failed(d, &a, 1000 + (double)i), expected[i]);
    near(auth_delays_failed(d, &b, 1006), 1);
    near(auth_delays_failed(d, &a, 1006 + 59), 8);
    near(auth_delays_failed(d, &a, 1006 + 59 + 61), 1);
    union addr six = address("2001:db8::1"), same = address("2001:db8::ffff"),
               other = address("2001:db8:0:1::1");
    near(auth_delays_failed(d, &six, 1), 1);
    near(auth_delays_failed(d, &same, 1), 2);
    near(auth_delays_failed(d, &other, 1), 1);
    auth_delays_free(d);
}

static void delays_are_bounded(void **state)
{
    struct auth_delays *d = auth_delays_new(key);
    union addr a = address("192.0.2.1");
    char text[32];
    (void)state;

    for (int i = 0; i < AUTH_DELAY_BUSY; i++)
        assert_true(auth_delays_enter(d, &a, 1));
    assert_false(auth_delays_enter(d, &a, 1));
    for (int i = 0; i < 50000; i++) { /* others push it out only when it is idle */
        snprintf(text, sizeof text, "10.%d.%d.1", i / 256 % 256, i % 256);
        union addr other = address(text);
        (void)auth_delays_failed(d, &other, 2);
    }
    assert_false(auth_delays_enter(d, &a, 3));
    auth_delays_leave(d, &a, 3, 0);
    assert_true(auth_delays_enter(d, &a, 3));
    auth_delays_free(d);
}

static void places_of_those_who_left(void **state)
{
    struct auth_delays *d = auth_delays_new(key);
    union addr a = address("192.0.2.1");
    (void)state;

    for (int i = 0; i < AUTH_DELAY_BUSY; i++) {
        assert_true(auth_delays_enter(d, &a, 10));
        auth_delays_leave(d, &a, 10, i == 3 ? 8 : 1);
    }
    assert_false(auth_delays_enter(d, &a, 17.9));
    for (int i = 0; i < AUTH_DELAY_BUSY; i++)
        assert_true(auth_delays_enter(d, &a, 18));
    assert_false(auth_delays_enter(d, &a, 18));
    auth_delays_leave(d, &a, 18, 0);
    assert_true(auth_delays_enter(d, &a, 18));
    assert_false(auth_delays_enter(d, &a, 1000)); /* these are there */
    for (int i = 0; i < 50000; i++) {             /* those who left keep nobody else out */
        char text[32];

        snprintf(text, sizeof text, "10.%d.%d.1", i / 256 % 256, i % 256);
        union addr other = address(text);
        assert_true(auth_delays_enter(d, &other, 18));
        auth_delays_leave(d, &other, 18, 8);
    }
    assert_false(auth_delays_enter(d, &a, 18));
    auth_delays_free(d);
}

/* Whoever has thousands of networks has attempts under way in each: nobody else is refused. */
static void strangers_take_no_place(void **state)
{
    struct auth_delays *d = auth_delays_new(key);
    union addr a = address("192.0.2.1"), failing = address("192.0.2.2");
    uint64_t untold;
    char text[64];
    (void)state;

    near(auth_delays_failed(d, &failing, 1), 1);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "2001:%x:%x:1::1", 0xdb8 + i / 60000, i);
        union addr other = address(text);
        assert_true(auth_delays_enter(d, &other, 2));
    }
    assert_true(auth_delays_enter(d, &a, 3));
    auth_delays_leave(d, &a, 3, 0);
    near(auth_delays_failed(d, &a, 3), 1);
    assert_true(auth_delays_tell(d, &a, 3, &untold));
    auth_delays_free(d);
}

/* Who passes is not remembered, and so pushes out nobody that failed. */
static void good_ones_leave_no_trace(void **state)
{
    struct auth_delays *d = auth_delays_new(key);
    union addr failing = address("192.0.2.1");
    char text[64];
    (void)state;

    near(auth_delays_failed(d, &failing, 1), 1);
    for (unsigned i = 0; i < 3 * AUTH_DELAYS_MAX; i++) {
        snprintf(text, sizeof text, "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
        union addr other = address(text);
        (void)auth_delays_enter(d, &other, 2);
        auth_delays_leave(d, &other, 2, 0);
    }
    assert_int_equal(auth_delays_count(d), 1);
    near(auth_delays_failed(d, &failing, 3), 2);
    for (unsigned i = 0; i < 3 * AUTH_DELAYS_MAX;
         i++) { /* nor does memory grow with those that fail */
        snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        union addr other = address(text);
        (void)auth_delays_failed(d, &other, 4);
    }
    assert_int_equal(auth_delays_count(d), AUTH_DELAYS_MAX);
    auth_delays_free(d);
}

/* A /48 is looked at, too: another /64 for each guess is no way round. */
static void wider_networks_are_looked_at(void **state)
{
    struct auth_delays *d = auth_delays_new(key);
    union addr elsewhere = address("2001:db9::1");
    unsigned under_way = 0;
    double delay = 0;
    char text[64];
    (void)state;

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "2001:db8:0:%x::1", i << 4);
        union addr one = address(text);
        under_way += auth_delays_enter(d, &one, 1);
        delay = auth_delays_failed(d, &one, 1);
    }
    near(delay, AUTH_DELAY_MAX);
    assert_int_equal(under_way, 4 * AUTH_DELAY_BUSY);
    assert_true(auth_delays_enter(d, &elsewhere, 1));
    near(auth_delays_failed(d, &elsewhere, 1), 1);
    auth_delays_free(d);
}

static void empty_ones_are_free_while_seldom(void **state)
{
    struct auth_delays *d = auth_delays_new(key);
    union addr a = address("192.0.2.1"), b = address("192.0.2.2");
    (void)state;

    for (int i = 0; i < AUTH_EMPTY_BURST; i++)
        near(auth_delays_empty(d, &a, 1), 0);
    near(auth_delays_empty(d, &a, 1), 1);
    near(auth_delays_empty(d, &a, 1), 2);
    near(auth_delays_empty(d, &b, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(auth_delays_empty(d, &a, 1) <= AUTH_DELAY_MAX);
    near(auth_delays_failed(d, &a, 1), 1); /* they are no guesses */
    near(auth_delays_empty(d, &a, 1000), 0);
    auth_delays_free(d);
}

static void telling_is_limited_by_address(void **state)
{
    struct auth_delays *d = auth_delays_new(key);
    union addr a = address("192.0.2.1"), b = address("192.0.2.2");
    uint64_t untold;
    int told = 0;
    (void)state;

    for (int i = 0; i < 100; i++)
        told += auth_delays_tell(d, &a, 1, &untold);
    assert_int_equal(told, AUTH_TELL_BURST);
    assert_true(auth_delays_tell(d, &b, 1, &untold)); /* whatever noise others make */
    assert_int_equal(untold, 0);
    assert_true(auth_delays_tell(d, &a, 2.1, &untold));
    assert_int_equal(untold, 100 - AUTH_TELL_BURST);
    auth_delays_free(d);
}

/* ---- the request */

static void take(const char *target, const char *left, const char *query, const char *token)
{
    char *text = strdup(target);
    struct request r = {.target = slice_from(text)};

    (void)slice_cut(r.target, '?', &r.query);
    assert_int_equal(request_take_token(&r), true);
    assert_int_equal(r.target.len, strlen(left));
    assert_memory_equal(r.target.p, left, r.target.len);
    if (query == NULL) {
        assert_null(r.query.p);
    } else {
        assert_int_equal(r.query.len, strlen(query));
        assert_memory_equal(r.query.p, query, r.query.len);
    }
    if (token == NULL)
        assert_null(r.token);
    else
        assert_string_equal(r.token, token);
    for (size_t i = r.target.len + (query == NULL && strchr(target, '?') != NULL);
         i < strlen(target); i++)
        assert_int_equal(text[i], 0);
    request_release(&r);
    free(text);
}

static void token_is_taken_out(void **state)
{
    (void)state;

    take("/a", "/a", NULL, NULL);
    take("/a?b=1", "/a?b=1", "b=1", NULL);
    take("/a?token=x", "/a", NULL, "x");
    take("/a?token=x&b=1", "/a?b=1", "b=1", "x");
    take("/a?b=1&token=x", "/a?b=1", "b=1", "x");
    take("/a?b=1&token=%78y&c=2", "/a?b=1&c=2", "b=1&c=2", "xy");
    take("/a?token=x&token=y", "/a", NULL, "x");
    take("/a?token=", "/a", NULL, "");
    take("/a?mytoken=x", "/a?mytoken=x", "mytoken=x", NULL);
}

static void hook_speaks(void **state)
{
    struct auth_grant *g = hook_output_grant(
        slice_from("user eve\r\nuser dave\nenv A=1\nenv a=1\nenv 1A=1\nenv =1\nenv B\nenv C_2= x "
                   "=y\nenv D=a\x01\nnoise\nuser\nuser \x02\nuser () { :; }\nenv E="));
    (void)state;

    assert_string_equal(g->user, "dave");
    assert_int_equal(g->env_count, 3);
    assert_string_equal(g->env[0], "A=1");
    assert_string_equal(g->env[1], "C_2= x =y");
    assert_string_equal(g->env[2], "E=");
    free(g);
    g = hook_output_grant(slice_of(NULL, 0));
    assert_string_equal(g->user, "");
    assert_int_equal(g->env_count, 0);
    free(g);
}

static void hook_urls(void **state)
{
    static const char *const bad[] = {"https://h:1/",   "http://h/", "http://:1/", "http://h:0/",
                                      "http://h:1/a b", "http://",   "h:1"};
    struct hook_url u;
    (void)state;

    assert_null(hook_url_parse(&u, "http://[::1]:80/a?b"));
    assert_true(slice_is(u.path, "/a?b"));
    assert_int_equal(u.port, 80);
    assert_null(hook_url_parse(&u, "http://h:8080"));
    assert_true(slice_is(u.path, "/"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(hook_url_parse(&u, bad[i]));
}

static void token_lines(void **state)
{
    struct token_target t = {0};
    (void)state;

    assert_true(token_file_line(slice_from(" one :  127.0.0.1:5900 \r"), slice_from("one"), &t));
    assert_string_equal(t.host, "127.0.0.1");
    assert_int_equal(t.port, 5900);
    assert_true(token_file_line(slice_from("one: [::1]:1"), slice_from("one"), &t));
    assert_string_equal(t.host, "::1");
    assert_true(token_file_line(slice_from("one: unix:/run/x"), slice_from("one"), &t));
    assert_true(t.is_unix);
    assert_string_equal(t.host, "/run/x");
    assert_false(token_file_line(slice_from("# one: h:1"), slice_from("# one"), &t));
    assert_false(token_file_line(slice_from(": h:1"), slice_from(""), &t));
    assert_false(token_file_line(slice_from("one: h:1"), slice_from("two"), &t));
    assert_false(t.broken);
    assert_false(token_file_line(slice_from("one: h"), slice_from("one"), &t));
    assert_true(t.broken);
}

/* ---- lists of tokens */

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static bool has(struct token_list *l, double now, const char *token)
{
    struct token_target t;

    return token_list_find(l, now, slice_from(token), &t);
}

/* Until what was written is old enough that its stamp tells it from the next change. */
static unsigned settled_reads(struct token_list *l)
{
    unsigned before;

    do {
        before = token_list_reads(l);
        (void)has(l, 0, "x");
    } while (token_list_reads(l) != before);
    return before;
}

static void a_token_file_is_read_when_it_changes(void **state)
{
    char dir[] = "/tmp/wsluice-unit-XXXXXX", path[64], other[64];
    struct token_target t;
    (void)state;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/list", dir);
    snprintf(other, sizeof other, "%s/other", dir);
    struct token_list *l = token_list_new(path);
    assert_false(token_list_find(l, 0, slice_from("one"), &t));
    assert_true(t.broken && strstr(t.why, "No such file") != NULL);
    put(path, "one: h:1\ntwo: h:2\n");
    assert_true(has(l, 0, "one"));
    unsigned reads = settled_reads(l);
    for (int i = 0; i < 1000; i++)
        assert_false(has(l, 0, "three"));
    assert_true(has(l, 0, "two"));
    assert_int_equal(token_list_reads(l), reads);
    for (int i = 0; i < 100; i++) { /* as quickly as can be, and of the same length */
        put(path, i % 2 == 0 ? "six: h:1\n" : "ten: h:1\n");
        assert_true(has(l, 0, i % 2 == 0 ? "six" : "ten"));
        assert_false(has(l, 0, i % 2 == 0 ? "ten" : "six"));
    }
    put(other, "new: h:1\n");
    assert_int_equal(rename(other, path), 0);
    assert_true(has(l, 0, "new"));
    assert_int_equal(unlink(path), 0);
    assert_false(has(l, 0, "new"));
    token_list_free(l);
    assert_int_equal(rmdir(dir), 0);
}

static void a_token_directory_is_read_when_it_changes(void **state)
{
    char dir[] = "/tmp/wsluice-unit-XXXXXX", one[64], two[64];
    (void)state;

    assert_non_null(mkdtemp(dir));
    snprintf(one, sizeof one, "%s/one", dir);
    snprintf(two, sizeof two, "%s/two", dir);
    put(one, "one: h:1\n");
    struct token_list *l = token_list_new(dir);
    assert_true(has(l, 0, "one"));
    put(two, "two: h:1\n");
    assert_true(has(l, 0, "two"));
    unsigned reads = settled_reads(l);
    for (int i = 0; i < 100; i++)
        assert_false(has(l, 10 + i, "three"));
    assert_int_equal(token_list_reads(l), reads);
    put(one, "uno: h:1\n"); /* in its place: the directory does not tell */
    assert_true(has(l, 200, "uno"));
    assert_int_equal(unlink(two), 0);
    assert_false(has(l, 200, "two"));
    token_list_free(l);
    assert_true(unlink(one) == 0 && rmdir(dir) == 0);
}

/* Where a token ends and a target is split, however many colons there are. */
static void token_lines_with_colons(void **state)
{
    static const struct {
        const char *line, *token, *host; /* host NULL: the line is this token's, and wrong */
        int port;
    } cases[] = {
        {"one:host:5900", "one", "host", 5900},
        {"one:\thost:5900", "one", "host", 5900},
        {"one: ::1:5900", "one", "::1", 5900},
        {"one:::1:5900", "one", "::1", 5900},
        {"one: [::1]:5900", "one", "::1", 5900},
        {"one:[2001:db8::7]:1", "one", "2001:db8::7", 1},
        {"one: 2001:db8::7:65535", "one", "2001:db8::7", 65535},
        {"a:b:c: host:1", "a:b:c", "host", 1},
        {"a:b:c: ::1:1", "a:b:c", "::1", 1},
        {"urn:uuid:1: tcp://host:1", "urn:uuid:1", "host", 1},
        {"a:b: unix:/run/a:b: c", "a:b", "/run/a:b: c", 0},
        {"a:host:1", "a", "host", 1},
        {"one: ::1", "one", NULL, 0},
        {"one: a:b:1", "one", NULL, 0},
        {"one: ::1:0", "one", NULL, 0},
        {"one: ::1:65536", "one", NULL, 0},
        {"one: ::1:x", "one", NULL, 0},
        {"one: ::1:", "one", NULL, 0},
        {"one: :1", "one", NULL, 0},
        {"one: [::1:1", "one", NULL, 0},
        {"one:", "one", NULL, 0},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct token_target t = {0};
        bool is_good = cases[i].host != NULL;

        assert_int_equal(token_file_line(slice_from(cases[i].line), slice_from(cases[i].token), &t),
                         is_good);
        assert_int_equal(t.broken, !is_good);
        if (!is_good)
            continue;
        assert_string_equal(t.host, cases[i].host);
        assert_int_equal(t.port, cases[i].port);
    }
    struct token_target t = {0};
    assert_false(token_file_line(slice_from("a:b: host:1"), slice_from("a"), &t));
    assert_false(token_file_line(slice_from("a:host:1"), slice_from("a:host"), &t));
    assert_false(t.broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_lines_with_colons),
        cmocka_unit_test(base64_of_rfc_4648),
        cmocka_unit_test(unescape),
        cmocka_unit_test(digests_tell_lists_apart),
        cmocka_unit_test(equal_sees_every_bit),
        cmocka_unit_test(wiped),
        cmocka_unit_test(htpasswd_reads),
        cmocka_unit_test(htpasswd_refuses),
        cmocka_unit_test(tokens_are_found),
        cmocka_unit_test(tokens_refused),
        cmocka_unit_test(cache_forgets),
        cmocka_unit_test(cache_is_bounded),
        cmocka_unit_test(delays_double),
        cmocka_unit_test(delays_are_bounded),
        cmocka_unit_test(places_of_those_who_left),
        cmocka_unit_test(strangers_take_no_place),
        cmocka_unit_test(good_ones_leave_no_trace),
        cmocka_unit_test(wider_networks_are_looked_at),
        cmocka_unit_test(empty_ones_are_free_while_seldom),
        cmocka_unit_test(telling_is_limited_by_address),
        cmocka_unit_test(a_token_file_is_read_when_it_changes),
        cmocka_unit_test(a_token_directory_is_read_when_it_changes),
        cmocka_unit_test(token_is_taken_out),
        cmocka_unit_test(hook_speaks),
        cmocka_unit_test(hook_urls),
        cmocka_unit_test(token_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
