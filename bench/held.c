/* SPDX-License-Identifier: MIT */

/*
 * How long the start of a program holds the loop: the server's own child_start, with the signals
 * and the limits that the server has, timed from the call to the return. Beside it the bare
 * vfork+exec of floor_spawn.c in the same process, in turns. All of it again for each amount of
 * memory that the process has touched, because that is what fork would pay for, and of descriptors
 * that it has open, which even vfork copies.
 *
 *   held SECONDS MIB[/DESCRIPTORS],... PROGRAM     a JSON object a line, SECONDS of measuring each
 */
#include "floor.h"
#include "load_hist.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/child/child.h"
#include "io/worker.h"

#define MIB (1024L * 1024)

struct held {
    struct worker w;
    char *argv[2];
    struct load_hist ours, bare;
    bool exited;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_signal(int number)
{
    (void)number;
}

/* As src/server/server.c and src/main.c have them: each costs the child a system call. */
static void set_signals(void)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof handled / sizeof handled[0]; i++)
        (void)signal(handled[i], on_signal);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

static void raise_limit(struct worker *w)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &w->nofile_at_start) != 0)
        floor_die("getrlimit");
    limit = w->nofile_at_start;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void on_exited(void *owner, int status)
{
    struct held *h = owner;

    if (status != 0)
        floor_die("the program's exit");
    h->exited = true;
}

static void read_all(int fd)
{
    char bytes[64];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EAGAIN))
        ;
    (void)close(fd);
}

static void start_ours(struct held *h)
{
    static const struct child_events events = {on_exited};
    const struct child_spec spec = {
        .path = h->argv[0], .argv = h->argv, .envp = environ, .stop_grace = 1, .kill_grace = 1};
    enum child_failure why;
    int fds[3];
    uint64_t before = now_ns();
    struct child *c = child_start(&h->w, &spec, fds, &why, &events, h);

    load_hist_add(&h->ours, now_ns() - before);
    if (c == NULL)
        floor_die("child_start");
    (void)close(fds[0]);
    for (h->exited = false; !h->exited;)
        ev_run(h->w.loop, EVRUN_ONCE);
    read_all(fds[1]);
    read_all(fds[2]);
    child_release(c);
    ev_run(h->w.loop, EVRUN_NOWAIT); /* its memory goes with the turn */
}

static void start_bare(struct held *h)
{
    int out, status;
    uint64_t before = now_ns();
    pid_t pid = floor_spawn(h->argv, NULL, &out);

    load_hist_add(&h->bare, now_ns() - before);
    read_all(out);
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        floor_die("the program's exit");
}

static void print_hist(const char *name, const struct load_hist *hist)
{
    printf("\"%s\":{\"count\":%llu,\"p10\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name,
           (unsigned long long)hist->count, (double)load_hist_at(hist, 0.1) / 1e3,
           (double)load_hist_at(hist, 0.5) / 1e3, (double)load_hist_at(hist, 0.99) / 1e3,
           (double)hist->max / 1e3);
}

/* Small pages, as a heap that has grown has them. */
static void *touch(long mib)
{
    size_t size = (size_t)(mib * MIB);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        floor_die("mmap");
    (void)madvise(p, size, MADV_NOHUGEPAGE); /* refused where there are none anyway */
    memset(p, 1, size);
    return p;
}

/* Copies of stdin until `count` are open, or as many as may be. *count: so many. Returns the first;
 * all above it are free. */
static int open_many(long *count)
{
    int first = dup(STDIN_FILENO), last = first;

    for (int fd = first; fd >= 0 && fd < *count; fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0))
        last = fd;
    *count = last;
    return first;
}

static void measure(struct held *h, long mib, long descriptors, double seconds)
{
    void *memory = touch(mib);
    int first = open_many(&descriptors);
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);

    load_hist_clear(&h->ours);
    load_hist_clear(&h->bare);
    do {
        start_ours(h);
        start_bare(h);
    } while (now_ns() < end);
    printf("{\"touched_mib\":%ld,\"descriptors\":%ld,", mib, descriptors);
    print_hist("ours_us", &h->ours);
    printf(",");
    print_hist("bare_us", &h->bare);
    printf("}\n");
    (void)munmap(memory, (size_t)(mib * MIB));
    if (first >= 0)
        (void)close_range((unsigned)first, ~0U, 0);
}

int main(int argc, char **argv)
{
    struct held *h = calloc(1, sizeof *h);
    char *next;

    if (h == NULL)
        floor_die("calloc");
    if (argc != 4) {
        fprintf(stderr, "Usage: held SECONDS MIB[/DESCRIPTORS],... PROGRAM\n");
        return 2;
    }
    set_signals();
    log_init(&h->w.log, LOG_ERROR, LOG_TEXT);
    if (worker_init(&h->w) != 0)
        floor_die("worker_init");
    raise_limit(&h->w);
    h->argv[0] = argv[3];
    for (char *word = strtok_r(argv[2], ",", &next); word != NULL;
         word = strtok_r(NULL, ",", &next)) {
        char *slash = strchr(word, '/');

        if (slash != NULL)
            *slash++ = '\0';
        measure(h, floor_number(word, 1, 65536),
                slash != NULL ? floor_number(slash, 0, 1000000) : 0, strtod(argv[1], NULL));
    }
    worker_release(&h->w);
    log_release(&h->w.log);
    free(h);
    return 0;
}
