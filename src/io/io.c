/* SPDX-License-Identifier: MIT */
#include "io/io.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/paused.h"

/* Watches w for these events, or not at all. */
static void io_watch(struct ev_loop *loop, ev_io *w, int events)
{
    int now = ev_is_active(w) ? w->events & (EV_READ | EV_WRITE) : 0;

    if (now == events)
        return;
    ev_io_stop(loop, w);
    if (events == 0)
        return;
    ev_io_modify(w, events);
    ev_io_start(loop, w);
}

/* The one place that decides what is watched. libev passes changes on to epoll once a turn. */
static void io_update(struct io *io)
{
    struct ev_loop *loop = io->worker->loop;
    int reading = io->is_open && io->want_read && !io->read_ended ? EV_READ : 0;
    bool unsent = !io->write_ended && buf_len(&io->out) > 0;
    int writing = io->is_open && (unsent || io->tls_wants_write) ? EV_WRITE : 0;

    if (io->writer == &io->watcher) {
        io_watch(loop, &io->watcher, reading | writing);
    } else {
        io_watch(loop, &io->watcher, reading);
        io_watch(loop, io->writer, writing);
    }
    if (io->is_open && !io->want_read && !io->read_ended && io->watch_hangup)
        paused_add(io);
    else
        paused_remove(io);
}

/* The sending half is over; the bytes that waited are gone. */
static void io_end_writing(struct io *io)
{
    io->write_ended = true;
    io->lost += buf_len(&io->out);
    buf_release(&io->out);
    if (!io->transport->is_socket && io->wfd >= 0) {
        ev_io_stop(io->worker->loop, io->writer);
        close(io->wfd);
        io->wfd = -1;
    }
    io_update(io);
}

/* From inside a call of the user's: the error is kept and told from the loop. */
static void io_write_failed(struct io *io, int err)
{
    io->error = err;
    io_end_writing(io);
    ev_feed_event(io->worker->loop, io->writer, EV_CUSTOM);
}

static void io_shutdown_now(struct io *io)
{
    if (io->write_ended)
        return;
    (void)io->transport->shutdown(io); /* a peer already gone shows itself to the reader */
    io_end_writing(io);
}

/* Bytes the kernel took at once: 0 when it is full, -1 with errno on error. */
static ssize_t io_send(struct io *io, const void *p, size_t n)
{
    ssize_t sent;

    do {
        sent = io->transport->write(io, p, n);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
    io->sent += (uint64_t)sent;
    io->last_tx = io->worker->now;
    return sent;
}

void io_write(struct io *io, const void *p, size_t n)
{
    if (!io->is_open || io->write_ended || io->finish_wanted) {
        io->lost += n;
        return;
    }
    size_t taken = 0;

    if (buf_len(&io->out) == 0) {
        ssize_t sent = io_send(io, p, n);

        if (sent < 0) {
            io->lost += n;
            io_write_failed(io, errno);
            return;
        }
        taken = (size_t)sent;
    }
    if (taken == n)
        return;
    if (buf_append(&io->out, (const uint8_t *)p + taken, n - taken) < 0) {
        io->lost += n - taken;
        io_write_failed(io, ENOMEM);
        return;
    }
    io->was_queued = true;
    io_update(io);
}

static void io_on_writable(struct io *io, int revents)
{
    if (io->error != 0) {
        int err = io->error;

        io->error = 0;
        io->events->broken(io->owner, err);
        return;
    }
    if (!(revents & EV_WRITE) || buf_len(&io->out) == 0)
        return;
    ssize_t sent = io_send(io, buf_data(&io->out), buf_len(&io->out));
    if (sent < 0) {
        int err = errno;

        io_end_writing(io);
        io->events->broken(io->owner, err);
        return;
    }
    buf_consume(&io->out, (size_t)sent);
    if (buf_len(&io->out) > 0)
        return;
    if (io->finish_wanted)
        io_shutdown_now(io);
    io_update(io);
    if (io->was_queued) {
        io->was_queued = false;
        io->events->drained(io->owner);
    }
}

static void io_end_reading(struct io *io)
{
    io->read_ended = true;
    if (!io->transport->is_socket) {
        ev_io_stop(io->worker->loop, &io->watcher);
        close(io->rfd);
        io->rfd = -1;
    }
    io_update(io);
}

/* Bytes inside the transport make no event of their own: one is made for them. */
static void io_read_pending(struct io *io)
{
    if (io->is_open && io->want_read && !io->read_ended && io->transport->pending != NULL &&
        io->transport->pending(io))
        ev_feed_event(io->worker->loop, &io->watcher, EV_READ);
}

/* One read a turn: epoll tells again of what is left, so that no connection starves the others. */
static void io_on_readable(struct io *io)
{
    uint8_t *p = io->worker->rx + WORKER_HEADROOM;

    if (!io->want_read || io->read_ended)
        return;
    ssize_t n = io->transport->read(io, p, WORKER_RX_SIZE);
    if (n > 0) {
        io->received += (uint64_t)n;
        io->last_rx = io->worker->now;
        io->events->data(io->owner, p, (size_t)n);
        io_read_pending(io);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        if (io->tls_wants_write)
            io_update(io);
        return;
    }
    int err = n < 0 ? errno : 0;

    io_end_reading(io);
    if (err == 0)
        io->events->eof(io->owner);
    else
        io->events->closed(io->owner, err);
}

static void io_on_event(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct io *io = watcher->data;
    (void)loop;

    if (io->tls_wants_write && (revents & EV_WRITE)) {
        io->tls_wants_write = false;
        revents |= EV_READ;
        io_update(io);
    }
    if (io->is_open && (revents & (EV_WRITE | EV_CUSTOM)))
        io_on_writable(io, revents);
    if (io->is_open && (revents & EV_READ))
        io_on_readable(io);
}

void io_report_hangup(struct io *io)
{
    int err = 0, unread = 0;
    socklen_t len = sizeof err;

    (void)getsockopt(io->rfd, SOL_SOCKET, SO_ERROR, &err, &len);
    /* Both sides ended in peace, but what was sent before still counts: see io_peer_finished. */
    if (err == 0 && ioctl(io->rfd, FIONREAD, &unread) == 0 && unread > 0)
        return;
    io_end_reading(io);
    io->events->closed(io->owner, err != 0 ? err : ECONNRESET);
}

void io_open(struct io *io, struct worker *w, const struct io_transport *transport, int rfd,
             int wfd, ev_io *writer, const struct io_events *events, void *owner)
{
    memset(io, 0, sizeof *io);
    io->transport = transport;
    io->events = events;
    io->owner = owner;
    io->worker = w;
    io->rfd = rfd;
    io->wfd = wfd;
    io->is_open = true;
    io->last_rx = io->last_tx = w->now;
    io->writer = writer != NULL ? writer : &io->watcher;
    ev_io_init(&io->watcher, io_on_event, rfd, EV_READ);
    if (writer != NULL)
        ev_io_init(writer, io_on_event, wfd, EV_WRITE);
    io->watcher.data = io->writer->data = io;
}

void io_close(struct io *io)
{
    if (!io->is_open)
        return;
    io->is_open = false;
    io->lost += buf_len(&io->out);
    buf_release(&io->out);
    io_update(io);
    ev_clear_pending(io->worker->loop, &io->watcher);
    ev_clear_pending(io->worker->loop, io->writer);
    if (io->transport->release != NULL)
        io->transport->release(io);
    if (io->rfd >= 0)
        close(io->rfd);
    if (!io->transport->is_socket && io->wfd >= 0)
        close(io->wfd);
    io->rfd = io->wfd = -1;
}

void io_read_start(struct io *io)
{
    if (io->want_read || !io->is_open)
        return;
    io->want_read = true;
    io_update(io);
    io_read_pending(io);
}

void io_read_stop(struct io *io)
{
    if (!io->want_read || !io->is_open)
        return;
    io->want_read = false;
    io_update(io);
}

void io_finish(struct io *io)
{
    if (!io->is_open || io->finish_wanted)
        return;
    io->finish_wanted = true;
    if (buf_len(&io->out) == 0)
        io_shutdown_now(io);
}

size_t io_unacked(const struct io *io)
{
    int n = 0;

    if (!io->is_open || !io->transport->is_socket || ioctl(io->wfd, SIOCOUTQ, &n) < 0 || n < 0)
        return 0;
    return (size_t)n;
}

bool io_peer_finished(const struct io *io)
{
    struct pollfd p = {.fd = io->rfd, .events = POLLRDHUP};

    if (!io->is_open)
        return true;
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}
