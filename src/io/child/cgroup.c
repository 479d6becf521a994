/* SPDX-License-Identifier: MIT */
#include "io/child/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/child/child_impl.h"

#define MAGIC 0x63677270 /* CGROUP2_SUPER_MAGIC */
#define NAME_MAX_LEN 32  /* "PID-N" */
#define DEPTH 16         /* of groups that a program has made below its own */
#define CLOSE_WAIT 100   /* hundredths of a second */

struct cgroups {
    int base, server, programs; /* folders */
    pid_t pid;                  /* in the names */
    uint32_t last;              /* number */
};

static void *cgroup_fault(char error[CGROUPS_ERROR_MAX], const char *what, const char *why)
{
    snprintf(error, CGROUPS_ERROR_MAX, "cgroup %.200s: %s", what, why);
    return NULL;
}

/* ---- limits */

/* In the order of the bits. */
static const char *const controllers[] = {"memory", "pids", "cpu", "io"};

#define CONTROLLERS (sizeof controllers / sizeof controllers[0])

static const struct limit_file {
    size_t offset; /* in struct cgroup_limits */
    unsigned controller;
    const char *file, *more; /* behind the number */
} limit_files[] = {
    {offsetof(struct cgroup_limits, memory_max), 0, "memory.max", ""},
    {offsetof(struct cgroup_limits, pids_max), 1, "pids.max", ""},
    {offsetof(struct cgroup_limits, cpu_max), 2, "cpu.max", " 100000"},
    {offsetof(struct cgroup_limits, cpu_weight), 2, "cpu.weight", ""},
    {offsetof(struct cgroup_limits, io_weight), 3, "io.weight", ""},
};

#define LIMIT_FILES (sizeof limit_files / sizeof limit_files[0])

static uint64_t limit_of(const struct cgroup_limits *limits, const struct limit_file *f)
{
    return *(const uint64_t *)(const void *)((const char *)limits + f->offset);
}

unsigned cgroup_controllers(const struct cgroup_limits *limits)
{
    unsigned bits = 0;

    for (size_t i = 0; i < LIMIT_FILES; i++) {
        if (limit_of(limits, &limit_files[i]) > 0)
            bits |= 1U << limit_files[i].controller;
    }
    return bits;
}

static int cgroup_write(int folder, const char *file, const char *text)
{
    int fd = openat(folder, file, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    int err = errno;

    if (fd >= 0)
        close(fd);
    errno = err;
    return n < 0 ? -1 : 0;
}

/* What is in a small file; "" when it is not there. */
static void cgroup_read(int folder, const char *file, char *text, size_t size)
{
    int fd = openat(folder, file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* 0, or -1 with errno. */
static int set_limits(int folder, const struct cgroup_limits *limits)
{
    char text[48];

    for (size_t i = 0; i < LIMIT_FILES; i++) {
        const struct limit_file *f = &limit_files[i];
        uint64_t value = limit_of(limits, f);

        if (value == 0)
            continue;
        snprintf(text, sizeof text, "%ju%s", (uintmax_t)value, f->more);
        if (cgroup_write(folder, f->file, text) < 0)
            return -1;
    }
    if (limits->memory_max == 0)
        return 0;
    (void)cgroup_write(folder, "memory.swap.max", "0"); /* not there without swap accounting */
    return cgroup_write(folder, "memory.oom.group", "1");
}

/* The word stands in the list. */
static bool cgroup_has_word(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = strstr(list, word); p != NULL; p = strstr(p + 1, word)) {
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
            return true;
    }
    return false;
}

/* The first of them that the folder has not; NULL: it has all. */
static const char *missing(int folder, unsigned bits)
{
    char have[256];

    cgroup_read(folder, "cgroup.controllers", have, sizeof have);
    for (size_t i = 0; i < CONTROLLERS; i++) {
        if ((bits >> i & 1) && !cgroup_has_word(have, controllers[i]))
            return controllers[i];
    }
    return NULL;
}

static void tell_missing(char error[CGROUPS_ERROR_MAX], const char *name)
{
    snprintf(
        error, CGROUPS_ERROR_MAX,
        "cgroup: there is no controller \"%s\" where our control groups are; the group above "
        "must hand it down (a unit: Delegate=yes, or Delegate=%s; else cgroup.subtree_control), "
        "and no hierarchy of version 1 may have it",
        name, name);
}

/* ---- where */

/* The second field of the line of /proc/self/mountinfo that is a cgroup2: where it is mounted. */
static bool find_mount(char path[PATH_MAX])
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[PATH_MAX + 512];
    bool found = false;

    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL)
        found =
            strstr(line, " - cgroup2 ") != NULL && sscanf(line, "%*s %*s %*s / %4095s", path) == 1;
    if (f != NULL)
        fclose(f);
    return found;
}

/* Where we are in it, "" for its root; false when not at all. */
static bool find_own(char path[PATH_MAX])
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX + 8];
    bool found = false;

    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL)
        found = strncmp(line, "0::/", 4) == 0;
    if (f != NULL)
        fclose(f);
    if (!found)
        return false;
    line[strcspn(line, "\n")] = '\0';
    size_t n = line[4] != '\0' ? strlen(line + 3) : 0;
    if (n >= PATH_MAX)
        return false;
    memcpy(path, line + 3, n);
    path[n] = '\0';
    return true;
}

/* The group that we were started in; where that is a "server", our predecessor's, what is above. */
static bool find_auto(char path[PATH_MAX], char error[CGROUPS_ERROR_MAX])
{
    char mount[PATH_MAX], own[PATH_MAX], *last;

    if (!find_mount(mount) || !find_own(own)) {
        cgroup_fault(error, "auto", "no control groups of version 2 are mounted here");
        return false;
    }
    last = strrchr(own, '/');
    if (last != NULL && strcmp(last, "/server") == 0)
        *last = '\0';
    if (own[0] == '\0') {
        cgroup_fault(error, "auto",
                     "we are in the system's root group; start as a unit with Delegate=yes, or "
                     "name a folder that is ours alone");
        return false;
    }
    if (strlen(mount) + strlen(own) >= PATH_MAX) {
        cgroup_fault(error, "auto", strerror(ENAMETOOLONG));
        return false;
    }
    snprintf(path, PATH_MAX, "%s", mount);
    strcat(path, own);
    return true;
}

/* The folder itself, opened; -1 with error. */
static int open_where(const char *where, char error[CGROUPS_ERROR_MAX])
{
    char path[PATH_MAX];
    struct statfs fs;
    int fd;

    if (strcmp(where, "auto") == 0 ? !find_auto(path, error)
                                   : snprintf(path, sizeof path, "%s", where) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        cgroup_fault(error, path, strerror(errno));
        return -1;
    }
    if (fstatfs(fd, &fs) == 0 && fs.f_type == MAGIC && faccessat(fd, "cgroup.kill", F_OK, 0) == 0)
        return fd;
    cgroup_fault(error, path,
                 fs.f_type != MAGIC ? "it is no folder of control groups of version 2 (cgroup2)"
                                    : "the root group cannot be used, nor a kernel before Linux "
                                      "5.14");
    close(fd);
    return -1;
}

static const char *advice(int err)
{
    switch (err) {
    case EROFS:
        return "read-only here: a unit needs ProtectControlGroups=no, a container its control "
               "groups writable";
    case EACCES:
    case EPERM:
        return "not ours to use: a unit needs Delegate=yes; else start as root, or give us the "
               "folder and the cgroup.procs in it and in the folder above that we start in";
    case EBUSY:
        return "other processes are in that group itself; name a folder that is ours alone";
    default:
        return strerror(err);
    }
}

bool cgroups_judge(const char *where, unsigned bits, char error[CGROUPS_ERROR_MAX])
{
    int fd = open_where(where, error), err = 0;

    if (fd < 0)
        return false;
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ||
        faccessat(fd, "cgroup.procs", W_OK, AT_EACCESS) < 0)
        err = errno;
    const char *lacks = err == 0 ? missing(fd, bits) : NULL;
    close(fd);
    if (err != 0)
        cgroup_fault(error, where, advice(err));
    if (lacks != NULL)
        tell_missing(error, lacks);
    return err == 0 && lacks == NULL;
}

/* ---- opening */

/* Made, or there already. */
static int open_folder(int base, const char *name)
{
    if (mkdirat(base, name, 0755) < 0 && errno != EEXIST)
        return -1;
    return openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What somebody needs who makes groups below and starts processes in them from "server". */
static int cgroup_give(const struct cgroups *g, uid_t uid)
{
    if (uid == geteuid())
        return 0;
    if (fchownat(g->base, "cgroup.procs", uid, (gid_t)-1, 0) < 0 ||
        fchownat(g->base, "cgroup.subtree_control", uid, (gid_t)-1, 0) < 0 ||
        fchown(g->programs, uid, (gid_t)-1) < 0 ||
        fchownat(g->programs, "cgroup.subtree_control", uid, (gid_t)-1, 0) < 0)
        return -1;
    return fchownat(g->programs, "cgroup.procs", uid, (gid_t)-1, 0);
}

/* That process is one of "server". */
static bool serves(const struct cgroups *g, long pid)
{
    int fd = openat(g->server, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "re") : NULL;
    bool found = false;
    long one;

    while (f != NULL && !found && fscanf(f, "%ld", &one) == 1)
        found = one == pid;
    if (f != NULL)
        fclose(f);
    return found;
}

/* Removes all below, and then itself: 0, or -1 with errno. */
static int remove_tree(int folder, const char *name, unsigned depth)
{
    int fd;
    DIR *dir;
    const struct dirent *e;

    if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY || depth == 0)
        return -1;
    fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (e->d_type == DT_DIR && e->d_name[0] != '.' && remove_tree(fd, e->d_name, depth - 1) < 0)
            break;
    }
    if (dir != NULL)
        closedir(dir);
    return unlinkat(folder, name, AT_REMOVEDIR);
}

static void kill_named(const struct cgroups *g, const char *name)
{
    int fd = openat(g->programs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)cgroup_write(fd, "cgroup.kill", "1");
    close(fd);
}

/* Ends all groups of our own (else: of servers that are no more). How many are still there. */
static unsigned sweep(const struct cgroups *g, bool own)
{
    int fd = openat(g->programs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *e;
    unsigned left = 0;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);

        if (e->d_type != DT_DIR || *end != '-' || pid <= 0 || (pid == g->pid) != own ||
            (!own && serves(g, pid)))
            continue;
        kill_named(g, e->d_name);
        left += remove_tree(g->programs, e->d_name, DEPTH) != 0;
    }
    if (dir != NULL)
        closedir(dir);
    return left;
}

/* Those that were killed need a moment. */
static void sweep_all(const struct cgroups *g, bool own)
{
    const struct timespec hundredth = {.tv_nsec = 10000000};

    for (int i = 0; i < CLOSE_WAIT && sweep(g, own) > 0; i++)
        (void)nanosleep(&hundredth, NULL);
}

static void release_folders(struct cgroups *g)
{
    const int fds[] = {g->base, g->server, g->programs};

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(g);
}

struct cgroups *cgroups_open(const char *where, uid_t uid, char error[CGROUPS_ERROR_MAX])
{
    struct cgroups *g = calloc(1, sizeof *g);
    char pid[16];

    if (g == NULL)
        return cgroup_fault(error, where, strerror(ENOMEM));
    g->base = open_where(where, error);
    if (g->base < 0) {
        free(g);
        return NULL;
    }
    g->pid = getpid();
    snprintf(pid, sizeof pid, "%d", (int)g->pid);
    g->server = open_folder(g->base, "server");
    g->programs = open_folder(g->base, "programs");
    if (g->server >= 0 && g->programs >= 0 && cgroup_write(g->server, "cgroup.procs", pid) == 0 &&
        cgroup_give(g, uid) == 0) {
        sweep_all(g, true); /* of one that had our number, in a container say */
        sweep_all(g, false);
        return g;
    }
    cgroup_fault(error, where, advice(errno));
    release_folders(g);
    return NULL;
}

bool cgroups_enable(struct cgroups *g, unsigned bits, char error[CGROUPS_ERROR_MAX])
{
    const char *lacks = missing(g->base, bits);
    char word[16];

    if (lacks != NULL) {
        tell_missing(error, lacks);
        return false;
    }
    for (size_t i = 0; i < CONTROLLERS; i++) {
        snprintf(word, sizeof word, "+%s", controllers[i]);
        if (!(bits >> i & 1) || (missing(g->programs, 1U << i) == NULL &&
                                 cgroup_write(g->programs, "cgroup.subtree_control", word) == 0))
            continue;
        if (cgroup_write(g->base, "cgroup.subtree_control", word) == 0 &&
            cgroup_write(g->programs, "cgroup.subtree_control", word) == 0)
            continue;
        cgroup_fault(error, controllers[i], advice(errno));
        return false;
    }
    return true;
}

static int ends_at_once(void *arg)
{
    (void)arg;
    return 0;
}

bool cgroups_try(struct cgroups *g, char error[CGROUPS_ERROR_MAX])
{
    _Alignas(16) char stack[16384];
    int fd = -1, pidfd;
    uint32_t number = cgroup_make(g, NULL, &fd);
    pid_t pid = -1;

    if (number != 0)
        pid = child_clone_into(fd, 0, ends_at_once, NULL, stack, sizeof stack, &pidfd);
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (pid > 0) {
        close(pidfd);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (number != 0)
        (void)cgroup_remove(g, number);
    if (pid < 0)
        cgroup_fault(error, "",
                     err == ENOSYS ? "the system call clone3 is refused here; a container "
                                     "needs a seccomp profile that has it"
                                   : advice(err));
    return pid >= 0;
}

void cgroups_close(struct cgroups *g)
{
    if (g == NULL)
        return;
    sweep_all(g, true);
    release_folders(g);
}

/* ---- one group */

static void cgroup_name(const struct cgroups *g, uint32_t number, char name[NAME_MAX_LEN])
{
    snprintf(name, NAME_MAX_LEN, "%d-%u", (int)g->pid, number);
}

uint32_t cgroup_make(struct cgroups *g, const struct cgroup_limits *limits, int *fd)
{
    char name[NAME_MAX_LEN];
    uint32_t number = g->last + 1 != 0 ? g->last + 1 : 1;

    cgroup_name(g, number, name);
    if (mkdirat(g->programs, name, 0755) < 0)
        return 0;
    *fd = openat(g->programs, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 || (limits != NULL && set_limits(*fd, limits) < 0)) {
        int err = errno;

        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        (void)unlinkat(g->programs, name, AT_REMOVEDIR);
        errno = err;
        return 0;
    }
    g->last = number;
    return number;
}

void cgroup_kill(const struct cgroups *g, uint32_t number)
{
    char name[NAME_MAX_LEN];

    cgroup_name(g, number, name);
    kill_named(g, name);
}

bool cgroup_remove(const struct cgroups *g, uint32_t number)
{
    char name[NAME_MAX_LEN];

    cgroup_name(g, number, name);
    return remove_tree(g->programs, name, DEPTH) == 0;
}

uint64_t cgroup_ran_out(const struct cgroups *g, uint32_t number)
{
    char name[NAME_MAX_LEN], events[256], most[32];
    const char *kills;
    int fd;

    cgroup_name(g, number, name);
    fd = openat(g->programs, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    cgroup_read(fd, "memory.events", events, sizeof events);
    cgroup_read(fd, "memory.max", most, sizeof most);
    close(fd);
    kills = strstr(events, "\noom_kill ");
    return kills != NULL && strtoul(kills + strlen("\noom_kill "), NULL, 10) > 0
               ? strtoull(most, NULL, 10)
               : 0;
}
