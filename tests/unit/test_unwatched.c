/* SPDX-License-Identifier: MIT */
/* What becomes of a descriptor that epoll refuses (no memory, max_user_watches), for all that watch
 * one beside io/io, which test_io.c has: something happens, and no timer has to find it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/exec_stderr.h"
#include "io/accept.h"
#include "io/child/child.h"
#include "io/connect.h"

/* libev asks epoll through the C library. */
static bool epoll_is_full;

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (epoll_is_full && op != EPOLL_CTL_DEL) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

static struct worker worker;

static int begin(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    worker = (struct worker){0};
    log_init(&worker.log, LOG_ERROR, LOG_TEXT);
    return worker_init(&worker);
}

static int end(void **state)
{
    (void)state;
    epoll_is_full = false;
    worker_release(&worker);
    log_release(&worker.log);
    return 0;
}

static void turn(void)
{
    ev_run(worker.loop, EVRUN_NOWAIT);
}

static void on_accepted(struct listener *l, int fd, const union addr *client)
{
    (void)client;
    close(fd);
    ++*(int *)l->owner;
}

static void a_listener_pauses_and_goes_on(void **state)
{
    const struct listener_spec spec = {.text = "0"};
    char error[LISTENER_ERROR_MAX];
    int came = 0, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct listener *l = listener_open(&worker, &spec, on_accepted, &came, error);
    (void)state;

    assert_non_null(l);
    epoll_is_full = true;
    listener_start(l);
    turn();
    turn();
    assert_int_equal(worker.accept_pauses, 1);
    epoll_is_full = false;
    assert_int_equal(connect(fd, &l->addr.sa, addr_len(&l->addr)), 0);
    while (came == 0)
        ev_run(worker.loop, EVRUN_ONCE);
    assert_int_equal(worker.accept_pauses, 1);
    listener_close(l);
    close(fd);
}

struct race {
    int connected, failed;
    char what[256];
};

static void on_connected(void *owner, int fd, const union addr *addr)
{
    (void)addr;
    close(fd);
    ((struct race *)owner)->connected++;
}

static void on_failed(void *owner, enum connect_failure why, const char *what)
{
    struct race *r = owner;
    (void)why;

    r->failed++;
    snprintf(r->what, sizeof r->what, "%s", what);
}

static const struct connect_events race_events = {on_connected, on_failed};

/* An attempt may still be on its way: nothing has told that it is a connection. */
static void a_connection_fails(void **state)
{
    const struct connect_spec spec = {.host = "127.0.0.1", .port = 0, .timeout = 30};
    struct connect_spec to = spec;
    union addr addr = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof addr.v4;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct race r = {0};
    (void)state;

    assert_int_equal(bind(fd, &addr.sa, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &len), 0);
    to.port = addr_port(&addr);
    epoll_is_full = true;
    assert_non_null(connect_start(&worker, &to, &race_events, &r));
    while (r.failed == 0 && r.connected == 0)
        ev_run(worker.loop, EVRUN_ONCE);
    assert_int_equal(r.connected, 0);
    assert_non_null(strstr(r.what, strerror(ENOMEM)));
    close(fd);
}

static void on_exited(void *owner, int status)
{
    *(int *)owner = status;
}

static const struct child_events child_events = {on_exited};

static struct child *run(const char *script, int fds[3], int *status)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    static char *const envp[] = {NULL};
    const struct child_spec spec = {.path = "/bin/sh",
                                    .argv = (char *const *)(uintptr_t)argv,
                                    .envp = envp,
                                    .stop_grace = 1,
                                    .kill_grace = 1};
    enum child_failure why;
    struct child *c = child_start(&worker, &spec, fds, &why, &child_events, status);

    assert_non_null(c);
    return c;
}

static void close_all(int fds[3])
{
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

/* Else its end would go unnoticed. */
static void a_program_is_ended(void **state)
{
    int fds[3], status = -1;
    struct child *c;
    (void)state;

    epoll_is_full = true;
    c = run("exec sleep 1000", fds, &status);
    turn();
    turn();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(worker.out_of_memory, 1);
    child_release(c);
    close_all(fds);
}

/* It would stop when the pipe is full, with nobody who reads. */
static void who_writes_errors_learns_of_it(void **state)
{
    struct exec_stderr e = {0};
    int fds[3], status = -1;
    struct child *c;
    (void)state;

    c = run("read go; while echo error >&2; do :; done", fds, &status);
    turn();
    epoll_is_full = true;
    exec_stderr_init(&e);
    exec_stderr_open(&e, &worker, fds[2], 1, c->pid, NULL);
    turn();
    turn();
    epoll_is_full = false;
    assert_int_equal(write(fds[0], "\n", 1), 1);
    close(fds[0]);
    while (status == -1)
        ev_run(worker.loop, EVRUN_ONCE);
    exec_stderr_close(&e);
    child_release(c);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_listener_pauses_and_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(a_connection_fails, begin, end),
        cmocka_unit_test_setup_teardown(a_program_is_ended, begin, end),
        cmocka_unit_test_setup_teardown(who_writes_errors_learns_of_it, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
