/* SPDX-License-Identifier: MIT */
/* backend/service: how connections to services end, with a real worker and sockets on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/service.h"
#include "core/config.h"
#include "io/worker.h"
#include "patience.h"

#define PATIENCE 60.0 /* seconds until a test gives up waiting for a fact */
#define LONG 1000.0   /* seconds: for what must not be waited for */

struct bench {
    struct worker w;
    struct config *config;
    struct route *route;
    struct http_head head;
    struct request request;
    struct backend *backend;
    int listener, peer; /* the service's ends */
    ev_timer guard;
    int opened, eof, drained, ended;
    size_t got;
    struct backend_end end;
    char why[128];
};

static void on_opened(void *owner)
{
    ((struct bench *)owner)->opened++;
}

static void on_failed(void *owner, int status, const char *why)
{
    (void)owner;
    fail_msg("%d %s", status, why);
}

static void on_data(void *owner, uint8_t *p, size_t n)
{
    struct bench *b = owner;

    (void)p;
    assert_int_equal(b->eof + b->ended, 0);
    b->got += n;
}

static void on_eof(void *owner)
{
    struct bench *b = owner;

    assert_int_equal(b->ended, 0);
    b->eof++;
}

static void on_drained(void *owner)
{
    struct bench *b = owner;

    assert_int_equal(b->ended, 0);
    b->drained++;
}

static void on_ended(void *owner, const struct backend_end *end)
{
    struct bench *b = owner;

    b->ended++;
    b->end = *end;
    (void)snprintf(b->why, sizeof b->why, "%s", end->why != NULL ? end->why : "");
}

static const struct backend_events events = {
    .opened = on_opened,
    .failed = on_failed,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .ended = on_ended,
};

/* A service that listens, and a connection to it. */
static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct backend_open o = {.events = &events, .owner = b, .unique = ""};

    assert_non_null(b);
    (void)signal(SIGPIPE, SIG_IGN);
    b->w.log = (struct log){.fd = -1, .level = LOG_ERROR};
    assert_int_equal(worker_init(&b->w), 0);
    patience_begin(&b->guard, PATIENCE);
    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(b->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(b->listener, 1), 0);
    assert_int_equal(getsockname(b->listener, (struct sockaddr *)&at, &len), 0);
    b->config = config_new();
    assert_non_null(b->config);
    b->route = config_add_route(b->config);
    assert_non_null(b->route);
    b->route->path = "/";
    b->route->static_fd = -1;
    b->route->backend = &backend_tcp;
    b->route->target.host = "127.0.0.1";
    b->route->target.port = ntohs(at.sin_port);
    b->route->settings =
        (struct settings){.connect_timeout = PATIENCE, .stop_grace = LONG, .stall_timeout = LONG};
    b->request.head = &b->head;
    o.worker = &b->w;
    o.route = b->route;
    o.request = &b->request;
    b->backend = backend_tcp.open(&o);
    assert_non_null(b->backend);
    TURN_UNTIL(b, b->opened > 0);
    b->peer = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(b->peer >= 0);
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;

    if (b->peer >= 0)
        close(b->peer);
    close(b->listener);
    b->backend->ops->close(b->backend);
    ev_run(b->w.loop, EVRUN_NOWAIT); /* the end of a turn: memory goes */
    config_release(b->config);
    worker_release(&b->w);
    free(b);
    return 0;
}

static void write_to_it(struct bench *b, const char *text)
{
    b->backend->ops->write(b->backend, text, strlen(text));
}

/* The service's socket goes with a reset. */
static void reset_peer(struct bench *b)
{
    const struct linger at_once = {.l_onoff = 1};

    assert_int_equal(setsockopt(b->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(b->peer);
    b->peer = -1;
}

/* Until our end of the connection has heard of it; the loop does not turn. */
static void wait_for(struct bench *b, short what)
{
    struct pollfd fd = {.fd = ((struct service *)b->backend)->io.watcher.fd, .events = what};

    assert_int_equal(poll(&fd, 1, (int)(PATIENCE * 1000)), 1);
}

/* It says it has no more to say, is written to all the same, and resets: that was no fault of its
 * own. */
static void what_is_written_behind_a_fin_is_no_fault(void **state)
{
    struct bench *b = *state;

    assert_int_equal(send(b->peer, "bye", 3, 0), 3);
    close(b->peer);
    b->peer = -1;
    wait_for(b, POLLIN);
    write_to_it(b, "is answered by a reset");
    wait_for(b, POLLHUP);
    write_to_it(b, "EPIPE"); /* of the reset the first write would have heard otherwise */
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->end.how, BACKEND_CLEAN);
    assert_int_equal(b->eof, 1);
    assert_int_equal(b->got, 3);
    assert_int_equal(b->backend->ops->lost(b->backend), 5);
}

/* The write has heard of the reset, so reading finds a plain end in the same turn: it is told as
 * what it is. */
static void a_failed_write_and_the_end_of_reading_are_a_reset(void **state)
{
    struct bench *b = *state;

    reset_peer(b);
    wait_for(b, POLLHUP);
    write_to_it(b, "lost");
    assert_int_equal(b->ended, 0); /* not from inside the call */
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->end.how, BACKEND_BROKE);
    assert_string_equal(b->why, strerror(ECONNRESET));
    assert_int_equal(b->eof, 0); /* nothing that looks like a Close 1000 */
    assert_int_equal(b->backend->ops->lost(b->backend), 4);
}

static void a_reset_is_told(void **state)
{
    struct bench *b = *state;

    reset_peer(b);
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->end.how, BACKEND_BROKE);
    assert_string_equal(b->why, strerror(ECONNRESET));
}

/* Once it was told to stop, how it goes is no fault. */
static void a_reset_of_a_stopped_one_is_none(void **state)
{
    struct bench *b = *state;

    b->backend->ops->finish(b->backend);
    b->backend->ops->stop(b->backend);
    reset_peer(b);
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->end.how, BACKEND_CLEAN);
}

/* Whichever side ends last, stop-grace is for nobody then. */
static void who_has_ended_has_no_grace(void **state)
{
    struct bench *b = *state;

    assert_int_equal(shutdown(b->peer, SHUT_WR), 0);
    TURN_UNTIL(b, b->eof > 0);
    assert_int_equal(b->ended, 0); /* it may still take what the client sends */
    b->backend->ops->finish(b->backend);
    b->backend->ops->stop(b->backend);
    assert_int_equal(b->ended, 0); /* from the loop, */
    ev_run(b->w.loop, EVRUN_NOWAIT);
    ev_run(b->w.loop, EVRUN_NOWAIT);
    assert_int_equal(b->ended, 1); /* which waits for nothing */
    assert_int_equal(b->end.how, BACKEND_CLEAN);
}

/* It was stopped, says the rest, and ends its side: nothing more is waited for. */
static void who_ends_in_its_grace_is_not_waited_for(void **state)
{
    struct bench *b = *state;

    b->backend->ops->finish(b->backend);
    b->backend->ops->stop(b->backend);
    ev_run(b->w.loop, EVRUN_NOWAIT);
    assert_int_equal(b->ended, 0);
    assert_int_equal(send(b->peer, "rest", 4, 0), 4);
    assert_int_equal(shutdown(b->peer, SHUT_WR), 0);
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->got, 4);
    assert_int_equal(b->eof, 1);
    assert_int_equal(b->end.how, BACKEND_CLEAN);
}

static void without_grace_it_ends_at_once(void **state)
{
    struct bench *b = *state;

    b->route->settings.stop_grace = 0;
    b->backend->ops->finish(b->backend);
    b->backend->ops->stop(b->backend);
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->end.how, BACKEND_CLEAN);
    assert_int_equal(b->eof, 0);
}

/* A grace that is over, of a service that does nothing. */
static void the_grace_comes_to_its_end(void **state)
{
    struct bench *b = *state;

    b->route->settings.stop_grace = 0.05;
    b->backend->ops->finish(b->backend);
    b->backend->ops->stop(b->backend);
    ev_run(b->w.loop, EVRUN_NOWAIT);
    assert_int_equal(b->ended, 0);
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->end.how, BACKEND_CLEAN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_behind_a_fin_is_no_fault),
        TEST(a_failed_write_and_the_end_of_reading_are_a_reset),
        TEST(a_reset_is_told),
        TEST(a_reset_of_a_stopped_one_is_none),
        TEST(who_has_ended_has_no_grace),
        TEST(who_ends_in_its_grace_is_not_waited_for),
        TEST(without_grace_it_ends_at_once),
        TEST(the_grace_comes_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
