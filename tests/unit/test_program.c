/* SPDX-License-Identifier: MIT */
/* backend/program: the last output of programs on pipes and terminals, when the client is slow and
 * when others hold the output open. Real programs; the wait of a second is ended by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backends.h"
#include "backend/program.h"
#include "core/config.h"
#include "patience.h"

#define PATIENCE 20.0 /* seconds until a test gives up waiting for a fact */
#define MANY 30000    /* bytes that a program writes before its last word, */
#define FEW 3000      /* and so many fit into a terminal while nobody reads */

struct bench {
    struct worker w;
    struct config *config;
    struct route *route;
    struct http_head head;
    struct request request;
    struct backend *backend;
    char *argv[4], path[2];
    ev_timer guard;
    bool slow; /* each piece of output holds the backend back */
    int opened, eof, ended;
    size_t got;
    char last[5]; /* bytes */
    struct backend_end end;
};

static void on_opened(void *owner)
{
    struct bench *b = owner;

    b->opened++;
    b->backend->ops->pause(b->backend, true); /* before anything was read */
}

static void on_failed(void *owner, int status, const char *why)
{
    (void)owner;
    fail_msg("%d %s", status, why);
}

static void on_data(void *owner, uint8_t *p, size_t n)
{
    struct bench *b = owner;

    assert_int_equal(b->eof + b->ended, 0);
    b->got += n;
    if (n >= 4)
        memcpy(b->last, p + n - 4, 4);
    if (b->slow)
        b->backend->ops->pause(b->backend, true);
}

static void on_eof(void *owner)
{
    ((struct bench *)owner)->eof++;
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_ended(void *owner, const struct backend_end *end)
{
    struct bench *b = owner;

    b->ended++;
    b->end = *end;
}

static const struct backend_events events = {
    .opened = on_opened,
    .failed = on_failed,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .ended = on_ended,
};

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->w.log = (struct log){.fd = -1, .level = LOG_ERROR};
    assert_int_equal(worker_init(&b->w), 0);
    patience_begin(&b->guard, PATIENCE);
    b->config = config_new();
    assert_non_null(b->config);
    b->route = config_add_route(b->config);
    assert_non_null(b->route);
    b->argv[0] = strdup("/bin/sh");
    b->argv[1] = strdup("-c");
    b->route->path = "/";
    b->route->static_fd = -1;
    b->route->target.argv = b->argv;
    b->route->target.program = "/bin/sh";
    b->route->settings = (struct settings){.stop_grace = 0.05, .kill_grace = 0.05};
    strcpy(b->path, "/");
    b->head.method = slice_from("GET");
    b->request = (struct request){.head = &b->head, .path = b->path, .match.route = b->route};
    assert_true(addr_parse_host(slice_from("127.0.0.1"), 1, &b->request.client));
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;

    b->backend->ops->close(b->backend);
    child_kill_all(&b->w, 5);
    ev_run(b->w.loop, EVRUN_NOWAIT); /* the end of a turn: memory goes */
    for (int i = 0; i < 3; i++)
        free(b->argv[i]);
    b->route->target.argv = NULL;
    config_release(b->config);
    worker_release(&b->w);
    free(b);
    return 0;
}

static struct program *the_program(struct bench *b)
{
    return program_of(b->backend);
}

/* The script, as a program that writes nothing to us yet: its client is slow from the start. */
static void run_script(struct bench *b, const struct backend_ops *kind, const char *script)
{
    const struct backend_open o = {.worker = &b->w,
                                   .route = b->route,
                                   .request = &b->request,
                                   .unique = "",
                                   .events = &events,
                                   .owner = b};

    b->slow = true;
    b->argv[2] = strdup(script);
    b->route->backend = kind;
    b->backend = kind->open(&o);
    assert_non_null(b->backend);
    ev_run(b->w.loop, EVRUN_NOWAIT);
    assert_int_equal(b->opened, 1);
}

/* The second that a program's output may outlive it is over. */
static void end_the_wait(struct bench *b)
{
    if (the_program(b)->edge == NULL || !the_program(b)->exited)
        return;
    ev_timer_stop(b->w.loop, &the_program(b)->edge->later);
    ev_invoke(b->w.loop, &the_program(b)->edge->later, EV_TIMER);
}

/* A client that takes what comes of one read, and lets seconds go by. */
static void read_slowly(struct bench *b)
{
    size_t before;

    while (b->eof == 0) {
        before = b->got;
        for (int i = 0; i < 3; i++)
            end_the_wait(b);
        if (b->eof > 0)
            break;
        b->backend->ops->pause(b->backend, false);
        TURN_UNTIL(b, b->got > before || b->eof > 0);
    }
}

static void expect_all(struct bench *b, size_t bytes, int status)
{
    assert_int_equal(b->got, bytes + 4);
    assert_string_equal(b->last, "last");
    TURN_UNTIL(b, b->ended > 0);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->eof, 1);
    assert_int_equal(b->end.how, BACKEND_EXITED);
    assert_int_equal(b->end.number, status);
}

#define WRITE_MANY "printf %030000dlast 0; "
#define WRITE_FEW "printf %03000dlast 0; "

static void a_slow_client_gets_all_of_a_pipe(void **state)
{
    struct bench *b = *state;

    run_script(b, &backend_exec, WRITE_MANY "exit 3");
    TURN_UNTIL(b, the_program(b)->exited);
    read_slowly(b);
    expect_all(b, MANY, 3);
}

static void a_slow_client_gets_all_of_a_terminal(void **state)
{
    struct bench *b = *state;

    run_script(b, &backend_pty, "stty -opost; " WRITE_MANY "exit 3");
    read_slowly(b);
    expect_all(b, MANY, 3);
}

/* It has ended before anything of it was read. */
static void what_lies_in_a_terminal_is_owed(void **state)
{
    struct bench *b = *state;

    run_script(b, &backend_pty, "stty -opost; " WRITE_FEW "exit 3");
    TURN_UNTIL(b, the_program(b)->exited);
    read_slowly(b);
    expect_all(b, FEW, 3);
}

/* Some child of its holds the output of one that has ended. However long the client takes nothing,
 * what the program wrote is owed to it; and nothing that comes behind. */
static void what_was_written_is_owed_though_others_hold_the_output(void **state)
{
    struct bench *b = *state;

    run_script(b, &backend_exec, "sleep 1000 & " WRITE_MANY "exit 4");
    TURN_UNTIL(b, the_program(b)->exited);
    for (int i = 0; i < 100; i++)
        end_the_wait(b);
    assert_int_equal(b->got + (size_t)b->eof, 0);
    b->backend->ops->pause(b->backend, false);
    TURN_UNTIL(b, b->got > 0);
    assert_int_equal(b->eof, 0);
    end_the_wait(b);
    expect_all(b, MANY, 4);
}

/* Of a terminal, too: it has no end while a child of the program's is at it. */
static void a_terminal_that_others_hold_ends_with_what_was_written(void **state)
{
    struct bench *b = *state;

    run_script(b, &backend_pty, "stty -opost; trap '' HUP; sleep 1000 & " WRITE_MANY "exit 5");
    read_slowly(b);
    expect_all(b, MANY, 5);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_slow_client_gets_all_of_a_pipe),
        TEST(a_slow_client_gets_all_of_a_terminal),
        TEST(what_lies_in_a_terminal_is_owed),
        TEST(what_was_written_is_owed_though_others_hold_the_output),
        TEST(a_terminal_that_others_hold_ends_with_what_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
