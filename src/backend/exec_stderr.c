/* SPDX-License-Identifier: MIT */
#include "backend/exec_stderr.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"

#define DRAIN_READS 16 /* of the worker's buffer: more than any pipe holds */

struct exec_stderr {
    struct worker *worker;
    ev_io readable;
    int fd;
    pid_t pid;
    uint64_t session;
    struct buf line; /* unfinished */
};

static void put_piece(struct exec_stderr *e, const uint8_t *p, size_t n)
{
    log_line(&e->worker->log, LOG_INFO, "stderr", LOG_I("id", e->session), LOG_I("pid", e->pid),
             LOG_S("text", slice_of((const char *)p, n)));
}

static void flush_line(struct exec_stderr *e)
{
    if (buf_len(&e->line) > 0)
        put_piece(e, buf_data(&e->line), buf_len(&e->line));
    buf_release(&e->line);
}

static void take(struct exec_stderr *e, const uint8_t *p, size_t n)
{
    while (n > 0) {
        const uint8_t *newline = memchr(p, '\n', n);
        size_t have = buf_len(&e->line);
        size_t len = newline != NULL ? (size_t)(newline - p) : n;
        bool whole = newline != NULL;

        if (have + len > EXEC_STDERR_PIECE) {
            len = EXEC_STDERR_PIECE - have;
            whole = false;
        }
        if (have == 0 && (whole || len == EXEC_STDERR_PIECE))
            put_piece(e, p, len);
        else if (buf_append(&e->line, p, len) < 0 || whole || have + len == EXEC_STDERR_PIECE)
            flush_line(e);
        p += len + whole;
        n -= len + whole;
    }
}

/* False when there is nothing more now, or ever. */
static bool read_once(struct exec_stderr *e)
{
    uint8_t *p = e->worker->rx + WORKER_HEADROOM;
    ssize_t n = e->fd < 0 ? 0 : read(e->fd, p, WORKER_RX_SIZE);

    if (n > 0) {
        take(e, p, (size_t)n);
        return true;
    }
    if (n == 0 && e->fd >= 0) {
        flush_line(e);
        ev_io_stop(e->worker->loop, &e->readable);
        close(e->fd);
        e->fd = -1;
    }
    return false;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int revents)
{
    (void)loop;
    (void)revents;

    (void)read_once(watcher->data);
}

struct exec_stderr *exec_stderr_open(struct worker *w, int fd, uint64_t session, pid_t pid)
{
    struct exec_stderr *e = calloc(1, sizeof *e);

    if (e == NULL) {
        close(fd);
        return NULL;
    }
    e->worker = w;
    e->fd = fd;
    e->pid = pid;
    e->session = session;
    ev_io_init(&e->readable, on_readable, fd, EV_READ);
    e->readable.data = e;
    ev_io_start(w->loop, &e->readable);
    return e;
}

void exec_stderr_drain(struct exec_stderr *e)
{
    for (int i = 0; i < DRAIN_READS && read_once(e); i++)
        ;
    flush_line(e);
}

void exec_stderr_close(struct exec_stderr *e)
{
    flush_line(e);
    if (e->fd >= 0) {
        ev_io_stop(e->worker->loop, &e->readable);
        close(e->fd);
    }
    free(e);
}
