/* SPDX-License-Identifier: MIT */
/* proto/tty: sizes that clients say, right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/tty.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* From memory of exactly this size, for ASan. */
static const char *read_size(const char *text, size_t n, struct tty_size *size)
{
    char *copy = malloc(n > 0 ? n : 1);

    memcpy(copy, text, n);
    const char *wrong = tty_read_size(slice_of(copy, n), size);
    free(copy);
    return wrong;
}

static void sizes_are_read(void **state)
{
    static const struct {
        const char *json;
        unsigned columns, rows;
    } cases[] = {
        {"{\"AuthToken\":\"\",\"columns\":80,\"rows\":24}", 80, 24},
        {"{\"rows\":1,\"columns\":4096}", 4096, 1},
        {" { \"columns\" : 132 } ", 132, 0},
        {"{}", 0, 0},
        {"{\"columns\":0,\"rows\":null}", 0, 0},
        {"{\"columns\":80,\"rows\":24,\"more\":{\"rows\":[1,2]}}", 80, 24},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tty_size size = {7, 7};

        assert_null(read_size(cases[i].json, strlen(cases[i].json), &size));
        assert_int_equal(size.columns, cases[i].columns);
        assert_int_equal(size.rows, cases[i].rows);
    }
}

static void what_is_no_size_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "{",
        "[80,24]",
        "80",
        "{\"columns\":80,\"rows\":24",
        "{\"columns\":80,\"rows\":24}}",
        "{\"columns\":-1,\"rows\":24}",
        "{\"columns\":80,\"rows\":4097}",
        "{\"columns\":80.5,\"rows\":24}",
        "{\"columns\":\"80\",\"rows\":24}",
        "{\"columns\":99999999999999999999,\"rows\":24}",
        "{\"columns\":true,\"rows\":24}",
        "{\"columns\":80,\"rows\":24,\"x\":\"\xff\"}",
    };
    struct tty_size size;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_non_null(read_size(cases[i], strlen(cases[i]), &size));
}

/* As deep as an order can be: the parser has a limit of its own. */
static void depth_is_no_danger(void **state)
{
    char deep[TTY_ORDER_MAX];
    struct tty_size size;
    (void)state;

    memset(deep, '[', sizeof deep);
    assert_non_null(read_size(deep, sizeof deep, &size));
    for (size_t i = 0; i + 5 <= sizeof deep; i += 5)
        memcpy(deep + i, "{\"a\":", 5);
    assert_non_null(read_size(deep, sizeof deep, &size));
}

static void objects_are_told_from_the_rest(void **state)
{
    (void)state;

    assert_true(tty_is_object(slice_from("{\"fontSize\": 16}")));
    assert_false(tty_is_object(slice_from("{fontSize: 16}")));
    assert_false(tty_is_object(slice_from("[]")));
    assert_false(tty_is_object(slice_from("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(depth_is_no_danger),
        cmocka_unit_test(objects_are_told_from_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
