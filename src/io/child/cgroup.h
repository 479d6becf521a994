/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CHILD_CGROUP_H
#define WSLUICE_IO_CHILD_CGROUP_H

/*
 * Control groups (version 2; cgroups(7)) of programs: each is started in one of its own, so that
 * all that it starts, daemons too, can be ended together. Below a folder that is ours alone:
 *
 *     FOLDER/server            we ourselves, and a successor
 *     FOLDER/programs/PID-N    the N-th program of the server with that process id
 *
 * Needs Linux 5.14 (cgroup.kill).
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUPS_ERROR_MAX 384

struct cgroups;

/*
 * where: "auto", the group that we were started in, or a folder of a mounted hierarchy. Makes the
 * folders, goes into "server", lets the account uid work in them, and ends what a server that is no
 * more has left behind. NULL with error, which says what to do.
 */
struct cgroups *cgroups_open(const char *where, uid_t uid, char error[CGROUPS_ERROR_MAX]);

/* Whether that could do, as far as can be told without changing anything. */
bool cgroups_judge(const char *where, char error[CGROUPS_ERROR_MAX]);

/* By who we are from now on: starts a process in a group. False with error. */
bool cgroups_try(struct cgroups *g, char error[CGROUPS_ERROR_MAX]);

/* Ends what is left in groups of ours, waiting up to a second; NULL: nothing. */
void cgroups_close(struct cgroups *g);

/* A new group, never 0; *fd is its folder, for clone3, the caller's to close. 0 with errno. */
uint32_t cgroup_make(struct cgroups *g, int *fd);

/* SIGKILL to all in it. */
void cgroup_kill(const struct cgroups *g, uint32_t number);

/* True when it is empty, and has been removed; what is below it, too. */
bool cgroup_remove(const struct cgroups *g, uint32_t number);

#endif
