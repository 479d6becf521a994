/* SPDX-License-Identifier: MIT */

/*
 * Floor: how many programs a second this machine starts. vfork, exec, the first byte over a pipe,
 * wait: without a network, a handshake or a session. Also tells how long vfork held the caller,
 * which is how long a loop stands still for each program.
 *
 *   floor_spawn JOBS SECONDS COMMAND...     prints one JSON object
 */
#include "floor.h"

#include "load_hist.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 256

struct spawner {
    char **command;
    long jobs;
    uint64_t done;
    struct load_hist held; /* time in floor_spawn */
    pid_t pids[JOBS_MAX];
    struct pollfd polls[JOBS_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void start(struct spawner *s, long i)
{
    uint64_t before = now_ns();

    s->pids[i] = floor_spawn(s->command, NULL, &s->polls[i].fd);
    load_hist_add(&s->held, now_ns() - before);
    s->polls[i].events = POLLIN;
}

static void finish(struct spawner *s, long i)
{
    char byte;
    int status;

    if (read(s->polls[i].fd, &byte, 1) != 1) {
        fprintf(stderr, "floor_spawn: %s says nothing\n", s->command[0]);
        exit(1);
    }
    (void)close(s->polls[i].fd);
    s->polls[i].fd = -1;
    if (waitpid(s->pids[i], &status, 0) < 0)
        floor_die("waitpid");
    s->done++;
}

/* Keeps jobs programs running until the end; then waits for the last. */
static void work(struct spawner *s, uint64_t end)
{
    long running = s->jobs;

    for (long i = 0; i < s->jobs; i++)
        start(s, i);
    while (running > 0) {
        if (poll(s->polls, (nfds_t)s->jobs, 10000) <= 0)
            floor_die("poll");
        for (long i = 0; i < s->jobs; i++) {
            if (s->polls[i].fd < 0 || s->polls[i].revents == 0)
                continue;
            finish(s, i);
            if (now_ns() < end)
                start(s, i);
            else
                running--;
        }
    }
}

static double cpu(int who)
{
    struct rusage u;

    (void)getrusage(who, &u); /* cannot fail */
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    struct spawner *s = calloc(1, sizeof *s);
    uint64_t begin;
    double seconds;

    if (s == NULL)
        floor_die("calloc");
    if (argc < 4) {
        fprintf(stderr, "Usage: floor_spawn JOBS SECONDS COMMAND...\n");
        return 2;
    }
    s->jobs = floor_number(argv[1], 1, JOBS_MAX);
    s->command = argv + 3;
    begin = now_ns();
    work(s, begin + (uint64_t)(strtod(argv[2], NULL) * 1e9));
    seconds = (double)(now_ns() - begin) / 1e9;
    printf("{\"messages\":%llu,\"seconds\":%.6f,\"cpu_self\":%.6f,\"cpu_children\":%.6f,"
           "\"held_us\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}}\n",
           (unsigned long long)s->done, seconds, cpu(RUSAGE_SELF), cpu(RUSAGE_CHILDREN),
           (double)load_hist_at(&s->held, 0.5) / 1e3, (double)load_hist_at(&s->held, 0.99) / 1e3,
           (double)s->held.max / 1e3);
    free(s);
    return 0;
}
