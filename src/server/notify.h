/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_SERVER_NOTIFY_H
#define WSLUICE_SERVER_NOTIFY_H

/*
 * Telling the service manager how we are: the datagrams of sd_notify(3), which are a line of text
 * to the socket $NOTIFY_SOCKET. Everything is silent when there is no such variable, and never
 * blocks.
 */

#include "io/worker.h"

struct notify {
    struct ev_loop *loop;
    int fd;            /* -1: nobody to tell */
    ev_timer watchdog; /* feeds WATCHDOG=1 twice within $WATCHDOG_USEC, from the loop: so it stops
                          when the loop does */
};

void notify_open(struct notify *n, struct ev_loop *loop);
/* One message, e.g. "READY=1\nSTATUS=..."; printf-like. */
void notify_send(const struct notify *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void notify_close(struct notify *n);

#endif
