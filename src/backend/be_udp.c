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
 * word that nobody is there: at once when the server has never said anything, at none of its
 * addresses, which are tried in turn; one that has may be restarting and gets connect-timeout, from
 * the first such word.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/host_port.h"
#include "backend/udp_flow.h"
#include "backend/udp_source.h"
#include "io/datagram.h"
#include "io/resolve.h"
#include "proto/proxyhdr.h"

static struct be_udp *udp_of(struct backend *b)
{
    return (struct be_udp *)b;
}

static const struct be_udp *udp_of_const(const struct backend *b)
{
    return (const struct be_udp *)b;
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

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
    struct be_udp *u = io->data;
    (void)loop;

    if (u->error == 0 && (revents & EV_ERROR))
        u->error = ENOMEM; /* epoll refused it: nothing more would come of it */
    if (u->error != 0) {
        udp_ended(u, u->error);
        return;
    }
    if (revents & EV_CUSTOM)
        udp_flow_drain(u);
    if (!u->ended && (revents & EV_WRITE))
        udp_flow_writable(u);
    if (!u->ended && (revents & EV_READ))
        udp_flow_readable(u);
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

/* A socket that speaks to the address, which becomes ours to tell; -1 with errno. */
static int udp_open_at(struct be_udp *u, const union addr *to)
{
    union addr from;
    bool is_set = u->route->settings.udp_source != UDP_SOURCE_OFF &&
                  udp_source_of_number(to, u->source, &from);

    u->addr = *to;
    return datagram_open(u->worker, to, is_set ? &from : NULL, &u->own);
}

static void keep_others(struct be_udp *u, const union addr *all, size_t n)
{
    struct udp_others *o = n > 0 ? calloc(1, sizeof *o + n * sizeof *all) : NULL;

    if (o == NULL) /* without memory there is one address, as for a service that has no more */
        return;
    memcpy(o->addrs, all, n * sizeof *all);
    o->n = n;
    o->sent.max = (uint32_t)u->route->settings.udp_queue;
    o->sent.age = u->route->settings.udp_queue_age;
    u->others = o;
}

void udp_forget_others(struct be_udp *u)
{
    if (u->others == NULL)
        return;
    udp_queue_release(&u->others->sent);
    free(u->others);
    u->others = NULL;
}

/* All that was sent goes to the new address. False: nobody is there either. */
static bool send_again(struct be_udp *u)
{
    struct udp_queue *sent = &u->others->sent, all = *sent;
    double now = u->worker->clock;
    bool refused = false;
    struct iovec d;
    int err = 0;

    *sent = (struct udp_queue){.max = all.max, .age = all.age};
    while (udp_queue_first(&all, now, &d)) {
        if (!refused && datagram_send(u->fd, &u->header, &d, 1, &err) == 0)
            refused = datagram_is_unreachable(err);
        udp_queue_add(sent, now, d.iov_base, d.iov_len);
        udp_queue_pop(&all);
    }
    udp_queue_release(&all);
    return !refused;
}

bool udp_next_address(struct be_udp *u)
{
    struct udp_others *o = u->others;
    bool found = false;

    while (!found && o != NULL && o->next < o->n) {
        int fd = udp_open_at(u, &o->addrs[o->next++]);

        if (fd < 0)
            continue;
        ev_io_stop(u->worker->loop, &u->io);
        close(u->fd);
        u->fd = fd;
        ev_io_set(&u->io, fd, EV_READ | (u->to_server.count > 0 ? EV_WRITE : 0));
        ev_io_start(u->worker->loop, &u->io);
        udp_flow_wake(u); /* stopping has made it forget that it was to be called */
        found = send_again(u);
    }
    if (o != NULL && o->next == o->n)
        udp_forget_others(u);
    return found;
}

/* Takes the first address there is a way to: whether anybody is there only an answer could tell. */
static void udp_connect(struct be_udp *u, const union addr *all, size_t n)
{
    int err = 0;

    size_t i = 0;

    while (i < n && u->fd < 0) {
        u->fd = udp_open_at(u, &all[i++]);
        err = errno;
    }
    if (u->fd < 0) {
        udp_failed(u, worker_is_shortage(err) ? 503 : 502, strerror(err));
        return;
    }
    keep_others(u, all + i, n - i);
    ev_timer_stop(u->worker->loop, &u->timer);
    ev_io_init(&u->io, on_event, u->fd, EV_READ);
    u->io.data = u;
    ev_io_start(u->worker->loop, &u->io);
    u->base.events->opened(u->base.owner);
}

static void udp_on_resolved(void *owner, const union addr *all, size_t n, const char *why)
{
    struct be_udp *u = owner;

    u->question = NULL;
    if (n == 0)
        udp_failed(u, 502, why);
    else
        udp_connect(u, all, n);
}

static void udp_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
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
    /* addresses only: what more there is to say would take its place in every datagram */
    const struct proxyhdr facts = {
        .source = o->request->client, .destination = o->request->server, .datagram = true};
    size_t n;

    if (o->route->settings.send_proxy == 0)
        return 0;
    n = proxyhdr_write(header, 2, &facts);
    u->header.iov_base = malloc(n);
    if (u->header.iov_base == NULL)
        return -1;
    memcpy(u->header.iov_base, header, n);
    u->header.iov_len = n;
    return 0;
}

static void udp_set_limits(struct be_udp *u, const struct settings *s)
{
    u->to_client.max = u->to_server.max = (uint32_t)s->udp_queue;
    u->to_client.age = u->to_server.age = s->udp_queue_age;
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
    u->stats = o->route->stats;
    u->id = o->id;
    u->fd = -1;
    /* processes on one port count their sessions each: not all from 1 */
    u->source = o->route->settings.udp_source == UDP_SOURCE_CLIENT
                    ? udp_source_number(&o->request->client)
                    : o->id + (uint64_t)getpid() * 65521;
    udp_set_limits(u, &o->route->settings);
    ev_timer_init(&u->timer, udp_on_timer, 0, 0);
    u->timer.data = u;
    if (!addr_parse_host(slice_from(target->host), target->port, &u->addr)) {
        ev_timer_set(&u->timer, o->route->settings.connect_timeout, 0);
        u->question = resolve_start(o->worker, target->host, target->port, udp_on_resolved, u);
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

static void udp_write(struct backend *b, const void *p, size_t n)
{
    udp_flow_write(udp_of(b), p, n);
}

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
    if (!paused && u->to_client.count > 0)
        udp_flow_wake(u);
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
    udp_forget_others(u);
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
    .parse = host_port_parse,
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
