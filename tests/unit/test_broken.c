/* SPDX-License-Identifier: MIT */
/* backend/service and backend/program: what the client has sent cannot be kept for want of memory.
 * The session is ended and does not go on with a piece missing, on a connection that looks well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/program.h"

#define HUGE (((size_t)1 << 30) + ((size_t)64 << 20)) /* more than a queue can ever hold */

struct told {
    int opened, ended, how;
};

static void on_opened(void *owner)
{
    ((struct told *)owner)->opened++;
}

static void on_failed(void *owner, int status, const char *why)
{
    (void)owner;
    (void)status;
    fail_msg("%s", why);
}

static void on_data(void *owner, uint8_t *p, size_t n)
{
    (void)owner;
    (void)p;
    (void)n;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_ended(void *owner, const struct backend_end *end)
{
    struct told *t = owner;

    t->ended++;
    t->how = (int)end->how;
}

static const struct backend_events events = {.opened = on_opened,
                                             .failed = on_failed,
                                             .data = on_data,
                                             .eof = on_nothing,
                                             .drained = on_nothing,
                                             .ended = on_ended};

static int begin(void **state)
{
    struct worker *w = calloc(1, sizeof *w);

    signal(SIGPIPE, SIG_IGN);
    *state = w;
    return w != NULL ? worker_init(w) : -1;
}

static int end(void **state)
{
    struct worker *w = *state;

    child_kill_all(w, 5);
    worker_release(w);
    free(w);
    return 0;
}

/* Zeroes that cost nothing. */
static void write_too_much(struct worker *w, struct backend *b, struct told *t)
{
    void *p = mmap(NULL, HUGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    while (t->opened == 0)
        ev_run(w->loop, EVRUN_NOWAIT);
    b->ops->write(b, p, HUGE);
    assert_int_equal(t->ended, 0); /* not from inside the call */
    ev_run(w->loop, EVRUN_NOWAIT);
    assert_int_equal(t->ended, 1);
    assert_int_equal(t->how, BACKEND_BROKE);
    assert_true(b->ops->lost(b) > HUGE / 2);
    b->ops->close(b);
    munmap(p, HUGE);
}

static void a_service_that_cannot_be_told_all(void **state)
{
    char folder[] = "/tmp/wsluice-test-XXXXXX";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct route route = {.path = "/", .backend = &backend_unix};
    struct told t = {0};
    const struct backend_open o = {
        .worker = *state, .route = &route, .events = &events, .owner = &t};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_non_null(mkdtemp(folder));
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/service", folder);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    route.target.unix_path = at.sun_path;
    route.settings.connect_timeout = 5;
    write_too_much(*state, backend_unix.open(&o), &t);
    (void)close(listener);
    (void)unlink(at.sun_path);
    (void)rmdir(folder);
}

static void a_program_that_cannot_be_told_all(void **state)
{
    const char *argv[] = {"sleep", "60", NULL};
    char *vars[] = {NULL};
    struct route route = {.path = "/", .backend = &backend_exec};
    struct told t = {0};
    const struct backend_open o = {
        .worker = *state, .route = &route, .events = &events, .owner = &t};
    const struct program_start start = {.env = {.vars = vars}, .argv = (char **)(uintptr_t)argv};
    struct program *p = program_new(sizeof *p, &backend_exec, &o);

    assert_non_null(p);
    route.target.program = "/bin/sleep";
    route.settings.stderr_mode = STDERR_DISCARD;
    program_run(p, &start, 1, CHILD_ON_PIPES, &(struct terminal_size){80, 24});
    assert_non_null(p->child);
    program_soon(p);
    write_too_much(*state, &p->base, &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_service_that_cannot_be_told_all, begin, end),
        cmocka_unit_test_setup_teardown(a_program_that_cannot_be_told_all, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
