/* SPDX-License-Identifier: MIT */
#include "io/connect.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/resolve.h"

#define NEXT_ATTEMPT 0.25 /* RFC 8305, section 5: "Connection Attempt Delay" */
#define LOOKUP_SHARE                                                             \
    0.75 /* of the time for all: what is left is enough for a second SYN, of 5 s \
          */
#define KEEPALIVE_MAX 32767 /* seconds, Linux's limit */
#define UNIX_RETRY \
    0.02 /* a Unix listener whose queue is full gives no event when it has room again */

struct attempt {
    ev_io io;
    int fd; /* -1 when over */
};

struct connect {
    struct worker *worker;
    const struct connect_events *events;
    void *owner;
    struct resolve *question; /* while the name is being resolved */
    ev_timer deadline;        /* of the lookup, then of all */
    ev_timer pace;            /* to the next attempt */
    ev_tstamp timeout, until; /* seconds; worker time */
    size_t n, begun;          /* addresses; attempts begun, in their order */
    size_t alive;             /* attempts under way */
    enum connect_failure why; /* of the last failure */
    char what[256];
    struct reap reap;
    union addr addrs[RESOLVE_MAX];
    struct attempt attempts[RESOLVE_MAX];
    bool is_unix;
    uint16_t port;
    char text[]; /* host or path */
};

/* ---- ending */

static void free_connect(struct reap *r)
{
    free((char *)r - offsetof(struct connect, reap));
}

static void end_attempt(struct connect *c, struct attempt *a)
{
    if (a->fd < 0)
        return;
    ev_io_stop(c->worker->loop, &a->io);
    (void)close(a->fd); /* nothing was sent */
    a->fd = -1;
    c->alive--;
}

void connect_cancel(struct connect *c)
{
    if (c->question)
        resolve_cancel(c->question);
    c->question = NULL;
    ev_timer_stop(c->worker->loop, &c->deadline);
    ev_timer_stop(c->worker->loop, &c->pace);
    for (size_t i = 0; i < c->begun; i++)
        end_attempt(c, &c->attempts[i]);
    worker_reap(c->worker, &c->reap);
}

static void connect_fail(struct connect *c)
{
    connect_cancel(c);
    c->events->failed(c->owner, c->why, c->what);
}

static void win(struct connect *c, struct attempt *a)
{
    union addr addr = c->addrs[a - c->attempts];
    int fd = a->fd;

    ev_io_stop(c->worker->loop, &a->io);
    a->fd = -1;
    c->alive--;
    connect_cancel(c);
    c->events->connected(c->owner, fd, &addr);
}

static void note_failure(struct connect *c, size_t i, int err)
{
    char text[ADDR_TEXT_MAX];

    c->why = worker_is_shortage(err) ? CONNECT_NO_RESOURCES
             : err == ETIMEDOUT      ? CONNECT_TIMEOUT
                                     : CONNECT_REFUSED;
    (void)snprintf(c->what, sizeof c->what, "%.128s: %s",
                   c->is_unix ? c->text : addr_format(&c->addrs[i], text), strerror(err));
}

/* ---- attempts */

static void pace_in(struct connect *c, ev_tstamp seconds)
{
    ev_timer_stop(c->worker->loop, &c->pace);
    ev_timer_set(&c->pace, seconds, 0.);
    ev_timer_start(c->worker->loop, &c->pace);
}

/* Address and length of a Unix socket; 0 when the path is too long. */
static socklen_t unix_address(const char *path, struct sockaddr_un *un)
{
    size_t len = strlen(path);

    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    if (len == 0 || len >= sizeof un->sun_path)
        return 0;
    memcpy(un->sun_path, path, len);
    if (path[0] != '@')
        return sizeof *un;
    un->sun_path[0] = '\0'; /* abstract: every byte counts, so no padding */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int connect_unix(int fd, const char *path)
{
    struct sockaddr_un un;
    socklen_t len = unix_address(path, &un);

    if (len == 0) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return connect(fd, (const struct sockaddr *)&un, len);
}

static int connect_inet(int fd, const union addr *addr)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return -1;
    return connect(fd, &addr->sa, addr_len(addr));
}

static int whole_seconds(ev_tstamp seconds)
{
    return seconds < 1 ? 1 : seconds > KEEPALIVE_MAX ? KEEPALIVE_MAX : (int)seconds;
}

void connect_mind(int fd, ev_tstamp seconds)
{
    int on = 1, idle = whole_seconds(seconds / 2), pause = whole_seconds(seconds / 8);
    unsigned patience = (unsigned)(seconds * 1000);

    if (seconds <= 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &pause, sizeof pause);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* A nonblocking socket on its way to address i; -1 with errno. */
static int open_attempt(struct connect *c, size_t i)
{
    const union addr *addr = &c->addrs[i];
    int fd = worker_socket(c->worker, addr->sa.sa_family, SOCK_STREAM);
    int r, saved;

    if (fd < 0)
        return -1;
    r = c->is_unix ? connect_unix(fd, c->text) : connect_inet(fd, addr);
    if (r == 0 || errno == EINPROGRESS || errno == EINTR)
        return fd; /* also a connection that stands already is told by the loop */
    saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

/*
 * A port of ours on the way out can be, by chance, the very port asked for when nobody listens
 * there on this host: then TCP connects the socket to itself.
 */
static bool is_own_echo(int fd, const union addr *addr)
{
    union addr own;
    socklen_t len = sizeof own;

    memset(&own, 0, sizeof own);
    if (addr->sa.sa_family == AF_UNIX || getsockname(fd, &own.sa, &len) != 0)
        return false;
    if (addr_port(&own) != addr_port(addr) || own.sa.sa_family != addr->sa.sa_family)
        return false;
    return addr->sa.sa_family == AF_INET
               ? own.v4.sin_addr.s_addr == addr->v4.sin_addr.s_addr
               : memcmp(&own.v6.sin6_addr, &addr->v6.sin6_addr, sizeof own.v6.sin6_addr) == 0;
}

static void next_attempt(struct connect *c);

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct connect *c = io->data;
    struct attempt *a = (struct attempt *)((char *)io - offsetof(struct attempt, io));
    size_t i = (size_t)(a - c->attempts);
    int err = 0;
    socklen_t len = sizeof err;
    (void)loop;

    if (revents & EV_ERROR) /* epoll refused it: nothing more would come of it */
        err = ENOMEM;
    else if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    if (err == 0 && is_own_echo(a->fd, &c->addrs[i]))
        err = ECONNREFUSED;
    if (err == 0) {
        win(c, a);
        return;
    }
    note_failure(c, i, err);
    end_attempt(c, a);
    next_attempt(c);
}

/* Begins attempts until one is under way. When none is and none is left, the race is lost. From the
 * loop only. */
static void next_attempt(struct connect *c)
{
    ev_timer_stop(c->worker->loop, &c->pace);
    while (c->begun < c->n) {
        struct attempt *a = &c->attempts[c->begun];

        a->fd = open_attempt(c, c->begun);
        if (a->fd < 0 && errno == EAGAIN && c->is_unix) {
            pace_in(c, UNIX_RETRY);
            return;
        }
        c->begun++;
        if (a->fd < 0) {
            note_failure(c, c->begun - 1, errno);
            continue;
        }
        c->alive++;
        ev_io_init(&a->io, on_writable, a->fd, EV_WRITE);
        a->io.data = c;
        ev_io_start(c->worker->loop, &a->io);
        if (c->begun < c->n)
            pace_in(c, NEXT_ATTEMPT);
        return;
    }
    if (c->alive == 0)
        connect_fail(c);
}

static void on_pace(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    next_attempt(timer->data);
}

static void connect_on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct connect *c = timer->data;
    (void)loop;
    (void)revents;

    c->why = CONNECT_TIMEOUT;
    if (c->question)
        (void)snprintf(c->what, sizeof c->what,
                       "%.128s: no name server has answered within %.1f s, three quarters of the "
                       "time for connecting",
                       c->text, c->timeout * LOOKUP_SHARE);
    else
        (void)snprintf(c->what, sizeof c->what, "timed out after %.1f s", c->timeout);
    connect_fail(c);
}

static void set_deadline(struct connect *c, ev_tstamp seconds)
{
    ev_timer_stop(c->worker->loop, &c->deadline);
    ev_timer_set(&c->deadline, seconds > 0 ? seconds : 0, 0.);
    ev_timer_start(c->worker->loop, &c->deadline);
}

static void connect_on_resolved(void *owner, const union addr *addrs, size_t n, const char *why)
{
    struct connect *c = owner;

    c->question = NULL;
    if (n == 0) {
        c->why = CONNECT_NO_NAME;
        (void)snprintf(c->what, sizeof c->what, "%.128s: %.100s", c->text, why);
        connect_fail(c);
        return;
    }
    set_deadline(c, c->until - worker_time(c->worker));
    memcpy(c->addrs, addrs, n * sizeof *addrs);
    c->n = n;
    next_attempt(c);
}

/* ---- starting */

static struct connect *new_connect(struct worker *w, const struct connect_spec *spec)
{
    const char *text = spec->host ? spec->host : spec->unix_path;
    size_t len = strlen(text);
    struct connect *c = calloc(1, sizeof *c + len + 1);

    if (!c)
        return NULL;
    memcpy(c->text, text, len);
    c->worker = w;
    c->is_unix = spec->host == NULL;
    c->port = spec->port;
    c->timeout = spec->timeout;
    c->until = worker_time(w) + spec->timeout;
    c->reap.release = free_connect;
    ev_timer_init(&c->deadline, connect_on_deadline, 0., 0.);
    ev_timer_init(&c->pace, on_pace, 0., 0.);
    c->deadline.data = c->pace.data = c;
    return c;
}

struct connect *connect_start(struct worker *w, const struct connect_spec *spec,
                              const struct connect_events *events, void *owner)
{
    struct connect *c = new_connect(w, spec);

    if (!c)
        return NULL;
    c->events = events;
    c->owner = owner;
    if (c->is_unix) {
        c->addrs[0].sa.sa_family = AF_UNIX;
        c->n = 1;
    } else if (addr_parse_host(slice_from(c->text), c->port, &c->addrs[0])) {
        c->n = 1;
    } else {
        c->question = resolve_start(w, c->text, c->port, connect_on_resolved, c);
        if (!c->question) {
            free(c);
            return NULL;
        }
    }
    set_deadline(c, c->question ? c->timeout * LOOKUP_SHARE : c->timeout);
    /* The first attempt may fail at once, and that must not be told from in here. */
    if (!c->question)
        pace_in(c, 0.);
    return c;
}
