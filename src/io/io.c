/* SPDX-License-Identifier: MIT */
#include "io/io.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/paused.h"

/* In a turn that has both, bytes are looked at before deadlines that they may keep. */
#define IO_BEFORE_TIMERS 1

static struct io_pipes *io_pipes_of(struct io *io)
{
    return (struct io_pipes *)io;
}

int io_write_fd(const struct io *io)
{
    return io->link->transport->two_way ? io_fd(io) : ((const struct io_pipes *)io)->wfd;
}

static void io_close_fd(struct ev_loop *loop, ev_io *watcher)
{
    ev_io_stop(loop, watcher);
    if (watcher->fd >= 0)
        close(watcher->fd);
    watcher->fd = -1;
}

static void io_on_writer(struct ev_loop *loop, ev_io *writer, int revents);

/* So that what is queued can leave. -1 without memory. */
static int io_need_writer(struct io *io)
{
    struct io_pipes *pipes = io_pipes_of(io);

    if (io->link->transport->two_way || pipes->writer != NULL)
        return 0;
    pipes->writer = malloc(sizeof *pipes->writer);
    if (pipes->writer == NULL)
        return -1;
    ev_io_init(pipes->writer, io_on_writer, pipes->wfd, EV_WRITE);
    ev_set_priority(pipes->writer, IO_BEFORE_TIMERS);
    pipes->writer->data = pipes;
    return 0;
}

static void io_close_writer(struct io *io)
{
    struct io_pipes *pipes = io_pipes_of(io);

    if (io->link->transport->two_way)
        return;
    if (pipes->writer != NULL)
        ev_io_stop(io_worker(io)->loop, pipes->writer);
    free(pipes->writer);
    pipes->writer = NULL;
    if (pipes->wfd >= 0)
        close(pipes->wfd);
    pipes->wfd = -1;
}

/* The turn's time in milliseconds, of which stamps keep the low 32 bits. Rounded up: an answer must
 * not be stamped before its question. */
static int64_t io_clock(const struct io *io)
{
    return (int64_t)(io_worker(io)->now * 1000) + 1;
}

static double io_when(const struct io *io, uint32_t stamp)
{
    int64_t now = io_clock(io);
    uint32_t age = (uint32_t)now - stamp;

    return (double)(now - age) / 1000;
}

double io_last_rx(const struct io *io)
{
    return io_when(io, io->last_rx);
}

double io_last_tx(const struct io *io)
{
    return io_when(io, io->last_tx);
}

/* Watches w for these events, or not at all. */
static void io_watch(struct ev_loop *loop, ev_io *w, int events)
{
    int now = ev_is_active(w) ? w->events & (EV_READ | EV_WRITE) : 0, pending;

    if (now == events)
        return;
    pending = ev_clear_pending(loop, w);
    ev_io_stop(loop, w);
    if (events != 0) {
        ev_io_modify(w, events);
        ev_io_start(loop, w);
    }
    if (pending != 0) /* what was fed makes no event again; and one too many does no harm */
        ev_feed_event(loop, w, pending);
}

/* The one place that decides what is watched. libev passes changes on to epoll once a turn. */
static void io_update(struct io *io)
{
    struct ev_loop *loop = io_worker(io)->loop;
    bool two_way = io->link->transport->two_way;
    bool readable = io->want_read && !io->read_ended && !io->away;
    bool unsent = !io->write_ended && buf_len(&io->out) > 0 && !(two_way && io->away);
    int reading = io->is_open && readable ? EV_READ : 0;
    int writing = io->is_open && (unsent || io->tls_wants_write) ? EV_WRITE : 0;

    if (two_way) {
        io_watch(loop, &io->watcher, reading | writing);
    } else {
        io_watch(loop, &io->watcher, reading);
        if (io_pipes_of(io)->writer != NULL)
            io_watch(loop, io_pipes_of(io)->writer, writing);
    }
    if (io->is_open && !io->want_read && !io->read_ended && io->watch_hangup)
        paused_add(io);
    else
        paused_remove(io);
}

/* The sending half is over. Returns how many bytes waited, and are gone. */
static size_t io_end_writing(struct io *io)
{
    size_t lost = buf_len(&io->out);

    io->write_ended = true;
    buf_release(&io->out);
    io_close_writer(io);
    io_update(io);
    return lost;
}

/* From inside a call of the user's: the error is kept and told from the loop. */
static size_t io_write_failed(struct io *io, int err)
{
    size_t lost = io_end_writing(io);

    if (err == ENOMEM)
        worker_no_memory(io_worker(io), "what waits to be sent");
    io->error = (int16_t)err;
    ev_feed_event(io_worker(io)->loop, &io->watcher, EV_CUSTOM);
    return lost;
}

static void io_shutdown_now(struct io *io)
{
    if (io->write_ended)
        return;
    (void)io->link->transport->shutdown(io); /* a peer already gone shows itself to the reader */
    (void)io_end_writing(io);                /* nothing waits */
}

/* Bytes the kernel took at once: 0 when it is full, -1 with errno on error. */
static ssize_t io_send(struct io *io, const void *p, size_t n)
{
    ssize_t sent;

    do {
        sent = io->link->transport->write(io, p, n);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
    io->sent += (uint64_t)sent;
    io->last_tx = (uint32_t)io_clock(io);
    return sent;
}

size_t io_write(struct io *io, const void *p, size_t n)
{
    size_t taken = 0;

    if (!io->is_open || io->write_ended || io->finish_wanted)
        return n;

    if (buf_len(&io->out) == 0) {
        ssize_t sent = io_send(io, p, n);

        if (sent < 0)
            return n + io_write_failed(io, errno);
        taken = (size_t)sent;
    }
    if (taken == n)
        return 0;
    if (io_need_writer(io) < 0 || buf_append(&io->out, (const uint8_t *)p + taken, n - taken) < 0)
        return n - taken + io_write_failed(io, ENOMEM);
    io->was_queued = true;
    io_update(io);
    return 0;
}

/* epoll would tell of it again and again. */
static bool io_went_away(struct io *io)
{
    const struct io_transport *t = io->link->transport;

    if (!io->may_return || t->is_away == NULL || !t->is_away(io))
        return false;
    io->away = true;
    io_update(io);
    io->events->hung_up(io);
    return true;
}

void io_return(struct io *io)
{
    io->away = false;
    io_update(io);
}

static void io_on_writable(struct io *io, int revents)
{
    if (io->error != 0) {
        int err = io->error;

        io->error = 0;
        io->events->broken(io, err, 0);
        return;
    }
    if (!(revents & EV_WRITE) || buf_len(&io->out) == 0)
        return;
    ssize_t sent = io_send(io, buf_data(&io->out), buf_len(&io->out));
    if (sent < 0) {
        int err = errno;

        io->events->broken(io, err, io_end_writing(io));
        return;
    }
    if (sent == 0 && io->link->transport->two_way && io_went_away(io))
        return;
    buf_consume(&io->out, (size_t)sent);
    if (buf_len(&io->out) > 0)
        return;
    if (io->finish_wanted)
        io_shutdown_now(io);
    io_update(io);
    if (io->was_queued) {
        io->was_queued = false;
        io->events->drained(io);
    }
}

static void io_end_reading(struct io *io)
{
    io->read_ended = true;
    if (!io->link->transport->two_way)
        io_close_fd(io_worker(io)->loop, &io->watcher);
    io_update(io);
}

static bool io_is_pending(const struct io *io)
{
    return io->link->transport->pending != NULL && io->link->transport->pending(io);
}

/* Bytes inside the transport make no event of their own: one is made for them. */
static void io_read_pending(struct io *io)
{
    if (io->is_open && io->want_read && !io->read_ended && io_is_pending(io))
        ev_feed_event(io_worker(io)->loop, &io->watcher, EV_READ);
}

/* One read a turn: epoll tells again of what is left, so that no connection starves the others. */
static void io_on_readable(struct io *io)
{
    uint8_t *p = io_worker(io)->rx + WORKER_HEADROOM;

    if (!io->want_read || io->read_ended)
        return;
    ssize_t n = io->link->transport->read(io, p, WORKER_RX_SIZE);
    if (n > 0) {
        io->last_rx = (uint32_t)io_clock(io);
        io->events->data(io, p, (size_t)n);
        io_read_pending(io);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        if (io->tls_wants_write)
            io_update(io);
        return;
    }
    int err = n < 0 ? errno : 0;

    if (err == EIO && io->may_return) {
        (void)io_went_away(io); /* or somebody has opened it by now */
        return;
    }
    io_end_reading(io);
    if (err == 0)
        io->events->eof(io);
    else
        io->events->closed(io, err);
}

/* epoll refused the descriptor (no memory, max_user_watches), and libev watches it no more: no
 * event would come of it again. So that half ends, of what has one descriptor both; what waits to
 * be sent is lost. */
static void io_unwatched(struct io *io, bool reader, bool writer)
{
    if (writer && io->error != 0)
        io_on_writable(io, 0);
    else if (writer && !io->write_ended)
        io->events->broken(io, ENOMEM, io_end_writing(io));
    if (!reader || !io->is_open || io->read_ended)
        return;
    io_end_reading(io);
    io->events->closed(io, ENOMEM);
}

static void io_handle(struct io *io, int revents)
{
    if (io->tls_wants_write && (revents & EV_WRITE)) {
        io->tls_wants_write = false;
        revents |= EV_READ;
        io_update(io);
    }
    if (io->is_open && (revents & (EV_WRITE | EV_CUSTOM)))
        io_on_writable(io, revents);
    if (io->is_open && io->error != 0) /* of a write from inside: before what reading finds */
        io_on_writable(io, 0);
    if (io->is_open && !io->away && (revents & EV_READ))
        io_on_readable(io);
}

static void io_on_event(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct io *io = (struct io *)((char *)watcher - offsetof(struct io, watcher));
    (void)loop;

    if (!(revents & EV_ERROR))
        io_handle(io, revents);
    else if (io->is_open)
        io_unwatched(io, true, io->link->transport->two_way);
}

static void io_on_writer(struct ev_loop *loop, ev_io *writer, int revents)
{
    struct io_pipes *pipes = writer->data;
    (void)loop;

    if (!(revents & EV_ERROR))
        io_handle(&pipes->io, revents);
    else if (pipes->io.is_open)
        io_unwatched(&pipes->io, false, true);
}

void io_report_hangup(struct io *io)
{
    int err = 0, unread = 0;
    socklen_t len = sizeof err;

    (void)getsockopt(io_fd(io), SOL_SOCKET, SO_ERROR, &err, &len);
    /* Both sides ended in peace, but what was sent before still counts: see io_peer_finished. */
    if (err == 0 && (io_is_pending(io) || (ioctl(io_fd(io), FIONREAD, &unread) == 0 && unread > 0)))
        return;
    io_end_reading(io);
    io->events->closed(io, err != 0 ? err : ECONNRESET);
}

void io_open(struct io *io, struct worker *w, const struct io_link *link, int fd,
             const struct io_events *events)
{
    memset(io, 0, sizeof *io);
    io->link = link;
    io->events = events;
    io->is_open = true;
    ev_io_init(&io->watcher, io_on_event, fd, EV_READ);
    ev_set_priority(&io->watcher, IO_BEFORE_TIMERS);
    io->watcher.data = w;
    io->last_rx = io->last_tx = (uint32_t)io_clock(io);
}

void io_open_pipes(struct io_pipes *pipes, struct worker *w, const struct io_link *link, int rfd,
                   int wfd, const struct io_events *events)
{
    io_open(&pipes->io, w, link, rfd, events);
    pipes->writer = NULL;
    pipes->wfd = wfd;
}

void io_close(struct io *io)
{
    struct ev_loop *loop;

    if (!io->is_open)
        return;
    loop = io_worker(io)->loop;
    io->is_open = false;
    buf_release(&io->out);
    io_update(io);
    if (io->link->transport->release != NULL)
        io->link->transport->release(io);
    io_close_fd(loop, &io->watcher);
    io_close_writer(io);
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

    if (!io->is_open || !io->link->transport->two_way || ioctl(io_fd(io), SIOCOUTQ, &n) < 0 ||
        n < 0)
        return 0;
    return (size_t)n;
}

uint64_t io_delivered(const struct io *io)
{
    return io->sent - io_unacked(io);
}

/* Room of the peer's, as it last said; 0: no TCP, or a kernel that does not know (before 5.4). */
static uint32_t io_peer_room(const struct io *io)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    if (!io->is_open || !io->link->transport->two_way ||
        getsockopt(io_fd(io), IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd)
        return 0;
    return info.tcpi_snd_wnd;
}

/* Both in one, since each alone may stand while the other moves. What is acknowledged and not read
 * makes the room smaller by as much, so the sum needs more weight on the one. */
uint64_t io_progress(const struct io *io)
{
    return io_delivered(io) * 3 + io_peer_room(io);
}

bool io_peer_finished(const struct io *io)
{
    struct pollfd p = {.fd = io_fd(io), .events = POLLRDHUP};

    if (!io->is_open)
        return true;
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}
