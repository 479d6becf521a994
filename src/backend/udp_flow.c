/* SPDX-License-Identifier: MIT */
#include "backend/udp_flow.h"

#include <errno.h>
#include <string.h>

#include "io/datagram.h"
#include "proto/framing.h"

#define SEND_BATCH 64U
/* Bytes handed at once to a client that was behind, unless one datagram is longer. */
#define DRAIN_PIECE 16384U

void udp_flow_wake(struct be_udp *u)
{
    if (u->fd >= 0)
        ev_feed_event(u->worker->loop, &u->io, EV_CUSTOM);
}

/* ---- what is dropped ---- */

static void udp_flow_drop(struct be_udp *u, enum stats_side to, enum stats_drop why, size_t n)
{
    u->dropped[to]++;
    u->dropped_bytes += n;
    u->stats->datagrams_dropped[to][why]++;
}

static void drop_too_long(struct be_udp *u, enum stats_side to, size_t n)
{
    bool *told = to == STATS_CLIENT ? &u->told_out : &u->told_in;

    udp_flow_drop(u, to, STATS_DROP_SIZE, n);
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

    udp_queue_add(q, u->worker->clock, d->iov_base, d->iov_len);
    u->stats->datagrams_dropped[to][STATS_DROP_QUEUE] += q->dropped - before;
}

static bool queue_first(struct be_udp *u, enum stats_side to, struct iovec *d)
{
    struct udp_queue *q = to == STATS_CLIENT ? &u->to_client : &u->to_server;
    uint64_t before = q->dropped;
    bool is_some = udp_queue_first(q, u->worker->clock, d);

    u->stats->datagrams_dropped[to][STATS_DROP_QUEUE] += q->dropped - before;
    return is_some;
}

/* ---- errors ---- */

/* From inside a call of the session's, so only noted. */
static void udp_flow_fail(struct be_udp *u, int err)
{
    if (u->error != 0)
        return;
    u->error = err;
    udp_flow_wake(u);
}

/* True: another address of the service is spoken to now. */
static bool note_unreachable(struct be_udp *u, int err)
{
    double now = u->worker->now;

    if (u->received == 0 && udp_next_address(u))
        return true;
    if (u->refused_at <= 0)
        u->refused_at = now;
    if (u->received == 0 || now - u->refused_at >= u->route->settings.connect_timeout)
        udp_flow_fail(u, err);
    return false;
}

static void keep_sent(struct be_udp *u, const struct iovec *d)
{
    if (u->others != NULL)
        udp_queue_add(&u->others->sent, u->worker->clock, d->iov_base, d->iov_len);
}

/* ---- to the server ---- */

static void udp_flow_watch(struct be_udp *u, int events)
{
    ev_io_stop(u->worker->loop, &u->io);
    ev_io_set(&u->io, u->fd, events);
    ev_io_start(u->worker->loop, &u->io);
    udp_flow_wake(u); /* stopping has made it forget that it was to be called */
}

/* Sends what the system takes now. Returns how many of them are settled: sent or dropped. */
static size_t send_now(struct be_udp *u, const struct iovec *all, size_t n)
{
    size_t done = 0, asked_again = n;
    int err;

    while (done < n && u->error == 0) {
        size_t sent = datagram_send(u->fd, &u->header, all + done, n - done, &err);

        for (size_t i = 0; i < sent; i++) {
            u->sent_bytes += all[done + i].iov_len;
            keep_sent(u, &all[done + i]);
        }
        done += sent;
        if (err == EAGAIN || err == EWOULDBLOCK)
            return done;
        if (done == n)
            break;
        if (datagram_is_unreachable(err) && asked_again != done) {
            /* an earlier one's error, most likely: this one was not sent */
            asked_again = note_unreachable(u, err) ? n : done;
        } else if (err == EMSGSIZE) {
            drop_too_long(u, STATS_BACKEND, all[done++].iov_len);
        } else {
            udp_flow_drop(u, STATS_BACKEND, STATS_DROP_SYSTEM, all[done++].iov_len);
        }
    }
    for (; done < n; done++)
        udp_flow_drop(u, STATS_BACKEND, STATS_DROP_SYSTEM, all[done].iov_len);
    return n;
}

static void udp_flow_send_all(struct be_udp *u, const struct iovec *all, size_t n)
{
    size_t done = u->to_server.count == 0 ? send_now(u, all, n) : 0;

    if (done < n && u->to_server.count == 0)
        udp_flow_watch(u, EV_READ | EV_WRITE);
    for (; done < n; done++)
        queue_add(u, STATS_BACKEND, &all[done]);
}

void udp_flow_writable(struct be_udp *u)
{
    struct iovec d;

    while (queue_first(u, STATS_BACKEND, &d)) {
        if (send_now(u, &d, 1) == 0)
            return;
        udp_queue_pop(&u->to_server);
    }
    udp_flow_watch(u, EV_READ);
}

/* Emscripten's sockets begin with the port that theirs is bound to; nobody here needs it. */
static bool is_port_message(const uint8_t *p, size_t n)
{
    return n == 10 && memcmp(p, "\xff\xff\xff\xffport", 8) == 0;
}

static bool rate_allows(struct be_udp *u)
{
    const struct rate *rate = &u->route->settings.udp_rate;

    if (rate_wait(&u->sent, rate, 1, u->worker->clock) > 0)
        return false;
    rate_reserve(&u->sent, rate, 1, u->worker->clock);
    return true;
}

static bool is_for_server(struct be_udp *u, const uint8_t *p, size_t n)
{
    bool is_first = !u->has_begun;

    u->has_begun = true;
    if (is_first && is_port_message(p, n))
        return false;
    if (u->fd < 0 || u->error != 0) {
        udp_flow_drop(u, STATS_BACKEND, STATS_DROP_SYSTEM, n);
        return false;
    }
    if (!rate_allows(u)) {
        udp_flow_drop(u, STATS_BACKEND, STATS_DROP_RATE, n);
        return false;
    }
    return true;
}

void udp_flow_write(struct be_udp *u, const uint8_t *bytes, size_t n)
{
    struct iovec batch[SEND_BATCH];
    struct framing_cut cut;
    uint8_t *p = (uint8_t *)(uintptr_t)bytes; /* iov_base is not const */
    size_t count = 0;

    while (n > 0 && framing_datagram.cut(NULL, p, n, &cut)) {
        if (is_for_server(u, p + cut.skip, cut.body))
            batch[count++] = (struct iovec){p + cut.skip, cut.body};
        if (count == SEND_BATCH) {
            udp_flow_send_all(u, batch, count);
            count = 0;
        }
        p += cut.skip + cut.body;
        n -= cut.skip + cut.body;
    }
    if (count > 0 && u->fd >= 0)
        udp_flow_send_all(u, batch, count);
}

/* ---- to the client ---- */

/* Several datagrams on their way into the worker's buffer. */
struct handing {
    struct be_udp *u;
    size_t len;
};

static void udp_flow_hand_over(struct handing *h)
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

static void udp_flow_put(struct handing *h, const struct iovec *d)
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
static void udp_flow_take(struct be_udp *u, const struct iovec *all, size_t n)
{
    struct handing h = {.u = u};

    for (size_t i = 0; i < n && !u->ended; i++) {
        u->received++;
        if (all[i].iov_base == NULL || all[i].iov_len > u->route->settings.max_message) {
            drop_too_long(u, STATS_CLIENT, all[i].iov_len);
            continue;
        }
        if (!has_room(&h, &all[i], WORKER_RX_SIZE))
            udp_flow_hand_over(&h);
        if (u->held || u->to_client.count > 0)
            queue_add(u, STATS_CLIENT, &all[i]);
        else
            udp_flow_put(&h, &all[i]);
    }
    if (!u->ended)
        udp_flow_hand_over(&h);
}

void udp_flow_readable(struct be_udp *u)
{
    struct iovec all[DATAGRAM_BATCH];
    int err;
    size_t n = datagram_receive(u->worker, u->fd, all, &err);

    if (n > 0) {
        u->refused_at = 0;
        udp_forget_others(u);
        udp_flow_take(u, all, n);
    } else if (datagram_is_unreachable(err)) {
        (void)note_unreachable(u, err);
    } else if (err != EAGAIN && err != EWOULDBLOCK && err != EINTR) {
        udp_flow_fail(u, err);
    }
}

void udp_flow_drain(struct be_udp *u)
{
    struct handing h = {.u = u};
    struct iovec d;

    while (!u->held && !u->ended && queue_first(u, STATS_CLIENT, &d)) {
        if (has_room(&h, &d, DRAIN_PIECE)) {
            udp_flow_put(&h, &d);
            udp_queue_pop(&u->to_client);
        } else {
            udp_flow_hand_over(&h);
        }
    }
    if (!u->ended)
        udp_flow_hand_over(&h);
}
