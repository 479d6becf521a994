/* SPDX-License-Identifier: MIT */
#include "io/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/memory.h"
#include "io/paused.h"

/* What a turn's worth of new connections takes; and what the loop's arrays, which double, may take
 * for each that there is: an element of each array, twice over. */
#define MEMORY_FOR_SOME (128U * 1024U)
#define MEMORY_EACH 160U

static void worker_log_ready(struct ev_loop *loop, ev_io *io, int revents)
{
    struct worker *w = io->data;
    (void)revents;

    if (!log_flush(&w->log))
        ev_io_stop(loop, io);
}

/* Lines that standard error did not take wait for it, at no cost while there are none. */
static void worker_tend_log(struct worker *w)
{
    double due;

    if (!log_is_busy(&w->log))
        return;
    if (w->log.target == LOG_TO_STDERR && w->log.len > 0 && !ev_is_active(&w->log_ready) &&
        log_flush(&w->log))
        ev_io_start(w->loop, &w->log_ready);
    due = ev_is_active(&w->log_again) ? -1 : log_due(&w->log);
    if (due >= 0) {
        ev_timer_set(&w->log_again, due, 0);
        ev_timer_start(w->loop, &w->log_again);
    }
}

static void worker_log_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct worker *w = timer->data;
    (void)loop;
    (void)revents;

    (void)log_flush(&w->log); /* the end of the turn sees to what is left */
}

bool worker_is_shortage(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

bool worker_make_room(struct worker *w, int err)
{
    return worker_is_shortage(err) && w->make_room != NULL && w->make_room(w);
}

void worker_no_memory(struct worker *w, const char *what)
{
    w->out_of_memory++;
    /* the log sums up what is told again and again */
    log_line(&w->log, LOG_WARN, "out of memory", LOG_C("for", what));
}

bool worker_has_memory(const struct worker *w)
{
    return memory_is_there(MEMORY_FOR_SOME + (size_t)w->highest_fd * MEMORY_EACH);
}

static void *worker_allocate(void *p, long size)
{
    return memory_from_reserve(p, (size_t)size);
}

int worker_socket(struct worker *w, int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 && worker_make_room(w, errno))
        fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd;
}

double worker_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double worker_time(const struct worker *w)
{
    return worker_clock() - w->standstill.total;
}

static void worker_begin_turn(struct ev_loop *loop, ev_check *check, int revents)
{
    struct worker *w = check->data;
    (void)revents;

    w->clock = worker_clock();
    w->now = w->clock - w->standstill.total;
    w->standstill.events = ev_pending_count(loop);
    w->handshakes = 0;
}

/*
 * How long the turn was, for those that matter. The coarse clock costs next to nothing and moves
 * with the kernel's tick: when it has not passed the turn's start, less than a tick has gone by.
 */
static void worker_time_turn(struct worker *w)
{
    struct timespec ts;
    double coarse, seconds;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    coarse = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
    if (coarse > w->clock) {
        seconds = worker_clock() - w->clock;
        if (seconds > w->longest_turn)
            w->longest_turn = seconds;
    }
    standstill_turn_over(w, coarse > w->clock ? coarse : w->clock);
}

/* The end of a turn: no function of ours is on the stack, so closed objects can go. */
static void worker_end_turn(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    struct worker *w = prepare->data;
    (void)loop;
    (void)revents;

    while (w->reaped != NULL) {
        struct reap *r = w->reaped;

        w->reaped = r->next;
        r->release(r);
    }
    worker_tend_log(w);
    worker_time_turn(w);
}

/* Now, when hardly any descriptor is open yet. */
static void worker_open_low_fds(struct worker *w)
{
    for (int i = 0; i < 3; i++)
        w->low_fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* libev makes a pipe when the first signal is watched; without descriptors it would end the
 * process there. */
static int worker_try_pipe(void)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void worker_close_low_fds(struct worker *w)
{
    for (int i = 0; i < 3; i++)
        if (w->low_fds[i] >= 0)
            (void)close(w->low_fds[i]);
}

int worker_init(struct worker *w)
{
    int err;

    w->client_fds = descriptors_of_clients();
    w->rx = malloc(WORKER_HEADROOM + WORKER_RX_SIZE + WORKER_TAILROOM);
    w->tx = malloc(WORKER_TX_SIZE);
    if (w->rx == NULL || w->tx == NULL)
        goto no_memory;
    ev_set_allocator(worker_allocate);
    errno = ENOMEM; /* where libev leaves none */
    w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (w->loop == NULL)
        goto failed;
    worker_open_low_fds(w);
    if (worker_try_pipe() < 0 || paused_init(w) < 0)
        goto failed_with_loop;

    ev_prepare_init(&w->prepare, worker_end_turn);
    w->prepare.data = w;
    ev_prepare_start(w->loop, &w->prepare);
    ev_unref(w->loop);
    w->now = w->clock = worker_clock();
    standstill_init(w);
    ev_check_init(&w->check, worker_begin_turn);
    ev_set_priority(&w->check, EV_MAXPRI);
    w->check.data = w;
    ev_check_start(w->loop, &w->check);
    ev_unref(w->loop);
    ev_io_init(&w->log_ready, worker_log_ready, w->log.fd, EV_WRITE);
    w->log_ready.data = w;
    ev_init(&w->log_again, worker_log_due);
    w->log_again.data = w;
    return 0;

failed_with_loop:
    err = errno;
    worker_close_low_fds(w);
    ev_loop_destroy(w->loop);
    w->loop = NULL;
    errno = err;
    goto failed;
no_memory:
    errno = ENOMEM;
failed:
    free(w->tx);
    free(w->rx);
    return -1;
}

void worker_release(struct worker *w)
{
    worker_end_turn(w->loop, &w->prepare, 0);
    ev_io_stop(w->loop, &w->log_ready);
    ev_timer_stop(w->loop, &w->log_again);
    paused_release(w);
    standstill_release(w);
    worker_close_low_fds(w);
    ev_ref(w->loop);
    ev_check_stop(w->loop, &w->check);
    ev_ref(w->loop);
    ev_prepare_stop(w->loop, &w->prepare);
    ev_loop_destroy(w->loop);
    free(w->datagrams);
    free(w->tx);
    free(w->rx);
    w->datagrams = NULL;
    w->loop = NULL;
}

void worker_run(struct worker *w)
{
    ev_run(w->loop, 0);
}

void worker_reap(struct worker *w, struct reap *r)
{
    r->next = w->reaped;
    w->reaped = r;
}
