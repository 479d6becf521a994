/* SPDX-License-Identifier: MIT */
#include "server/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 512

static int notify_connect_to(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    int fd;

    if (n < 2 || n >= sizeof sun.sun_path || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(sun.sun_path, path, n);
    if (path[0] == '@')
        sun.sun_path[0] = '\0'; /* the abstract namespace */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&sun,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;

    notify_send(timer->data, "WATCHDOG=1");
}

/* Seconds between two feedings; 0: no watchdog. */
static double watchdog_interval(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != getpid()))
        return 0;
    return strtod(usec, NULL) / 1e6 / 2;
}

void notify_open(struct notify *n, struct ev_loop *loop)
{
    const char *path = getenv("NOTIFY_SOCKET");
    double interval = watchdog_interval();

    n->loop = loop;
    n->fd = path != NULL ? notify_connect_to(path) : -1;
    ev_timer_init(&n->watchdog, on_watchdog, interval, interval);
    n->watchdog.data = n;
    if (n->fd < 0 || interval <= 0)
        return;
    ev_timer_start(loop, &n->watchdog);
    ev_unref(loop);
}

void notify_send(const struct notify *n, const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list args;
    int len;

    if (n->fd < 0)
        return;
    va_start(args, format);
    len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (len > 0) /* a manager that does not listen is no trouble of ours */
        (void)send(n->fd, message, (size_t)len < sizeof message ? (size_t)len : sizeof message - 1,
                   MSG_NOSIGNAL);
}

void notify_close(struct notify *n)
{
    if (n->fd < 0)
        return;
    if (ev_is_active(&n->watchdog)) {
        ev_ref(n->loop);
        ev_timer_stop(n->loop, &n->watchdog);
    }
    close(n->fd);
    n->fd = -1;
}
