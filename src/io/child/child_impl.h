/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CHILD_CHILD_IMPL_H
#define WSLUICE_IO_CHILD_CHILD_IMPL_H

/*
 * The inside of a child, for child*.c only:
 *
 *   child.c        its life: the ladder, its end, all of them
 *   child_start.c  its start: pipes or a terminal
 *   child_spawn.c  what runs between vfork and execve
 *   child_attr.c  and what the attributes of its route do there
 *   child_clone.c  the step itself, for one in a control group
 *   cgroup.c       these groups
 *   child_find.c   where its file is
 *   child_below.c  which processes are its
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/child/child.h"

/*
 * Executes spec->path in a new process that leads a session and a process group. std[0], std[1],
 * std[2] become its descriptors 0 to 2 and must be 3 or larger; some may be the same. Returns its
 * process id when the program is running, and its pidfd (close-on-exec); -1 with errno when not,
 * and then no process is left. Blocks until execve has happened (50 to 100 microseconds).
 */
pid_t child_spawn_run(struct worker *w, const struct child_spec *spec, const int std[3], int cgroup,
                      int *pidfd);

/*
 * A new process in the control group of that folder, with flags beside those of vfork, that calls
 * run(arg) on that stack and exits with what it returns. Comes back when it has executed a program,
 * or ended. *pidfd is close-on-exec. -1 with errno: ENOSYS also where a sandbox refuses clone3.
 */
pid_t child_clone_into(int cgroup, uint64_t flags, int (*run)(void *), void *arg, char *stack,
                       size_t size, int *pidfd);

/* The number of its control group, behind a child that is in one (in_cgroup). */
static inline uint32_t *child_cgroup(const struct child *c)
{
    return (uint32_t *)(uintptr_t)(c + 1);
}

/* child.c: puts a running child under the worker. */
void child_watch(struct child *c, struct worker *w, int pidfd);

#endif
