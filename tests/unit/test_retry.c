/* SPDX-License-Identifier: MIT */
/* io/retry: who waits for a service that refuses, with real Unix sockets that listen when the test
 * wants it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/retry.h"
#include "patience.h"

#define PATIENCE 20.0 /* seconds until a test gives up waiting for a fact */
#define WAITERS 5

struct waiter {
    struct retry *retry;
    int connected, failed;
    enum connect_failure why;
    char what[256];
};

struct bench {
    struct worker w;
    ev_timer guard;
    char dir[64], path[2][80];
    int service[2]; /* bound, and refuse until they listen */
    struct waiter all[WAITERS];
};

static void on_connected(void *owner, int fd, const union addr *addr)
{
    (void)addr;
    close(fd);
    ((struct waiter *)owner)->connected++;
}

static void on_failed(void *owner, enum connect_failure why, const char *what)
{
    struct waiter *one = owner;

    one->failed++;
    one->why = why;
    (void)snprintf(one->what, sizeof one->what, "%s", what);
}

static const struct connect_events events = {on_connected, on_failed};

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->w.log = (struct log){.fd = -1, .level = LOG_ERROR};
    assert_int_equal(worker_init(&b->w), 0);
    patience_begin(&b->guard, PATIENCE);
    strcpy(b->dir, "/tmp/wsluice-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    for (int i = 0; i < 2; i++) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};

        (void)snprintf(b->path[i], sizeof b->path[i], "%s/%d", b->dir, i);
        memcpy(at.sun_path, b->path[i], strlen(b->path[i]));
        b->service[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(b->service[i], (struct sockaddr *)&at, sizeof at), 0);
    }
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;

    assert_true(LIST_EMPTY(&b->w.refusing)); /* nobody waits, nothing is kept */
    ev_run(b->w.loop, EVRUN_NOWAIT);         /* the end of a turn: memory goes */
    for (int i = 0; i < 2; i++) {
        close(b->service[i]);
        (void)unlink(b->path[i]);
    }
    (void)rmdir(b->dir);
    worker_release(&b->w);
    free(b);
    return 0;
}

static void start(struct bench *b, unsigned i, int service, double patience, double timeout)
{
    const struct connect_spec spec = {.unix_path = b->path[service], .timeout = timeout};

    b->all[i].retry = retry_start(&b->w, &spec, patience, &events, &b->all[i]);
    assert_non_null(b->all[i].retry);
}

static unsigned sum(const struct bench *b, bool failed)
{
    int n = 0;

    for (unsigned i = 0; i < WAITERS; i++)
        n += failed ? b->all[i].failed : b->all[i].connected;
    return (unsigned)n;
}

/* Lets some time go by, in which the service is asked again. */
static void wait_a_while(struct bench *b)
{
    const double until = b->w.now + 0.15;

    TURN_UNTIL(b, b->w.now >= until);
}

static bool somebody_waits(const struct bench *b)
{
    return !LIST_EMPTY(&b->w.refusing);
}

static void all_connect_once_it_listens(void **state)
{
    struct bench *b = *state;

    start(b, 0, 0, PATIENCE, PATIENCE);
    TURN_UNTIL(b, somebody_waits(b));
    for (unsigned i = 1; i < WAITERS; i++)
        start(b, i, 0, PATIENCE, PATIENCE);
    wait_a_while(b);
    assert_int_equal(sum(b, false) + sum(b, true), 0);
    assert_int_equal(listen(b->service[0], WAITERS), 0);
    TURN_UNTIL(b, sum(b, false) == WAITERS);
    for (unsigned i = 0; i < WAITERS; i++)
        assert_int_equal(b->all[i].connected, 1);
    assert_int_equal(sum(b, true), 0);
}

/* The one that asks has gone: another one asks in its place. */
static void who_asks_may_leave(void **state)
{
    struct bench *b = *state;

    start(b, 0, 0, PATIENCE, PATIENCE);
    TURN_UNTIL(b, somebody_waits(b));
    start(b, 1, 0, PATIENCE, PATIENCE);
    start(b, 2, 0, PATIENCE, PATIENCE);
    retry_cancel(b->all[0].retry);
    retry_cancel(b->all[2].retry);
    assert_int_equal(listen(b->service[0], WAITERS), 0);
    TURN_UNTIL(b, b->all[1].connected == 1);
    assert_int_equal(sum(b, false) + sum(b, true), 1); /* no event of those who left */
}

static void all_may_leave(void **state)
{
    struct bench *b = *state;

    start(b, 0, 0, PATIENCE, PATIENCE);
    TURN_UNTIL(b, somebody_waits(b));
    start(b, 1, 0, PATIENCE, PATIENCE);
    retry_cancel(b->all[1].retry);
    retry_cancel(b->all[0].retry);
    wait_a_while(b);
    assert_int_equal(sum(b, false) + sum(b, true), 0);
}

/* Each at the end of its own patience, and told what the service said last. */
static void patience_ends(void **state)
{
    struct bench *b = *state;

    start(b, 0, 0, 0.05, PATIENCE);
    TURN_UNTIL(b, somebody_waits(b));
    start(b, 1, 0, 0.3, PATIENCE);
    start(b, 2, 0, PATIENCE, 0.1); /* not longer than for all of it */
    TURN_UNTIL(b, sum(b, true) == 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(b->all[i].failed, 1);
        assert_int_equal(b->all[i].why, CONNECT_REFUSED);
        assert_non_null(strstr(b->all[i].what, "refused"));
    }
}

static void without_patience_one_refusal_is_the_end(void **state)
{
    struct bench *b = *state;

    start(b, 0, 0, 0, PATIENCE);
    TURN_UNTIL(b, sum(b, true) == 1);
    assert_int_equal(b->all[0].why, CONNECT_REFUSED);
}

/* Another service, which listens, is not waited for because this one refuses. */
static void services_are_told_apart(void **state)
{
    struct bench *b = *state;

    assert_int_equal(listen(b->service[1], WAITERS), 0);
    start(b, 0, 0, PATIENCE, PATIENCE);
    TURN_UNTIL(b, somebody_waits(b));
    start(b, 1, 1, PATIENCE, PATIENCE);
    TURN_UNTIL(b, b->all[1].connected == 1);
    assert_int_equal(sum(b, false) + sum(b, true), 1);
    retry_cancel(b->all[0].retry);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(all_connect_once_it_listens),
        TEST(who_asks_may_leave),
        TEST(all_may_leave),
        TEST(patience_ends),
        TEST(without_patience_one_refusal_is_the_end),
        TEST(services_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
