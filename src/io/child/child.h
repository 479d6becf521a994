/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CHILD_CHILD_H
#define WSLUICE_IO_CHILD_CHILD_H

/*
 * A program of ours: started by vfork with raw system calls only in the child, watched by a pidfd,
 * ended by a ladder. It is the leader of a session and process group of its own; the ladder speaks
 * to the whole group, so grandchildren that did not leave the group end too. PR_SET_PDEATHSIG
 * (SIGKILL) ends it when we crash.
 *
 * The struct is allocated here and belongs to its owner until child_release; after that it belongs
 * to the worker, goes on along the ladder without its owner, and frees itself when the group is
 * gone. Where programs have control groups (worker->cgroups), what has left the process group ends
 * then, too: by SIGKILL.
 */
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/child/terminal.h"
#include "io/worker.h"

struct child_attr; /* io/child/child_attr.h */

/* What its standard descriptors are. */
enum child_standard {
    CHILD_ON_PIPES,
    CHILD_OUTPUT_ON_TERMINAL, /* stdout on one that changes nothing; stdin and stderr on pipes */
    CHILD_ON_TERMINAL,        /* all three, and it controls the session */
};

struct child_spec {
    const char *path;              /* what to execute, already looked up (see child_find) */
    char *const *argv;             /* NULL-terminated */
    char *const *envp;             /* NULL-terminated, the whole environment */
    const char *cwd;               /* NULL: ours */
    const struct child_attr *attr; /* NULL: as we are */
    const char **failed_step; /* where to say what could not be done, in words, when a step before
                                 execve failed; left alone otherwise. NULL: nobody asks */
    enum child_standard standard;
    struct terminal_size size; /* of the terminal */
    bool stderr_to_stdout;     /* one pipe, or terminal, for both */
    bool stderr_discard;       /* /dev/null */
    ev_tstamp stop_grace;      /* seconds from child_stop to SIGTERM */
    ev_tstamp kill_grace;      /* seconds from SIGTERM to SIGKILL */
};

/* Where starting failed. */
enum child_failure { CHILD_OK, CHILD_NO_RESOURCES, CHILD_NO_EXEC };

struct child;

struct child_events {
    /* The leader ended: wait status as of waitpid. Called once, from the loop, never after
     * child_release. What it wrote may still lie in the pipes, and a grandchild may hold them. */
    void (*exited)(void *owner, int status);
};

struct child {
    ev_io ended; /* its fd is the pidfd, its data the worker */
    const struct child_events *events;
    void *owner; /* NULL after child_release */
    union {
        struct {
            struct child *next, **prev; /* worker->children, or worker->stopping */
        };
        struct reap reap; /* gone */
    };
    double due;   /* worker time when the ladder goes on; HUGE_VAL: by itself never */
    double until; /* worker time when this rung is over */
    union {
        float stop_grace; /* until child_stop */
        float step;       /* seconds until the next look whether the group is gone */
    };
    float kill_grace;
    pid_t pid;        /* also the process group */
    pid_t foreground; /* a further group on the ladder, see child_hang_up; 0: none */
    int status;       /* of the leader, once reaped */
    enum { CHILD_RUNNING, CHILD_STOPPING, CHILD_TERMINATED, CHILD_KILLED, CHILD_SWEPT } rung : 8;
    bool on_ladder : 1; /* in worker->stopping */
    bool is_reaped : 1;
    bool in_cgroup : 1;  /* of its own, see child_impl.h; all in that ends with it */
    bool other_user : 1; /* it was started as somebody else than we are */
};

/* Every session with a program has one. A timer of its own would make it half as large again. */
_Static_assert(sizeof(struct child) <= 120, "a child grows every idle session with a program");

/*
 * Starts the program. On success fds[0] is our end of its stdin (write), fds[1] of its stdout
 * (read), fds[2] of its stderr (read; -1 when merged or discarded): nonblocking, close-on-exec, the
 * caller's. On a terminal fds[0] and fds[1] are its master, one descriptor, and fds[2] is -1. On
 * failure returns NULL with errno set and *why telling whether resources were short (no
 * descriptors, no processes, no memory: worth trying later) or the program could not be executed;
 * nothing is left behind. The child sees descriptors 0-2 only, all signals at their defaults and
 * unblocked, an empty signal mask, the descriptor limit we were started with or that of its
 * attributes. SIGCHLD must not be ignored in us: then the kernel would throw exit statuses away.
 */
struct child *child_start(struct worker *w, const struct child_spec *spec, int fds[3],
                          enum child_failure *why, const struct child_events *events, void *owner);

/*
 * Starts the ladder, once: stop_grace from now SIGTERM to the group (SIGCONT with it, so that a
 * stopped one hears it), kill_grace later SIGKILL. The caller has closed, or will close, its stdin.
 * A second call changes nothing.
 */
void child_stop(struct child *c);

/* Seconds, while it is in the grace that child_stop begins; else 0. */
double child_stop_grace(const struct child *c);
/* Then: that begins anew, because it still takes what it was sent. */
void child_stop_later(struct child *c);

/* Of a child on a terminal, before child_stop: SIGHUP to the program in the foreground. A shell has
 * given that one a group of its own, which from now on gets what the child's own group gets. The
 * caller closes the master. */
void child_hang_up(struct child *c, int master);

/* To the group, as a key of a terminal would. Nothing once the leader has ended. */
void child_signal(struct child *c, int number);

/* Bytes that its control group may have, when something in it was killed because it needed more;
 * else 0. */
uint64_t child_ran_out(const struct child *c);

/* SIGKILL to the group now. */
void child_kill(struct child *c);

/* The owner lets go: no event follows; descriptors are the owner's business. If the leader still
 * runs, the ladder is started. What is left of the group (grandchildren) after the leader's end
 * gets SIGTERM and, kill_grace later, SIGKILL. */
void child_release(struct child *c);

/* Looks a program up the way execvp does, in `path_list` (PATH syntax) unless the name has a slash.
 * Returns a malloc'd path, NULL with errno ENOENT, EACCES or ENOMEM. */
char *child_find(const char *name, const char *path_list);

/* How many of the worker's children are not yet gone (also counts a group still on the ladder). */
size_t child_count(const struct worker *w);

/* The leader of one of them, until that is gone with its group. */
bool child_is_ours(const struct worker *w, pid_t pid);

/* Whether that process is one of the worker's children, or below one, as far as /proc still tells:
 * who has left its session and lost its parents is nobody's. */
bool child_is_below(const struct worker *w, pid_t pid);

/* Shutdown: child_kill for every one, and waits at most `seconds` for the leaders (blocking; the
 * loop does not run, and no `exited` follows for those that ended here). Owners still call
 * child_release. */
void child_kill_all(struct worker *w, double seconds);

#endif
