/* SPDX-License-Identifier: MIT */

/*
 * Floor: the recv+write loop. Blocking, one thread each way: `while ((n = recv()) > 0) write()` and
 * nothing besides, to a service or to a program over pipes. What moving bytes costs without any
 * event loop; the mark for bulk transfers.
 *
 *   floor_relay PORT              to the service at 127.0.0.1:PORT
 *   floor_relay -- COMMAND...     to one process per connection
 */
#include "floor.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct way {
    int from;
    int to;
    uint8_t buffer[FLOOR_BUFFER];
};

struct relay {
    long port;
    char **command;
    int client;
};

static bool write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return true;
}

/* read instead of recv on a pipe; the same for a socket. */
static void copy(struct way *w)
{
    ssize_t n;

    while ((n = read(w->from, w->buffer, sizeof w->buffer)) > 0) {
        if (!write_all(w->to, w->buffer, (size_t)n))
            break;
    }
    if (shutdown(w->to, SHUT_WR) < 0 && errno == ENOTSOCK)
        (void)close(w->to);
}

static void *copy_thread(void *arg)
{
    copy(arg);
    return NULL;
}

static void *session(void *arg)
{
    struct relay *r = arg;
    struct way *ways = calloc(2, sizeof *ways);
    pthread_t up;
    pid_t pid = -1;
    int to;
    int from;

    if (r->port != 0)
        to = from = floor_connect(r->port, false);
    else
        pid = floor_spawn(r->command, &to, &from);
    if (ways == NULL)
        floor_die("calloc");
    ways[0].from = r->client;
    ways[0].to = to;
    ways[1].from = from;
    ways[1].to = r->client;
    if (pthread_create(&up, NULL, copy_thread, &ways[0]) != 0)
        floor_die("pthread_create");
    copy(&ways[1]);
    (void)shutdown(r->client, SHUT_RDWR); /* wakes the other way, if it still reads */
    (void)pthread_join(up, NULL);
    (void)close(r->client);
    (void)close(from);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    free(ways);
    free(r);
    return NULL;
}

int main(int argc, char **argv)
{
    struct relay base = {0};
    int listener;

    if (argc > 2 && strcmp(argv[1], "--") == 0) {
        base.command = argv + 2;
    } else if (argc == 2) {
        base.port = floor_number(argv[1], 1, 65535);
    } else {
        fprintf(stderr, "Usage: floor_relay PORT | floor_relay -- COMMAND...\n");
        return 2;
    }
    listener = floor_listen(0, false);
    for (;;) {
        struct relay *r = malloc(sizeof *r);
        pthread_t thread;

        if (r == NULL)
            floor_die("malloc");
        *r = base;
        r->client = floor_accept(listener, false);
        if (r->client < 0) {
            free(r);
            continue;
        }
        if (pthread_create(&thread, NULL, session, r) != 0 || pthread_detach(thread) != 0)
            floor_die("pthread_create");
    }
}
