/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_TESTS_UNIT_PATIENCE_H
#define WSLUICE_TESTS_UNIT_PATIENCE_H

/*
 * A test waits for a fact by turning the loop, and fails when that takes too long: never because
 * the machine is slow, but because the fact will not come. For a struct with `struct worker w` and
 * `ev_timer guard`, which patience_begin prepares and each wait arms anew.
 */
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline void patience_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    fail_msg("waited %.0f s in vain", timer->repeat);
}

/* seconds: until the test gives up. */
static inline void patience_begin(ev_timer *guard, double seconds)
{
    ev_timer_init(guard, patience_over, 0., seconds);
}

/* Turns the loop until what is counted has come, or the guard fails the test. */
#define TURN_UNTIL(b, fact)                       \
    do {                                          \
        ev_timer_again((b)->w.loop, &(b)->guard); \
        while (!(fact))                           \
            ev_run((b)->w.loop, EVRUN_ONCE);      \
        ev_timer_stop((b)->w.loop, &(b)->guard);  \
    } while (0)

#endif
