/* SPDX-License-Identifier: MIT */
#include "io/child/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
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
    int server, programs; /* folders */
    pid_t pid;            /* in the names */
    uint32_t last;        /* number */
};

static void *cgroup_fault(char error[CGROUPS_ERROR_MAX], const char *what, const char *why)
{
    snprintf(error, CGROUPS_ERROR_MAX, "cgroup %.200s: %s", what, why);
    return NULL;
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

bool cgroups_judge(const char *where, char error[CGROUPS_ERROR_MAX])
{
    int fd = open_where(where, error), err = 0;

    if (fd < 0)
        return false;
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ||
        faccessat(fd, "cgroup.procs", W_OK, AT_EACCESS) < 0)
        err = errno;
    close(fd);
    if (err != 0)
        cgroup_fault(error, where, advice(err));
    return err == 0;
}

/* ---- opening */

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

/* Made, or there already. */
static int open_folder(int base, const char *name)
{
    if (mkdirat(base, name, 0755) < 0 && errno != EEXIST)
        return -1;
    return openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What somebody needs who makes groups below and starts processes in them from "server". */
static int cgroup_give(int base, const struct cgroups *g, uid_t uid)
{
    if (uid == geteuid())
        return 0;
    if (fchownat(base, "cgroup.procs", uid, (gid_t)-1, 0) < 0 ||
        fchown(g->programs, uid, (gid_t)-1) < 0)
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

struct cgroups *cgroups_open(const char *where, uid_t uid, char error[CGROUPS_ERROR_MAX])
{
    int base = open_where(where, error);
    struct cgroups *g = base >= 0 ? calloc(1, sizeof *g) : NULL;
    char pid[16];

    if (g == NULL)
        return NULL;
    g->pid = getpid();
    snprintf(pid, sizeof pid, "%d", (int)g->pid);
    g->server = open_folder(base, "server");
    g->programs = open_folder(base, "programs");
    bool ok = g->server >= 0 && g->programs >= 0 &&
              cgroup_write(g->server, "cgroup.procs", pid) == 0 && cgroup_give(base, g, uid) == 0;
    int err = errno;
    close(base);
    if (ok) {
        sweep_all(g, true); /* of one that had our number, in a container say */
        sweep_all(g, false);
        return g;
    }
    if (g->server >= 0)
        close(g->server);
    if (g->programs >= 0)
        close(g->programs);
    free(g);
    return cgroup_fault(error, where, advice(err));
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
    uint32_t number = cgroup_make(g, &fd);
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
    close(g->server);
    close(g->programs);
    free(g);
}

/* ---- one group */

static void cgroup_name(const struct cgroups *g, uint32_t number, char name[NAME_MAX_LEN])
{
    snprintf(name, NAME_MAX_LEN, "%d-%u", (int)g->pid, number);
}

uint32_t cgroup_make(struct cgroups *g, int *fd)
{
    char name[NAME_MAX_LEN];
    uint32_t number = g->last + 1 != 0 ? g->last + 1 : 1;

    cgroup_name(g, number, name);
    if (mkdirat(g->programs, name, 0755) < 0)
        return 0;
    *fd = openat(g->programs, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) {
        int err = errno;

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
