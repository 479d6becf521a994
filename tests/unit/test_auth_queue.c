/* SPDX-License-Identifier: MIT */
/* Places for what judges: who gets them, who has to go, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/auth/auth_queue.h"

#define RUNNING 4
#define WAITING 16

struct job {
    struct auth_place place;
    int runs, refused;
    bool is_in;
};

struct bench {
    struct worker w;
    struct auth_queue *q;
};

static int bench_open(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    log_init(&b->w.log, LOG_ERROR, LOG_TEXT);
    assert_int_equal(worker_init(&b->w), 0);
    b->q = auth_queue_new(&b->w, RUNNING, WAITING);
    assert_non_null(b->q);
    *state = b;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *b = *state;

    auth_queue_free(b->q);
    worker_release(&b->w);
    log_release(&b->w.log);
    free(b);
    return 0;
}

static void on_run(struct auth_place *p)
{
    ((struct job *)p)->runs++;
}

static void on_refused(struct auth_place *p)
{
    ((struct job *)p)->refused++;
}

static bool enter(struct bench *b, struct job *j, const char *address)
{
    union addr a;

    assert_true(addr_parse_host(slice_from(address), 1, &a));
    *j = (struct job){.is_in = true};
    j->is_in = auth_queue_enter(b->q, &j->place, &a, on_run, on_refused);
    return j->is_in;
}

static void leave(struct job *j)
{
    if (j->is_in)
        auth_queue_leave(&j->place);
    j->is_in = false;
}

static void leave_all(struct job *jobs, size_t n)
{
    for (size_t i = n; i-- > 0;) /* those that wait first */
        leave(&jobs[i]);
}

/* Ends one running job; which of the waiting ones took its place, as an index. */
static size_t next_of(struct job *jobs, size_t n)
{
    bool before[64];
    size_t found = n;

    for (size_t i = 0; i < n; i++)
        before[i] = jobs[i].runs > 0;
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].runs > 0 && jobs[i].is_in) {
            leave(&jobs[i]);
            break;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].runs > 0 && !before[i])
            found = i;
    }
    return found;
}

static void one_address_alone_has_all(void **state)
{
    struct bench *b = *state;
    struct job jobs[RUNNING + WAITING + 1];
    size_t n = RUNNING + WAITING;

    for (size_t i = 0; i < n; i++)
        assert_true(enter(b, &jobs[i], "192.0.2.1"));
    assert_false(enter(b, &jobs[n], "192.0.2.1"));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(jobs[i].runs, i < RUNNING);
    for (size_t i = RUNNING; i < n; i++) /* in the order in which they came */
        assert_int_equal(next_of(jobs, n), i);
    leave_all(jobs, n);
}

/* However many wait from few addresses, whoever comes from elsewhere is next. */
static void a_newcomer_is_next(void **state)
{
    static const char *const crowd[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1"};
    struct bench *b = *state;
    struct job jobs[RUNNING + WAITING + 1];
    size_t n = RUNNING + WAITING;

    for (size_t i = 0; i < n; i++)
        assert_true(enter(b, &jobs[i], crowd[i % 3]));
    assert_true(enter(b, &jobs[n], "198.51.100.1")); /* in the waiting place of one of them */
    assert_int_equal(next_of(jobs, n + 1), n);
    ev_run(b->w.loop, EVRUN_NOWAIT);
    int refused = 0;
    for (size_t i = 0; i <= n; i++)
        refused += jobs[i].refused;
    assert_int_equal(refused, 1);
    leave_all(jobs, n + 1);
}

/* Who has been served is behind those who have not, also when it has asked long before. */
static void addresses_take_turns(void **state)
{
    struct bench *b = *state;
    struct job jobs[RUNNING + 9];
    size_t n = RUNNING, order[9];

    for (size_t i = 0; i < RUNNING; i++) {
        char text[32];

        snprintf(text, sizeof text, "10.0.0.%zu", i);
        assert_true(enter(b, &jobs[i], text));
    }
    for (int i = 0; i < 6; i++)
        assert_true(enter(b, &jobs[n++], "192.0.2.1"));
    for (int i = 0; i < 3; i++)
        assert_true(enter(b, &jobs[n++], "192.0.2.2"));
    for (size_t i = 0; i < 9; i++)
        order[i] = next_of(jobs, n);
    for (size_t i = 0; i < 4; i++) /* as long as nobody has more running than the other */
        assert_true((order[i] >= RUNNING + 6) == (i % 2 == 1));
    for (size_t i = 0; i < 9; i++) /* nobody is forgotten */
        assert_true(order[i] < n);
    leave_all(jobs, n);
}

/* A /48 has the share of one address, whatever it is cut into; likewise a /56 in it. */
static void networks_of_one_owner_are_one(void **state)
{
    struct bench *b = *state;
    struct job jobs[RUNNING + WAITING + 2];
    size_t n = 0;

    for (size_t i = 0; i < RUNNING + WAITING; i++) { /* a /64 each, of 4 different /56 */
        char text[64];

        snprintf(text, sizeof text, "2001:db8:0:%zx::1", i % 4 << 8 | i);
        assert_true(enter(b, &jobs[n++], text));
    }
    assert_true(enter(b, &jobs[n++], "2001:db8:1::1"));
    assert_true(enter(b, &jobs[n++], "192.0.2.1"));
    assert_int_equal(next_of(jobs, n), n - 2);
    assert_int_equal(next_of(jobs, n), n - 1);
    leave_all(jobs, n);
}

/* n networks that want more than there is have an nth each. */
static void waiting_places_are_shared(void **state)
{
    struct bench *b = *state;
    struct job jobs[RUNNING + 4 * WAITING];
    size_t n = 0, in[4] = {0};

    for (size_t i = 0; i < RUNNING; i++)
        assert_true(enter(b, &jobs[n++], "203.0.113.1"));
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < WAITING; i++) {
            char text[32];

            snprintf(text, sizeof text, "192.0.2.%zu", k);
            (void)enter(b, &jobs[n++], text);
        }
    }
    ev_run(b->w.loop, EVRUN_NOWAIT);
    for (size_t i = RUNNING; i < n; i++) {
        in[(i - RUNNING) / WAITING] += jobs[i].is_in && jobs[i].refused == 0;
    }
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(in[k], WAITING / 4);
    leave_all(jobs, n);
}

/* Among the waiting, the running and the refused. */
static void leaving_in_any_state(void **state)
{
    struct bench *b = *state;
    struct job jobs[RUNNING + WAITING + 1];
    size_t n = RUNNING + WAITING;

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < n; i++)
            assert_true(enter(b, &jobs[i], "192.0.2.1"));
        assert_true(enter(b, &jobs[n], "192.0.2.2"));
        for (size_t i = 0; i <= n; i++)
            leave(&jobs[(i * 8 + (size_t)round) % (n + 1)]);
        ev_run(b->w.loop, EVRUN_NOWAIT);
        for (size_t i = 0; i <= n; i++)
            assert_int_equal(jobs[i].refused, 0); /* nobody who has left is told */
    }
}

static void nobody_waits_for_ever(void **state)
{
    struct bench *b = *state;
    struct job jobs[RUNNING + 1];

    for (size_t i = 0; i <= RUNNING; i++)
        assert_true(enter(b, &jobs[i], "192.0.2.1"));
    for (size_t i = 0; i < RUNNING; i++) /* how long a job takes is its own affair */
        assert_false(ev_is_active(&jobs[i].place.timer));
    assert_true(ev_is_active(&jobs[RUNNING].place.timer));
    assert_true(ev_timer_remaining(b->w.loop, &jobs[RUNNING].place.timer) <= AUTH_QUEUE_WAIT + 1);
    ev_invoke(b->w.loop, &jobs[RUNNING].place.timer, EV_TIMER);
    assert_int_equal(jobs[RUNNING].refused, 1);
    leave(&jobs[RUNNING]);
    assert_int_equal(jobs[RUNNING].runs, 0);
    leave_all(jobs, RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_address_alone_has_all, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(a_newcomer_is_next, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(addresses_take_turns, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(networks_of_one_owner_are_one, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(waiting_places_are_shared, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(leaving_in_any_state, bench_open, bench_close),
        cmocka_unit_test_setup_teardown(nobody_waits_for_ever, bench_open, bench_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
