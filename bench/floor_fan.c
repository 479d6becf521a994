/* SPDX-License-Identifier: MIT */

/*
 * Floor: one program's output to all who are there. What is read of it is written to every
 * connection, in one loop, and nothing else: the least that a server of many watchers can do. A
 * connection that takes not all of it is dropped.
 *
 *   floor_fan COMMAND...
 */
#include "floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64
#define MOST 65536

struct fan {
    int epoll, listener, program;
    size_t count;
    int conns[MOST];
    uint8_t buffer[FLOOR_BUFFER];
};

static void watch(const struct fan *f, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        floor_die("epoll_ctl");
}

static void accept_all(struct fan *f)
{
    int fd;

    while (f->count < MOST && (fd = floor_accept(f->listener, true)) >= 0)
        f->conns[f->count++] = fd;
}

static void pass_on(struct fan *f)
{
    ssize_t n = read(f->program, f->buffer, sizeof f->buffer);

    if (n <= 0)
        floor_die("the program's end");
    for (size_t i = 0; i < f->count;) {
        if (write(f->conns[i], f->buffer, (size_t)n) == n) {
            i++;
            continue;
        }
        (void)close(f->conns[i]);
        f->conns[i] = f->conns[--f->count];
    }
}

int main(int argc, char **argv)
{
    struct fan *f = calloc(1, sizeof *f);
    struct epoll_event events[EVENTS];

    if (f == NULL)
        floor_die("calloc");
    if (argc < 2) {
        fprintf(stderr, "Usage: floor_fan COMMAND...\n");
        return 2;
    }
    (void)floor_spawn(argv + 1, NULL, &f->program);
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    f->listener = floor_listen(0, true);
    watch(f, f->listener);
    watch(f, f->program);
    for (;;) {
        int n = epoll_wait(f->epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == f->listener)
                accept_all(f);
            else
                pass_on(f);
        }
    }
}
