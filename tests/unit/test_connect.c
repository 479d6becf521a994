/* SPDX-License-Identifier: MIT */
/* io/connect and io/resolve with a real worker, real sockets and a small DNS server, all on the
 * loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/connect.h"
#include "io/resolve.h"
#include "io/worker.h"
#include "patience.h"

#define PATIENCE 60.0 /* seconds until a test gives up waiting for a fact */

/* ---- the bench: a worker, a DNS server on its loop, and what a race came to */

struct bench {
    struct worker w;
    ev_timer guard;
    ev_io dns;
    char dns_servers[64];
    int dns_questions;
    bool inside; /* a function of ours is being called: no event may come */
    int events, fd;
    enum connect_failure why;
    char what[256];
    union addr addr;
    union addr addrs[RESOLVE_MAX];
    size_t n;
    char path[64];
    pid_t tester; /* the process the test runs in */
};

/* ---- DNS: names end in .test and say what the answer is */

struct answer {
    const char *name;
    const char *v4[RESOLVE_MAX + 5], *v6[RESOLVE_MAX + 5];
};

static const struct answer answers[] = {
    {"one.test", {"127.0.0.1"}, {NULL}},
    {"six.test", {NULL}, {"::1"}},
    {"race.test", {"127.0.0.2", "127.0.0.1"}, {NULL}},
    {"slow.test", {"127.0.0.2", "127.0.0.3"}, {NULL}},
    {"both.test", {"127.0.0.1", "127.0.0.2", "127.0.0.3"}, {"2001:db8::1", "::1", "2001:db8::2"}},
    {"many.test",
     {"127.0.1.1",  "127.0.1.2",  "127.0.1.3",  "127.0.1.4",  "127.0.1.5",
      "127.0.1.6",  "127.0.1.7",  "127.0.1.8",  "127.0.1.9",  "127.0.1.10",
      "127.0.1.11", "127.0.1.12", "127.0.1.13", "127.0.1.14", "127.0.1.15",
      "127.0.0.1",  "127.0.1.17", "127.0.1.18", "127.0.1.19", "127.0.1.20"},
     {NULL}},
    {"twice.test", {"127.0.0.1", "127.0.0.1"}, {NULL}},
    {"empty.test", {NULL}, {NULL}},
};

/* The name of a question at p as text; returns its length on the wire. */
static size_t read_name(const uint8_t *p, size_t n, char *out)
{
    size_t at = 0, len = 0;

    while (at < n && p[at] != 0 && p[at] < 64 && at + 1 + p[at] < n) {
        memcpy(out + len, p + at + 1, p[at]);
        len += p[at];
        out[len++] = '.';
        at += 1 + (size_t)p[at];
    }
    out[len ? len - 1 : 0] = '\0';
    return at + 1;
}

static size_t put_record(uint8_t *out, int family, const char *address)
{
    static const uint8_t head[10] = {0xc0, 12, 0, 0, 0, 1, 0, 0, 0, 0};
    size_t size = family == AF_INET ? 4 : 16;

    memcpy(out, head, sizeof head);
    out[3] = family == AF_INET ? 1 : 28;
    out[10] = 0;
    out[11] = (uint8_t)size;
    assert_int_equal(inet_pton(family, address, out + 12), 1);
    return 12 + size;
}

static void on_question(struct ev_loop *loop, ev_io *io, int revents)
{
    struct bench *b = io->data;
    uint8_t m[2048];
    char name[512];
    union addr from;
    socklen_t from_len = sizeof from;
    const struct answer *answer = NULL;
    ssize_t got = recvfrom(io->fd, m, 512, MSG_DONTWAIT, &from.sa, &from_len);
    size_t len;
    uint8_t type;
    (void)loop;
    (void)revents;

    if (got < 17)
        return;
    b->dns_questions++;
    len = 12 + read_name(m + 12, (size_t)got - 12, name);
    type = m[len + 1];
    len += 4;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (strcmp(answers[i].name, name) == 0)
            answer = &answers[i];
    if (strcmp(name, "silent.test") == 0)
        return;
    m[2] = 0x85; /* an answer, authoritative, recursion was wanted */
    m[3] = answer ? 0x80 : 0x83;
    memset(m + 6, 0, 6);
    if (answer && (type == 1 || type == 28)) {
        const char *const *texts = type == 1 ? answer->v4 : answer->v6;

        for (; *texts; texts++, m[7]++)
            len += put_record(m + len, type == 1 ? AF_INET : AF_INET6, *texts);
    }
    assert_int_equal(sendto(io->fd, m, len, 0, &from.sa, from_len), (ssize_t)len);
}

static uint16_t port_of(int fd)
{
    union addr a;
    socklen_t len = sizeof a;

    assert_int_equal(getsockname(fd, &a.sa, &len), 0);
    return addr_port(&a);
}

static int bench_open(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    union addr a;
    int fd;

    assert_non_null(b);
    log_init(&b->w.log, LOG_ERROR, LOG_TEXT);
    assert_int_equal(worker_init(&b->w), 0);
    patience_begin(&b->guard, PATIENCE);

    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && addr_parse_host(slice_from("127.0.0.1"), 0, &a));
    assert_int_equal(bind(fd, &a.sa, addr_len(&a)), 0);
    (void)snprintf(b->dns_servers, sizeof b->dns_servers, "127.0.0.1:%u", port_of(fd));
    b->w.dns_servers = b->dns_servers;
    ev_io_init(&b->dns, on_question, fd, EV_READ);
    b->dns.data = b;
    ev_io_start(b->w.loop, &b->dns);
    strcpy(b->path, "/tmp/wsluice-test-XXXXXX");
    assert_non_null(mkdtemp(b->path));
    strcat(b->path, "/s");
    b->tester = getpid();
    *state = b;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *b = *state;

    if (getpid() != b->tester)
        _exit(1); /* an assertion failed in a process set apart */
    ev_io_stop(b->w.loop, &b->dns);
    (void)close(b->dns.fd);
    ev_timer_stop(b->w.loop, &b->guard);
    resolve_release(&b->w);
    resolve_release(&b->w);
    worker_release(&b->w);
    log_release(&b->w.log);
    (void)unlink(b->path);
    b->path[strlen(b->path) - 2] = '\0';
    assert_int_equal(rmdir(b->path), 0);
    free(b);
    return 0;
}

static void on_connected(void *owner, int fd, const union addr *addr)
{
    struct bench *b = owner;

    assert_false(b->inside);
    b->events++;
    b->fd = fd;
    b->addr = *addr;
}

static void on_failed(void *owner, enum connect_failure why, const char *what)
{
    struct bench *b = owner;

    assert_false(b->inside);
    b->events++;
    b->why = why;
    (void)snprintf(b->what, sizeof b->what, "%s", what);
}

static const struct connect_events events = {on_connected, on_failed};

static struct connect *start(struct bench *b, const struct connect_spec *spec)
{
    struct connect *c;

    b->events = 0;
    b->fd = -1;
    b->what[0] = '\0';
    ev_now_update(b->w.loop);
    b->inside = true;
    c = connect_start(&b->w, spec, &events, b);
    b->inside = false;
    assert_non_null(c);
    return c;
}

static struct connect *start_tcp(struct bench *b, const char *host, uint16_t port, double timeout)
{
    return start(b, &(struct connect_spec){.host = host, .port = port, .timeout = timeout});
}

/* Runs a race to its end; what it came to is in the bench. */
static void race(struct bench *b, const char *host, uint16_t port, double timeout)
{
    (void)start_tcp(b, host, port, timeout);
    TURN_UNTIL(b, b->events > 0);
    assert_int_equal(b->events, 1);
}

static void expect_connected(struct bench *b, const char *addr)
{
    char text[ADDR_TEXT_MAX];

    if (b->fd < 0)
        fail_msg("not connected: %s", b->what);
    assert_string_equal(addr_format(&b->addr, text), addr);
    assert_true(fcntl(b->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(b->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(close(b->fd), 0);
}

static void expect_failed(struct bench *b, enum connect_failure why, const char *what)
{
    assert_int_equal(b->fd, -1);
    assert_string_equal(b->what, what);
    assert_int_equal(b->why, why);
}

static double now(void)
{
    struct timespec ts;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* A bound stream socket; port 0 picks one. -1: somebody has it. */
static int try_bound(const char *host, uint16_t port)
{
    union addr a;
    int on = 1, fd;

    assert_true(addr_parse_host(slice_from(host), port, &a));
    fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    if (bind(fd, &a.sa, addr_len(&a)) == 0)
        return fd;
    assert_int_equal(errno, EADDRINUSE);
    (void)close(fd);
    return -1;
}

/* A port that is free on both: on a busy machine other programs have many. */
static uint16_t free_on(const char *host, const char *other)
{
    for (int tries = 0; tries < 1000; tries++) {
        int fd = try_bound(host, 0), second;
        uint16_t port = port_of(fd);

        second = try_bound(other, port);
        (void)close(fd);
        if (second >= 0) {
            (void)close(second);
            return port;
        }
    }
    fail_msg("no port is free on %s and %s", host, other);
    return 0;
}

/* The same, listening when backlog >= 0; *port 0 picks one. */
static int bound(const char *host, uint16_t *port, int backlog)
{
    int fd = try_bound(host, *port);

    assert_true(fd >= 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    *port = port_of(fd);
    return fd;
}

/* A listener that answers nobody any more, because its queue is full; fds[0] is the listener. */
static void blackhole(const char *host, uint16_t *port, int fds[3])
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    union addr a;
    double until = now() + PATIENCE;

    fds[0] = bound(host, port, 0);
    assert_true(addr_parse_host(slice_from(host), *port, &a));
    for (int i = 1; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        assert_true(connect(fds[i], &a.sa, addr_len(&a)) == 0 || errno == EINPROGRESS);
    }
    do { /* of a listener these two are the length of its queue and the longest that is allowed */
        assert_int_equal(getsockopt(fds[0], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
        assert_true(now() < until);
    } while (info.tcpi_unacked <= info.tcpi_sacked);
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(close(fds[i]), 0);
}

/* ---- one address */

static void numeric_addresses_need_no_resolver(void **state)
{
    struct bench *b = *state;
    uint16_t port = 0;
    int fd = bound("127.0.0.1", &port, 5), on = 0, before = count_fds();
    socklen_t len = sizeof on;
    char text[64];

    (void)snprintf(text, sizeof text, "127.0.0.1:%u", port);
    (void)start_tcp(b, "127.0.0.1", port, 5);
    TURN_UNTIL(b, b->events > 0);
    assert_int_equal(getsockopt(b->fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
    expect_connected(b, text);
    assert_null(b->w.resolver);
    assert_int_equal(count_fds(), before);
    (void)close(fd);
}

static void ipv6_connects(void **state)
{
    struct bench *b = *state;
    uint16_t port = 0;
    int fd, probe = socket(AF_INET6, SOCK_STREAM, 0);
    union addr a;
    char text[64];

    assert_true(addr_parse_host(slice_from("::1"), 0, &a));
    if (probe < 0 || bind(probe, &a.sa, addr_len(&a)) != 0)
        skip(); /* the system has no IPv6 */
    (void)close(probe);
    fd = bound("::1", &port, 5);
    (void)snprintf(text, sizeof text, "[::1]:%u", port);
    race(b, "[::1]", port, 5);
    expect_connected(b, text);
    race(b, "six.test", port, 5);
    expect_connected(b, text);
    (void)close(fd);
}

static void refusal_is_told(void **state)
{
    struct bench *b = *state;
    uint16_t port = 0;
    int fd = bound("127.0.0.1", &port, -1), before = count_fds();
    char text[64];

    (void)snprintf(text, sizeof text, "127.0.0.1:%u: Connection refused", port);
    race(b, "127.0.0.1", port, 5);
    expect_failed(b, CONNECT_REFUSED, text);
    assert_int_equal(count_fds(), before);
    (void)close(fd);
}

/* 255.255.255.255 is refused by the kernel inside connect(): the event must come from the loop all
 * the same. */
static void failure_at_once_is_told_from_the_loop(void **state)
{
    struct bench *b = *state;

    race(b, "255.255.255.255", 9, 5);
    assert_int_equal(b->fd, -1);
    assert_int_equal(b->why, CONNECT_REFUSED);
    assert_true(strncmp(b->what, "255.255.255.255:9: ", 19) == 0);
}

static void silence_runs_into_the_timeout(void **state)
{
    struct bench *b = *state;
    uint16_t port = 0;
    int fds[3], before;
    double begun;

    blackhole("127.0.0.1", &port, fds);
    before = count_fds();
    begun = now();
    race(b, "127.0.0.1", port, 0.2);
    assert_true(now() - begun >= 0.19);
    expect_failed(b, CONNECT_TIMEOUT, "timed out after 0.2 s");
    assert_int_equal(count_fds(), before);
    close_all(fds, 3);
}

/* Makes this process alone on a network whose only port for outgoing connections is 40000. */
static bool one_port_network(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd, file;
    bool done;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    file = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
    done = fd >= 0 && file >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0 &&
           write(file, "40000 40000", 11) == 11;
    (void)close(fd);
    (void)close(file);
    return done;
}

/* The port we come from may, by chance, be the one we go to: that is nobody's service. */
static void we_are_not_our_own_server(void **state)
{
    struct bench *b = *state;
    int status;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(60);
        if (!one_port_network())
            _exit(77);
        ev_loop_fork(b->w.loop);
        race(b, "127.0.0.1", 40000, 5);
        expect_failed(b, CONNECT_REFUSED, "127.0.0.1:40000: Connection refused");
        _exit(42);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip(); /* networks of our own are not allowed here */
    assert_int_equal(WEXITSTATUS(status), 42);
}

/* ---- Unix sockets */

static int listen_unix(const char *path, int backlog)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0 && len < sizeof un.sun_path);
    memcpy(un.sun_path, path, len);
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (const struct sockaddr *)&un,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void race_unix(struct bench *b, const char *path, double timeout)
{
    (void)start(b, &(struct connect_spec){.unix_path = path, .timeout = timeout});
    TURN_UNTIL(b, b->events > 0);
    assert_int_equal(b->events, 1);
}

static void unix_sockets_connect(void **state)
{
    struct bench *b = *state;
    char abstract[64], text[512], path[200];
    int fd = listen_unix(b->path, 5);

    race_unix(b, b->path, 5);
    expect_connected(b, "unix");
    (void)close(fd);
    (void)snprintf(text, sizeof text, "%s: Connection refused", b->path);
    race_unix(b, b->path, 5); /* the socket file is still there */
    expect_failed(b, CONNECT_REFUSED, text);
    assert_int_equal(unlink(b->path), 0);
    (void)snprintf(text, sizeof text, "%s: No such file or directory", b->path);
    race_unix(b, b->path, 5);
    expect_failed(b, CONNECT_REFUSED, text);

    (void)snprintf(abstract, sizeof abstract, "@wsluice-test-%d", (int)getpid());
    fd = listen_unix(abstract, 5);
    race_unix(b, abstract, 5);
    expect_connected(b, "unix");
    (void)close(fd);

    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    race_unix(b, path, 5);
    assert_int_equal(b->fd, -1);
    assert_non_null(strstr(b->what, "File name too long"));
}

/* A Unix listener whose queue is full says EAGAIN and gives no event later: we wait for it, within
 * the timeout. */
static void a_full_unix_queue_is_waited_for(void **state)
{
    struct bench *b = *state;
    int fd = listen_unix(b->path, 0), waiting[16], n = 0, got;

    for (;;) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};

        assert_true(n < 16);
        memcpy(un.sun_path, b->path, strlen(b->path));
        waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(waiting[n++], (const struct sockaddr *)&un, sizeof un) != 0)
            break;
    }
    assert_int_equal(errno, EAGAIN);
    race_unix(b, b->path, 0.2);
    expect_failed(b, CONNECT_TIMEOUT, "timed out after 0.2 s");

    (void)start(b, &(struct connect_spec){.unix_path = b->path, .timeout = PATIENCE});
    for (int i = 0; i < 3; i++)
        ev_run(b->w.loop, EVRUN_ONCE);
    assert_int_equal(b->events, 0);
    got = accept(fd, NULL, NULL);
    assert_true(got >= 0);
    TURN_UNTIL(b, b->events > 0);
    expect_connected(b, "unix");
    (void)close(got);
    (void)close(fd);
    close_all(waiting, (size_t)n);
}

/* ---- names */

static void on_resolved(void *owner, const union addr *addrs, size_t n, const char *why)
{
    struct bench *b = owner;

    assert_false(b->inside);
    assert_true((n == 0) == (why != NULL));
    b->events++;
    b->n = n;
    memcpy(b->addrs, addrs, n * sizeof *addrs);
    (void)snprintf(b->what, sizeof b->what, "%s", why ? why : "");
}

static struct resolve *ask(struct bench *b, const char *host)
{
    struct resolve *r;

    b->events = 0;
    b->inside = true;
    r = resolve_start(&b->w, host, 77, on_resolved, b);
    b->inside = false;
    assert_non_null(r);
    return r;
}

static void resolve(struct bench *b, const char *host)
{
    (void)ask(b, host);
    TURN_UNTIL(b, b->events > 0);
    assert_int_equal(b->events, 1);
}

static void names_are_resolved(void **state)
{
    struct bench *b = *state;
    char text[ADDR_TEXT_MAX];

    resolve(b, "one.test");
    assert_int_equal(b->n, 1);
    assert_string_equal(addr_format(&b->addrs[0], text), "127.0.0.1:77");
    assert_true(b->dns_questions > 0);
    resolve(b, "twice.test");
    assert_int_equal(b->n, 1);
    resolve(b, "many.test");
    assert_int_equal(b->n, RESOLVE_MAX);

    b->dns_questions = 0; /* these need no server: the answer is there inside the call */
    resolve(b, "127.0.0.9");
    assert_string_equal(addr_format(&b->addrs[0], text), "127.0.0.9:77");
    resolve(b, "::1");
    assert_string_equal(addr_format(&b->addrs[0], text), "[::1]:77");
    resolve(b, "localhost");
    assert_true(b->n > 0);
    assert_int_equal(b->dns_questions, 0);
}

static void families_take_turns(void **state)
{
    struct bench *b = *state;

    resolve(b, "both.test");
    assert_int_equal(b->n, 6);
    for (size_t i = 1; i < b->n; i++)
        assert_int_not_equal(b->addrs[i].sa.sa_family, b->addrs[i - 1].sa.sa_family);
}

static void unknown_names_are_told(void **state)
{
    struct bench *b = *state;

    resolve(b, "nowhere.test");
    assert_int_equal(b->n, 0);
    assert_string_equal(b->what, "Domain name not found");
    resolve(b, "empty.test");
    assert_int_equal(b->n, 0);
    assert_true(strlen(b->what) > 0);
    race(b, "nowhere.test", 80, PATIENCE);
    expect_failed(b, CONNECT_NO_NAME, "nowhere.test: Domain name not found");
    b->w.dns_servers = "not an address";
    resolve_release(&b->w);
    resolve(b, "one.test");
    assert_int_equal(b->n, 0);
    assert_true(strlen(b->what) > 0);
}

static void questions_can_be_cancelled(void **state)
{
    struct bench *b = *state;

    resolve_cancel(ask(b, "one.test"));
    resolve_cancel(ask(b, "127.0.0.1")); /* answered, not delivered */
    resolve_cancel(ask(b, "silent.test"));
    resolve(b, "one.test"); /* the others are over by now */
    assert_int_equal(b->events, 1);
    for (int i = 0; i < 100; i++) {
        struct resolve *r = ask(b, i % 2 ? "one.test" : "many.test");

        for (int k = 0; k < i % 5; k++)
            ev_run(b->w.loop, EVRUN_NOWAIT);
        if (b->events == 0)
            resolve_cancel(r);
    }
}

static void silent_dns_runs_into_the_timeout(void **state)
{
    struct bench *b = *state;

    race(b, "silent.test", 80, 0.2);
    expect_failed(b, CONNECT_TIMEOUT,
                  "silent.test: no name server has answered within 0.2 s, "
                  "three quarters of the time for connecting");
}

/* With no one else asking, the resolver itself gives up in the end. */
static void silent_dns_is_given_up(void **state)
{
    struct bench *b = *state;

    resolve(b, "silent.test");
    assert_int_equal(b->n, 0);
    assert_non_null(strstr(b->what, "Timeout"));
}

/* ---- races */

static void a_silent_address_is_overtaken(void **state)
{
    struct bench *b = *state;
    uint16_t port = free_on("127.0.0.2", "127.0.0.1");
    int fds[3], fd, before;
    char text[64];
    double begun;

    blackhole("127.0.0.2", &port, fds);
    fd = bound("127.0.0.1", &port, 5);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", port);
    resolve(b, "one.test"); /* the resolver's own memory and sockets are there now */
    before = count_fds();
    begun = now();
    race(b, "race.test", port, PATIENCE);
    assert_true(now() - begun >= 0.24); /* the first one had its head start */
    expect_connected(b, text);
    assert_int_equal(count_fds(), before);
    close_all(fds, 3);
    (void)close(fd);
}

/* 15 refusals before the right address: waiting a quarter of a second after each takes nearly four
 * seconds, always. A machine that stands still for as long does so now and then. */
static void a_refusal_is_followed_at_once(void **state)
{
    struct bench *b = *state;
    uint16_t port = 0;
    int fd = bound("127.0.0.1", &port, 5);
    char text[64];
    double begun;
    int tries = 0;

    (void)snprintf(text, sizeof text, "127.0.0.1:%u", port);
    do {
        begun = now();
        race(b, "many.test", port, PATIENCE);
        expect_connected(b, text);
    } while (now() - begun >= 15 * 0.25 && ++tries < 5);
    assert_true(tries < 5);
    (void)close(fd);
}

static void a_lost_race_tells_the_last_failure(void **state)
{
    struct bench *b = *state;
    uint16_t port = 0;
    int fd = bound("127.0.0.1", &port, -1);

    race(b, "race.test", port, PATIENCE);
    assert_int_equal(b->why, CONNECT_REFUSED);
    assert_true(strncmp(b->what, "127.0.0.1:", 10) == 0 && strstr(b->what, ": Connection refused"));
    (void)close(fd);
}

static void a_race_can_be_cancelled_at_any_stage(void **state)
{
    struct bench *b = *state;
    uint16_t port = free_on("127.0.0.2", "127.0.0.3"), good = 0;
    int fds[6], fd, before;
    struct connect *c;

    blackhole("127.0.0.2", &port, fds);
    blackhole("127.0.0.3", &port, fds + 3);
    fd = bound("127.0.0.1", &good, 1000);
    resolve(b, "one.test");
    before = count_fds();

    connect_cancel(start_tcp(b, "127.0.0.1", good, 5)); /* before its first attempt */
    connect_cancel(start_tcp(b, "localhost", good, 5)); /* resolved, not yet told */
    connect_cancel(start_tcp(b, "one.test", good, 5));  /* being resolved */
    resolve(b, "one.test");
    assert_int_equal(b->events, 1);         /* only that one */
    c = start_tcp(b, "slow.test", port, 5); /* two attempts under way */
    TURN_UNTIL(b, count_fds() >= before + 2);
    assert_int_equal(b->events, 0);
    connect_cancel(c);
    assert_int_equal(count_fds(), before);
    for (int i = 0; i < 200; i++) { /* and wherever it may be after so many turns */
        c = start_tcp(b, i % 2 ? "one.test" : "127.0.0.1", good, 5);
        for (int k = 0; k < i % 7 && b->events == 0; k++)
            ev_run(b->w.loop, EVRUN_NOWAIT);
        if (b->events == 0)
            connect_cancel(c);
        else
            (void)close(b->fd);
    }
    resolve(b, "one.test");
    assert_int_equal(b->events, 1);
    assert_int_equal(count_fds(), before);
    close_all(fds, 6);
    (void)close(fd);
}

static void no_descriptors_left(void **state)
{
    struct bench *b = *state;
    struct rlimit before, low;
    uint16_t port = 0;
    int fd = bound("127.0.0.1", &port, 5), next = dup(0);
    char text[128];

    assert_true(next >= 0);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    race(b, "127.0.0.1", port, 5);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u: Too many open files", port);
    expect_failed(b, CONNECT_NO_RESOURCES, text);
    (void)close(fd);
}

/* The event is the last thing that happens to a race: its owner may start the next one inside it.
 */
static void again(void *owner, enum connect_failure why, const char *what)
{
    static const struct connect_events once = {on_connected, on_failed};
    struct bench *b = owner;
    struct connect_spec spec = {.host = "127.0.0.1", .port = 0, .timeout = 5};

    on_failed(owner, why, what);
    spec.port = port_of((int)b->n); /* the listener's descriptor */
    assert_non_null(connect_start(&b->w, &spec, &once, b));
}

static void a_race_can_follow_a_race(void **state)
{
    static const struct connect_events retry = {on_connected, again};
    struct bench *b = *state;
    uint16_t bad = 0, good = 0;
    int silent = bound("127.0.0.1", &bad, -1), fd = bound("127.0.0.1", &good, 5);
    struct connect_spec spec = {.host = "127.0.0.1", .port = bad, .timeout = 5};

    b->n = (size_t)fd;
    assert_non_null(connect_start(&b->w, &spec, &retry, b));
    TURN_UNTIL(b, b->events == 2);
    assert_true(b->fd >= 0);
    (void)close(b->fd);
    (void)close(fd);
    (void)close(silent);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)
    const struct CMUnitTest tests[] = {
        TEST(numeric_addresses_need_no_resolver),
        TEST(ipv6_connects),
        TEST(refusal_is_told),
        TEST(failure_at_once_is_told_from_the_loop),
        TEST(silence_runs_into_the_timeout),
        TEST(we_are_not_our_own_server),
        TEST(unix_sockets_connect),
        TEST(a_full_unix_queue_is_waited_for),
        TEST(names_are_resolved),
        TEST(families_take_turns),
        TEST(unknown_names_are_told),
        TEST(questions_can_be_cancelled),
        TEST(silent_dns_runs_into_the_timeout),
        TEST(silent_dns_is_given_up),
        TEST(a_silent_address_is_overtaken),
        TEST(a_refusal_is_followed_at_once),
        TEST(a_lost_race_tells_the_last_failure),
        TEST(a_race_can_be_cancelled_at_any_stage),
        TEST(no_descriptors_left),
        TEST(a_race_can_follow_a_race),
    };

    (void)alarm(300); /* a test that hangs fails */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
