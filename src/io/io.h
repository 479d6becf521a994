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

#include "base/buf.h"
#include "io/worker.h"

struct io;

/* io is the one it happened to; its owner, the struct around it, is found from there. */
struct io_events {
    /* n > 0 bytes arrived. p is writable, with WORKER_HEADROOM bytes in front and WORKER_TAILROOM
     * behind; all of it is gone when the callback returns. */
    void (*data)(struct io *io, uint8_t *p, size_t n);
    /* The far side will send nothing more. Writing still works. */
    void (*eof)(struct io *io);
    /* The queue is empty again after io_queued() was above zero. */
    void (*drained)(struct io *io);
    /* Writing failed, and writes from now on are dropped; reading goes on. lost: bytes that were
     * queued and are gone, if io_write has not said so before. */
    void (*broken)(struct io *io, int err, size_t lost);
    /* Reading failed, or the far side vanished while reading was stopped. Last event. */
    void (*closed)(struct io *io, int err);
    /* NULL, or with watch_hangup: the far side has ended its side while reading was stopped; told
     * once at most. What it sent before is still to be read, and then `eof` comes. With may_return:
     * nobody holds the terminal; nothing is read or written, and what waits does, until
     * io_return. */
    void (*hung_up)(struct io *io);
};

/* How bytes cross the descriptor; raw here, TLS beside it. read: > 0 bytes, 0 at the end, -1 with
 * errno. write: bytes taken, -1 with errno. EAGAIN: none now. */
struct io_transport {
    bool two_way; /* one descriptor (socket, terminal); else it is the io of a struct io_pipes */
    ssize_t (*read)(struct io *io, void *p, size_t n);
    ssize_t (*write)(struct io *io, const void *p, size_t n);
    int (*shutdown)(struct io *io); /* no more writes; 0, or -1 with errno */
    /* This and release are NULL for transports that hold nothing. Bytes lie ready inside, of which
     * epoll knows nothing. */
    bool (*pending)(const struct io *io);
    /* A terminal that nobody holds now, but somebody may open again. NULL: an end is one. */
    bool (*is_away)(const struct io *io);
    void (*release)(struct io *io); /* frees what it holds */
};

/* What an io points to. A transport that keeps something for each io (TLS) has a struct for it that
 * begins with a link; all ios of any other share one constant link. */
struct io_link {
    const struct io_transport *transport;
};

extern const struct io_link io_raw_socket;
extern const struct io_link io_raw_pipe;

struct io {
    ev_io watcher; /* reading; where both directions share a descriptor, writing too. Its data is
                      the worker */
    const struct io_link *link;
    const struct io_events *events;
    struct buf out;            /* not yet taken by the kernel; no memory while empty */
    uint64_t sent;             /* bytes the kernel took */
    uint32_t last_rx, last_tx; /* see io_last_rx */
    uint32_t paused; /* its place in the worker's list, from 1 on; 0: none; see paused.c */
    int16_t error;   /* a write error waiting to be reported */
    bool is_open : 1;
    bool want_read : 1;
    bool read_ended : 1;      /* eof or closed was reported */
    bool finish_wanted : 1;   /* shut down writing when the queue is empty */
    bool write_ended : 1;     /* shut down, or failed */
    bool was_queued : 1;      /* drained is owed */
    bool tls_wants_write : 1; /* io_tls: reading goes on when the socket takes bytes */
    bool watch_hangup : 1;    /* the user wants to know of a peer that vanishes while not read */
    bool hangup_armed : 1;    /* in the worker's hang-up epoll */
    bool may_return : 1; /* the user wants `hung_up` instead of an end, where is_away is there */
    bool away : 1;       /* that was told, until io_return */
};

/* Every session has one or two of them. What only some need belongs beside it, as in io_pipes. */
_Static_assert(sizeof(struct io) <= 96, "an io grows every idle session");

/* An io of two descriptors. */
struct io_pipes {
    struct io io;
    ev_io *writer; /* of wfd, its data this; NULL until something had to wait */
    int wfd;       /* -1 once closed */
};

/* Take the descriptors (nonblocking, close-on-exec). Reading starts stopped. */
void io_open(struct io *io, struct worker *w, const struct io_link *link, int fd,
             const struct io_events *events);
void io_open_pipes(struct io_pipes *pipes, struct worker *w, const struct io_link *link, int rfd,
                   int wfd, const struct io_events *events);

static inline struct worker *io_worker(const struct io *io)
{
    return io->watcher.data;
}

/* The descriptor, or of two the one that is read; -1 once closed. */
static inline int io_fd(const struct io *io)
{
    return io->watcher.fd;
}

/* The one that is written; -1 once closed. */
int io_write_fd(const struct io *io);

/* May be called twice. No callback follows. Closes the descriptors. */
void io_close(struct io *io);

void io_read_start(struct io *io);

/* With watch_hangup a peer that vanishes while stopped is noticed within a second: RST is `closed`,
 * and so is an orderly end with nothing left to read. Unread data before the end still counts: then
 * nothing is reported, see io_peer_finished. Without watch_hangup all waits until reading goes on.
 */
void io_read_stop(struct io *io);

/* After `hung_up` of may_return: looks again, for what is there now or for the end. */
void io_return(struct io *io);

/* Writes now what the kernel takes and queues the rest. Never calls back; errors come as `broken`
 * from the loop. Returns how many bytes are gone, of these and of the queue: when writing is over,
 * fails now, or there is no memory. */
size_t io_write(struct io *io, const void *p, size_t n);

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

/* When the last byte was received, and taken by the kernel (at first: when it was opened): worker
 * time, at most a millisecond too late and never too early. Kept as 32 bits of milliseconds: right
 * for 49 days. */
double io_last_rx(const struct io *io);
double io_last_tx(const struct io *io);

/* Bytes the kernel holds that the far side has not acknowledged (sockets; 0 for pipes or if
 * unknown). */
size_t io_unacked(const struct io *io);

/* Bytes the far side's system has acknowledged; of pipes and terminals those the kernel took. To be
 * compared with an earlier value only: TLS sends more than it is given. */
uint64_t io_delivered(const struct io *io);

/* A number that is another one when the far side took bytes since: its system acknowledged some,
 * or, where that is to be seen (TCP), its program read some and so made room. */
uint64_t io_progress(const struct io *io);

/* The peer's FIN stands behind unread data: true when the socket is half or fully closed by the
 * peer. Never blocks. */
bool io_peer_finished(const struct io *io);

/* For paused.c: the socket was reset or fully closed while it was not read. */
void io_report_hangup(struct io *io);

#endif
