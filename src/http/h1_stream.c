/* SPDX-License-Identifier: MIT */

/* A connection as a stream: the operations of handlers and sessions, and from the 101 on its
 * events. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "http/h1.h"

#define LIVE_UNSENT 16384 /* bytes, see h1_stay_live */

/* ---- what is told on ---- */

void h1_on_drained(struct io *io)
{
    struct h1 *h = h1_of_io(io);

    if (h->state == H1_ANSWERED)
        h1_await_head(h);
    else if (h->stream.events != NULL && h->stream.events->drained != NULL)
        h->stream.events->drained(stream_owner(&h->stream));
}

static void h1_on_data(struct io *io, uint8_t *p, size_t n)
{
    struct h1 *h = h1_of_io(io);

    h->stream.events->data(stream_owner(&h->stream), p, n);
}

static void h1_on_upgraded_gone(struct io *io, int err)
{
    struct h1 *h = h1_of_io(io);

    h->stream.events->closed(stream_owner(&h->stream), err);
}

static void h1_on_upgraded_broken(struct io *io, int err, size_t lost)
{
    (void)lost;
    h1_on_upgraded_gone(io, err);
}

static void h1_on_upgraded_eof(struct io *io)
{
    h1_on_upgraded_gone(io, 0);
}

static const struct io_events io_events_upgraded = {h1_on_data,          h1_on_upgraded_eof,
                                                    h1_on_drained,       h1_on_upgraded_broken,
                                                    h1_on_upgraded_gone, NULL};

/* ---- what they do ---- */

static struct request *h1_request(const struct stream *s)
{
    const struct h1_asker *a = h1_of(s)->asker;

    return a != NULL && a->req != NULL && a->req->handed ? &a->req->request : NULL;
}

static void h1_upgrade(struct stream *s, const char *accept, struct slice subprotocol,
                       const char *extensions)
{
    struct h1 *h = h1_of(s);
    struct h1_request *req = h->asker->req;

    h->asker->req = NULL;
    h1_drop_asker(h);
    h->state = H1_UPGRADED;
    h->io.events = &io_events_upgraded;
    h1_write_101(h, accept, subprotocol, extensions);
    h1_replay(h, req);
    io_read_start(&h->io);
}

static size_t h1_queued(const struct stream *s)
{
    return io_queued(&h1_of(s)->io);
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
    return io_delivered(&h1_of(s)->io);
}

static size_t h1_pending(const struct stream *s)
{
    const struct io *io = &h1_of(s)->io;

    return io_queued(io) + io_unacked(io);
}

static double h1_last_rx(const struct stream *s)
{
    return io_last_rx(&h1_of(s)->io);
}

static double h1_last_tx(const struct stream *s)
{
    return io_last_tx(&h1_of(s)->io);
}

static bool h1_peer_finished(const struct stream *s)
{
    return io_peer_finished(&h1_of(s)->io);
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

const struct stream_ops h1_stream_ops = {
    .request = h1_request,
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
