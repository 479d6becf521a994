/* SPDX-License-Identifier: MIT */

/*
 * Floor: raw epoll echo. Per message epoll_wait, recv, send, as any WebSocket echo on epoll must do
 * them, and nothing else. With --ws it speaks just enough WebSocket to answer: what framing costs
 * when nothing is checked. Also the TCP service (and with --ws the WebSocket server) behind
 * bridges.
 *
 *   floor_echo [--ws] [PORT]
 */
#include "floor.h"
#include "floor_ws.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

struct conn {
    int fd;
    struct floor_tail tail;
    struct floor_ws ws;
};

struct echo {
    int epoll;
    int listener;
    bool framed;
    uint8_t buffer[FLOOR_WS_ROOM + FLOOR_BUFFER];
};

static void watch(const struct echo *e, struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (epoll_ctl(e->epoll, op, c != NULL ? c->fd : e->listener, &ev) < 0)
        floor_die("epoll_ctl");
}

static void drop(struct conn *c)
{
    (void)close(c->fd);
    floor_tail_free(&c->tail);
    free(c);
}

static void accept_all(const struct echo *e)
{
    int fd;

    while ((fd = floor_accept(e->listener, true)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);

        if (c == NULL)
            floor_die("calloc");
        c->fd = fd;
        watch(e, c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void answer(struct echo *e, struct conn *c, const uint8_t *p, size_t n)
{
    int left = n > 0 ? floor_write(c->fd, &c->tail, p, n) : 0;

    if (left < 0 || c->ws.over)
        drop(c);
    else if (left > 0)
        watch(e, c, EPOLL_CTL_MOD, EPOLLOUT); /* the client reads first */
}

static void serve(struct echo *e, struct conn *c)
{
    uint8_t *in = e->buffer + FLOOR_WS_ROOM;
    ssize_t n;

    if (c->tail.len > 0) {
        int left = floor_flush(c->fd, &c->tail);

        if (left == 0)
            watch(e, c, EPOLL_CTL_MOD, EPOLLIN);
        else if (left < 0)
            drop(c);
        return;
    }
    n = recv(c->fd, in, FLOOR_BUFFER, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(c);
    } else if (e->framed) {
        size_t made = floor_ws_turn(&c->ws, e->buffer, (size_t)n);

        answer(e, c, e->buffer, made);
    } else {
        answer(e, c, in, (size_t)n);
    }
}

static void loop(struct echo *e)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int n = epoll_wait(e->epoll, events, EVENTS, -1);

        if (n < 0 && errno != EINTR)
            floor_die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(e);
            else
                serve(e, events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    struct echo *e = calloc(1, sizeof *e);

    if (e == NULL)
        floor_die("calloc");
    e->framed = argc > 1 && strcmp(argv[1], "--ws") == 0;
    if (argc > 2 + e->framed) {
        fprintf(stderr, "Usage: floor_echo [--ws] [PORT]\n");
        return 2;
    }
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    e->listener =
        floor_listen(argc > 1 + e->framed ? floor_number(argv[argc - 1], 0, 65535) : 0, true);
    watch(e, NULL, EPOLL_CTL_ADD, EPOLLIN);
    loop(e);
}
