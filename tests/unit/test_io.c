/* SPDX-License-Identifier: MIT */
/* io/io: what is told, whatever else happens in the same turn; stamps of 32 bits. io/paused: the
 * list of who is not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/io.h"
#include "io/paused.h"

#define PAUSED 200 /* more than the list begins with */

/* An io and what was told of it. */
struct told {
    struct io_pipes pipes;
    int data, eof, drained, broken, closed, err;
    int broken_at_eof; /* what was told when the end of reading came */
    int far;           /* when it has drained, this is closed and it is written to again; 0: no */
    size_t lost;
};

static struct told *of_io(struct io *io)
{
    return (struct told *)((char *)io - offsetof(struct told, pipes.io));
}

static void on_data(struct io *io, uint8_t *p, size_t n)
{
    (void)p;
    of_io(io)->data += (int)n;
}

static void on_eof(struct io *io)
{
    of_io(io)->eof++;
    of_io(io)->broken_at_eof = of_io(io)->broken;
}

static void on_drained(struct io *io)
{
    struct told *t = of_io(io);
    char got[1 << 16];

    t->drained++;
    if (t->far == 0)
        return;
    while (read(t->far, got, sizeof got) > 0)
        ; /* what is left unread would make a reset of it */
    close(t->far);
    assert_int_equal(io_write(io, "lost", 4), 4);
    assert_int_equal(t->broken, 0);
}

static void on_broken(struct io *io, int err, size_t lost)
{
    of_io(io)->broken++;
    of_io(io)->lost += lost;
    of_io(io)->err = err;
}

static void on_closed(struct io *io, int err)
{
    of_io(io)->closed++;
    of_io(io)->err = err;
}

static const struct io_events events = {on_data, on_eof, on_drained, on_broken, on_closed, NULL};

static void pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static int begin(void **state)
{
    struct worker *w = calloc(1, sizeof *w);

    signal(SIGPIPE, SIG_IGN);
    *state = w;
    return w != NULL ? worker_init(w) : -1;
}

static int end(void **state)
{
    worker_release(*state);
    free(*state);
    return 0;
}

static void a_failed_write_is_told_though_reading_stops(void **state)
{
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    int fds[2];

    pair(fds);
    io_open(io, w, &io_raw_socket, fds[0], &events);
    io_read_start(io);
    ev_run(w->loop, EVRUN_NOWAIT);
    assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
    assert_int_equal(io_write(io, "lost", 4), 4);
    assert_int_equal(t.broken, 0); /* not from inside the call */
    io_read_stop(io);              /* another event of the same turn */
    ev_run(w->loop, EVRUN_NOWAIT);
    assert_int_equal(t.broken, 1);
    assert_int_equal(t.err, EPIPE);
    assert_int_equal(t.lost, 0); /* it was said already */
    assert_true(io_finished(io));
    io_close(io);
    io_close(io);
    assert_int_equal(io_fd(io), -1);
    close(fds[1]);
}

/* It says it has no more to say and takes all; and goes away before it is sent the next: whoever
 * hears of its end knows by then that something did not arrive. */
static void a_failed_write_is_told_before_the_end_of_reading(void **state)
{
    static const char much[1 << 12];
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    char got[1 << 16];
    int fds[2];

    pair(fds);
    io_open(io, w, &io_raw_socket, fds[0], &events);
    while (io_queued(io) == 0)
        assert_int_equal(io_write(io, much, sizeof much), 0);
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    while (read(fds[1], got, sizeof got) > 0)
        ;
    t.far = fds[1];
    io_read_start(io);
    for (int turn = 0; turn < 3; turn++)
        ev_run(w->loop, EVRUN_NOWAIT);
    assert_int_equal(t.drained, 1);
    assert_int_equal(t.broken, 1);
    assert_int_equal(t.err, EPIPE);
    assert_int_equal(t.eof, 1);
    assert_int_equal(t.broken_at_eof, 1);
    io_close(io);
}

static void two_pipes_end_apart(void **state)
{
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    int out[2], in[2];
    char got[4];

    assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
    io_open_pipes(&t.pipes, w, &io_raw_pipe, out[0], in[1], &events);
    assert_int_equal(io_fd(io), out[0]);
    assert_int_equal(io_write_fd(io), in[1]);
    io_read_start(io);
    assert_int_equal(write(out[1], "abc", 3), 3);
    close(out[1]);
    while (t.eof == 0)
        ev_run(w->loop, EVRUN_ONCE);
    assert_int_equal(t.data, 3);
    assert_int_equal(io_fd(io), -1);
    assert_int_equal(io_write(io, "xyz", 3), 0);
    io_finish(io);
    assert_int_equal(io_write_fd(io), -1);
    assert_int_equal(read(in[0], got, sizeof got), 3);
    assert_int_equal(read(in[0], got, sizeof got), 0);
    assert_int_equal(io->sent, 3);
    io_close(io);
    close(in[0]);
}

/* Most programs take what they are sent: only for one that does not there is a second watcher. */
/* libev asks epoll through the C library: here epoll has no memory, or no watches left for our
 * user. */
static bool epoll_is_full;

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (epoll_is_full && op != EPOLL_CTL_DEL) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

/* Nothing would come of it any more, so its end is told, and not left to a timer. */
static void what_cannot_be_watched_ends(void **state)
{
    static const char much[1 << 22];
    struct worker *w = *state;

    for (int queued = 0; queued < 2; queued++) {
        struct told t = {0};
        struct io *io = &t.pipes.io;
        int fds[2];

        pair(fds);
        io_open(io, w, &io_raw_socket, fds[0], &events);
        if (queued)
            assert_int_equal(io_write(io, much, sizeof much), 0);
        io_read_start(io);
        epoll_is_full = true;
        for (int turn = 0; turn < 3 && t.closed == 0; turn++)
            ev_run(w->loop, EVRUN_NOWAIT);
        epoll_is_full = false;
        assert_int_equal(t.broken, 1);
        assert_int_equal(t.closed, 1);
        assert_int_equal(t.err, ENOMEM);
        assert_true(queued ? t.lost > 0 : t.lost == 0);
        assert_int_equal(io_queued(io), 0);
        io_close(io);
        close(fds[1]);
    }
}

static void a_full_pipe_is_watched_until_it_takes(void **state)
{
    static const char much[1 << 17];
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    char got[1 << 16];
    int out[2], in[2];

    assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
    io_open_pipes(&t.pipes, w, &io_raw_pipe, out[0], in[1], &events);
    assert_int_equal(io_write(io, much, 3), 0);
    assert_null(t.pipes.writer);
    assert_int_equal(io_write(io, much, sizeof much), 0);
    assert_non_null(t.pipes.writer);
    while (io_queued(io) > 0) {
        assert_true(read(in[0], got, sizeof got) > 0);
        ev_run(w->loop, EVRUN_NOWAIT);
    }
    assert_int_equal(t.drained, 1);
    while (read(in[0], got, sizeof got) > 0)
        ;
    close(in[0]);
    assert_int_equal(io_write(io, "lost", 4), 4);
    close(out[1]); /* the end of reading in the same turn */
    io_read_start(io);
    assert_int_equal(t.broken, 0);
    ev_run(w->loop, EVRUN_NOWAIT);
    while (t.eof == 0)
        ev_run(w->loop, EVRUN_ONCE);
    assert_int_equal(t.broken, 1);
    assert_int_equal(t.err, EPIPE);
    assert_int_equal(t.lost, 0); /* it was said already */
    assert_int_equal(io_write_fd(io), -1);
    io_close(io);
}

static void stamps_of_32_bits_tell_the_time(void **state)
{
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    const double now = w->now;
    int fds[2];

    pair(fds);
    w->now = 4294967.290; /* 2^32 ms and a little less: 49 days after the system's start */
    io_open(io, w, &io_raw_socket, fds[0], &events);
    w->now = 4294968.5;
    assert_int_equal(io_write(io, "x", 1), 0);
    w->now += 40.0 * 24 * 3600;
    assert_true(fabs(io_last_rx(io) - 4294967.290) < 0.0015);
    assert_true(fabs(io_last_tx(io) - 4294968.5) < 0.0015);
    assert_true(io_last_rx(io) >= 4294967.290 && io_last_tx(io) >= 4294968.5); /* never earlier */
    w->now = now;
    io_close(io);
    close(fds[1]);
}

/* What waits when the other side goes away is told with that. */
/* The two ends of a program are watched apart, so its output still comes when its input is lost. */
static void a_pipe_that_cannot_be_watched_leaves_the_other(void **state)
{
    static const char much[1 << 17];
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    int out[2], in[2];

    assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
    io_open_pipes(&t.pipes, w, &io_raw_pipe, out[0], in[1], &events);
    io_read_start(io);
    ev_run(w->loop, EVRUN_NOWAIT);
    assert_int_equal(io_write(io, much, sizeof much), 0);
    epoll_is_full = true;
    for (int turn = 0; turn < 3 && t.broken == 0; turn++)
        ev_run(w->loop, EVRUN_NOWAIT);
    epoll_is_full = false;
    assert_int_equal(t.broken, 1);
    assert_true(t.lost > 0);
    assert_int_equal(t.closed, 0);
    assert_int_equal(write(out[1], "abc", 3), 3);
    while (t.data == 0)
        ev_run(w->loop, EVRUN_ONCE);
    assert_int_equal(t.data, 3);
    io_close(io);
    close(out[1]);
    close(in[0]);
}

/* Two that nothing would come of any more, in one turn: both are told. */
static void a_failed_write_is_told_though_reading_cannot_be_watched(void **state)
{
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    int out[2], in[2];

    assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
    io_open_pipes(&t.pipes, w, &io_raw_pipe, out[0], in[1], &events);
    close(in[0]);
    assert_int_equal(io_write(io, "lost", 4), 4);
    io_read_start(io);
    epoll_is_full = true;
    for (int turn = 0; turn < 3; turn++)
        ev_run(w->loop, EVRUN_NOWAIT);
    epoll_is_full = false;
    assert_int_equal(t.broken, 1);
    assert_int_equal(t.closed, 1);
    assert_int_equal(t.lost, 0); /* it was said already */
    io_close(io);
    close(out[1]);
}

static void a_queue_that_is_lost_is_told(void **state)
{
    static const char much[1 << 17];
    struct worker *w = *state;
    struct told t = {0};
    struct io *io = &t.pipes.io;
    size_t waits;
    int out[2], in[2];

    assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
    io_open_pipes(&t.pipes, w, &io_raw_pipe, out[0], in[1], &events);
    assert_int_equal(io_write(io, much, sizeof much), 0);
    waits = io_queued(io);
    assert_true(waits > 0 && waits < sizeof much);
    io_finish(io);
    assert_int_equal(io_write(io, much, 5), 5); /* behind the end */
    close(in[0]);
    while (t.broken == 0)
        ev_run(w->loop, EVRUN_ONCE);
    assert_int_equal(t.err, EPIPE);
    assert_int_equal(t.lost, waits);
    assert_int_equal(io_queued(io), 0);
    io_close(io);
    close(out[1]);
}

static void check_list(const struct worker *w, struct told *all, uint32_t count)
{
    uint32_t listed = 0;

    assert_int_equal(w->paused_count, count);
    for (int i = 0; i < PAUSED; i++) {
        struct io *io = &all[i].pipes.io;

        if (io->paused == 0)
            continue;
        listed++;
        assert_ptr_equal(w->paused[io->paused - 1], io);
    }
    assert_int_equal(listed, count);
}

static void who_is_paused_and_leaves_is_noticed(void **state)
{
    struct worker *w = *state;
    struct told *all = calloc(PAUSED, sizeof *all);
    int far[PAUSED];

    assert_non_null(all);
    for (int i = 0; i < PAUSED; i++) {
        int fds[2];

        pair(fds);
        far[i] = fds[1];
        io_open(&all[i].pipes.io, w, &io_raw_socket, fds[0], &events);
        all[i].pipes.io.watch_hangup = true;
        io_read_start(&all[i].pipes.io);
        io_read_stop(&all[i].pipes.io);
    }
    check_list(w, all, PAUSED);
    for (int i = 0; i < PAUSED; i += 3)
        io_read_start(&all[i].pipes.io);
    for (int i = 1; i < PAUSED; i += 3)
        io_close(&all[i].pipes.io);
    check_list(w, all, PAUSED - (PAUSED + 2) / 3 - (PAUSED + 1) / 3);
    close(far[2]);
    close(far[PAUSED - 3]); /* 197: also one of them */
    while (all[2].closed + all[PAUSED - 3].closed < 2)
        ev_run(w->loop, EVRUN_ONCE);
    assert_int_equal(all[2].err, ECONNRESET);
    for (int i = 0; i < PAUSED; i++) {
        io_close(&all[i].pipes.io);
        if (i != 2 && i != PAUSED - 3)
            close(far[i]);
    }
    check_list(w, all, 0);
    while (w->paused != NULL) /* the next sweep frees it */
        ev_run(w->loop, EVRUN_ONCE);
    assert_int_equal(w->paused_max, 0);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failed_write_is_told_though_reading_stops, begin, end),
        cmocka_unit_test_setup_teardown(a_failed_write_is_told_before_the_end_of_reading, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_failed_write_is_told_though_reading_cannot_be_watched,
                                        begin, end),
        cmocka_unit_test_setup_teardown(two_pipes_end_apart, begin, end),
        cmocka_unit_test_setup_teardown(a_full_pipe_is_watched_until_it_takes, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_watched_ends, begin, end),
        cmocka_unit_test_setup_teardown(a_pipe_that_cannot_be_watched_leaves_the_other, begin, end),
        cmocka_unit_test_setup_teardown(a_queue_that_is_lost_is_told, begin, end),
        cmocka_unit_test_setup_teardown(stamps_of_32_bits_tell_the_time, begin, end),
        cmocka_unit_test_setup_teardown(who_is_paused_and_leaves_is_noticed, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
