/* SPDX-License-Identifier: MIT */

/*
 * Floor: a bare bridge on libev. TCP to TCP, or TCP to a program over pipes: what comes in on one
 * side is written to the other at once, kept only when that side is full, and reading waits
 * meanwhile.
 *
 *   floor_bridge PORT              to the service at 127.0.0.1:PORT
 *   floor_bridge -- COMMAND...     to one process per connection
 */
#include "floor.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct bridge {
    ev_io watcher; /* the listener */
    ev_signal child;
    long port; /* of the service; 0: a command */
    char **command;
    uint8_t buffer[FLOOR_BUFFER]; /* shared: emptied or copied before the next read */
};

/* One way: from a descriptor to another. */
struct way {
    ev_io in;
    ev_io out;
    struct floor_tail tail;
    struct session *session;
    bool over; /* end of file was passed on */
};

struct session {
    struct way up;   /* client to backend */
    struct way down; /* backend to client */
    struct bridge *bridge;
};

static void end_session(struct ev_loop *loop, struct session *s)
{
    struct way *ways[] = {&s->up, &s->down};

    for (int i = 0; i < 2; i++) {
        ev_io_stop(loop, &ways[i]->in);
        ev_io_stop(loop, &ways[i]->out);
        floor_tail_free(&ways[i]->tail);
    }
    (void)close(s->up.in.fd);
    if (s->up.out.fd >= 0)
        (void)close(s->up.out.fd);
    if (s->down.in.fd != s->up.out.fd && s->down.in.fd >= 0)
        (void)close(s->down.in.fd);
    free(s);
}

static void on_child(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ; /* every program that has ended */
}

/* End of file on one side is end of file on the other; both: the end. A broken side: the end too.
 */
static void pass_eof(struct ev_loop *loop, struct way *w)
{
    struct session *s = w->session;

    w->over = true;
    ev_io_stop(loop, &w->in);
    if (s->up.over && s->down.over) {
        end_session(loop, s);
    } else if (shutdown(w->out.fd, SHUT_WR) < 0) {
        if (errno != ENOTSOCK) {
            end_session(loop, s);
            return;
        }
        ev_io_stop(loop, &w->out);
        (void)close(w->out.fd);
        ev_io_set(&w->out, -1, EV_WRITE);
    }
}

static void on_in(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct way *w = watcher->data;
    uint8_t *buffer = w->session->bridge->buffer;
    ssize_t n = read(watcher->fd, buffer, FLOOR_BUFFER);
    int left;

    (void)events;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n == 0) {
        pass_eof(loop, w);
        return;
    }
    left = n < 0 ? -1 : floor_write(w->out.fd, &w->tail, buffer, (size_t)n);
    if (left < 0) {
        end_session(loop, w->session);
    } else if (left > 0) {
        ev_io_stop(loop, &w->in);
        ev_io_start(loop, &w->out);
    }
}

static void on_out(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct way *w = watcher->data;
    int left = w->tail.len > 0 ? floor_flush(watcher->fd, &w->tail) : 0;

    (void)events;
    if (left < 0) {
        end_session(loop, w->session);
    } else if (left == 0) {
        ev_io_stop(loop, &w->out);
        ev_io_start(loop, &w->in);
    }
}

static void nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        floor_die("fcntl");
}

static void start_way(struct ev_loop *loop, struct session *s, struct way *w, int from, int to)
{
    w->session = s;
    ev_io_init(&w->in, on_in, from, EV_READ);
    ev_io_init(&w->out, on_out, to, EV_WRITE);
    w->in.data = w;
    w->out.data = w;
    if (s->bridge->port != 0 && w == &s->up)
        ev_io_start(loop, &w->out); /* still connecting: writable is when reading may begin */
    else
        ev_io_start(loop, &w->in);
}

static void on_connection(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct bridge *b = watcher->data;
    struct session *s;
    int client = floor_accept(watcher->fd, true);
    int to;
    int from;

    (void)events;
    if (client < 0)
        return;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        floor_die("calloc");
    s->bridge = b;
    if (b->port != 0) {
        to = from = floor_connect(b->port, true);
    } else {
        (void)floor_spawn(b->command, &to, &from); /* reaped by on_child, whoever it is */
        nonblocking(to);
        nonblocking(from);
    }
    start_way(loop, s, &s->up, client, to);
    start_way(loop, s, &s->down, from, client);
}

int main(int argc, char **argv)
{
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    struct bridge *b = calloc(1, sizeof *b);

    if (loop == NULL || b == NULL)
        floor_die("ev_loop_new");
    if (argc > 2 && strcmp(argv[1], "--") == 0) {
        b->command = argv + 2;
    } else if (argc == 2) {
        b->port = floor_number(argv[1], 1, 65535);
    } else {
        fprintf(stderr, "Usage: floor_bridge PORT | floor_bridge -- COMMAND...\n");
        return 2;
    }
    ev_io_init(&b->watcher, on_connection, floor_listen(0, true), EV_READ);
    b->watcher.data = b;
    ev_io_start(loop, &b->watcher);
    ev_signal_init(&b->child, on_child, SIGCHLD);
    ev_signal_start(loop, &b->child);
    ev_run(loop, 0);
    return 0;
}
