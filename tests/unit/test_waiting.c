/* SPDX-License-Identifier: MIT */
/* core/waiting: which of the connections that have asked for nothing go when there is no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/admission/waiting.h"
#include "core/core.h"

#define MANY 2000

/* A connection, which knows its own number. */
struct fake {
    struct front_conn conn;
    struct waiting_place place;
    union addr client;
    bool dropped;
};

struct bench {
    union {
        struct worker w;
        struct core core;
    };
    struct connections connections;
    struct fake all[MANY];
    size_t count;
};

/* The bench is found by the number that the address carries. */
static void drop(struct front_conn *c)
{
    struct fake *f = (struct fake *)c;
    struct bench *b =
        (struct bench *)((char *)(f - f->client.v6.sin6_scope_id) - offsetof(struct bench, all));

    assert_false(f->dropped);
    f->dropped = true;
    waiting_leave(b->core.waiting, &f->place);
}

static const struct front_ops ops = {"fake", NULL, drop, NULL};

static int open_bench(void **state)
{
    struct bench *b = test_calloc(1, sizeof *b);

    b->connections.front = &ops;
    b->core.connections = &b->connections;
    b->core.waiting = waiting_new();
    log_init(&b->w.log, LOG_ERROR, LOG_TEXT);
    *state = b;
    return b->core.waiting == NULL;
}

static int close_bench(void **state)
{
    struct bench *b = *state;

    for (size_t i = 0; i < b->count; i++)
        waiting_leave(b->core.waiting, &b->all[i].place); /* also those that have left */
    waiting_free(b->core.waiting);
    log_release(&b->w.log);
    test_free(b);
    return 0;
}

/* Its number. Of IPv6, so that there is a field to keep the number in. */
static size_t come(struct bench *b, const char *address)
{
    struct fake *f = &b->all[b->count];

    assert_true(addr_parse_host(slice_from(address), 1, &f->client));
    f->client.v6.sin6_scope_id = (uint32_t)b->count;
    waiting_enter(b->core.waiting, &f->place, &f->conn, &f->client);
    return b->count++;
}

static size_t dropped(const struct bench *b, size_t from, size_t to)
{
    size_t n = 0;

    for (size_t i = from; i < to; i++)
        n += b->all[i].dropped;
    return n;
}

static void nobody_is_there(void **state)
{
    struct bench *b = *state;

    assert_false(waiting_make_room(&b->w));
    assert_int_equal(waiting_shed(b->core.waiting), 0);
}

static void one_network_of_64_bits_is_one(void **state)
{
    struct bench *b = *state;
    char text[64];

    (void)come(b, "2001:db8:1::1");
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "2001:db8:2::%x", i);
        (void)come(b, text);
    }
    (void)come(b, "2001:db8:2:1::1"); /* another /64 */
    while (waiting_shed(b->core.waiting) < 99)
        assert_true(waiting_make_room(&b->w));
    assert_int_equal(dropped(b, 1, 100), 99);
    assert_false(b->all[0].dropped || b->all[100].dropped || b->all[101].dropped);
    assert_int_equal(waiting_shed(b->core.waiting), 99);
}

static void the_oldest_of_an_address_goes_first(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 300; i++) /* more than there are ranks */
        (void)come(b, "2001:db8::1");
    waiting_leave(b->core.waiting, &b->all[0].place); /* it asked for something */
    assert_true(waiting_make_room(&b->w));
    assert_int_equal(dropped(b, 1, 9), 8);
    assert_int_equal(dropped(b, 0, b->count), 8);
    waiting_enter(b->core.waiting, &b->all[0].place, &b->all[0].conn, &b->all[0].client);
    while (waiting_shed(b->core.waiting) < 299)
        assert_true(waiting_make_room(&b->w));
    assert_int_equal(dropped(b, 1, 300), 299);
    assert_false(b->all[0].dropped); /* it is the newest now */
}

static void those_with_one_each_lose_one_at_a_time(void **state)
{
    struct bench *b = *state;
    char text[64];

    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "2001:db8:%x::1", i);
        (void)come(b, text);
    }
    for (size_t i = 0; i < 20; i++) {
        assert_true(waiting_make_room(&b->w));
        assert_int_equal(dropped(b, 0, 20), i + 1);
        assert_true(b->all[i].dropped); /* who came first */
    }
    assert_false(waiting_make_room(&b->w));
}

static void two_crowds_shrink_together(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 100; i++) {
        (void)come(b, "2001:db8:1::1");
        (void)come(b, "2001:db8:2::1");
    }
    while (waiting_shed(b->core.waiting) < 100)
        assert_true(waiting_make_room(&b->w));
    size_t first = 0;

    for (size_t i = 0; i < 200; i += 2)
        first += b->all[i].dropped;
    assert_in_range(first, 48, 56);
}

static bool is_odd(void *arg, const union addr *client)
{
    *(size_t *)arg += 1;
    return client->v6.sin6_scope_id % 2 == 1;
}

static void who_is_gone_is_closed_in_pieces(void **state)
{
    struct bench *b = *state;
    size_t asked = 0;

    for (int i = 0; i < 100; i++)
        (void)come(b, i < 50 ? "2001:db8:1::1" : "2001:db8:2::1");
    assert_false(waiting_close(&b->w, is_odd, &asked, 30));
    assert_int_equal(dropped(b, 0, 100), 30);
    assert_true(waiting_close(&b->w, is_odd, &asked, 30));
    assert_int_equal(dropped(b, 0, 100), 50);
    assert_true(asked >= 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(b->all[i].dropped, i % 2);
    assert_int_equal(waiting_shed(b->core.waiting), 0);
}

int main(void)
{
#define IN_BENCH(test_) cmocka_unit_test_setup_teardown(test_, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        IN_BENCH(nobody_is_there),
        IN_BENCH(one_network_of_64_bits_is_one),
        IN_BENCH(the_oldest_of_an_address_goes_first),
        IN_BENCH(those_with_one_each_lose_one_at_a_time),
        IN_BENCH(two_crowds_shrink_together),
        IN_BENCH(who_is_gone_is_closed_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
