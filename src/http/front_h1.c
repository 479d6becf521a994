/* SPDX-License-Identifier: MIT */
#include "http/front_h1.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/config.h"
#include "core/core.h"
#include "core/forwarded.h"
#include "core/observe/stats.h"
#include "http/dispatch.h"
#include "http/h1.h"
#include "io/tls/io_tls.h"
#include "proto/handshake.h"

#define H1_ABOUT_TO_ASK 1.0 /* seconds */

static const struct io_events io_events_head;

/* A head may hold passwords. */
static void h1_forget(struct buf *bytes)
{
    if (buf_len(bytes) > 0)
        explicit_bzero(buf_data(bytes), buf_len(bytes));
    buf_release(bytes);
}

void h1_request_free(struct h1_request *req)
{
    if (req == NULL)
        return;
    request_release(&req->request);
    h1_forget(&req->bytes);
    free(req);
}

void h1_drop_request(struct h1 *h)
{
    h1_request_free(h->asker->req);
    h->asker->req = NULL;
}

void h1_drop_asker(struct h1 *h)
{
    if (h->asker == NULL)
        return;
    h1_drop_request(h);
    waiting_leave(core_of(h->stream.worker)->waiting, &h->asker->waiting);
    buf_release(&h->asker->proxied);
    free(h->asker);
    h->asker = NULL;
}

static void h1_release(struct reap *r)
{
    free((char *)r - offsetof(struct h1, reap));
}

void h1_close(struct h1 *h)
{
    if (h->state == H1_CLOSED)
        return;
    h->state = H1_CLOSED;
    h->stream.events = NULL;
    ev_timer_stop(h->stream.worker->loop, &h->stream.timer);
    io_close(&h->io);
    h1_drop_asker(h); /* only now: io_close may ask it what lies behind a PROXY header */
    connections_remove(core_of(h->stream.worker)->connections, &h->conn);
    h->reap.release = h1_release;
    worker_reap(h->stream.worker, &h->reap);
}

/* ---- reading a head ---- */

static void h1_refuse(struct h1 *h, int status, const char *why)
{
    const struct h1_asker *a = h->asker;
    char client[ADDR_TEXT_MAX];

    log_line(&h->stream.worker->log, LOG_INFO, "request refused",
             LOG_C("client", addr_format(&a->client, client)), LOG_I("status", status),
             LOG_C("reason", why));
    if (!a->admin)
        stats_refused(h->stream.worker, status);
    stream_refuse(&h->stream, status, handshake_refusal_fields(status), why);
}

/* What the client has proved about itself by a certificate, and what a proxy says of it. */
static void h1_name_client(const struct h1 *h, struct request *r)
{
    const struct buf *proxied = &h->asker->proxied;
    struct proxyhdr *header = &h->asker->req->proxied;

    r->tls_version = slice_from(io_tls_version(&h->io));
    if (buf_len(proxied) > 0 &&
        proxyhdr_parse(buf_data(proxied), buf_len(proxied), header) == PROXYHDR_DONE)
        r->proxied = header;
    r->client_text = io_tls_client(&h->io);
    if (r->client_text == NULL)
        return;
    r->client_verify = slice_from(r->client_text);
    r->client_dn = slice_from(r->client_text + r->client_verify.len + 1);
    r->client_cn = slice_from(r->client_dn.p + r->client_dn.len + 1);
}

/* A whole head: reading stops until it is answered. */
static void h1_handle(struct h1 *h)
{
    const struct config *c = core_of(h->stream.worker)->config;
    const struct h1_asker *a = h->asker;
    struct h1_request *req = a->req;
    const char *why;
    socklen_t len = sizeof req->request.server;
    int status = request_init(&req->request, &req->parser.head, &why);

    req->request.client = a->client;
    req->request.admin = a->admin;
    req->request.secure = a->tls || a->secure;
    req->request.vouched = a->behind != NULL;
    (void)getsockname(io_fd(&h->io), &req->request.server.sa, &len); /* unknown is no harm */
    h->state = H1_HANDLING;
    io_read_stop(&h->io);
    h1_set_deadline(h, 0, NULL);
    waiting_leave(core_of(h->stream.worker)->waiting, &h->asker->waiting);
    if (status != 0) {
        h1_refuse(h, status, why);
        return;
    }
    if (!a->unnamed) /* else these are the words of anybody, not of the proxy */
        forwarded_apply(&req->request, c->trusted, c->trusted_texts.count,
                        (enum forwarded_header)c->forwarded_header);
    h1_name_client(h, &req->request);
    req->handed = true;
    req->request.admission = h1_admission_request(h, &req->request);
    if (req->request.admission != ADMISSION_PASS || !h1_redirect(h))
        dispatch_request(&h->stream);
}

/* NULL without memory. */
static struct h1_request *h1_begin_request(struct h1_asker *a, size_t max)
{
    if (a->req == NULL && (a->req = calloc(1, sizeof *a->req)) != NULL)
        http1_init(&a->req->parser, max);
    return a->req;
}

static void h1_on_head_data(struct io *io, uint8_t *p, size_t n)
{
    struct h1 *h = h1_of_io(io);
    struct h1_request *req =
        h1_begin_request(h->asker, core_of(h->stream.worker)->config->max_head);

    if (req == NULL || buf_append(&req->bytes, p, n) < 0) {
        worker_no_memory(h->stream.worker, "a request");
        h1_close(h);
        return;
    }
    switch (http1_feed(&req->parser, (const char *)buf_data(&req->bytes), buf_len(&req->bytes))) {
    case HTTP1_MORE:
        break;
    case HTTP1_DONE:
        h1_handle(h);
        break;
    case HTTP1_REFUSED:
        h->state = H1_HANDLING;
        waiting_leave(core_of(h->stream.worker)->waiting, &h->asker->waiting);
        h1_refuse(h, req->parser.status, req->parser.why);
        break;
    }
}

static void h1_on_gone(struct io *io, int err)
{
    struct h1 *h = h1_of_io(io);

    if (h->state == H1_HANDLING && h->stream.events != NULL)
        h->stream.events->closed(stream_owner(&h->stream), err);
    else
        h1_close(h);
}

static void h1_on_broken(struct io *io, int err, size_t lost)
{
    (void)lost;
    h1_on_gone(io, err);
}

static void h1_on_eof(struct io *io)
{
    h1_on_gone(io, 0);
}

static void h1_on_hung_up(struct io *io)
{
    struct h1 *h = h1_of_io(io);

    if (h->stream.events != NULL && h->stream.events->hung_up != NULL)
        h->stream.events->hung_up(stream_owner(&h->stream));
}

static const struct io_events io_events_head = {h1_on_head_data, h1_on_eof,  h1_on_drained,
                                                h1_on_broken,    h1_on_gone, h1_on_hung_up};

/* Nothing has come that would want an answer: at most the empty line that may stand in front of a
 * request. */
static bool h1_is_unasked(const struct h1_request *req)
{
    return req == NULL || (buf_len(&req->bytes) <= 2 &&
                           memcmp(buf_data(&req->bytes), "\r\n", buf_len(&req->bytes)) == 0);
}

static void h1_on_head_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct h1 *h = timer->data;
    (void)loop;
    (void)revents;

    if (h1_is_unasked(h->asker->req)) {
        h1_close(h);
        return;
    }
    h->state = H1_HANDLING;
    h1_refuse(h, 408, "the request did not arrive in time");
}

/* Nothing is asked: it goes when others have no room. A proxy's speak for others, and those of a
 * Unix socket cannot be told apart. */
void h1_wait(struct h1 *h)
{
    struct worker *w = h->stream.worker;
    const union addr *client = &h->asker->client;

    if (!h->asker->admin && client->sa.sa_family != AF_UNIX &&
        !admission_is_proxy(core_of(w)->admission, client))
        waiting_enter(core_of(w)->waiting, &h->asker->waiting, &h->conn, client);
}

void h1_await_head(struct h1 *h)
{
    h1_drop_request(h);
    h->state = H1_HEAD;
    h->io.events = &io_events_head;
    h->stream.events = NULL;
    h1_set_deadline(h, core_of(h->stream.worker)->config->handshake_timeout, h1_on_head_deadline);
    h1_wait(h);
    io_read_start(&h->io);
}

/* ---- the connection ---- */

static void h1_drop(struct front_conn *c)
{
    struct h1 *h = (struct h1 *)c;

    if (h->state == H1_HANDLING && h->stream.events != NULL)
        h->stream.events->closed(stream_owner(&h->stream), 0); /* its owner lets go */
    h1_close(h);
}

static void h1_go_away(struct front_conn *c)
{
    struct h1 *h = (struct h1 *)c;

    /* A client that has just connected is about to ask: it gets its answer. */
    if (h->state == H1_HEAD && h1_is_unasked(h->asker->req) &&
        h->stream.worker->now - io_last_rx(&h->io) >= H1_ABOUT_TO_ASK)
        h1_close(h);
}

static struct h1 *h1_new(struct worker *w, const struct front_accepted *a, enum admission_verdict v)
{
    struct h1 *h = calloc(1, sizeof *h);

    if (h == NULL || (h->asker = calloc(1, sizeof *h->asker)) == NULL) {
        worker_no_memory(w, "a connection");
        free(h);
        return NULL;
    }
    h->asker->client = *a->client;
    h->asker->admission = (uint8_t)v;
    h->asker->admin = a->admin;
    h->asker->tls = a->tls != NULL;
    h->asker->redirect = a->redirect;
    h->stream.ops = &h1_stream_ops;
    h->stream.worker = w;
    return h;
}

static void h1_open(struct worker *w, const struct front_accepted *a)
{
    enum admission_verdict v = h1_admission_accept(w, a);
    struct h1 *h = h1_admission_answers(v, a->tls != NULL) ? h1_new(w, a, v) : NULL;

    if (h == NULL) {
        close(a->fd);
        return;
    }
    connections_add(core_of(w)->connections, &h->conn);
    io_open(&h->io, w, &io_raw_socket, a->fd, &io_events_head);
    h->io.watch_hangup = true;
    if ((a->tls != NULL && io_tls_accept(&h->io, a->tls) < 0) ||
        (a->proxied && !h1_expect_proxied(h)))
        h1_close(h);
    else
        h1_await_head(h);
}

const struct front_ops front_h1 = {"http/1.1", h1_open, h1_drop, h1_go_away};
