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

/* Of all processes in a group together; 0: no limit of its own. Each takes a controller of the
 * system, which may not be there. */
struct cgroup_limits {
    uint64_t memory_max; /* bytes; beyond, all of the group is killed */
    uint64_t pids_max;
    uint64_t cpu_max;    /* microseconds of each 100 ms: 150000 is one and a half processors */
    uint64_t cpu_weight; /* 1 to 10000 beside other groups; the system's default is 100 */
    uint64_t io_weight;  /* the same for disks */
};

/* Which controllers that takes, as bits. */
unsigned cgroup_controllers(const struct cgroup_limits *limits);

/*
 * where: "auto", the group that we were started in, or a folder of a mounted hierarchy. Makes the
 * folders, goes into "server", lets the account uid work in them, and ends what a server that is no
 * more has left behind. NULL with error, which says what to do.
 */
struct cgroups *cgroups_open(const char *where, uid_t uid, char error[CGROUPS_ERROR_MAX]);

/* Whether that could do with these controllers, as far as can be told without changing anything. */
bool cgroups_judge(const char *where, unsigned controllers, char error[CGROUPS_ERROR_MAX]);

/* From now on groups can have limits that take these. False with error. */
bool cgroups_enable(struct cgroups *g, unsigned controllers, char error[CGROUPS_ERROR_MAX]);

/* By who we are from now on: starts a process in a group. False with error. */
bool cgroups_try(struct cgroups *g, char error[CGROUPS_ERROR_MAX]);

/* Ends what is left in groups of ours, waiting up to a second; NULL: nothing. */
void cgroups_close(struct cgroups *g);

/* A new group, never 0, with these limits (NULL: none); *fd is its folder, for clone3, the caller's
 * to close. 0 with errno. */
uint32_t cgroup_make(struct cgroups *g, const struct cgroup_limits *limits, int *fd);

/* Its memory_max, when processes of it were killed because they needed more; else 0. */
uint64_t cgroup_ran_out(const struct cgroups *g, uint32_t number);

/* SIGKILL to all in it. */
void cgroup_kill(const struct cgroups *g, uint32_t number);

/* True when it is empty, and has been removed; what is below it, too. */
bool cgroup_remove(const struct cgroups *g, uint32_t number);

#endif
