/* SPDX-License-Identifier: MIT */
#include "io/child/child.h"

#include <errno.h>
#include <linux/capability.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/child/cgroup.h"
#include "io/child/child_attr.h"
#include "io/child/child_impl.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2) /* Linux 6.9 */
#endif

/* How long a group may take to vanish after SIGKILL before we stop looking, and how soon we look
 * first; seconds. */
#define GONE_WAIT 1.0
#define FIRST_LOOK 0.005F
#define SWEEP_WAIT 5.0  /* likewise, all of a control group */
#define LAST_LOOK 0.25F /* and how often at last */

/* Status of a leader that somebody else reaped, which only happens when SIGCHLD is ignored: as if
 * it had exited with 255. */
#define UNWATCHED_WAIT 1.0 /* seconds that a killed leader may take, when only waiting tells */
#define STATUS_UNKNOWN (255 << 8)

static struct worker *child_worker_of(const struct child *c)
{
    return c->ended.data;
}

/* ---- the group */

/*
 * To every process of the group. 0, or -1 with errno; ESRCH means that the group is gone. While the
 * leader is not reaped its number cannot be anybody else's. Later the pidfd keeps the old group's
 * identity; kernels that cannot signal a group by pidfd leave the number, which another group could
 * have by then only if ours ended and all numbers went round within kill_grace.
 */
static int signal_own_group(const struct child *c, int sig)
{
    if (c->is_reaped) {
        if (syscall(SYS_pidfd_send_signal, c->ended.fd, sig, NULL, PIDFD_SIGNAL_PROCESS_GROUP) == 0)
            return 0;
        if (errno != EINVAL && errno != ENOSYS)
            return -1;
    }
    return kill(-c->pid, sig);
}

static int signal_both_groups(const struct child *c, int sig)
{
    int own = signal_own_group(c, sig), saved = errno;

    if (c->foreground != 0 && kill(-c->foreground, sig) == 0)
        return 0;
    errno = saved;
    return own;
}

/* Signals the group, and what is in the foreground of its terminal. A group of another user hears
 * us only with the capability in effect. */
static int signal_group(const struct child *c, int sig)
{
    uint64_t caps = child_worker_of(c)->caps;
    bool raise = c->other_user && caps != 0;
    int rc, saved;

    if (raise)
        (void)child_caps_set(caps, caps & UINT64_C(1) << CAP_KILL, 0);
    rc = signal_both_groups(c, sig);
    saved = errno;
    if (raise)
        (void)child_caps_set(caps, 0, 0);
    errno = saved;
    return rc;
}

static bool group_is_gone(const struct child *c)
{
    /* Where we are process 1, or a subreaper, orphans of the group have become children of ours. */
    while (waitpid(-c->pid, NULL, WNOHANG) > 0 ||
           (c->foreground != 0 && waitpid(-c->foreground, NULL, WNOHANG) > 0)) {
    }
    return signal_group(c, 0) != 0 && errno == ESRCH;
}

static void free_child(struct reap *r)
{
    free((char *)r - offsetof(struct child, reap));
}

uint64_t child_ran_out(const struct child *c)
{
    return c->in_cgroup ? cgroup_ran_out(child_worker_of(c)->cgroups, *child_cgroup(c)) : 0;
}

static void enlist(struct child **list, struct child *c)
{
    c->next = *list;
    c->prev = list;
    if (c->next)
        c->next->prev = &c->next;
    *list = c;
}

static void delist(struct child *c)
{
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
}

/* The end: nothing of it is left to watch. */
static void child_gone(struct child *c)
{
    struct worker *w = child_worker_of(c);

    ev_io_stop(w->loop, &c->ended);
    (void)close(c->ended.fd); /* never fails for a pidfd */
    delist(c);
    if (!w->stopping)
        ev_timer_stop(w->loop, &w->ladder);
    c->reap.release = free_child;
    worker_reap(w, &c->reap);
}

/* ---- the ladder: one timer for all that are on it, so that those who run need none */

static void on_ladder(struct ev_loop *loop, ev_timer *timer, int revents);

/* The timer goes off at that time, or before. */
static void wake_ladder(struct worker *w, double due)
{
    double left = due - worker_time(w);

    if (due == HUGE_VAL || (ev_is_active(&w->ladder) && w->ladder_due <= due))
        return;
    ev_timer_stop(w->loop, &w->ladder);
    ev_timer_init(&w->ladder, on_ladder, left > 0 ? left : 0, 0.);
    ev_timer_start(w->loop, &w->ladder);
    w->ladder.data = w;
    w->ladder_due = due;
}

static void go_on_at(struct child *c, double due)
{
    struct worker *w = child_worker_of(c);

    c->due = due;
    if (!c->on_ladder) {
        delist(c);
        enlist(&w->stopping, c);
        c->on_ladder = true;
    }
    wake_ladder(w, due);
}

/* SIGTERM, and SIGCONT so that a stopped process hears it. False when nobody is left to hear it. */
static bool terminate(struct child *c)
{
    c->rung = CHILD_TERMINATED;
    if (signal_group(c, SIGTERM) == 0)
        (void)signal_group(c, SIGCONT); /* the one before succeeded, or it ended since */
    else if (errno == ESRCH && c->is_reaped)
        return false;
    c->until = worker_time(child_worker_of(c)) + c->kill_grace;
    go_on_at(c, c->until);
    return true;
}

void child_signal(struct child *c, int number)
{
    if (!c->is_reaped)
        (void)signal_group(c, number);
}

void child_kill(struct child *c)
{
    c->rung = CHILD_KILLED;
    c->until = worker_time(child_worker_of(c)) + GONE_WAIT;
    c->step = FIRST_LOOK;
    c->due = HUGE_VAL; /* the leader's end is told, and then the group is followed */
    if (signal_group(c, SIGKILL) != 0 && errno != ESRCH)
        log_line(&child_worker_of(c)->log, LOG_ERROR, "cannot end a program", LOG_I("pid", c->pid),
                 LOG_C("reason", strerror(errno)));
    if (c->in_cgroup)
        cgroup_kill(child_worker_of(c)->cgroups, *child_cgroup(c));
}

/* Nothing is left in its control group, which is removed. Zombies do not count there. */
static bool child_is_empty(const struct child *c)
{
    return c->in_cgroup && cgroup_remove(child_worker_of(c)->cgroups, *child_cgroup(c));
}

/* The process group is gone, or was killed long ago; its control group is ended with all that is
 * left in it. True when that is done, or has taken too long: the next start tries again. */
static bool child_swept(struct child *c)
{
    struct worker *w = child_worker_of(c);
    double now = worker_time(w);

    if (!c->in_cgroup || child_is_empty(c))
        return true;
    if (c->rung != CHILD_SWEPT) {
        cgroup_kill(w->cgroups, *child_cgroup(c));
        c->rung = CHILD_SWEPT;
        c->until = now + SWEEP_WAIT;
        c->step = FIRST_LOOK;
    }
    if (c->until > now)
        return false;
    log_line(&w->log, LOG_ERROR, "cannot end all that a program has started", LOG_I("pid", c->pid));
    return true;
}

/*
 * The leader is reaped and the owner gone: what remains are grandchildren. The kernel does not tell
 * when a group is empty, so we look now and then, less and less often. A zombie that its own parent
 * leaves lying counts as life: the graces bound that.
 */
static void follow_group(struct child *c)
{
    double now = worker_time(child_worker_of(c)), next;
    bool over = child_is_empty(c) || group_is_gone(c) || c->rung == CHILD_SWEPT ||
                (c->rung == CHILD_KILLED && c->until <= now);

    if (over && child_swept(c)) {
        child_gone(c);
        return;
    }
    next = now + c->step;
    c->step = c->step * 2 < LAST_LOOK ? c->step * 2 : LAST_LOOK;
    go_on_at(c, next < c->until ? next : c->until);
}

static void leave_group(struct child *c)
{
    if (c->rung < CHILD_TERMINATED && !terminate(c) && child_swept(c)) {
        child_gone(c); /* as it is with most programs: one system call finds it out */
        return;
    }
    c->step = FIRST_LOOK;
    follow_group(c);
}

static void go_on(struct child *c)
{
    c->due = HUGE_VAL;
    if (c->rung == CHILD_STOPPING)
        (void)terminate(c);
    else if (c->rung == CHILD_TERMINATED && c->until <= worker_time(child_worker_of(c)))
        child_kill(c);
    if (c->is_reaped && !c->events)
        follow_group(c);
}

/* Each may leave the list, and takes nobody along. */
static void on_ladder(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct worker *w = timer->data;
    double now = worker_time(w), first = HUGE_VAL;
    struct child *next;
    (void)loop;
    (void)revents;

    for (struct child *c = w->stopping; c; c = next) {
        next = c->next;
        if (c->due <= now)
            go_on(c);
        else if (c->due < first)
            first = c->due;
    }
    wake_ladder(w, first);
}

void child_hang_up(struct child *c, int master)
{
    pid_t group = terminal_hang_up(master);

    c->foreground = group != c->pid ? group : 0;
}

void child_stop(struct child *c)
{
    if (c->rung != CHILD_RUNNING)
        return;
    c->rung = CHILD_STOPPING;
    go_on_at(c, worker_time(child_worker_of(c)) + c->stop_grace);
}

double child_stop_grace(const struct child *c)
{
    return c->rung == CHILD_STOPPING && !c->is_reaped ? (double)c->stop_grace : 0;
}

void child_stop_later(struct child *c)
{
    if (child_stop_grace(c) > 0)
        go_on_at(c, worker_time(child_worker_of(c)) + c->stop_grace);
}

void child_release(struct child *c)
{
    c->events = NULL;
    c->owner = NULL;
    if (c->is_reaped)
        leave_group(c);
    else
        child_stop(c);
}

/* ---- the leader's end */

/* True when the leader has ended, now or before. */
static bool reap_leader(struct child *c)
{
    pid_t pid;

    if (c->is_reaped)
        return true;
    do
        pid = waitpid(c->pid, &c->status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid == 0)
        return false;
    if (pid < 0)
        c->status = STATUS_UNKNOWN;
    c->is_reaped = true;
    ev_io_stop(child_worker_of(c)->loop, &c->ended);
    return true;
}

/* Waits for one leader, not beyond `until`. */
static void wait_leader(struct child *c, double until)
{
    while (!reap_leader(c)) {
        struct pollfd pfd = {.fd = c->ended.fd, .events = POLLIN};
        double left = until - worker_clock();

        if (left <= 0)
            return;
        /* reap_leader sees what happened */
        (void)poll(&pfd, 1, left < 3600 ? (int)(left * 1000) + 1 : 3600000);
    }
}

static void child_on_ended(struct ev_loop *loop, ev_io *io, int revents)
{
    struct child *c = (struct child *)((char *)io - offsetof(struct child, ended));
    (void)loop;

    if ((revents & EV_ERROR) && !reap_leader(c)) { /* epoll refused it: we would not learn of it */
        worker_no_memory(child_worker_of(c), "watching a program");
        child_kill(c);
        wait_leader(c, worker_clock() + UNWATCHED_WAIT);
    }
    if (!reap_leader(c))
        return;
    if (c->events)
        c->events->exited(c->owner, c->status);
    else
        leave_group(c);
}

/* ---- beginning */

void child_watch(struct child *c, struct worker *w, int pidfd)
{
    ev_io_init(&c->ended, child_on_ended, pidfd, EV_READ);
    c->ended.data = w;
    c->due = HUGE_VAL;
    enlist(&w->children, c);
    ev_io_start(w->loop, &c->ended);
}

/* ---- all of them */

size_t child_count(const struct worker *w)
{
    size_t n = 0;

    for (const struct child *c = w->children; c; c = c->next)
        n++;
    for (const struct child *c = w->stopping; c; c = c->next)
        n++;
    return n;
}

static void kill_list(struct child *list)
{
    for (struct child *c = list; c; c = c->next)
        child_kill(c);
}

static void await_list(struct child *list, double until)
{
    struct child *next;

    for (struct child *c = list; c; c = next) {
        next = c->next;
        wait_leader(c, until);
        c->until = 0; /* the loop will not run again: nobody follows the group */
        if (c->is_reaped && !c->events)
            child_gone(c);
    }
}

void child_kill_all(struct worker *w, double seconds)
{
    double until = worker_clock() + seconds;

    kill_list(w->children);
    kill_list(w->stopping);
    await_list(w->children, until);
    await_list(w->stopping, until);
}
