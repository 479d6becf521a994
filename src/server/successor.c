/* SPDX-License-Identifier: MIT */
#include "server/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/child/child_attr.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

/* ---- the way there ---- */

/* What we kept for a need, the successor needs, too: execve leaves nothing else to who is not root.
 */
static void pass_capabilities_on(uint64_t caps)
{
    if (caps == 0 || child_caps_set(caps, caps, caps) != 0)
        return; /* it will say what it lacks */
    for (unsigned long cap = 0; cap < 64; cap++) {
        if (caps >> cap & 1)
            (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    }
}

static void successor_keep(int fd)
{
    (void)fcntl(fd, F_SETFD, 0);
}

static void successor_set_number(const char *name, int number)
{
    char text[16];

    snprintf(text, sizeof text, "%d", number);
    (void)setenv(name, text, 1);
}

static void pass_log_on(const struct log *l)
{
    char *text;

    if (l->target != LOG_TO_FILE || l->fd < 0 || asprintf(&text, "%d=%s", l->fd, l->path) < 0)
        return;
    successor_keep(l->fd);
    (void)setenv("WSLUICE_LOG", text, 1);
    free(text);
}

#ifndef WSLUICE_POISON /* the leak sanitizer looks at its own process by ptrace */

static bool copy_all(int from, int to)
{
    ssize_t n;

    do
        n = sendfile(to, from, NULL, 1 << 30);
    while (n > 0);
    return n == 0;
}

/*
 * A copy of the program in memory that its owner may execute and not read; -1: none, or it is a
 * script. The kernel lets nobody of our user trace a process, or open its memory, that runs what we
 * may not read ourselves, and that from execve on: prctl(2) comes milliseconds later, and who
 * opened /proc/PID/mem before keeps it. Where programs are nobody but us the one who installs us
 * can have that cheaper, by mode 0711; we cannot rely on it.
 */
static int unreadable_copy(const char *program)
{
    int from = open(program, O_RDONLY | O_CLOEXEC), to = -1;
    char magic[4];

    if (from >= 0 && pread(from, magic, sizeof magic, 0) == sizeof magic &&
        memcmp(magic, "\177ELF", sizeof magic) == 0) {
        to = memfd_create("wsluice", MFD_CLOEXEC | MFD_EXEC);
        if (to < 0 && errno == EINVAL)
            to = memfd_create("wsluice", MFD_CLOEXEC);
    }
    if (to >= 0 && (!copy_all(from, to) || fchmod(to, 0111) != 0)) {
        close(to);
        to = -1;
    }
    if (from >= 0)
        close(from);
    return to;
}

#else

static int unreadable_copy(const char *program)
{
    (void)program;
    return -1;
}

#endif

/* Returns only when the program cannot be executed, with errno. copy: of it, or -1. */
static void execute(const char *program, char *const *argv, int copy)
{
    if (copy >= 0) {
        (void)setenv("WSLUICE_PROGRAM", program, 1);
        (void)execveat(copy, "", argv, environ, AT_EMPTY_PATH);
        (void)unsetenv("WSLUICE_PROGRAM"); /* a rule of this machine may be against it */
    }
    (void)execv(program, argv);
}

void successor_become(const struct worker *w, const char *program, char *const *argv,
                      const struct listeners *set, const char *sockets, int word)
{
    const struct rlimit *limit = &w->nofile_at_start;
    int copy = geteuid() != 0 ? unreadable_copy(program) : -1; /* root reads all */
    sigset_t none;

    successor_set_number("WSLUICE_GROUP", getpgid(getppid())); /* ours may be new already */
    (void)setpgid(0, 0); /* so that what it starts can be ended with it */
    for (const struct listener *l = set->first; l != NULL; l = l->next)
        successor_keep(l->fd);
    if (set->admin != NULL)
        successor_keep(set->admin->fd);
    (void)setenv("WSLUICE_PASSED", sockets, 1);
    successor_set_number("WSLUICE_READY", word);
    pass_log_on(&w->log);
    if (getenv("WATCHDOG_PID") != NULL) /* the service manager's watchdog is its to feed now */
        successor_set_number("WATCHDOG_PID", getpid());
    if (limit->rlim_max != 0)
        (void)setrlimit(RLIMIT_NOFILE, limit);
    if (w->as_at_start.rlim_max != 0)
        (void)setrlimit(RLIMIT_AS, &w->as_at_start);
    pass_capabilities_on(w->caps);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    successor_keep(word);
    execute(program, argv, copy);
    (void)dprintf(word, "E%d", errno);
    _exit(127);
}

/* ---- having come there ---- */

static int take_number(const char *name)
{
    const char *text = getenv(name);
    int number = text != NULL ? (int)strtol(text, NULL, 10) : -1;

    (void)unsetenv(name);
    return number;
}

/* Names in lists of processes come from the file that was executed, and a copy's is a number. */
static char *told_program(void)
{
    const char *told = getenv("WSLUICE_READY") != NULL ? getenv("WSLUICE_PROGRAM") : NULL;
    char *program = told != NULL ? strdup(told) : NULL;

    (void)unsetenv("WSLUICE_PROGRAM");
    if (program != NULL) {
        const char *slash = strrchr(program, '/');

        (void)prctl(PR_SET_NAME, slash != NULL ? slash + 1 : program);
    }
    return program;
}

char *successor_program(const char *argv0)
{
    char path[4096], *told = told_program();
    ssize_t n = told == NULL ? readlink("/proc/self/exe", path, sizeof path - 1) : 0;

    if (told != NULL)
        return told;
    if (n <= 0)
        return strdup(argv0);
    path[n] = '\0';
    return strdup(path);
}

int successor_log(const char *path)
{
    const char *text = getenv("WSLUICE_LOG");
    char *name;
    int fd = text != NULL ? (int)strtol(text, &name, 10) : -1;

    if (fd <= STDERR_FILENO || *name != '=' || strcmp(name + 1, path) != 0)
        return -1;
    (void)unsetenv("WSLUICE_LOG");
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

static void close_log(void)
{
    int fd = take_number("WSLUICE_LOG");

    if (fd > STDERR_FILENO)
        close(fd);
}

static void write_word(int fd, const struct passed *p)
{
    char word[SUCCESSOR_WORD_MAX] = "1:";
    size_t n = 2;

    for (size_t i = 0; i < p->count && n < sizeof word; i++) {
        if (p->sockets[i].taken)
            n += (size_t)snprintf(word + n, sizeof word - n, " %d", p->sockets[i].fd);
    }
    if (n >= sizeof word) /* hundreds: then all of them */
        n = 1;
    (void)!write(fd, word, n); /* a predecessor that is gone needs no word */
}

void successor_ready(const struct passed *p)
{
    int group = take_number("WSLUICE_GROUP"), fd = take_number("WSLUICE_READY");

    close_log();
    if (fd <= STDERR_FILENO)
        return;
    (void)setpgid(0, group); /* keys of the terminal reach us again */
    write_word(fd, p);
    close(fd);
}
