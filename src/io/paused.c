/* SPDX-License-Identifier: MIT */
#include "io/paused.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PAUSED_SWEEP 0.5 /* seconds */
#define PAUSED_BATCH 64
#define PAUSED_LEAST 64 /* places of the list, which doubles */

/* Only errors and hang-ups: EPOLLIN is absent on purpose, since unread data lies there. */
static void paused_arm(struct worker *w, struct io *io)
{
    struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = io};

    if (epoll_ctl(w->hangup_epoll, EPOLL_CTL_ADD, io_fd(io), &ev) == 0 || errno == EEXIST)
        io->hangup_armed = true;
    /* else no memory: the next sweep tries again */
}

static void paused_forget(struct worker *w)
{
    free(w->paused);
    w->paused = NULL;
    w->paused_count = w->paused_max = 0;
}

static void paused_on_sweep(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct worker *w = timer->data;
    (void)revents;

    for (uint32_t i = 0; i < w->paused_count; i++) {
        if (!w->paused[i]->hangup_armed)
            paused_arm(w, w->paused[i]);
    }
    if (w->paused_count > 0)
        return;
    ev_timer_stop(loop, timer);
    paused_forget(w);
}

static void paused_on_hangup(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct worker *w = watcher->data;
    struct epoll_event ev[PAUSED_BATCH];

    if (revents & EV_ERROR) /* epoll had no memory for it; it is needed for as long as we live */
        ev_io_start(loop, watcher);
    int n = epoll_wait(w->hangup_epoll, ev, PAUSED_BATCH, 0);
    for (int i = 0; i < n; i++) {
        struct io *io = ev[i].data.ptr;

        /* An earlier event of this batch may have closed it; its memory stays until the turn's end.
         */
        if (!io->is_open || !io->hangup_armed)
            continue;
        if (ev[i].events & (EPOLLERR | EPOLLHUP))
            io_report_hangup(io);
        /* A FIN alone is not the end: the data before it still counts. The user may be told, or
         * ask io_peer_finished. */
        else if (io->events->hung_up != NULL)
            io->events->hung_up(io);
    }
}

int paused_init(struct worker *w)
{
    w->paused = NULL;
    w->paused_count = w->paused_max = 0;
    w->hangup_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->hangup_epoll < 0)
        return -1;
    ev_io_init(&w->hangup_ready, paused_on_hangup, w->hangup_epoll, EV_READ);
    w->hangup_ready.data = w;
    ev_io_start(w->loop, &w->hangup_ready);
    ev_unref(w->loop);
    ev_timer_init(&w->paused_sweep, paused_on_sweep, PAUSED_SWEEP, PAUSED_SWEEP);
    w->paused_sweep.data = w;
    return 0;
}

void paused_release(struct worker *w)
{
    ev_timer_stop(w->loop, &w->paused_sweep);
    ev_ref(w->loop);
    ev_io_stop(w->loop, &w->hangup_ready);
    close(w->hangup_epoll);
    w->hangup_epoll = -1;
    paused_forget(w);
}

/* For one more. False without memory. */
static bool paused_make_place(struct worker *w)
{
    uint32_t max = w->paused_max > 0 ? 2 * w->paused_max : PAUSED_LEAST;
    struct io **more;

    if (w->paused_count < w->paused_max)
        return true;
    more = realloc(w->paused, max * sizeof(struct io *));
    if (more == NULL)
        return false;
    w->paused = more;
    w->paused_max = max;
    return true;
}

void paused_add(struct io *io)
{
    struct worker *w = io_worker(io);

    if (io->paused != 0 || io->hangup_armed)
        return;
    if (!paused_make_place(w)) {
        /* At once. If there is no memory for that either, the stall clock ends it. */
        paused_arm(w, io);
        return;
    }
    w->paused[w->paused_count++] = io;
    io->paused = w->paused_count;
    if (!ev_is_active(&w->paused_sweep))
        ev_timer_again(w->loop, &w->paused_sweep);
}

void paused_remove(struct io *io)
{
    struct worker *w = io_worker(io);

    if (io->hangup_armed) {
        io->hangup_armed = false;
        (void)epoll_ctl(w->hangup_epoll, EPOLL_CTL_DEL, io_fd(io), NULL);
    }
    if (io->paused == 0)
        return;
    struct io *last = w->paused[--w->paused_count];

    w->paused[io->paused - 1] = last;
    last->paused = io->paused;
    io->paused = 0;
}
