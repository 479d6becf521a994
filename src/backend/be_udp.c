/* SPDX-License-Identifier: MIT */

/*
 * udp: a service that takes datagrams, such as a game server or a name server. A session is one
 * connected socket, so one port of ours. One message is one datagram, both ways, never merged,
 * never split. Between here and the session they travel as the framing `datagram` has them, many in
 * one call.
 *
 * Live data beats old data. Neither side is ever held back for the other: what a side does not take
 * waits in a short queue, whose oldest go first (udp_queue.h). So `queued` is always 0, and there
 * is no stall clock for the server.
 *
 * There is no end of file and no connection to fail. What ends a session from this side is ICMP's
 * word that nobody is there: at once when the server has never said anything; one that has may be
 * restarting and gets connect-timeout, from the first such word.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/udp_queue.h"
#include "backend/udp_source.h"
#include "core/stats.h"
#include "io/datagram.h"
#include "io/resolve.h"
#include "proto/proxyhdr.h"

#define SEND_BATCH 64U
#define DRAIN_PIECE \
    16384U /* bytes handed at once to a client that was behind, unless one is longer */

struct be_udp {
    struct backend base;
    struct worker *worker;
    const struct route *route;
    struct stats_route *stats;
    struct resolve *question; /* while the name is being looked up */
    ev_timer timer;           /* opens it, or is connect-timeout; after stop: ends it */
    ev_io io;
    int fd;    /* -1: not open, or over */
    int error; /* ends it, to be told from the loop */
    bool held; /* the client is behind */
    bool ended;
    bool has_begun; /* the client's first message was seen */
    bool told_in, told_out;
    uint32_t allowed_at; /* udp-rate: when `allowed` was right, ms */
    double allowed;      /* datagrams that may be sent now */
    double refused_at;   /* the first ICMP error since the last datagram; 0: none */
    uint64_t id, received, sent_bytes;
    uint64_t dropped[STATS_SIDES]; /* datagrams for that side, but for those the queues dropped */
    uint64_t dropped_bytes;
    struct udp_queue to_client, to_server;
    union addr addr, own;
    uint64_t source;     /* the number of our address */
    struct iovec header; /* PROXY, before each datagram to the server; none: iov_len 0 */
    struct reap reap;
};

static struct be_udp *udp_of(struct backend *b)
{
    return (struct be_udp *)b;
}

static const struct be_udp *udp_of_const(const struct backend *b)
{
    return (const struct be_udp *)b;
}

/* ---- what is dropped ---- */

static void udp_drop(struct be_udp *u, enum stats_side to, enum stats_drop why, size_t n)
{
    u->dropped[to]++;
    u->dropped_bytes += n;
    u->stats->datagrams_dropped[to][why]++;
}

static void drop_too_long(struct be_udp *u, enum stats_side to, size_t n)
{
    bool *told = to == STATS_CLIENT ? &u->told_out : &u->told_in;

    udp_drop(u, to, STATS_DROP_SIZE, n);
    if (*told) /* a word for each session; all are counted */
        return;
    *told = true;
    log_line(&u->worker->log, LOG_WARN, "datagram too long, dropped", LOG_I("id", u->id),
             LOG_C("route", u->route->path), LOG_C("to", stats_side_names[to]), LOG_I("bytes", n));
}

/* The queue's drops go to the counters as they happen. */
static void queue_add(struct be_udp *u, enum stats_side to, const struct iovec *d)
{
    struct udp_queue *q = to == STATS_CLIENT ? &u->to_client : &u->to_server;
    uint64_t before = q->dropped;

    udp_queue_add(q, u->worker->now, d->iov_base, d->iov_len);
    u->stats->datagrams_dropped[to][STATS_DROP_QUEUE] += q->dropped - before;
}

static bool queue_first(struct be_udp *u, enum stats_side to, struct iovec *d)
{
    struct udp_queue *q = to == STATS_CLIENT ? &u->to_client : &u->to_server;
    uint64_t before = q->dropped;
    bool is_some = udp_queue_first(q, u->worker->now, d);

    u->stats->datagrams_dropped[to][STATS_DROP_QUEUE] += q->dropped - before;
    return is_some;
}

/* ---- the end ---- */

static void udp_over(struct be_udp *u)
{
    if (u->fd < 0)
        return;
    ev_io_stop(u->worker->loop, &u->io);
    ev_clear_pending(u->worker->loop, &u->io);
    close(u->fd);
    u->fd = -1;
}

static void udp_ended(struct be_udp *u, int err)
{
    struct backend_end end = {.how = BACKEND_CLEAN};
    char why[64];

    if (u->ended)
        return;
    u->ended = true;
    udp_over(u);
    if (err != 0) {
        snprintf(why, sizeof why, datagram_is_unreachable(err) ? "nobody is there: %s" : "%s",
                 strerror(err));
        end.how = BACKEND_BROKE;
        end.why = why;
    }
    u->base.events->ended(u->base.owner, &end);
}

/* From inside a call of the session's, so only noted. */
static void udp_fail(struct be_udp *u, int err)
{
    if (u->error != 0)
        return;
    u->error = err;
    ev_feed_event(u->worker->loop, &u->io, EV_CUSTOM);
}

static void note_unreachable(struct be_udp *u, int err)
{
    double now = u->worker->now;

    if (u->refused_at <= 0)
        u->refused_at = now;
    if (u->received == 0 || now - u->refused_at >= u->route->settings.connect_timeout)
        udp_fail(u, err);
}

/* ---- to the server ---- */

static void watch(struct be_udp *u, int events)
{
    ev_io_stop(u->worker->loop, &u->io);
    ev_io_set(&u->io, u->fd, events);
    ev_io_start(u->worker->loop, &u->io);
}

/* Sends what the system takes now. Returns how many of them are settled: sent or dropped. */
static size_t send_now(struct be_udp *u, const struct iovec *all, size_t n)
{
    size_t done = 0, asked_again = n;
    int err;

    while (done < n && u->error == 0) {
        size_t sent = datagram_send(u->fd, &u->header, all + done, n - done, &err);

        for (size_t i = 0; i < sent; i++)
            u->sent_bytes += all[done + i].iov_len;
        done += sent;
        if (err == EAGAIN || err == EWOULDBLOCK)
            return done;
        if (done == n)
            break;
        if (datagram_is_unreachable(err) && asked_again != done) {
            asked_again = done; /* an earlier one's error, most likely: this one was not sent */
            note_unreachable(u, err);
        } else if (err == EMSGSIZE) {
            drop_too_long(u, STATS_BACKEND, all[done++].iov_len);
        } else {
            udp_drop(u, STATS_BACKEND, STATS_DROP_SYSTEM, all[done++].iov_len);
        }
    }
    for (; done < n; done++)
        udp_drop(u, STATS_BACKEND, STATS_DROP_SYSTEM, all[done].iov_len);
    return n;
}

static void udp_send(struct be_udp *u, const struct iovec *all, size_t n)
{
    size_t done = u->to_server.count == 0 ? send_now(u, all, n) : 0;

    if (done < n && u->to_server.count == 0)
        watch(u, EV_READ | EV_WRITE);
    for (; done < n; done++)
        queue_add(u, STATS_BACKEND, &all[done]);
}

static void on_writable(struct be_udp *u)
{
    struct iovec d;

    while (queue_first(u, STATS_BACKEND, &d)) {
        if (send_now(u, &d, 1) == 0)
            return;
        udp_queue_pop(&u->to_server);
    }
    watch(u, EV_READ);
}

/* Emscripten's sockets begin with the port that theirs is bound to; nobody here needs it. */
static bool is_port_message(const uint8_t *p, size_t n)
{
    return n == 10 && memcmp(p, "\xff\xff\xff\xffport", 8) == 0;
}

/* udp-rate: a bucket of one second. */
static bool rate_allows(struct be_udp *u)
{
    double rate = (double)u->route->settings.udp_rate;
    uint32_t now = (uint32_t)(uint64_t)(u->worker->now * 1000);

    if (rate <= 0)
        return true;
    u->allowed += rate * (now - u->allowed_at) / 1000;
    u->allowed_at = now;
    if (u->allowed > rate)
        u->allowed = rate;
    if (u->allowed < 1)
        return false;
    u->allowed--;
    return true;
}

static bool is_for_server(struct be_udp *u, const uint8_t *p, size_t n)
{
    bool is_first = !u->has_begun;

    u->has_begun = true;
    if (is_first && is_port_message(p, n))
        return false;
    if (u->fd < 0 || u->error != 0) {
        udp_drop(u, STATS_BACKEND, STATS_DROP_SYSTEM, n);
        return false;
    }
    if (!rate_allows(u)) {
        udp_drop(u, STATS_BACKEND, STATS_DROP_RATE, n);
        return false;
    }
    return true;
}

static void udp_write(struct backend *b, const void *bytes, size_t n)
{
    struct be_udp *u = udp_of(b);
    struct iovec batch[SEND_BATCH];
    struct framing_cut cut;
    uint8_t *p = (uint8_t *)(uintptr_t)bytes; /* iov_base is not const */
    size_t count = 0;

    while (n > 0 && framing_datagram.cut(NULL, p, n, &cut)) {
        if (is_for_server(u, p + cut.skip, cut.body))
            batch[count++] = (struct iovec){p + cut.skip, cut.body};
        if (count == SEND_BATCH) {
            udp_send(u, batch, count);
            count = 0;
        }
        p += cut.skip + cut.body;
        n -= cut.skip + cut.body;
    }
    if (count > 0 && u->fd >= 0)
        udp_send(u, batch, count);
}

/* ---- to the client ---- */

/* Several datagrams on their way into the worker's buffer. */
struct handing {
    struct be_udp *u;
    size_t len;
};

static void hand_over(struct handing *h)
{
    struct be_udp *u = h->u;
    size_t n = h->len;

    h->len = 0;
    if (n > 0)
        u->base.events->data(u->base.owner, u->worker->rx + WORKER_HEADROOM, n);
}

static bool has_room(const struct handing *h, const struct iovec *d, size_t limit)
{
    return h->len == 0 || h->len + FRAMING_PREFIX_MAX + d->iov_len <= limit;
}

static void put(struct handing *h, const struct iovec *d)
{
    uint8_t *at = h->u->worker->rx + WORKER_HEADROOM + h->len, prefix[FRAMING_PREFIX_MAX];
    size_t before = framing_datagram.prefix(prefix, d->iov_len, 0);

    memcpy(at, prefix, before);
    if (d->iov_len > 0)
        memcpy(at + before, d->iov_base, d->iov_len);
    h->len += before + d->iov_len;
}

/* In one write, or in as few as the buffer allows. Any of them may end the session, or find that
 * the client is behind. */
static void take(struct be_udp *u, const struct iovec *all, size_t n)
{
    struct handing h = {.u = u};

    for (size_t i = 0; i < n && !u->ended; i++) {
        u->received++;
        if (all[i].iov_base == NULL || all[i].iov_len > u->route->settings.max_message) {
            drop_too_long(u, STATS_CLIENT, all[i].iov_len);
            continue;
        }
        if (!has_room(&h, &all[i], WORKER_RX_SIZE))
            hand_over(&h);
        if (u->held || u->to_client.count > 0)
            queue_add(u, STATS_CLIENT, &all[i]);
        else
            put(&h, &all[i]);
    }
    if (!u->ended)
        hand_over(&h);
}

static void on_readable(struct be_udp *u)
{
    struct iovec all[DATAGRAM_BATCH];
    int err;
    size_t n = datagram_receive(u->worker, u->fd, all, &err);

    if (n > 0) {
        u->refused_at = 0;
        take(u, all, n);
    } else if (datagram_is_unreachable(err)) {
        note_unreachable(u, err);
    } else if (err != EAGAIN && err != EWOULDBLOCK && err != EINTR) {
        udp_ended(u, err);
    }
}

/* The client has caught up. */
static void drain_to_client(struct be_udp *u)
{
    struct handing h = {.u = u};
    struct iovec d;

    while (!u->held && !u->ended && queue_first(u, STATS_CLIENT, &d)) {
        if (has_room(&h, &d, DRAIN_PIECE)) {
            put(&h, &d);
            udp_queue_pop(&u->to_client);
        } else {
            hand_over(&h);
        }
    }
    if (!u->ended)
        hand_over(&h);
}

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
    struct be_udp *u = io->data;
    (void)loop;

    if (u->error != 0) {
        udp_ended(u, u->error);
        return;
    }
    if (revents & EV_CUSTOM)
        drain_to_client(u);
    if (!u->ended && (revents & EV_WRITE))
        on_writable(u);
    if (!u->ended && (revents & EV_READ))
        on_readable(u);
}

/* ---- opening ---- */

static void udp_failed(struct be_udp *u, int status, const char *what)
{
    ev_timer_stop(u->worker->loop, &u->timer);
    log_line(&u->worker->log, LOG_WARN, "cannot reach the backend", LOG_C("route", u->route->path),
             LOG_C("address", u->route->target.text), LOG_C("reason", what));
    u->base.events->failed(u->base.owner, status,
                           status == 504   ? "the name of the service was not found in time"
                           : status == 503 ? "out of resources, try again later"
                                           : "the service cannot be reached");
}

/* Takes the first address there is a way to: whether anybody is there only an answer could tell. */
static void udp_connect(struct be_udp *u, const union addr *all, size_t n)
{
    int err = 0;

    for (size_t i = 0; i < n && u->fd < 0; i++) {
        union addr from;
        bool is_set = u->route->settings.udp_source != UDP_SOURCE_OFF &&
                      udp_source_of_number(&all[i], u->source, &from);

        u->addr = all[i];
        u->fd = datagram_open(u->worker, &all[i], is_set ? &from : NULL, &u->own);
        err = errno;
    }
    if (u->fd < 0) {
        bool is_ours = err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;

        udp_failed(u, is_ours ? 503 : 502, strerror(err));
        return;
    }
    ev_timer_stop(u->worker->loop, &u->timer);
    ev_io_init(&u->io, on_event, u->fd, EV_READ);
    u->io.data = u;
    ev_io_start(u->worker->loop, &u->io);
    u->base.events->opened(u->base.owner);
}

static void on_resolved(void *owner, const union addr *all, size_t n, const char *why)
{
    struct be_udp *u = owner;

    u->question = NULL;
    if (n == 0)
        udp_failed(u, 502, why);
    else
        udp_connect(u, all, n);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct be_udp *u = timer->data;
    (void)loop;
    (void)revents;

    if (u->fd >= 0) { /* stop was called */
        udp_ended(u, 0);
    } else if (u->question != NULL) {
        resolve_cancel(u->question);
        u->question = NULL;
        udp_failed(u, 504, "the name server does not answer");
    } else {
        udp_connect(u, &u->addr, 1);
    }
}

static const char *udp_parse(struct target *t, const char *rest, struct arena *arena)
{
    struct slice host;
    const char *wrong = addr_split(slice_from(rest), &host, &t->port);

    if (wrong != NULL)
        return wrong;
    if (host.len == 0 || t->port == 0)
        return "a host and a port from 1 to 65535 are needed";
    if (host.p[0] == '[')
        host = slice_of(host.p + 1, host.len - 2);
    t->host = arena_dup(arena, host);
    return t->host == NULL ? "out of memory" : NULL;
}

static const char *udp_prepare(struct route *r, struct arena *arena)
{
    struct settings *s = &r->settings;
    (void)arena;

    if (s->eof_on_empty)
        return "eof-on-empty is not for udp://, where an empty message is an empty datagram; turn "
               "it off for this route";
    if (s->send_proxy == 1)
        return "proxy-protocol: version 1 knows no UDP; write v2 or off for this route";
    if (s->idle_timeout <= 0) /* nothing else tells that a session is over */
        s->idle_timeout = s->udp_idle_timeout;
    return NULL;
}

static int prepare_header(struct be_udp *u, const struct backend_open *o)
{
    uint8_t header[PROXYHDR_WRITE_MAX];
    size_t n;

    if (o->route->settings.send_proxy == 0)
        return 0;
    n = proxyhdr_write(header, 2, &o->request->client, &o->request->server);
    proxyhdr_set_datagram(header);
    u->header.iov_base = malloc(n);
    if (u->header.iov_base == NULL)
        return -1;
    memcpy(u->header.iov_base, header, n);
    u->header.iov_len = n;
    return 0;
}

static void set_limits(struct be_udp *u, const struct settings *s)
{
    u->to_client.max = u->to_server.max = (uint32_t)s->udp_queue;
    u->to_client.age = u->to_server.age = s->udp_queue_age;
    u->allowed = (double)s->udp_rate;
    u->allowed_at = (uint32_t)(uint64_t)(u->worker->now * 1000);
}

static struct backend *udp_open(const struct backend_open *o)
{
    const struct target *target = &o->route->target;
    struct be_udp *u = calloc(1, sizeof *u);

    if (u == NULL)
        return NULL;
    u->base = (struct backend){&backend_udp, o->events, o->owner};
    u->worker = o->worker;
    u->route = o->route;
    u->stats = stats_route(o->worker, o->route);
    u->id = o->id;
    u->fd = -1;
    /* processes on one port count their sessions each: not all from 1 */
    u->source = o->route->settings.udp_source == UDP_SOURCE_CLIENT
                    ? udp_source_number(&o->request->client)
                    : o->id + (uint64_t)getpid() * 65521;
    set_limits(u, &o->route->settings);
    ev_timer_init(&u->timer, on_timer, 0, 0);
    u->timer.data = u;
    if (!addr_parse_host(slice_from(target->host), target->port, &u->addr)) {
        ev_timer_set(&u->timer, o->route->settings.connect_timeout, 0);
        u->question = resolve_start(o->worker, target->host, target->port, on_resolved, u);
        if (u->question == NULL) {
            free(u);
            return NULL;
        }
    }
    if (prepare_header(u, o) < 0) {
        if (u->question != NULL)
            resolve_cancel(u->question);
        free(u);
        return NULL;
    }
    ev_timer_start(u->worker->loop, &u->timer);
    return &u->base;
}

/* ---- what the session asks ---- */

static size_t udp_queued(const struct backend *b)
{
    (void)b;
    return 0; /* nobody is to wait for it */
}

static uint64_t udp_delivered(const struct backend *b)
{
    return udp_of_const(b)->sent_bytes;
}

static uint64_t udp_lost(const struct backend *b)
{
    const struct be_udp *u = udp_of_const(b);

    return u->dropped_bytes + u->to_client.dropped_bytes + u->to_server.dropped_bytes;
}

static void udp_dropped(const struct backend *b, uint64_t *in, uint64_t *out)
{
    const struct be_udp *u = udp_of_const(b);

    *in = u->dropped[STATS_BACKEND] + u->to_server.dropped;
    *out = u->dropped[STATS_CLIENT] + u->to_client.dropped;
}

static void udp_pause(struct backend *b, bool paused)
{
    struct be_udp *u = udp_of(b);

    u->held = paused;
    if (!paused && u->to_client.count > 0 && u->fd >= 0)
        ev_feed_event(u->worker->loop, &u->io, EV_CUSTOM);
}

static void udp_finish(struct backend *b)
{
    (void)b; /* a datagram socket has no end to tell */
}

static void udp_stop(struct backend *b)
{
    struct be_udp *u = udp_of(b);

    ev_timer_stop(u->worker->loop, &u->timer);
    ev_timer_set(&u->timer, 0, 0);
    ev_timer_start(u->worker->loop, &u->timer);
}

static void udp_release(struct reap *r)
{
    struct be_udp *u = (struct be_udp *)((char *)r - offsetof(struct be_udp, reap));

    free(u->header.iov_base);
    free(u);
}

static void udp_close(struct backend *b)
{
    struct be_udp *u = udp_of(b);

    if (u->question != NULL)
        resolve_cancel(u->question);
    u->question = NULL;
    u->ended = true;
    ev_timer_stop(u->worker->loop, &u->timer);
    udp_over(u);
    udp_queue_release(&u->to_client);
    udp_queue_release(&u->to_server);
    u->reap.release = udp_release;
    worker_reap(u->worker, &u->reap);
}

static void udp_describe(const struct backend *b, char *out, size_t size)
{
    const struct be_udp *u = udp_of_const(b);
    char to[ADDR_TEXT_MAX], from[ADDR_TEXT_MAX];

    snprintf(out, size, "%s from %s", addr_format(&u->addr, to), addr_format(&u->own, from));
}

const struct backend_ops backend_udp = {
    .name = "udp",
    .prefix = "udp://",
    .scheme_help = "udp://HOST:PORT",
    .framing = &framing_datagram,
    .any_subprotocol = true,
    .descriptors = 1,
    .parse = udp_parse,
    .prepare = udp_prepare,
    .open = udp_open,
    .write = udp_write,
    .queued = udp_queued,
    .delivered = udp_delivered,
    .lost = udp_lost,
    .dropped = udp_dropped,
    .pause = udp_pause,
    .finish = udp_finish,
    .stop = udp_stop,
    .close = udp_close,
    .describe = udp_describe,
};
