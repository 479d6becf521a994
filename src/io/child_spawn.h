/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CHILD_SPAWN_H
#define WSLUICE_IO_CHILD_SPAWN_H

/* The part of child.c that runs between vfork and execve. Private to child.c. */
#include <sys/types.h>

#include "io/child.h"

/*
 * Executes spec->path in a new process that leads a session and a process group. std[0], std[1],
 * std[2] become its descriptors 0 to 2 and must be 3 or larger; some may be the same. Returns its
 * process id when the program is running, and its pidfd (close-on-exec); -1 with errno when not,
 * and then no process is left. Blocks until execve has happened (50 to 100 microseconds).
 */
pid_t child_spawn_run(struct worker *w, const struct child_spec *spec, const int std[3],
                      int *pidfd);

#endif
