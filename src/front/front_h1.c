/* SPDX-License-Identifier: MIT */
#include "front/front_h1.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/config.h"
#include "core/forwarded.h"
#include "core/handler.h"
#include "core/stats.h"
#include "front/h1.h"
#include "io/io_tls.h"
#include "proto/handshake.h"

#define H1_MAGIC 0x68310001U
#define H1_ABOUT_TO_ASK 1.0 /* seconds */
#define LIVE_UNSENT 16384   /* bytes, see h1_stay_live */
#define LINGER 2.0          /* seconds a connection may take to end politely, while nothing moves */
#define LINGER_BYTES (1U << 20) /* of input thrown away meanwhile */

static const struct io_events io_events_head, io_events_upgraded, io_events_ending;

/* A head may hold passwords. */
static void h1_forget(struct buf *bytes)
{
    if (buf_len(bytes) > 0)
        explicit_bzero(buf_data(bytes), buf_len(bytes));
    buf_release(bytes);
}

static void h1_drop_request(struct h1 *h)
{
    if (h->req == NULL)
        return;
    request_release(&h->req->request);
    h1_forget(&h->req->bytes);
    free(h->req);
    h->req = NULL;
    h->stream.request = NULL;
}

static void h1_release(struct reap *r)
{
    free((char *)r - offsetof(struct h1, reap));
}

static void h1_close(struct h1 *h)
{
    if (h->state == H1_CLOSED)
        return;
    h->state = H1_CLOSED;
    h->magic = ~H1_MAGIC;
    h->stream.events = NULL;
    ev_timer_stop(h->stream.worker->loop, &h->stream.timer);
    io_close(&h->io);
    buf_release(&h->proxied);
    h1_drop_request(h);
    connections_remove(h->stream.worker->connections, &h->conn);
    h->reap.release = h1_release;
    worker_reap(h->stream.worker, &h->reap);
}

static void h1_on_deadline(struct ev_loop *loop, ev_timer *timer, int revents);

/* For HEAD: of the head; for ENDING: of lingering. In between the timer is the handler's. */
static void h1_set_deadline(struct h1 *h, double seconds)
{
    struct ev_loop *loop = h->stream.worker->loop;

    ev_timer_stop(loop, &h->stream.timer);
    if (seconds <= 0)
        return;
    ev_timer_init(&h->stream.timer, h1_on_deadline, seconds, 0);
    h->stream.timer.data = h;
    ev_timer_start(loop, &h->stream.timer);
}

/* What is queued may take as long as it moves. An answer also gets stall-timeout for a pause of its
 * reader; a WebSocket's end has had its time before. */
static void h1_be_patient(struct h1 *h, bool answered)
{
    const struct config *c = h->stream.worker->config;

    h->patience = (float)(answered && c->settings.stall_timeout > LINGER ? c->settings.stall_timeout
                                                                         : LINGER);
    h->quiet = 0;
    h->marked = h->io.sent;
    h1_set_deadline(h, LINGER);
}

/* Flush, FIN, and read on until the client's FIN: closing with unread input would send RST, which
 * destroys what it has not read yet (RFC 9112, section 9.6). */
static void h1_linger(struct h1 *h)
{
    bool answered = h->state == H1_HANDLING;

    h1_drop_request(h);
    h->state = H1_ENDING;
    h->io.events = &io_events_ending;
    h->stream.events = NULL;
    h1_be_patient(h, answered);
    io_finish(&h->io);
    io_read_start(&h->io);
}

static void h1_await_head(struct h1 *h)
{
    h1_drop_request(h);
    h->state = H1_HEAD;
    h->io.events = &io_events_head;
    h->stream.events = NULL;
    h1_set_deadline(h, h->stream.worker->config->handshake_timeout);
    io_read_start(&h->io);
}

/* ---- the stream, as handlers use it ---- */

/* Bytes the client sent right behind its head are its first frames. They are handed on from the
 * loop, like all data. */
static void h1_feed_early(struct h1 *h, const struct buf *bytes, size_t head)
{
    size_t n = buf_len(bytes) - head;

    if (n == 0 || h->stream.events == NULL)
        return;
    uint8_t *p = h->stream.worker->rx + WORKER_HEADROOM;

    memcpy(p, buf_data(bytes) + head, n);
    h->stream.events->data(h->stream.owner, p, n);
}

/* The 101 is called for from the loop (a backend has opened), and is the caller's last act, so
 * feeding early data here makes no upcall inside a downcall that anything depends on. */
static void h1_upgrade(struct stream *s, const char *accept, struct slice subprotocol,
                       const char *extensions)
{
    struct h1 *h = h1_of(s);
    struct h1_request *req = h->req;

    h->req = NULL;
    h->stream.request = NULL;
    h->state = H1_UPGRADED;
    h->io.events = &io_events_upgraded;
    h1_write_101(h, accept, subprotocol, extensions);
    io_read_start(&h->io);
    h1_feed_early(h, &req->bytes, req->parser.length);
    request_release(&req->request);
    h1_forget(&req->bytes);
    free(req);
    buf_release(&h->proxied);
}

static size_t h1_queued(const struct stream *s)
{
    return io_queued(&h1_of((struct stream *)(uintptr_t)s)->io);
}

static void h1_pause(struct stream *s, bool paused)
{
    if (paused)
        io_read_stop(&h1_of(s)->io);
    else
        io_read_start(&h1_of(s)->io);
}

/* Without this the system would keep megabytes for a slow client: many seconds of a game. */
static void h1_stay_live(struct stream *s)
{
    int most = LIVE_UNSENT;

    (void)setsockopt(io_fd(&h1_of(s)->io), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

static uint64_t h1_delivered(const struct stream *s)
{
    const struct io *io = &h1_of((struct stream *)(uintptr_t)s)->io;

    return io->sent - io_unacked(io);
}

static size_t h1_pending(const struct stream *s)
{
    const struct io *io = &h1_of((struct stream *)(uintptr_t)s)->io;

    return io_queued(io) + io_unacked(io);
}

static double h1_last_rx(const struct stream *s)
{
    return io_last_rx(&h1_of((struct stream *)(uintptr_t)s)->io);
}

static double h1_last_tx(const struct stream *s)
{
    return io_last_tx(&h1_of((struct stream *)(uintptr_t)s)->io);
}

static bool h1_peer_finished(const struct stream *s)
{
    return io_peer_finished(&h1_of((struct stream *)(uintptr_t)s)->io);
}

static void h1_answered(struct h1 *h)
{
    if (io_queued(&h->io) == 0) {
        h1_await_head(h);
        return;
    }
    h1_drop_request(h);
    h->state = H1_ANSWERED;
    h->stream.events = NULL;
    h1_be_patient(h, true);
}

static void h1_end(struct stream *s)
{
    struct h1 *h = h1_of(s);

    if (h->chunked && h->state == H1_HANDLING)
        h1_last_chunk(h);
    h->chunked = false;
    if (h->state == H1_HANDLING && h->keep_alive && !io_finished(&h->io))
        h1_answered(h);
    else if (h->state != H1_CLOSED)
        h1_linger(h);
}

static void h1_abort(struct stream *s)
{
    h1_close(h1_of(s));
}

static const struct stream_ops h1_stream_ops = {
    .respond = h1_respond,
    .upgrade = h1_upgrade,
    .write = h1_write,
    .queued = h1_queued,
    .pause = h1_pause,
    .stay_live = h1_stay_live,
    .delivered = h1_delivered,
    .pending = h1_pending,
    .last_rx = h1_last_rx,
    .last_tx = h1_last_tx,
    .peer_finished = h1_peer_finished,
    .end = h1_end,
    .abort = h1_abort,
};

/* ---- reading a head ---- */

static void h1_refuse(struct h1 *h, int status, const char *why)
{
    char client[ADDR_TEXT_MAX];

    log_line(&h->stream.worker->log, LOG_INFO, "request refused",
             LOG_C("client", addr_format(&h->client, client)), LOG_I("status", status),
             LOG_C("reason", why));
    if (!h->admin)
        stats_refused(h->stream.worker, status);
    stream_refuse(&h->stream, status, handshake_refusal_fields(status), why);
}

/* What the client has proved about itself by a certificate, and what a proxy says of it. */
static void h1_name_client(const struct h1 *h, struct request *r)
{
    r->tls_version = slice_from(io_tls_version(&h->io));
    if (buf_len(&h->proxied) > 0 && proxyhdr_parse(buf_data(&h->proxied), buf_len(&h->proxied),
                                                   &h->req->proxied) == PROXYHDR_DONE)
        r->proxied = &h->req->proxied;
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
    const struct config *c = h->stream.worker->config;
    struct h1_request *req = h->req;
    const char *why;
    socklen_t len = sizeof req->request.server;
    int status = request_init(&req->request, &req->parser.head, &why);

    req->request.client = h->client;
    req->request.admin = h->admin;
    req->request.secure = h->tls || h->secure;
    (void)getsockname(io_fd(&h->io), &req->request.server.sa, &len); /* unknown is no harm */
    h->state = H1_HANDLING;
    io_read_stop(&h->io);
    h1_set_deadline(h, 0);
    if (status != 0) {
        h1_refuse(h, status, why);
        return;
    }
    if (!h->unnamed) /* else these are the words of anybody, not of the proxy */
        forwarded_apply(&req->request, c->trusted, c->trusted_texts.count,
                        (enum forwarded_header)c->forwarded_header);
    h1_name_client(h, &req->request);
    h->stream.request = &req->request;
    req->request.gate = h1_gate_request(h, &req->request);
    if (req->request.gate != GATE_PASS || !h1_redirect(h))
        handler_dispatch(&h->stream);
}

static void h1_on_head_data(struct io *io, uint8_t *p, size_t n)
{
    struct h1 *h = h1_of_io(io);

    if (h->req == NULL) {
        h->req = calloc(1, sizeof *h->req);
        if (h->req == NULL) {
            h1_close(h);
            return;
        }
        http1_init(&h->req->parser);
    }
    if (buf_append(&h->req->bytes, p, n) < 0) {
        h1_close(h);
        return;
    }
    switch (http1_feed(&h->req->parser, (const char *)buf_data(&h->req->bytes),
                       buf_len(&h->req->bytes))) {
    case HTTP1_MORE:
        break;
    case HTTP1_DONE:
        h1_handle(h);
        break;
    case HTTP1_REFUSED:
        h->state = H1_HANDLING;
        h1_refuse(h, h->req->parser.status, h->req->parser.why);
        break;
    }
}

static void h1_on_gone(struct io *io, int err)
{
    struct h1 *h = h1_of_io(io);

    if (h->state == H1_HANDLING && h->stream.events != NULL)
        h->stream.events->closed(h->stream.owner, err);
    else
        h1_close(h);
}

static void h1_on_eof(struct io *io)
{
    h1_on_gone(io, 0);
}

static void h1_on_drained(struct io *io)
{
    struct h1 *h = h1_of_io(io);

    if (h->state == H1_ANSWERED)
        h1_await_head(h);
    else if (h->stream.events != NULL && h->stream.events->drained != NULL)
        h->stream.events->drained(h->stream.owner);
}

static void h1_on_hung_up(struct io *io)
{
    struct h1 *h = h1_of_io(io);

    if (h->stream.events != NULL && h->stream.events->hung_up != NULL)
        h->stream.events->hung_up(h->stream.owner);
}

static const struct io_events io_events_head = {h1_on_head_data, h1_on_eof,  h1_on_drained,
                                                h1_on_gone,      h1_on_gone, h1_on_hung_up};

/* ---- after the 101 ---- */

static void h1_on_data(struct io *io, uint8_t *p, size_t n)
{
    struct h1 *h = h1_of_io(io);

    h->stream.events->data(h->stream.owner, p, n);
}

static void h1_on_upgraded_gone(struct io *io, int err)
{
    struct h1 *h = h1_of_io(io);

    h->stream.events->closed(h->stream.owner, err);
}

static void h1_on_upgraded_eof(struct io *io)
{
    h1_on_upgraded_gone(io, 0);
}

static const struct io_events io_events_upgraded = {
    h1_on_data, h1_on_upgraded_eof, h1_on_drained, h1_on_upgraded_gone, h1_on_upgraded_gone, NULL};

/* ---- ending ---- */

static void h1_on_discard(struct io *io, uint8_t *p, size_t n)
{
    struct h1 *h = h1_of_io(io);
    (void)p;

    h->discarded += (uint32_t)n;
    if (h->discarded > LINGER_BYTES)
        h1_close(h);
}

static void h1_on_ended(struct io *io, int err)
{
    struct h1 *h = h1_of_io(io);

    /* A client that has only ended its own side may still be reading what is queued. */
    if (err == 0 && io_queued(&h->io) > 0)
        return;
    h1_close(h);
}

static void h1_on_ending_eof(struct io *io)
{
    h1_on_ended(io, 0);
}

static void h1_on_ending_drained(struct io *io)
{
    struct h1 *h = h1_of_io(io);

    if (h->io.read_ended)
        h1_close(h);
}

static const struct io_events io_events_ending = {
    h1_on_discard, h1_on_ending_eof, h1_on_ending_drained, h1_on_ended, h1_on_ended, NULL};

/* The queue moved, or has stood still for less than is granted. */
static bool h1_may_go_on(struct h1 *h)
{
    h->quiet = h->io.sent != h->marked ? 0 : h->quiet + (float)LINGER;
    h->marked = h->io.sent;
    return h->quiet < h->patience;
}

static void h1_on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct h1 *h = timer->data;
    (void)loop;
    (void)revents;

    if (h->state == H1_HEAD && h->req != NULL) {
        h->state = H1_HANDLING;
        h1_refuse(h, 408, "the request did not arrive in time");
    } else if (io_queued(&h->io) > 0 && h1_may_go_on(h)) {
        h1_set_deadline(h, LINGER);
    } else {
        h1_close(h);
    }
}

/* ---- the connection ---- */

static void h1_conn_drop(struct front_conn *c)
{
    struct h1 *h = (struct h1 *)c;

    if (h->state == H1_HANDLING && h->stream.events != NULL)
        h->stream.events->closed(h->stream.owner, 0); /* who is answering lets go of what it has */
    h1_close(h);
}

static void h1_conn_go_away(struct front_conn *c)
{
    struct h1 *h = (struct h1 *)c;

    /* A client that has just connected is about to ask: it gets its answer. */
    if (h->state == H1_HEAD && h->req == NULL &&
        h->stream.worker->now - io_last_rx(&h->io) >= H1_ABOUT_TO_ASK)
        h1_close(h);
}

static const struct front_conn_ops h1_conn_ops = {h1_conn_drop, h1_conn_go_away};

static void h1_open(struct worker *w, const struct front_accepted *a)
{
    enum gate_verdict v = h1_gate_accept(w, a);
    struct h1 *h = h1_gate_answers(v, a->tls != NULL) ? calloc(1, sizeof *h) : NULL;

    if (h == NULL) {
        close(a->fd);
        return;
    }
    h->gate = (uint8_t)v;
    h->magic = H1_MAGIC;
    h->client = *a->client;
    h->admin = a->admin;
    h->tls = a->tls != NULL;
    h->redirect = a->redirect;
    h->stream.ops = &h1_stream_ops;
    h->stream.worker = w;
    h->conn.ops = &h1_conn_ops;
    connections_add(w->connections, &h->conn);
    io_open(&h->io, w, &io_raw_socket, a->fd, &io_events_head);
    h->io.watch_hangup = true;
    if ((a->tls != NULL && io_tls_accept(&h->io, a->tls) < 0) ||
        (a->proxied && !h1_expect_proxied(h)))
        h1_close(h);
    else
        h1_await_head(h);
}

const struct front_ops front_h1 = {"http/1.1", h1_open};
