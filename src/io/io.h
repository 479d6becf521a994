/* SPDX-License-Identifier: MIT */
#ifndef WSLUICE_IO_IO_H
#define WSLUICE_IO_IO_H

/*
 * An io is a byte stream in two directions: a socket, or the two pipes of a program. It reads into
 * the worker's shared buffer, writes at once and queues only what the kernel did not take.
 *
 * Memory rule: the user stops reading the other side while io_queued() is above zero (io_read_stop
 * there), and goes on in `drained`. So a queue never holds more than what came of one read, plus a
 * few control frames.
 *
 * Callbacks are made from the loop only, never from inside a function of this header. The callback
 * may close the io; the io's memory belongs to the owner and must stay until the end of the turn
 * (worker_reap).
 */
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "io/worker.h"

struct io;

struct io_events {
    /* n > 0 bytes arrived. p is writable, with WORKER_HEADROOM bytes in front and WORKER_TAILROOM
     * behind; all of it is gone when the callback returns. */
    void (*data)(void *owner, uint8_t *p, size_t n);
    /* The far side will send nothing more. Writing still works. */
    void (*eof)(void *owner);
    /* The queue is empty again after io_queued() was above zero. */
    void (*drained)(void *owner);
    /* Writing failed: what was queued is gone (counted in io->lost), writes from now on are
     * dropped. Reading goes on. */
    void (*broken)(void *owner, int err);
    /* Reading failed, or the far side vanished while reading was stopped. Last event. */
    void (*closed)(void *owner, int err);
    /* NULL, or with watch_hangup: the far side has ended its side while reading was stopped; told
     * once at most. What it sent before is still to be read, and then `eof` comes. */
    void (*hung_up)(void *owner);
};

/* How bytes cross the descriptor; raw here, TLS beside it. read: > 0 bytes, 0 at the end, -1 with
 * errno. */
struct io_transport {
    const char *name;
    bool is_socket; /* one descriptor for both directions */
    ssize_t (*read)(struct io *io, void *p, size_t n);
    ssize_t (*write)(struct io *io, const void *p, size_t n);
    int (*shutdown)(struct io *io); /* no more writes */
    /* NULL for transports that hold nothing: bytes lie ready inside that epoll does not know of /
     * frees what it holds. */
    bool (*pending)(const struct io *io);
    void (*release)(struct io *io);
};

extern const struct io_transport io_raw_socket;
extern const struct io_transport io_raw_pipe;

struct io {
    const struct io_transport *transport;
    const struct io_events *events;
    void *owner;
    struct worker *worker;
    struct tls_conn *tls; /* io_tls only */
    ev_io watcher;        /* reading; for a socket, whose two directions share it, writing too */
    ev_io *writer;  /* the watcher of wfd when that is another descriptor (a pipe); else &watcher */
    struct buf out; /* not yet taken by the kernel; no memory while empty */
    struct io *next_paused, **prev_paused;
    uint64_t received; /* bytes, all time */
    uint64_t sent;     /* bytes the kernel took */
    uint64_t lost;     /* bytes dropped because writing had failed */
    double last_rx;    /* worker time of the last byte received / taken by the kernel */
    double last_tx;
    int rfd, wfd; /* -1 once closed */
    int error;    /* a write error waiting to be reported */
    bool is_open;
    bool want_read;
    bool read_ended;      /* eof or closed was reported */
    bool finish_wanted;   /* shut down writing when the queue is empty */
    bool write_ended;     /* shut down, or failed */
    bool was_queued;      /* drained is owed */
    bool tls_wants_write; /* io_tls: reading goes on when the socket takes bytes */
    bool watch_hangup;    /* the user wants to know of a peer that vanishes while it is not read */
    bool hangup_armed;    /* in the worker's hang-up epoll */
};

/*
 * Takes the descriptors (nonblocking, close-on-exec). A socket is rfd == wfd and writer NULL; for
 * two pipes writer is a watcher of the owner's, beside the io, so that sockets need not carry a
 * second one. Reading starts stopped.
 */
void io_open(struct io *io, struct worker *w, const struct io_transport *transport, int rfd,
             int wfd, ev_io *writer, const struct io_events *events, void *owner);

/* May be called twice. No callback follows. Closes the descriptors. */
void io_close(struct io *io);

void io_read_start(struct io *io);

/* With watch_hangup a peer that vanishes while stopped is noticed within a second: RST is `closed`,
 * and so is an orderly end with nothing left to read. Unread data before the end still counts: then
 * nothing is reported, see io_peer_finished. Without watch_hangup all waits until reading goes on.
 */
void io_read_stop(struct io *io);

/* Writes now what the kernel takes and queues the rest. Never calls back; errors come as `broken`
 * from the loop. */
void io_write(struct io *io, const void *p, size_t n);

/* Shuts writing down once the queue is empty. */
void io_finish(struct io *io);

/* The sending half is over: shut down as asked, or failed. */
static inline bool io_finished(const struct io *io)
{
    return io->write_ended;
}

static inline size_t io_queued(const struct io *io)
{
    return buf_len(&io->out);
}

/* Bytes the kernel holds that the far side has not acknowledged (sockets; 0 for pipes or if
 * unknown). */
size_t io_unacked(const struct io *io);

/* The peer's FIN stands behind unread data: true when the socket is half or fully closed by the
 * peer. Never blocks. */
bool io_peer_finished(const struct io *io);

/* For paused.c: the socket was reset or fully closed while it was not read. */
void io_report_hangup(struct io *io);

#endif
