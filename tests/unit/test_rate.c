/* SPDX-License-Identifier: MIT */
/* core/rate, core/bans and how both are written: how much in a time, and who not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cidr.h"
#include "conf/options.h"
#include "core/admission/bans.h"
#include "core/rate.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-6;
}

static void a_burst_and_then_a_pace(void **state)
{
    const struct rate r = {10, 1, 3};
    struct rate_bucket b = {0};
    (void)state;

    for (int i = 0; i < 3; i++)
        assert_true(near(rate_reserve(&b, &r, 1, 1000), 0));
    assert_true(near(rate_wait(&b, &r, 1, 1000), 0.1));
    assert_true(near(rate_wait(&b, &r, 1, 1000.05), 0.05));
    assert_true(near(rate_wait(&b, &r, 1, 1000.1), 0));
    for (int i = 0; i < 3; i++) /* never more than the burst, however long the rest */
        assert_true(near(rate_reserve(&b, &r, 1, 9000), 0));
    assert_true(rate_wait(&b, &r, 1, 9000) > 0);
}

static void a_slow_rate_right_after_boot(void **state)
{
    const struct rate r = {1, 3600, 5};
    struct rate_bucket b = {0};
    (void)state;

    for (int i = 0; i < 5; i++)
        assert_true(near(rate_reserve(&b, &r, 1, 2), 0));
    assert_true(near(rate_wait(&b, &r, 1, 2), 3600));
}

static void who_waits_does_so_in_order(void **state)
{
    const struct rate r = {10, 1, 1};
    struct rate_bucket b = {0};
    (void)state;

    for (int i = 0; i < 50; i++)
        assert_true(near(rate_reserve(&b, &r, 1, 5), i / 10.0));
    for (int i = 0; i < 49; i++)
        rate_give_back(&b, 1);
    assert_true(near(rate_wait(&b, &r, 1, 5), 0.1));
    rate_give_back(&b, 100);
    assert_true(near(rate_wait(&b, &r, 1, 5), 0));
}

static void more_than_the_burst_at_once(void **state)
{
    const struct rate r = {1000, 1, 100};
    struct rate_bucket b = {0};
    (void)state;

    assert_true(near(rate_reserve(&b, &r, 600, 1), 0.5));
    assert_true(near(rate_wait(&b, &r, 100, 1.5), 0.1));
}

static void no_limit(void **state)
{
    const struct rate r = {0};
    struct rate_bucket b = {0};
    (void)state;

    assert_true(near(rate_reserve(&b, &r, 1e12, 1), 0));
    assert_true(near(rate_wait(&b, &r, 1e12, 1), 0));
}

static void rates_as_they_are_written(void **state)
{
    static const struct {
        const char *option, *text, *same; /* NULL: it is none */
    } rows[] = {
        {"max-message-rate", "10", "10/s:10"},
        {"max-message-rate", "10/s", "10/s:10"},
        {"max-message-rate", "0.5", "0.5/s:1"},
        {"max-message-rate", "600/m", "600/m:10"},
        {"max-message-rate", "1/h", "1/h:1"},
        {"max-message-rate", "1/h:5", "1/h:5"},
        {"max-message-rate", "1/h:1.5", "1/h:1.5"},
        {"max-message-rate", "0", "0"},
        {"max-message-rate", "0/s", "0"},
        {"max-message-rate", "0:7", "0"},
        {"max-message-rate", "1000000000000/h:1", "1000000000000/h:1"},
        {"max-byte-rate", "64K", "65536/s:65536"},
        {"max-byte-rate", "64K/m:1.5MiB", "65536/m:1572864"},
        {"max-byte-rate", "1", "1/s:1"},
        {"max-message-rate", "", NULL},
        {"max-message-rate", "-1", NULL},
        {"max-message-rate", "many", NULL},
        {"max-message-rate", "10/x", NULL},
        {"max-message-rate", "10/", NULL},
        {"max-message-rate", "10/ s", NULL},
        {"max-message-rate", "/s", NULL},
        {"max-message-rate", "10/s:", NULL},
        {"max-message-rate", "10/s:0", NULL},
        {"max-message-rate", "10/s:0.5", NULL},
        {"max-message-rate", "10/s:x", NULL},
        {"max-message-rate", "10:5/s", NULL},
        {"max-message-rate", "10:5:2", NULL},
        {"max-message-rate", "64K", NULL},
        {"max-message-rate", "1e99", NULL},
        {"max-message-rate", "0x10", NULL},
        {"max-message-rate", "inf", NULL},
        {"max-message-rate", "10000000000000000000000000000000000000000", NULL},
        {"max-byte-rate", "64X", NULL},
        {"max-byte-rate", "64K/s:64X", NULL},
    };
    char error[OPTION_ERROR_MAX], text[OPTION_TEXT_MAX];
    struct arena arena = {0};
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct option_row *row = option_find(slice_from(rows[i].option));
        struct settings s, again;

        memset(&s, 0, sizeof s);
        memset(&again, 0, sizeof again);
        if (option_set(row, &s, rows[i].text, &arena, error) != (rows[i].same != NULL))
            fail_msg("%s", rows[i].text);
        if (rows[i].same == NULL)
            continue;
        assert_string_equal(option_format_number(row, &s, text), rows[i].same);
        assert_true(option_set(row, &again, rows[i].same, &arena, error));
        assert_string_equal(option_format_number(row, &again, text), rows[i].same);
    }
    arena_release(&arena);
}

/* ---- bans ---- */

static bool banned(const struct bans *b, const char *host)
{
    union addr a = {0};

    if (strcmp(host, "unix") == 0)
        a.sa.sa_family = AF_UNIX;
    else if (strcmp(host, "none") != 0)
        assert_true(addr_parse_host(slice_from(host), 7, &a));
    return bans_have(b, &a);
}

static bool network_banned(const struct bans *b, const char *text)
{
    struct cidr c;

    assert_null(cidr_parse(slice_from(text), &c));
    return bans_have_network(b, &c);
}

static void lists_of_bans(void **state)
{
    static const char text[] = "# a list\n"
                               "10.0.0.0/8\n"
                               "\t192.0.2.7  # somebody\r\n"
                               "10.1.0.0/16\n\n"
                               "10.0.0.0/8\n"
                               "192.0.2.9\n"
                               "2001:db8::/32#no blank\n"
                               "::1\n"
                               "255.255.255.255";
    static const char *const in[] = {
        "10.0.0.0",  "10.255.255.255",       "10.1.2.3", "192.0.2.7",
        "192.0.2.9", "2001:db8:ffff:ffff::", "::1",      "255.255.255.255"};
    static const char *const out[] = {
        "9.255.255.255", "11.0.0.0", "192.0.2.8", "0.0.0.0", "2001:db9::",      "::",
        "::2",           "ffff::",   "unix",      "none",    "255.255.255.254", "::a00:0"};
    char why[BANS_ERROR_MAX];
    struct bans *b = bans_parse(slice_from(text), why);
    (void)state;

    assert_non_null(b);
    assert_int_equal(bans_count(b), 8);
    for (size_t i = 0; i < COUNT(in); i++)
        assert_true(banned(b, in[i]));
    for (size_t i = 0; i < COUNT(out); i++)
        assert_false(banned(b, out[i]));
    assert_true(network_banned(b, "10.0.0.0/8"));
    assert_true(network_banned(b, "10.3.0.0/16"));
    assert_true(network_banned(b, "192.0.2.7"));
    assert_true(network_banned(b, "2001:db8:1::/48"));
    assert_false(network_banned(b, "10.0.0.0/7")); /* a part of it is */
    assert_false(network_banned(b, "192.0.2.6/31"));
    assert_false(network_banned(b, "0.0.0.0/0"));
    assert_false(network_banned(b, "::/0"));
    assert_false(network_banned(b, "unix"));
    assert_false(network_banned(NULL, "10.0.0.0/8"));
    bans_free(b);
}

static void everybody_and_nobody(void **state)
{
    static const struct {
        const char *text;
        bool v4, v6, local;
    } rows[] = {{"", false, false, false},
                {"\n\n#\n", false, false, false},
                {"0.0.0.0/0", true, false, false},
                {"::/0", false, true, false},
                {"unix", false, false, true}};
    char why[BANS_ERROR_MAX];
    (void)state;

    assert_false(banned(NULL, "1.2.3.4"));
    assert_int_equal(bans_count(NULL), 0);
    bans_free(NULL);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bans *b = bans_parse(slice_from(rows[i].text), why);

        assert_non_null(b);
        assert_int_equal(banned(b, "1.2.3.4"), rows[i].v4);
        assert_int_equal(banned(b, "2001::1"), rows[i].v6);
        assert_int_equal(banned(b, "unix"), rows[i].local);
        bans_free(b);
    }
}

static void bad_lines_are_named(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {{"x", "1: not an address"},
                {"\n\n10.0.0.0/33\n", "3: the prefix length"},
                {"10.0.0.1/8", "1: bits are set"},
                {"1.1.1.1\n1.1.1.1 2.2.2.2", "2: one address or network a line"},
                {"::ffff:1.2.3.4", "1: write it as IPv4"},
                {"fe80::1%1", "1: not an address"},
                {"1.1.1.1,2.2.2.2", "1: not an address"},
                {"unix/8", "1: not an address"}};
    char why[BANS_ERROR_MAX];
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_null(bans_parse(slice_from(rows[i].text), why));
        if (strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("%s: %s", rows[i].text, why);
    }
    assert_null(bans_parse(slice_of("1.2.3.4\0", 8), why));
}

static void networks_as_they_are_shown(void **state)
{
    static const char *const texts[] = {"10.0.0.0/8",    "1.2.3.4", "::/0",
                                        "2001:db8::/32", "::1",     "unix"};
    char text[CIDR_TEXT_MAX];
    struct cidr c;
    (void)state;

    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_null(cidr_parse(slice_from(texts[i]), &c));
        assert_string_equal(cidr_format(&c, text), texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_a_pace),
        cmocka_unit_test(a_slow_rate_right_after_boot),
        cmocka_unit_test(who_waits_does_so_in_order),
        cmocka_unit_test(more_than_the_burst_at_once),
        cmocka_unit_test(no_limit),
        cmocka_unit_test(rates_as_they_are_written),
        cmocka_unit_test(lists_of_bans),
        cmocka_unit_test(everybody_and_nobody),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(networks_as_they_are_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
