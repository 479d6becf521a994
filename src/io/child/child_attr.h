/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_CHILD_CHILD_ATTR_H
#define WSLUICE_IO_CHILD_CHILD_ATTR_H

/*
 * What a program may do and be, other than what it would inherit from us: whose process it is, its
 * limits, umask, priority, and which files it reaches. For every kind of program; the child gives
 * itself all of it between vfork and execve. Made once for a route; see core/program/attr.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/child/cgroup.h"

#define CHILD_LIMITS_MAX 16
#define CHILD_UNLIMITED UINT64_MAX

struct child_limit {
    int resource;        /* RLIMIT_* */
    uint64_t soft, hard; /* CHILD_UNLIMITED: none */
};

struct child_attr {
    bool set_user; /* to uid, gid and groups; means nothing where these are ours already */
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    struct child_limit limits[CHILD_LIMITS_MAX];
    size_t limit_count;
    int umask;    /* -1: ours */
    int priority; /* as of setpriority(2); CHILD_PRIORITY_OURS: ours */
    bool no_new_privs;
    struct cgroup_limits group; /* of its control group, where programs have such */
    int landlock;               /* ruleset, see io/child/landlock.h; -1: none */
};

#define CHILD_PRIORITY_OURS 100

/* The limit for that resource; NULL: none of its own. */
const struct child_limit *child_attr_limit(const struct child_attr *r, int resource);

/* True when programs of these attributes (NULL: none) are somebody else than we are now. */
bool child_attr_changes_user(const struct child_attr *r);

/*
 * In the child, by raw system calls only (see child_spawn.c); 0, or -1 with errno. First all but
 * the user, and but RLIMIT_NOFILE, which must wait until descriptors are in place: *step is what
 * was being done, in words.
 */
int child_attr_apply(const struct child_attr *r, const char *volatile *step);

/*
 * Then the user, if it is somebody else. raise: capabilities that are ours but not in effect, to do
 * it with. vfork shares our memory with the child, but not credentials: what is raised and changed
 * is the child's. While it is shared, the kernel keeps the new user's other processes from it (not
 * dumpable); but they may send it signals.
 */
int child_attr_become(const struct child_attr *r, uint64_t raise);

/* Capabilities of this process (in the child: of the child alone) as bits 1 << CAP_*. 0, or -1 with
 * errno. */
int child_caps_set(uint64_t permitted, uint64_t effective, uint64_t inheritable);

#endif
