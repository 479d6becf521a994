/* SPDX-License-Identifier: MIT */
#include "io/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#define SYSTEM_CONFIG "/etc/resolv.conf"

/* A server that does not answer is given up after this, so that the next is asked within the usual
 * 5 s connect timeout. */
#define ANSWER_MILLISECONDS 2000
#define TRIES 2

/* A socket of c-ares'. */
struct watch {
    struct resolver *resolver;
    struct watch *next;
    ev_io io;
    struct reap reap;
};

struct resolver {
    struct worker *worker;
    ares_channel channel;
    bool has_channel;
    struct timespec config_changed; /* of SYSTEM_CONFIG when the channel was made */
    char *servers;                  /* worker->dns_servers when the channel was made; owned */
    struct watch *watches;          /* a handful: one for each server asked */
    ev_timer timer;                 /* what c-ares waits for next */
    size_t asking;                  /* questions c-ares has not answered, cancelled ones too */
};

struct resolve {
    struct worker *worker;
    void (*done)(void *owner, const union addr *addrs, size_t n,
                 const char *why); /* NULL: cancelled */
    void *owner;
    ev_timer deliver; /* started when the answer is there: c-ares may answer inside our own call */
    bool answered;
    uint16_t port;
    size_t n;
    const char *why; /* constant text */
    struct reap reap;
    union addr addrs[RESOLVE_MAX];
};

/* ---- questions */

static void free_resolve(struct reap *r)
{
    free((char *)r - offsetof(struct resolve, reap));
}

static void deliver(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct resolve *r = timer->data;
    (void)loop;
    (void)revents;

    worker_reap(r->worker, &r->reap);
    r->done(r->owner, r->addrs, r->n, r->n > 0 ? NULL : r->why);
}

/* The answer is there: it goes out with the next turn, unless nobody wants it any more. */
static void answered(struct resolve *r, const char *why)
{
    r->answered = true;
    r->why = why;
    if (r->done)
        ev_timer_start(r->worker->loop, &r->deliver);
    else
        worker_reap(r->worker, &r->reap);
}

static bool has_address(const struct resolve *r, const union addr *a)
{
    for (size_t i = 0; i < r->n; i++)
        if (memcmp(&r->addrs[i], a, sizeof *a) == 0)
            return true;
    return false;
}

/* The next address of the family, or (other) not of it, at or behind node. */
static const struct ares_addrinfo_node *of_family(const struct ares_addrinfo_node *node, int family,
                                                  bool other)
{
    while (node && (node->ai_family == family) == other)
        node = node->ai_next;
    return node;
}

static void keep(struct resolve *r, const struct ares_addrinfo_node *node)
{
    union addr a;

    if (r->n == RESOLVE_MAX)
        return;
    memset(&a, 0, sizeof a);
    a.sa.sa_family = (sa_family_t)node->ai_family;
    if (node->ai_family == AF_INET) {
        a.v4.sin_addr = ((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr;
    } else if (node->ai_family == AF_INET6) {
        a.v6.sin6_addr = ((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr;
        a.v6.sin6_scope_id =
            ((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_scope_id;
    } else {
        return;
    }
    addr_set_port(&a, r->port);
    if (!has_address(r, &a))
        r->addrs[r->n++] = a;
}

/* In turn one of the family that came first and one of the other (RFC 8305, section 4); c-ares has
 * sorted each by RFC 6724. */
static void keep_interleaved(struct resolve *r, const struct ares_addrinfo_node *nodes)
{
    int family = nodes ? nodes->ai_family : AF_UNSPEC;
    const struct ares_addrinfo_node *first = nodes;
    const struct ares_addrinfo_node *second = of_family(nodes, family, true);

    while (first || second) {
        if (first) {
            keep(r, first);
            first = of_family(first->ai_next, family, false);
        }
        if (second) {
            keep(r, second);
            second = of_family(second->ai_next, family, true);
        }
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct resolve *r = arg;
    (void)timeouts;

    r->worker->resolver->asking--;
    if (info) {
        keep_interleaved(r, info->nodes);
        ares_freeaddrinfo(info);
    }
    answered(r, status == ARES_SUCCESS ? "the name has no address" : ares_strerror(status));
}

/* ---- c-ares on our loop */

static void set_timer(struct resolver *rs)
{
    struct timeval tv;

    ev_timer_stop(rs->worker->loop, &rs->timer);
    if (!rs->has_channel || !ares_timeout(rs->channel, NULL, &tv))
        return;
    /* A millisecond more: a timer that comes too early finds nothing due, and would come again at
     * once. */
    ev_timer_set(&rs->timer, (double)tv.tv_sec + (double)tv.tv_usec / 1e6 + 0.001, 0.);
    ev_timer_start(rs->worker->loop, &rs->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct resolver *rs = timer->data;
    (void)loop;
    (void)revents;

    ares_process_fd(rs->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(rs);
}

static void on_socket(struct ev_loop *loop, ev_io *io, int revents)
{
    struct watch *watch = io->data;
    struct resolver *rs = watch->resolver;
    int fd = io->fd;
    (void)loop;

    ares_process_fd(rs->channel, revents & EV_READ ? fd : ARES_SOCKET_BAD,
                    revents & EV_WRITE ? fd : ARES_SOCKET_BAD);
    set_timer(rs);
}

static void free_watch(struct reap *r)
{
    free((char *)r - offsetof(struct watch, reap));
}

static struct watch *new_watch(struct resolver *rs, int fd)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return NULL; /* nobody to tell: the question runs into its timeout */
    watch->resolver = rs;
    watch->reap.release = free_watch;
    ev_io_init(&watch->io, on_socket, fd, 0);
    watch->io.data = watch;
    watch->next = rs->watches;
    rs->watches = watch;
    return watch;
}

/* c-ares says what it wants to know of a socket; nothing means that it is about to close it. */
static void on_interest(void *data, ares_socket_t fd, int readable, int writable)
{
    struct resolver *rs = data;
    struct watch **at = &rs->watches;
    struct watch *watch;

    while (*at && (*at)->io.fd != fd)
        at = &(*at)->next;
    watch = *at;
    if (!readable && !writable) {
        if (watch) {
            *at = watch->next;
            ev_io_stop(rs->worker->loop, &watch->io);
            worker_reap(rs->worker, &watch->reap);
        }
        return;
    }
    if (!watch)
        watch = new_watch(rs, fd);
    if (!watch)
        return;
    ev_io_stop(rs->worker->loop, &watch->io);
    ev_io_set(&watch->io, fd, (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
    ev_io_start(rs->worker->loop, &watch->io);
}

/* ---- the channel */

static struct timespec config_stamp(void)
{
    struct stat st;

    if (stat(SYSTEM_CONFIG, &st) != 0)
        return (struct timespec){0, 0};
    return st.st_mtim;
}

static void close_channel(struct resolver *rs)
{
    if (!rs->has_channel)
        return;
    rs->has_channel = false;
    ares_destroy(rs->channel); /* answers cancelled questions, closes its sockets */
    set_timer(rs);
}

static int open_channel(struct resolver *rs)
{
    struct ares_options options;
    int status;

    memset(&options, 0, sizeof options);
    options.sock_state_cb = on_interest;
    options.sock_state_cb_data = rs;
    options.timeout = ANSWER_MILLISECONDS;
    options.tries = TRIES;
    rs->config_changed = config_stamp();
    free(rs->servers);
    rs->servers = rs->worker->dns_servers ? strdup(rs->worker->dns_servers) : NULL;
    if (rs->worker->dns_servers && !rs->servers)
        return ARES_ENOMEM;
    status = ares_init_options(&rs->channel, &options,
                               ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status != ARES_SUCCESS)
        return status;
    rs->has_channel = true;
    if (rs->servers) {
        status = ares_set_servers_ports_csv(rs->channel, rs->servers);
        if (status != ARES_SUCCESS)
            close_channel(rs);
    }
    return status;
}

const char *resolve_judge_servers(const char *list)
{
    ares_channel channel;
    int status = ares_init(&channel);

    if (status != ARES_SUCCESS)
        return ares_strerror(status);
    status = ares_set_servers_ports_csv(channel, list);
    ares_destroy(channel);
    return status == ARES_SUCCESS ? NULL : "write ADDR or ADDR:PORT, commas between";
}

/* The system or we are configured otherwise than when the channel was made. */
static bool is_outdated(const struct resolver *rs)
{
    const char *servers = rs->worker->dns_servers;
    struct timespec now = config_stamp();

    if (now.tv_sec != rs->config_changed.tv_sec || now.tv_nsec != rs->config_changed.tv_nsec)
        return true;
    if (!servers || !rs->servers)
        return servers || rs->servers;
    return strcmp(servers, rs->servers) != 0;
}

/*
 * A channel as the system is configured now. c-ares reads the configuration only once, but networks
 * come and go: so an idle channel that has become outdated is made anew.
 */
static int want_channel(struct resolver *rs)
{
    if (rs->has_channel && rs->asking == 0 && is_outdated(rs))
        close_channel(rs);
    return rs->has_channel ? ARES_SUCCESS : open_channel(rs);
}

static struct resolver *want_resolver(struct worker *w)
{
    struct resolver *rs = w->resolver;

    if (rs)
        return rs;
    rs = calloc(1, sizeof *rs);
    if (!rs)
        return NULL;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        free(rs);
        errno = ENOMEM;
        return NULL;
    }
    rs->worker = w;
    ev_timer_init(&rs->timer, on_timer, 0., 0.);
    rs->timer.data = rs;
    w->resolver = rs;
    return rs;
}

struct resolve *resolve_start(struct worker *w, const char *host, uint16_t port,
                              void (*done)(void *owner, const union addr *addrs, size_t n,
                                           const char *why),
                              void *owner)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct resolver *rs;
    struct resolve *r = calloc(1, sizeof *r);
    int status;

    if (!r)
        return NULL;
    r->worker = w;
    r->done = done;
    r->owner = owner;
    r->port = port;
    r->reap.release = free_resolve;
    ev_timer_init(&r->deliver, deliver, 0., 0.);
    r->deliver.data = r;

    /* c-ares would ask a server for a numeric IPv4 address when both families are wanted. */
    if (addr_parse_host(slice_from(host), port, &r->addrs[0])) {
        r->n = 1;
        answered(r, NULL);
        return r;
    }
    rs = want_resolver(w);
    if (!rs) {
        free(r);
        return NULL;
    }
    status = want_channel(rs);
    if (status != ARES_SUCCESS) {
        answered(r, ares_strerror(status));
        return r;
    }
    rs->asking++;
    ares_getaddrinfo(rs->channel, host, NULL, &hints, on_answer, r);
    set_timer(rs);
    return r;
}

void resolve_cancel(struct resolve *r)
{
    r->done = NULL;
    if (!r->answered)
        return; /* c-ares can only cancel everything: the question goes on without us, for a few
                   seconds */
    ev_timer_stop(r->worker->loop, &r->deliver);
    worker_reap(r->worker, &r->reap);
}

void resolve_release(struct worker *w)
{
    struct resolver *rs = w->resolver;

    if (!rs)
        return;
    close_channel(rs);
    ev_timer_stop(w->loop, &rs->timer);
    ares_library_cleanup();
    free(rs->servers);
    free(rs);
    w->resolver = NULL;
}
