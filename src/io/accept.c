/* SPDX-License-Identifier: MIT */
#include "io/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/memory.h"

#define ACCEPT_BUDGET 64    /* connections a turn: established sessions get theirs */
#define ACCEPT_PAUSE 0.25   /* seconds without accepting when something ran out */
#define COMPLAINT_EVERY 1.0 /* seconds between log lines about it */
#define HOST_MAX 256        /* bytes of a name, with its NUL */
#define WHY_MAX (LISTENER_ERROR_MAX / 2)
#define LISTEN_FAULT "cannot listen on %s: %s"
#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

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

/* Whether accept4's error means that we ran out of something, rather than that one connection
 * failed. */
static bool ran_out(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

/* False: nothing more is accepted in this turn. */
static bool accept_one(struct listener *l)
{
    union addr client = {0};
    socklen_t len = sizeof client;
    int fd = accept4(l->fd, &client.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && ran_out(errno)) {
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
    rlim_t before = l->uses_reserve ? descriptors_open_reserve() : 0;
    (void)loop;
    (void)revents;

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

static int bind_inet(struct listener *l, const struct listener_spec *spec,
                     const struct addrinfo *ai)
{
    int on = 1, fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* accepted sockets inherit it */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (spec->reuse_port)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    /* "[::]" means IPv6; IPv4 is asked for by its own listener, whatever the system's default is */
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
    l->fd = fd;
    return 0;
}

static const char *inet_advice(int err)
{
    switch (err) {
    case EADDRINUSE:
        return "the port is in use; stop what listens there, choose another, or port 0 for any "
               "free one";
    case EACCES:
        return "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "no such address on this machine; see `ip address`";
    default:
        return strerror(err);
    }
}

static void name_inet(struct listener *l, const struct listener_spec *spec)
{
    socklen_t len = sizeof l->addr;
    char text[ADDR_TEXT_MAX];

    (void)getsockname(l->fd, &l->addr.sa, &len);
    snprintf(l->url, sizeof l->url, "%s://%s/", spec->secure ? "wss" : "ws",
             addr_format(&l->addr, text));
}

/* The addresses of a spec; 0, or an error of getaddrinfo. */
static int accept_look_up(const struct listener_spec *spec, char host[HOST_MAX],
                          struct addrinfo **list)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char port[8];

    snprintf(host, HOST_MAX, "127.0.0.1");
    if (spec->host.len > 0)
        snprintf(host, HOST_MAX, "%.*s", (int)spec->host.len, spec->host.p);
    snprintf(port, sizeof port, "%u", spec->port);
    return getaddrinfo(host, port, &hints, list);
}

/* False with what is wrong with the name. */
static bool find_addresses(const struct listener_spec *spec, struct addrinfo **list,
                           char why[WHY_MAX])
{
    char host[HOST_MAX];

    if (spec->host.len >= sizeof host) {
        snprintf(why, WHY_MAX, "the host name is too long");
        return false;
    }
    int rc = accept_look_up(spec, host, list);
    if (rc != 0)
        snprintf(why, WHY_MAX, "\"%.80s\" does not resolve (%s); write an address of this machine",
                 host, gai_strerror(rc));
    return rc == 0;
}

static struct listener *open_inet(struct listener *l, const struct listener_spec *spec,
                                  char error[LISTENER_ERROR_MAX])
{
    char why[WHY_MAX];
    struct addrinfo *list;

    if (!find_addresses(spec, &list, why))
        return accept_fail(l, error, spec->text, why);
    int err = EADDRNOTAVAIL;
    for (const struct addrinfo *ai = list; ai != NULL && l->fd < 0; ai = ai->ai_next) {
        if (bind_inet(l, spec, ai) < 0)
            err = errno;
    }
    freeaddrinfo(list);
    if (l->fd < 0)
        return accept_fail(l, error, spec->text, inet_advice(err));
    name_inet(l, spec);
    return l;
}

/* 0, or the errno of a bind to that address, at any port. A low port is tried itself: whoever has
 * it has the right to it. */
static int try_address(const struct addrinfo *ai, union addr *a)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0, on = 1;
    bool low;

    memset(a, 0, sizeof *a);
    memcpy(a, ai->ai_addr, ai->ai_addrlen < sizeof *a ? ai->ai_addrlen : sizeof *a);
    low = addr_port(a) > 0 && addr_port(a) < IPPORT_RESERVED;
    if (fd < 0)
        return errno;
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (!low)
        addr_set_port(a, 0);
    if (bind(fd, &a->sa, addr_len(a)) < 0)
        err = errno == EADDRINUSE ? 0 : errno; /* in use now need not be in use then */
    close(fd);
    return err;
}

bool listener_judge(const struct listener_spec *spec, bool *exposed, char error[LISTENER_ERROR_MAX])
{
    char why[WHY_MAX];
    struct addrinfo *list;
    union addr a = {0};
    int err = EADDRNOTAVAIL;

    *exposed = false;
    if (!find_addresses(spec, &list, why)) {
        snprintf(error, LISTENER_ERROR_MAX, LISTEN_FAULT, spec->text, why);
        return false;
    }
    for (const struct addrinfo *ai = list; ai != NULL && err != 0; ai = ai->ai_next)
        err = try_address(ai, &a);
    freeaddrinfo(list);
    addr_unmap(&a);
    *exposed = err == 0 && !addr_is_loopback(&a);
    if (err != 0)
        snprintf(error, LISTENER_ERROR_MAX, LISTEN_FAULT, spec->text, inet_advice(err));
    return err == 0;
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
        return accept_fail(
            l, error, spec->text,
            errno == EADDRINUSE
                ? "another server answers there, or it is not a socket; choose another path"
                : strerror(errno));
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
    char host[HOST_MAX], a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
    struct addrinfo *list;
    bool fits = false;

    if (spec->port == 0 || addr_port(bound) != spec->port || spec->host.len >= sizeof host ||
        accept_look_up(spec, host, &list) != 0)
        return false;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        union addr asked = {0};

        if (ai->ai_addrlen > sizeof asked)
            continue;
        memcpy(&asked, ai->ai_addr, ai->ai_addrlen);
        fits = fits || (asked.sa.sa_family == bound->sa.sa_family &&
                        strcmp(addr_format(&asked, a), addr_format(bound, b)) == 0);
    }
    freeaddrinfo(list);
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
