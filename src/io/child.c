/* SPDX-License-Identifier: MIT */
#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/child_rules.h"
#include "io/child_spawn.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2) /* Linux 6.9 */
#endif

/* How long a group may take to vanish after SIGKILL before we stop looking, and how soon we look
 * first; seconds. */
#define GONE_WAIT 1.0
#define FIRST_LOOK 0.005F
#define LAST_LOOK 0.25F /* and how often at last */

/* Status of a leader that somebody else reaped, which only happens when SIGCHLD is ignored: as if
 * it had exited with 255. */
#define STATUS_UNKNOWN (255 << 8)

static struct worker *worker_of(const struct child *c)
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

/* The same; a group of another user hears us only with the capability in effect. */
static int signal_group(const struct child *c, int sig)
{
    uint64_t caps = worker_of(c)->caps;
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
    struct worker *w = worker_of(c);

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
    double left = due - worker_clock();

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
    struct worker *w = worker_of(c);

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
    c->until = worker_clock() + c->kill_grace;
    go_on_at(c, c->until);
    return true;
}

void child_kill(struct child *c)
{
    c->rung = CHILD_KILLED;
    c->until = worker_clock() + GONE_WAIT;
    c->step = FIRST_LOOK;
    c->due = HUGE_VAL; /* the leader's end is told, and then the group is followed */
    if (signal_group(c, SIGKILL) != 0 && errno != ESRCH)
        log_line(&worker_of(c)->log, LOG_ERROR, "cannot end a program", LOG_I("pid", c->pid),
                 LOG_C("reason", strerror(errno)));
}

/*
 * The leader is reaped and the owner gone: what remains are grandchildren. The kernel does not tell
 * when a group is empty, so we look now and then, less and less often. A zombie that its own parent
 * leaves lying counts as life: the graces bound that.
 */
static void follow_group(struct child *c)
{
    double now = worker_clock(), next = now + c->step;

    if (group_is_gone(c) || (c->rung == CHILD_KILLED && c->until <= now)) {
        child_gone(c);
        return;
    }
    c->step = c->step * 2 < LAST_LOOK ? c->step * 2 : LAST_LOOK;
    go_on_at(c, next < c->until ? next : c->until);
}

static void leave_group(struct child *c)
{
    if (c->rung < CHILD_TERMINATED && !terminate(c)) {
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
    else if (c->rung == CHILD_TERMINATED && c->until <= worker_clock())
        child_kill(c);
    if (c->is_reaped && !c->events)
        follow_group(c);
}

/* Each may leave the list, and takes nobody along. */
static void on_ladder(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct worker *w = timer->data;
    double now = worker_clock(), first = HUGE_VAL;
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
    go_on_at(c, worker_clock() + c->stop_grace);
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
    ev_io_stop(worker_of(c)->loop, &c->ended);
    return true;
}

static void on_ended(struct ev_loop *loop, ev_io *io, int revents)
{
    struct child *c = (struct child *)((char *)io - offsetof(struct child, ended));
    (void)loop;
    (void)revents;

    if (!reap_leader(c))
        return;
    if (c->events)
        c->events->exited(c->owner, c->status);
    else
        leave_group(c);
}

/* ---- starting */

struct pipes {
    int ours[3];   /* write end, read end, read end; -1 where there is none */
    int theirs[3]; /* above 2; the last may be the same as the second, or all the same */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* a pipe or /dev/null: nothing unwritten can be lost */
    *fd = -1;
}

/* Some may be the same. */
static void close_fds(int fds[3])
{
    for (int i = 2; i >= 0; i--) {
        if ((i > 1 && fds[i] == fds[1]) || (i > 0 && fds[i] == fds[0]))
            fds[i] = -1;
        close_fd(&fds[i]);
    }
}

static void close_pipes(struct pipes *p)
{
    close_fds(p->ours);
    close_fds(p->theirs);
}

/* Where we were started without standard descriptors, a new one may be 0 to 2: then it moves out of
 * the child's way. */
static int above_standard(int *fd)
{
    int higher;

    if (*fd > STDERR_FILENO)
        return 0;
    higher = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (higher < 0)
        return -1;
    (void)close(*fd);
    *fd = higher;
    return 0;
}

/* Our end is nonblocking; the program's is another description and stays as programs expect it. */
static int make_pipe(int *ours, int *theirs, bool we_write)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    *ours = ends[we_write];
    *theirs = ends[!we_write];
    if (above_standard(ours) != 0 || above_standard(theirs) != 0)
        return -1;
    return fcntl(*ours, F_SETFL, O_NONBLOCK);
}

static int make_terminal(int *ours, int *theirs, const struct child_spec *spec)
{
    enum terminal_mode mode =
        spec->standard == CHILD_ON_TERMINAL ? TERMINAL_LOGIN : TERMINAL_OUTPUT;

    if (terminal_open(mode, &spec->size, ours, theirs) != 0 || above_standard(ours) != 0)
        return -1;
    return above_standard(theirs);
}

static int make_output(struct pipes *p, const struct child_spec *spec)
{
    if (spec->standard == CHILD_OUTPUT_ON_TERMINAL)
        return make_terminal(&p->ours[1], &p->theirs[1], spec);
    return make_pipe(&p->ours[1], &p->theirs[1], false);
}

static int make_pipes(struct pipes *p, const struct child_spec *spec)
{
    *p = (struct pipes){{-1, -1, -1}, {-1, -1, -1}};
    if (spec->standard == CHILD_ON_TERMINAL) {
        int made = make_terminal(&p->ours[0], &p->theirs[0], spec);

        p->ours[1] = p->ours[0];
        p->theirs[1] = p->theirs[2] = p->theirs[0];
        return made;
    }
    if (make_pipe(&p->ours[0], &p->theirs[0], true) != 0 || make_output(p, spec) != 0)
        return -1;
    if (spec->stderr_to_stdout) {
        p->theirs[2] = p->theirs[1];
        return 0;
    }
    if (!spec->stderr_discard)
        return make_pipe(&p->ours[2], &p->theirs[2], false);
    p->theirs[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return p->theirs[2] < 0 ? -1 : above_standard(&p->theirs[2]);
}

/*
 * /dev/stdin and the like open a pipe anew by its permissions, which are for our user. Nobody else
 * finds it: it has no name but below the program's /proc. A terminal has a name, so it is handed to
 * the program's user; where we may not (CAP_CHOWN is not kept), the descriptors and /dev/tty do.
 */
static int hand_over(const struct pipes *p, const struct child_rules *rules)
{
    for (int i = 0; i < 3; i++) {
        if (p->ours[i] < 0)
            continue;
        if (isatty(p->theirs[i])) {
            if (fchown(p->theirs[i], rules->uid, (gid_t)-1) != 0 && errno != EPERM)
                return -1;
        } else if (fchmod(p->theirs[i], 0666) != 0) {
            return -1;
        }
    }
    return 0;
}

/*
 * A program's table of descriptors is made with all up to the highest that it needs (see
 * child_spawn.c). Where many sessions make that high, its three go to places that were taken when
 * few were open (worker.c), for as long as its start takes.
 */
#define HIGH_DESCRIPTOR 256 /* below, six system calls cost more than the copy */

static bool is_lower(const struct worker *w, const int std[3])
{
    for (int i = 0; i < 3; i++) {
        if (w->low_fds[i] <= STDERR_FILENO || w->low_fds[i] > std[0])
            return false;
    }
    return std[0] >= HIGH_DESCRIPTOR;
}

/* The start itself, with pidfd and errno as of child_spawn_run. */
static pid_t spawn(struct worker *w, const struct child_spec *spec, const int std[3], int *pidfd)
{
    int low[3], spare, saved;
    pid_t pid;

    if (!is_lower(w, std) || (spare = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
        return child_spawn_run(w, spec, std, pidfd);
    for (int i = 0; i < 3; i++)
        low[i] = dup3(std[i], w->low_fds[i], O_CLOEXEC);
    pid = child_spawn_run(w, spec, low, pidfd);
    saved = errno;
    for (int i = 0; i < 3; i++)
        (void)dup3(spare, w->low_fds[i],
                   O_CLOEXEC); /* the program's ends are the program's alone */
    (void)close(spare);
    errno = saved;
    return pid;
}

/* Errors that are ours and pass, not the program's. */
static bool is_shortage(int err)
{
    return err == EAGAIN || err == ENOMEM || err == EMFILE || err == ENFILE || err == ENOBUFS;
}

/* Puts a running child under the worker. */
static void watch(struct child *c, struct worker *w, int pidfd)
{
    ev_io_init(&c->ended, on_ended, pidfd, EV_READ);
    c->ended.data = w;
    c->due = HUGE_VAL;
    enlist(&w->children, c);
    ev_io_start(w->loop, &c->ended);
}

struct child *child_start(struct worker *w, const struct child_spec *spec, int fds[3],
                          enum child_failure *why, const struct child_events *events, void *owner)
{
    struct child *c = calloc(1, sizeof *c);
    struct pipes pipes;
    int pidfd;

    *why = CHILD_NO_RESOURCES;
    if (!c)
        return NULL;
    c->events = events;
    c->owner = owner;
    c->stop_grace = (float)spec->stop_grace;
    c->kill_grace = (float)spec->kill_grace;
    c->other_user = child_rules_change_user(spec->rules);
    if (make_pipes(&pipes, spec) != 0 || (c->other_user && hand_over(&pipes, spec->rules) != 0) ||
        (c->pid = spawn(w, spec, pipes.theirs, &pidfd)) < 0) {
        int saved = errno;

        *why = is_shortage(saved) ? CHILD_NO_RESOURCES : CHILD_NO_EXEC;
        close_pipes(&pipes);
        free(c);
        errno = saved;
        return NULL;
    }
    memcpy(fds, pipes.ours, sizeof pipes.ours);
    memset(pipes.ours, -1, sizeof pipes.ours);
    close_pipes(&pipes);
    watch(c, w, pidfd);
    *why = CHILD_OK;
    return c;
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

/* Waits for one leader, not beyond `until`. */
static void wait_leader(struct child *c, double until)
{
    while (!reap_leader(c)) {
        struct pollfd pfd = {.fd = c->ended.fd, .events = POLLIN};
        double left = until - worker_clock();

        if (left <= 0)
            return;
        (void)poll(&pfd, 1,
                   left < 3600 ? (int)(left * 1000) + 1
                               : 3600000); /* the loop looks what happened */
    }
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
