/* SPDX-License-Identifier: MIT */
/* core/route: which patterns a capture may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/config.h"
#include "core/route.h"

static const char *judge(const char *pattern, char why[ROUTE_ERROR_MAX])
{
    struct config *c = config_new();
    struct route *r = config_add_route(c);
    char path[256];

    snprintf(path, sizeof path, "/{x:%s}", pattern);
    r->static_fd = -1;
    if (route_set_path(r, path, why))
        why[0] = '\0';
    config_release(c);
    return why;
}

/* Either of two numbers may be the large one; what is no number is glibc's to judge. */
static void counts_are_at_most_255(void **state)
{
    static const char *const good[] = {"a{255}", "a{1,255}", "a{0,}", "a{255,}", "[{300}]", "a{1}"};
    static const char *const bad[] = {"a{256}",
                                      "a{1,256}",
                                      "a{1,300}",
                                      "a{256,}",
                                      "a{300,1}",
                                      "[ab]{1,300}",
                                      "a{99999999999999999999}"};
    char why[ROUTE_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_string_equal(judge(good[i], why), "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(strstr(judge(bad[i], why), "a count is at most 255"));
}

/* What would take the anchors away, or let a short pattern grow without measure. */
static void what_no_pattern_has(void **state)
{
    static const struct {
        const char *pattern, *why;
    } rows[] = {
        {"", "empty"},
        {"a)|(b", "unmatched )"},
        {"(a)\\1", "back references"},
        {"(ab){2}", "a count stands only behind"},
        {"a{2}{2}", "a count stands only behind"},
        {"a+{2}", "a count stands only behind"},
        {"{2}", "a count stands only behind"},
    };
    char why[ROUTE_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_non_null(strstr(judge(rows[i].pattern, why), rows[i].why));
    assert_string_equal(judge("[)]\\)[(]", why), ""); /* these are themselves */
}

/* The longest pattern is 128 bytes. */
static void length_of_a_pattern(void **state)
{
    char pattern[130], why[ROUTE_ERROR_MAX];

    (void)state;
    for (size_t n = 127; n <= 129; n++) {
        memset(pattern, 'a', n);
        pattern[n] = '\0';
        assert_int_equal(judge(pattern, why)[0] == '\0', n <= 128);
    }
}

/* A pattern that begins with what programs take for an option wants one, or a choice that it may
 * be; what the operator did not write at its beginning no request may. */
static void what_a_pattern_begins_with(void **state)
{
    static const struct {
        const char *pattern;
        char option;
    } rows[] = {
        {"-[a-z]+", '-'},    {"\\+[a-z]+", '+'}, {"[+][a-z]+", '+'}, {"[-][a|b]", '-'},
        {"-(a|b)", '-'},     {"-\\|", '-'},      {"-a|b", '\0'},     {"-(a|b)|c", '\0'},
        {"[-a][a-z]", '\0'}, {"[a-z]+", '\0'},   {"(-a)", '\0'},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *c = config_new();
        struct route *r = config_add_route(c);
        char path[256], why[ROUTE_ERROR_MAX];

        (void)snprintf(path, sizeof path, "/{x:%s}", rows[i].pattern);
        r->static_fd = -1;
        assert_true(route_set_path(r, path, why));
        assert_int_equal(route_capture(r, 0)->option, rows[i].option);
        config_release(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_at_most_255),
        cmocka_unit_test(what_no_pattern_has),
        cmocka_unit_test(length_of_a_pattern),
        cmocka_unit_test(what_a_pattern_begins_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
