/* SPDX-License-Identifier: MIT */
/* core/admission: bans by order, lines about those that are turned away, and what sessions are
 * counted together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/admission/admission.h"
#include "core/admission/limits.h"
#include "core/admission/waiting.h"
#include "core/config.h"
#include "core/core.h"
#include "core/route.h"
#include "core/session/session_impl.h"

struct bench {
    union {
        struct worker w;
        struct core core;
    };
    struct config config;
    struct admission *admission;
    int log; /* the end of a pipe with the log's lines */
};

static int open_bench(void **state)
{
    struct bench *b = test_calloc(1, sizeof *b);
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    b->log = fds[0];
    b->w.log = (struct log){.fd = fds[1], .fd_owned = true, .level = LOG_INFO, .format = LOG_TEXT};
    assert_int_equal(worker_init(&b->w), 0);
    b->core.config = &b->config;
    b->w.clock = 1000;
    b->core.sessions = test_calloc(1, sizeof *b->core.sessions);
    b->admission = admission_new(&b->w);
    *state = b;
    return b->admission == NULL;
}

static int close_bench(void **state)
{
    struct bench *b = *state;

    admission_free(b->admission);
    test_free(b->core.sessions);
    worker_release(&b->w);
    log_release(&b->w.log);
    (void)close(b->log);
    test_free(b);
    return 0;
}

static union addr address(const char *text)
{
    union addr a;

    assert_true(addr_parse_host(slice_from(text), 1, &a));
    return a;
}

static struct cidr network(const char *text)
{
    struct cidr c;

    assert_null(cidr_parse(slice_from(text), &c));
    return c;
}

static bool ban(struct bench *b, const char *text, double seconds)
{
    struct cidr c = network(text);

    return admission_ban(b->admission, &c, seconds);
}

static bool unban(struct bench *b, const char *text)
{
    struct cidr c = network(text);

    return admission_unban(b->admission, &c);
}

static enum admission_verdict look(struct bench *b, const char *text)
{
    union addr a = address(text);

    return admission_refuse_banned(b->admission, &a);
}

/* Networks that begin alike are different bans, and an order takes back its own only. */
static void unban_is_exact(void **state)
{
    static const char *const nest[] = {"10.0.0.0/8", "10.0.0.0/16", "10.0.0.0", "::/8", "::/16"};
    struct bench *b = *state;
    const struct admission_ban *all;

    for (size_t i = 0; i < 5; i++)
        assert_true(ban(b, nest[i], 0));
    assert_int_equal(admission_bans(b->admission, &all), 5);
    assert_false(unban(b, "10.0.0.0/9"));
    assert_false(unban(b, "10.0.0.1"));
    assert_false(unban(b, "0.0.0.0/8"));
    assert_true(unban(b, "10.0.0.0/16"));
    assert_false(unban(b, "10.0.0.0/16"));
    assert_int_equal(admission_bans(b->admission, &all), 4);
    assert_int_equal(all[0].network.bits, 8);
    assert_int_equal(all[1].network.bits, 32);
    assert_true(unban(b, "10.0.0.0/8"));
    assert_int_equal(look(b, "10.0.0.0"), ADMISSION_BANNED);
    assert_int_equal(look(b, "10.0.0.1"), ADMISSION_PASS);
    assert_true(unban(b, "::/16"));
    assert_int_equal(look(b, "::1"), ADMISSION_BANNED);
}

/* A second order about a network replaces the first, and one that is over is none. */
static void bans_end_by_themselves(void **state)
{
    struct bench *b = *state;
    const struct admission_ban *all;

    assert_true(ban(b, "10.0.0.0/8", 5));
    assert_true(ban(b, "10.0.0.0/8", 10));
    assert_int_equal(admission_bans(b->admission, &all), 1);
    b->w.clock += 9.5;
    assert_int_equal(look(b, "10.1.2.3"), ADMISSION_BANNED);
    b->w.clock += 0.5;
    assert_int_equal(look(b, "10.1.2.3"), ADMISSION_PASS);
    assert_false(unban(b, "10.0.0.0/8"));
}

static void bans_have_a_cap(void **state)
{
    struct bench *b = *state;
    struct cidr c = network("10.0.0.0");

    for (int i = 0; i <= ADMISSION_BANS_MAX; i++) {
        c.bytes[2] = (uint8_t)(i >> 8);
        c.bytes[3] = (uint8_t)i;
        assert_int_equal(admission_ban(b->admission, &c, 0), i < ADMISSION_BANS_MAX);
    }
    c.bytes[2] = c.bytes[3] = 0;
    assert_true(admission_ban(b->admission, &c, 1)); /* this is there already */
}

/* Lines of the log since the last call; text: what they say. */
static size_t lines(struct bench *b, char text[8192])
{
    ssize_t n = read(b->log, text, 8191);
    size_t count = 0;

    n = n < 0 ? 0 : n;
    text[n] = '\0';
    for (ssize_t i = 0; i < n; i++)
        count += text[i] == '\n';
    return count;
}

/* Who comes again and again fills no log: one line a second for each reason, which counts. */
static void refusals_are_told_once_a_second(void **state)
{
    struct bench *b = *state;
    union addr a = address("192.0.2.1");
    char text[8192];

    b->config.connect_rate = (struct rate){.amount = 1, .period = 1000, .burst = 1};
    assert_true(ban(b, "192.0.2.1", 0));
    (void)lines(b, text);
    for (int i = 0; i < 50; i++)
        assert_int_equal(admission_admit(b->admission, &a), ADMISSION_BANNED);
    assert_int_equal(lines(b, text), 1);
    assert_non_null(strstr(text, "times=1"));
    a = address("192.0.2.2");
    assert_int_equal(admission_admit(b->admission, &a), ADMISSION_PASS);
    for (int i = 0; i < 50; i++)
        assert_int_equal(admission_admit(b->admission, &a), ADMISSION_RATE);
    assert_int_equal(lines(b, text), 1); /* another reason */
    b->w.clock += 0.99;
    assert_int_equal(admission_admit(b->admission, &a), ADMISSION_RATE);
    assert_int_equal(lines(b, text), 0);
    b->w.clock += 0.02;
    assert_int_equal(admission_admit(b->admission, &a), ADMISSION_RATE);
    assert_int_equal(lines(b, text), 1);
    assert_non_null(strstr(text, "times=51"));
    assert_int_equal(admission_refused(b->admission, ADMISSION_BANNED), 50);
    assert_int_equal(admission_refused(b->admission, ADMISSION_RATE), 52);
}

/* What a trusted proxy asks in its own name is answered, also where a ban covers it; else a ban of
 * a network that it stands in would tell its health checks that we are ill. */
static void a_proxy_passes_in_its_own_name(void **state)
{
    struct bench *b = *state;
    struct cidr trusted = network("10.0.0.1");
    union addr proxy = address("10.0.0.1"), other = address("10.0.0.2");

    b->config.trusted = &trusted;
    b->config.trusted_texts.count = 1;
    assert_true(ban(b, "10.0.0.0/8", 0));
    assert_true(admission_is_proxy(b->admission, &proxy));
    assert_int_equal(admission_refuse_banned_since(b->admission, &proxy), ADMISSION_PASS);
    assert_int_equal(admission_refuse_banned_since(b->admission, &other), ADMISSION_BANNED);
    assert_int_equal(admission_refuse_banned(b->admission, &proxy), ADMISSION_BANNED);
}

/* ---- limits: routes are told apart by path, host and subprotocol */

static void routes_are_counted_apart(void **state)
{
    struct route routes[] = {
        {.path = "/"},
        {.path = "/", .host = "a.example"},
        {.path = "/", .host = "b.example"},
        {.path = "/", .match_subprotocol = "a.example"},
        {.path = "/", .host = "a.example", .match_subprotocol = "x"},
        {.path = "/a"},
    };
    struct config c = {.max_sessions = 100};
    struct limits *l = limits_new();
    union addr who = address("192.0.2.1");
    struct limits_ticket *tickets[6], *one;
    const char *why;

    (void)state;
    assert_non_null(l);
    for (size_t i = 0; i < 6; i++) {
        routes[i].max_sessions = 1;
        assert_int_equal(limits_admit(l, &c, &routes[i], &who, &tickets[i], &why), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        struct route again = routes[i]; /* of another configuration */

        assert_int_equal(limits_admit(l, &c, &again, &who, &one, &why), 503);
        for (size_t k = 0; k < 6; k++)
            assert_int_equal(limits_route_rates(l, &again) == limits_route_rates(l, &routes[k]),
                             i == k);
    }
    for (size_t i = 0; i < 6; i++)
        limits_leave(l, tickets[i], &routes[i]);
    limits_free(l);
}

static void limits_are_exact(void **state)
{
    struct route r = {.path = "/"};
    struct config c = {.max_sessions = 3, .max_per_address = 2};
    struct limits *l = limits_new();
    union addr a = address("192.0.2.1"), z = address("192.0.2.2");
    struct limits_ticket *t[3], *one;
    const char *why;

    (void)state;
    assert_int_equal(limits_admit(l, &c, &r, &a, &t[0], &why), 0);
    assert_int_equal(limits_admit(l, &c, &r, &a, &t[1], &why), 0);
    assert_int_equal(limits_admit(l, &c, &r, &a, &one, &why), 429);
    assert_int_equal(limits_admit(l, &c, &r, &z, &t[2], &why), 0);
    assert_int_equal(limits_admit(l, &c, &r, &z, &one, &why), 503);
    limits_leave(l, t[0], &r);
    assert_int_equal(limits_admit(l, &c, &r, &a, &t[0], &why), 0);
    for (size_t i = 0; i < 3; i++)
        limits_leave(l, t[i], &r);
    limits_free(l);
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(unban_is_exact),
        WITH_BENCH(bans_end_by_themselves),
        WITH_BENCH(bans_have_a_cap),
        WITH_BENCH(refusals_are_told_once_a_second),
        WITH_BENCH(a_proxy_passes_in_its_own_name),
        cmocka_unit_test(routes_are_counted_apart),
        cmocka_unit_test(limits_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
