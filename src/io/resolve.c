/* SPDX-License-Identifier: MIT */
#include "io/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define SYSTEM_CONFIG "/etc/resolv.conf"

/* A server that does not answer is given up after this, so that the next is asked within the usual
 * 5 s connect timeout. */
#define ANSWER_MILLISECONDS 2000
#define TRIES 2

/* Seconds that one family's addresses wait for the other's (RFC 8305, section 3: "Resolution
 * Delay"). */
#define OTHER_FAMILY 0.05

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

/* What is known of one family's addresses, best first. */
struct family {
    size_t n;
    union addr addrs[RESOLVE_MAX];
};

struct resolve {
    struct worker *worker;
    void (*done)(void *owner, const union addr *addrs, size_t n,
                 const char *why); /* NULL: told or cancelled */
    void *owner;
    ev_timer deliver; /* c-ares may answer inside our own call; and a family waits for the other */
    unsigned asked;   /* questions c-ares has not answered; it is gone only then */
    uint16_t port;
    bool as_it_comes; /* both families were asked for at once: the first address says which is
                         preferred */
    bool six_first;
    const char *why; /* constant text */
    char *name;      /* the first answer's, after the search list and aliases; from malloc */
    struct reap reap;
    struct family four, six;
    char host[];
};

/* ---- which family first */

/* RFC 6724, section 2.1, the policy table: IPv4 has 35. */
static unsigned precedence(const struct in6_addr *a)
{
    if (IN6_IS_ADDR_LOOPBACK(a))
        return 50;
    if (IN6_IS_ADDR_V4MAPPED(a))
        return 35;
    if (a->s6_addr[0] == 0x20 && a->s6_addr[1] == 0x02) /* 6to4 */
        return 30;
    if (a->s6_addr[0] == 0x20 && a->s6_addr[1] == 0x01 && a->s6_addr[2] == 0 && a->s6_addr[3] == 0)
        return 5;                         /* Teredo */
    return (a->s6_addr[0] & 0xfe) == 0xfc /* unique local */
                   || IN6_IS_ADDR_V4COMPAT(a) || IN6_IS_ADDR_SITELOCAL(a)
               ? 3
               : 40;
}

/* Nothing is sent: the system says whether it has a way, and an address of ours for it. */
static bool has_way(const union addr *a)
{
    int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool has;

    if (fd < 0)
        return false;
    has = connect(fd, &a->sa, addr_len(a)) == 0;
    (void)close(fd);
    return has;
}

static bool is_six_first(const struct resolve *r)
{
    const union addr *six = &r->six.addrs[0];

    if (r->as_it_comes || r->four.n == 0 || r->six.n == 0)
        return r->six_first;
    return precedence(&six->v6.sin6_addr) > 35 && has_way(six);
}

/* In turn one of the family that goes first and one of the other (RFC 8305, section 4); c-ares has
 * sorted each by RFC 6724. Returns how many. */
static size_t interleave(const struct resolve *r, union addr all[RESOLVE_MAX])
{
    bool six_first = is_six_first(r);
    const struct family *first = six_first ? &r->six : &r->four;
    const struct family *second = six_first ? &r->four : &r->six;
    size_t n = 0;

    for (size_t i = 0; i < RESOLVE_MAX; i++) {
        if (i < first->n && n < RESOLVE_MAX)
            all[n++] = first->addrs[i];
        if (i < second->n && n < RESOLVE_MAX)
            all[n++] = second->addrs[i];
    }
    return n;
}

/* ---- questions */

static void free_resolve(struct reap *reap)
{
    struct resolve *r = (struct resolve *)((char *)reap - offsetof(struct resolve, reap));

    free(r->name);
    free(r);
}

/* Nobody waits for it any more, or c-ares has answered all: it goes when both are true. */
static void resolve_let_go(struct resolve *r)
{
    if (r->asked == 0 && !r->done)
        worker_reap(r->worker, &r->reap);
}

static void deliver(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct resolve *r = timer->data;
    union addr all[RESOLVE_MAX];
    size_t n = interleave(r, all);
    void (*done)(void *, const union addr *, size_t, const char *) = r->done;
    (void)loop;
    (void)revents;

    r->done = NULL;
    resolve_let_go(r);
    done(r->owner, all, n, n > 0 ? NULL : r->why);
}

static void deliver_in(struct resolve *r, ev_tstamp seconds)
{
    ev_timer_stop(r->worker->loop, &r->deliver);
    ev_timer_set(&r->deliver, seconds, 0.);
    ev_timer_start(r->worker->loop, &r->deliver);
}

static bool resolve_has_address(const struct family *f, const union addr *a)
{
    for (size_t i = 0; i < f->n; i++)
        if (memcmp(&f->addrs[i], a, sizeof *a) == 0)
            return true;
    return false;
}

static void resolve_keep(struct resolve *r, const struct ares_addrinfo_node *node)
{
    struct family *f = node->ai_family == AF_INET6 ? &r->six : &r->four;
    union addr a;

    if (f->n == RESOLVE_MAX)
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
    if (r->four.n + r->six.n == 0)
        r->six_first = node->ai_family == AF_INET6;
    if (!resolve_has_address(f, &a))
        f->addrs[f->n++] = a;
}

static void resolve_ask(struct resolve *r, int family);

/* With a search list each family may have found a name of its own, and they may be two hosts. */
static bool is_other_name(struct resolve *r, const char *name)
{
    if (r->name && name)
        return strcasecmp(r->name, name) != 0;
    if (!r->name && name)
        r->name = strdup(name); /* without memory nothing is compared */
    return false;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct resolve *r = arg;
    bool other = false;
    (void)timeouts;

    r->worker->resolver->asking--;
    r->asked--;
    if (info) {
        other = info->nodes && is_other_name(r, info->name);
        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
            resolve_keep(r, node);
        ares_freeaddrinfo(info);
    }
    r->why = status == ARES_SUCCESS ? "the name has no address" : ares_strerror(status);
    if (!r->done) {
        resolve_let_go(r);
    } else if (other && status != ARES_EDESTRUCTION) {
        r->four.n = r->six.n = 0;
        ev_timer_stop(r->worker->loop, &r->deliver);
        resolve_ask(r, AF_UNSPEC); /* c-ares then takes both of one name */
    } else if (r->asked == 0) {
        deliver_in(r, 0.);
    } else if (r->four.n + r->six.n > 0) {
        deliver_in(r, OTHER_FAMILY);
    }
}

/* ---- c-ares on our loop */

static void resolve_set_timer(struct resolver *rs)
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

static void resolve_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct resolver *rs = timer->data;
    (void)loop;
    (void)revents;

    ares_process_fd(rs->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    resolve_set_timer(rs);
}

static void on_socket(struct ev_loop *loop, ev_io *io, int revents)
{
    struct watch *watch = io->data;
    struct resolver *rs = watch->resolver;
    int fd = io->fd;
    (void)loop;

    /* EV_ERROR, where epoll refused it, comes with both: c-ares finds nothing there, and asks again
     * by its own timer */
    ares_process_fd(rs->channel, revents & EV_READ ? fd : ARES_SOCKET_BAD,
                    revents & EV_WRITE ? fd : ARES_SOCKET_BAD);
    resolve_set_timer(rs);
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
    resolve_set_timer(rs);
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
    ev_timer_init(&rs->timer, resolve_on_timer, 0., 0.);
    rs->timer.data = rs;
    w->resolver = rs;
    return rs;
}

static void resolve_ask(struct resolve *r, int family)
{
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_CANONNAME, .ai_family = family, .ai_socktype = SOCK_STREAM};
    struct resolver *rs = r->worker->resolver;

    r->as_it_comes = family == AF_UNSPEC;
    rs->asking++;
    r->asked++;
    ares_getaddrinfo(rs->channel, r->host, NULL, &hints, on_answer, r);
}

static bool is_in_hosts_file(struct resolver *rs, const char *host)
{
    struct hostent *found = NULL;
    bool is_there = ares_gethostbyname_file(rs->channel, host, AF_INET, &found) == ARES_SUCCESS ||
                    ares_gethostbyname_file(rs->channel, host, AF_INET6, &found) == ARES_SUCCESS;

    if (found)
        ares_free_hostent(found);
    return is_there;
}

/*
 * A question for each family: many name servers answer one of them late, with an error or never,
 * and c-ares tells nothing of a question for both before it has all. The hosts file is the
 * exception: a name that has one family there must not get the other from a name server.
 */
static void ask_all(struct resolve *r)
{
    r->asked++; /* both are asked before an answer counts as the last */
    if (is_in_hosts_file(r->worker->resolver, r->host)) {
        resolve_ask(r, AF_UNSPEC);
    } else {
        resolve_ask(r, AF_INET6);
        resolve_ask(r, AF_INET);
    }
    r->asked--;
    if (r->asked == 0)
        deliver_in(r, 0.);
}

static struct resolve *new_resolve(struct worker *w, const char *host, uint16_t port)
{
    size_t len = strlen(host);
    struct resolve *r = calloc(1, sizeof *r + len + 1);

    if (!r)
        return NULL;
    memcpy(r->host, host, len);
    r->worker = w;
    r->port = port;
    r->reap.release = free_resolve;
    ev_timer_init(&r->deliver, deliver, 0., 0.);
    r->deliver.data = r;
    return r;
}

struct resolve *resolve_start(struct worker *w, const char *host, uint16_t port,
                              void (*done)(void *owner, const union addr *addrs, size_t n,
                                           const char *why),
                              void *owner)
{
    struct resolve *r = new_resolve(w, host, port);
    struct resolver *rs = r ? want_resolver(w) : NULL;
    union addr number;
    int status;

    if (!rs) {
        free(r);
        return NULL;
    }
    r->done = done;
    r->owner = owner;
    /* c-ares would ask a server for a numeric IPv4 address when both families are wanted. */
    if (addr_parse_host(slice_from(host), port, &number)) {
        struct family *f = number.sa.sa_family == AF_INET6 ? &r->six : &r->four;

        r->six_first = f == &r->six;
        f->addrs[f->n++] = number;
        deliver_in(r, 0.);
        return r;
    }
    status = want_channel(rs);
    if (status != ARES_SUCCESS) {
        r->why = ares_strerror(status);
        deliver_in(r, 0.);
        return r;
    }
    ask_all(r);
    resolve_set_timer(rs);
    return r;
}

/* c-ares can only cancel everything: its questions go on without us, for a few seconds. */
void resolve_cancel(struct resolve *r)
{
    r->done = NULL;
    ev_timer_stop(r->worker->loop, &r->deliver);
    resolve_let_go(r);
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
