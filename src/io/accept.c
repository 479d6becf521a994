/* SPDX-License-Identifier: MIT */
#include "io/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/memory.h"
#include "io/listen_name.h"

#define ACCEPT_BUDGET 64    /* connections a turn: established sessions get theirs */
#define ACCEPT_PAUSE 0.25   /* seconds without accepting when something ran out */
#define COMPLAINT_EVERY 1.0 /* seconds between log lines about it */
#define BACKLOG 4096        /* the kernel cuts it to net.core.somaxconn */

static void listener_pause(struct listener *l, int err)
{
    struct worker *w = l->worker;

    l->failures++;
    w->accept_pauses++;
    if (w->now - l->last_complaint >= COMPLAINT_EVERY) {
        log_line(&w->log, LOG_WARN, "cannot accept connections, trying again",
                 LOG_C("listener", l->url), LOG_C("reason", strerror(err)),
                 LOG_I("times", l->failures));
        l->last_complaint = w->now;
        l->failures = 0;
    }
    ev_io_stop(w->loop, &l->readable);
    ev_timer_stop(w->loop, &l->resume);
    ev_timer_set(&l->resume, ACCEPT_PAUSE, 0);
    ev_timer_start(w->loop, &l->resume);
}

/*
 * A connection that got one of the last descriptors. Those are for what is opened for clients, so
 * others that have asked for nothing go, and it moves down to the place of one of them. Where there
 * are none it keeps what it has, and the next waits.
 */
static int settle(struct listener *l, int fd)
{
    int lower;

    if (l->uses_reserve || fd < l->worker->client_fds)
        return fd;
    l->crowded = !worker_make_room(l->worker, EMFILE);
    lower = l->crowded ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (lower < 0)
        return fd;
    close(fd);
    return lower;
}

/* The descriptor that the next connection gets; INT_MAX: none. */
static int lowest_free(const struct listener *l)
{
    int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return INT_MAX;
    close(fd);
    return fd;
}

/* There is a descriptor for a connection, or may be. */
static bool has_place(const struct listener *l)
{
    return lowest_free(l) < l->worker->client_fds || worker_make_room(l->worker, EMFILE);
}

static void on_resume(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct listener *l = timer->data;
    (void)revents;

    l->crowded = l->crowded && !has_place(l);
    if (l->crowded)
        listener_pause(l, EMFILE);
    else
        ev_io_start(loop, &l->readable);
}

/* False: nothing more is accepted in this turn. */
static bool accept_one(struct listener *l)
{
    union addr client = {0};
    socklen_t len = sizeof client;
    int fd = accept4(l->fd, &client.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && worker_is_shortage(errno)) {
        int err = errno;

        if (worker_make_room(l->worker, err))
            return true; /* there was one to accept, so now it is tried again */
        listener_pause(l, err);
        return false;
    }
    if (fd < 0) /* anything else concerns the one connection only (accept(2), "Error handling") */
        return errno != EAGAIN && errno != EWOULDBLOCK;
    if (l->unix_path != NULL)
        client.sa.sa_family = AF_UNIX;
    addr_unmap(&client);
    fd = settle(l, fd);
    if (fd > l->worker->highest_fd)
        l->worker->highest_fd = fd;
    l->accepted(l, fd, &client);
    if (l->crowded)
        listener_pause(l, EMFILE);
    return !l->crowded;
}

/* How many may be accepted now: who is let in must not be the one whose memory the others lack. The
 * operator may come at any time. Where memory is in pieces, one may take the place of one that has
 * left: for it the loop has all that it needs. */
static int allowance(struct listener *l)
{
    struct worker *w = l->worker;

    if (l->uses_reserve || worker_has_memory(w))
        return ACCEPT_BUDGET;
    if (lowest_free(l) < w->highest_fd && memory_is_there_in_pieces())
        return 1;
    if (worker_make_room(w, ENOMEM) && memory_is_there_in_pieces())
        return 1;
    listener_pause(l, ENOMEM);
    return 0;
}

static void accept_on_readable(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct listener *l = watcher->data;
    rlim_t before;
    (void)loop;

    if (revents & EV_ERROR) { /* epoll has no memory for it: libev watches it no more */
        listener_pause(l, ENOMEM);
        return;
    }
    before = l->uses_reserve ? descriptors_open_reserve() : 0;
    for (int left = allowance(l); left > 0 && accept_one(l); left--) {
    }
    if (l->uses_reserve)
        descriptors_close_reserve(before);
}

static struct listener *accept_fail(struct listener *l, char error[LISTENER_ERROR_MAX],
                                    const char *text, const char *why)
{
    snprintf(error, LISTENER_ERROR_MAX, LISTEN_FAULT, text, why);
    if (l->fd >= 0)
        close(l->fd);
    free(l->unix_path);
    free(l->text);
    free(l);
    return NULL;
}

static int bind_inet(struct listener *l, const struct listener_spec *spec, const union addr *a)
{
    int on = 1, fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* accepted sockets inherit it */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (spec->reuse_port)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    /* "[::]" means IPv6; IPv4 is asked for by its own listener, whatever the system's default is */
    if (a->sa.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, &a->sa, addr_len(a)) < 0 || listen(fd, BACKLOG) < 0) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
    l->fd = fd;
    return 0;
}

static void name_inet(struct listener *l, const struct listener_spec *spec)
{
    socklen_t len = sizeof l->addr;
    char text[ADDR_TEXT_MAX];

    (void)getsockname(l->fd, &l->addr.sa, &len);
    snprintf(l->url, sizeof l->url, "%s://%s/", spec->secure ? "wss" : "ws",
             addr_format(&l->addr, text));
}

static struct listener *open_inet(struct listener *l, const struct listener_spec *spec,
                                  char error[LISTENER_ERROR_MAX])
{
    struct listen_addresses found;
    char why[LISTEN_WHY_MAX];
    int err = EADDRNOTAVAIL;

    if (!listen_name_find(spec, &found, why))
        return accept_fail(l, error, spec->text, why);
    for (size_t i = 0; i < found.n && l->fd < 0; i++) {
        if (bind_inet(l, spec, &found.addrs[i]) < 0)
            err = errno;
    }
    if (l->fd < 0)
        return accept_fail(l, error, spec->text, listen_advice(err));
    name_inet(l, spec);
    return l;
}

/* Somebody answers at that path. */
static bool unix_alive(const struct sockaddr_un *sun)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return true;
    bool alive = connect(fd, (const struct sockaddr *)sun, sizeof *sun) == 0 || errno == EAGAIN;
    close(fd);
    return alive;
}

/* Binds, replacing the file of a server that is gone. The mode is right from the first moment on.
 */
static int bind_unix(int fd, const struct sockaddr_un *sun, unsigned mode)
{
    mode_t before = umask((mode_t)(~mode & 0777));
    int rc = bind(fd, (const struct sockaddr *)sun, sizeof *sun);

    if (rc < 0 && errno == EADDRINUSE) {
        struct stat st;

        if (lstat(sun->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && !unix_alive(sun) &&
            unlink(sun->sun_path) == 0)
            rc = bind(fd, (const struct sockaddr *)sun, sizeof *sun);
        else
            errno = EADDRINUSE;
    }
    int err = errno;
    umask(before);
    errno = err;
    return rc;
}

/* The file is removed at the end, if it is still this one. */
static bool remember_file(struct listener *l, const char *path)
{
    struct stat st;

    l->unix_path = strdup(path);
    if (l->unix_path == NULL || stat(path, &st) < 0)
        return false;
    l->unix_dev = st.st_dev;
    l->unix_ino = st.st_ino;
    l->addr.sa.sa_family = AF_UNIX;
    snprintf(l->url, sizeof l->url, "ws+unix:%s", path);
    return true;
}

static struct listener *open_unix(struct listener *l, const struct listener_spec *spec,
                                  char error[LISTENER_ERROR_MAX])
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};

    if (strlen(spec->unix_path) >= sizeof sun.sun_path)
        return accept_fail(l, error, spec->text, "the path is longer than 107 bytes");
    memcpy(sun.sun_path, spec->unix_path, strlen(spec->unix_path) + 1);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return accept_fail(l, error, spec->text, strerror(errno));
    if (bind_unix(l->fd, &sun, spec->unix_mode) < 0)
        return accept_fail(l, error, spec->text,
                           errno == EADDRINUSE ? LISTEN_TAKEN : strerror(errno));
    if (listen(l->fd, BACKLOG) < 0 || !remember_file(l, spec->unix_path))
        return accept_fail(l, error, spec->text, strerror(errno));
    return l;
}

/* A socket that was bound by somebody else: our predecessor, or the service manager. Its file is
 * theirs until the owner says otherwise: should we fail, the predecessor serves on. */
static struct listener *adopt(struct listener *l, const struct listener_spec *spec,
                              char error[LISTENER_ERROR_MAX])
{
    struct sockaddr_un sun = {0};
    socklen_t len = sizeof sun;
    int listens = 0, on = 1;
    socklen_t size = sizeof listens;

    l->fd = spec->inherited;
    l->handed_over = true;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens ||
        getsockname(l->fd, (struct sockaddr *)&sun, &len) < 0)
        return accept_fail(l, error, spec->text, "the descriptor passed to us does not listen");
    (void)fcntl(l->fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(l->fd, F_SETFD, FD_CLOEXEC);
    if (sun.sun_family == AF_UNIX) {
        if (!remember_file(l, sun.sun_path))
            return accept_fail(l, error, spec->text, strerror(errno));
        return l;
    }
    (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    name_inet(l, spec);
    return l;
}

struct listener *listener_open(struct worker *w, const struct listener_spec *spec,
                               listener_accepted accepted, void *owner,
                               char error[LISTENER_ERROR_MAX])
{
    struct listener *l = calloc(1, sizeof *l);

    if (l == NULL) {
        snprintf(error, LISTENER_ERROR_MAX, "out of memory");
        return NULL;
    }
    l->worker = w;
    l->accepted = accepted;
    l->owner = owner;
    l->fd = -1;
    l->last_complaint = -COMPLAINT_EVERY;
    l->text = strdup(spec->text);
    if (l->text == NULL)
        return accept_fail(l, error, spec->text, "out of memory");
    l = spec->inherited > 0       ? adopt(l, spec, error)
        : spec->unix_path != NULL ? open_unix(l, spec, error)
                                  : open_inet(l, spec, error);
    if (l == NULL)
        return NULL;
    ev_io_init(&l->readable, accept_on_readable, l->fd, EV_READ);
    ev_timer_init(&l->resume, on_resume, 0, 0);
    l->readable.data = l->resume.data = l;
    return l;
}

static bool fits_unix(const struct sockaddr_un *bound, const char *path)
{
    struct stat a, b;

    if (bound->sun_family != AF_UNIX)
        return false;
    return strcmp(bound->sun_path, path) == 0 ||
           (stat(bound->sun_path, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
            a.st_ino == b.st_ino);
}

static bool fits_inet(const union addr *bound, const struct listener_spec *spec)
{
    char why[LISTEN_WHY_MAX], a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
    struct listen_addresses found;
    bool fits = false;

    if (spec->port == 0 || addr_port(bound) != spec->port || !listen_name_find(spec, &found, why))
        return false;
    for (size_t i = 0; i < found.n; i++)
        fits = fits || (found.addrs[i].sa.sa_family == bound->sa.sa_family &&
                        strcmp(addr_format(&found.addrs[i], a), addr_format(bound, b)) == 0);
    return fits;
}

bool listener_fits(int fd, const struct listener_spec *spec)
{
    union {
        union addr addr;
        struct sockaddr_un sun;
    } bound = {0};
    socklen_t len = sizeof bound;

    if (getsockname(fd, &bound.addr.sa, &len) < 0)
        return false;
    return spec->unix_path != NULL ? fits_unix(&bound.sun, spec->unix_path)
                                   : fits_inet(&bound.addr, spec);
}

void listener_start(struct listener *l)
{
    ev_io_start(l->worker->loop, &l->readable);
}

/* The file is still the one that we made. */
static bool accept_is_ours(const struct listener *l, const struct stat *st)
{
    return st->st_dev == l->unix_dev && st->st_ino == l->unix_ino;
}

int listener_set_mode(const struct listener *l, unsigned mode)
{
    int fd = open(l->unix_path, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = -1;
    char path[32];
    struct stat st;

    if (fd < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    errno = ENOENT;
    if (fstat(fd, &st) == 0 && accept_is_ours(l, &st))
        rc = chmod(path, (mode_t)mode);
    int err = errno;
    close(fd);
    errno = err;
    return rc;
}

void listener_close(struct listener *l)
{
    struct stat st;

    ev_io_stop(l->worker->loop, &l->readable);
    ev_timer_stop(l->worker->loop, &l->resume);
    if (l->unix_path != NULL && !l->handed_over && stat(l->unix_path, &st) == 0 &&
        accept_is_ours(l, &st))
        (void)unlink(l->unix_path);
    close(l->fd);
    free(l->unix_path);
    free(l->text);
    free(l);
}
