/* SPDX-License-Identifier: MIT */

/*
 * tcp, tls and unix: a service on a stream socket. The two directions end apart: the service's FIN
 * ends what it sends (Close 1000), the client's end becomes a FIN to the service, which may still
 * answer until stop-grace is over.
 *
 * token: the same, to where a file says for the token that the client brings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/token_file.h"
#include "core/auth.h"
#include "core/preamble.h"
#include "core/request.h"
#include "io/connect.h"
#include "io/io_tls.h"
#include "io/tlsclient.h"
#include "proto/proxyhdr.h"

struct be_tcp {
    struct backend base;
    struct worker *worker;
    const struct route *route;
    union {
        struct {
            struct connect *connecting;      /* NULL once connected */
            struct tlsclient_shake *shaking; /* tls: NULL before and afterwards */
        };
        struct reap reap; /* closed */
    };
    double deadline;  /* of connecting and shaking; worker time */
    struct buf first; /* what the service gets first: a PROXY header, a preamble */
    struct io io;
    ev_timer last; /* after stop: ends it, at once or after stop-grace */
    bool eof, stopped, ended;
    union addr addr;
    struct token_target *target; /* token only; owned */
};

static struct be_tcp *tcp_of(struct backend *b)
{
    return (struct be_tcp *)b;
}

static const struct be_tcp *tcp_of_const(const struct backend *b)
{
    return (const struct be_tcp *)b;
}

static void tcp_ended(struct be_tcp *t, int err)
{
    struct backend_end end = {.how = BACKEND_CLEAN};

    if (t->ended)
        return;
    t->ended = true;
    if (err != 0 && !t->stopped) {
        end.how = BACKEND_BROKE;
        end.why = strerror(err);
    }
    t->base.events->ended(t->base.owner, &end);
}

/* Both directions are over. */
static bool tcp_spent(const struct be_tcp *t)
{
    return t->eof && io_finished(&t->io);
}

static void on_data(void *owner, uint8_t *p, size_t n)
{
    struct be_tcp *t = owner;

    t->base.events->data(t->base.owner, p, n);
}

static void on_eof(void *owner)
{
    struct be_tcp *t = owner;

    t->eof = true;
    t->base.events->eof(t->base.owner);
    if (tcp_spent(t))
        tcp_ended(t, 0);
}

static void on_drained(void *owner)
{
    struct be_tcp *t = owner;

    t->base.events->drained(t->base.owner);
    if (tcp_spent(t))
        tcp_ended(t, 0);
}

/* It takes no more; what it has sent before it gave up may still lie in our socket. */
static void on_broken(void *owner, int err)
{
    struct be_tcp *t = owner;
    (void)err;

    t->base.events->drained(t->base.owner);
    if (tcp_spent(t))
        tcp_ended(t, 0);
}

static void on_closed(void *owner, int err)
{
    tcp_ended(owner, err);
}

static const struct io_events tcp_io_events = {on_data,   on_eof,    on_drained,
                                               on_broken, on_closed, NULL};

static void tcp_failed(struct be_tcp *t, int status, const char *what)
{
    log_line(&t->worker->log, LOG_WARN, "cannot connect to the backend",
             LOG_C("route", t->route->path), LOG_C("address", t->route->target.text),
             LOG_C("reason", what));
    /* where the service stands is nothing a client should learn */
    t->base.events->failed(t->base.owner, status,
                           status == 504   ? "the service did not answer in time"
                           : status == 503 ? "out of resources, try again later"
                                           : "the service cannot be reached");
}

static void tcp_opened(struct be_tcp *t)
{
    io_read_start(&t->io);
    if (buf_len(&t->first) > 0)
        io_write(&t->io, buf_data(&t->first), buf_len(&t->first));
    buf_release(&t->first);
    t->base.events->opened(t->base.owner);
}

/* ---- tls: the handshake is part of connecting ---- */

static void on_shaken(void *owner, int fd, struct ssl_st *ssl)
{
    struct be_tcp *t = owner;

    t->shaking = NULL;
    io_open(&t->io, t->worker, &io_raw_socket, fd, fd, NULL, &tcp_io_events, t);
    if (io_tls_adopt(&t->io, ssl) < 0)
        tcp_failed(t, 503, strerror(ENOMEM));
    else
        tcp_opened(t);
}

static void on_shake_failed(void *owner, bool timed_out, const char *why)
{
    struct be_tcp *t = owner;

    t->shaking = NULL;
    tcp_failed(t, timed_out ? 504 : 502, why);
}

static const struct tlsclient_events tcp_shake_events = {on_shaken, on_shake_failed};

/* Of what the service gets first, the PROXY header: not kept, for sessions without TLS. */
static size_t header_len(const struct be_tcp *t)
{
    struct proxyhdr h;

    if (t->route->settings.send_proxy == 0 ||
        proxyhdr_parse(buf_data(&t->first), buf_len(&t->first), &h) != PROXYHDR_DONE)
        return 0;
    return h.length;
}

/* A PROXY header goes before TLS. It is a thousand bytes at most, and nothing was sent yet: the
 * kernel takes it whole. */
static void tcp_shake(struct be_tcp *t, int fd)
{
    size_t n = header_len(t);
    double left = t->deadline - worker_clock();

    if (n > 0 && send(fd, buf_data(&t->first), n, MSG_NOSIGNAL) != (ssize_t)n) {
        close(fd);
        tcp_failed(t, 502, "cannot send the PROXY header");
        return;
    }
    buf_consume(&t->first, n);
    t->shaking = tlsclient_start(t->worker, t->route->tls, fd, t->route->target.host,
                                 t->route->settings.connect_timeout, left, &tcp_shake_events, t);
    if (t->shaking == NULL)
        tcp_failed(t, 503, strerror(ENOMEM));
}

static void on_connected(void *owner, int fd, const union addr *addr)
{
    struct be_tcp *t = owner;

    t->connecting = NULL;
    t->addr = *addr;
    if (t->base.ops->over_tls) {
        tcp_shake(t, fd);
        return;
    }
    io_open(&t->io, t->worker, &io_raw_socket, fd, fd, NULL, &tcp_io_events, t);
    tcp_opened(t);
}

static void on_connect_failed(void *owner, enum connect_failure why, const char *what)
{
    struct be_tcp *t = owner;

    t->connecting = NULL;
    tcp_failed(t, why == CONNECT_TIMEOUT ? 504 : why == CONNECT_NO_RESOURCES ? 503 : 502, what);
}

static const struct connect_events tcp_connect_events = {on_connected, on_connect_failed};

static void on_last(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;

    tcp_ended(timer->data, 0);
}

static const char *tcp_parse(struct target *t, const char *rest, struct arena *arena)
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

static const char *unix_parse(struct target *t, const char *rest, struct arena *arena)
{
    (void)arena;
    if (rest[0] == '\0')
        return "a path is needed";
    if (strlen(rest) > 107)
        return "the path is longer than 107 bytes";
    t->unix_path = rest;
    return NULL;
}

/* Told from the loop, like every failure. */
static void on_no_word(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct be_tcp *t = timer->data;
    (void)loop;
    (void)revents;

    t->base.events->failed(t->base.owner, 400,
                           "the service is told about its clients, but some word of yours has "
                           "bytes that its line cannot carry");
}

static struct be_tcp *new_kind(const struct backend_open *o, const struct backend_ops *ops)
{
    struct be_tcp *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->base = (struct backend){ops, o->events, o->owner};
    t->worker = o->worker;
    t->route = o->route;
    t->deadline = worker_clock() + o->route->settings.connect_timeout;
    ev_timer_init(&t->last, on_last, 0, 0);
    t->last.data = t;
    return t;
}

/* A PROXY header, then the preamble. -1 without memory. */
static int prepare_first(struct be_tcp *t, const struct backend_open *o, bool *refused)
{
    uint8_t header[PROXYHDR_WRITE_MAX];
    int version = o->route->settings.send_proxy;
    struct proxyhdr facts;
    struct slice name;

    if (version != 0) {
        request_introduce(o->request, o->unique, &facts);
        if (buf_append(&t->first, header, proxyhdr_write(header, version, &facts)) < 0)
            return -1;
    }
    switch (preamble_expand(o, &t->first, &name)) {
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

static struct backend *drop(struct be_tcp *t)
{
    buf_release(&t->first);
    free(t->target);
    free(t);
    return NULL;
}

static struct backend *connect_to(struct be_tcp *t, const struct backend_open *o,
                                  const struct connect_spec *spec)
{
    bool refused = false;

    if (prepare_first(t, o, &refused) < 0)
        return drop(t);
    if (refused) {
        ev_timer_init(&t->last, on_no_word, 0, 0);
        ev_timer_start(o->worker->loop, &t->last);
        return &t->base;
    }
    t->connecting = connect_start(o->worker, spec, &tcp_connect_events, t);
    return t->connecting != NULL ? &t->base : drop(t);
}

static struct backend *open_kind(const struct backend_open *o, const struct backend_ops *ops)
{
    const struct target *target = &o->route->target;
    const struct connect_spec spec = {
        .host = target->host,
        .port = target->port,
        .unix_path = target->unix_path,
        .timeout = o->route->settings.connect_timeout,
    };
    struct be_tcp *t = new_kind(o, ops);

    return t != NULL ? connect_to(t, o, &spec) : NULL;
}

static struct backend *tcp_open(const struct backend_open *o)
{
    return open_kind(o, &backend_tcp);
}

static struct backend *tls_open(const struct backend_open *o)
{
    return open_kind(o, &backend_tls);
}

static struct backend *unix_open(const struct backend_open *o)
{
    return open_kind(o, &backend_unix);
}

/* Told from the loop, like every failure. */
static void on_no_target(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct be_tcp *t = timer->data;
    (void)loop;
    (void)revents;

    if (t->target->broken)
        t->base.events->failed(t->base.owner, 503, "the list of services cannot be read");
    else
        t->base.events->failed(t->base.owner, 403, "no service has this token");
}

/* ?token=, or the path's last segment behind the route's own. */
static struct slice token_of(const struct request *r)
{
    const char *below = r->path + r->match.prefix, *slash = strrchr(below, '/');

    if (r->token != NULL)
        return slice_from(r->token);
    return slice_from(slash != NULL ? slash + 1 : below);
}

static struct backend *token_open(const struct backend_open *o)
{
    struct be_tcp *t = new_kind(o, &backend_token);
    struct token_target *to;

    if (t == NULL)
        return NULL;
    t->target = to = calloc(1, sizeof *to);
    if (to == NULL) {
        free(t);
        return NULL;
    }
    const struct slice token = token_of(o->request);
    bool found = token_file_find(o->route->target.token_file, token, to);
    (void)secret_mac(o->worker->auth->key, &token, 1, to->mac); /* without memory: nobody's */
    if (!found) {
        if (to->why[0] != '\0')
            log_line(&o->worker->log, LOG_ERROR, "cannot read the list of services",
                     LOG_C("route", o->route->path), LOG_C("reason", to->why));
        ev_timer_init(&t->last, on_no_target, 0, 0);
        ev_timer_start(o->worker->loop, &t->last);
        return &t->base;
    }
    const struct connect_spec spec = {
        .host = to->is_unix ? NULL : to->host,
        .port = to->port,
        .unix_path = to->is_unix ? to->host : NULL,
        .timeout = o->route->settings.connect_timeout,
    };
    return connect_to(t, o, &spec);
}

static const char *token_parse(struct target *t, const char *rest, struct arena *arena)
{
    (void)arena;
    t->token_file = rest;
    return rest[0] == '\0' ? "a file or directory is needed" : NULL;
}

static const char *token_prepare(struct route *r, struct arena *arena)
{
    struct token_target target;

    if (r->target.text == NULL)
        r->target.text = r->target.token_file;
    if (token_file_find(r->target.token_file, slice_of("", 0), &target) || !target.broken)
        return NULL;
    return arena_dup(arena, slice_from(target.why));
}

static void tcp_write(struct backend *b, const void *p, size_t n)
{
    io_write(&tcp_of(b)->io, p, n);
}

static size_t tcp_queued(const struct backend *b)
{
    return io_queued(&tcp_of_const(b)->io);
}

static uint64_t tcp_delivered(const struct backend *b)
{
    return tcp_of_const(b)->io.sent;
}

static uint64_t tcp_lost(const struct backend *b)
{
    const struct be_tcp *t = tcp_of_const(b);

    return t->io.lost + io_queued(&t->io);
}

static void tcp_pause(struct backend *b, bool paused)
{
    if (paused)
        io_read_stop(&tcp_of(b)->io);
    else
        io_read_start(&tcp_of(b)->io);
}

static void tcp_finish(struct backend *b)
{
    io_finish(&tcp_of(b)->io);
}

static void tcp_stop(struct backend *b)
{
    struct be_tcp *t = tcp_of(b);

    t->stopped = true;
    ev_timer_stop(t->worker->loop, &t->last);
    ev_timer_set(&t->last, tcp_spent(t) ? 0 : t->route->settings.stop_grace, 0);
    ev_timer_start(t->worker->loop, &t->last);
}

static void tcp_release(struct reap *r)
{
    struct be_tcp *t = (struct be_tcp *)((char *)r - offsetof(struct be_tcp, reap));

    free(t->target);
    free(t);
}

static void tcp_close(struct backend *b)
{
    struct be_tcp *t = tcp_of(b);

    if (t->connecting != NULL)
        connect_cancel(t->connecting);
    t->connecting = NULL;
    if (t->shaking != NULL)
        tlsclient_cancel(t->shaking);
    t->shaking = NULL;
    t->ended = true;
    buf_release(&t->first);
    ev_timer_stop(t->worker->loop, &t->last);
    io_close(&t->io);
    t->reap.release = tcp_release;
    worker_reap(t->worker, &t->reap);
}

static void tcp_describe(const struct backend *b, char *out, size_t size)
{
    const struct be_tcp *t = tcp_of_const(b);
    char text[ADDR_TEXT_MAX];

    snprintf(out, size, "%s", addr_format(&t->addr, text));
}

static void unix_describe(const struct backend *b, char *out, size_t size)
{
    snprintf(out, size, "%s", tcp_of_const(b)->route->target.unix_path);
}

static bool token_has_token(const struct backend *b, const uint8_t mac[SECRET_MAC_SIZE])
{
    return secret_equal(tcp_of_const(b)->target->mac, mac, SECRET_MAC_SIZE);
}

static void token_describe(const struct backend *b, char *out, size_t size)
{
    const struct be_tcp *t = tcp_of_const(b);

    if (t->target->is_unix)
        snprintf(out, size, "%s", t->target->host);
    else
        tcp_describe(b, out, size);
}

#define STREAM_SOCKET_OPS                                                                          \
    .framing = &framing_stream, .any_subprotocol = true, .takes_preamble = true, .descriptors = 1, \
    .write = tcp_write, .queued = tcp_queued, .delivered = tcp_delivered, .lost = tcp_lost,        \
    .pause = tcp_pause, .finish = tcp_finish, .stop = tcp_stop, .close = tcp_close

const struct backend_ops backend_tcp = {
    .name = "tcp",
    .prefix = "tcp://",
    .scheme_help = "tcp://HOST:PORT",
    .parse = tcp_parse,
    .open = tcp_open,
    .describe = tcp_describe,
    STREAM_SOCKET_OPS,
};

const struct backend_ops backend_tls = {
    .name = "tls",
    .prefix = "tls://",
    .scheme_help = "tls://HOST:PORT",
    .over_tls = true,
    .parse = tcp_parse,
    .open = tls_open,
    .describe = tcp_describe,
    STREAM_SOCKET_OPS,
};

const struct backend_ops backend_unix = {
    .name = "unix",
    .prefix = "unix:",
    .scheme_help = "unix:PATH",
    .parse = unix_parse,
    .open = unix_open,
    .describe = unix_describe,
    STREAM_SOCKET_OPS,
};

static const struct option_row token_rows[] = {
    {"token-file", 0, OPTION_TEXT, IN_TARGET, offsetof(struct target, token_file), RELOAD_NEW,
     "PATH", NULL, NULL, 0, 0,
     "a file, or a directory of files, with a service for each token: lines `TOKEN: HOST:PORT` or "
     "`TOKEN: unix:PATH`; the token is ?token= or the last segment of the path"},
};

const struct backend_ops backend_token = {
    .name = "token",
    .prefix = "token-file:",
    .scheme_help = "token-file:PATH",
    .takes_token = true,
    .rows = token_rows,
    .rows_count = sizeof token_rows / sizeof token_rows[0],
    .key = "token-file",
    .parse = token_parse,
    .prepare = token_prepare,
    .open = token_open,
    .describe = token_describe,
    .has_token = token_has_token,
    STREAM_SOCKET_OPS,
};
