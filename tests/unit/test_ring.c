/* SPDX-License-Identifier: MIT */
/* core/session/ring: what is kept, what is pushed out, and that nothing gets mixed up on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/session/ring.h"

#define LIMIT 8192U

static uint64_t random_state = 88172645463325252ULL;

static unsigned pick(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % n;
}

/* Every message can be told from its number alone. */
static size_t length_of(uint64_t number)
{
    return number % 97 == 0 ? 3 * LIMIT / 2 : (number * 7919) % 300;
}

static void add(struct ring *r, uint64_t keep)
{
    uint64_t number = r->next;
    size_t n = length_of(number);
    uint8_t *p = ring_add(r, (uint8_t)(number % 2 + 1), (uint8_t)(number % 3), n, keep);

    assert_non_null(p);
    memset(p, (int)(number & 255), n);
    memset(p - RING_PLACE, 0xee, RING_PLACE);
}

static void check_all(const struct ring *r)
{
    uint64_t before = 0;

    for (uint64_t number = r->first; number < r->next; number++) {
        struct ring_message m = ring_get(r, number);

        assert_int_equal(m.len, length_of(number));
        assert_int_equal(m.opcode, number % 2 + 1);
        assert_int_equal(m.channel, number % 3);
        for (size_t i = 0; i < m.len; i++)
            assert_int_equal(m.payload[i], number & 255);
        if (number > r->first)
            assert_true(m.before - before >= RING_COST / 2 + length_of(number - 1));
        before = m.before;
    }
}

static void test_the_last_ones_are_there(void **state)
{
    struct ring r;

    (void)state;
    ring_init(&r, LIMIT);
    assert_int_equal(ring_memory(&r), 0);
    for (unsigned i = 0; i < 3000; i++) {
        add(&r, UINT64_MAX);
        check_all(&r);
        assert_int_equal(r.next, i + 2);
        assert_int_equal(r.dropped, r.first - 1);
        /* all that fits is kept; one that does not stays alone */
        if (ring_bytes_from(&r, r.first) > LIMIT)
            assert_int_equal(r.first, r.next - 1);
    }
    assert_true(ring_memory(&r) <= 4 * LIMIT);
    ring_release(&r);
    assert_int_equal(ring_memory(&r), 0);
}

/* Half of the limit at least is there of short messages. */
static void test_short_messages_fill_it(void **state)
{
    struct ring r;

    (void)state;
    ring_init(&r, LIMIT);
    for (unsigned i = 0; i < 5000; i++)
        memcpy(ring_add(&r, 1, 0, 1, UINT64_MAX), "x", 1);
    assert_true(r.next - r.first >= LIMIT / (RING_COST + 16) / 2);
    assert_true(ring_memory(&r) <= 2 * LIMIT);
    ring_release(&r);
}

static void test_what_is_to_be_kept_stays(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct ring r;
        uint64_t keep = 1;

        ring_init(&r, LIMIT);
        for (unsigned i = 0; i < 200; i++) {
            if (pick(3) == 0)
                keep += pick((unsigned)(r.next - keep) + 1);
            add(&r, keep);
            assert_true(r.first <= keep);
            check_all(&r);
        }
        add(&r, UINT64_MAX);
        check_all(&r);
        ring_release(&r);
    }
}

static void test_it_shrinks_again(void **state)
{
    struct ring r;

    (void)state;
    ring_init(&r, LIMIT);
    for (unsigned i = 0; i < 2000; i++)
        assert_non_null(ring_add(&r, 1, 0, 100, 1));
    assert_int_equal(r.first, 1);
    assert_true(ring_memory(&r) > 20 * LIMIT);
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(ring_add(&r, 1, 0, 100, UINT64_MAX));
    assert_true(ring_memory(&r) <= 2 * LIMIT + 2048 * 2 * sizeof(uint32_t));
    ring_release(&r);
}

/* Where all together have become too large, memory comes back at once, and nothing that is needed
 * goes. */
static void test_it_is_trimmed(void **state)
{
    struct ring r;
    size_t before;

    (void)state;
    ring_init(&r, 100 * LIMIT);
    for (unsigned i = 0; i < 2000; i++)
        add(&r, 1);
    before = ring_memory(&r);
    r.limit = LIMIT;
    ring_trim(&r, 1);
    assert_int_equal(r.first, 1);
    assert_true(ring_memory(&r) <= before);
    check_all(&r);
    ring_trim(&r, 1900);
    assert_int_equal(r.first, 1900);
    check_all(&r);
    for (unsigned i = 0; i < 8; i++)
        ring_trim(&r, r.next);
    assert_true(r.first < r.next);
    assert_true(r.index_size / 8 < r.next - r.first || r.index_size == 16);
    assert_true(ring_memory(&r) <= LIMIT + r.index_size * sizeof *r.index);
    check_all(&r);
    ring_release(&r);
}

static void test_bytes_from_a_number(void **state)
{
    struct ring r;
    uint64_t all;

    (void)state;
    ring_init(&r, LIMIT);
    assert_int_equal(ring_bytes_from(&r, 1), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_non_null(ring_add(&r, 1, 0, 10, UINT64_MAX));
    all = ring_bytes_from(&r, 1);
    assert_true(all >= 100);
    assert_int_equal(ring_bytes_from(&r, 6), all / 2);
    assert_int_equal(ring_bytes_from(&r, 11), 0);
    ring_release(&r);
    assert_int_equal(r.next, 11); /* numbers go on */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_ones_are_there),
        cmocka_unit_test(test_short_messages_fill_it),
        cmocka_unit_test(test_what_is_to_be_kept_stays),
        cmocka_unit_test(test_it_shrinks_again),
        cmocka_unit_test(test_it_is_trimmed),
        cmocka_unit_test(test_bytes_from_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
