/* SPDX-License-Identifier: MIT */

/* The start of a program: its descriptors, and who watches it. The step from us to it is
 * child_spawn.c's. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/child/cgroup.h"
#include "io/child/child_attr.h"
#include "io/child/child_impl.h"

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

static int try_pipes(struct pipes *p, const struct child_spec *spec)
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

/* Once more, when others could make room. */
static int make_pipes(struct worker *w, struct pipes *p, const struct child_spec *spec)
{
    int err;

    if (try_pipes(p, spec) == 0)
        return 0;
    err = errno;
    close_pipes(p);
    errno = err;
    return worker_make_room(w, err) ? try_pipes(p, spec) : -1;
}

/*
 * /dev/stdin and the like open a pipe anew by its permissions, which are for our user. Nobody else
 * finds it: it has no name but below the program's /proc. A terminal has a name, so it is handed to
 * the program's user; where we may not (CAP_CHOWN is not kept), the descriptors and /dev/tty do.
 */
static int child_start_hand_over(const struct pipes *p, const struct child_attr *attr)
{
    for (int i = 0; i < 3; i++) {
        if (p->ours[i] < 0)
            continue;
        if (isatty(p->theirs[i])) {
            if (fchown(p->theirs[i], attr->uid, (gid_t)-1) != 0 && errno != EPERM)
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
#define HIGH_DESCRIPTOR 256 /* below, eight system calls cost more than the copy */

/* Whether these three are high, and the places lower. */
static bool low_places_help(const struct worker *w, const int std[3])
{
    for (int i = 0; i < 3; i++) {
        if (w->low_fds[i] <= STDERR_FILENO || w->low_fds[i] > std[0])
            return false;
    }
    return std[0] >= HIGH_DESCRIPTOR;
}

/* The start itself, with pidfd and errno as of child_spawn_run. */
static pid_t spawn(struct worker *w, const struct child_spec *spec, const int std[3], int cgroup,
                   int *pidfd)
{
    int low[3], spare, saved;
    pid_t pid;

    if (!low_places_help(w, std) || (spare = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
        return child_spawn_run(w, spec, std, cgroup, pidfd);
    for (int i = 0; i < 3; i++)
        low[i] = dup3(std[i], w->low_fds[i], O_CLOEXEC);
    pid = child_spawn_run(w, spec, low, cgroup, pidfd);
    saved = errno;
    for (int i = 0; i < 3; i++) /* the program's ends are the program's alone */
        (void)dup3(spare, w->low_fds[i], O_CLOEXEC);
    (void)close(spare);
    errno = saved;
    return pid;
}

/* In a control group, where programs have such: *number is 0 elsewhere. */
static pid_t spawn_in_group(struct worker *w, const struct child_spec *spec, const int std[3],
                            uint32_t *number, int *pidfd)
{
    int folder = -1, saved;
    pid_t pid = -1;

    *number = 0;
    if (w->cgroups == NULL)
        return spawn(w, spec, std, -1, pidfd);
    *number = cgroup_make(w->cgroups, spec->attr != NULL ? &spec->attr->group : NULL, &folder);
    if (*number != 0)
        pid = spawn(w, spec, std, folder, pidfd);
    saved = errno;
    if (folder >= 0)
        (void)close(folder);
    if (pid < 0 && *number != 0)
        (void)cgroup_remove(w->cgroups, *number);
    errno = saved;
    return pid;
}

/* Once more, when others could make room: for the pidfd, say. */
static pid_t spawn_soon(struct worker *w, const struct child_spec *spec, const int std[3],
                        uint32_t *number, int *pidfd)
{
    pid_t pid = spawn_in_group(w, spec, std, number, pidfd);

    return pid < 0 && worker_make_room(w, errno) ? spawn_in_group(w, spec, std, number, pidfd)
                                                 : pid;
}

struct child *child_start(struct worker *w, const struct child_spec *spec, int fds[3],
                          enum child_failure *why, const struct child_events *events, void *owner)
{
    size_t more = w->cgroups != NULL ? sizeof(uint32_t) : 0;
    struct child *c = calloc(1, sizeof *c + more);
    struct pipes pipes;
    uint32_t number;
    int pidfd;

    *why = CHILD_NO_RESOURCES;
    if (!c)
        return NULL;
    c->events = events;
    c->owner = owner;
    c->stop_grace = (float)spec->stop_grace;
    c->kill_grace = (float)spec->kill_grace;
    c->other_user = child_attr_changes_user(spec->attr);
    if (make_pipes(w, &pipes, spec) != 0 ||
        (c->other_user && child_start_hand_over(&pipes, spec->attr) != 0) ||
        (c->pid = spawn_soon(w, spec, pipes.theirs, &number, &pidfd)) < 0) {
        int saved = errno;

        *why = worker_is_shortage(saved) || saved == EAGAIN ? CHILD_NO_RESOURCES : CHILD_NO_EXEC;
        close_pipes(&pipes);
        free(c);
        errno = saved;
        return NULL;
    }
    memcpy(fds, pipes.ours, sizeof pipes.ours);
    memset(pipes.ours, -1, sizeof pipes.ours);
    close_pipes(&pipes);
    if (number != 0) {
        c->in_cgroup = true;
        *child_cgroup(c) = number;
    }
    child_watch(c, w, pidfd);
    *why = CHILD_OK;
    return c;
}
