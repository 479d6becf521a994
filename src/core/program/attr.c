/* SPDX-License-Identifier: MIT */
#include "core/program/attr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/account.h"
#include "core/backend.h"
#include "io/child/landlock.h"

#define PRIORITY_LAST 19

bool attr_has_program(const struct route *r)
{
    return r->backend != NULL && r->backend->runs_programs;
}

struct child_attr *attr_make(struct route *r)
{
    if (r->attr != NULL)
        return r->attr;
    r->attr = arena_alloc(&r->config->arena, sizeof *r->attr);
    if (r->attr != NULL) {
        r->attr->umask = -1;
        r->attr->priority = CHILD_PRIORITY_OURS;
        r->attr->landlock = -1;
    }
    return r->attr;
}

static bool says(const struct text_list *l, const char *word)
{
    return l->count == 1 && strcmp(l->items[0], word) == 0;
}

bool attr_limits_reading(const struct settings *s)
{
    return s->read_paths.count > 0 && !says(&s->read_paths, "any");
}

bool attr_limits_writing(const struct settings *s)
{
    if (s->write_paths.count > 0)
        return !says(&s->write_paths, "any");
    return attr_limits_reading(s);
}

static bool attr_wrong(char why[ATTR_ERROR_MAX], const char *option, const char *what,
                       const char *reason)
{
    snprintf(why, ATTR_ERROR_MAX, "%s %.150s: %s", option, what, reason);
    return false;
}

static bool attr_find_user(struct route *r, char why[ATTR_ERROR_MAX])
{
    const char *text = r->settings.run_as;
    char error[ACCOUNT_ERROR_MAX];

    if (text == NULL)
        return true;
    const struct account *a = account_find(r->config->accounts, text, error);
    if (a == NULL) {
        snprintf(why, ATTR_ERROR_MAX, "run-as %s", error);
        return false;
    }
    r->attr->set_user = true;
    r->attr->uid = a->uid;
    r->attr->gid = a->gid;
    r->attr->groups = a->groups;
    r->attr->group_count = a->group_count;
    return true;
}

static void set_priority(struct route *r)
{
    int ours = getpriority(PRIO_PROCESS, 0), wanted = ours + (int)r->settings.nice;

    if (r->settings.nice > 0)
        r->attr->priority = wanted < PRIORITY_LAST ? wanted : PRIORITY_LAST;
}

/* rlimits are in the order of the attributes. */
static bool judge_limits(const struct route *r, char why[ATTR_ERROR_MAX])
{
    for (size_t i = 0; i < r->attr->limit_count; i++) {
        const struct child_limit *l = &r->attr->limits[i];
        struct rlimit ours;

        if (getrlimit((__rlimit_resource_t)l->resource, &ours) < 0 ||
            ours.rlim_max == RLIM_INFINITY || l->hard <= ours.rlim_max)
            continue;
        snprintf(why, ATTR_ERROR_MAX,
                 "rlimits %.100s: above our own hard limit, %ju; raise that where wsluice is "
                 "started (ulimit -H, LimitNOFILE= and the like)",
                 r->settings.rlimits.items[i], (uintmax_t)ours.rlim_max);
        return false;
    }
    return true;
}

/* What nearly every program opens, and what tells or keeps nothing. */
static const char *const harmless[] = {"/dev/null",   "/dev/zero",    "/dev/full",
                                       "/dev/random", "/dev/urandom", "/dev/tty"};

static bool allow_all(const struct landlock *l, const struct text_list *paths, bool write,
                      char why[ATTR_ERROR_MAX])
{
    for (size_t i = 0; i < paths->count; i++) {
        const char *path = paths->items[i];

        if (path[0] != '/' || landlock_allow(l, path, write) == 0)
            continue;
        return attr_wrong(why, write ? "write-paths" : "read-paths", path,
                          errno == ENOENT ? "it is not there; create it, or leave it out"
                                          : strerror(errno));
    }
    return true;
}

static bool attr_allow(const struct route *r, const struct landlock *l, char why[ATTR_ERROR_MAX])
{
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        (void)landlock_allow(l, harmless[i], true); /* a system without it needs no rule */
    if (r->target.program != NULL && landlock_allow(l, r->target.program, false) < 0)
        return attr_wrong(why, "read-paths", r->target.program, strerror(errno));
    return allow_all(l, &r->settings.read_paths, false, why) &&
           allow_all(l, &r->settings.write_paths, true, why);
}

static void close_landlock(void *attr)
{
    struct child_attr *r = attr;

    close(r->landlock);
    r->landlock = -1;
}

static bool limit_paths(struct route *r, char why[ATTR_ERROR_MAX])
{
    bool reading = attr_limits_reading(&r->settings);
    bool writing = attr_limits_writing(&r->settings);
    struct landlock l;

    if (!reading && !writing)
        return true;
    if (landlock_abi() == 0)
        return attr_wrong(
            why, reading ? "read-paths" : "write-paths", "",
            "this kernel has no Landlock (Linux 5.13; in the list of /sys/kernel/security/"
            "lsm), so the program would run without them; take them out, or use a "
            "container");
    if (landlock_new(&l, reading, writing) < 0)
        return attr_wrong(why, "read-paths", "", strerror(errno));
    r->attr->landlock = l.fd;
    if (!config_own(r->config, close_landlock, r->attr))
        return attr_wrong(why, "read-paths", "", "out of memory");
    r->attr->no_new_privs = true; /* else the kernel does not let it in */
    return attr_allow(r, &l, why);
}

bool attr_prepare(struct route *r, bool stays_root, char why[ATTR_ERROR_MAX])
{
    if (r->attr == NULL || !attr_has_program(r))
        return true;
    if (cgroup_controllers(&r->attr->group) != 0 && r->config->cgroup == NULL)
        return attr_wrong(why, "memory-max, pids-max, cpu-max, cpu-weight, io-weight", "",
                          "programs have no control groups; say cgroup: auto (a unit with "
                          "Delegate=yes), or cgroup: FOLDER");
    set_priority(r);
    return attr_find_user(r, why) && (stays_root || judge_limits(r, why)) && limit_paths(r, why);
}

unsigned attr_controllers(const struct config *c)
{
    unsigned bits = 0;

    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];

        if (attr_has_program(r) && r->attr != NULL)
            bits |= cgroup_controllers(&r->attr->group);
    }
    return bits;
}

void attr_prepare_login(struct route *r)
{
    const char *user = r->settings.run_as != NULL ? r->settings.run_as : r->config->user;
    struct arena *arena = &r->config->arena;

    if (r->backend == NULL || !r->backend->is_terminal)
        return;
    r->login.items = arena_alloc(arena, ACCOUNT_LOGIN * sizeof *r->login.items);
    if (r->login.items != NULL)
        r->login.count = account_login(r->config->accounts, user, r->login.items);
}

bool attr_leaves_truncation(const struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];

        if (attr_has_program(r) && attr_limits_writing(&r->settings))
            return landlock_abi() < LANDLOCK_ABI_TRUNCATE;
    }
    return false;
}
