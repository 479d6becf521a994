/* SPDX-License-Identifier: MIT */
#include "server/signals.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "io/child/child.h"

static void ignore(const struct signals *s, int number, pid_t sender)
{
    char name[16] = "SIG";

    strncat(name, sigabbrev_np(number), sizeof name - 4);
    log_line(&s->worker->log, LOG_WARN,
             "a signal of a program of ours is ignored; for an order from there: wsluice ctl",
             LOG_C("signal", name), LOG_I("pid", sender));
}

static void signals_take(struct signals *s, const struct signalfd_siginfo *info)
{
    const struct signals_row *row = s->rows;
    pid_t sender = info->ssi_code != SI_KERNEL ? (pid_t)info->ssi_pid : 0;

    while (row->number != 0 && row->number != (int)info->ssi_signo)
        row++;
    if (row->number == 0)
        return;
    rlim_t reserve = descriptors_open_reserve();
    bool below = row->not_from_programs && child_is_below(s->worker, sender);
    descriptors_close_reserve(reserve);
    if (below)
        ignore(s, row->number, sender);
    else
        row->order(s->owner);
}

static void signals_on_readable(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct signals *s = watcher->data;
    struct signalfd_siginfo info;

    if (revents & EV_ERROR) /* epoll had no memory for it; what would we be without */
        ev_io_start(loop, watcher);
    if (read(watcher->fd, &info, sizeof info) == sizeof info)
        signals_take(
            s, &info); /* may be the end of the loop; what else came is told in the next turn */
}

int signals_open(struct signals *s, struct worker *w, const struct signals_row *rows, void *owner)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    for (const struct signals_row *row = rows; row->number != 0; row++)
        sigaddset(&set, row->number);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        return -1;
    *s = (struct signals){.worker = w, .rows = rows, .owner = owner};
    ev_io_init(&s->readable, signals_on_readable, fd, EV_READ);
    s->readable.data = s;
    ev_set_priority(&s->readable, EV_MAXPRI);
    ev_io_start(w->loop, &s->readable);
    ev_unref(w->loop);
    return 0;
}

void signals_close(struct signals *s)
{
    if (s->worker == NULL)
        return;
    ev_ref(s->worker->loop);
    ev_io_stop(s->worker->loop, &s->readable);
    close(s->readable.fd);
    s->worker = NULL;
}
