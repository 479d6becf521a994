/* SPDX-License-Identifier: MIT */
#include "backend/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/program/preamble.h"
#include "core/request.h"
#include "io/retry.h"
#include "io/tls/io_tls.h"
#include "io/tls/tlsclient.h"
#include "proto/proxyhdr.h"

/* From service_new until it is connected; if it never is, until it is closed. */
struct service_opening {
    struct retry *connecting;        /* NULL once that is over */
    struct tlsclient_shake *shaking; /* tls: NULL before and afterwards */
    union {
        double deadline; /* of both; worker time */
        const struct service_refusal *refusal;
    };
    struct buf first; /* what the service gets first: a PROXY header, a preamble */
};

/* From service_stop on, where there was memory. */
struct service_ending {
    double since;      /* worker time; it has taken nothing since */
    uint64_t progress; /* io_progress then */
};

/* How often in a stop-grace we look whether the service still takes bytes, and how seldom at most,
 * in seconds. */
#define ENDING_LOOKS 8
#define ENDING_LOOK 0.25

static struct worker *service_worker_of(const struct service *s)
{
    return s->last.data;
}

static struct service *of_last(ev_timer *last)
{
    return (struct service *)((char *)last - offsetof(struct service, last));
}

static void forget_opening(struct service *s)
{
    struct service_opening *o = s->stopped ? NULL : s->opening;

    if (o == NULL)
        return;
    if (o->connecting != NULL)
        retry_cancel(o->connecting);
    if (o->shaking != NULL)
        tlsclient_cancel(o->shaking);
    buf_release(&o->first);
    free(o);
    s->opening = NULL;
}

static void tell_ended(struct service *s, int err)
{
    struct backend_end end = {.how = BACKEND_CLEAN};

    if (s->ended)
        return;
    s->ended = true;
    if (err != 0 && !s->stopped) {
        end.how = BACKEND_BROKE;
        end.why = strerror(err);
    }
    s->base.events->ended(s->base.owner, &end);
}

/* Both directions are over. */
static bool is_spent(const struct service *s)
{
    return s->eof && io_finished(&s->io);
}

static struct service *service_of_io(struct io *io)
{
    return (struct service *)((char *)io - offsetof(struct service, io));
}

static void service_on_data(struct io *io, uint8_t *p, size_t n)
{
    struct service *s = service_of_io(io);

    s->base.events->data(s->base.owner, p, n);
}

static void service_on_eof(struct io *io)
{
    struct service *s = service_of_io(io);

    s->eof = true;
    if (s->broken != 0) { /* not a FIN: see on_broken */
        tell_ended(s, s->broken);
        return;
    }
    s->base.events->eof(s->base.owner);
    if (is_spent(s))
        tell_ended(s, 0);
}

static void service_on_drained(struct io *io)
{
    struct service *s = service_of_io(io);

    s->base.events->drained(s->base.owner);
    if (is_spent(s))
        tell_ended(s, 0);
}

/* It takes no more; what it has sent before it gave up may still lie in our socket. The system
 * tells of a RST once: where a write has heard it, reading finds a plain end. EPIPE says that there
 * was a FIN before the RST, and that is what reading will find. Where it was our memory
 * that failed, it knows of nothing: it would wait for what is lost, and the client for an answer.
 */
static void service_on_broken(struct io *io, int err, size_t lost)
{
    struct service *s = service_of_io(io);

    s->lost += lost;
    if (err == ENOMEM) {
        tell_ended(s, err);
        return;
    }
    s->broken = (int16_t)(err != EPIPE ? err : 0);
    s->base.events->drained(s->base.owner);
    if (is_spent(s))
        tell_ended(s, 0);
}

static void service_on_closed(struct io *io, int err)
{
    tell_ended(service_of_io(io), err);
}

static const struct io_events io_events = {service_on_data,   service_on_eof,    service_on_drained,
                                           service_on_broken, service_on_closed, NULL};

static void service_tell_failed(struct service *s, int status, const char *what)
{
    log_line(&service_worker_of(s)->log, LOG_WARN, "cannot connect to the backend",
             LOG_C("route", s->route->path), LOG_C("address", s->route->target.text),
             LOG_C("reason", what));
    /* where the service stands is nothing a client should learn */
    s->base.events->failed(s->base.owner, status,
                           status == 504   ? "the service did not answer in time"
                           : status == 503 ? "out of resources, try again later"
                                           : "the service cannot be reached");
}

static void tell_opened(struct service *s)
{
    const struct buf *first = &s->opening->first;

    io_read_start(&s->io);
    if (buf_len(first) > 0)
        s->lost += io_write(&s->io, buf_data(first), buf_len(first));
    forget_opening(s);
    s->base.events->opened(s->base.owner);
}

/* ---- tls: the handshake is part of connecting ---- */

static void on_shaken(void *owner, int fd, struct ssl_st *ssl)
{
    struct service *s = owner;

    s->opening->shaking = NULL;
    io_open(&s->io, service_worker_of(s), &io_raw_socket, fd, &io_events);
    if (io_tls_adopt(&s->io, ssl) < 0)
        service_tell_failed(s, 503, strerror(ENOMEM));
    else
        tell_opened(s);
}

static void on_shake_failed(void *owner, bool timed_out, const char *why)
{
    struct service *s = owner;

    s->opening->shaking = NULL;
    service_tell_failed(s, timed_out ? 504 : 502, why);
}

static const struct tlsclient_events shake_events = {on_shaken, on_shake_failed};

/* Of what the service gets first, the PROXY header: not kept, for sessions without TLS. */
static size_t header_len(const struct service *s)
{
    const struct buf *first = &s->opening->first;
    struct proxyhdr h;

    if (s->route->settings.send_proxy == 0 ||
        proxyhdr_parse(buf_data(first), buf_len(first), &h) != PROXYHDR_DONE)
        return 0;
    return h.length;
}

/* A PROXY header goes before TLS. It is a thousand bytes at most, and nothing was sent yet: the
 * kernel takes it whole. */
static void shake(struct service *s, int fd)
{
    struct service_opening *o = s->opening;
    size_t n = header_len(s);
    double left = o->deadline - worker_time(service_worker_of(s));

    if (n > 0 && send(fd, buf_data(&o->first), n, MSG_NOSIGNAL) != (ssize_t)n) {
        close(fd);
        service_tell_failed(s, 502, "cannot send the PROXY header");
        return;
    }
    buf_consume(&o->first, n);
    o->shaking = tlsclient_start(service_worker_of(s), s->route->tls, fd, s->route->target.host,
                                 s->route->settings.connect_timeout, left, &shake_events, s);
    if (o->shaking == NULL)
        service_tell_failed(s, 503, strerror(ENOMEM));
}

static void service_on_connected(void *owner, int fd, const union addr *addr)
{
    struct service *s = owner;

    s->opening->connecting = NULL;
    s->addr = *addr;
    if (addr->sa.sa_family != AF_UNIX)
        connect_mind(fd, s->route->settings.stall_timeout);
    if (s->base.ops->over_tls) {
        shake(s, fd);
        return;
    }
    io_open(&s->io, service_worker_of(s), &io_raw_socket, fd, &io_events);
    tell_opened(s);
}

static void on_connect_failed(void *owner, enum connect_failure why, const char *what)
{
    struct service *s = owner;

    s->opening->connecting = NULL;
    service_tell_failed(s,
                        why == CONNECT_TIMEOUT        ? 504
                        : why == CONNECT_NO_RESOURCES ? 503
                                                      : 502,
                        what);
}

static const struct connect_events connect_events = {service_on_connected, on_connect_failed};

static void service_look_in(struct service *s, double seconds)
{
    ev_timer_stop(service_worker_of(s)->loop, &s->last);
    ev_timer_set(&s->last, seconds, 0);
    ev_timer_start(service_worker_of(s)->loop, &s->last);
}

static double ending_look(double grace)
{
    return grace < ENDING_LOOKS * ENDING_LOOK ? grace / ENDING_LOOKS : ENDING_LOOK;
}

/* It was stopped. As long as it takes bytes its answers are read, and nobody gets them: with one
 * left unread the end of ours would be a reset, which takes away what it has not read yet. */
static void on_last(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct service *s = of_last(timer);
    struct service_ending *e = s->ending;
    double grace = s->route->settings.stop_grace, now = service_worker_of(s)->now;
    (void)loop;
    (void)revents;

    if (e != NULL && io_progress(&s->io) != e->progress) {
        e->progress = io_progress(&s->io);
        e->since = now;
    }
    if (e == NULL || now - e->since >= grace)
        tell_ended(s, 0);
    else
        service_look_in(s, ending_look(grace));
}

struct service *service_new(const struct backend_open *o, const struct backend_ops *ops)
{
    struct service *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->opening = calloc(1, sizeof *s->opening);
    if (s->opening == NULL) {
        free(s);
        return NULL;
    }
    s->base = (struct backend){ops, o->events, o->owner};
    s->route = o->route;
    s->opening->deadline = worker_time(o->worker) + o->route->settings.connect_timeout;
    ev_timer_init(&s->last, on_last, 0, 0);
    s->last.data = o->worker;
    return s;
}

/* A PROXY header, then the preamble. -1 without memory. */
static int prepare_first(struct service *s, const struct backend_open *o, bool *refused)
{
    uint8_t header[PROXYHDR_WRITE_MAX];
    int version = o->route->settings.send_proxy;
    struct proxyhdr facts;
    struct slice name;

    if (version != 0) {
        request_introduce(o->request, o->unique, &facts);
        if (buf_append(&s->opening->first, header, proxyhdr_write(header, version, &facts)) < 0)
            return -1;
    }
    switch (preamble_expand(o, &s->opening->first, &name)) {
    case PREAMBLE_NO_MEMORY:
        return -1;
    case PREAMBLE_NO_WORD:
        log_line(&o->worker->log, LOG_WARN, "a value does not fit into the preamble",
                 LOG_C("route", o->route->path), LOG_S("value", name));
        *refused = true;
        break;
    case PREAMBLE_MADE:
        break;
    }
    return 0;
}

/* From the loop, like every failure. */
static void service_on_refused(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct service *s = of_last(timer);
    const struct service_refusal *refusal = s->opening->refusal;
    (void)loop;
    (void)revents;

    s->base.events->failed(s->base.owner, refusal->status, refusal->why);
}

struct backend *service_refuse(struct service *s, const struct service_refusal *refusal)
{
    s->opening->refusal = refusal;
    ev_timer_init(&s->last, service_on_refused, 0, 0);
    ev_timer_start(service_worker_of(s)->loop, &s->last);
    return &s->base;
}

static const struct service_refusal no_word = {
    400, "the service is told about its clients, but some word of yours has bytes that its line "
         "cannot carry"};

struct backend *service_drop(struct service *s)
{
    forget_opening(s);
    free(s->target);
    free(s);
    return NULL;
}

struct backend *service_connect(struct service *s, const struct backend_open *o,
                                const struct connect_spec *spec)
{
    bool refused = false;

    if (prepare_first(s, o, &refused) < 0)
        return service_drop(s);
    if (refused)
        return service_refuse(s, &no_word);
    s->opening->connecting =
        retry_start(o->worker, spec, o->route->settings.connect_retry, &connect_events, s);
    return s->opening->connecting != NULL ? &s->base : service_drop(s);
}

void service_write(struct backend *b, const void *p, size_t n)
{
    service_of(b)->lost += io_write(&service_of(b)->io, p, n);
}

size_t service_queued(const struct backend *b)
{
    return io_queued(&service_of_const(b)->io);
}

uint64_t service_delivered(const struct backend *b)
{
    return io_delivered(&service_of_const(b)->io);
}

uint64_t service_lost(const struct backend *b)
{
    const struct service *s = service_of_const(b);

    return s->lost + io_queued(&s->io);
}

void service_pause(struct backend *b, bool paused)
{
    if (paused)
        io_read_stop(&service_of(b)->io);
    else
        io_read_start(&service_of(b)->io);
}

void service_finish(struct backend *b)
{
    io_finish(&service_of(b)->io);
}

void service_stop(struct backend *b)
{
    struct service *s = service_of(b);
    double grace = s->route->settings.stop_grace;

    s->stopped = true; /* from here on `ending` stands where `opening` did, which is NULL */
    if (is_spent(s) || grace <= 0) {
        service_look_in(s, 0);
        return;
    }
    s->ending = calloc(1, sizeof *s->ending);
    if (s->ending == NULL) {
        service_look_in(s, grace);
        return;
    }
    s->ending->since = service_worker_of(s)->now;
    s->ending->progress = io_progress(&s->io);
    service_look_in(s, ending_look(grace));
}

static void service_release(struct reap *r)
{
    free((char *)r - offsetof(struct service, reap));
}

void service_close(struct backend *b)
{
    struct service *s = service_of(b);

    s->ended = true;
    forget_opening(s);
    if (s->stopped)
        free(s->ending);
    free(s->target);
    ev_timer_stop(service_worker_of(s)->loop, &s->last);
    io_close(&s->io);
    s->reap.release = service_release;
    worker_reap(service_worker_of(s), &s->reap);
}

void service_describe(const struct backend *b, char *out, size_t size)
{
    const struct service *s = service_of_const(b);
    char text[ADDR_TEXT_MAX];

    snprintf(out, size, "%s", addr_format(&s->addr, text));
}
