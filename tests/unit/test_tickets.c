/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/tls/tickets.h"

#define HOUR TICKETS_LIFE

static bool has(struct tickets *t, const struct ticket_key *key, double now, bool *is_old)
{
    const struct ticket_key *found = tickets_find(t, key->name, now, is_old);

    assert_true(found == NULL || memcmp(found, key, sizeof *key) == 0);
    return found != NULL;
}

static void one_key_for_an_hour_then_another(void **state)
{
    struct tickets t = {0};
    struct ticket_key first = *tickets_newest(&t, 5);
    (void)state;

    assert_memory_equal(tickets_newest(&t, 5 + HOUR - 1), &first, sizeof first);
    assert_memory_not_equal(tickets_newest(&t, 5 + HOUR)->name, first.name, sizeof first.name);
    assert_memory_not_equal(t.keys[0].aes, first.aes, sizeof first.aes);
    assert_memory_not_equal(t.keys[0].hmac, first.hmac, sizeof first.hmac);
    tickets_release(&t);
}

static void two_old_ones_still_open(void **state)
{
    struct tickets t = {0};
    struct ticket_key first = *tickets_newest(&t, 0), second, third;
    bool is_old = true;
    (void)state;

    assert_true(has(&t, &first, 1, &is_old));
    assert_false(is_old);
    second = *tickets_newest(&t, HOUR);
    third = *tickets_newest(&t, 2 * HOUR);
    assert_true(has(&t, &first, 2 * HOUR, &is_old) && is_old);
    assert_true(has(&t, &second, 2 * HOUR, &is_old) && is_old);
    assert_true(has(&t, &third, 2 * HOUR, &is_old) && !is_old);
    (void)tickets_newest(&t, 3 * HOUR);
    assert_false(has(&t, &first, 3 * HOUR, &is_old));
    assert_true(has(&t, &second, 3 * HOUR, &is_old));
    assert_int_equal(t.count, TICKETS_KEYS);
    tickets_release(&t);
}

static void time_passes_also_when_nobody_comes(void **state)
{
    struct tickets t = {0};
    struct ticket_key first = *tickets_newest(&t, 0);
    bool is_old = false;
    (void)state;

    assert_true(has(&t, &first, 1.5 * HOUR, &is_old) && is_old);
    assert_true(has(&t, &first, 2.9 * HOUR, &is_old) && is_old);
    assert_false(has(&t, &first, 3 * HOUR, &is_old));
    assert_int_equal(t.count, 0);
}

/* No byte of a key that has gone is left. */
static void what_goes_is_overwritten(void **state)
{
    static const struct ticket_key zero;
    struct tickets t = {0};
    (void)state;

    for (int hour = 0; hour < 10; hour++)
        (void)tickets_newest(&t, hour * HOUR);
    tickets_expire(&t, 10.5 * HOUR);
    assert_int_equal(t.count, 2);
    assert_memory_equal(&t.keys[2], &zero, sizeof zero);
    tickets_expire(&t, 100 * HOUR);
    for (size_t i = 0; i < TICKETS_KEYS; i++)
        assert_memory_equal(&t.keys[i], &zero, sizeof zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_for_an_hour_then_another),
        cmocka_unit_test(two_old_ones_still_open),
        cmocka_unit_test(time_passes_also_when_nobody_comes),
        cmocka_unit_test(what_goes_is_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
