/* SPDX-License-Identifier: MIT */

/* Words that were meant for a shell, and the list that says the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/words.h"
#include "conf/habits.h"

static void test_lists(void **state)
{
    static const struct {
        const char *line;
        enum words_kind kind;
        const char *list;
    } cases[] = {
        {"cat", WORDS_PLAIN, "[\"cat\"]"},
        {"  cat   -u ", WORDS_PLAIN, "[\"cat\", \"-u\"]"},
        {"", WORDS_PLAIN, "[]"},
        {"sh -c 'echo hi'", WORDS_QUOTED, "[\"sh\", \"-c\", \"echo hi\"]"},
        {"a \"b c\"d", WORDS_QUOTED, "[\"a\", \"b cd\"]"},
        {"a b\\ c", WORDS_QUOTED, "[\"a\", \"b c\"]"},
        {"a '", WORDS_QUOTED, "[\"a\", \"\"]"},
        {"a 'b\"c'", WORDS_QUOTED, "[\"a\", \"b\\\"c\"]"},
        {"a\\", WORDS_PLAIN, "[\"a\\\\\"]"},
        {"a | b 'c'", WORDS_SHELL, "[\"sh\", \"-c\", \"a | b 'c'\"]"},
        {"a;b a>b", WORDS_PLAIN, "[\"a;b\", \"a>b\"]"},
    };
    char out[100];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(words_judge(cases[i].line), cases[i].kind);
        words_as_list(cases[i].line, out, sizeof out);
        assert_string_equal(out, cases[i].list);
    }
}

/* Whatever the room, what is written ends in it. */
static void test_little_room(void **state)
{
    char out[32];
    (void)state;

    for (size_t size = 4; size < sizeof out; size++) {
        memset(out, 'x', sizeof out);
        words_as_list("one 'two three' four \"five\"", out, size);
        assert_true(strlen(out) < size);
        assert_int_equal(out[size], 'x');
        assert_string_equal(out + strlen(out) - 3, "...");
    }
}

/* An advice is cut at its room, and what is too long to be a habit has none. */
static void test_advice_is_bounded(void **state)
{
    char out[HABIT_ADVICE_MAX], name[300], value[300];
    (void)state;

    memset(value, '9', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    assert_false(habits_find(HABIT_TARGET, value, out));
    for (size_t n = 1; n < sizeof value; n++) {
        snprintf(name, sizeof name, "%.*s", (int)n, value);
        (void)habits_find_option(slice_from("port"), name, out);
        assert_true(strlen(out) < sizeof out);
        if (habits_find(HABIT_TARGET, name, out))
            assert_true(strlen(out) < sizeof out);
        if (habits_find(HABIT_LISTEN, name, out))
            assert_true(strlen(out) < sizeof out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_little_room),
        cmocka_unit_test(test_advice_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
