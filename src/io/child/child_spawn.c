/* SPDX-License-Identifier: MIT */
#include "io/child/child_impl.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/child/child_attr.h"

/*
 * Why vfork: fork copies the page tables, which takes longer the larger we are; vfork takes the
 * same short time always. The price is that the child runs in our memory until execve, while we are
 * suspended. So it may do nothing but system calls, and these without libc's wrappers, some of
 * which lock or cache. No signal may be handled by it: all are blocked before, and unblocked by it
 * only when no handler is left. (errno is written by syscall(); it is ours, and is not read
 * afterwards.) It is clone with the flags of vfork, because that makes the pidfd in the same call,
 * and lets the child have a stack apart from ours.
 */

#define SIGNALS 64    /* highest signal number of Linux */
#define SIGSET_SIZE 8 /* bytes of the kernel's signal set, not those of libc's type */

/* The child calls three functions deep, with small frames; sanitizers make them larger. */
#define CHILD_STACK (64 * 1024)

/* Everything the child needs, made before vfork, so that it has nothing to compute. */
struct plan {
    const char *path, *cwd;
    const struct child_attr *attr; /* NULL: as we are */
    bool change_user;
    uint64_t raise; /* capabilities to do it with, not in effect in us */
    char *const *argv;
    char *const *envp;
    int std[3];
    unsigned needless; /* the lowest descriptor above all of these */
    int cgroup;        /* folder of the control group that it begins in; -1: ours */
    bool own_table;   /* the child makes its own, see own_descriptors; else it begins with a copy */
    bool on_terminal; /* which then controls the new session */
    pid_t parent;
    uint64_t nofile[2]; /* soft and hard limit as prlimit64 takes them */
    bool set_nofile;
    uint64_t as[2]; /* likewise, of the address space */
    bool set_as;
    bool own_nofile; /* of its attributes; ours can only be refused when the hard limit is below by
                        now: then that one holds */
    unsigned long default_action[8]; /* the kernel's struct sigaction, larger: all zeroes is SIG_DFL
                                        without flags */
    uint64_t no_signals;
    uint64_t unusual_signals;  /* bit n: signal n + 1 is ignored or handled by us */
    volatile int error;        /* written by the child: the errno it died of */
    const char *volatile step; /* and what it was doing then */
};

/* Those that are not at their defaults are put there (ignored ones survive execve, handlers must
 * not run here), then all unblocked. */
static long reset_signals(const struct plan *p)
{
    for (int sig = 1; sig <= SIGNALS; sig++)
        if ((p->unusual_signals >> (sig - 1) & 1) &&
            syscall(SYS_rt_sigaction, sig, p->default_action, NULL, SIGSET_SIZE) != 0)
            return -1;
    return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &p->no_signals, NULL, SIGSET_SIZE);
}

/*
 * Where the kernel can (5.9), the child begins with our table of descriptors, not a copy, and must
 * not touch it. Here it gets a table of its own, a copy of ours up to the last that it needs:
 * thousands of sessions have thousands of descriptors, and to copy and close all of them takes
 * milliseconds, in which we stand still.
 */
static long own_descriptors(const struct plan *p)
{
    return p->own_table ? syscall(SYS_close_range, p->needless, ~0U, CLOSE_RANGE_UNSHARE) : 0;
}

/* dup3 also takes close-on-exec off. The sources are above 2, so no step destroys what a later one
 * needs. */
static long place_descriptors(const struct plan *p)
{
    for (int i = 0; i < 3; i++)
        if (syscall(SYS_dup3, p->std[i], i, 0) < 0)
            return -1;
    /* All of ours are close-on-exec; this is for those that somebody left open in us. Linux before
     * 5.9 cannot close them. */
    (void)syscall(SYS_close_range, 3U, ~0U, 0U);
    return 0;
}

/* A change of the user before it would take the death signal away. */
static long die_with_us(const struct plan *p)
{
    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return -1;
    if (syscall(SYS_getppid) == p->parent)
        return 0;
    errno = ESRCH; /* it died before the line above could tell */
    return -1;
}

/* Returns only when the program cannot be executed, with errno set. */
static void become_program(struct plan *p)
{
    p->step = "a session of its own";
    if (syscall(SYS_setsid) < 0)
        return;
    if (p->set_as) /* before its attributes, which may say less */
        (void)syscall(SYS_prlimit64, 0, RLIMIT_AS, p->as, NULL);
    if (p->attr != NULL && child_attr_apply(p->attr, &p->step) != 0)
        return;
    p->step = "its descriptors";
    if (own_descriptors(p) != 0 || place_descriptors(p) != 0)
        return;
    p->step = "its terminal";
    if (p->on_terminal && syscall(SYS_ioctl, STDIN_FILENO, TIOCSCTTY, 0) != 0)
        return;
    p->step = "rlimits: nofile"; /* after all that needs a descriptor */
    if (p->set_nofile && syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, p->nofile, NULL) != 0 &&
        p->own_nofile)
        return;
    p->step = "its signals";
    if (reset_signals(p) != 0)
        return;
    /* As late as can be: from here on the program's user may send it signals. */
    p->step = "run-as";
    if (p->change_user && child_attr_become(p->attr, p->raise) != 0)
        return;
    p->step = "its end with us";
    if (die_with_us(p) != 0)
        return;
    p->step = "cwd"; /* a folder that is closed to us may be open to the program's user */
    if (p->cwd && syscall(SYS_chdir, p->cwd) != 0)
        return;
    p->step = NULL;
    (void)syscall(SYS_execve, p->path, p->argv, p->envp);
}

/* The child, from its first instruction; ends it when it returns. */
static int child_main(void *data)
{
    struct plan *p = data;

    become_program(p);
    p->error = errno;
    return 127;
}

/* Comes back when the child has executed its program, or ended. *pidfd is close-on-exec. */
static pid_t vfork_plan(struct plan *p, int *pidfd)
{
    _Alignas(16) char stack[CHILD_STACK];

    if (p->cgroup >= 0)
        return child_clone_into(p->cgroup, p->own_table ? CLONE_FILES : 0, child_main, p, stack,
                                sizeof stack, pidfd);
    return clone(child_main, stack + sizeof stack,
                 CLONE_VM | CLONE_VFORK | (p->own_table ? CLONE_FILES : 0) | CLONE_PIDFD | SIGCHLD,
                 p, pidfd);
}

/* Whether own_descriptors is possible: not before Linux 5.9, nor where a sandbox refuses it. Asked
 * once, by a call that changes nothing: we share our table with nobody, and no descriptor is that
 * high. */
static bool can_own_tables(struct worker *w)
{
    if (!w->own_tables_known)
        w->own_tables = syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_UNSHARE) == 0;
    w->own_tables_known = true;
    return w->own_tables;
}

/* Which signals have another disposition than the default. Found once: we set all of ours before
 * the first program is started. */
static uint64_t unusual_signals(struct worker *w)
{
    unsigned long action[8] = {
        0}; /* as in struct plan; libc's sigaction hides two signals of its own */

    for (int sig = 1; sig <= SIGNALS && !w->signals_known; sig++) {
        if (syscall(SYS_rt_sigaction, sig, NULL, action, SIGSET_SIZE) == 0 && action[0] != 0)
            w->unusual_signals |= (uint64_t)1 << (sig - 1);
    }
    w->signals_known = true;
    return w->unusual_signals;
}

static void plan_attr(struct plan *p, const struct worker *w, const struct child_spec *spec)
{
    const struct child_limit *nofile;

    p->attr = spec->attr;
    if (p->attr == NULL)
        return;
    p->change_user = child_attr_changes_user(p->attr);
    p->raise = w->caps & (UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID);
    nofile = child_attr_limit(p->attr, RLIMIT_NOFILE);
    if (nofile == NULL)
        return;
    p->set_nofile = p->own_nofile = true;
    p->nofile[0] = nofile->soft;
    p->nofile[1] = nofile->hard;
}

/* A child that becomes somebody else makes the memory it shares with us undumpable, or what the
 * system has for such (fs.suid_dumpable): ours is put back to what it was. */
static pid_t vfork_other_user(struct plan *p, int *pidfd)
{
    int dumpable = prctl(PR_GET_DUMPABLE);
    pid_t pid = vfork_plan(p, pidfd);
    int saved = errno;

    if (dumpable != prctl(PR_GET_DUMPABLE))
        (void)prctl(PR_SET_DUMPABLE, dumpable == 1, 0, 0, 0);
    errno = saved;
    return pid;
}

pid_t child_spawn_run(struct worker *w, const struct child_spec *spec, const int std[3], int cgroup,
                      int *pidfd)
{
    struct plan plan = {
        .path = spec->path,
        .cwd = spec->cwd,
        .argv = spec->argv,
        .envp = spec->envp,
        .std = {std[0], std[1], std[2]},
        .cgroup = cgroup,
        .own_table = can_own_tables(w),
        .on_terminal = spec->standard == CHILD_ON_TERMINAL,
        .parent = getpid(),
        .unusual_signals = unusual_signals(w),
        .nofile = {w->nofile_at_start.rlim_cur, w->nofile_at_start.rlim_max},
        .set_nofile = w->nofile_at_start.rlim_max != 0,
        .as = {w->as_at_start.rlim_cur, w->as_at_start.rlim_max},
        .set_as = w->as_at_start.rlim_max != 0,
    };
    uint64_t all = ~UINT64_C(0), before = 0;
    int saved;
    pid_t pid;

    for (int i = 0; i < 3; i++)
        plan.needless = std[i] >= (int)plan.needless ? (unsigned)std[i] + 1 : plan.needless;
    plan_attr(&plan, w, spec);
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, SIGSET_SIZE) != 0)
        return -1;
    pid = plan.change_user ? vfork_other_user(&plan, pidfd) : vfork_plan(&plan, pidfd);
    saved = errno;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL,
                  SIGSET_SIZE); /* a valid set: cannot fail */
    errno = saved;
    if (pid < 0 || plan.error == 0)
        return pid;
    (void)close(*pidfd); /* never fails for a pidfd */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (spec->failed_step != NULL)
        *spec->failed_step = plan.step;
    errno = plan.error;
    return -1;
}
