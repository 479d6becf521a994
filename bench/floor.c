/* SPDX-License-Identifier: MIT */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void floor_die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

long floor_number(const char *s, long min, long max)
{
    char *end;
    long v = strtol(s, &end, 10);

    if (end == s || *end != '\0' || v < min || v > max) {
        fprintf(stderr, "floor: not a number from %ld to %ld: %s\n", min, max, s);
        exit(2);
    }
    return v;
}

static struct sockaddr_in loopback(long port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void raise_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        floor_die("getrlimit");
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) < 0)
        floor_die("setrlimit");
}

int floor_listen(long port, bool nonblocking)
{
    struct sockaddr_in a = loopback(port);
    socklen_t len = sizeof a;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);

    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        floor_die("signal");
    raise_limit();
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        floor_die("listen");
    fprintf(stderr, "listening on tcp://127.0.0.1:%u/\n", ntohs(a.sin_port));
    return fd;
}

static void no_delay(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 && errno != EINVAL)
        floor_die("TCP_NODELAY"); /* EINVAL: the other side is gone already */
}

int floor_connect(long port, bool nonblocking)
{
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);

    if (fd < 0 || (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS))
        floor_die("connect");
    no_delay(fd);
    return fd;
}

int floor_accept(int listener, bool nonblocking)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0));

    if (fd >= 0)
        no_delay(fd);
    else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        floor_die("accept4");
    return fd;
}

int floor_write(int fd, struct floor_tail *t, const uint8_t *p, size_t n)
{
    ssize_t sent = write(fd, p, n);

    if (sent < 0 && errno != EAGAIN)
        return -1;
    if (sent < 0)
        sent = 0;
    if ((size_t)sent == n)
        return 0;
    t->len = n - (size_t)sent;
    t->off = 0;
    t->bytes = malloc(t->len);
    if (t->bytes == NULL)
        floor_die("malloc");
    memcpy(t->bytes, p + sent, t->len);
    return 1;
}

int floor_flush(int fd, struct floor_tail *t)
{
    ssize_t sent = write(fd, t->bytes + t->off, t->len - t->off);

    if (sent < 0)
        return errno == EAGAIN ? 1 : -1;
    t->off += (size_t)sent;
    if (t->off < t->len)
        return 1;
    floor_tail_free(t);
    return 0;
}

void floor_tail_free(struct floor_tail *t)
{
    free(t->bytes);
    *t = (struct floor_tail){0};
}

/* In the child of vfork: system calls only. */
static _Noreturn void child(char **argv, const int *in, const int *out)
{
    if ((in == NULL || dup2(in[0], 0) == 0) && dup2(out[1], 1) == 1 &&
        signal(SIGPIPE, SIG_DFL) != SIG_ERR)
        (void)execvp(argv[0], argv);
    _exit(127);
}

pid_t floor_spawn(char **argv, int *in, int *out)
{
    int to[2];
    int from[2];
    pid_t pid;

    if ((in != NULL && pipe2(to, O_CLOEXEC) < 0) || pipe2(from, O_CLOEXEC) < 0)
        floor_die("pipe2");
    pid = vfork();
    if (pid < 0)
        floor_die("vfork");
    if (pid == 0)
        child(argv, in != NULL ? to : NULL, from);
    (void)close(from[1]);
    *out = from[0];
    if (in != NULL) {
        (void)close(to[0]);
        *in = to[1];
    }
    return pid;
}
